"""Anchors: a place in the shared space for each emotion, with its most typical face.

Ours; the paper has none. Rows of one emotion show many faces, so the face that is nearest
to all of them is their mean: weak, and nobody's. An anchor stands for a face that a row
really has. A prompt is drawn to the anchors near it before it is decoded
(`ExpClipNetwork.sharpen`), and is then a clear face.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from expclip.face import BLENDSHAPES
from expclip.models.expclip.data import Pairs

__all__ = ["NO_ANCHORS", "Anchors", "find_anchors"]

_WEAK = 0.05
"""Length of a face that is as good as neutral."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """The emotions that have one, the typical face of each, and its share of all draws."""

    emotions: tuple[str, ...]
    faces: Float[np.ndarray, "anchors 52"]
    shares: Float[np.ndarray, " anchors"]

    def mark(self, pairs: Pairs, strings: Sequence[str]) -> Pairs:
        """Return the pairs with the anchor of each row's first tag, -1 where it has none."""
        places = {emotion: place for place, emotion in enumerate(self.emotions)}
        marks = [places.get(tag, -1) for tag in _first_tags(pairs, strings)]
        return replace(pairs, anchors=np.array(marks, np.int64))


NO_ANCHORS = Anchors((), np.zeros((0, len(BLENDSHAPES)), np.float32), np.zeros(0, np.float32))


def find_anchors(
    pairs: Pairs, strings: Sequence[str], least: int, natural: float | None = None
) -> Anchors:
    """Return an anchor for each first tag that natural rows have often enough.

    Its face is the row's, among all with this first tag, whose direction is nearest to the
    mean of their directions; neutral, if half of them are.

    Args:
        pairs: to learn from.
        strings: the table that their prompts point to.
        least: rows; all rows count where no text is natural.
        natural: share of the draws that are natural rows; None: as they come.
    """
    tags = np.array(_first_tags(pairs, strings))
    counted = tags[pairs.natural] if pairs.natural.any() else tags
    emotions = tuple(
        sorted(tag for tag, count in Counter(counted.tolist()).items() if count >= least)
    )
    faces = [_typical(pairs.faces[tags == emotion]) for emotion in emotions]
    drawn = _chances(pairs, natural)
    shares = [drawn[tags == emotion].sum() for emotion in emotions]
    table = np.array(faces, np.float32).reshape(-1, len(BLENDSHAPES))
    return Anchors(emotions, table, np.array(shares, np.float32))


def _chances(pairs: Pairs, natural: float | None) -> Float[np.ndarray, " rows"]:
    """Return how often each row is drawn."""
    counts = pairs.natural.sum(), (~pairs.natural).sum()
    if natural is None or not all(counts):
        return np.full(len(pairs), 1 / len(pairs))
    return np.asarray(np.where(pairs.natural, natural / counts[0], (1 - natural) / counts[1]))


def _typical(faces: Float[np.ndarray, "rows 52"]) -> Float[np.ndarray, " 52"]:
    lengths = np.linalg.norm(faces, axis=1)
    if np.median(lengths) < _WEAK:
        return np.zeros(faces.shape[1], np.float32)
    units = faces / np.maximum(lengths, 1e-9)[:, None]
    return np.asarray(faces[np.argmax(units @ units.mean(axis=0))])


def _first_tags(pairs: Pairs, strings: Sequence[str]) -> list[str]:
    """Return the first of each row's tags."""
    return [strings[item].split(",")[0] for item in pairs.prompts["tags"].items[:, 0]]
