"""The level of requests in flight: found, kept, cut, by hand-computed numbers."""

import asyncio
from collections.abc import Callable

import pytest

from expclip.tead.llm.limiter import Level, Limiter


def play(level: Level, rate: Callable[[int], float], rounds: int, now: float = 0.0) -> list[int]:
    """Let rounds of good answers come at a rate that depends on the level; return the levels."""
    seen = [level.limit]
    level.fill(now)
    for _ in range(rounds):
        answers = max(16, level.limit)
        took_s = answers / rate(level.limit)
        for number in range(1, answers + 1):
            level.succeed(now + took_s * number / answers, full=True)
        now += took_s
        seen.append(level.limit)
    return seen


def test_the_level_doubles_while_each_doubling_brings_more() -> None:
    assert play(Level(256), lambda limit: limit / 0.05, 6) == [8, 16, 32, 64, 128, 256, 256]


def test_past_the_knee_it_stays_after_a_second_look() -> None:
    # 40 at a time are all that the server works on: 64 brings 1.25 times 32, 128 no more.
    levels = play(Level(256), lambda limit: min(limit, 40) / 0.05, 6)
    assert levels == [8, 16, 32, 64, 128, 128, 128]


def test_one_slow_round_alone_does_not_end_the_doubling() -> None:
    rounds = iter([100.0, 110.0, 200.0, 400.0])
    assert play(Level(256), lambda limit: next(rounds), 4) == [8, 16, 16, 32, 64]


def test_past_the_knee_one_more_is_tried_after_eight_rounds() -> None:
    level = Level(256)
    levels = play(level, lambda limit: 100.0, 3)
    assert levels == [8, 16, 16, 16]
    # Held for 8 rounds, tried at 17 for 8 more, and 17 is then known to be good.
    assert play(level, lambda limit: 100.0, 16, now=10.0) == [16] * 8 + [17] * 8 + [18]


def test_it_never_passes_what_the_user_allows() -> None:
    assert play(Level(5), lambda limit: limit / 0.05, 40) == [5] * 41
    assert max(play(Level(50), lambda limit: limit / 0.05, 40)) == 50


def test_a_round_without_a_queue_says_nothing() -> None:
    level = Level(256)
    level.fill(0.0)
    for number in range(100):
        level.succeed(number / 100, full=False)
    assert level.limit == 8


def cut(level: Level, now: float = 0.0, wait_s: float = 1.0) -> None:
    """Refuse until the level is cut."""
    while not level.refuse(now, wait_s):
        pass


def test_a_third_of_refusals_cuts_the_level_once_a_burst() -> None:
    level = Level(100)
    level.limit = 100
    assert not any(level.refuse(0.0, 2.0) for _ in range(63))
    assert level.refuse(0.0, 2.0)
    assert (level.limit, level.closed_until) == (70, 2.0)
    assert not any(level.refuse(1.9, 2.0) for _ in range(100))  # the same burst
    assert level.limit == 70
    for _ in range(42):
        level.succeed(2.0, full=True)
    assert [level.refuse(2.0, 2.0) for _ in range(22)] == [False] * 21 + [True]
    assert level.limit == 49


def rounds_with_refusals(level: Level, every: int, rounds: int) -> list[int]:
    """Return the levels after rounds of 50 ms in which refusals are scattered."""
    level.fill(0.0)
    now, seen = 0.0, []
    for _ in range(rounds):
        answers = max(16, level.limit)
        step_s = 0.05 / level.limit
        for number in range(answers):
            now += step_s
            if number % every == 0:
                level.refuse(now, 1.0)
            level.succeed(now, full=True)
        seen.append(level.limit)
    return seen


def test_scattered_refusals_leave_the_level_alone() -> None:
    assert rounds_with_refusals(Level(256), 4, 5) == [16, 32, 64, 128, 256]  # a fifth


def test_a_third_of_refusals_in_a_round_ends_the_doubling() -> None:
    assert rounds_with_refusals(Level(256), 2, 2) == [8, 9]  # from here on one more a round


def test_after_a_cut_it_climbs_to_what_was_good_and_stays_longer_each_time() -> None:
    level = Level(256)
    level.limit = 21
    cut(level)
    assert level.limit == 14
    levels = play(level, lambda limit: 100.0, 6 + 16, now=5.0)
    assert levels == [14, 15, 16, 17, 18, 19, *[20] * 16, 21]  # held for 16 rounds
    cut(level, now=100.0)
    levels = play(level, lambda limit: 100.0, 6 + 32, now=105.0)
    assert levels == [14, 15, 16, 17, 18, 19, *[20] * 32, 21]  # and now for 32


def test_the_level_is_at_least_one() -> None:
    level = Level(4)
    for number in range(50):
        cut(level, now=10.0 * number)
    assert level.limit == 1
    play(level, lambda limit: 100.0, 200, now=1000.0)
    assert level.limit > 1


def test_limiter_lets_in_no_more_than_its_level() -> None:
    async def run() -> int:
        limiter, most = Limiter(3), 0

        async def work() -> None:
            nonlocal most
            async with limiter:
                most = max(most, limiter.in_flight)
                await asyncio.sleep(0.001)

        await asyncio.gather(*(work() for _ in range(30)))
        assert limiter.in_flight == 0
        return most

    assert asyncio.run(run()) == 3


def test_after_a_cut_nothing_is_let_in_until_the_wait_is_over() -> None:
    async def run() -> None:
        limiter = Limiter(10)
        for _ in range(64):
            limiter.refuse(0.01)
        assert limiter.level.limit == 5
        start = asyncio.get_running_loop().time()
        async with limiter:
            assert asyncio.get_running_loop().time() - start >= 0.01

    asyncio.run(run())


def test_a_cancelled_wait_loses_no_slot() -> None:
    async def run() -> None:
        limiter = Limiter(1)

        async def hold() -> None:
            async with limiter:
                await asyncio.sleep(0.01)

        first, second = asyncio.create_task(hold()), asyncio.create_task(hold())
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first
        await asyncio.wait_for(hold(), 1)
        assert limiter.in_flight == 0

    asyncio.run(run())
