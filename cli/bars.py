"""How long work is shown: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["WorkProgress"]

_LINE_EVERY_S = 10.0
_RATE_OVER_S = 30.0
"""Rates are of the last seconds: what an earlier run has done goes by in no time."""


class WorkProgress:
    """Shows what is done, of how much, how fast, and what else there is to tell."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._last = time.monotonic()
        self._marks: dict[str, deque[tuple[float, int]]] = {}  # (time, done) of each task

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def show(self, what: str, done: int, total: int, tell: Callable[[float], str]) -> None:
        """Show a task, not too often.

        Args:
            what: the task.
            done: of it.
            total: all of it.
            tell: from what is done a second to the words that stand beside.
        """
        now = time.monotonic()
        rate = self._rate(what, now, done)
        if now - self._last < (0.1 if self.console.is_terminal else _LINE_EVERY_S):
            return
        self._last = now
        if self.console.is_terminal:
            if what not in self._tasks:
                self._tasks[what] = self._bar.add_task(what, total=total, told="")
            self._bar.update(self._tasks[what], completed=done, told=tell(rate))
        else:
            left = f"{(total - done) / rate:,.0f} s left" if rate else "no end in sight"
            print(f"{what}: {done:,} of {total:,}, {tell(rate)}, {left}", file=sys.stderr)

    def _rate(self, what: str, now: float, done: int) -> float:
        """Return how much a second was done in the last half minute."""
        marks = self._marks.setdefault(what, deque([(now, done)]))
        while len(marks) > 1 and now - marks[1][0] >= _RATE_OVER_S:
            marks.popleft()
        start, before = marks[0]
        if now - marks[-1][0] >= 1:
            marks.append((now, done))
        return (done - before) / max(now - start, 1e-9)
