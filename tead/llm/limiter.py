"""How many requests at a time: a level that is found, and a gate that keeps it."""

import asyncio
from collections import deque
from types import TracebackType

__all__ = ["Level", "Limiter"]

_START = 8
_SHORTEST_ROUND = 16
"""Answers that a round has at least: the rate of fewer is chance."""

_GROWTH = 1.2
"""What twice the requests must bring in rate to be worth twice again."""

_WINDOW = 64
"""Last answers of which a third must refuse: of fewer, a third may be chance."""

_HOLD = 8
_LONGEST_HOLD = 64
"""Rounds at a level that is known to be good, before one more is tried."""


class Level:
    """The number of requests in flight that a server takes well, found by trying.

    It starts low. A round is as many good answers as there are requests in flight. While
    a round brings noticeably more answers a second than the best before, the level
    doubles; a round without growth is measured again, and the second in a row, or a third
    of refusals in one, ends the doubling there. From then on it creeps: one more a round
    up to the highest level known to be good, and past it one more after many rounds. When
    a third of the last answers say that it is too much (429, 503, time-outs), the level is
    cut to 70 %.

    Args:
        most: the level never passes it.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = min(_START, most)
        self.closed_until = 0.0
        self._doubling = True
        self._stalled = False  # the last round brought no growth
        self._best_rate = 0.0
        self._ceiling = most  # the highest level that is not known to be too much
        self._hold = _HOLD
        self._held = 0
        self._recent: deque[bool] = deque(maxlen=_WINDOW)  # which answers said: too much
        self._since: float | None = None  # the round began
        self._good = self._refused = 0  # in this round

    def fill(self, now: float) -> None:
        """Note that as many requests are in flight as may be."""
        if self._since is None:
            self._since = now
            self._good = self._refused = 0

    def succeed(self, now: float, *, full: bool) -> None:
        """Note a good answer.

        Args:
            now: seconds of any clock that does not go back.
            full: more requests are waiting; if not, the rate says nothing of the level.
        """
        self._recent.append(False)
        if not full:
            self._since = None
        if self._since is None:
            return
        self._good += 1
        if self._good >= max(_SHORTEST_ROUND, self.limit):
            self._end_round(self._good / max(now - self._since, 1e-9))
            self._since = now
            self._good = self._refused = 0

    def refuse(self, now: float, wait_s: float) -> bool:
        """Note an answer that says it is too much; return whether the level was cut.

        Args:
            now: seconds of the same clock.
            wait_s: how long nothing is to be sent if the level is cut.
        """
        if now < self.closed_until:
            return False  # of the burst that was cut already
        self._recent.append(True)
        self._refused += 1
        if len(self._recent) < _WINDOW or sum(self._recent) * 3 < _WINDOW:
            return False
        self._recent.clear()
        self._doubling = False
        self._ceiling = max(1, self.limit - 1)
        self._hold, self._held = min(2 * self._hold, _LONGEST_HOLD), 0
        self.limit = max(1, int(self.limit * 0.7))
        self.closed_until = now + wait_s
        self._since = None
        return True

    def _end_round(self, rate: float) -> None:
        if not self._doubling:
            self._creep()
        elif self._refused * 3 >= self._good + self._refused:
            self._doubling = False
        elif rate > _GROWTH * self._best_rate:
            self._best_rate = rate
            self._stalled = False
            self.limit = min(self.most, 2 * self.limit)
        elif not self._stalled:
            self._stalled = True
        else:
            self._doubling = False
            self._ceiling = self.limit

    def _creep(self) -> None:
        if self.limit < self._ceiling:
            self.limit += 1
            return
        self._held += 1
        if self._held >= self._hold:
            self._held = 0
            if self.limit > self._ceiling:  # what was tried is good
                self._ceiling = self.limit
                self._hold = _HOLD
            self.limit = min(self.most, self.limit + 1)


class Limiter:
    """A gate that lets in as many at a time as the level says, in their order.

    One refusal concerns one request, which waits for its own time. When the level is
    cut, nothing is sent until the server's Retry-After is over.
    """

    def __init__(self, most: int) -> None:
        self.level = Level(most)
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if not self._waiting and self._has_room():
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.level.fill(_now())
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

    def succeed(self) -> None:
        """Note a good answer."""
        self.level.succeed(_now(), full=bool(self._waiting))

    def refuse(self, wait_s: float) -> None:
        """Note an answer that says it is too much, and the wait that it asks for."""
        if self.level.refuse(_now(), wait_s):
            asyncio.get_running_loop().call_later(wait_s + 0.001, self._wake)

    def _has_room(self) -> bool:
        return self.in_flight < self.level.limit and _now() >= self.level.closed_until

    def _leave(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


def _now() -> float:
    return asyncio.get_running_loop().time()
