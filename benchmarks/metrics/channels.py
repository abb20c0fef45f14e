"""The channels of a face by region, and the checks that all metrics of weights share."""

from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Int, Num

from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES

__all__ = [
    "LIPS",
    "REGIONS",
    "STILL",
    "UPPER",
    "check_weights",
    "dice",
    "mouth_opening",
    "places_of",
]


def _starting(*beginnings: str) -> tuple[str, ...]:
    return tuple(name for name in BLENDSHAPES if name.startswith(beginnings))


LIPS = _starting("jaw", "mouth")
"""4 of the jaw and 23 of the mouth."""

UPPER = _starting("brow", "eye", "cheek", "nose")
"""5 of the brows, 14 of the eyes, 3 of the cheeks and 2 of the nose."""

REGIONS: dict[str, tuple[str, ...]] = {"lips": LIPS, "upper": UPPER, "tongue": ("tongueOut",)}
"""All 52, each in one region.

By name: a published mask by index left the jaw out of the lips and the brows out of the
upper face, in whatever order the channels were meant.
"""

STILL = 1e-3
"""A channel that ranges over less than this stands still: a thousandth of a weight."""


def places_of(channels: Collection[str]) -> Int[np.ndarray, " channels"]:
    """Return the places of channels in a weight vector, ascending.

    Raises:
        ValueError: a name is not one of BLENDSHAPES, or there is none.
    """
    unknown = [name for name in channels if name not in BLENDSHAPE_INDEX]
    if unknown or not channels:
        raise ValueError(f"channels must be some of BLENDSHAPES, got {(unknown or ['none'])[0]!r}")
    return np.array(sorted({BLENDSHAPE_INDEX[name] for name in channels}))


def check_weights(name: str, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 52"]:
    """Return weights in float64.

    Raises:
        ValueError: they are not (n, 52) with n of at least 1, or not all finite.
    """
    array = np.asarray(weights, np.float64)
    if array.ndim != 2 or array.shape[1] != len(BLENDSHAPES) or not len(array):
        raise ValueError(f"{name} have shape {array.shape}, expected (n, {len(BLENDSHAPES)})")
    if not np.isfinite(array).all():
        row, channel = np.argwhere(~np.isfinite(array))[0]
        found = array[row, channel]
        raise ValueError(f"{name}: row {row} has {found} for {BLENDSHAPES[channel]}")
    return array


def mouth_opening(weights: Float[np.ndarray, "frames 52"]) -> Float[np.ndarray, " frames"]:
    """Return jawOpen - mouthClose: how far the lips are apart, as far as weights tell.

    ARKit's mouthClose shuts the lips over an open jaw, so jawOpen alone calls a hum open.
    """
    opening: Float[np.ndarray, " frames"] = (
        weights[:, BLENDSHAPE_INDEX["jawOpen"]] - weights[:, BLENDSHAPE_INDEX["mouthClose"]]
    )
    return opening


def dice(
    both: Num[np.ndarray, " n"], one: Num[np.ndarray, " n"], other: Num[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return F1 = 2 both / (one + other) of the sizes of two sets; 1 where both are empty."""
    total = np.asarray(one + other, np.float64)
    found: Float[np.ndarray, " n"] = np.ones_like(total)
    np.divide(2.0 * both, total, out=found, where=total > 0)
    return found
