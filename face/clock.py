"""Clocks of captures: what times and timecodes say of frame rate and lost frames."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Gap", "find_gaps", "measure_clock", "seconds_from_timecodes", "timecodes_from_seconds"]

_NTSC = 1000 / 1001
_RATES = (10, 12, 12.5, 15, 20, 24 * _NTSC, 24, 25, 30 * _NTSC, 30, 48, 50, 60 * _NTSC, 60, 90, 120)
_RATE_TOLERANCE = 2e-4  # 29.97 and 30 differ by 1e-3; iPhones really run at 59.90
_SETTLED = 15  # frames on either side that a gap must shift, or it is only jitter
_SLOWEST, _FASTEST = 0.01, 10_000.0  # fps
_LATEST_S = 1e8

_TIMECODE = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})[:;](\d{1,3}(?:\.\d{0,9})?)", re.ASCII)
_BASES = (24, 25, 30, 48, 50, 60, 120)  # frames that a timecode counts in a second
_BASE = 60  # that of Live Link Face, whatever the rate of the capture
_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where a capture's clock does not go on by one frame.

    Attributes:
        frame: index of the frame after the gap.
        missing: frames lost just before it; -1 if it repeats the frame before.
    """

    frame: int
    missing: int

    def __post_init__(self) -> None:
        if self.frame < 1:
            raise ValueError(f"a gap is before frame 1 or later, got {self.frame}")
        if self.missing == 0 or self.missing < -1:
            raise ValueError(f"missing must be -1 or at least 1, got {self.missing}")


def measure_clock(
    seconds: Float[np.ndarray, " frames"], resolution_s: float
) -> tuple[float, tuple[Gap, ...]]:
    """Return frame rate and gaps from the times of two or more frames.

    A usual rate (24, 25, 29.97, 30, 59.94, 60...) is taken as meant where it is within
    0.02 % and the resolution of the clock; else the rate is the measured one.

    Raises:
        ValueError: the times go back or stand still, or are beyond reason.
    """
    _check_times(seconds)
    step = float(np.percentile(np.diff(seconds), 50, method="lower"))
    if not 1 / _FASTEST <= step <= 1 / _SLOWEST:
        raise ValueError(
            f"the times step by {step:.6g} s, expected {1 / _FASTEST} to {1 / _SLOWEST}"
        )
    span = float(seconds[-1] - seconds[0])
    for _ in range(2):  # the step of a jittering clock is known once its gaps are
        gaps = find_gaps(seconds, step)
        step = span / (len(seconds) - 1 + sum(gap.missing for gap in gaps))
    measured = 1 / step
    usual = min(_RATES, key=lambda rate: abs(rate / measured - 1))
    if abs(usual / measured - 1) <= _RATE_TOLERANCE + resolution_s / span:
        return float(usual), gaps
    return round(measured, 3), gaps


def find_gaps(seconds: Float[np.ndarray, " frames"], step_s: float) -> tuple[Gap, ...]:
    """Return the gaps that last; a late frame made up for soon after is jitter.

    Raises:
        ValueError: the times go back, or are beyond reason.
    """
    _check_times(seconds)
    late = (seconds - seconds[0]) / step_s - np.arange(len(seconds))  # in frames
    steps = np.diff(seconds)
    gaps: list[Gap] = []
    for frame in np.flatnonzero((steps > 1.5 * step_s) | (steps == 0)) + 1:
        before = late[max(0, frame - _SETTLED) : frame]
        after = late[frame : frame + _SETTLED]
        missing = round(float(after.min() - before.max()))
        if missing > 0:
            gaps.append(Gap(int(frame), missing))
        elif steps[frame - 1] == 0 and after.max() - before.min() < -0.5:
            gaps.append(Gap(int(frame), -1))
    return tuple(gaps)


def _check_times(seconds: Float[np.ndarray, " frames"]) -> None:
    strange = np.flatnonzero(~(np.abs(seconds) < _LATEST_S))
    if strange.size:
        raise ValueError(f"frame {strange[0]} has time {seconds[strange[0]]}, expected seconds")
    back = np.flatnonzero(np.diff(seconds) < 0)
    if back.size:
        before, after = seconds[back[0]], seconds[back[0] + 1]
        raise ValueError(f"frame {back[0] + 1} is at {after:.6g} s, the one before at {before:.6g}")


def seconds_from_timecodes(timecodes: Sequence[str]) -> Float[np.ndarray, " frames"]:
    """Return the times of "HH:MM:SS:FF.fff" timecodes; they may pass midnight.

    How many frames the timecode counts in a second is seen where the second changes;
    a capture in which it never does is taken to count 60, as Live Link Face does.

    Raises:
        ValueError: one is not a timecode.
    """
    parts = np.array([_parse_timecode(*item) for item in enumerate(timecodes)])  # (frames, 2)
    whole, count = parts[:, 0], parts[:, 1]
    days = np.cumsum(np.diff(whole, prepend=whole[:1]) < -_DAY_S / 2)
    whole = whole + days * _DAY_S
    seconds: np.ndarray = whole + count / _count_per_second(whole, count)
    return seconds


def _parse_timecode(frame: int, timecode: str) -> tuple[float, float]:
    match = _TIMECODE.fullmatch(timecode.strip())
    if match is None:
        raise ValueError(f"frame {frame} has timecode {timecode[:40]!r}, expected HH:MM:SS:FF.fff")
    hours, minutes, seconds, count = match.groups()
    return float(int(hours) * 3600 + int(minutes) * 60 + int(seconds)), float(count)


def _count_per_second(
    whole: Float[np.ndarray, " frames"], count: Float[np.ndarray, " frames"]
) -> int:
    possible = [base for base in _BASES if base >= count.max()] or [_BASES[-1]]
    seconds, steps = np.diff(whole), np.diff(count)
    within, over = steps[seconds == 0], steps[seconds == 1]
    if not within.size or not over.size:
        return _BASE if _BASE in possible else possible[0]
    seen = float(np.median(within) - np.median(over))
    return min(possible, key=lambda base: abs(base - seen))


def timecodes_from_seconds(seconds: Float[np.ndarray, " frames"]) -> list[str]:
    """Return timecodes as Live Link Face writes them: 60 counts a second."""
    codes = []
    for time in seconds.tolist():
        whole, thousandths = divmod(round(time * 1000 * _BASE), 1000 * _BASE)
        minutes, second = divmod(whole % _DAY_S, 60)
        hour, minute = divmod(minutes, 60)
        codes.append(f"{hour:02}:{minute:02}:{second:02}:{thousandths / 1000:06.3f}")
    return codes
