"""From face meshes to the 52 weights that explain them best.

    minimise  Σ m |B w - d|²  +  ridge |w|²  +  smooth |w[f+1] - w[f]|²   over   0 <= w <= 1

for the displacements d of every frame's vertices from the neutral mesh, with a mask or
weights m of the vertices. The paper (ExpCLIP, section on MEAD-3D) fits ARKit weights to
reconstructed meshes by SLSQP and says no more; everything beside the plain problem is ours.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from expclip.mead3d.alignment import Alignment, Moments, rigid_moments
from expclip.mead3d.projection import Group, Meshes, Shapes, group_by_holes
from expclip.mead3d.slsqp import solve_slsqp
from expclip.mead3d.smoothing import solve_chain
from expclip.mead3d.solver import BoxSolver

__all__ = ["Fit", "FitOptions", "Method", "fit_meshes", "fit_weights"]

Method = Literal["exact", "slsqp"]

_OBSERVED = 1e-4  # least part of a shape's squared length that the vertices there must show
_ALIGNED_AT_ONCE = 8192  # frames; each brings 1.3 kB of 3 x 3 matrices

_Meshes = Float[np.ndarray, "frames vertices 3"]
_Neutral = Float[np.ndarray, "vertices 3"]
_Basis = Float[np.ndarray, "shapes vertices 3"]
_Rows = Float[np.ndarray, "frames shapes"]
_Gram = Float[np.ndarray, "shapes shapes"]


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit."""

    method: Method = "exact"
    """"exact" solves all frames at once; "slsqp" is the paper's, hundreds of times slower."""
    positions: bool = False
    """The meshes are positions, not displacements."""
    ridge: float = 0.0
    """Pull of all weights to 0, as a part of the mean squared length of the shapes, so that
    it means the same in metres and centimetres. Holds weights that few vertices show."""
    rigid: bool = False
    """Take out a rotation and a translation per frame; needs the neutral mesh."""
    smooth: float = 0.0
    """Cost of a weight's change between neighbouring frames, in the unit of ``ridge``: the
    frames are then one sequence, solved as one."""
    double: bool = False
    """Multiply float32 meshes in float64: half the speed, and weights exact to 1e-12 where
    float32 leaves some 1e-6. Meshes in float64 always are."""

    def __post_init__(self) -> None:
        if self.method not in ("exact", "slsqp"):
            raise ValueError(f"method must be 'exact' or 'slsqp', got {self.method!r}")
        for name in ("ridge", "smooth"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {value!r}")
        if self.smooth and self.method == "slsqp":
            raise ValueError("smooth needs method='exact'")


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights of every frame, and what they are worth."""

    weights: _Rows
    """Between 0 and 1; NaN in frames that have no vertex."""
    rms: Float[np.ndarray, " frames"]
    """What is left: root mean square of the vertices' distances, in the unit of the mesh."""
    kkt: Float[np.ndarray, " frames"]
    """Distance to the optimum, given Bᵀd: see ``kkt_residual``."""
    missing: Int[np.ndarray, " frames"]
    """Vertices that count and are not there."""
    unobserved: Bool[np.ndarray, "frames shapes"]
    """Weights that the frame's vertices do not show: 0, or with ``smooth`` as next to it."""
    rank: Int[np.ndarray, " frames"]
    """Directions that the vertices determine, without ridge and smoothing. Where it is less
    than the number of observed weights, some of them share what they explain together."""
    alignment: Alignment | None = None
    """With ``rigid``: the motion taken out."""

    @property
    def failed(self) -> Bool[np.ndarray, " frames"]:
        """The frames without a result."""
        failed: Bool[np.ndarray, " frames"] = np.isnan(self.kkt)
        return failed


def fit_weights(
    displacements: _Meshes,
    basis: _Basis,
    *,
    method: Method = "exact",
    mask: Shaped[np.ndarray, " vertices"] | None = None,
    neutral: _Neutral | None = None,
    positions: bool = False,
    ridge: float = 0.0,
    rigid: bool = False,
    smooth: float = 0.0,
    double: bool = False,
) -> _Rows:
    """Return the weights, between 0 and 1, that explain every frame best.

    Args:
        displacements: of the vertices from the neutral mesh, in the unit of the basis; a
            memory-mapped file is read in pieces. Vertices that are NaN are left out of their
            frame; a frame without any vertex gives NaN and troubles no other.
        basis: displacements of each shape at weight 1, such as ``Basis.deltas``.
        method: see ``FitOptions``, as ``ridge``, ``rigid``, ``smooth`` and ``double``.
        mask: the vertices that count, True or False, or weights from 0.
        neutral: the mesh that is moved; needed for ``positions`` and ``rigid``.
        positions: the first argument holds positions: the neutral mesh is taken away.
        ridge: pull to 0.
        rigid: take out the motion of the head.
        smooth: cost of changes between frames.
        double: multiply float32 meshes in float64.

    Raises:
        ValueError: arrays that do not fit together, or options that do not.
    """
    options = FitOptions(method, positions, ridge, rigid, smooth, double)
    return _Fitting.of(displacements, basis, options, neutral, mask).solve().weights


def fit_meshes(
    displacements: _Meshes,
    basis: _Basis,
    options: FitOptions | None = None,
    *,
    mask: Shaped[np.ndarray, " vertices"] | None = None,
    neutral: _Neutral | None = None,
) -> Fit:
    """Return the weights as ``fit_weights`` does, with residuals and flags.

    The meshes are read twice, for the residuals are taken from the meshes themselves.
    """
    fitting = _Fitting.of(displacements, basis, options or FitOptions(), neutral, mask)
    fit = fitting.solve()
    fitting.measure(fit)
    return fit


@dataclass(frozen=True, slots=True)
class _Fitting:
    """One task: the meshes, the shapes, and the options."""

    meshes: Meshes  # positions with ``rigid``, else displacements
    shapes: Shapes
    neutral: _Neutral | None
    options: FitOptions

    @classmethod
    def of(
        cls,
        values: _Meshes,
        basis: _Basis,
        options: FitOptions,
        neutral: _Neutral | None,
        mask: Shaped[np.ndarray, " vertices"] | None,
    ) -> "_Fitting":
        """Check that the arrays fit together."""
        values, shapes = np.asanyarray(values), Shapes.of(basis, mask)
        expected = np.shape(basis)[1:]
        if values.ndim != 3 or values.shape[1:] != expected or values.dtype.kind not in "fiu":
            raise ValueError(
                f"meshes must be numbers (frames, {expected[0]}, 3) as the basis, "
                f"got {values.dtype} {values.shape}"
            )
        offset = None
        if neutral is not None:
            neutral = np.asarray(neutral, np.float64)
            if neutral.shape != expected or not np.isfinite(neutral).all():
                raise ValueError(f"the neutral mesh must be finite {expected}, got {neutral.shape}")
            if options.positions != options.rigid:
                offset = neutral if options.rigid else -neutral
        elif options.rigid or options.positions:
            raise ValueError("rigid and positions need the neutral mesh")
        return cls(Meshes(values, offset, options.double), shapes, neutral, options)

    def solve(self) -> Fit:
        """Return the fit, without residuals."""
        projections = None if self.options.rigid else self.meshes.project(self.shapes)
        if projections is None:
            whole = self.meshes.complete(self.shapes)
        else:
            whole = np.isfinite(projections).all(axis=1)
        groups, lost = group_by_holes(self.meshes, self.shapes, whole)
        fit = self._empty(len(whole), len(self.shapes.gram))
        if self.options.smooth:
            self._solve_sequence(fit, groups, projections)
        else:
            for group in groups:
                self._solve_group(fit, group, projections)
        fit.missing[lost] = len(self.shapes.roots)
        fit.unobserved[lost] = True
        return fit

    def _empty(self, frames: int, shapes: int) -> Fit:
        return Fit(
            weights=np.full((frames, shapes), np.nan),
            rms=np.full(frames, np.nan),
            kkt=np.full(frames, np.nan),
            missing=np.zeros(frames, np.int64),
            unobserved=np.zeros((frames, shapes), bool),
            rank=np.zeros(frames, np.int64),
            alignment=Alignment.empty(frames) if self.options.rigid else None,
        )

    def _solve_group(self, fit: Fit, group: Group, projections: _Rows | None) -> None:
        """Fit frames that have the same vertices, independently of each other."""
        for start in range(0, len(group.frames), _ALIGNED_AT_ONCE):
            part = Group(group.frames[start : start + _ALIGNED_AT_ONCE], group.present)
            moments, right, gram = self._system(part, projections)
            gram, seen, solver = self._describe(fit, part, gram)
            if moments is not None:
                solve = partial(_weights_of, solver, seen)
                right, alignment = moments.align(solve)
                _store_alignment(fit, part.frames, alignment)
            assert right is not None
            right = right * seen
            slsqp = self.options.method == "slsqp"
            found = solve_slsqp(gram, right) if slsqp else solver.solve(right)
            fit.weights[part.frames], fit.kkt[part.frames] = found.weights, found.kkt

    def _solve_sequence(self, fit: Fit, groups: list[Group], projections: _Rows | None) -> None:
        """Fit all frames as one sequence; lost ones are bridged."""
        frames, shapes = fit.weights.shape
        there = np.concatenate([group.frames for group in groups] or [np.empty(0, np.int64)])
        if not len(there):
            return
        same = len(groups) == 1 and len(there) == frames
        grams = np.zeros((1 if same else frames, shapes, shapes))
        seen = np.zeros((frames, shapes), bool)
        parts, right = [], np.zeros((frames, shapes))
        for group in groups:
            moments, rows, gram = self._system(group, projections)
            grams[0 if same else group.frames], seen[group.frames], _ = self._describe(
                fit, group, gram
            )
            parts += [] if moments is None else [moments]
            right[group.frames] = 0 if rows is None else rows
        cost = self.options.smooth * self._unit
        if parts:

            def solve(rows: _Rows) -> _Rows:
                all_rows = np.zeros((frames, shapes))
                all_rows[there] = rows
                weights: _Rows = solve_chain(grams, all_rows * seen, cost)[0][there]
                return weights

            right[there], alignment = Moments.join(parts).align(solve, together=True)
            _store_alignment(fit, there, alignment)
        weights, kkt = solve_chain(grams, right * seen, cost)
        fit.weights[there], fit.kkt[there] = weights[there], kkt[there]

    def _system(
        self, group: Group, projections: _Rows | None
    ) -> tuple[Moments | None, Float[np.ndarray, "some shapes"] | None, _Gram]:
        """Return what the group's frames bring: moments if they move, Bᵀd if not; and BᵀB."""
        if projections is None:
            assert self.neutral is not None
            moments, gram = rigid_moments(self.meshes, self.shapes, self.neutral, group)
            return moments, None, gram
        if group.present is None:
            return None, projections[group.frames], self.shapes.gram
        rows = self.meshes.project_group(self.shapes, group)
        return None, rows, self.shapes.gram_of(group.present)

    @property
    def _unit(self) -> float:
        """Mean squared length of the shapes that move anything."""
        squares = np.diagonal(self.shapes.gram)
        return float(squares[squares > 0].mean()) if squares.any() else 1.0

    def _describe(
        self, fit: Fit, group: Group, gram: _Gram
    ) -> tuple[_Gram, Bool[np.ndarray, " shapes"], BoxSolver]:
        """Note what the group's vertices show; return what to solve, and for which shapes."""
        squares = np.diagonal(gram)
        seen = squares > _OBSERVED * np.diagonal(self.shapes.gram)
        gram = gram * np.outer(seen, seen)
        solver = BoxSolver(gram)
        seen &= ~solver.scaled.dead
        fit.unobserved[group.frames] = ~seen
        fit.rank[group.frames] = solver.rank
        if group.present is not None:
            fit.missing[group.frames] = (~group.present).sum()
        if self.options.ridge:
            gram = gram + self.options.ridge * self._unit * np.diag(seen)
            solver = BoxSolver(gram)
        return gram, seen, solver

    def measure(self, fit: Fit) -> None:
        """Fill in the residuals, from the meshes."""
        mass = self.shapes.roots**2
        basis = self.shapes.flat / np.repeat(self.shapes.roots, 3)
        basis = basis.astype(self.meshes.dtype)
        for places, part in self.meshes.chunks(self.shapes):
            if fit.alignment is not None:
                assert self.neutral is not None
                kept = slice(None) if self.shapes.kept is None else self.shapes.kept
                part = fit.alignment[places].move(part) - self.neutral[kept]
            weights = np.nan_to_num(fit.weights[places]).astype(basis.dtype)
            with np.errstate(invalid="ignore", over="ignore"):
                left = part - (weights @ basis).reshape(part.shape)
                squares = np.einsum("fva,fva->fv", left, left, dtype=np.float64)
                there = np.isfinite(squares)
                fit.rms[places] = np.sqrt(np.where(there, squares, 0) @ mass / (there @ mass))
        fit.rms[fit.failed] = np.nan


def _weights_of(solver: BoxSolver, seen: Bool[np.ndarray, " shapes"], right: _Rows) -> _Rows:
    return solver.solve(right * seen).weights


def _store_alignment(fit: Fit, frames: Int[np.ndarray, " some"], alignment: Alignment) -> None:
    assert fit.alignment is not None
    fit.alignment.rotations[frames] = alignment.rotations
    fit.alignment.translations[frames] = alignment.translations
