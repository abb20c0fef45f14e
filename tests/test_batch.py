"""Asking in batches: the same rows as live, nothing paid twice, whatever happens between."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.llm import LlmServer
from servers.llm_faults import Faults

from expclip.face.errors import DataError, ModelError
from expclip.tead import BuildPlan, Journal, LlmOptions, Prompts, build
from expclip.tead.corpora.corpus import read_corpus
from expclip.tead.llm.batch.api import Batch, BatchLimits, NotKnown, OpenAIBatches, message_of
from expclip.tead.llm.batch.book import BatchBook, describe_open_batches
from expclip.tead.llm.batch.fill import BatchTally, fill_journal_in_batches
from expclip.tead.llm.batch.lines import read_lines, request_line, scratch_file
from expclip.tead.llm.cost import BudgetReached, Ledger, Prices
from expclip.tead.plan import claim

LIMITS = BatchLimits(poll_s=0.01, slowest_poll_s=0.03, silence_s=5.0)
KEY = b"k" * 32


@pytest.fixture(scope="module")
def shared() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server


@pytest.fixture
def server(shared: LlmServer) -> LlmServer:
    """One server for all tests, without faults and with counts at 0."""
    shared.configure(**asdict(Faults()))
    shared.reset()
    return shared


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"Text number {number} of the corpus\n" for number in range(40)))
    return path


def plan_of(corpus: Path, server: LlmServer, **options: Any) -> BuildPlan:
    return BuildPlan((str(corpus),), llm=LlmOptions("stand-in", server.base_url, **options))


def fill(out: Path, plan: BuildPlan, limits: BatchLimits = LIMITS, **more: Any) -> BatchTally:
    """Fill the journal of a folder in batches, as a build would."""
    texts = read_corpus(plan.corpora, plan.corpus).texts
    llm = plan.llm
    assert llm is not None

    async def run(journal: Journal) -> BatchTally:
        batches = OpenAIBatches(llm, limits)
        ledger = Ledger.open(journal, llm.prices, llm.max_cost)
        try:
            return await fill_journal_in_batches(
                texts, Prompts.load(), llm, batches, journal, ledger, **more
            )
        finally:
            await batches.close()

    with Journal(out / ".expclip" / "journal.sqlite") as journal:
        journal._db.execute("PRAGMA synchronous = OFF")  # processes die here, machines do not
        return asyncio.run(run(journal))


def call(llm: LlmOptions, use: Callable[[OpenAIBatches], Any]) -> Any:
    """Return what one use of the client gives."""

    async def run() -> Any:
        batches = OpenAIBatches(llm, LIMITS)
        try:
            return await use(batches)
        finally:
            await batches.close()

    return asyncio.run(run())


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every published file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".expclip" not in path.parts
    }


def write(out: Path, plan: BuildPlan) -> dict[str, bytes]:
    """Write the data set of a filled journal; return its files."""
    build(out, plan, ask=False, overwrite=True)
    return files(out)


def settle(server: LlmServer) -> dict[str, Any]:
    """Return the server's counts when all of its batches have ended."""
    while True:
        stats = server.stats()
        if not stats["batches"].keys() & {"validating", "in_progress", "finalizing"}:
            return stats
        time.sleep(0.01)


@pytest.fixture
def live(server: LlmServer, corpus: Path, tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """The files of the same build without batches."""

    def make(**options: Any) -> dict[str, bytes]:
        build(tmp_path / "live", plan_of(corpus, server, **options))
        server.reset()
        return files(tmp_path / "live")

    return make


@pytest.mark.parametrize("options", [{}, {"single_call": True}], ids=["two calls", "one"])
def test_rows_are_byte_for_byte_those_of_the_live_build(
    server: LlmServer, corpus: Path, tmp_path: Path, live: Any, options: dict[str, Any]
) -> None:
    server.configure(rate_bad_json=0.1, rate_truncated=0.1, rate_refusal=0.05, rate_no_tags=0.05)
    expected = live(**options)
    plan = plan_of(corpus, server, **options)
    tally = fill(tmp_path / "out", plan)
    assert write(tmp_path / "out", plan) == expected
    stats = server.stats()
    assert stats["requests"] == 1, "more than the first question was asked live"
    assert set(stats["answered"].values()) == {1}
    assert tally.asked == len(stats["answered"]) and tally.open == tally.waiting == 0


def test_a_build_takes_batches_by_name(
    server: LlmServer, corpus: Path, tmp_path: Path, live: Any
) -> None:
    expected = live()
    build(tmp_path / "out", plan_of(corpus, server, backend="batch"))
    assert files(tmp_path / "out") == expected
    assert server.stats()["batches"] == {"completed": 2}


def test_a_full_journal_sends_no_batch(server: LlmServer, corpus: Path, tmp_path: Path) -> None:
    plan = plan_of(corpus, server)
    fill(tmp_path, plan)
    before = server.stats()
    tally = fill(tmp_path, plan)
    assert server.stats() == before
    assert (tally.asked, tally.found) == (0, 80)


def test_files_are_removed_once_they_are_read(
    server: LlmServer, corpus: Path, tmp_path: Path
) -> None:
    fill(tmp_path, plan_of(corpus, server))
    assert server.stats()["files"] == {}
    assert {path.name for path in (tmp_path / ".expclip").iterdir()} == {"journal.sqlite"}


@pytest.mark.parametrize(
    ("limits", "most", "batches"),
    [
        (replace(LIMITS, requests=15), 15, 3 + 3),
        (replace(LIMITS, size=60_000), 40, None),
        (replace(LIMITS, size=1), 1, 3),
    ],
)
def test_files_keep_within_the_limits(
    server: LlmServer,
    corpus: Path,
    tmp_path: Path,
    limits: BatchLimits,
    most: int,
    batches: int | None,
) -> None:
    server.configure(batch_requests=most)
    if most == 1:  # a file has at least one request
        corpus.write_text("The first of two\nAnd the second\n")
    fill(tmp_path, plan_of(corpus, server), limits)
    stats = server.stats()
    assert stats["distinct_answered"] == (4 if most == 1 else 80)
    assert batches is None or stats["batches"] == {"completed": batches}
    assert stats["batches"]["completed"] > 2


@pytest.mark.parametrize(
    "faults",
    [
        {"rate_429": 0.2},
        {"rate_500": 0.2},
        {"rate_hang": 0.2},
        {"batch_odd_lines": True},
        {"batch_503": 0.1, "batch_lost": 0.1},
        {"batch_expires": 2, "batch_expires_share": 0.4},
        {"batch_expires": 1, "batch_expires_share": 1.0},
    ],
    ids=lambda faults: " ".join(faults),
)
def test_faults_cost_no_row_and_no_second_payment(
    server: LlmServer, corpus: Path, tmp_path: Path, live: Any, faults: dict[str, Any]
) -> None:
    expected = live()
    server.configure(**faults)
    plan = plan_of(corpus, server)
    tally = fill(tmp_path / "out", plan)
    assert write(tmp_path / "out", plan) == expected
    stats = settle(server)
    assert stats["distinct_answered"] == 80
    assert set(stats["answered"].values()) == {1}
    # Per batch, seven lines that say nothing (the empty one is none), and one that comes twice.
    assert tally.ignored == (8 * 2 if "batch_odd_lines" in faults else 0)


class Killed(BaseException):
    """What a run dies of in these tests."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, moment: int) -> Iterator[list[str]]:
    """Let a run die after its n-th call or journal entry; yields what it did."""
    steps: list[str] = []

    def die() -> None:
        if len(steps) == moment:
            raise Killed

    once, note = OpenAIBatches._once, Journal.record_fact

    async def dying_once(self: OpenAIBatches, send: Any) -> Any:
        result = await once(self, send)
        steps.append("call")
        die()
        return result

    def dying_note(self: Journal, name: str, value: Any) -> None:
        note(self, name, value)
        steps.append(name)
        die()

    with monkeypatch.context() as patch:
        patch.setattr(OpenAIBatches, "_once", dying_once)
        patch.setattr(Journal, "record_fact", dying_note)
        yield steps


def test_a_run_that_dies_after_any_step_is_finished_by_the_next(
    server: LlmServer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.write_text("The first of three\nThe second\nThe last\n")
    plan = plan_of(corpus, server, single_call=True)
    for moment in count(1):
        server.reset()
        out = tmp_path / str(moment)
        with dying(monkeypatch, moment) as steps:
            try:
                fill(out, plan)
                break  # it came to its end before that moment
            except Killed:
                fill(out, plan)
        stats = settle(server)
        assert stats["distinct_answered"] == 3
        assert set(stats["answered"].values()) == {1}, f"paid twice after {steps}"
        with Journal(out / ".expclip" / "journal.sqlite") as journal:
            assert journal.counts() == {200: 3}
    assert steps.count("batches") == 4, "the states of one batch"


def test_killed_at_seeded_moments_every_row_is_right_and_paid_once(
    server: LlmServer, corpus: Path, tmp_path: Path, live: Any
) -> None:
    expected = live()
    server.configure(batch_seconds=0.2)
    plan, out = plan_of(corpus, server), tmp_path / "out"
    moments = random.Random(0)
    for _ in range(8):
        process = get_context("fork").Process(target=fill, args=(out, plan))
        process.start()
        time.sleep(moments.uniform(0.02, 0.3))
        process.kill()
        process.join()
    fill(out, plan)
    assert write(out, plan) == expected
    settle(server)
    stats = server.stats(log=True)
    asked_live = {question for _, question, _ in stats["log"]}
    assert len(asked_live) == 1  # the first: killed before its answer came, it is asked again
    assert {key for key, times in stats["answered"].items() if times > 1} <= asked_live


def test_an_interrupt_leaves_the_batches_to_the_next_run(
    server: LlmServer, corpus: Path, tmp_path: Path
) -> None:
    server.configure(batch_seconds=0.6)
    plan = plan_of(corpus, server)
    told: list[tuple[int, int, int, int]] = []

    def interrupt(done: int, total: int, tally: Any) -> None:
        told.append((done, tally.open, tally.waiting, tally.served))
        if 0 < tally.served:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, plan, progress=interrupt)
    assert told[0] == (0, 1, 39 + 1, 0)
    assert 0 < told[-1][3] < 40
    with Journal(tmp_path / ".expclip" / "journal.sqlite") as journal:
        assert describe_open_batches(journal) == "1 batch of 40 requests at the server"
    server.configure(batch_seconds=0)
    fill(tmp_path, plan)
    assert set(server.stats()["answered"].values()) == {1}
    with Journal(tmp_path / ".expclip" / "journal.sqlite") as journal:
        assert describe_open_batches(journal) == ""


def test_money_runs_out_before_it_is_overspent_and_more_goes_on(
    server: LlmServer, corpus: Path, tmp_path: Path, live: Any
) -> None:
    expected = live()
    prices = Prices(1.0, 1.0)
    poor = plan_of(corpus, server, prices=prices, max_cost=0.05, max_tokens=200)
    with pytest.raises(BudgetReached, match=r"may cost more than is left: spent 0\.\d+ of 0\.05"):
        fill(tmp_path / "out", poor)
    answered = server.stats()["distinct_answered"]
    assert 10 < answered < 80
    with Journal(tmp_path / "out" / ".expclip" / "journal.sqlite") as journal:
        spent = Ledger.open(journal, prices).cost
    assert spent is not None and 0.04 < spent <= 0.05
    fill(tmp_path / "out", plan_of(corpus, server, prices=prices, max_cost=9.0))
    assert write(tmp_path / "out", plan_of(corpus, server)) == expected
    assert set(server.stats()["answered"].values()) == {1}


def test_what_an_earlier_run_has_under_way_is_counted_in(
    server: LlmServer, corpus: Path, tmp_path: Path
) -> None:
    server.configure(batch_seconds=0.3)
    plan = plan_of(corpus, server, prices=Prices(1.0, 1.0), max_cost=0.05, max_tokens=200)

    def interrupt(done: int, total: int, tally: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        fill(tmp_path, plan, progress=interrupt)
    assert server.stats()["batches"].keys() <= {"validating", "in_progress"}
    server.configure(batch_seconds=0)
    with pytest.raises(BudgetReached):
        fill(tmp_path, plan)
    with Journal(tmp_path / ".expclip" / "journal.sqlite") as journal:
        spent = Ledger.open(journal, Prices(1.0, 1.0)).cost
    assert spent is not None and spent <= 0.05


def test_a_server_that_cannot_hold_all_at_once_is_given_less(
    server: LlmServer, corpus: Path, tmp_path: Path, live: Any
) -> None:
    expected = live()
    server.configure(batch_queue=25, batch_seconds=0.05)
    plan = plan_of(corpus, server)
    fill(tmp_path / "out", plan, replace(LIMITS, requests=10))
    assert write(tmp_path / "out", plan) == expected
    stats = server.stats()
    assert set(stats["answered"].values()) == {1}
    assert 1 <= stats["batches"]["failed"] <= 3


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"batch_fails": 1}, r"batch batch_\d+ failed: line 7: This line is not parseable as JSON"),
        ({"batch_queue": 5}, r"answered nothing in 3 rounds \(batch .* failed: Enqueued token"),
        ({"batch_expires": 9, "batch_expires_share": 1.0}, "nothing in 3 rounds .*expired before"),
        ({"batch_files_lost": True}, "its answers are gone .*to ask again, and pay again"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_batch_that_is_no_use_is_one_line_and_the_next_run_goes_on(
    server: LlmServer, corpus: Path, tmp_path: Path, faults: dict[str, Any], message: str
) -> None:
    server.configure(**faults)
    plan = plan_of(corpus, server)
    with pytest.raises(ModelError, match=message) as caught:
        fill(tmp_path, plan)
    assert "\n" not in str(caught.value) and server.base_url in str(caught.value)
    server.configure(**asdict(Faults()))
    fill(tmp_path, plan)
    assert server.stats()["distinct_answered"] == 80


def test_refused_requests_give_up_their_rows_and_no_others(
    server: LlmServer, corpus: Path, tmp_path: Path
) -> None:
    corpus.write_text(corpus.read_text() + "long " * 200 + "\n")
    plan = plan_of(corpus, server)
    empty = Prompts.load().messages("tags", {"text": ""})
    size = sum(len(message["content"]) for message in empty)
    server.configure(context_tokens=size // 4 + 100)
    tally = fill(tmp_path, plan)
    assert tally.asked == 81
    with Journal(tmp_path / ".expclip" / "journal.sqlite") as journal:
        assert journal.counts() == {200: 80, 400: 1}


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"models": ("another",)}, "refused: HTTP 404: The model `stand-in` does not exist"),
        ({"api_key": "right"}, r"HTTP 401: .*\(the key is taken from \$OPENAI_API_KEY\)"),
    ],
)
def test_a_refusal_of_everything_stops_the_run_and_keeps_the_batches(
    server: LlmServer, corpus: Path, tmp_path: Path, faults: dict[str, Any], message: str
) -> None:
    plan = plan_of(corpus, server)
    with pytest.raises(Killed):
        fill(tmp_path, plan, progress=lambda done, total, tally: die())
    server.configure(**faults, batch_seconds=0.1)
    with pytest.raises(ModelError, match=message) as caught:
        fill(tmp_path, plan)
    assert "\n" not in str(caught.value)
    server.configure(**asdict(Faults()))
    fill(tmp_path, plan)
    assert set(server.stats()["answered"].values()) == {1}


def die() -> None:
    raise Killed


def test_batches_of_another_server_or_key_are_not_asked_again(
    server: LlmServer, corpus: Path, tmp_path: Path, llm_server: Callable[..., LlmServer]
) -> None:
    plan = plan_of(corpus, server)
    with pytest.raises(Killed):
        fill(tmp_path, plan, progress=lambda done, total, tally: die())
    other = llm_server()
    with pytest.raises(ModelError, match=f"batch batch_.* was sent to {server.base_url}, and this"):
        fill(tmp_path, plan_of(corpus, other))
    server.reset()  # knows no batch now, as with a key of someone else
    with pytest.raises(ModelError, match=r"batch_\d+ with 40 requests is not known .*another key"):
        fill(tmp_path, plan)
    assert not server.stats()["asked"] and not other.stats()["asked"]


def test_a_server_without_batches_is_one_line(corpus: Path, tmp_path: Path, server: Any) -> None:
    nowhere = LlmOptions("m", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9/v1 does not answer for \d s \("):
        call(nowhere, lambda batches: batches.retrieve("x"))
    astray = LlmOptions("m", server.base_url + "/astray")
    with pytest.raises(NotKnown, match="refused: HTTP 404: Unknown path"):
        call(astray, lambda batches: batches.retrieve("x"))


def test_a_cancelled_batch_gives_what_it_has_answered(server: LlmServer, tmp_path: Path) -> None:
    server.configure(batch_seconds=0.5)
    llm = LlmOptions("m", server.base_url)
    body = {"model": "m", "messages": [{"role": "user", "content": "Text: x"}]}

    async def use(batches: OpenAIBatches) -> tuple[Batch, list[Any]]:
        with scratch_file(tmp_path) as file:
            for number in range(20):
                file.write(request_line(bytes([number]) * 32, {**body, "seed": number}))
            name = await batches.upload(file)
        batch = await batches.create(name, "token")
        while batch.done < 5:
            batch = await batches.retrieve(batch.id)
        await batches.cancel(batch.id)
        while batch.status != "cancelled":
            batch = await batches.retrieve(batch.id)
        assert batch.output_file and batch.error_file
        found = await batches.find("token", "", 0.0)
        assert found is not None and found.id == batch.id
        assert await batches.find("another", "", 0.0) is None
        names = (batch.output_file, batch.error_file)
        return batch, [
            [line async for line in batches.answers(name, 10**6, tmp_path)] for name in names
        ]

    batch, (answered, left) = call(llm, use)
    assert batch.input_file and batch.token == "token" and 5 <= batch.done
    assert {line.status for line in answered} == {200} and {line.status for line in left} == {None}
    assert {line.key[0] for line in answered + left} == set(range(20))


def test_an_answer_that_is_larger_than_allowed_is_not_taken(
    server: LlmServer, tmp_path: Path
) -> None:
    async def use(batches: OpenAIBatches) -> None:
        with scratch_file(tmp_path) as file:
            file.write(b"x" * 3_000_000)
            name = await batches.upload(file)
        async for _ in batches.answers(name, 2_999_999, tmp_path):
            pass

    with pytest.raises(ModelError, match=r"file-\d+ is larger than 2,999,999 bytes"):
        call(LlmOptions("m", server.base_url), use)


def test_the_key_is_struck_out_of_answers_and_errors(
    server: LlmServer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "chatcmpl")  # every answer has it
    fill(tmp_path, plan_of(corpus, server))
    with Journal(tmp_path / ".expclip" / "journal.sqlite") as journal:
        bodies = list(journal.good_answers())
    assert len(bodies) == 80
    assert all(b"chatcmpl" not in body and b"[key]" in body for body in bodies)
    monkeypatch.setenv("OPENAI_API_KEY", "parseable")
    server.configure(batch_fails=99)
    with pytest.raises(ModelError, match=r"line is not \[key\] as JSON"):
        fill(tmp_path / "other", plan_of(corpus, server))


def result(**fields: Any) -> bytes:
    line = {"custom_id": KEY.hex(), "response": {"status_code": 200, "body": {"a": 1}}}
    return json.dumps(line | fields).encode()


def lines_of(tmp_path: Path, content: bytes) -> list[Any]:
    with scratch_file(tmp_path) as file:
        file.write(content)
        return list(read_lines(file))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (result(), (200, b'{"a": 1}')),
        (result(response=None, error={"code": "x"}), (None, b'{"code": "x"}')),
        (result(response={"status_code": 500, "body": "no"}), (500, b'"no"')),
        (result(response={"status_code": 200, "body": "\ud800"}), (200, b'"\\ud800"')),
        (result(response={"status_code": 200}), None),
        (result(response={"status_code": True, "body": 1}), None),
        (result(response={"status_code": 9999, "body": 1}), None),
        (result(response=[]), None),
        (result(custom_id="row 1"), None),
        (result(custom_id=None), None),
        (b"[]", None),
        (b"[" * 100_000, None),
        (result()[:-1], (200, result()[:-1])),  # cut off, but answered
        (b'{"custom_id": "' + KEY.hex().encode() + b'", "x": ' + b"[" * 99_999, "as it came"),
    ],
)
def test_a_line_is_read_or_says_nothing(tmp_path: Path, raw: bytes, expected: Any) -> None:
    [line] = lines_of(tmp_path, raw + b"\n")
    if expected is None:
        assert line is None
    else:
        assert line.key == KEY
        status, body = (200, raw + b"\n") if expected == "as it came" else expected
        assert (line.status, line.body.rstrip(b"\n")) == (status, body.rstrip(b"\n"))


def test_a_line_without_end_is_an_answer_without_end(tmp_path: Path) -> None:
    long = result(response={"status_code": 200, "body": "x" * 5_000_000})
    first, second = lines_of(tmp_path, long + b"\n\n" + result() + b"\n")
    assert (first.status, len(first.body)) == (200, 1_100_000)
    assert second.body == b'{"a": 1}'


@given(st.binary(max_size=200))
def test_any_bytes_are_lines(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    assert all(line is None for line in lines_of(tmp_path_factory.getbasetemp(), content))


@given(st.text(max_size=50))
def test_a_request_is_one_line_to_every_reader(text: str) -> None:
    body = {"messages": [{"role": "user", "content": text}]}
    line = request_line(KEY, body)
    assert line.endswith(b"\n") and len(line.decode().splitlines()) == 1
    read = json.loads(line)
    assert (read["custom_id"], read["method"]) == (KEY.hex(), "POST")
    assert read["url"] == "/v1/chat/completions"
    assert read["body"]["messages"][0]["content"] == text.encode("utf-8", "replace").decode()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
FIELDS = ("id", "status", "errors", "metadata", "created_at", "input_file_id", "request_counts")


@given(JSON_VALUES | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON_VALUES)))
def test_no_document_breaks_the_reading_of_a_batch(document: Any) -> None:
    assert "\n" not in message_of(document)
    try:
        batch = Batch.parse(document)
    except ModelError as error:
        assert str(error) == "the server's answer is no batch of the Batch API"
    else:
        assert batch.id and "\n" not in batch.problem


@pytest.mark.parametrize("name", ["requests", "size", "poll_s", "slowest_poll_s", "silence_s"])
def test_wrong_limits_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        BatchLimits(**{name: 0})


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="cannot be written: No such file"),
        scratch_file(tmp_path / "absent"),
    ):
        pass


def test_the_book_forgets_requests_that_were_read(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        book = BatchBook(journal)
        first = book.begin("here", "digest", [KEY, b"j" * 32])
        second = book.begin("here", "digest", [KEY])
        assert first.token.startswith("digest-") and first.token != second.token
        book.end(first, "completed")
        book.note(replace(second, batch="b"))
        again = BatchBook(journal)
        assert [record.batch for record in again.open] == ["b"]
        assert again.keys_of(second) == {KEY} and again.keys_of(first) == set()


def test_a_live_run_warns_of_batches_that_are_still_open(
    server: LlmServer, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = plan_of(corpus, server)
    claim(tmp_path / "out", plan, overwrite=False)
    with Journal(tmp_path / "out/.expclip/journal.sqlite") as journal:
        BatchBook(journal).begin(server.base_url, "a" * 64, [KEY])
    build(tmp_path / "out", plan)
    assert "1 batch of 1 requests at the server: their rows are asked, and paid" in caplog.text
