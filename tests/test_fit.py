"""From meshes to weights: masks, holes, memory; made-up bases and real ones."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize

from expclip.face.mesh import Basis, read_basis
from expclip.face.sequence import read_sequence
from expclip.mead3d import FitOptions, fit_meshes, fit_weights, kkt_residual
from expclip.mead3d import fit as fit_module
from expclip.mead3d import projection as projection_module

REAL = Path(__file__).parents[2] / "shared" / "data"
BASES = ("ict_arkit_basis.npz", "ARKit_reference_blendshapes.zip")
real = pytest.mark.skipif(not REAL.is_dir(), reason="no real files here")


def a_face(seed: int = 0, shapes: int = 6, vertices: int = 40, frames: int = 8) -> Any:
    """Return (basis, weights, displacements), each shape on half of the vertices."""
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(shapes, vertices, 3))
    basis[: shapes // 2, vertices // 2 :] = 0
    basis[shapes // 2 :, : vertices // 2] = 0
    weights = rng.uniform(0, 1, (frames, shapes)) * rng.integers(0, 2, (frames, shapes))
    return basis, weights, np.tensordot(weights, basis, 1)


def cost(basis: Any, meshes: Any, weights: Any) -> Any:
    return ((meshes - np.tensordot(weights, basis, 1)) ** 2).sum(axis=(1, 2))


def test_weights_that_made_the_meshes_come_back() -> None:
    basis, weights, meshes = a_face()
    np.testing.assert_allclose(fit_weights(meshes, basis), weights, atol=1e-12)
    np.testing.assert_allclose(fit_weights(meshes, basis, method="slsqp"), weights, atol=1e-6)


def test_float32_meshes_come_back_to_float32s_precision_or_exactly() -> None:
    basis, weights, meshes = a_face()
    meshes = meshes.astype(np.float32)
    np.testing.assert_allclose(fit_weights(meshes, basis), weights, atol=1e-5)
    exact = fit_weights(meshes.astype(np.float64), basis)
    np.testing.assert_allclose(fit_weights(meshes, basis, double=True), exact, atol=1e-13)


def test_half_a_smile_is_a_half() -> None:
    basis = np.zeros((2, 1, 3))
    basis[0, 0, 0] = 2.0  # moves the one vertex by 2 along x
    fit = fit_meshes(np.array([[[1.0, 0.0, 0.3]], [[9.0, 0.0, 0.0]]]), basis)
    np.testing.assert_allclose(fit.weights, [[0.5, 0], [1, 0]])
    np.testing.assert_allclose(fit.rms, [0.3, 7.0])
    assert fit.unobserved.tolist() == [[False, True], [False, True]]
    assert fit.rank.tolist() == [1, 1]
    assert fit.missing.tolist() == [0, 0]


def test_positions_are_displacements_and_the_neutral_mesh() -> None:
    basis, weights, meshes = a_face()
    neutral = np.random.default_rng(1).normal(size=basis.shape[1:])
    found = fit_weights(meshes + neutral, basis, neutral=neutral, positions=True)
    np.testing.assert_allclose(found, weights, atol=1e-12)
    # where displacements are given, a neutral mesh changes nothing
    np.testing.assert_array_equal(
        fit_weights(meshes, basis, neutral=neutral), fit_weights(meshes, basis)
    )


def test_masked_vertices_do_not_count_whatever_they_hold() -> None:
    basis, weights, meshes = a_face()
    mask = np.ones(40, bool)
    mask[[3, 7]] = False
    spoiled = meshes.copy()
    spoiled[:, 3], spoiled[:, 7] = 100, np.nan
    fit = fit_meshes(spoiled, basis, mask=mask)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-12)
    assert not fit.missing.any()
    assert fit.rms.max() < 1e-12


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_vertex_weights_weigh_squares(seed: int) -> None:
    basis, _, meshes = a_face(seed)
    rng = np.random.default_rng(seed)
    meshes = meshes + 0.5 * rng.normal(size=meshes.shape)
    mass = rng.uniform(0.1, 3, 40)
    roots = np.repeat(np.sqrt(mass), 3)
    columns = basis.reshape(6, -1).T * roots[:, None]
    for mesh, found in zip(meshes, fit_weights(meshes, basis, mask=mass), strict=True):
        peer = lsq_linear(columns, mesh.ravel() * roots, (0, 1), method="bvls", tol=1e-14)
        np.testing.assert_allclose(found, peer.x, atol=1e-8)


def test_a_ridge_pulls_to_zero_by_the_same_in_every_unit() -> None:
    basis = np.zeros((1, 1, 3))
    basis[0, 0, 0] = 2.0
    mesh = np.array([[[1.0, 0.0, 0.0]]])
    # (4 + 0.25 * 4) w = 2
    np.testing.assert_allclose(fit_weights(mesh, basis, ridge=0.25), [[0.4]])
    np.testing.assert_allclose(fit_weights(100 * mesh, 100 * basis, ridge=0.25), [[0.4]])


def test_lost_frames_lose_only_themselves() -> None:
    basis, weights, meshes = a_face()
    meshes[2], meshes[5] = np.nan, np.inf
    fit = fit_meshes(meshes, basis)
    assert np.flatnonzero(fit.failed).tolist() == [2, 5]
    assert np.isnan(fit.weights[[2, 5]]).all()
    assert np.isnan(fit.rms[[2, 5]]).all()
    assert fit.missing.tolist() == [0, 0, 40, 0, 0, 40, 0, 0]
    there = [0, 1, 3, 4, 6, 7]
    np.testing.assert_allclose(fit.weights[there], weights[there], atol=1e-12)


def test_missing_vertices_are_left_out_of_their_frame() -> None:
    basis, weights, meshes = a_face()
    meshes[1, :5] = np.nan  # few: taken away from the sums
    meshes[2, 4:19, 1] = np.inf  # one coordinate is enough
    meshes[3, :19] = np.nan
    meshes[3, 20:39] = np.nan  # most: summed anew
    meshes[4, :5] = np.nan  # as frame 1
    fit = fit_meshes(meshes, basis, FitOptions())
    assert fit.missing.tolist() == [0, 5, 15, 38, 5, 0, 0, 0]
    np.testing.assert_allclose(fit.weights[[0, 1, 2, 4, 5]], weights[[0, 1, 2, 4, 5]], atol=1e-10)
    assert fit.kkt.max() <= 1e-8
    assert fit.rms.max() < 1e-9


def test_weights_that_no_vertex_shows_are_0_and_flagged() -> None:
    basis, weights, meshes = a_face()
    meshes[1, :20] = np.nan  # all that the first three shapes move
    for options in (FitOptions(), FitOptions(ridge=1e-9)):
        fit = fit_meshes(meshes, basis, options)
        assert fit.unobserved[1].tolist() == [True] * 3 + [False] * 3
        assert not fit.unobserved[[0, 2]].any()
        assert fit.rank[:2].tolist() == [6, 3]
        np.testing.assert_array_equal(fit.weights[1, :3], 0)
        np.testing.assert_allclose(fit.weights[1, 3:], weights[1, 3:], atol=1e-7)


def test_finite_numbers_too_large_for_float32_sums_are_no_holes() -> None:
    basis, _, meshes = a_face()
    meshes = meshes.astype(np.float32)
    meshes[1] = 3e38
    fit = fit_meshes(meshes, basis)
    assert not fit.failed.any()
    assert not fit.missing.any()


def test_no_frames_and_one_frame() -> None:
    basis, weights, meshes = a_face()
    assert fit_weights(meshes[:0], basis).shape == (0, 6)
    np.testing.assert_allclose(fit_weights(meshes[:1], basis), weights[:1], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_do_not_show(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    basis, _, meshes = a_face(frames=23)
    meshes = meshes.astype(dtype)
    meshes[4, :3] = np.nan
    whole = fit_meshes(meshes, basis)
    monkeypatch.setattr(projection_module, "_CHUNK_BYTES", 4000)
    parts = fit_meshes(meshes, basis)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-5)
    np.testing.assert_allclose(parts.rms, whole.rms, atol=1e-5)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_mapped_files_are_read_as_arrays_and_stay_as_they_are(mode: str, tmp_path: Path) -> None:
    basis, weights, meshes = a_face(frames=50)
    np.save(tmp_path / "meshes.npy", meshes)
    mapped = np.load(tmp_path / "meshes.npy", mmap_mode=mode)
    if mode != "r":
        mapped[7] = 0.0
        meshes[7], weights[7] = 0.0, 0.0
    np.testing.assert_allclose(fit_weights(mapped[3:40], basis), weights[3:40], atol=1e-12)
    np.testing.assert_array_equal(mapped, meshes)


PEAK = """
import re, sys
import numpy as np
from pathlib import Path
from expclip.mead3d import FitOptions, fit, fit_meshes, projection

projection._CHUNK_BYTES, fit._ALIGNED_AT_ONCE = 2 << 20, 500

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

rng = np.random.default_rng(0)
basis, neutral = rng.normal(size=(52, 1220, 3)), rng.normal(size=(1220, 3))
meshes = np.load(sys.argv[1], mmap_mode="r")
options = FitOptions(rigid="rigid" in sys.argv[2])
fit_meshes(meshes[:100], basis, options, neutral=neutral)
before = peak()
fit = fit_meshes(meshes, basis, options, neutral=neutral)
assert not fit.failed.any()
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory as Linux tells it")
@pytest.mark.parametrize("kind", ["whole", "rigid with holes"])
def test_a_mapped_file_is_not_held_in_memory(kind: str, tmp_path: Path) -> None:
    shape = (6000, 1220, 3)
    meshes = np.lib.format.open_memmap(tmp_path / "meshes.npy", "w+", np.float32, shape)
    if "holes" in kind:
        meshes[:, 5] = np.nan
    assert meshes.nbytes >> 20 == 83
    del meshes
    command = [sys.executable, "-c", PEAK, str(tmp_path / "meshes.npy"), kind]
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=one_thread)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"displacements": np.zeros((2, 5, 3))}, r"\(frames, 40, 3\)"),
        ({"displacements": np.zeros((40, 3))}, r"\(frames, 40, 3\)"),
        ({"displacements": np.full((1, 40, 3), "x")}, "numbers"),
        ({"basis": np.zeros((52, 40))}, r"\(shapes, vertices, 3\)"),
        ({"basis": np.full((2, 40, 3), np.nan)}, "basis has NaN"),
        ({"mask": np.ones(5)}, r"\(40,\)"),
        ({"mask": np.zeros(40)}, "not all of them 0"),
        ({"mask": -np.ones(40)}, "weights from 0"),
        ({"rigid": True}, "need the neutral mesh"),
        ({"positions": True}, "need the neutral mesh"),
        ({"neutral": np.zeros((5, 3))}, r"\(40, 3\)"),
        ({"ridge": -1.0}, "ridge must be 0 or more"),
        ({"smooth": float("nan")}, "smooth must be 0 or more"),
        ({"method": "simplex"}, "'exact' or 'slsqp'"),
        ({"method": "slsqp", "smooth": 1.0}, "smooth needs"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], says: str) -> None:
    basis, _, meshes = a_face()
    with pytest.raises(ValueError, match=says):
        fit_weights(**({"displacements": meshes, "basis": basis} | arguments))


def a_real_clip(name: str, noise: float, stride: int = 240) -> tuple[Basis, Any, Any]:
    """Return a basis, real weights, and the meshes of both with noise of vertices.

    The noise is in parts of the farthest that any vertex of any shape moves.
    """
    basis = read_basis(REAL / "meshes" / name)
    captures = sorted((REAL / "livelink").glob("*.csv"))
    weights = np.concatenate([read_sequence(path).clipped().weights for path in captures])
    weights = weights[::stride].astype(np.float64)
    weights[:, 51] = 0  # no shape for the tongue
    rng = np.random.default_rng(0)
    meshes = np.tensordot(weights, basis.deltas.astype(np.float64), 1)
    return (
        basis,
        weights,
        meshes + noise * np.abs(basis.deltas).max() * rng.normal(size=meshes.shape),
    )


@real
@pytest.mark.parametrize("name", BASES)
def test_real_captures_are_fitted_back_exactly(name: str) -> None:
    basis, weights, meshes = a_real_clip(name, noise=0)
    fit = fit_meshes(meshes, basis.deltas)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-9)
    assert fit.kkt.max() <= 1e-8
    assert (fit.rank == 51).all()
    assert (fit.unobserved == (np.arange(52) == 51)).all()


@real
@pytest.mark.parametrize("name", BASES)
def test_real_captures_with_noise_are_fitted_back_and_no_lower_than_slsqp_gets(name: str) -> None:
    basis, weights, meshes = a_real_clip(name, noise=0.002)
    fit = fit_meshes(meshes, basis.deltas)
    assert fit.kkt.max() <= 1e-8
    assert np.abs(fit.weights - weights).mean() < 0.01
    deltas = basis.deltas.astype(np.float64).reshape(52, -1)
    flat = meshes.reshape(len(meshes), -1)
    assert kkt_residual(deltas @ deltas.T, flat @ deltas.T, fit.weights).max() <= 1e-8
    some = slice(0, None, 10)
    slsqp = fit_weights(meshes[some], basis.deltas, method="slsqp")
    ours = cost(basis.deltas, meshes[some], fit.weights[some])
    theirs = cost(basis.deltas, meshes[some], slsqp)
    assert (ours <= theirs * (1 + 1e-12)).all()
    assert (ours <= cost(basis.deltas, meshes[some], weights[some])).all()


@real
def test_plain_slsqp_stops_early_on_the_real_mesh_and_says_success() -> None:
    basis, weights, meshes = a_real_clip(BASES[1], noise=0, stride=4000)
    deltas = basis.deltas.astype(np.float64).reshape(52, -1)
    gram, right = deltas @ deltas.T, meshes[1].ravel() @ deltas.T
    plain = minimize(
        lambda w: (w @ gram @ w / 2 - right @ w, gram @ w - right),
        np.zeros(52),
        jac=True,
        bounds=[(0, 1)] * 52,
        method="SLSQP",
    )
    ours = fit_weights(meshes[1:2], basis.deltas, method="slsqp")[0]
    assert plain.success
    assert np.abs(plain.x - weights[1]).max() > 0.1
    assert np.abs(ours - weights[1]).max() < 1e-4


def test_frames_aligned_in_parts_are_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    basis, weights, meshes = a_face()
    neutral = np.random.default_rng(1).normal(size=basis.shape[1:])
    monkeypatch.setattr(fit_module, "_ALIGNED_AT_ONCE", 3)
    found = fit_weights(0.01 * meshes, 0.01 * basis, neutral=neutral, rigid=True)
    np.testing.assert_allclose(found, weights, atol=1e-6)
