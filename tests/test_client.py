"""Talking to a server: requests, dialects, replies, the openai transport."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from servers.llm import LlmServer

from expclip.face.errors import ParseError
from expclip.tead import FakeClient, LlmOptions, OpenAIClient, Prices
from expclip.tead.llm.client import ConnectionLost, Dialect, Question, Response, read_reply
from expclip.tead.llm.client import _retry_after as retry_after

Start = Callable[..., LlmServer]
QUESTION = Question("tags", ({"role": "user", "content": "Text: hello"},), 1, "row")


def body(**message: Any) -> bytes:
    finish = message.pop("finish_reason", "stop")
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()


def send(client: OpenAIClient | FakeClient, *bodies: dict[str, Any]) -> list[Response]:
    async def run() -> list[Response]:
        try:
            return [await client.send(one) for one in bodies]
        finally:
            await client.close()

    return asyncio.run(run())


def test_request_asks_in_json_schema_with_a_seed_of_the_row() -> None:
    options = LlmOptions("m", temperature=0.5, max_tokens=100)
    request = Dialect().request(QUESTION, options)
    assert request["response_format"]["json_schema"]["schema"]["required"] == ["emotions", "aus"]
    assert (request["temperature"], request["max_completion_tokens"]) == (0.5, 100)
    other = Question("tags", QUESTION.messages, 2, "row")
    assert Dialect().request(other, options)["seed"] != request["seed"]
    assert "temperature" not in Dialect().request(QUESTION, LlmOptions("m", temperature=None))


def test_dialect_gives_up_what_a_server_refuses_until_it_is_plain() -> None:
    dialect = Dialect().simpler("Unsupported parameter: 'max_completion_tokens'")
    assert dialect == Dialect(limit_name="max_tokens")
    dialect = dialect.simpler("'temperature' does not support 0.3 with this model")
    assert dialect == Dialect(limit_name="max_tokens", without=("temperature",))
    dialect = dialect.simpler("response_format: unknown field")
    assert dialect is not None and dialect.answer_format == "json_object"
    dialect = dialect.simpler("bad request")
    assert dialect is not None and dialect.answer_format == "text"
    assert "response_format" not in dialect.request(QUESTION, LlmOptions("m"))
    assert dialect.simpler("bad request") is None


def test_reply_is_read_from_the_body() -> None:
    assert read_reply(body(content="hi")) == "hi"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "envelope"),
        (b"{}", "envelope"),
        (b'{"choices": []}', "envelope"),
        (b'{"choices": [7]}', "envelope"),
        (b"[" * 100_000, "envelope"),
        (body(content=None), "empty"),
        (body(content=None, refusal="no"), "refusal"),
        (body(content="{", finish_reason="length"), "truncated"),
        (body(content="", finish_reason="content_filter"), "refusal"),
    ],
)
def test_bad_reply_has_a_reason(answer: bytes, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        read_reply(answer)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("9999", 120.0), ("soon", None), ("nan", None)],
)
def test_retry_after_is_read_and_bounded(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": header}) == seconds
    assert retry_after({}) is None


def test_retry_after_may_be_a_date() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


def test_fake_client_answers_in_order_or_by_function() -> None:
    client = FakeClient(["one", "two"])
    replies = [
        read_reply(response.body) for response in send(client, {"messages": []}, {"messages": []})
    ]
    assert replies == ["one", "two"]
    assert len(client.asked) == 2
    with pytest.raises(ConnectionLost):
        send(client, {"messages": []})
    echo = FakeClient(lambda messages: messages[-1]["content"])
    [response] = send(echo, {"messages": [{"content": "said"}]})
    assert read_reply(response.body) == "said"


def test_openai_client_returns_every_http_answer(llm_server: Start) -> None:
    server = llm_server(rate_429=1.0, retry_after_s=2)
    request = Dialect().request(QUESTION, LlmOptions("m"))
    [limited] = send(OpenAIClient(LlmOptions("m", server.base_url)), request)
    assert (limited.status, limited.retry_after_s) == (429, 2.0)
    server.configure(rate_429=0.0)
    [good] = send(OpenAIClient(LlmOptions("m", server.base_url)), request)
    assert good.status == 200 and "emotions" in json.loads(read_reply(good.body))
    server.configure(rate_cut=1.0)
    with pytest.raises(ConnectionLost):
        send(OpenAIClient(LlmOptions("m", server.base_url)), request)


@pytest.mark.parametrize(
    ("fault", "timed_out", "sent"),
    [
        ("rate_hang", True, True),
        ("rate_cut", False, True),
        ("rate_cut_body", False, True),
        (None, False, False),
    ],
)
def test_a_lost_connection_says_whether_it_took_too_long_and_may_be_billed(
    llm_server: Start, fault: str | None, timed_out: bool, sent: bool
) -> None:
    url = llm_server(**{fault: 1.0}).base_url if fault else "http://127.0.0.1:9/v1"
    client = OpenAIClient(LlmOptions("m", url, timeout_s=0.3))
    with pytest.raises(ConnectionLost) as caught:
        send(client, Dialect().request(QUESTION, LlmOptions("m")))
    assert (caught.value.timed_out, caught.value.sent) == (timed_out, sent)


def test_the_key_is_struck_out_of_whatever_comes_back(
    llm_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "Text: hello")  # the server's refusal repeats the model's name
    server = llm_server(models=("right",))
    options = LlmOptions("Text: hello", server.base_url, api_key_env="MY_KEY")
    [response] = send(OpenAIClient(options), Dialect().request(QUESTION, options))
    assert response.status == 404
    assert b"Text: hello" not in response.body and b"[key]" in response.body


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "localhost:80"},
        {"attempts": 0},
        {"in_flight": 0},
        {"timeout_s": -1.0},
        {"max_cost": 0.0, "prices": Prices(1, 1)},
        {"max_cost": float("nan"), "prices": Prices(1, 1)},
        {"max_cost": 5.0},
        {"backend": "cloud"},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|needs|expected one of"):
        LlmOptions("m", **wrong)
