"""The stand-in language model, asked by the ``openai`` package."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, DefaultAioHttpClient, OpenAI
from servers.llm import LlmServer
from servers.llm_faults import FAULTS, Faults, pick_fault
from servers.llm_replies import KEYS, SCENES, expected_reply, question_key

from expclip.face import aus_from_codes, find_conflicts, parse_action

TESTS = Path(__file__).parent


def schema(*keys: str) -> dict[str, Any]:
    """A response_format that asks for these keys."""
    properties = {key: {"type": "array", "items": {"type": "string"}} for key in keys}
    named = {"name": "reply", "schema": {"type": "object", "properties": properties}}
    return {"type": "json_schema", "json_schema": named}


def question(text: str = "I got the job!", *keys: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {
        "model": "m",
        "messages": messages,
        "response_format": schema(*(keys or ("emotions", "aus"))),
    }


def right_answer(asked: dict[str, Any]) -> dict[str, list[str]]:
    return expected_reply(asked["messages"], asked.get("response_format"))


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


@pytest.fixture(scope="module")
def shared_client(shared: LlmServer) -> Iterator[OpenAI]:
    """A client that tries once, and not for long."""
    with OpenAI(base_url=shared.base_url, api_key="key", max_retries=0, timeout=5) as client:
        yield client


@pytest.fixture
def client(server: LlmServer, shared_client: OpenAI) -> OpenAI:
    return shared_client


def test_reply_is_the_expected_one_in_the_form_of_openai(client: OpenAI) -> None:
    asked = question()
    reply = client.chat.completions.create(**asked)
    assert json.loads(reply.choices[0].message.content) == right_answer(asked)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].message.refusal is None
    assert reply.model == "m"
    assert reply.system_fingerprint == "fp_standin"
    assert reply.id.startswith("chatcmpl-")
    assert abs(reply.created - time.time()) < 60
    usage = reply.usage
    assert usage.prompt_tokens == len("I got the job!") // 4 + 3
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert [model.id for model in client.models.list()] == ["stand-in"]


@pytest.mark.parametrize("keys", [KEYS[:2], KEYS[2:], KEYS, ("aus", "emotions")])
def test_reply_holds_the_keys_of_the_schema(keys: tuple[str, ...]) -> None:
    assert tuple(right_answer(question("x", *keys))) == keys


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ('Answer with JSON: {"emotions": [], "aus": []}. No situation.', KEYS[:2]),
        ("Name the key `situations` only.", KEYS[2:]),
        ("Which emotions, which muscles?", KEYS[:2]),
        ("Imagine a situation for: joy, relief", KEYS[2:]),
        ("Emotion tags, action units, and situations, please", KEYS),
    ],
)
def test_without_a_schema_the_words_decide(words: str, keys: tuple[str, ...]) -> None:
    assert tuple(expected_reply([{"role": "user", "content": words}])) == keys


def test_a_question_asked_again_has_the_same_answer() -> None:
    example = [{"role": "user", "content": "Text: x"}, {"role": "assistant", "content": "{}"}]
    asked = [*example, {"role": "user", "content": "Text: y"}]
    again = [*asked, {"role": "user", "content": "That was no JSON."}]
    answers = [expected_reply(messages, schema(*KEYS)) for messages in (example, asked, again)]
    assert answers[1] == answers[2] != answers[0]


def test_replies_are_valid_annotations() -> None:
    for emotions, aus, situations in SCENES:
        assert min(len(set(emotions)), len(set(aus))) == 5
        assert len(set(situations)) == 3
        assert all(6 <= len(situation.split()) <= 25 for situation in situations)
        assert aus_from_codes(aus).sum() == 5
        assert not find_conflicts(parse_action(code).code for code in aus)
    sizes = {
        tuple(map(len, right_answer(question(f"text {i}", *KEYS)).values())) for i in range(500)
    }
    assert {size[0] for size in sizes} == {3, 4, 5}
    assert {size[1] for size in sizes} == {2, 3, 4, 5}
    assert {size[2] for size in sizes} == {1, 2, 3}


def ask_all(server: LlmServer, texts: list[str], *, retries: int = 0) -> dict[str, str]:
    """Ask every text at once with the aiohttp transport; return content or error by text."""

    async def ask(client: AsyncOpenAI, text: str) -> str:
        try:
            reply = await client.chat.completions.create(**question(text))
        except openai.OpenAIError as error:
            return type(error).__name__
        return str(reply.choices[0].message.content)

    async def run() -> dict[str, str]:
        async with AsyncOpenAI(
            base_url=server.base_url,
            api_key="key",
            max_retries=retries,
            http_client=DefaultAioHttpClient(timeout=10),
        ) as client:
            replies = await asyncio.gather(*(ask(client, text) for text in texts))
        return dict(zip(texts, replies, strict=True))

    return asyncio.run(run())


def test_faults_hang_on_the_question_and_not_on_the_order(server: LlmServer) -> None:
    rates = {"rate_429": 0.2, "rate_500": 0.1, "rate_empty": 0.2}
    server.configure(**rates, seed=7)
    texts = [f"text {i}" for i in range(120)]
    first = ask_all(server, texts)
    counts = server.stats()["faults"]
    server.reset()
    assert ask_all(server, texts[::-1]) == first
    faults = [pick_fault(question_key(question(t)), 0, Faults(**rates, seed=7)) for t in texts]
    assert counts == {fault: faults.count(fault) for fault in ("429", "500", "empty")}
    assert 10 <= faults.count("429") <= 40


def test_a_client_that_retries_gets_everything(server: LlmServer) -> None:
    server.configure(rate_429=0.3, retry_after_s=0.02)
    texts = [f"text {i}" for i in range(60)]
    replies = ask_all(server, texts, retries=20)
    assert {t: json.loads(reply) for t, reply in replies.items()} == {
        t: right_answer(question(t)) for t in texts
    }
    stats = server.stats()
    assert stats["distinct_answered"] == stats["statuses"]["200"] == 60
    assert stats["requests"] == 60 + stats["statuses"]["429"]
    assert set(stats["answered"].values()) == {1}


@pytest.mark.parametrize("sent", [None, 0.5, 3])
def test_429_carries_retry_after_on_order(
    server: LlmServer, client: OpenAI, sent: float | None
) -> None:
    server.configure(rate_429=1, retry_after_s=sent)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**question())
    expected = None if sent is None else f"{sent:g}"
    assert caught.value.response.headers.get("retry-after") == expected


@pytest.mark.parametrize("status", ["500", "502", "503"])
def test_server_errors_come_on_order(server: LlmServer, client: OpenAI, status: str) -> None:
    server.configure(**{f"rate_{status}": 1})
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**question())
    assert caught.value.status_code == int(status)
    assert server.stats()["statuses"] == {status: 1}


@pytest.mark.parametrize("fault", ["cut", "cut_body"])
def test_cut_connections_are_not_counted_as_answered(
    server: LlmServer, client: OpenAI, fault: str
) -> None:
    server.configure(**{f"rate_{fault}": 1})
    with pytest.raises(Exception, match=r"(?i)disconnect|closed|connection|peer"):
        client.chat.completions.create(**question())
    stats = server.stats()
    assert (stats["statuses"], stats["distinct_answered"]) == ({"cut": 1}, 0)


def test_a_request_that_hangs_is_never_answered(server: LlmServer, client: OpenAI) -> None:
    server.configure(rate_hang=1)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(**question())
    deadline = time.monotonic() + 2
    while server.stats()["in_flight"]:  # until the server sees that the client has left
        assert time.monotonic() < deadline
    assert server.stats()["statuses"] == {"gone": 1}


def test_a_slow_body_takes_its_time(server: LlmServer, client: OpenAI) -> None:
    server.configure(rate_slow_body=1, slow_body_s=0.3)
    started = time.monotonic()
    reply = client.chat.completions.create(**question())
    assert time.monotonic() - started >= 0.3
    assert json.loads(reply.choices[0].message.content) == right_answer(question())


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        ("bad_json", "stop"),
        ("truncated", "length"),
        ("white_space", "length"),
        ("refusal_prose", "stop"),
        ("empty", "stop"),
    ],
)
def test_content_that_does_not_parse_comes_on_order(
    server: LlmServer, client: OpenAI, fault: str, finish: str
) -> None:
    server.configure(**{f"rate_{fault}": 1})
    choice = client.chat.completions.create(**question()).choices[0]
    assert choice.finish_reason == finish
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice.message.content)


def test_a_refusal_has_no_content(server: LlmServer, client: OpenAI) -> None:
    server.configure(rate_refusal=1)
    message = client.chat.completions.create(**question()).choices[0].message
    assert message.content is None
    assert message.refusal


@pytest.mark.parametrize("fault", ["no_tags", "wrong_schema"])
def test_json_without_an_answer_comes_on_order(
    server: LlmServer, client: OpenAI, fault: str
) -> None:
    server.configure(**{f"rate_{fault}": 1})
    reply = json.loads(client.chat.completions.create(**question()).choices[0].message.content)
    assert not reply.get("emotions")


@pytest.mark.parametrize(
    ("formats", "obeyed"),
    [
        ("json_schema", ("json_schema", "json_object")),
        ("json_object", ("json_object",)),
        ("refused", ()),
    ],
)
def test_a_response_format_that_is_not_known_is_named(
    server: LlmServer, client: OpenAI, formats: str, obeyed: tuple[str, ...]
) -> None:
    server.configure(formats=formats)
    for kind in ("json_schema", "json_object"):
        asked = question()
        if kind == "json_object":
            asked["response_format"] = {"type": kind}
        if kind in obeyed:
            client.chat.completions.create(**asked)
            continue
        with pytest.raises(openai.BadRequestError, match="response_format") as caught:
            client.chat.completions.create(**asked)
        assert caught.value.param == "response_format"
    del asked["response_format"]
    client.chat.completions.create(**asked)


def test_a_response_format_may_be_ignored(server: LlmServer, client: OpenAI) -> None:
    server.configure(formats="ignored")
    content = client.chat.completions.create(**question()).choices[0].message.content
    assert content.startswith("Here is")
    assert json.loads(content.split("```json")[1].strip("`\n")) == right_answer(question())


def test_a_wrong_key_or_model_or_too_long_a_text_is_refused(
    server: LlmServer, client: OpenAI
) -> None:
    server.configure(api_key="secret")
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(**question())
    assert server.stats()["statuses"] == {"401": 1}
    server.configure(api_key="key", models=("a", "b"))
    assert [model.id for model in client.models.list()] == ["a", "b"]
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**question())
    assert missing.value.code == "model_not_found"
    server.configure(models=(), context_tokens=50)
    client.chat.completions.create(**question())
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**question("long " * 100))
    assert caught.value.code == "context_length_exceeded"


def test_the_token_bucket_lets_through_what_it_holds(server: LlmServer) -> None:
    server.configure(limit_per_s=0.001, burst=5)
    replies = ask_all(server, [f"text {i}" for i in range(12)])
    assert list(replies.values()).count("RateLimitError") == 7
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(server, question())
    assert int(caught.value.headers["Retry-After"]) > 900
    caught.value.close()


def test_more_in_flight_than_allowed_are_turned_away(server: LlmServer) -> None:
    server.configure(latency_s=0.3, max_concurrency=4)
    replies = ask_all(server, [f"text {i}" for i in range(10)])
    assert list(replies.values()).count("RateLimitError") == 6
    assert server.stats()["statuses"] == {"200": 4, "429": 6}


def post(server: LlmServer, body: object) -> Any:
    request = urllib.request.Request(
        server.base_url + "/chat/completions", data=json.dumps(body).encode()
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
        return json.load(reply)


def test_a_question_is_the_same_whatever_its_token_limit(server: LlmServer) -> None:
    for limit in (100, 200):
        post(server, question() | {"max_tokens": limit})
    post(server, question() | {"seed": 1})
    stats = server.stats(log=True)
    key = question_key(question())
    assert stats["asked"][key] == stats["answered"][key] == 2
    assert stats["distinct_answered"] == 2
    assert [entry[1:] for entry in stats["log"][:2]] == [[key, "200"]] * 2


def test_latency_and_jitter_delay_each_reply(server: LlmServer) -> None:
    server.configure(latency_s=0.1, jitter_s=0.1)
    started = time.monotonic()
    ask_all(server, [f"text {i}" for i in range(50)])
    assert 0.1 < time.monotonic() - started < 2


def test_every_fault_has_a_rate_and_rates_above_one_are_refused() -> None:
    assert len(Faults().rates) == len(FAULTS)
    with pytest.raises(ValueError, match=r"add up to 1\.2"):
        Faults(rate_429=0.6, rate_cut=0.6)


def upload(client: OpenAI, *bodies: Any) -> str:
    """Upload a file of requests with the names "0", "1", ...; return its id."""
    line = {"method": "POST", "url": "/v1/chat/completions"}
    lines = [{**line, "custom_id": str(name), "body": body} for name, body in enumerate(bodies)]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return client.files.create(file=("requests.jsonl", content), purpose="batch").id


def start_batch(client: OpenAI, file: str, **metadata: str) -> Any:
    return client.batches.create(
        input_file_id=file,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata=metadata,
    )


def wait_for(client: OpenAI, batch: Any, seen: list[str] | None = None) -> Any:
    """Return a batch when it has ended; notes the states that it was seen in."""
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        batch = client.batches.retrieve(batch.id)
        if seen is not None and seen[-1:] != [batch.status]:
            seen.append(batch.status)
    return batch


def results(client: OpenAI, file: str | None) -> dict[str, Any]:
    """Return the lines of an output or error file by the names of their requests."""
    lines = client.files.content(file).text.splitlines() if file else []
    return {line["custom_id"]: line for line in map(json.loads, lines)}


def test_a_batch_answers_all_in_its_own_order(server: LlmServer, client: OpenAI) -> None:
    server.configure(batch_seconds=0.5)
    asked = [question(f"text {number}") for number in range(30)]
    seen: list[str] = []
    batch = wait_for(client, start_batch(client, upload(client, *asked), mine="yes"), seen)
    states = ["validating", "in_progress", "finalizing", "completed"]
    assert seen == [state for state in states if state in seen] and len(seen) > 2
    assert batch.metadata == {"mine": "yes"} and batch.error_file_id is None
    assert dict(batch.request_counts) == {"total": 30, "completed": 30, "failed": 0}
    answers = results(client, batch.output_file_id)
    assert list(answers) != sorted(answers, key=int) and len(answers) == 30
    for name, line in answers.items():
        assert (line["response"]["status_code"], line["error"]) == (200, None)
        content = line["response"]["body"]["choices"][0]["message"]["content"]
        assert json.loads(content) == right_answer(asked[int(name)])
    assert set(server.stats()["answered"].values()) == {1}


def test_a_batch_meets_the_faults_of_the_live_path(server: LlmServer, client: OpenAI) -> None:
    rates = {"rate_429": 0.3, "rate_empty": 0.3, "rate_cut": 0.3}
    server.configure(**rates)
    asked = [question(f"text {number}") for number in range(40)]
    faults = [pick_fault(question_key(one), 0, Faults(**rates)) for one in asked]
    batch = wait_for(client, start_batch(client, upload(client, *asked)))
    answered = results(client, batch.output_file_id)
    failed = results(client, batch.error_file_id)
    for name, fault in enumerate(faults):
        if fault == "429":
            assert failed[str(name)]["response"]["status_code"] == 429
        elif fault == "cut":
            assert failed[str(name)]["error"]["code"] == "request_timeout"
        else:
            reply = answered[str(name)]["response"]["body"]["choices"][0]["message"]["content"]
            assert (reply == "") == (fault == "empty")
    assert dict(batch.request_counts)["failed"] == len(failed) == 40 - len(answered)


def test_a_batch_expires_or_is_cancelled_half_way(server: LlmServer, client: OpenAI) -> None:
    server.configure(batch_expires=1, batch_expires_share=0.25)
    asked = [question(f"text {number}") for number in range(20)]
    batch = wait_for(client, start_batch(client, upload(client, *asked)))
    assert batch.status == "expired" and len(results(client, batch.output_file_id)) == 15
    errors = results(client, batch.error_file_id).values()
    assert {line["error"]["code"] for line in errors} == {"batch_expired"} and len(errors) == 5
    server.configure(batch_seconds=2)
    batch = client.batches.cancel(start_batch(client, upload(client, *asked)).id)
    assert batch.status == "cancelling"
    assert wait_for(client, batch).status == "cancelled"
    with pytest.raises(openai.ConflictError, match="Cannot cancel"):
        client.batches.cancel(batch.id)


@pytest.mark.parametrize(
    ("faults", "bodies", "code"),
    [
        ({"batch_fails": 1}, [question()], "invalid_json_line"),
        ({"batch_requests": 1}, [question("a"), question("b")], "too_many_tasks"),
        ({"batch_queue": 1}, [question("a"), question("b")], "token_limit_exceeded"),
        ({}, [question() | {"model": "a"}, question() | {"model": "b"}], "mismatched_model"),
        ({}, [], "empty_file"),
        ({}, [question() | {"messages": []}], "invalid_json_line"),
    ],
)
def test_a_batch_that_is_wrong_fails(
    server: LlmServer, client: OpenAI, faults: dict[str, Any], bodies: list[Any], code: str
) -> None:
    server.configure(**faults)
    batch = wait_for(client, start_batch(client, upload(client, *bodies)))
    assert (batch.status, batch.errors.data[0].code) == ("failed", code)
    assert not server.stats()["asked"]


def test_batches_are_listed_page_by_page_newest_first(server: LlmServer, client: OpenAI) -> None:
    file = upload(client, question())
    made = [start_batch(client, file).id for _ in range(5)]
    assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]
    assert client.batches.list(limit=5).has_more is False


def test_files_can_be_read_and_removed(server: LlmServer, client: OpenAI) -> None:
    file = upload(client, question())
    assert client.files.retrieve(file).purpose == "batch"
    assert client.files.delete(file).deleted and server.stats()["files"] == {}
    for use in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            use(file)
    with pytest.raises(openai.NotFoundError):
        start_batch(client, file)
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_0")
    server.configure(api_key="secret")
    with pytest.raises(openai.AuthenticationError):
        upload(client, question())


def test_a_call_whose_answer_is_lost_was_made(server: LlmServer, client: OpenAI) -> None:
    file = upload(client, question())
    server.configure(batch_lost=1.0)
    with pytest.raises(openai.APIConnectionError):
        start_batch(client, file)
    server.configure(batch_lost=0.0, batch_503=1.0)
    with pytest.raises(openai.InternalServerError):
        start_batch(client, file)
    server.configure(batch_503=0.0)
    assert len(list(client.batches.list())) == 1


@pytest.mark.parametrize("how", [("-m", "servers.llm"), (str(TESTS / "servers" / "llm.py"),)])
def test_it_can_be_started_by_hand(how: tuple[str, ...]) -> None:
    command = [sys.executable, *how, "--latency", "0.01", "--rate-429", "0.1", "--models", "a,b"]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on http://127.0.0.1:")
        process.kill()


def test_it_dies_with_the_process_that_started_it() -> None:
    code = (
        "import os, signal; from servers.llm import LlmServer; server = LlmServer()\n"
        "print(server.base_url, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTS, stdout=subprocess.PIPE, text=True, check=False
    )
    assert run.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while is_up(run.stdout.strip()):
        assert time.monotonic() < deadline, f"{run.stdout.strip()} is still there"
        time.sleep(0.02)


def is_up(base_url: str) -> bool:
    host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_the_fixture_starts_servers_of_its_own(llm_server: Any) -> None:
    one, other = llm_server(), llm_server(rate_500=1)
    assert post(one, question())["object"] == "chat.completion"
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(other, question())
    caught.value.close()
