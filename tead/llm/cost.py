"""What an LLM costs: tokens counted by the server, prices given by the user, a limit kept.

Money is counted in whole tokens and turned into the user's currency at the end: the
numbers alone matter, whatever they stand for.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from expclip.face.errors import ModelError
from expclip.tead.llm.journal import Journal

__all__ = ["BudgetReached", "Ledger", "Prices", "Reservation", "Usage", "read_usage"]

_PER_MESSAGE = 16
"""Tokens that a chat template may put around a message; those known take 3 to 7."""

_ABSURD = 10**9
"""Tokens that no answer takes; a server that tells of more has not counted."""

_MOST_NAMES = 16
"""Names of models that are kept; a server that gives more makes them up."""


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in the user's currency.

    Attributes:
        input: of what is asked.
        output: of what is answered, reasoning included.
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        for price in (self.input, self.output):
            if not 0 <= price < math.inf:
                raise ValueError(f"a price must be 0 or more, got {price}")

    @classmethod
    def parse(cls, text: str) -> Prices:
        """Return the prices of "IN,OUT", such as "0.15,0.60".

        Raises:
            ValueError: it is not two numbers of 0 or more.
        """
        try:
            given, made = map(float, text.split(","))
        except ValueError:
            raise ValueError(
                f"prices {text!r}: expected IN,OUT, the prices of a million tokens, "
                "such as 0.15,0.60"
            ) from None
        return cls(given, made)

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Return what so many tokens cost."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


def read_usage(body: bytes) -> tuple[int, int] | None:
    """Return the tokens (in, out) that a server counted for an answer, None if it did not."""
    return _usage_of(_document(body))


@dataclass
class Usage:
    """What the answers took that a data set was made from.

    Attributes:
        answers: how many, good for a row or not.
        tokens_in: counted by the server.
        tokens_out: the same.
        unmeasured: answers of which it counted no tokens.
        served_by: names that it gave the model in its answers.
    """

    answers: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    unmeasured: int = 0
    served_by: set[str] = field(default_factory=set)

    def add(self, body: bytes) -> None:
        """Count a good answer."""
        document = _document(body)
        self.answers += 1
        usage = _usage_of(document)
        if usage is None:
            self.unmeasured += 1
        else:
            self.tokens_in += usage[0]
            self.tokens_out += usage[1]
        model = document.get("model") if isinstance(document, dict) else None
        if isinstance(model, str) and model and len(self.served_by) < _MOST_NAMES:
            self.served_by.add(model[:200])

    def cost(self, prices: Prices | None) -> float | None:
        """Return what the answers cost; None without prices or where tokens were not counted."""
        if prices is None or self.unmeasured:
            return None
        return prices.cost(self.tokens_in, self.tokens_out)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _usage_of(document: Any) -> tuple[int, int] | None:
    try:
        usage = document["usage"]
        counts = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return counts if 0 <= min(counts) and max(counts) < _ABSURD else None


class BudgetReached(ModelError):
    """The next request might cost more than is left; everything answered is kept."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one request may use at most, in tokens."""

    tokens_in: int
    tokens_out: int

    def uncounted(self, answer: bytes | None) -> tuple[int, int] | None:
        """Return the tokens (in, out) that an answer took at most, None if they were counted."""
        if answer is not None and read_usage(answer) is not None:
            return None
        return self.tokens_in, self.tokens_out


class Ledger:
    """What has been spent on answers, what is promised, and what may be spent.

    With a limit, a request is sent only if all that was spent, all that is promised to
    requests on their way, and its own worst case stay within the limit. Each reservation
    ends in exactly one `settle` or `cancel`.

    Args:
        prices: of a million tokens; without them tokens alone are counted.
        max_cost: the limit, in the currency of the prices.

    Raises:
        ValueError: there is a limit, but no prices.
    """

    def __init__(self, prices: Prices | None = None, max_cost: float | None = None) -> None:
        if max_cost is not None and prices is None:
            raise ValueError("a limit of cost needs prices: --prices IN,OUT, per million tokens")
        self.prices = prices
        self.max_cost = max_cost
        self.tokens_in = 0  # as counted by the server
        self.tokens_out = 0
        self.unmeasured = 0  # answers of which it counted none
        self.lost = 0  # requests without an answer that may have been billed
        self._guessed = [0, 0]  # tokens (in, out) that those took at most
        self._promised = [0, 0]  # the same of the requests on their way
        self._on_their_way = 0
        self._stopped = False
        self._waiting: deque[tuple[Reservation, asyncio.Future[None]]] = deque()

    @classmethod
    def open(
        cls, journal: Journal, prices: Prices | None = None, max_cost: float | None = None
    ) -> Ledger:
        """Return a ledger that begins with every good answer that a journal holds."""
        ledger = cls(prices, max_cost)
        for body in journal.good_answers():
            usage = read_usage(body)
            if usage is None:
                ledger.unmeasured += 1
            else:
                ledger.tokens_in += usage[0]
                ledger.tokens_out += usage[1]
        ledger._guessed = list(journal.uncounted())
        return ledger

    @property
    def cost(self) -> float | None:
        """What was spent; None without prices, or where the server did not count all."""
        return None if self.unmeasured or self.lost else self.cost_at_most

    @property
    def cost_at_most(self) -> float | None:
        """What was spent, the worst case where the server did not count; None without prices."""
        if self.prices is None:
            return None
        tokens_in, tokens_out = self._guessed
        return self.prices.cost(self.tokens_in + tokens_in, self.tokens_out + tokens_out)

    async def reserve(self, body: Mapping[str, Any]) -> Reservation:
        """Promise a request what it may cost at most; waits while others may leave more.

        Raises:
            BudgetReached: it does not fit and nothing is on its way, or that was said to
                another before: what is sent while a run stops would be lost.
            ModelError: there is a limit of cost, but none of the tokens of the answer.
        """
        reservation = self._worst_case(body)
        if not self._waiting and not self._stopped and self._fits(reservation):
            self._promise(reservation)
            return reservation
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((reservation, turn))
        self._wake()
        try:
            await turn  # whoever wakes it has made the promise
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.cancel(reservation)
            raise
        return reservation

    def try_reserve(self, body: Mapping[str, Any], *, anyway: bool = False) -> Reservation | None:
        """Promise a request what it may cost at most, or return None if it does not fit.

        Args:
            body: of the request.
            anyway: promise it whether it fits or not: the request was sent before.
        """
        reservation = self._worst_case(body)
        if not anyway and not self._fits(reservation):
            return None
        self._promise(reservation)
        return reservation

    def settle(self, reservation: Reservation, answer: bytes | None) -> tuple[int, int] | None:
        """Replace a promise by what was used; returns what of it is `uncounted`.

        Where others wait in `reserve`, not before the answer is on the disk.

        Args:
            reservation: the promise.
            answer: body of the good answer (status 200); None if no answer came, though
                it may have been billed: the worst case then stays spent.
        """
        usage = None if answer is None else read_usage(answer)
        uncounted = None
        if usage is None:
            uncounted = reservation.tokens_in, reservation.tokens_out
            self.unmeasured += answer is not None
            self.lost += answer is None
            self._guessed[0] += uncounted[0]
            self._guessed[1] += uncounted[1]
        else:
            self.tokens_in += usage[0]
            self.tokens_out += usage[1]
        self.cancel(reservation)
        return uncounted

    def cancel(self, reservation: Reservation) -> None:
        """Take a promise back: nothing was billed."""
        self._promised[0] -= reservation.tokens_in
        self._promised[1] -= reservation.tokens_out
        self._on_their_way -= 1
        self._wake()

    def stop(self) -> BudgetReached:
        """Return the error that says what was spent, and of how much."""
        at_most = "at most " if self.cost is None else ""
        return BudgetReached(
            f"the next request may cost more than is left: spent {at_most}"
            f"{self.cost_at_most:.4f} of {self.max_cost:g}"
        )

    def _worst_case(self, body: Mapping[str, Any]) -> Reservation:
        """Return the most tokens that a request may use.

        A token is at least one byte of UTF-8 in every vocabulary of byte pairs.
        """
        tokens_in = sum(
            len(str(message["content"]).encode("utf-8", "replace")) + _PER_MESSAGE
            for message in body["messages"]
        )
        if "response_format" in body:
            tokens_in += len(json.dumps(body["response_format"]))
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        if limit is None and self.max_cost is not None:
            raise ModelError(
                "the server takes no limit of tokens, so no answer has a highest price: "
                "--max-cost cannot be kept"
            )
        return Reservation(tokens_in, limit or 0)

    def _fits(self, reservation: Reservation) -> bool:
        if self.prices is None or self.max_cost is None:
            return True
        spoken_for = self.prices.cost(
            self.tokens_in + self._guessed[0] + self._promised[0] + reservation.tokens_in,
            self.tokens_out + self._guessed[1] + self._promised[1] + reservation.tokens_out,
        )
        return spoken_for <= self.max_cost

    def _promise(self, reservation: Reservation) -> None:
        self._promised[0] += reservation.tokens_in
        self._promised[1] += reservation.tokens_out
        self._on_their_way += 1

    def _wake(self) -> None:
        """Let those go on for whom there is enough now, in their order."""
        while self._waiting:
            reservation, turn = self._waiting[0]
            if not turn.done():
                self._stopped |= not self._on_their_way and not self._fits(reservation)
                if self._stopped:
                    turn.set_exception(self.stop())
                elif self._fits(reservation):
                    self._promise(reservation)
                    turn.set_result(None)
                else:
                    return
            self._waiting.popleft()
