"""How far a prompt governs the face of speech, and leaves the lips alone: one number a case.

A case is one clip of speech under one prompt. It needs no recorded truth for the prompt: the
prompt's own face is the aim. Beside the paper's ablation of expression prompt augmentation
(EPA) and the style loss, of which only pictures were published.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from expclip.benchmarks.metrics.animation import as_columns, match_frames
from expclip.benchmarks.metrics.channels import LIPS, STILL, UPPER, check_weights, places_of
from expclip.benchmarks.metrics.emotions import nearest_hits

__all__ = ["STRENGTHS", "StyleCase", "emotion_hits", "style_metrics"]

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the prompt, in a case."""

_LIPS, _UPPER = places_of(LIPS), places_of(UPPER)


@dataclass(frozen=True, slots=True, eq=False)
class StyleCase:
    """One clip of speech, animated under one prompt.

    Attributes:
        face: that the prompt asks for; its upper face must show something.
        neutral: animated with the neutral prompt.
        original: whose lips are to be kept: recorded, or else `neutral` again.
        prompted: animated with the prompt, once for each strength.
        strengths: ascending; the last is the one that all but the slope are taken from.
    """

    face: Float[np.ndarray, " 52"]
    neutral: Float[np.ndarray, "_ 52"]
    original: Float[np.ndarray, "_ 52"]
    prompted: Sequence[Float[np.ndarray, "_ 52"]]
    strengths: tuple[float, ...] = STRENGTHS

    def __post_init__(self) -> None:
        if len(self.prompted) != len(self.strengths) or not self.prompted:
            found = f"{len(self.prompted)} animations for {len(self.strengths)} strengths"
            raise ValueError(found)
        if list(self.strengths) != sorted(set(self.strengths)):
            raise ValueError(f"strengths must ascend, got {self.strengths}")
        if np.linalg.norm(check_weights("face", self.face[None])[0, _UPPER]) < STILL:
            raise ValueError("the prompt's face shows nothing above the mouth: nothing to reach")


def style_metrics(cases: Sequence[StyleCase]) -> dict[str, Float[np.ndarray, " cases"]]:
    """Return what the prompt does in each case.

    u is the mean over time of the upper weights under the prompt, n of those under the
    neutral prompt, e those of the prompt's face.

    - `style_error`: ||u - e||² / ||e||². Main. A face of zeros has 1.
    - `style_cosine`: cosine of u - n and e; 0 where the prompt changes nothing (no change
      has no direction). Without n, a model that always frowns a little is right for anger.
    - `expressiveness`: ||u|| / ||e||: 1 is as strong as asked; far below is the "minimal
      expression" that the paper sees without EPA; above, overdone, or another expression:
      it knows no direction, so read it beside the cosine.
    - `expressiveness_error`: |ln|| of it, kept to ln 1000 at most: 0 is right. Rank by this.
    - `control_slope`: Spearman's correlation of strength and u·e, equal ranks averaged;
      0 where the face is the same at all strengths, or there is but one.
    - `lip_preservation`: mean over frames of ||l' - o'||², l' and o' the changes of the lip
      weights from frame to frame, prompted and original: the paper's eq. 7 as a metric,
      squared. A smile that is held costs nothing. One frame has no change: 0.

    The prompt's face held still has error 0, cosine 1 (over a neutral of zeros) and
    expressiveness 1, and pays in lips. A model deaf to prompts has cosine and slope 0.

    Raises:
        ValueError: a clip is not (frames, 52) and finite.
    """
    return as_columns([_case(case) for case in cases])


def emotion_hits(
    cases: Sequence[StyleCase],
    faces: Float[np.ndarray, "prompts 52"],
    asked: Int[np.ndarray, " cases"],
) -> Float[np.ndarray, " cases"]:
    """Return how often each case is taken for the prompt that it was made with.

    The emotion is read from u - n (see `style_metrics`) by a fixed rule: that of the nearest
    face above the mouth, by cosine, for lips are busy speaking (`nearest_hits`). Prompts of
    one upper face share the hit, and a change of less than a thousandth is taken for all
    prompts alike: a model deaf to prompts is at chance, 1 / prompts.

    Args:
        cases: of speech under prompts.
        faces: of all prompts that the rule chooses from, those of the cases among them.
        asked: the place in ``faces`` of each case's own.

    Raises:
        ValueError: a clip is not (frames, 52) and finite, or there is no such place.
    """
    upper = check_weights("faces", faces)[:, _UPPER]
    if len(asked) != len(cases) or not ((0 <= asked) & (asked < len(upper))).all():
        raise ValueError(f"asked must be a place in {len(upper)} faces for each case, got {asked}")
    changes = np.stack(
        [_upper("prompted", case.prompted[-1]) - _upper("neutral", case.neutral) for case in cases]
    )
    changes[np.linalg.norm(changes, axis=1) < STILL] = 0
    right = np.arange(len(upper)) == asked[:, None]
    return nearest_hits(changes, upper, right, by_direction=True)


def _upper(name: str, clip: Float[np.ndarray, "frames 52"]) -> Float[np.ndarray, " channels"]:
    """Return the mean over time of the weights above the mouth."""
    return np.asarray(check_weights(name, clip)[:, _UPPER].mean(axis=0))


def _case(case: StyleCase) -> dict[str, float]:
    aim = check_weights("face", case.face[None])[0, _UPPER]
    uppers = [_upper("prompted", clip) for clip in case.prompted]
    upper, size = uppers[-1], float(np.linalg.norm(aim))
    change = upper - _upper("neutral", case.neutral)
    changed = float(np.linalg.norm(change))
    shown = float(np.linalg.norm(upper)) / size
    original = check_weights("original", case.original)
    spoken = match_frames(check_weights("prompted", case.prompted[-1]), len(original))
    lips = spoken[:, _LIPS] - original[:, _LIPS]
    steps = (np.diff(lips, axis=0) ** 2).sum(axis=1)
    return {
        "style_error": float(((upper - aim) ** 2).sum()) / size**2,
        "style_cosine": float(change @ aim) / (changed * size) if changed >= STILL else 0.0,
        "expressiveness": shown,
        "expressiveness_error": min(abs(float(np.log(max(shown, 1e-9)))), float(np.log(1000))),
        "control_slope": _slope(case.strengths, [float(each @ aim) / size for each in uppers]),
        "lip_preservation": float(steps.mean()) if len(steps) else 0.0,
    }


def _slope(strengths: Sequence[float], shown: Sequence[float]) -> float:
    """Return Spearman's correlation; 0 where nothing changes."""
    if np.ptp(shown) < STILL or len(shown) < 2:
        return 0.0
    from scipy.stats import spearmanr

    return float(spearmanr(strengths, shown).statistic)
