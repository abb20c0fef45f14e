"""Talking to a chat-completions server: options, the request, the transport.

Anything that speaks OpenAI's chat-completions protocol will do. Servers differ in what
they understand; what one of them takes is its `Dialect`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from expclip.face.errors import ModelError, ParseError
from expclip.tead.llm.cost import Prices
from expclip.tead.prompts import Message, answer_schema

__all__ = [
    "FATAL_STATUSES",
    "ConnectionLost",
    "Dialect",
    "FakeClient",
    "LlmOptions",
    "OpenAIClient",
    "Question",
    "Response",
    "Transport",
    "may_ask_again",
    "read_reply",
]

_LARGEST_BODY = 1_000_000
"""Bytes of an answer that are kept; a larger one is no answer to our questions."""

BACKENDS = ("server", "batch", "local")

NO_KEY = "none"
"""Sent where no key is set: local servers ask for none."""


@dataclass(frozen=True)
class LlmOptions:
    """Which LLM, and how it is asked.

    Attributes:
        model: name by which the server knows it.
        base_url: of the server, up to and with "/v1"; OpenAI's if not given.
        api_key_env: environment variable that holds the key.
        temperature: None leaves it to the server.
        seed: of the sampling; best effort on most servers.
        max_tokens: limit of one answer, reasoning included.
        attempts: how often a row is asked before it becomes a reject.
        in_flight: most requests open at a time.
        timeout_s: longest wait for one answer.
        patience_s: how long the server may be silent before the run stops.
        single_call: ask for tags, units and situations in one call (the paper: two).
        prices: of a million tokens, for the cost.
        max_cost: limit of what all answers may cost together; needs the prices.
        backend: "server" asks one by one, "batch" by OpenAI's Batch API, "local" a
            `transformers` model, whose folder or Hub name is then ``model``.
    """

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    temperature: float | None = 0.3
    seed: int = 0
    max_tokens: int = 2048
    attempts: int = 5
    in_flight: int = 64
    timeout_s: float = 120.0
    patience_s: float = 60.0
    single_call: bool = False
    prices: Prices | None = None
    max_cost: float | None = None
    backend: str = "server"

    def __post_init__(self) -> None:
        for name in ("max_tokens", "attempts", "in_flight", "timeout_s", "patience_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url must start with http:// or https://, got {self.base_url!r}")
        if self.backend not in BACKENDS:
            expected = ", ".join(BACKENDS)
            raise ValueError(f"no backend {self.backend!r}, expected one of {expected}")
        if self.max_cost is not None and not 0 < self.max_cost < math.inf:
            raise ValueError(f"max_cost must be above 0, got {self.max_cost}")
        if self.max_cost is not None and self.prices is None:
            raise ValueError("--max-cost needs --prices IN,OUT, the prices of a million tokens")

    @property
    def name(self) -> str:
        """Name of the model, without the path of a local folder."""
        folder = Path(self.model)
        local = self.backend == "local" and folder.is_dir()
        return folder.resolve().name if local else self.model

    @property
    def api_key(self) -> str:
        """The key, from the environment."""
        return os.environ.get(self.api_key_env) or NO_KEY


@dataclass(frozen=True)
class Question:
    """What is asked of an LLM in one call.

    Attributes:
        name: which of the prompts.
        messages: system, worked examples, the question.
        attempt: from 1; each attempt has a seed of its own.
        row: id of the row asked about.
    """

    name: str
    messages: tuple[Message, ...]
    attempt: int
    row: str


_FORMATS = ("json_schema", "json_object", "text")


@dataclass(frozen=True)
class Dialect:
    """What a server understands; found out once, by its refusals.

    Attributes:
        answer_format: "json_schema", "json_object", or "text" (asked for in the prompt
            alone).
        limit_name: how it calls the limit of tokens.
        without: optional parameters that it refuses.
    """

    answer_format: str = "json_schema"
    limit_name: str = "max_completion_tokens"
    without: tuple[str, ...] = ()

    def request(self, question: Question, options: LlmOptions) -> dict[str, Any]:
        """Return the body of the request that asks a question."""
        seed = f"{options.seed}/{question.row}/{question.name}/{question.attempt}"
        optional = {
            "temperature": options.temperature,
            "seed": int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) >> 1,
            "response_format": self._response_format(question.name),
            self.limit_name: options.max_tokens,
        }
        return {"model": options.name, "messages": list(question.messages)} | {
            name: value
            for name, value in optional.items()
            if value is not None and name not in self.without
        }

    def simpler(self, refusal: str) -> Dialect | None:
        """Return a dialect without what a server refused (its words), or None if it is plain."""
        words = refusal.lower()
        if "max_completion_tokens" in words and self.limit_name == "max_completion_tokens":
            return replace(self, limit_name="max_tokens")
        for name in ("temperature", "seed", self.limit_name):
            if name in words and name not in self.without:
                return replace(self, without=(*self.without, name))
        step = _FORMATS.index(self.answer_format) + 1
        return replace(self, answer_format=_FORMATS[step]) if step < len(_FORMATS) else None

    def _response_format(self, name: str) -> dict[str, Any] | None:
        if self.answer_format == "json_schema":
            schema = {"name": name, "strict": True, "schema": answer_schema(name)}
            return {"type": "json_schema", "json_schema": schema}
        return {"type": "json_object"} if self.answer_format == "json_object" else None


@dataclass(frozen=True)
class Response:
    """An HTTP answer, unread.

    Attributes:
        status: HTTP status.
        body: as sent, the API key struck out.
        retry_after_s: the server's wish when to be asked again.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None


FATAL_STATUSES = frozenset({401, 403, 404, 405})
"""HTTP statuses after which no question will be answered: wrong key, no such model."""


def may_ask_again(status: int) -> bool:
    """Tell whether a question that got this HTTP status may be answered later."""
    return status in {408, 409, 425, 429} or (status >= 500 and status != 501)


class ConnectionLost(ModelError):
    """No HTTP answer came: refused, cut, or timed out.

    Args:
        message: what happened.
        timed_out: the server took too long.
        sent: the server may have got the request, worked, and billed it.
    """

    def __init__(self, message: str, *, timed_out: bool = False, sent: bool = True) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.sent = sent


@runtime_checkable
class Transport(Protocol):
    """Sends the body of a request, returns whatever HTTP answer comes."""

    async def send(self, body: Mapping[str, Any]) -> Response:
        """Send one request.

        Raises:
            ConnectionLost: no answer came.
        """

    async def close(self) -> None:
        """Give back what is held."""


class OpenAIClient:
    """The transport that real servers get: the openai package over aiohttp."""

    def __init__(self, options: LlmOptions) -> None:
        import httpx2
        import openai

        self._secret = options.api_key if options.api_key != NO_KEY else ""
        self._errors = openai.APIConnectionError, openai.APIStatusError
        self._raw = httpx2.Response
        limits = httpx2.Limits(
            max_connections=options.in_flight, max_keepalive_connections=options.in_flight
        )
        self._client = openai.AsyncOpenAI(
            base_url=options.base_url,
            api_key=options.api_key,
            max_retries=0,  # retries are the scheduler's, with every answer journalled
            timeout=options.timeout_s,
            http_client=openai.DefaultAioHttpClient(limits=limits, timeout=options.timeout_s),
        )

    async def send(self, body: Mapping[str, Any]) -> Response:
        """Send one request and return its answer, whatever the status."""
        connection_error, status_error = self._errors
        try:
            # `post` rather than `chat.completions.create`: the answer goes to the journal
            # as it is, so no time is spent on building typed objects from it.
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            raw = await self._client.post("/chat/completions", cast_to=self._raw, content=content)
        except status_error as error:
            raw = error.response
        except connection_error as error:
            raise self._lost(error) from None
        answer = self._strike(raw.content[:_LARGEST_BODY])
        return Response(raw.status_code, answer, _retry_after(raw.headers))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _lost(self, error: BaseException) -> ConnectionLost:
        """Return in words, and in what follows from it, why no answer came."""
        from aiohttp import ClientConnectorError, ConnectionTimeoutError

        # Not by the classes of httpx2, for which a cut connection is a time-out too.
        reasons = _chain(error)
        unreached = (ClientConnectorError, ConnectionTimeoutError)
        return ConnectionLost(
            self._redact(_words(reasons[-1])),
            timed_out=any(isinstance(reason, TimeoutError) for reason in reasons),
            sent=not any(isinstance(reason, unreached) for reason in reasons),
        )

    def _strike(self, body: bytes) -> bytes:
        return body.replace(self._secret.encode(), b"[key]") if self._secret else body

    def _redact(self, text: str) -> str:
        return text.replace(self._secret, "[key]") if self._secret else text


class FakeClient:
    """A transport that answers from memory: for tests, examples and dry runs.

    Args:
        replies: contents of the answers, in the order of the questions, or a function
            from the messages to the content.
    """

    def __init__(self, replies: Iterable[str] | Callable[[Sequence[Message]], str]) -> None:
        self._replies = replies if callable(replies) else iter(replies)
        self.asked: list[dict[str, Any]] = []

    async def send(self, body: Mapping[str, Any]) -> Response:
        """Return the next reply as a server would."""
        self.asked.append(dict(body))
        if callable(self._replies):
            content = self._replies(body["messages"])
        else:
            try:
                content = next(self._replies)
            except StopIteration:
                raise ConnectionLost("the fake client has no reply left") from None
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Response(200, json.dumps({"choices": [choice]}).encode())

    async def close(self) -> None:
        """Do nothing."""


def read_reply(body: bytes) -> str:
    """Return what the model said, from the body of a good answer.

    Raises:
        ParseError: it is no chat completion ("envelope"), a refusal ("refusal"), or was
            cut at the limit of tokens ("truncated").
    """
    try:
        choice = json.loads(body)["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise ParseError("envelope", "the server's answer is not a chat completion") from None
    if refusal:
        raise ParseError("refusal", f"the model refused: {str(refusal)[:200]}")
    if choice.get("finish_reason") == "length":
        raise ParseError("truncated", "the answer was cut at the limit of tokens")
    if choice.get("finish_reason") == "content_filter":
        raise ParseError("refusal", "the server's content filter withheld the answer")
    if not isinstance(content, str):
        raise ParseError("empty", "the answer has no content")
    return content


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, the innermost last."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain


def _words(error: BaseException) -> str:
    """Return an error on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date), at most 120."""
    from email.utils import parsedate_to_datetime
    from time import time

    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), 120.0) if seconds == seconds else None  # not NaN
