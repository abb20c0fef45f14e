"""A mouth in motion, from weights alone: how far off it is, and how far off in time."""

import numpy as np
from jaxtyping import Float, Int

from expclip.benchmarks.metrics.channels import LIPS, dice, mouth_opening, places_of
from expclip.benchmarks.metrics.warping import align, count_matches, moves, warp

__all__ = ["MOST_LAG_S", "lip_errors", "mouth_timing", "opening_sync"]

MOST_LAG_S = 0.5
"""Lags are looked for so far to both sides; the value of one that cannot be found."""

_BAND_S = 1.0
_EVENT = 0.1  # of the range of the truth's opening
_TOLERANCE_S = 0.1
_SIGMA_S = 2 / 30  # two frames at thirty a second
_LIPS = places_of(LIPS)

Clip = Float[np.ndarray, "frames 52"]


def lip_errors(truth: Clip, predicted: Clip, fps: float) -> dict[str, float]:
    """Return the errors of the lips (4 channels of the jaw, 23 of the mouth) of a clip.

    - `lip_mse`: mean over frames and channels of squared differences.
    - `lip_rmse`: its root. Unit: weights.
    - `lip_lve_weights`: mean over frames of ||difference||_2, which one published code
      calls LVE on weights; sqrt(27) times a root mean square. Its own mask of 12 indices
      had no jaw in it; ours is by name.
    - `lip_velocity_rmse`: root mean square of the difference of velocities, in weights a
      second. A clip of one frame has no velocity: 0.

    The truth has 0. The mean face and every constant have the truth's own speed as
    `lip_velocity_rmse`, which tremor exceeds easily.
    """
    error = (predicted - truth)[:, _LIPS]
    mse = float((error**2).mean())
    speed = np.diff(error, axis=0) * fps
    return {
        "lip_mse": mse,
        "lip_rmse": mse**0.5,
        "lip_lve_weights": float(np.sqrt((error**2).sum(axis=1)).mean()),
        "lip_velocity_rmse": float(np.sqrt((speed**2).mean())) if len(speed) else 0.0,
    }


def mouth_timing(truth: Clip, predicted: Clip, fps: float) -> dict[str, float]:
    """Return what tells when the mouth opens and closes: of jawOpen - mouthClose, and lips.

    - those of `opening_sync`, of the truth's opening and the predicted.
    - `peak_f1`: F1 of moments of widest opening, paired off within 100 ms. A moment is a
      local maximum that stands out by 10 % of the range of the truth's opening.
    - `closure_f1`: the same of moments of closing: the opening falls below 10 % of the
      range. The range is the truth's for both, so a mouth that mumbles does not close
      when the truth does. A mouth that is never open never closes.
    - `dtw_cost`: mean cost of a step of the cheapest warping of the 27 lip channels, band
      1 s: root mean square difference in weights, whatever the timing.
    - `dtw_path_ms`: mean distance of that path from the diagonal: the timing.
    - `mtm_ms`, `mtm_coverage`: mean temporal misalignment (kaist-ami's Perceptual 3D Talking
      Head, CVPR 2025): openings smoothed, warped by their derivatives (Keogh & Pazzani
      2001), and the mean distance in time of extrema of one kind that the path lays over
      each other. Sigma is two frames of 30 a second, whatever the clip's rate. The original
      counts whole frames and leaves out what finds no partner, so that a mouth that hardly
      moves scores well; coverage is the share of the truth's extrema with a partner.

    Where there is nothing to find, these are the values: no event in both is F1 1, in one
    of them 0. One mouth moves and the other is still: no path means anything, and
    `dtw_path_ms` is the band's 1000. No extremum has a partner: `mtm_ms` is 1000 and
    coverage 0, but 0 and 1 where neither has an extremum.

    The truth has 1 in F1 and coverage and 0 in the others; the mean face and every
    constant have F1 0, path 1000, MTM 1000 at coverage 0, wherever the truth moves.
    """
    one, other = mouth_opening(truth), mouth_opening(predicted)
    found = opening_sync(one, other, fps)
    low, size = float(one.min()), float(np.ptp(one))
    if not moves(one):
        low, size = float(other.min()), float(np.ptp(other))
    least = _EVENT * size
    for name, events in (
        ("peak_f1", (_peaks(one, least), _peaks(other, least))),
        ("closure_f1", (_closings(one, low + least), _closings(other, low + least))),
    ):
        shared = count_matches(events[0], events[1], _TOLERANCE_S * fps)
        sizes = [np.array([len(times)], np.float64) for times in events]
        found[name] = float(dice(np.array([shared], np.float64), sizes[0], sizes[1])[0])
    band = max(1, round(_BAND_S * fps))
    path, costs = warp(truth[:, _LIPS], predicted[:, _LIPS], band)
    found["dtw_cost"] = float(costs.mean())
    apart = float(np.abs(path[:, 0] - path[:, 1]).mean())
    one_moves, other_moves = moves_at_all(truth), moves_at_all(predicted)
    found["dtw_path_ms"] = 1000 * (apart / fps if one_moves == other_moves else _BAND_S)
    return found | _misalignment(one, other, fps, band)


def moves_at_all(clip: Clip) -> bool:
    """Whether any channel of the lips moves."""
    return any(moves(channel) for channel in clip[:, _LIPS].T)


def opening_sync(
    first: Float[np.ndarray, " frames"], second: Float[np.ndarray, " frames"], fps: float
) -> dict[str, float]:
    """Return how an opening follows another, or the loudness of speech.

    - `opening_corr`: Pearson's correlation as they stand.
    - `opening_corr_peak`: the highest within 0.5 s to either side.
    - `opening_lag_ms`: where that is, between frames; above 0, the second is late.
    - `opening_lag_abs_ms`: its size. Rank by this: signed lags cancel in a mean.
    - `opening_moves`: 1 where both move (range of 0.001 at least), else 0: the coverage.

    Both still: nothing differs, correlation 1 and lag 0. One still, or no correlation above
    0 at any lag: there is no lag, and its size is 500 (signed: 0).
    """
    both = moves(first) and moves(second)
    found = dict.fromkeys(("opening_corr", "opening_corr_peak", "opening_lag_ms"), 0.0)
    found["opening_lag_abs_ms"] = 1000 * MOST_LAG_S
    found["opening_moves"] = float(both)
    if both:
        fit = align(first, second, round(MOST_LAG_S * fps))
        found["opening_corr"], found["opening_corr_peak"] = fit.corr, fit.peak
        if fit.peak > 0:
            found["opening_lag_ms"] = 1000 * fit.lag / fps
            found["opening_lag_abs_ms"] = abs(found["opening_lag_ms"])
    elif not moves(first) and not moves(second):
        found |= {"opening_corr": 1.0, "opening_corr_peak": 1.0, "opening_lag_abs_ms": 0.0}
    return found


def _peaks(course: Float[np.ndarray, " frames"], least: float) -> Int[np.ndarray, " n"]:
    """Return the local maxima that stand out by ``least``; what is still has none."""
    from scipy.signal import find_peaks

    if not moves(course):
        return np.empty(0, np.int64)
    places: Int[np.ndarray, " n"] = find_peaks(course, prominence=least)[0]
    return places


def _closings(course: Float[np.ndarray, " frames"], limit: float) -> Int[np.ndarray, " n"]:
    """Return the frames that are first below the limit; what is still has none."""
    closed = course < limit
    if not moves(course):
        return np.empty(0, np.int64)
    return np.flatnonzero(closed[1:] & ~closed[:-1]) + 1


def _misalignment(
    one: Float[np.ndarray, " frames"],
    other: Float[np.ndarray, " frames"],
    fps: float,
    band: int,
) -> dict[str, float]:
    """Return MTM and its coverage."""
    from scipy.ndimage import gaussian_filter1d

    one, other = (gaussian_filter1d(course, _SIGMA_S * fps) for course in (one, other))
    least = _EVENT * float(np.ptp(one if moves(one) else other))
    kinds = [[_peaks(sign * course, least) for course in (one, other)] for sign in (1, -1)]
    asked = sum(len(events[0]) for events in kinds)
    if asked == 0:
        none = not any(len(events[1]) for events in kinds)
        return {"mtm_ms": 0.0 if none else 1000 * _BAND_S, "mtm_coverage": float(none)}
    path, _ = warp(_derivative(one)[:, None], _derivative(other)[:, None], band)
    apart: list[int] = []
    for mine, theirs in kinds:
        on_both = path[np.isin(path[:, 0], mine) & np.isin(path[:, 1], theirs)]
        for place in np.unique(on_both[:, 0]):
            apart.append(np.abs(on_both[on_both[:, 0] == place, 1] - place).min())
    value = float(np.mean(apart)) / fps if apart else _BAND_S
    return {"mtm_ms": 1000 * value, "mtm_coverage": len(apart) / asked}


def _derivative(course: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
    """Return Keogh & Pazzani's estimate; the ends repeat their neighbours."""
    if len(course) < 3:
        return np.zeros_like(course)
    before, here, after = course[:-2], course[1:-1], course[2:]
    return np.pad(((here - before) + (after - before) / 2) / 2, 1, mode="edge")
