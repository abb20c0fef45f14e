"""Which emotion a face shows: the one whose prototypical face is nearest.

A fixed rule over the package's own table of prototypes. It learns nothing, and no part of a
tested model is in it: a model cannot be right by its own encoder's opinion.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from expclip.face.mapping import blendshapes_from_aus
from expclip.tead.emotions import prototypes

__all__ = ["nearest_hits", "prototype_faces"]

_TIED = 1e-6


def prototype_faces(emotions: Iterable[str]) -> Float[np.ndarray, "emotions 52"]:
    """Return the prototypical faces of emotions of `expclip.tead.emotions`, at full strength."""
    units = [[f"AU{code}" for code in prototypes()[name].units] for name in emotions]
    return np.array([blendshapes_from_aus(each) for each in units], np.float64)


def nearest_hits(
    faces: Float[np.ndarray, "n channels"],
    candidates: Float[np.ndarray, "emotions channels"],
    right: Bool[np.ndarray, "n emotions"],
    *,
    by_direction: bool,
) -> Float[np.ndarray, " n"]:
    """Return how often the nearest prototype of each face is a right one: 0, 1, or between.

    Prototypes equally near (to 1e-6) share the answer: two alike, one of them right, is 1/2.

    Args:
        faces: of which the emotion is asked.
        candidates: prototypes of the emotions, in the same channels.
        right: which emotions are right for each face.
        by_direction: nearest by cosine, whatever the strength; a still face has no direction,
            and all prototypes share it. Otherwise by Euclidean distance, where a still
            prototype, neutral, has its place.
    """
    rows, shapes = np.asarray(faces, np.float64), np.asarray(candidates, np.float64)
    products = rows @ shapes.T
    lengths = np.linalg.norm(rows, axis=1)[:, None], np.linalg.norm(shapes, axis=1)
    if by_direction:
        scores = products / np.maximum(lengths[0] * lengths[1], 1e-9)
    else:
        away = lengths[0] ** 2 - 2 * products + lengths[1] ** 2
        scores = -np.sqrt(np.maximum(away, 0))
    best = scores >= scores.max(axis=1, keepdims=True) - _TIED
    return np.asarray((best & right).sum(axis=1) / best.sum(axis=1))
