"""How long work is shown: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections import deque
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from expclip.tead.batch import BatchTally
from expclip.tead.cost import Ledger
from expclip.tead.scheduler import Tally

__all__ = ["AnnotationProgress"]

_LINE_EVERY_S = 10.0
_RATE_OVER_S = 30.0
"""Rates are of the last seconds: rows known from before go by in no time."""


class AnnotationProgress:
    """Shows the rows annotated so far, per second, what they cost, and what the server did."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("annotating"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._last = time.monotonic()
        self._marks = deque([(self._last, 0)])  # (time, rows done)
        self._warned = False

    def __enter__(self) -> "AnnotationProgress":
        if self._console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task("annotating", total=None, told="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def __call__(self, done: int, total: int, tally: Tally) -> None:
        """Take note of progress."""
        if tally.ledger.unmeasured and not self._warned:
            self._warned = True
            self._console.print("cost unknown: the server counts no tokens", highlight=False)
        now = time.monotonic()
        if now - self._last < (0.1 if self._console.is_terminal else _LINE_EVERY_S):
            return
        self._last = now
        rate = self._rate(now, done)
        told = _tell(rate, tally)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, told=told)
        else:
            left = f"{(total - done) / rate:.0f} s left" if rate else "no end in sight"
            print(f"{done:,} of {total:,} rows, {told}, {left}", file=sys.stderr)

    def _rate(self, now: float, done: int) -> float:
        """Return the rows per second of the last half minute."""
        while len(self._marks) > 1 and now - self._marks[1][0] >= _RATE_OVER_S:
            self._marks.popleft()
        start, before = self._marks[0]
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, done))
        return (done - before) / (now - start)


def _tell(rate: float, tally: Tally) -> str:
    parts = [f"{rate:,.0f} rows/s", *_spent(tally.ledger)]
    if isinstance(tally, BatchTally) and tally.open:
        parts.append(f"{tally.served:,} of {tally.waiting:,} requests of {tally.open} batches done")
    if tally.found:
        parts.append(f"{tally.found:,} answers known")
    if tally.limited:
        parts.append(f"{tally.limited:,} times 429")
    if tally.failed:
        parts.append(f"{tally.failed:,} failures")
    return ", ".join(parts)


def _spent(ledger: Ledger) -> list[str]:
    """Return in words what was spent, all runs together."""
    tokens = ledger.tokens_in + ledger.tokens_out
    parts = [f"{tokens:,} tokens"] if tokens or not ledger.unmeasured else []
    if ledger.cost_at_most is not None:
        at_most = "at most " if ledger.cost is None else ""
        limit = f" of {ledger.max_cost:g}" if ledger.max_cost is not None else ""
        parts.append(f"cost {at_most}{ledger.cost_at_most:.4f}{limit}")
    return parts
