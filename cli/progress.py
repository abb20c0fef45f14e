"""The progress of a build: rows, cost, and what the server did."""

from expclip.cli.bars import WorkProgress
from expclip.tead.llm.batch import BatchTally
from expclip.tead.llm.cost import Ledger
from expclip.tead.llm.scheduler import Tally

__all__ = ["AnnotationProgress"]


class AnnotationProgress(WorkProgress):
    """Shows the rows annotated so far, per second, what they cost, and what the server did."""

    def __init__(self) -> None:
        super().__init__()
        self._warned = False

    def __call__(self, done: int, total: int, tally: Tally) -> None:
        """Take note of progress."""
        if tally.ledger.unmeasured and not self._warned:
            self._warned = True
            self.console.print("cost unknown: the server counts no tokens", highlight=False)
        self.show("annotating", done, total, lambda rate: _tell(rate, tally))


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
