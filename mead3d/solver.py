"""Least squares between bounds, for many frames that share one Gram matrix.

    minimise  |B w - d|² / 2   over   0 <= w <= 1,   given  G = BᵀB  and  c = Bᵀd

The shapes (columns of B) are scaled to unit length, so neither the unit of the mesh nor
the size of a shape matters. Then, for all frames at once:

1. a few steps of ADMM in float32 guess which weights rest on a bound;
2. the others follow exactly, in float64, from one small linear system per frame: in the
   free weights, or in the forces on the bounds, whichever are fewer;
3. weights that leave 0..1, and bounds that pull, change sides, until a frame has none.

A frame that keeps changing sides is finished alone, by a method that cannot cycle.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["BoxSolution", "BoxSolver", "kkt_residual", "solve_gram"]

_Matrix = Float[np.ndarray, "shapes shapes"]
_Rows = Float[np.ndarray, "frames shapes"]

_DEAD = 1e-28  # of the longest shape's squared length
_SHARED = 1e-9  # directions weaker than this, of unit shapes, are not told apart
_STABILISER = 1e-10  # added to unit shapes where some cannot be told apart
_INVERTIBLE = 1e-6  # weakest direction for which the inverse is exact enough
_GUESS_STEPS, _STEP, _RELAXATION = 20, 0.08, 1.7  # of ADMM; found by measuring
_ROUNDS = 12  # of changing sides, before a frame is finished alone
_TOLERANCE = 1e-12  # of the longest shape
_BATCH = 4096  # frames at once: they stay in the cache


@dataclass(frozen=True, slots=True)
class BoxSolution:
    """Weights between 0 and 1, and how well they are determined."""

    weights: _Rows
    """NaN in frames whose projections are not finite."""
    kkt: Float[np.ndarray, " frames"]
    """By ``kkt_residual``: 0 at the optimum."""
    rank: int
    """Directions that the Gram matrix determines; with fewer than live shapes, similar
    shapes share what they explain together."""
    dead: Bool[np.ndarray, " shapes"]
    """Shapes that move nothing: their weights are 0."""


def solve_gram(gram: _Matrix, projections: _Rows) -> BoxSolution:
    """Return the exact weights of every frame, given G = BᵀB and c = Bᵀd.

    A ridge is a number added to the diagonal of the Gram matrix.

    Raises:
        ValueError: the Gram matrix is not finite, symmetric and positive semi-definite,
            or the shapes of the two do not fit.
    """
    return BoxSolver(gram).solve(projections)


def kkt_residual(gram: _Matrix, projections: _Rows, weights: _Rows) -> Float[np.ndarray, " frames"]:
    """Return how far each frame is from its optimum: 0 there, and only there.

    With shape lengths s = sqrt(diag G) and the gradient g = G w - c, it is the largest
    over the shapes of |s w - clip(s w - g / s, 0, s)|, divided by the longest s. In words:
    the farthest that any one weight, moved alone, would still move the mesh (a distance
    over all vertices), as a part of what the longest shape moves at weight 1. It has no
    unit, and does not depend on that of the mesh.
    """
    return _Scaled.of(gram).kkt(projections, weights)


@dataclass(frozen=True, slots=True)
class _Scaled:
    """A problem in unit shapes: v = scale * w, between 0 and ``upper``."""

    hessian: _Matrix  # of the live shapes, with a unit diagonal
    upper: Float[np.ndarray, " shapes"]  # lengths of the live shapes; the longest is 1
    longest: float
    dead: Bool[np.ndarray, " all"]

    @classmethod
    def of(cls, gram: _Matrix) -> "_Scaled":
        """Scale a Gram matrix, and leave out the dead shapes."""
        gram = np.asarray(gram, np.float64)
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or not len(gram):
            raise ValueError(f"a Gram matrix is square, got {gram.shape}")
        if not np.isfinite(gram).all():
            raise ValueError("the Gram matrix has NaN or infinite entries")
        squares = np.diagonal(gram)
        if np.abs(gram - gram.T).max() > 1e-6 * np.abs(squares).max() or squares.min() < 0:
            raise ValueError("the Gram matrix is not symmetric and positive semi-definite")
        dead = squares <= _DEAD * squares.max()
        lengths = np.sqrt(squares[~dead])
        if not len(lengths):
            return cls(np.empty((0, 0)), lengths, 1.0, dead)
        hessian = gram[np.ix_(~dead, ~dead)] / lengths[:, None] / lengths
        hessian = (hessian + hessian.T) / 2
        np.fill_diagonal(hessian, 1.0)
        return cls(hessian, lengths / lengths.max(), float(lengths.max()), dead)

    def targets(self, projections: _Rows) -> Float[np.ndarray, "frames live"]:
        """Return c in unit shapes, in parts of the longest."""
        live: Float[np.ndarray, "frames live"] = np.asarray(projections, np.float64)[:, ~self.dead]
        return live / (self.upper * self.longest) / self.longest

    def kkt(self, projections: _Rows, weights: _Rows) -> Float[np.ndarray, " frames"]:
        """Measure weights of all shapes against the optimum."""
        return self.distance(self.targets(projections), weights[:, ~self.dead] * self.upper)

    def distance(self, targets: _Rows, v: _Rows) -> Float[np.ndarray, " frames"]:
        """Measure v against the optimum."""
        moved = np.clip(v - (v @ self.hessian - targets), 0, self.upper)
        found: Float[np.ndarray, " frames"] = np.abs(v - moved).max(axis=1, initial=0)
        return found


class BoxSolver:
    """One Gram matrix, prepared to solve for many frames."""

    def __init__(self, gram: _Matrix) -> None:
        self.scaled = _Scaled.of(gram)
        hessian, live = self.scaled.hessian, len(self.scaled.upper)
        strengths = np.linalg.eigvalsh(hessian) if live else np.ones(1)
        if strengths[0] < -1e-6:
            raise ValueError("the Gram matrix is not positive semi-definite")
        self.rank = int((strengths > _SHARED).sum()) if live else 0
        lift = _STABILISER - min(strengths[0], 0.0) if strengths[0] < _SHARED else 0.0
        eye = np.eye(live)
        self._hessian = hessian + lift * eye
        self._inverse = np.linalg.inv(hessian) if strengths[0] > _INVERTIBLE else None
        upper = self.scaled.upper
        towards = np.linalg.inv(self._hessian + _STEP * eye) / upper  # in weights, 0 to 1
        self._pull = towards.astype(np.float32)
        self._step = (_STEP * upper[:, None] * towards).astype(np.float32)

    def solve(self, projections: _Rows) -> BoxSolution:
        """Return the exact weights of every frame, given c = Bᵀd."""
        shapes = len(self.scaled.dead)
        if projections.ndim != 2 or projections.shape[1] != shapes:
            raise ValueError(f"projections must be (frames, {shapes}), got {projections.shape}")
        weights = np.zeros(projections.shape)
        kkt = np.full(len(projections), np.nan)
        live = ~self.scaled.dead
        batches = -(-len(projections) // _BATCH)
        edges = np.linspace(0, len(projections), batches + 1).astype(int)
        for rows in map(slice, edges, edges[1:]):
            targets = self.scaled.targets(projections[rows])
            finite = np.isfinite(targets).all(axis=1)
            v = np.full_like(targets, np.nan)
            v[finite] = self._solve(targets[finite])
            kkt[rows][finite] = self.scaled.distance(targets[finite], v[finite])
            weights[rows, live] = np.minimum(v / self.scaled.upper, 1.0)
        weights[np.isnan(kkt)] = np.nan
        return BoxSolution(weights, kkt, self.rank, self.scaled.dead)

    def _solve(self, targets: _Rows) -> _Rows:
        """Return v for the frames of one batch."""
        upper = self.scaled.upper
        sides = self._guess(targets)
        result = np.empty_like(targets)
        pending = np.arange(len(targets))
        for _ in range(_ROUNDS):
            if not len(pending):
                break
            v, gradient = self._given_sides(targets[pending], sides)
            changed = _change_sides(sides, v, gradient, upper)
            result[pending] = np.clip(v, 0, upper)
            unsettled = (changed != sides).any(axis=1)
            pending, sides = pending[unsettled], changed[unsettled]
        for frame in pending:
            result[frame] = _finish_alone(self._hessian, upper, targets[frame], result[frame])
        return result

    def _guess(self, targets: _Rows) -> Int[np.ndarray, "frames shapes"]:
        """Return -1 for weights likely at 0, 1 for those likely at 1, 0 for the others."""
        pull = np.clip(targets, -1e4, 1e4).astype(np.float32) @ self._pull
        free, inside, moved = pull.copy(), np.empty_like(pull), np.empty_like(pull)
        for _ in range(_GUESS_STEPS):
            np.clip(free, 0, 1, out=inside)
            np.subtract(np.multiply(inside, 2, out=moved), free, out=moved)
            step = moved @ self._step
            step += pull
            step -= inside
            step *= _RELAXATION
            free += step
        sides: Int[np.ndarray, "frames shapes"] = (free >= 1).astype(np.int8) - (free <= 0)
        return sides

    def _given_sides(
        self, targets: _Rows, sides: Int[np.ndarray, "frames shapes"]
    ) -> tuple[_Rows, _Rows]:
        """Return the optimum where the bound weights stay put, and the gradient there."""
        bound = sides != 0
        v = (sides > 0) * self.scaled.upper
        few_bound = np.zeros(len(v), bool)
        if self._inverse is not None:
            few_bound = 2 * bound.sum(axis=1) < bound.shape[1]
            rows = np.flatnonzero(few_bound)
            alone = targets[rows] @ self._inverse
            forces = np.zeros_like(alone)
            _solve_parts(self._inverse, bound[rows], v[rows] - alone, forces)
            v[rows] = np.where(bound[rows], v[rows], alone + forces @ self._inverse)
        rows = np.flatnonzero(~few_bound)
        part = v[rows]
        _solve_parts(self._hessian, ~bound[rows], targets[rows] - part @ self._hessian, part)
        v[rows] = part
        return v, v @ self._hessian - targets


def _solve_parts(
    matrix: _Matrix, chosen: Bool[np.ndarray, "frames shapes"], right: _Rows, out: _Rows
) -> None:
    """Solve matrix[S, S] x = right[S] for the chosen set S of every frame, into ``out``."""
    for rows, columns in _by_size(chosen):
        systems = matrix[columns[:, :, None], columns[:, None, :]]
        places = rows[:, None], columns
        out[places] = np.linalg.solve(systems, right[places][:, :, None])[:, :, 0]


def _by_size(
    chosen: Bool[np.ndarray, "frames shapes"],
) -> Iterator[tuple[Int[np.ndarray, " some"], Int[np.ndarray, "some size"]]]:
    """Yield the frames whose sets have equally many members, with the members."""
    sizes = chosen.sum(axis=1)
    for size in np.unique(sizes[sizes > 0]):
        rows = np.flatnonzero(sizes == size)
        yield rows, np.nonzero(chosen[rows])[1].reshape(-1, size)


def _change_sides(
    sides: Int[np.ndarray, "frames shapes"],
    v: _Rows,
    gradient: _Rows,
    upper: Float[np.ndarray, " shapes"],
) -> Int[np.ndarray, "frames shapes"]:
    """Bind the free weights that left the bounds, free the bound ones that are pulled off."""
    free = sides == 0
    changed = sides.copy()
    changed[free & (v < -_TOLERANCE)] = -1
    changed[free & (v > upper + _TOLERANCE)] = 1
    changed[(sides * gradient > _TOLERANCE) & ~free] = 0
    return changed


def _finish_alone(
    hessian: _Matrix,
    upper: Float[np.ndarray, " shapes"],
    target: Float[np.ndarray, " shapes"],
    start: Float[np.ndarray, " shapes"],
) -> Float[np.ndarray, " shapes"]:
    """Return the optimum of one frame by a primal active-set walk: every step goes down.

    It starts inside the bounds, moves to the optimum of the free weights or to the first
    bound on the way, and frees the bound weight that is pulled off hardest.
    """
    v = start.copy()
    free = (v > 0) & (v < upper)
    for _ in range(100 * len(v)):
        aim = np.zeros_like(v)
        right = target[free] - hessian[np.ix_(free, ~free)] @ v[~free]
        aim[free] = np.linalg.solve(hessian[np.ix_(free, free)], right)
        beyond = np.flatnonzero(free & ((aim < 0) | (aim > upper)))
        if len(beyond):
            walls = np.where(aim[beyond] < 0, 0.0, upper[beyond])
            parts = (walls - v[beyond]) / (aim[beyond] - v[beyond])
            first = int(np.argmin(parts))
            v[free] += parts[first] * (aim[free] - v[free])
            v[beyond[first]] = walls[first]
            free[beyond[first]] = False
            continue
        v[free] = aim[free]
        pull = np.where(v > 0, 1.0, -1.0) * (hessian @ v - target) * ~free
        if pull.max() <= _TOLERANCE:
            break
        free[int(np.argmax(pull))] = True
    return v.clip(0, upper)
