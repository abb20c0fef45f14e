"""Speed of fitting beside SciPy's SLSQP and one bare matrix product, in one run.

Run: `python benchmarks/speed/fitting.py [--basis SOURCE] [--captures CSV ...] [--mapped 150000]`

Without arguments a made-up face of 9,409 vertices is fitted to made-up weights. `--basis`
takes what `read_basis` does, `--captures` recordings of a face, `--mapped` fits so many
frames in one call from a file of float32 meshes (written first, 44 kB a frame at 1,220
vertices), in a process of its own whose peak memory is given.

Two targets: given the Gram matrix and the projections, 300 times SLSQP on the same with its
gradient, and a KKT residual of at most 1e-8 on every frame; from meshes to weights, half
the rate of the bare float32 product D @ B. One thread; medians of CPU time over rounds in
which all methods take turns.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from expclip.face import read_sequence
from expclip.face.mesh import read_basis
from expclip.mead3d import fit_weights, kkt_residual, solve_gram
from expclip.mead3d.slsqp import solve_slsqp

ROUNDS = 5
SLSQP_FRAMES = 60
FRAMES = 4096
MESH_BYTES = 400 << 20
NOISE = 0.005  # of the farthest that a vertex moves


def made_up_basis() -> Any:
    """Return 52 shapes, bumps on a dome of 9,409 vertices; the last moves nothing."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(*[np.linspace(-1, 1, 97)] * 2)
    dome = np.stack([x, y, 1 - (x**2 + y**2) / 2], axis=-1).reshape(-1, 3)
    centres = dome[rng.choice(len(dome), 52, replace=False)]
    far = ((dome - centres[:, None]) ** 2).sum(axis=2)
    widths = rng.uniform(0.15, 0.6, (52, 1))
    basis = np.exp(-far / widths**2)[:, :, None] * rng.normal(size=(52, 1, 3))
    basis[np.abs(basis) < 1e-4] = 0  # subnormal numbers would slow the bare product
    basis[51] = 0
    return basis


def real_weights(paths: list[str], frames: int) -> Any:
    """Return captured weights within 0..1, or made-up ones: a third at 0, a few at 1."""
    rng = np.random.default_rng(1)
    if paths:
        weights = np.concatenate([read_sequence(path).clipped().weights for path in paths])
        weights = weights[rng.integers(0, len(weights), frames)].astype(np.float64)
    else:
        weights = np.clip(rng.normal(0.2, 0.4, (frames, 52)), 0, 1)
    weights[:, 51] = 0
    return weights


def turns(methods: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Return frames per second of CPU time, the median of rounds in which all take turns."""
    spent: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(ROUNDS):
        for name, method in methods.items():
            start = time.process_time()
            frames = method()
            spent[name].append((time.process_time() - start) / frames)
    return {name: 1 / median(seconds) for name, seconds in spent.items()}


def plain_slsqp(gram: Any, right: Any) -> Any:
    """Return SLSQP's weights with its own tolerance, the objective scaled to order 1."""
    scale = np.diagonal(gram).max()
    gram, right = gram / scale, right / scale
    live = np.diagonal(gram) > 0

    def solve(c: Any) -> Any:
        def objective(w: Any) -> Any:
            product = gram @ w
            return w @ (product / 2 - c), product - c

        return minimize(
            objective, np.zeros(len(c)), jac=True, bounds=[(0, 1)] * len(c), method="SLSQP"
        ).x * live  # fmt: skip

    return np.stack([solve(c) for c in right])


def given_projections(gram: Any, right: Any) -> None:
    """Compare the solvers given BᵀB and Bᵀd."""
    few = right[:SLSQP_FRAMES]
    rates = turns(
        {
            "SLSQP, default tolerance": lambda: len(plain_slsqp(gram, few)),
            'method="slsqp", converged': lambda: len(solve_slsqp(gram, few).weights),
            'method="exact"': lambda: len(solve_gram(gram, right).weights),
        }
    )
    exact = solve_gram(gram, right)
    kkts = (
        kkt_residual(gram, few, plain_slsqp(gram, few)).max(),
        solve_slsqp(gram, few).kkt.max(),
        exact.kkt.max(),
    )
    peer = next(iter(rates.values()))
    print(f"{'given BᵀB and Bᵀd':32} {'frames/s':>10} {'ratio':>8} {'worst KKT':>10}")
    for (name, rate), kkt in zip(rates.items(), kkts, strict=True):
        print(f"{name:32} {rate:10,.0f} {rate / peer:7.1f}x {kkt:10.0e}")

    def costs(weights: Any) -> Any:
        return ((weights @ gram / 2 - right[: len(weights)]) * weights).sum(axis=1)

    best = costs(exact.weights[:SLSQP_FRAMES])
    for name, weights in (
        ("default", plain_slsqp(gram, few)),
        ("converged", solve_slsqp(gram, few).weights),
    ):
        above = (best - costs(weights)).max() / np.abs(best).max()
        print(f"exact objective above SLSQP's ({name}), at most: {above:.0e} of it")


def from_meshes(basis: Any, weights: Any) -> None:
    """Compare whole fits with the bare product."""
    frames = min(len(weights), MESH_BYTES // (12 * basis.shape[1]))
    meshes = noisy_meshes(basis, weights[:frames], np.random.default_rng(2))
    flat = meshes.reshape(frames, -1)
    columns = np.ascontiguousarray(basis.reshape(52, -1).T, np.float32)
    doubled, columns64 = flat[::4].astype(np.float64), columns.astype(np.float64)
    rates = turns(
        {
            "bare product, float32": lambda: len(flat @ columns),
            "bare product, float64": lambda: len(doubled @ columns64),
            "fit_weights, float32": lambda: len(fit_weights(meshes, basis)),
            "fit_weights, double=True": lambda: len(fit_weights(meshes, basis, double=True)),
        }
    )
    peer = next(iter(rates.values()))
    print(f"\n{'from meshes, in memory':32} {'frames/s':>10} {'ratio':>8}")
    for name, rate in rates.items():
        print(f"{name:32} {rate:10,.0f} {rate / peer:7.2f}x")
    gap = np.abs(fit_weights(meshes, basis) - fit_weights(meshes, basis, double=True)).max()
    print(f"float32 sums move a weight by at most {gap:.0e}")


def noisy_meshes(basis: Any, weights: Any, rng: np.random.Generator) -> Any:
    """Return float32 displacements with noise of vertices."""
    clean = (weights @ basis.reshape(52, -1)).astype(np.float32)
    clean += NOISE * np.abs(basis).max() * rng.standard_normal(clean.shape, np.float32)
    return clean.reshape(len(weights), -1, 3)


def from_a_file(basis: Any, weights: Any, frames: int) -> None:
    """Fit a mapped file in one call, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "meshes.npy"
        shape = (frames, basis.shape[1], 3)
        target = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        rng = np.random.default_rng(3)
        for start in range(0, frames, 1000):
            rows = np.arange(start, min(start + 1000, frames)) % len(weights)
            target[start : start + len(rows)] = noisy_meshes(basis, weights[rows], rng)
        target.flush()
        size = target.nbytes
        del target
        with get_context("spawn").Pool(1) as pool:
            seconds, peak, worst = pool.apply(fit_file, (path, basis))
    print(
        f"\n{frames:,} frames of {basis.shape[1]:,} vertices, {size / 1e9:.1f} GB, mapped: "
        f"{seconds:.1f} s, {frames / seconds:,.0f} frames/s, peak memory {peak:,} MB"
    )
    print(f"worst KKT residual of a sample, Bᵀd in float64: {worst:.0e}")


def fit_file(path: Path, basis: Any) -> tuple[float, int, float]:
    """Return seconds, the process's peak memory in MB, and the KKT of some frames."""
    meshes = np.load(path, mmap_mode="r")
    with threadpool_limits(1):
        start = time.perf_counter()
        weights = fit_weights(meshes, basis)
        seconds = time.perf_counter() - start
        status = Path("/proc/self/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10
        some = slice(None, None, 500)
        columns = basis.reshape(52, -1).astype(np.float64)
        right = meshes[some].reshape(len(meshes[some]), -1).astype(np.float64) @ columns.T
        worst = kkt_residual(columns @ columns.T, right, weights[some]).max()
    return seconds, peak, worst


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--basis")
    parser.add_argument("--captures", nargs="*", default=[])
    parser.add_argument("--mapped", type=int, default=0)
    options = parser.parse_args()
    deltas = read_basis(options.basis).deltas if options.basis else made_up_basis()
    basis = deltas.astype(np.float64)
    weights = real_weights(options.captures, FRAMES)
    columns = basis.reshape(52, -1)
    gram = columns @ columns.T
    meshes = noisy_meshes(basis, weights, np.random.default_rng(4))
    right = np.concatenate(
        [part.reshape(len(part), -1).astype(np.float64) @ columns.T for part in
         np.array_split(meshes, 16)]
    )  # fmt: skip
    del meshes
    print(f"{basis.shape[1]:,} vertices, {FRAMES:,} frames, "
          f"{'captured' if options.captures else 'made-up'} weights, one thread\n")  # fmt: skip
    with threadpool_limits(1):
        given_projections(gram, right)
        from_meshes(basis, weights)
    if options.mapped:
        from_a_file(basis, weights, options.mapped)


if __name__ == "__main__":
    main()
