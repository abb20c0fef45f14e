"""Talking to a server: requests, dialects, replies, the openai transport."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from servers.llm import LlmServer

from expclip.face.errors import ParseError
from expclip.tead import FakeClient, LlmOptions, OpenAIClient
from expclip.tead.client import ConnectionLost, Dialect, Question, Response, read_reply, read_usage
from expclip.tead.client import _retry_after as retry_after

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


def test_usage_is_counted_where_the_server_tells_it() -> None:
    assert read_usage(b'{"usage": {"prompt_tokens": 7, "completion_tokens": 2}}') == (7, 2)
    for silent in (b"{}", b"[]", b"no", b'{"usage": null}', b'{"usage": {"prompt_tokens": "x"}}'):
        assert read_usage(silent) == (0, 0)


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


def test_hanging_server_is_a_lost_connection(llm_server: Start) -> None:
    server = llm_server(rate_hang=1.0)
    client = OpenAIClient(LlmOptions("m", server.base_url, timeout_s=0.3))
    with pytest.raises(ConnectionLost):
        send(client, Dialect().request(QUESTION, LlmOptions("m")))


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
    [{"base_url": "localhost:80"}, {"attempts": 0}, {"in_flight": 0}, {"timeout_s": -1.0}],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        LlmOptions("m", **wrong)
