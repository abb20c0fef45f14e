"""Asking at the right pace: how many at a time, when again, when to give up.

Every HTTP answer is in the journal before it is looked at. A slot is held from the
sending of a request until its answer is on the disk, and never while waiting to ask
again.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from expclip.face.errors import ModelError
from expclip.tead.llm.client import (
    FATAL_STATUSES,
    ConnectionLost,
    Dialect,
    LlmOptions,
    Question,
    Response,
    Transport,
    may_ask_again,
)
from expclip.tead.llm.cost import Ledger, Reservation
from expclip.tead.llm.journal import Answer, Journal, request_key
from expclip.tead.llm.limiter import Limiter

__all__ = ["RowRefused", "Scheduler", "Tally", "known_dialect"]

_MOST_RETRIES = 12
_TOO_MUCH = frozenset({429, 503, 504, 529})


class RowRefused(Exception):
    """The server will not answer this question; others it may."""


@dataclass
class Tally:
    """What has happened so far, for the progress line."""

    asked: int = 0
    found: int = 0  # already in the journal, not asked
    limited: int = 0  # HTTP 429
    failed: int = 0  # HTTP 5xx and lost connections
    ledger: Ledger = field(default_factory=Ledger)


def known_dialect(journal: Journal, options: LlmOptions) -> Dialect:
    """Return the dialect of a server as recorded in a journal, the default if it is not."""
    known = journal.fact(_dialect_fact(options))
    if known is None:
        return Dialect()
    return Dialect(known["answer_format"], known["limit_name"], tuple(known["without"]))


def _dialect_fact(options: LlmOptions) -> str:
    return f"dialect of {options.name}"


class Scheduler:
    """Asks questions of one server, through the journal.

    Args:
        transport: to the server.
        journal: of this data set.
        options: how to ask.
        ledger: what may be spent; opened as the options say, if not given.
    """

    def __init__(
        self,
        transport: Transport,
        journal: Journal,
        options: LlmOptions,
        ledger: Ledger | None = None,
    ) -> None:
        self._ledger = ledger or Ledger.open(journal, options.prices, options.max_cost)
        self.tally = Tally(ledger=self._ledger)
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
            reservation = await self._ledger.reserve(body)
            async with self._limiter:
                try:
                    response = await self._ask(key, body, reservation)
                except ConnectionLost as error:
                    last = str(error)
                    if error.timed_out:
                        self._limiter.refuse(wait_s)
                    self._note_failure(last)
                else:
                    if response.status == 200:
                        self._note_success()
                        return response.body
                    last = f"HTTP {response.status}: {_words(response.body)}"
                    wait_s = self._wait_after(response, wait_s, last)
            await asyncio.sleep(wait_s)
        raise RowRefused(f"not answered after {_MOST_RETRIES} requests ({last})")

    async def _ask(self, key: bytes, body: Mapping[str, Any], reservation: Reservation) -> Response:
        """Send a request, return its answer once it is on the disk and what it cost settled."""
        try:
            response = await self._transport.send(body)
        except ConnectionLost as error:
            if error.sent:
                self._ledger.settle(reservation, None)
            else:
                self._ledger.cancel(reservation)
            raise
        self.tally.asked += 1
        good = response.status == 200
        most = reservation.uncounted(response.body) if good else None
        await self._journal.commit(Answer(key, response.status, response.body, most))
        # Not before the answer is on the disk: the last promise kept may end the run.
        if good:
            self._ledger.settle(reservation, response.body)
        else:
            self._ledger.cancel(reservation)  # errors are not billed
        return response

    def _wait_after(self, response: Response, wait_s: float, reason: str) -> float:
        """Return how long to wait after a bad answer, or raise if waiting cannot help."""
        status, wish_s = response.status, response.retry_after_s
        if status in FATAL_STATUSES or b"insufficient_quota" in response.body:
            key = f" (the key is taken from ${self._options.api_key_env})" if status == 401 else ""
            raise ModelError(f"{self._server} refused: {reason}{key}")
        if not may_ask_again(status):
            raise RowRefused(reason)
        if status == 429:
            self.tally.limited += 1
        else:
            self._note_failure(reason)
        if status in _TOO_MUCH:
            self._limiter.refuse(wish_s or wait_s)
        # When the server wishes, or a little later: not all in lockstep.
        return wait_s if wish_s is None else wish_s + min(wish_s, wait_s) * 0.04

    def _backoff(self, key: bytes, retry: int) -> float:
        """Return the wait before a retry: doubling up to 20 s, with jitter, seeded by request."""
        jitter = random.Random(key + bytes([retry])).uniform(0.5, 1.0)
        return float(min(20.0, 0.25 * 2**retry) * jitter)

    def _note_success(self) -> None:
        self._limiter.succeed()
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
        if self._options.backend == "local":
            return self._options.model
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
