"""Blinks: when lids shut, how they move, and how that is added to any weights.

The paper has no blinks, and a generator trained with its equation (5) has none either: when
somebody blinks does not follow from speech, and the L1 loss settles on the median, which is
an open eye. What is here is ours, a rule beside the network.

Textbook knowledge that it rests on: people blink about 17 times a minute at rest and about
26 times in conversation, at uneven intervals, the long ones rarer than the short (Bentivoglio
et al., "Analysis of blink rate patterns in normal subjects", Movement Disorders 1997); a lid
comes down about twice as fast as it goes up, and slows before it stops (Evinger, Manning and
Sibony, "Eyelid movements: mechanisms and normal data", IOVS 1991). The spans below are a
choice within that, and intervals are less uneven than people's: at the usual rate the eyes
never stay open for eight seconds, so that a short clip has its blink.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from expclip.face import BLENDSHAPE_INDEX

__all__ = ["Blink", "Blinks", "close_lids"]

_SLOT_S = 4.0
"""Blinks are drawn for so much time at once: at 18 a minute, one or two."""
_APART_S = 0.7
"""From one beginning to the next, at least."""
_CLOSING_S = (0.075, 0.1)
_HELD_S = (0.03, 0.05)
_OPENING_S = (0.15, 0.2)
_LONGEST_S = _CLOSING_S[1] + _HELD_S[1] + _OPENING_S[1]
_MOST = 60.0

_SHUT = [BLENDSHAPE_INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]
_WIDE = [BLENDSHAPE_INDEX[f"eyeWide{side}"] for side in ("Left", "Right")]


@dataclass(frozen=True, slots=True)
class Blink:
    """One blink, in seconds: where the lids start to move, and how long they take."""

    start_s: float
    closing_s: float
    held_s: float
    opening_s: float

    @property
    def end_s(self) -> float:
        """When the lids are where they were."""
        return self.start_s + self.closing_s + self.held_s + self.opening_s

    def shut_at(self, times_s: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
        """Return how far the lids are shut, 0..1; slow where they start and stop."""
        after = times_s - (self.start_s + self.closing_s)
        shut = close_lids(after, self.closing_s, self.opening_s, self.held_s)
        return np.asarray(shut * shut * (3 - 2 * shut))


@dataclass(frozen=True, slots=True)
class Blinks:
    """The blinks of somebody, at any time.

        weights = Blinks().add_to(weights, fps=60)

    They follow from the seed and the place in time alone: whatever the rate of frames, and
    however a clip is cut, the same eyes shut at the same moment. Below 15 frames a second a
    lid may not be seen quite shut.

    Args:
        per_minute: how many on average, 0 to 60.
        seed: of the moments; two faces in one scene need two, or they blink together.

    Raises:
        ValueError: either is out of range.
    """

    per_minute: float = 18.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.per_minute <= _MOST:
            raise ValueError(f"blinks a minute must be 0 to {_MOST:g}, got {self.per_minute}")
        if self.seed < 0:
            raise ValueError(f"the seed of blinks must be 0 or above, got {self.seed}")

    def between(self, start_s: float, end_s: float) -> list[Blink]:
        """Return the blinks that are going on at some time from start to end, in order."""
        first = max(0, math.floor((start_s - _LONGEST_S) / _SLOT_S))
        slots = range(first, math.floor(end_s / _SLOT_S) + 1)
        found = [blink for slot in slots for blink in self._draw(slot)]
        return [blink for blink in found if blink.end_s >= start_s and blink.start_s <= end_s]

    def add_to(
        self, weights: Float[np.ndarray, "frames 52"], fps: float, first: int = 0
    ) -> Float[np.ndarray, "frames 52"]:
        """Return weights with the lids shut for the blinks; a copy.

        A lid that is further shut already stays so; `eyeWide` goes as the lid comes down, and
        comes back with it. No other shape changes, nor any frame between two blinks.

        Args:
            weights: of frames in a row.
            fps: frames a second.
            first: number of the first of these frames in the whole clip.
        """
        made = np.array(weights)
        for blink in self.between(first / fps, (first + len(made)) / fps):
            start = max(0, math.ceil(blink.start_s * fps) - first)
            stop = min(len(made), math.floor(blink.end_s * fps) + 1 - first)
            frames = slice(start, max(start, stop))
            times = np.arange(first + frames.start, first + frames.stop) / fps
            shut = blink.shut_at(times)[:, None].astype(made.dtype)
            made[frames, _SHUT] = np.maximum(made[frames, _SHUT], shut)
            made[frames, _WIDE] *= 1 - shut
        return made

    def _draw(self, slot: int) -> list[Blink]:
        """Return the blinks that begin in a slot of time, each far enough from the next."""
        rng = np.random.default_rng((self.seed, slot))
        count = math.floor(self.per_minute * _SLOT_S / 60 + rng.random())
        starts = np.sort(rng.uniform(0, _SLOT_S - count * _APART_S, count))
        starts += slot * _SLOT_S + _APART_S * np.arange(count)
        least, most = zip(_CLOSING_S, _HELD_S, _OPENING_S, strict=True)
        spans = rng.uniform(least, most, (count, 3))
        return [
            Blink(start, *span) for start, span in zip(starts.tolist(), spans.tolist(), strict=True)
        ]


def close_lids(
    after_s: Float[np.ndarray, "*times"], closing_s: float, opening_s: float, held_s: float = 0.0
) -> Float[np.ndarray, "*times"]:
    """Return how far lids are shut, 0..1, in straight lines.

    Args:
        after_s: time since they were shut; negative before.
        closing_s: how long they take to shut.
        opening_s: and to open.
        held_s: how long they stay shut.
    """
    shut = np.minimum(1 + after_s / closing_s, 1 - (after_s - held_s) / opening_s)
    return np.asarray(shut.clip(0, 1))
