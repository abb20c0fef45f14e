"""The progress line: rate of the last half minute, cost, and what is not known."""

import pytest

from expclip.cli import bars as module
from expclip.cli.progress import AnnotationProgress
from expclip.tead.llm.cost import Ledger, Prices
from expclip.tead.llm.scheduler import Tally


def test_lines_tell_rate_cost_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    tally = Tally(ledger=Ledger(Prices(1, 10), 5))
    with AnnotationProgress() as progress:
        clock[0] = 10.0
        progress(1000, 2000, tally)  # known from before, in no time
        for now_s, done in ((20.0, 1010), (30.0, 1020), (40.0, 1030), (50.0, 1040)):
            clock[0] = now_s
            tally.ledger.tokens_in = done * 1000
            progress(done, 2000, tally)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[-1] == (
        "annotating: 1,040 of 2,000, 1 rows/s, 1,040,000 tokens, cost 1.0400 of 5, 960 s left"
    )


def test_an_unknown_cost_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    tally = Tally()
    promise = tally.ledger.try_reserve({"messages": (), "max_tokens": 1})
    assert promise is not None
    tally.ledger.settle(promise, b"{}")
    with AnnotationProgress() as progress:
        for done in (10, 20):
            clock[0] = float(done)
            progress(done, 30, tally)
    told = capsys.readouterr().err
    assert told.count("cost unknown: the server counts no tokens") == 1
    assert "annotating: 20 of 30, 1 rows/s, 10 s left" in told
