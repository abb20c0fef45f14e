"""Faces in motion, from weights alone: one number a clip for what should move and what does.

The W set of metrics: it needs no mesh, no audio and no model. `animation_mesh` has those in
millimetres, `animation_audio` those that need the speech, `style_control` those of prompts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.metrics.animation_expression import (
    many_answers,
    motion_errors,
    upper_errors,
)
from expclip.benchmarks.metrics.animation_lips import lip_errors, mouth_timing
from expclip.benchmarks.metrics.channels import LIPS, check_weights, places_of

__all__ = ["animation_metrics", "as_columns", "match_frames", "stochastic_metrics"]

Clip = Float[np.ndarray, "_ 52"]  # of any length

_LIPS = places_of(LIPS)


def animation_metrics(
    truths: Sequence[Clip], predictions: Sequence[Clip], fps: float
) -> dict[str, Float[np.ndarray, " clips"]]:
    """Return the W set of every clip.

    Those of `lip_errors`, `mouth_timing`, `upper_errors` and `motion_errors`, where each has
    its formula, its traps and what baselines score; and

    - `lip_unexplained`: lip_mse / V, V the mean over clips of the mean square of the truth's
      lips around their mean (every clip counting the same): the mean over clips is 1 - R² of
      the lips. The truth has 0, the mean lips of these clips 1 in the mean. A clip's own
      variance below the line would make a near-still clip the ruler of the mean. Where
      all truths are one and the same still mouth: 0 for no error, else 1.
    - `length_ratio`: frames predicted / frames of the truth, before `match_frames`: the
      coverage of all the others.

    Args:
        truths: of any lengths.
        predictions: clip by clip, from time 0, at the same frame rate (resample before).
        fps: of all clips.

    Raises:
        ValueError: a clip is not (frames, 52) and finite, or the numbers of clips differ.
    """
    pairs, ratios = _matched(truths, predictions, fps)
    rows = [
        {
            **lip_errors(truth, predicted, fps),
            **mouth_timing(truth, predicted, fps),
            **upper_errors(truth, predicted),
            **motion_errors(truth, predicted),
        }
        for truth, predicted in pairs
    ]
    columns = as_columns(rows)
    total = _lip_variance([truth for truth, _ in pairs])
    errors = columns["lip_mse"]
    columns["lip_unexplained"] = errors / total if total > 0 else (errors > 0).astype(np.float64)
    columns["length_ratio"] = np.array(ratios)
    return columns


def stochastic_metrics(
    truths: Sequence[Clip],
    samples: Sequence[Float[np.ndarray, "answers _ 52"]],
    fps: float,
    score: Callable[[Clip, Clip], Mapping[str, float]] | None = None,
) -> dict[str, Float[np.ndarray, " clips"]]:
    """Return what K answers a clip are worth: each alone, the best, and all together.

    For each metric of ``score``, all of which must be better when lower (`lip_rmse`,
    `lip_velocity_rmse` and `upper_rmse`, if not given):

    - `NAME`: the mean over answers. Main: what a user gets who asks once.
    - `NAME_best_of_K` (5, say, in the place of K): the best answer by this metric (coverage
      error in ProbTalk3D, best of 10). It needs the truth, and falls with K for mere noise.
    - `NAME_of_mean`: that of the mean of the answers (mean estimate error in ProbTalk3D).

    And the `energy_score` and `diversity` of `many_answers`. A model that always answers the
    same has the same in all three, and no diversity.

    Raises:
        ValueError: as `animation_metrics`, or clips have different numbers of answers.
    """
    counts = {len(answers) for answers in samples}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"clips have {sorted(counts)} answers, expected one number for all")
    count = counts.pop()
    rated = score or (lambda truth, answer: _few_errors(truth, answer, fps))
    answers = [
        [pair[1] for pair in _matched(truths, [clip[k] for clip in samples], fps)[0]]
        for k in range(count)
    ]
    rows: list[dict[str, float]] = []
    for place, clip in enumerate(truths):
        truth = check_weights("truth", clip)
        own = np.stack([answer[place] for answer in answers])
        each = as_columns([rated(truth, answer) for answer in own])
        middle = rated(truth, own.mean(axis=0))
        row = {}
        for name, values in each.items():
            row[name] = float(values.mean())
            row[f"{name}_best_of_{count}"] = float(values.min())
            row[f"{name}_of_mean"] = middle[name]
        rows.append(row | many_answers(truth, own))
    return as_columns(rows)


def match_frames(predicted: Clip, frames: int) -> Clip:
    """Return a clip of so many frames: more are cut off, and the last is held for fewer.

    Cutting both to the shorter, as is common, rewards who stops before the hard part.
    """
    held = max(0, frames - len(predicted))
    return np.concatenate([predicted[:frames], np.repeat(predicted[-1:], held, axis=0)])


def as_columns(rows: Iterable[Mapping[str, float]]) -> dict[str, Float[np.ndarray, " rows"]]:
    """Return one array a metric of one mapping a clip, all with the same metrics."""
    found = list(rows)
    return {name: np.array([row[name] for row in found], np.float64) for name in found[0]}


def _matched(
    truths: Sequence[Clip], predictions: Sequence[Clip], fps: float
) -> tuple[list[tuple[Clip, Clip]], list[float]]:
    """Return checked pairs of the truth's lengths, and what share of it was predicted."""
    if not truths or len(truths) != len(predictions):
        raise ValueError(f"{len(predictions)} predictions for {len(truths)} clips")
    if not 0 < fps < np.inf:
        raise ValueError(f"fps must be above 0, got {fps}")
    pairs: list[tuple[Clip, Clip]] = []
    ratios: list[float] = []
    for place, (truth, predicted) in enumerate(zip(truths, predictions, strict=True)):
        one = check_weights(f"truth of clip {place}", truth)
        other = check_weights(f"prediction of clip {place}", predicted)
        pairs.append((one, match_frames(other, len(one))))
        ratios.append(len(other) / len(one))
    return pairs, ratios


def _lip_variance(truths: Sequence[Clip]) -> float:
    """Return the mean square of lips around their mean, every clip counting the same."""
    lips = [truth[:, _LIPS] for truth in truths]
    centre = np.mean([clip.mean(axis=0) for clip in lips], axis=0)
    return float(np.mean([((clip - centre) ** 2).mean() for clip in lips]))


def _few_errors(truth: Clip, predicted: Clip, fps: float) -> dict[str, float]:
    lips = lip_errors(truth, predicted, fps)
    return {
        "lip_rmse": lips["lip_rmse"],
        "lip_velocity_rmse": lips["lip_velocity_rmse"],
        "upper_rmse": upper_errors(truth, predicted)["upper_rmse"],
    }
