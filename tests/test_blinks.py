"""Blinks: as often as people, never two in one, and the same however time is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from expclip.face import BLENDSHAPE_INDEX
from expclip.models.speech import Blinks
from expclip.models.speech.blinks import Blink, close_lids

LIDS = [BLENDSHAPE_INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]
WIDE = [BLENDSHAPE_INDEX[f"eyeWide{side}"] for side in ("Left", "Right")]
OTHERS = np.setdiff1d(np.arange(52), LIDS + WIDE)
RATES = [0.5, 5, 15, 18, 20, 37.5, 60]


def faces(frames: int) -> np.ndarray:
    return np.random.default_rng(0).random((frames, 52), np.float32)


def starts(blinks: Blinks, seconds: float) -> np.ndarray:
    return np.array([blink.start_s for blink in blinks.between(0, seconds)])


def seen(lids: np.ndarray, fps: float) -> np.ndarray:
    """Return when lids that are open else come to be half shut."""
    shut = (lids > 0.5).astype(int)
    return np.flatnonzero(np.diff(shut, prepend=0) > 0) / fps


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", RATES)
def test_blinks_come_as_often_as_asked(rate: float, seed: int) -> None:
    made = len(starts(Blinks(rate, seed), 600))
    more = rate / 15 % 1  # how likely one more is in each four seconds
    assert abs(made - 10 * rate) <= 4 * np.sqrt(150 * more * (1 - more)) + 1e-6


def test_ten_minutes_have_15_to_20_blinks_each_and_no_stare() -> None:
    weights = Blinks().add_to(np.zeros((36_000, 52), np.float32), 60)
    times = seen(weights[:, LIDS[0]], 60)
    assert 150 <= len(times) <= 200
    assert 0.68 <= np.diff(times).min() and np.diff(times).max() < 8
    assert np.diff(times).std() > 1  # nobody blinks like a clock


@pytest.mark.parametrize("rate", RATES)
def test_no_two_blinks_are_close(rate: float) -> None:
    times = starts(Blinks(rate, seed=3), 1200)
    assert np.diff(times).min() >= 0.7 - 1e-9


def test_four_seconds_have_a_blink() -> None:
    for seed in range(50):
        assert 1 <= len(starts(Blinks(seed=seed), 4)) <= 2


def test_a_seed_has_its_own_moments_and_always_the_same() -> None:
    one, again, other = (starts(Blinks(seed=seed), 60) for seed in (0, 0, 1))
    assert one.tolist() == again.tolist()
    assert not set(one) & set(other)


def test_a_lid_shuts_fast_stays_and_opens_slowly() -> None:
    blink = Blink(start_s=1.0, closing_s=0.08, held_s=0.04, opening_s=0.16)
    assert blink.end_s == pytest.approx(1.28)
    times = np.array([0.0, 1.0, 1.04, 1.08, 1.1, 1.12, 1.2, 1.28, 2.0])
    np.testing.assert_allclose(blink.shut_at(times), [0, 0, 0.5, 1, 1, 1, 0.5, 0, 0], atol=1e-9)
    edge = blink.shut_at(np.array([1.02, 1.24]))
    np.testing.assert_allclose(edge, 0.25**2 * (3 - 2 * 0.25), atol=1e-9)  # slow at the ends


def test_straight_lids_are_a_triangle() -> None:
    after = np.array([-0.2, -0.08, -0.04, 0.0, 0.08, 0.16, 0.3])
    np.testing.assert_allclose(close_lids(after, 0.08, 0.16), [0, 0, 0.5, 1, 0.5, 0, 0], atol=1e-9)


def test_every_blink_is_as_long_as_people_take() -> None:
    for blink in Blinks().between(0, 300):
        assert 0.075 <= blink.closing_s <= 0.1 and 0.15 <= blink.opening_s <= 0.2
        assert 0.03 <= blink.held_s <= 0.05


@pytest.mark.parametrize("fps", [15, 24, 30, 60])
def test_lids_shut_at_the_same_times_at_any_rate_of_frames(fps: int) -> None:
    lids = Blinks().add_to(np.zeros((120 * fps, 52), np.float32), fps)[:, LIDS]
    blinks = Blinks().between(0, 120)
    times = seen(lids[:, 0], fps)
    assert len(times) == len(blinks)
    for blink, time in zip(blinks, times, strict=True):
        assert 0 <= time - (blink.start_s + blink.closing_s / 2) <= 1 / fps + 1e-9
        frames = slice(int(blink.start_s * fps), int(blink.end_s * fps) + 2)
        assert lids[frames].max() > 0.93
    assert (lids[:, 0] == lids[:, 1]).all()


def test_every_fourth_frame_of_60_a_second_is_a_frame_of_15() -> None:
    weights = faces(600)
    fast, slow = Blinks().add_to(weights, 60), Blinks().add_to(weights[::4], 15)
    np.testing.assert_allclose(fast[::4], slow, atol=1e-6)


@given(
    cuts=st.lists(st.integers(0, 450), max_size=8),
    fps=st.sampled_from([15, 23.976, 30, 59.94]),
    seed=st.integers(0, 5),
)
def test_however_a_clip_is_cut_its_bytes_are_the_same(
    cuts: list[int], fps: float, seed: int
) -> None:
    weights, blinks = faces(450), Blinks(30, seed)
    edges = [0, *sorted(cuts), 450]
    parts = [blinks.add_to(weights[start:stop], fps, start) for start, stop in pairwise(edges)]
    assert np.concatenate(parts).tobytes() == blinks.add_to(weights, fps).tobytes()


def test_lids_are_never_raised_and_other_shapes_are_left_alone() -> None:
    weights = faces(900)
    before = weights.copy()
    made = Blinks().add_to(weights, 30)
    assert (weights == before).all() and made.dtype == np.float32
    assert (made[:, LIDS] >= weights[:, LIDS]).all()
    assert made[:, OTHERS].tobytes() == weights[:, OTHERS].tobytes()
    times = np.arange(900) / 30
    open_ = np.ones(900, bool)
    for blink in Blinks().between(0, 30):
        open_ &= (times < blink.start_s) | (times > blink.end_s)
    assert made[open_].tobytes() == weights[open_].tobytes() and 0.8 < open_.mean() < 1


def test_eyes_are_not_wide_while_they_are_shut() -> None:
    weights = np.zeros((900, 52), np.float32)
    weights[:, WIDE] = 0.5
    made = Blinks().add_to(weights, 30)
    np.testing.assert_allclose(made[:, WIDE], 0.5 * (1 - made[:, LIDS]), atol=1e-6)
    assert made[:, WIDE].min() == 0


def test_shut_eyes_stay_shut() -> None:
    weights = np.ones((900, 52), np.float32)
    assert (Blinks().add_to(weights, 30)[:, LIDS] == 1).all()


@given(
    weights=arrays(
        np.float32, st.tuples(st.integers(0, 40), st.just(52)),
        elements=st.floats(0, 1.5, width=32), fill=st.just(np.float32(0.25)),
    ),
    fps=st.floats(1, 240),
    first=st.integers(0, 10**6),
    rate=st.floats(0, 60),
    seed=st.integers(0, 2**40),
)  # fmt: skip
def test_weights_stay_in_range(
    weights: np.ndarray, fps: float, first: int, rate: float, seed: int
) -> None:
    made = Blinks(rate, seed).add_to(weights, fps, first)
    assert made.shape == weights.shape and made.dtype == weights.dtype
    assert (made >= 0).all() and (made <= np.maximum(1, weights)).all()
    assert (made[:, WIDE] <= weights[:, WIDE]).all()


def test_no_blinks_a_minute_change_nothing() -> None:
    weights = faces(300)
    assert Blinks(0).add_to(weights, 15).tobytes() == weights.tobytes()


@pytest.mark.parametrize("rate", [-1, 61, float("nan")])
def test_a_rate_that_no_eye_has_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="blinks a minute must be 0 to 60, got"):
        Blinks(rate)


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 0 or above, got -1"):
        Blinks(seed=-1)
