"""The paper's solver, SciPy's SLSQP, frame by frame: slow, kept for comparison.

The paper names SLSQP and nothing else; the scaling is ours. In metres, with its own
tolerance, SLSQP stops where it starts and says success: the objective is below the
tolerance everywhere. Here shapes have unit length, and the objective is divided by what it
can fall, so that a tolerance means the same for every mesh and frame.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from expclip.mead3d.solver import BoxSolution, BoxSolver

__all__ = ["solve_slsqp"]

_FTOL = 1e-18  # of what the objective can fall
_STEPS = 1000


def solve_slsqp(
    gram: Float[np.ndarray, "shapes shapes"], projections: Float[np.ndarray, "frames shapes"]
) -> BoxSolution:
    """Return the weights of every frame, given G = BᵀB and c = Bᵀd; ``kkt`` says how well.

    Raises:
        ValueError: as ``solve_gram``.
    """
    solver = BoxSolver(gram)
    scaled = solver.scaled
    targets = scaled.targets(projections)
    v = np.empty_like(targets)
    for frame, target in enumerate(targets):
        v[frame] = _solve_frame(scaled.hessian, scaled.upper, target)
    weights = np.zeros(projections.shape)
    weights[:, ~scaled.dead] = np.minimum(v / scaled.upper, 1.0)
    kkt = scaled.distance(targets, v)
    weights[np.isnan(kkt)] = np.nan
    return BoxSolution(weights, kkt, solver.rank, scaled.dead)


def _solve_frame(
    hessian: Float[np.ndarray, "shapes shapes"],
    upper: Float[np.ndarray, " shapes"],
    target: Float[np.ndarray, " shapes"],
) -> Float[np.ndarray, " shapes"]:
    """Return the optimum of one frame in unit shapes, NaN if its target is not finite."""
    if not np.isfinite(target).all():
        return np.full(len(target), np.nan)
    fall = float(target @ target) or 1.0

    def objective(v: Float[np.ndarray, " shapes"]) -> tuple[float, Float[np.ndarray, " shapes"]]:
        product = hessian @ v
        return float(v @ (product / 2 - target)) / fall, (product - target) / fall

    found = minimize(
        objective,
        np.zeros(len(target)),
        jac=True,
        bounds=[(0.0, float(end)) for end in upper],
        method="SLSQP",
        options={"ftol": _FTOL, "maxiter": _STEPS},
    )
    return np.clip(found.x, 0, upper)
