"""Pace and patience: limits, retries, dialects, and when it is no use."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.llm import LlmServer

from expclip.face.errors import ModelError
from expclip.tead import Journal, LlmOptions, OpenAIClient, Prompts, SourceText
from expclip.tead.annotate import converse
from expclip.tead.llm.client import Dialect
from expclip.tead.llm.scheduler import RowRefused, Scheduler, Tally, known_dialect

Start = Callable[..., LlmServer]
QUESTION = next(converse(SourceText("Hello there", "test"), Prompts.load(), LlmOptions("m")))


def find_dialect(options: LlmOptions, folder: Path) -> tuple[Dialect, Tally]:
    async def run() -> tuple[Dialect, Tally]:
        transport = OpenAIClient(options)
        with Journal(folder / "journal.sqlite") as journal:
            try:
                scheduler = Scheduler(transport, journal, options)
                dialect = await scheduler.find_dialect(QUESTION)
                assert known_dialect(journal, options) == dialect
                return dialect, scheduler.tally
            finally:
                await transport.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("formats", "answer_format"),
    [
        ("json_schema", "json_schema"),
        ("json_object", "json_object"),
        ("refused", "text"),
        ("ignored", "json_schema"),
    ],
)
def test_dialect_is_found_once_and_recorded(
    llm_server: Start, tmp_path: Path, formats: str, answer_format: str
) -> None:
    server = llm_server(formats=formats)
    options = LlmOptions("m", server.base_url)
    assert find_dialect(options, tmp_path)[0].answer_format == answer_format
    asked = server.stats()["requests"]
    assert find_dialect(options, tmp_path)[0].answer_format == answer_format
    assert server.stats()["requests"] == asked


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"models": ("other",)}, r"refused: HTTP 404: .*`m`"),
        ({"api_key": "secret"}, r"refused: HTTP 401: .*\(the key is taken from \$OPENAI_API_KEY\)"),
        ({"context_tokens": 10}, "refuses the question: HTTP 400: .*context"),
    ],
)
def test_a_server_that_refuses_everything_stops_the_run(
    llm_server: Start, tmp_path: Path, faults: dict[str, Any], message: str
) -> None:
    server = llm_server(**faults)
    with pytest.raises(ModelError, match=message) as caught:
        find_dialect(LlmOptions("m", server.base_url), tmp_path)
    assert "\n" not in str(caught.value) and server.base_url in str(caught.value)


def test_a_server_that_is_not_there_stops_the_run_within_seconds(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"127.0.0.1:9/v1 does not answer \("):
        find_dialect(LlmOptions("m", "http://127.0.0.1:9/v1"), tmp_path)


def test_a_server_that_always_fails_stops_the_run_after_the_patience(
    llm_server: Start, tmp_path: Path
) -> None:
    server = llm_server(rate_500=1.0)
    with pytest.raises(ModelError, match=r"not answer for \d s \(HTTP 500.*the same command"):
        find_dialect(LlmOptions("m", server.base_url, patience_s=1.0), tmp_path)


def test_a_limit_of_requests_is_found_and_kept(llm_server: Start, tmp_path: Path) -> None:
    server = llm_server(latency_s=0.2, max_concurrency=20)
    options = LlmOptions("m", server.base_url, in_flight=256, single_call=True)
    prompts = Prompts.load()
    texts = [SourceText(f"Day {number}", "test") for number in range(240)]
    levels: list[int] = []
    limited: list[int] = []

    async def run() -> Tally:
        transport = OpenAIClient(options)
        with Journal(tmp_path / "journal.sqlite") as journal:
            scheduler = Scheduler(transport, journal, options)

            async def ask(text: SourceText) -> None:
                question = next(converse(text, prompts, options))
                await scheduler.answer(Dialect().request(question, options), 1)
                levels.append(scheduler._limiter.level.limit)
                limited.append(scheduler.tally.limited)

            await asyncio.gather(*map(ask, texts))
            await transport.close()
            return scheduler.tally

    tally = asyncio.run(run())
    assert tally.asked == 240 + tally.limited
    assert limited[-1] - limited[120] < 60, "refused also when the limit was found"
    assert 14 <= sorted(levels[120:])[60] <= 24


def test_retry_after_is_honoured(llm_server: Start, tmp_path: Path) -> None:
    server = llm_server(limit_per_s=1.0, burst=1)
    options = LlmOptions("m", server.base_url)
    find_dialect(options, tmp_path / "a")
    _, tally = find_dialect(options, tmp_path / "b")
    log = server.stats(log=True)["log"]
    assert tally.limited == 1 and [outcome for _, _, outcome in log] == ["200", "429", "200"]
    assert log[2][0] - log[1][0] >= 0.9


def test_every_http_answer_is_in_the_journal(llm_server: Start, tmp_path: Path) -> None:
    server = llm_server(formats="refused")
    find_dialect(LlmOptions("m", server.base_url), tmp_path)
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.counts() == {200: 1, 400: 2}


def test_a_question_that_only_fails_gives_up_its_row(tmp_path: Path) -> None:
    class Failing:
        """Answers one question well, and fails at all others."""

        async def send(self, body: Any) -> Any:
            from expclip.tead.llm.client import Response

            return Response(200 if body["seed"] == 0 else 503, b"{}", 0.0)

        async def close(self) -> None: ...

    async def run() -> None:
        with Journal(tmp_path / "journal.sqlite") as journal:
            scheduler = Scheduler(Failing(), journal, LlmOptions("m"))
            scheduler._backoff = lambda key, retry: 0.0  # type: ignore[method-assign]
            await scheduler.answer({"seed": 0, "messages": ()}, 1)
            with pytest.raises(RowRefused, match="not answered after 12 requests"):
                await scheduler.answer({"seed": 1, "messages": ()}, 1)

    asyncio.run(run())
