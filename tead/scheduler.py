"""Asking at the right pace: how many at a time, when again, when to give up.

Every HTTP answer is in the journal before it is looked at. A slot is held from the
sending of a request until its answer is on the disk, and never while waiting to ask
again.
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from expclip.face.errors import ModelError
from expclip.tead.client import (
    ConnectionLost,
    Dialect,
    LlmOptions,
    Question,
    Response,
    Transport,
    read_usage,
)
from expclip.tead.journal import Answer, Journal, request_key

__all__ = ["Limiter", "RowRefused", "Scheduler", "Tally", "known_dialect"]

_MOST_RETRIES = 12
_AGAIN = frozenset({408, 409, 425, 429})  # and all from 500 on
_FATAL = frozenset({401, 403, 404, 405})


class RowRefused(Exception):
    """The server will not answer this question; others it may."""


@dataclass
class Tally:
    """What has happened so far, for the progress line and the manifest."""

    asked: int = 0
    found: int = 0  # already in the journal, not asked
    limited: int = 0  # HTTP 429
    failed: int = 0  # HTTP 5xx and lost connections
    tokens_in: int = 0
    tokens_out: int = 0


class Limiter:
    """At most ``most`` requests in flight, fewer while the server says it is too much.

    One 429 concerns one request, which waits for its own time. When a third of the last
    answers are 429, the limit is cut to 70 % and nothing is sent until the server's
    Retry-After is over; every good answer then raises the limit a little.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self._recent: deque[bool] = deque(maxlen=64)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0

    async def __aenter__(self) -> None:
        if self.in_flight < int(self.limit) and not self._waiting and not self._is_closed():
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # whoever wakes it has counted it in
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def succeeded(self) -> None:
        """Note a good answer."""
        self._recent.append(False)
        self.limit = min(self.most, self.limit + 1 / self.limit)

    def limited(self, retry_after_s: float) -> None:
        """Note a 429."""
        self._recent.append(True)
        if len(self._recent) >= 16 and sum(self._recent) * 3 >= len(self._recent):
            self._recent.clear()
            self.limit = max(1.0, self.limit * 0.7)
            loop = asyncio.get_running_loop()
            self._closed_until = loop.time() + retry_after_s
            loop.call_later(retry_after_s + 0.001, self._wake)

    def _is_closed(self) -> bool:
        return asyncio.get_running_loop().time() < self._closed_until

    def _leave(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.in_flight < int(self.limit) and not self._is_closed():
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


def known_dialect(journal: Journal, options: LlmOptions) -> Dialect:
    """Return the dialect of a server as recorded in a journal, the default if it is not."""
    known = journal.fact(_dialect_fact(options))
    if known is None:
        return Dialect()
    return Dialect(known["answer_format"], known["limit_name"], tuple(known["without"]))


def _dialect_fact(options: LlmOptions) -> str:
    return f"dialect of {options.model}"


class Scheduler:
    """Asks questions of one server, through the journal.

    Args:
        transport: to the server.
        journal: of this data set.
        options: how to ask.
    """

    def __init__(self, transport: Transport, journal: Journal, options: LlmOptions) -> None:
        self.tally = Tally()
        self._transport = transport
        self._journal = journal
        self._options = options
        self._limiter = Limiter(options.in_flight)
        self._failures = 0  # in a row, without a good answer between
        self._last_good = asyncio.get_running_loop().time()

    async def find_dialect(self, question: Question) -> Dialect:
        """Return the dialect of the server, found by asking a first real question.

        What was found is recorded in the journal and holds for its lifetime.

        Raises:
            ModelError: the server cannot be reached, or refuses the question in any form.
        """
        if self._journal.fact(_dialect_fact(self._options)) is not None:
            return known_dialect(self._journal, self._options)
        dialect: Dialect | None = Dialect()
        while dialect is not None:
            body = dialect.request(question, self._options)
            try:
                await self.answer(body, question.attempt)
            except RowRefused as refusal:
                dialect, reason = dialect.simpler(str(refusal)), refusal
                continue
            self._journal.record_fact(_dialect_fact(self._options), asdict(dialect))
            return dialect
        raise ModelError(f"{self._server} refuses the question: {reason}")

    async def answer(self, body: Mapping[str, Any], attempt: int) -> bytes:
        """Return the body of the good answer to a request, from the journal or the server.

        Raises:
            RowRefused: the server refuses this question, or fails at it again and again.
            ModelError: it refuses all (wrong key, unknown model), or cannot be reached.
            DataError: the journal cannot be written.
        """
        key = request_key(body, attempt)
        known = self._journal.find(key)
        if known is not None:
            self.tally.found += 1
            return known
        last = ""
        for retry in range(_MOST_RETRIES):
            wait_s = self._backoff(key, retry)
            async with self._limiter:
                try:
                    response = await self._transport.send(body)
                except ConnectionLost as error:
                    last = str(error)
                    self._note_failure(last)
                else:
                    self.tally.asked += 1
                    await self._journal.commit(Answer(key, response.status, response.body))
                    if response.status == 200:
                        self._note_success(response.body)
                        return response.body
                    last = f"HTTP {response.status}: {_words(response.body)}"
                    wait_s = self._wait_after(response, wait_s, last)
            await asyncio.sleep(wait_s)
        raise RowRefused(f"not answered after {_MOST_RETRIES} requests ({last})")

    def _wait_after(self, response: Response, wait_s: float, reason: str) -> float:
        """Return how long to wait after a bad answer, or raise if waiting cannot help."""
        status, wish_s = response.status, response.retry_after_s
        if status in _FATAL or b"insufficient_quota" in response.body:
            key = f" (the key is taken from ${self._options.api_key_env})" if status == 401 else ""
            raise ModelError(f"{self._server} refused: {reason}{key}")
        if (status < 500 and status not in _AGAIN) or status == 501:
            raise RowRefused(reason)
        if status == 429:
            self.tally.limited += 1
            self._limiter.limited(wish_s or wait_s)
        else:
            self._note_failure(reason)
        # When the server wishes, or a little later: not all in lockstep.
        return wait_s if wish_s is None else wish_s + min(wish_s, wait_s) * 0.04

    def _backoff(self, key: bytes, retry: int) -> float:
        """Return the wait before a retry: doubling up to 20 s, with jitter, seeded by request."""
        jitter = random.Random(key + bytes([retry])).uniform(0.5, 1.0)
        return float(min(20.0, 0.25 * 2**retry) * jitter)

    def _note_success(self, body: bytes) -> None:
        tokens_in, tokens_out = read_usage(body)
        self.tally.tokens_in += tokens_in
        self.tally.tokens_out += tokens_out
        self._limiter.succeeded()
        self._failures = 0
        self._last_good = asyncio.get_running_loop().time()

    def _note_failure(self, reason: str) -> None:
        """Count a failure; give up when nothing but failures has come for too long.

        Raises:
            ModelError: the server is not there, or not any more.
        """
        self.tally.failed += 1
        self._failures += 1
        silent_s = asyncio.get_running_loop().time() - self._last_good
        never = not self.tally.asked and not self.tally.found and self._failures >= 4
        if never or (self._failures >= 5 and silent_s > self._options.patience_s):
            since = "" if never else f" for {silent_s:.0f} s"
            raise ModelError(
                f"{self._server} does not answer{since} ({reason}); "
                "what was answered is kept: run the same command to go on"
            )

    @property
    def _server(self) -> str:
        return self._options.base_url or "the OpenAI API"


def _words(body: bytes) -> str:
    """Return the message in the body of an error, or its beginning."""
    try:
        document = json.loads(body)
        error = document.get("error", document)
        message = error.get("message", error) if isinstance(error, dict) else error
        detail = error.get("param") if isinstance(error, dict) else None
    except (ValueError, AttributeError, RecursionError):
        message, detail = body[:300].decode("utf-8", "replace"), None
    text = " ".join(str(message).split())[:300]
    return f"{text} ({detail})" if detail and str(detail) not in text else text
