"""Fitting a sequence as one: weights between 0 and 1 that change little between frames.

    minimise  Σ |B w[f] - d[f]|² + smooth Σ |w[f+1] - w[f]|²   over   0 <= w <= 1

solved exactly by a projected Newton method: each step is one banded Cholesky system over
all the weights of the sequence that are free, and never goes up.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded

__all__ = ["solve_chain"]

_DEAD = 1e-28
_STABILISER = 1e-10
_TOLERANCE = 1e-12
_STEPS = 200
_MAX_BYTES = 1 << 30

_Rows = Float[np.ndarray, "frames shapes"]


def solve_chain(
    grams: Float[np.ndarray, "blocks shapes shapes"], projections: _Rows, smooth: float
) -> tuple[_Rows, Float[np.ndarray, " frames"]]:
    """Return the weights of one sequence, and their KKT residuals per frame.

    Args:
        grams: BᵀB of every frame, or one (1, ...) for all. A zero matrix (and
            projection) stands for a lost frame: the sequence is bridged there.
        projections: Bᵀd of every frame.
        smooth: what a change costs, in units of the Gram matrix.

    Raises:
        ValueError: the sequence is too long for its banded matrix (1 GiB).
    """
    frames, shapes = projections.shape
    if 8 * (shapes + 1) * frames * shapes > _MAX_BYTES:
        longest = _MAX_BYTES // (8 * (shapes + 1) * shapes)
        raise ValueError(
            f"{frames} frames in one smooth sequence, at most {longest}: fit clip by clip"
        )
    squares = np.diagonal(grams, axis1=1, axis2=2).max(axis=0)
    live = squares > _DEAD * squares.max()
    weights = np.zeros_like(projections)
    if not live.any():
        return weights, np.zeros(frames)
    lengths = np.sqrt(squares[live] + 2 * smooth)
    scaled = grams[:, live][:, :, live] / lengths[:, None] / lengths
    chain = _Chain(scaled, projections[:, live] / lengths, smooth / lengths**2, lengths)
    v = chain.solve()
    weights[:, live] = np.minimum(v / lengths, 1.0)
    return weights, chain.distance(v, chain.gradient(v)).max(axis=1) / lengths.max()


class _Chain:
    """A sequence in unit shapes: v = lengths * w."""

    def __init__(
        self,
        hessians: Float[np.ndarray, "blocks shapes shapes"],
        targets: _Rows,
        coupling: Float[np.ndarray, " shapes"],
        upper: Float[np.ndarray, " shapes"],
    ) -> None:
        self.hessians, self.targets = hessians, targets
        self.coupling, self.upper = coupling, upper
        self.tolerance = _TOLERANCE * upper.max()
        self.neighbours = np.full(len(targets), 2.0)
        self.neighbours[0] -= 1
        self.neighbours[-1] -= 1

    def times(self, v: _Rows) -> _Rows:
        """Return the Hessian of the whole sequence times v."""
        product: _Rows
        if len(self.hessians) == 1:
            product = v @ self.hessians[0]
        else:
            product = (self.hessians @ v[:, :, None])[:, :, 0]
        product += self.coupling * self.neighbours[:, None] * v
        product[1:] -= self.coupling * v[:-1]
        product[:-1] -= self.coupling * v[1:]
        return product

    def gradient(self, v: _Rows) -> _Rows:
        """Return the gradient at v."""
        gradient: _Rows = self.times(v) - self.targets
        return gradient

    def distance(self, v: _Rows, gradient: _Rows) -> _Rows:
        """Return how far each weight, moved alone, would still go."""
        distance: _Rows = np.abs(v - np.clip(v - gradient, 0, self.upper))
        return distance

    def solve(self) -> _Rows:
        """Return the optimum."""
        v = np.zeros_like(self.targets)
        gradient = self.gradient(v)
        for _ in range(_STEPS):
            if self.distance(v, gradient).max() <= self.tolerance:
                break
            bound = ((v <= 0) & (gradient > 0)) | ((v >= self.upper) & (gradient < 0))
            step = self._newton(~bound, gradient)
            v, gradient, moved = self._descend(v, gradient, step)
            if not moved:
                break
        return v

    def _newton(self, free: Bool[np.ndarray, "frames shapes"], gradient: _Rows) -> _Rows:
        """Return the step to the optimum of the free weights; the others stay."""
        frames, shapes = free.shape
        banded = np.zeros((frames, shapes, shapes + 1))  # the matrix's diagonals, side by side
        for shape in range(shapes):
            rows = np.where(free[:, shape, None], self.hessians[:, shape, shape:], 0.0)
            np.multiply(rows, free[:, shape:], out=banded[:, shape, : shapes - shape])
        diagonal = self.coupling * self.neighbours[:, None] + _STABILISER
        banded[:, :, 0] = np.where(free, banded[:, :, 0] + diagonal, 1.0)
        banded[:-1, :, shapes] = -self.coupling * (free[:-1] & free[1:])
        solved = solveh_banded(
            banded.reshape(-1, shapes + 1).T,
            np.where(free, -gradient, 0.0).reshape(-1),
            overwrite_ab=True,
            lower=True,
            check_finite=False,
        )
        step: _Rows = solved.reshape(frames, shapes)
        return step

    def _descend(self, v: _Rows, gradient: _Rows, step: _Rows) -> tuple[_Rows, _Rows, bool]:
        """Go along the step, bent at the bounds, as far as it leads down."""
        before = self.distance(v, gradient).max()
        part = 1.0
        while part > 1e-12:
            new = np.clip(v + part * step, 0, self.upper)
            change = new - v
            slope = float(np.vdot(gradient, change))
            new_gradient = gradient + self.times(change)
            rise = slope + float(np.vdot(change, new_gradient - gradient)) / 2
            if rise <= 1e-4 * slope < 0 or self.distance(new, new_gradient).max() < before / 4:
                return new, new_gradient, True
            part /= 2
        return v, gradient, False
