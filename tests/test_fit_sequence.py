"""The motion of the head, taken out; and sequences fitted as one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from expclip.mead3d import FitOptions, fit_meshes, fit_weights
from expclip.mead3d import smoothing as smoothing_module
from expclip.mead3d.smoothing import solve_chain


def a_head(frames: int = 6, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return (neutral, basis, weights): 5 shapes that move a ball of 60 points a little."""
    rng = np.random.default_rng(seed)
    neutral = rng.normal(size=(60, 3))
    basis = 0.1 * rng.normal(size=(5, 60, 3))
    weights = rng.uniform(0, 1, (frames, 5)) * rng.integers(0, 2, (frames, 5))
    return neutral, basis, weights


def a_motion(frames: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return Rotation.random(frames, random_state=seed).as_matrix(), rng.normal(size=(frames, 1, 3))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_any_motion_of_the_head_is_taken_out(seed: int) -> None:
    neutral, basis, weights = a_head(seed=seed)
    turns, shifts = a_motion(6, seed)
    faces = neutral + np.tensordot(weights, basis, 1)
    positions = faces @ turns.transpose(0, 2, 1) + shifts
    options = FitOptions(rigid=True, positions=True)
    fit = fit_meshes(positions, basis, options, neutral=neutral)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-6)
    assert fit.kkt.max() <= 1e-8
    assert fit.rms.max() < 1e-6
    assert fit.alignment is not None
    np.testing.assert_allclose(fit.alignment.rotations @ turns, np.tile(np.eye(3), (6, 1, 1)),
                               atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(fit.alignment.move(positions), faces, atol=1e-6)


def test_without_alignment_a_turned_head_is_fitted_wrongly() -> None:
    neutral, basis, weights = a_head()
    turns, shifts = a_motion(6)
    moved = (neutral + np.tensordot(weights, basis, 1)) @ turns.transpose(0, 2, 1) + shifts
    plain = fit_weights(moved, basis, neutral=neutral, positions=True)
    assert np.abs(plain - weights).max() > 0.5
    # displacements and positions say the same
    given_positions = fit_weights(moved, basis, neutral=neutral, positions=True, rigid=True)
    given_moves = fit_weights(moved - neutral, basis, neutral=neutral, rigid=True)
    np.testing.assert_allclose(given_moves, given_positions, atol=1e-9)


def test_a_mirrored_head_is_not_turned_inside_out() -> None:
    neutral, basis, _ = a_head()
    options = FitOptions(rigid=True, positions=True)
    fit = fit_meshes((neutral * [-1, 1, 1])[None], basis, options, neutral=neutral)
    assert fit.alignment is not None
    assert np.linalg.det(fit.alignment.rotations[0]) == pytest.approx(1)


def test_alignment_bears_masks_holes_and_lost_frames() -> None:
    neutral, basis, weights = a_head()
    turns, shifts = a_motion(6)
    positions = (neutral + np.tensordot(weights, basis, 1)) @ turns.transpose(0, 2, 1) + shifts
    positions[1] = np.nan
    positions[2, 5:9] = np.nan
    positions[:, 3] += 7
    mask = np.arange(60) != 3
    options = FitOptions(rigid=True, positions=True)
    fit = fit_meshes(positions, basis, options, neutral=neutral, mask=mask)
    assert np.flatnonzero(fit.failed).tolist() == [1]
    assert fit.missing.tolist() == [0, 59, 4, 0, 0, 0]
    assert fit.alignment is not None
    assert np.isnan(fit.alignment.rotations[1]).all()
    there = [0, 2, 3, 4, 5]
    np.testing.assert_allclose(fit.weights[there], weights[there], atol=1e-6)
    slsqp = fit_weights(
        positions, basis, neutral=neutral, mask=mask, rigid=True, positions=True, method="slsqp"
    )
    np.testing.assert_allclose(slsqp[there], weights[there], atol=1e-6)


def chain_objective(grams: Any, right: Any, smooth: float, weights: Any) -> float:
    total = 0.0
    for frame, row in enumerate(weights):
        gram = grams[frame if len(grams) > 1 else 0]
        total += row @ gram @ row / 2 - right[frame] @ row
    return total + smooth / 2 * (np.diff(weights, axis=0) ** 2).sum()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    frames=st.integers(1, 6),
    smooth=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    same=st.booleans(),
)
def test_a_sequence_is_the_optimum_of_one_large_problem(
    seed: int, frames: int, smooth: float, same: bool
) -> None:
    rng = np.random.default_rng(seed)
    bases = rng.normal(size=(1 if same else frames, 8, 4))
    grams = bases.transpose(0, 2, 1) @ bases
    targets = rng.uniform(-0.5, 1.5, (frames, 4))
    meshes = (bases @ targets[:, :, None])[:, :, 0] + 0.3 * rng.normal(size=(frames, 8))
    right = (meshes[:, None] @ bases)[:, 0]
    weights, kkt = solve_chain(grams, right, smooth)
    assert kkt.max() <= 1e-8
    rows = np.zeros((8 * frames, 4 * frames))
    for frame in range(frames):
        block = bases[0 if same else frame]
        rows[8 * frame : 8 * frame + 8, 4 * frame : 4 * frame + 4] = block
    steps = np.eye(4 * (frames - 1), 4 * frames, 4) - np.eye(4 * (frames - 1), 4 * frames)
    rows = np.concatenate([rows, np.sqrt(smooth) * steps])
    aims = np.concatenate([meshes.ravel(), np.zeros(4 * (frames - 1))])
    peer = lsq_linear(rows, aims, (0, 1), method="bvls", tol=1e-14).x.reshape(frames, 4)
    ours = chain_objective(grams, right, smooth, weights)
    assert ours <= chain_objective(grams, right, smooth, peer) + 1e-9 * (1 + abs(ours))


def test_two_frames_meet_halfway() -> None:
    # one shape of length 1: w0 wants 0, w1 wants 1; (w1 - w0) costs 1: 1/3 and 2/3
    basis = np.zeros((1, 1, 3))
    basis[0, 0, 0] = 1.0
    meshes = np.array([[[0.0, 0, 0]], [[1.0, 0, 0]]])
    np.testing.assert_allclose(fit_weights(meshes, basis, smooth=1.0), [[1 / 3], [2 / 3]])
    np.testing.assert_allclose(fit_weights(7 * meshes, 7 * basis, smooth=1.0), [[1 / 3], [2 / 3]])


def test_smoothing_brings_a_noisy_sequence_nearer_to_the_truth() -> None:
    _, basis, _ = a_head()
    time = np.linspace(0, 6, 80)[:, None]
    weights = 0.5 + 0.5 * np.sin(time + np.arange(5))  # touches both bounds
    noise = 0.3 * np.random.default_rng(1).normal(size=(80, 60, 3))
    meshes = np.tensordot(weights, basis, 1) + noise
    plain, smooth = fit_weights(meshes, basis), fit_weights(meshes, basis, smooth=3.0)
    assert ((smooth >= 0) & (smooth <= 1)).all()
    assert np.abs(smooth - weights).mean() < 0.6 * np.abs(plain - weights).mean()


def test_a_sequence_bridges_lost_frames_and_holes_but_shows_them() -> None:
    _, basis, _ = a_head()
    basis[0, 30:] = 0
    weights = np.linspace(0.2, 0.8, 9)[:, None] * np.ones(5)
    meshes = np.tensordot(weights, basis, 1)
    meshes[4] = np.nan
    meshes[6, :30] = np.nan  # the first shape is not seen
    fit = fit_meshes(meshes, basis, FitOptions(smooth=1e-7))
    assert np.flatnonzero(fit.failed).tolist() == [4]
    assert np.isnan(fit.weights[4]).all()
    assert fit.unobserved[6].tolist() == [True, False, False, False, False]
    np.testing.assert_allclose(fit.weights[[3, 5, 6]], weights[[3, 5, 6]], atol=1e-3)
    lost = fit_meshes(np.full((3, 60, 3), np.nan), basis, FitOptions(smooth=1.0))
    assert lost.failed.all()


def test_smooth_and_rigid_go_together() -> None:
    neutral, basis, _ = a_head()
    weights = np.full((5, 5), 0.5)
    turns, shifts = a_motion(5)
    positions = (neutral + np.tensordot(weights, basis, 1)) @ turns.transpose(0, 2, 1) + shifts
    positions[2, :4] = np.nan
    options = FitOptions(rigid=True, positions=True, smooth=0.1)
    fit = fit_meshes(positions, basis, options, neutral=neutral)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-6)
    assert fit.rms.max() < 1e-6


def test_shapes_that_move_nothing_do_not_stop_a_sequence() -> None:
    _, basis, weights = a_head()
    basis[2] = 0
    found = fit_weights(np.tensordot(weights, basis, 1), basis, smooth=1e-9)
    np.testing.assert_array_equal(found[:, 2], 0)
    assert fit_weights(np.zeros((2, 60, 3)), 0 * basis, smooth=1.0).tolist() == [[0] * 5] * 2


def test_a_sequence_too_long_to_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, basis, weights = a_head()
    monkeypatch.setattr(smoothing_module, "_MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="6 frames in one smooth sequence, at most 4"):
        fit_weights(np.tensordot(weights, basis, 1), basis, smooth=1.0)
