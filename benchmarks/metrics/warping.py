"""Two courses of time, laid over each other: dynamic time warping, lag, matched events."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from expclip.benchmarks.metrics.channels import STILL

__all__ = ["Alignment", "align", "count_matches", "moves", "warp"]

_SAME = 1e-9
"""Correlations that differ by less are equal: then the smaller lag is the answer."""


def moves(course: Float[np.ndarray, " frames"]) -> bool:
    """Whether it ranges over more than STILL; what has one frame does not."""
    return bool(np.ptp(course) >= STILL)


@dataclass(frozen=True, slots=True)
class Alignment:
    """How two courses of time go together.

    Attributes:
        corr: Pearson's correlation as they stand.
        peak: the highest, over all lags.
        lag: frames by which the second is late, at that peak.
    """

    corr: float
    peak: float
    lag: float


def align(
    first: Float[np.ndarray, " frames"], second: Float[np.ndarray, " frames"], most: int
) -> Alignment:
    """Correlate two courses that move, at lags of up to ``most`` frames.

    Each lag is judged on the frames that both then have, at least half of all, and centred
    on them; a part that stands still has correlation 0. The lag is read between frames,
    off the parabola through the peak and its neighbours. Of equal peaks that with the
    smallest lag counts.
    """
    count = len(first)
    most = min(most, count // 2)
    lags = range(-most, most + 1)
    found = np.array(
        [
            _pearson(
                first[max(0, -lag) : count - max(0, lag)],
                second[max(0, lag) : count - max(0, -lag)],
            )
            for lag in lags
        ]
    )
    peaks = np.flatnonzero(found >= found.max() - _SAME)
    peak = int(peaks[np.argmin(np.abs(peaks - most))])
    offset = 0.0
    if 0 < peak < len(lags) - 1:
        before, here, after = found[peak - 1 : peak + 2]
        bend = before - 2 * here + after
        if bend < -_SAME:
            offset = 0.5 * (before - after) / bend
    return Alignment(float(found[most]), float(found[peak]), float(lags[peak] + offset))


def _pearson(one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"]) -> float:
    if len(one) < 2 or not (moves(one) and moves(other)):
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def warp(
    first: Float[np.ndarray, "frames dim"], second: Float[np.ndarray, "frames dim"], band: int
) -> tuple[Int[np.ndarray, "steps 2"], Float[np.ndarray, " steps"]]:
    """Return the cheapest path from the first frames of both to the last, and its costs.

    A step goes on by a frame in one or in both (both, where that is as cheap), and costs
    the root mean square difference of the frames it comes to. No frame is laid over one
    more than ``band`` away (Sakoe & Chiba 1978).

    Raises:
        ValueError: they differ in length.
    """
    if first.shape != second.shape:
        raise ValueError(f"courses are {first.shape} and {second.shape}, expected the same")
    count = len(first)
    band = min(band, count - 1)
    costs = _band_costs(first, second, band)
    # A diagonal holds the cells of one i + j, by i - j + band + 1; borders are infinite.
    before, last = (np.full(2 * band + 3, np.inf) for _ in range(2))
    last[band + 1] = costs[0, band]
    choices = np.zeros((2 * count - 1, 2 * band + 1), np.int8)
    for total in range(1, 2 * count - 1):
        reach = min(band, total, 2 * count - 2 - total)
        skew = np.arange(-reach + (total + reach) % 2, reach + 1, 2)  # i - j
        cells = skew + band
        ways = np.stack([before[cells + 1], last[cells], last[cells + 2]])
        choice = ways.argmin(axis=0)  # the first of equals
        here = np.full(2 * band + 3, np.inf)
        here[cells + 1] = ways[choice, np.arange(len(cells))] + costs[(total + skew) // 2, cells]
        choices[total, cells] = choice
        before, last = last, here
    path = _walk_back(choices, count, band)
    return path, costs[path[:, 0], path[:, 0] - path[:, 1] + band]


def _band_costs(
    first: Float[np.ndarray, "frames dim"], second: Float[np.ndarray, "frames dim"], band: int
) -> Float[np.ndarray, "frames width"]:
    """Return the cost of frame i over frame j, at [i, i - j + band]."""
    count = len(first)
    costs = np.full((count, 2 * band + 1), np.inf)
    for skew in range(-band, band + 1):
        own = slice(max(0, skew), count - max(0, -skew))
        other = slice(max(0, -skew), count - max(0, skew))
        costs[own, skew + band] = np.sqrt(((first[own] - second[other]) ** 2).mean(axis=1))
    return costs


def _walk_back(
    choices: Int[np.ndarray, "diagonals width"], count: int, band: int
) -> Int[np.ndarray, "steps 2"]:
    i = j = count - 1
    path = [(i, j)]
    while i or j:
        choice = choices[i + j, i - j + band]
        i, j = i - (choice != 2), j - (choice != 1)
        path.append((i, j))
    return np.array(path[::-1])


def count_matches(
    ones: Int[np.ndarray, " n"], others: Int[np.ndarray, " m"], tolerance: float
) -> int:
    """Return how many events of two ascending lists pair off within the tolerance, at most."""
    i = j = found = 0
    while i < len(ones) and j < len(others):
        apart = ones[i] - others[j]
        near = bool(abs(apart) <= tolerance + _SAME)
        found += near
        i, j = i + (near or apart < 0), j + (near or apart > 0)
    return found
