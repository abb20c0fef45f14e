"""How long work is shown: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from expclip.tead.scheduler import Tally

__all__ = ["AnnotationProgress"]

_LINE_EVERY_S = 10.0


class AnnotationProgress:
    """Shows the rows annotated so far, per second, and what the server did."""

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
        self._start = self._last = time.monotonic()

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
        now = time.monotonic()
        if now - self._last < (0.1 if self._console.is_terminal else _LINE_EVERY_S):
            return
        self._last = now
        told = _tell(done / (now - self._start), tally)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, told=told)
        else:
            left_s = (total - done) * (now - self._start) / max(done, 1)
            print(f"{done:,} of {total:,} rows, {told}, {left_s:.0f} s left", file=sys.stderr)


def _tell(rate: float, tally: Tally) -> str:
    parts = [f"{rate:,.0f} rows/s", f"{tally.tokens_in + tally.tokens_out:,} tokens"]
    if tally.found:
        parts.append(f"{tally.found:,} answers known")
    if tally.limited:
        parts.append(f"{tally.limited:,} times 429")
    if tally.failed:
        parts.append(f"{tally.failed:,} failures")
    return ", ".join(parts)
