"""Cost: prices, tokens, promises, and a limit that is never passed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.face.errors import ModelError
from expclip.tead.llm.cost import BudgetReached, Ledger, Prices, Reservation, Usage, read_usage
from expclip.tead.llm.journal import Answer, Journal

PRICES = Prices(1.0, 10.0)
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "héllo"}], "max_tokens": 100}
WORST = Reservation(6 + 16, 100)  # 6 bytes, and what a template may add
WORST_COST = (22 * 1 + 100 * 10) / 1e6  # 0.001022


def said(tokens_in: int = 20, tokens_out: int = 10, **more: Any) -> bytes:
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return json.dumps({"usage": usage, **more}).encode()


def test_prices_are_of_a_million_tokens() -> None:
    assert Prices.parse("0.15,0.60") == Prices(0.15, 0.6)
    assert Prices.parse(" 1 , 2 ") == Prices(1, 2)
    assert Prices(0.15, 0.60).cost(2_000_000, 500_000) == pytest.approx(0.6)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "-1,2", "1,inf", "nan,1", "0,15,0,60"])
def test_wrong_prices_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected IN,OUT|must be 0 or more"):
        Prices.parse(text)


def test_usage_is_unknown_where_the_server_does_not_tell_it() -> None:
    assert read_usage(said(7, 2)) == (7, 2)
    for silent in (b"{}", b"[]", b"no", b'{"usage": null}', b'{"usage": {"prompt_tokens": "x"}}'):
        assert read_usage(silent) is None
    for absurd in (
        said(-1, 2),
        said(10**400, 1),
        b"[" * 100_000,
        b'{"usage": {"prompt_tokens": Infinity}}',
    ):
        assert read_usage(absurd) is None


@given(st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_answer_breaks_the_reading_of_usage(body: Any) -> None:
    assert read_usage(body) is None


def test_usage_of_a_data_set_knows_what_it_does_not_know() -> None:
    usage = Usage()
    usage.add(said(5, 1, model="m-2"))
    usage.add(said(6, 2, model="m-1"))
    assert (usage.tokens_in, usage.tokens_out, usage.served_by) == (11, 3, {"m-1", "m-2"})
    assert usage.cost(PRICES) == pytest.approx(41e-6) and usage.cost(None) is None
    usage.add(b"{}")
    assert (usage.answers, usage.unmeasured, usage.cost(PRICES)) == (3, 1, None)


def test_a_request_may_take_its_bytes_and_its_limit_at_most() -> None:
    ledger = Ledger()
    assert ledger.try_reserve(BODY) == WORST
    assert WORST.uncounted(said()) is None and WORST.uncounted(b"{}") == (22, 100)
    schema = {"type": "json_object"}
    more = ledger.try_reserve({**BODY, "response_format": schema, "max_completion_tokens": 7})
    assert more == Reservation(22 + len(json.dumps(schema)), 7)


def test_without_a_limit_of_tokens_no_limit_of_cost_can_be_kept() -> None:
    body = {"messages": BODY["messages"]}
    assert Ledger(PRICES).try_reserve(body) == Reservation(22, 0)
    with pytest.raises(ModelError, match="no answer has a highest price"):
        Ledger(PRICES, 1.0).try_reserve(body)


def test_a_limit_needs_prices() -> None:
    with pytest.raises(ValueError, match="needs prices"):
        Ledger(None, 1.0)


def test_what_is_promised_counts_until_it_is_settled() -> None:
    ledger = Ledger(PRICES, 2.5 * WORST_COST)
    first, second = ledger.try_reserve(BODY), ledger.try_reserve(BODY)
    assert first and second and ledger.try_reserve(BODY) is None
    assert ledger.cost == 0.0
    ledger.settle(first, said(20, 10))
    assert ledger.cost == pytest.approx(120e-6)
    assert ledger.try_reserve(BODY)
    assert ledger.try_reserve(BODY) is None
    ledger.cancel(second)
    assert ledger.try_reserve(BODY)
    assert ledger.cost == pytest.approx(120e-6)
    assert ledger.try_reserve(BODY, anyway=True) == WORST


def test_an_uncounted_answer_and_a_lost_one_stay_at_their_worst() -> None:
    ledger = Ledger(PRICES, 1.0)
    promises = [ledger.try_reserve(BODY) for _ in range(2)]
    for promise, answer in zip(promises, (b"{}", None), strict=True):
        assert promise is not None
        assert promise.uncounted(answer) == (22, 100)
        ledger.settle(promise, answer)
    assert (ledger.unmeasured, ledger.lost, ledger.cost) == (1, 1, None)
    assert ledger.cost_at_most == pytest.approx(2 * WORST_COST)
    assert "spent at most 0.0020 of 1" in str(ledger.stop())


def test_a_request_waits_while_others_may_leave_enough() -> None:
    async def run() -> list[str]:
        ledger, seen = Ledger(PRICES, 1.5 * WORST_COST), []

        async def work(name: str, answer: bytes | None) -> None:
            promise = await ledger.reserve(BODY)
            seen.append(f"{name} sent")
            await asyncio.sleep(0)
            ledger.settle(promise, answer)

        jobs = (work("a", said(1, 1)), work("b", said(1, 1)), work("c", None))
        await asyncio.gather(*jobs)
        with pytest.raises(BudgetReached, match=r"spent at most 0\.0010 of 0\.001533"):
            await work("d", None)
        assert ledger.cost_at_most is not None and ledger.cost_at_most <= 1.5 * WORST_COST
        return seen

    assert asyncio.run(run()) == ["a sent", "b sent", "c sent"]


def test_all_that_wait_are_told_when_nothing_is_on_its_way() -> None:
    async def run() -> list[Any]:
        ledger = Ledger(PRICES, 1.5 * WORST_COST)
        promise = await ledger.reserve(BODY)
        waiting = [asyncio.create_task(ledger.reserve(BODY)) for _ in range(3)]
        await asyncio.sleep(0)
        ledger.settle(promise, None)
        with pytest.raises(BudgetReached):  # a small one too: the run is about to end
            await ledger.reserve({"messages": [], "max_tokens": 1})
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(result) for result in asyncio.run(run())] == [BudgetReached] * 3


def test_a_cancelled_wait_keeps_no_promise() -> None:
    async def run() -> None:
        ledger = Ledger(PRICES, 1.5 * WORST_COST)
        promise = await ledger.reserve(BODY)
        waiting = asyncio.create_task(ledger.reserve(BODY))
        await asyncio.sleep(0)
        ledger.cancel(promise)
        waiting.cancel()  # woken already, but not yet run
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.wait_for(ledger.reserve(BODY), 1) == WORST

    asyncio.run(run())


def test_a_journal_is_summed_once_however_often_it_is_opened(tmp_path: Path) -> None:
    async def keep(journal: Journal, *answers: Answer) -> None:
        await asyncio.gather(*map(journal.commit, answers))

    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        counted, silent = Answer(b"a", 200, said(7, 2)), Answer(b"b", 200, b"{}", (22, 100))
        asyncio.run(keep(journal, counted, silent, Answer(b"c", 500, said(1000, 1000))))
    for _ in range(2):
        with Journal(path) as journal:
            ledger = Ledger.open(journal, PRICES, 1.0)
        assert (ledger.tokens_in, ledger.tokens_out, ledger.unmeasured) == (7, 2, 1)
        assert ledger.cost is None
        assert ledger.cost_at_most == pytest.approx(27e-6 + WORST_COST)


@given(
    st.lists(
        st.tuples(st.integers(0, 22), st.integers(0, 100), st.sampled_from("gslc")), max_size=40
    ),
    st.floats(0.0005, 0.02),
)
def test_the_limit_is_never_passed(events: list[tuple[int, int, str]], limit: float) -> None:
    ledger = Ledger(PRICES, limit)
    open_promises: list[tuple[Reservation, tuple[int, int, str]]] = []
    for event in events:
        promise = ledger.try_reserve(BODY)
        if promise is not None:
            open_promises.append((promise, event))
        if promise is None or len(open_promises) > 3:
            for one, (tokens_in, tokens_out, kind) in open_promises:
                if kind == "c":
                    ledger.cancel(one)
                else:
                    answer = {"g": said(tokens_in, tokens_out), "s": b"{}", "l": None}[kind]
                    ledger.settle(one, answer)
            open_promises.clear()
        assert ledger.cost_at_most is not None and ledger.cost_at_most <= limit
