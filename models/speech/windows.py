"""Streams that are cut on a fixed grid: how their rows arrive never changes what comes out.

A clip that is all there is one that arrives in one piece. So what is streamed is what is
written, once the look-ahead has passed; and no more is kept than a window needs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby

import numpy as np
from jaxtyping import Float, Shaped

__all__ = ["PieceStream", "WindowGrid", "WindowStream"]

_BATCH = 32
"""Windows in one pass of a network."""
_ROUNDING_S = 1e-9
_MOST_REACH = 24
"""Frames to wait for, so that a window gives what the whole would: 1.6 s at 15 a second."""
_SHORT_HOP = 3
"""0.2 s at 15 a second."""
_LONG_HOP = 63

Rows = Shaped[np.ndarray, "rows *columns"]


class PieceStream:
    """Rows at one rate to rows at another, piece by piece.

    Every piece is computed from the same rows, some before it and some after it, that begin
    where both rates agree; of the result the piece alone is kept.

    Args:
        function: from rows to rows at the new rate, the first at the same time.
        rate: of the rows that go in.
        to_rate: of those that come out.
        piece_s: how long a piece is, at least.
        context_s: how far around a row the function may look.

    Raises:
        ValueError: the rates do not agree once a second.
    """

    def __init__(
        self,
        function: Callable[[Rows], Rows],
        rate: float,
        to_rate: float,
        *,
        piece_s: float,
        context_s: float,
    ) -> None:
        ratio = (Fraction(rate) / Fraction(to_rate)).limit_denominator(1 << 16)
        self._function = function
        self._unit = ratio.numerator, ratio.denominator  # rows in, rows out
        if self._unit[0] > rate:
            raise ValueError(f"{to_rate:g} and {rate:g} a second do not meet: not to be streamed")
        unit_s = self._unit_s = Fraction(self._unit[0]) / Fraction(rate)
        self._context = max(1, _ceil(context_s, unit_s))  # in units, like all below
        self._piece = max(1, _ceil(piece_s, unit_s))
        self._next = 0
        self._start = 0
        self._rows: Rows | None = None

    @property
    def latency_s(self) -> float:
        """How long a row may wait: for the rest of its piece, and for what comes after it."""
        return float((self._piece + self._context) * self._unit_s)

    def push(self, rows: Rows) -> list[Rows]:
        """Return the pieces that these rows complete."""
        self._rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        there = self._start + len(self._rows) // self._unit[0]
        found = []
        while there >= self._next + self._piece + self._context:
            stop = self._next + self._piece
            found.append(self._compute(stop + self._context, stop))
            self._next = stop
        keep = max(0, self._next - self._context)
        self._rows = self._rows[(keep - self._start) * self._unit[0] :].copy()
        self._start = keep
        return found

    def close(self) -> list[Rows]:
        """Return what is left, now that nothing follows."""
        if self._rows is None or not len(self._rows):
            return []
        return [self._compute(None, None)]

    def _compute(self, seen: int | None, stop: int | None) -> Rows:
        """Return the rows from the next piece on, to ``stop``, from what is before ``seen``."""
        assert self._rows is not None
        start = max(0, self._next - self._context)
        first = (start - self._start) * self._unit[0]
        last = None if seen is None else (seen - self._start) * self._unit[0]
        made = self._function(self._rows[first:last])
        skip = (self._next - start) * self._unit[1]
        return made[skip : None if stop is None else (stop - start) * self._unit[1]]


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """How a long clip is cut into windows, in frames.

    A window stands for `hop` frames of its own and for `fade` frames that it shares with the
    window after it; around these it sees `before` and `after`. By default that is the length
    of the clips in training. The paper says nothing of longer clips (reconstruction).
    """

    before: int = 43
    hop: int = 9
    fade: int = 9
    after: int = 3

    def __post_init__(self) -> None:
        if min(self.before, self.after) < 0 or not 0 <= self.fade <= self.hop or self.hop < 1:
            raise ValueError(f"hop must be 1 or more, fade 0 to hop, the others 0 or more: {self}")

    @classmethod
    def of_reach(cls, reach: int) -> "WindowGrid":
        """Return the grid for a network each of whose frames depends on so many around it.

        If they are few, a window sees them all: then what it gives is what the whole clip
        would give, and there is nothing to fade. If they are many, that would take too long.
        """
        if reach <= _MOST_REACH:
            return cls(before=reach, hop=_SHORT_HOP, fade=0, after=reach)
        return cls()

    def for_whole(self, reach: int) -> "WindowGrid":
        """Return what gives the same, sooner, for a clip that need not be waited for."""
        if min(self.before, self.after) < reach:
            return self
        return replace(self, hop=_LONG_HOP, fade=0)

    @property
    def length(self) -> int:
        """Frames of a whole window."""
        return self.before + self.latency

    @property
    def latency(self) -> int:
        """Frames that must have come, from the first of a hop on, before it is final."""
        return self.hop + self.fade + self.after

    def seen(self, window: int, frames: int) -> tuple[int, int]:
        """Return the frames of a clip of so many that a window sees."""
        start = window * self.hop
        return max(0, start - self.before), min(frames, start + self.latency)

    def ramp(self) -> Float[np.ndarray, "fade 1"]:
        """Return the share of a window in the frames that it takes over."""
        half = (np.arange(self.fade, dtype=np.float32) + 0.5) / max(self.fade, 1) / 2
        return np.asarray(np.sin(np.pi * half) ** 2, np.float32)[:, None]


Generate = Callable[
    [Float[np.ndarray, "windows frames features"], list[int]],
    Float[np.ndarray, "windows frames weights"],
]
"""From windows of one length, and the frame that each begins with, to weights."""


class WindowStream:
    """Features of any number of frames to weights, window by window, faded into one another.

    Args:
        generate: the network, for windows of one length.
        grid: where windows are.
    """

    def __init__(self, generate: Generate, grid: WindowGrid) -> None:
        self._generate = generate
        self._grid = grid
        self._window = 0
        self._start = 0
        self._rows: Float[np.ndarray, "frames features"] | None = None
        self._tail: Float[np.ndarray, "fade weights"] | None = None

    def push(
        self, features: Float[np.ndarray, "frames features"]
    ) -> list[Float[np.ndarray, "frames weights"]]:
        """Return the weights that these features make final."""
        self._rows = features if self._rows is None else np.concatenate([self._rows, features])
        frames = self._start + len(self._rows)
        grid = self._grid
        ready = max(self._window, (frames - grid.latency) // grid.hop + 1)
        found = list(self._pass(range(self._window, ready), frames))
        self._window = ready
        keep = grid.seen(ready, frames)[0]
        self._rows = self._rows[keep - self._start :].copy()
        self._start = keep
        return found

    def close(self) -> list[Float[np.ndarray, "frames weights"]]:
        """Return the weights that are left, now that nothing follows."""
        if self._rows is None:
            return []
        frames = self._start + len(self._rows)
        return list(self._pass(range(self._window, -(-frames // self._grid.hop)), frames))

    def _pass(self, windows: range, frames: int) -> Iterator[Float[np.ndarray, "frames weights"]]:
        """Yield the final frames of each window; windows of one length go together."""
        assert self._rows is not None
        spans = [(window, *self._grid.seen(window, frames)) for window in windows]
        for _, alike in groupby(spans, lambda span: span[2] - span[1]):
            group = list(alike)
            for at in range(0, len(group), _BATCH):
                batch = group[at : at + _BATCH]
                rows = [self._rows[a - self._start : b - self._start] for _, a, b in batch]
                made = self._generate(np.stack(rows), [a for _, a, _ in batch])
                for (window, start, _), weights in zip(batch, made, strict=True):
                    yield self._blend(weights[window * self._grid.hop - start :])

    def _blend(
        self, weights: Float[np.ndarray, "frames weights"]
    ) -> Float[np.ndarray, "hop weights"]:
        """Return the final frames of a window, and keep what the next one fades out of."""
        own = weights[: self._grid.hop].copy()
        if self._tail is not None:
            shared = min(len(self._tail), len(own))
            ramp = self._grid.ramp()[:shared]
            own[:shared] = (1 - ramp) * self._tail[:shared] + ramp * own[:shared]
        self._tail = weights[self._grid.hop : self._grid.hop + self._grid.fade].copy()
        return own


def _ceil(seconds: float, unit_s: Fraction) -> int:
    return -(-Fraction(seconds - _ROUNDING_S) // unit_s)
