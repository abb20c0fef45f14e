"""The rest of a face in motion, from weights alone; and models that answer many times."""

from itertools import combinations

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.metrics.channels import UPPER, places_of

__all__ = ["many_answers", "motion_errors", "upper_errors"]

_UPPER = places_of(UPPER)
_SMALLEST_JERK = 1e-4  # a third difference, in weights: below it there is rounding

Clip = Float[np.ndarray, "frames 52"]


def upper_errors(truth: Clip, predicted: Clip) -> dict[str, float]:
    """Return the errors of the upper face (5 brow, 14 eye, 3 cheek, 2 nose channels).

    - `upper_rmse`: root mean square over frames and channels, in weights. Blinks, which no
      speech foretells, are in it: the mean face is hard to beat.
    - `fdd_sum_first`: |F(truth) - F(predicted)|, F the deviation over time of the sum over
      channels of w² (FaceDiffuser's upper-face dynamics deviation on blendshapes).
    - `fdd_sum_last`: the same, F the mean over channels of the deviation over time of w²
      (CodeTalker's order, on vertices).

    Two numbers, for papers call both FDD. Both are absolute: the signed difference that
    CodeTalker prints cancels from clip to clip (+1, -1, +.8, -.8 make 0). One published mask
    for them held no brow. Deviations are of the population (NumPy's std). They tell how
    much moves, not what or when: a clip played backwards scores 0.

    The truth has 0; a still face has F(truth), and so have the mean face and all constants.
    """
    one, other = truth[:, _UPPER], predicted[:, _UPPER]
    dynamics = [
        (float((face**2).sum(axis=1).std()), float((face**2).std(axis=0).mean()))
        for face in (one, other)
    ]
    return {
        "upper_rmse": float(np.sqrt(((other - one) ** 2).mean())),
        "fdd_sum_first": abs(dynamics[0][0] - dynamics[1][0]),
        "fdd_sum_last": abs(dynamics[0][1] - dynamics[1][1]),
    }


def motion_errors(truth: Clip, predicted: Clip) -> dict[str, float]:
    """Return how smooth a clip is beside the truth, over all 52.

    - `jerk_log_ratio`: ln((J(predicted) + 1e-4) / (J(truth) + 1e-4)), J the mean over frames
      of the length of the third difference (that of Express4D's jitter; the frame rate's
      third power cancels). Above 0 is trembling, below 0 too smooth: constants have
      ln(1e-4 / (J + 1e-4)), finite for the sake of 1e-4. Fewer than four frames have no
      jerk: 0 in both.
    - `jerk_log_ratio_abs`: its size. Rank by this: less jerk than life is no gain, and a
      jitter alone has a still face as its winner.

    The truth has 0.
    """
    jerks = [
        float(np.linalg.norm(np.diff(face, n=3, axis=0), axis=1).mean()) if len(face) > 3 else 0.0
        for face in (truth, predicted)
    ]
    ratio = float(np.log((jerks[1] + _SMALLEST_JERK) / (jerks[0] + _SMALLEST_JERK)))
    return {"jerk_log_ratio": ratio, "jerk_log_ratio_abs": abs(ratio)}


def many_answers(truth: Clip, samples: Float[np.ndarray, "answers frames 52"]) -> dict[str, float]:
    """Return what K answers of one model to one clip are worth together.

    - `energy_score`: mean_i ||x_i - y|| - 1/2 mean_ij ||x_i - x_j|| (i = j among them), proper:
      the least in expectation for the distribution that the truth comes from. The length
      is a root mean square, in weights. K = 1 has the error of its answer; more answers
      of the same model score better, so K is the task's.
    - `diversity`: mean ||x_i - x_j|| over all pairs, not over random ones by a global
      generator; 0 for one answer. Noise has much of it: it is told, never ranked.

    K answers that are all the truth have 0 in both; a constant has its error and 0.
    """
    distances = np.sqrt(((samples - truth) ** 2).mean(axis=(1, 2)))
    pairs = [
        float(np.sqrt(((samples[i] - samples[j]) ** 2).mean()))
        for i, j in combinations(range(len(samples)), 2)
    ]
    return {
        "energy_score": float(distances.mean()) - sum(pairs) / len(samples) ** 2,
        "diversity": float(np.mean(pairs)) if pairs else 0.0,
    }
