"""From the 60 frames a second of BEAT to the 15 of ExpCLIP, without aliases."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

__all__ = ["METHODS", "resample"]

METHODS = ("fir", "decimate")

_REACH = 8
"""Length of the filter to either side, in samples of the slower rate."""
_CUTOFF = 0.88
"""Middle of the filter's slope, as a share of the slower rate's half."""
_BETA = 5.0
"""Of the Kaiser window: what is above the slope is 50 dB down."""
_NEAR = 1e-6
"""Of a frame: rounding that does not make it the frame before."""


def resample(
    weights: Float[np.ndarray, "frames channels"], fps: float, to_fps: float, method: str = "fir"
) -> Float[np.ndarray, "new_frames channels"]:
    """Return a clip at another frame rate, float32.

    The first frame stays at time 0; the result ends no later than the clip. ``fir`` is a
    windowed sinc (Kaiser): what the new rate cannot carry is taken out first, and a weight
    that stands still stays as it is, at the ends too. It may go beyond the old range a
    little. ``decimate`` takes the latest frame at every new time, as the official
    preprocessing does (every fourth): exact values, but a tremor at 20 Hz comes out as one
    at 5 Hz.

    Raises:
        ValueError: a rate is not above 0, or there is no such method.
    """
    if not (fps > 0 and to_fps > 0 and math.isfinite(fps) and math.isfinite(to_fps)):
        raise ValueError(f"rates must be above 0, got {fps} and {to_fps}")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    weights = np.asarray(weights, np.float32)
    if fps == to_fps or not len(weights):
        return weights
    if method == "decimate":
        return weights[np.floor(_places(len(weights), fps, to_fps) + _NEAR).astype(np.int64)]
    resampled: np.ndarray = _filter(len(weights), fps, to_fps) @ weights
    return resampled


def _places(frames: int, fps: float, to_fps: float) -> Float[np.ndarray, " new_frames"]:
    """Return where the new frames lie among the old ones."""
    count = math.floor((frames - 1) * to_fps / fps + _NEAR) + 1
    places: np.ndarray = np.minimum(np.arange(count) * (fps / to_fps), frames - 1.0)
    return places


@lru_cache(maxsize=4)
def _filter(frames: int, fps: float, to_fps: float) -> Any:
    """Return the filter as a sparse matrix, new frames by old ones."""
    from scipy.sparse import csr_array

    places = _places(frames, fps, to_fps)
    step = max(fps / to_fps, 1.0)  # of the slower rate, in old frames
    reach = math.ceil(_REACH * step)
    columns = np.floor(places).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    distance = (columns - places[:, None]) / step
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (distance / _REACH) ** 2, 0, None)))
    taps = np.sinc(distance * _CUTOFF) * window * (abs(distance) < _REACH)
    taps[(columns < 0) | (columns >= frames)] = 0
    taps /= taps.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(places)), columns.shape[1])
    kept = taps.ravel() != 0
    entries = (taps.ravel()[kept].astype(np.float32), (rows[kept], columns.ravel()[kept]))
    return csr_array(entries, shape=(len(places), frames))
