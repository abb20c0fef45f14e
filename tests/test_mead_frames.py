"""Sampling of frames: balance, and independence of what else is there; the splits."""

from collections import Counter
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.mead3d.frames import (
    PUBLISHED_SPLITS,
    FrameId,
    check_split,
    sample_frames,
    share,
    split_of,
)
from expclip.mead3d.index import Clip
from expclip.mead3d.naming import Label

PUBLIC_ACTORS = [
    *(f"M{n:03}" for n in (3, 5, 7, 9, 11, 12, 13, 19, *range(22, 36), 37, 39, 40, 41, 42)),
    *(f"W{n:03}" for n in (9, 11, *range(14, 20), 21, *range(23, 27), 28, 29, 33)),
    *(f"W{n:03}" for n in (35, 36, 37, 38, 40)),
]


def clip(actor: str = "M003", emotion: str = "happy", number: int = 1, frames: int = 100) -> Clip:
    label = Label(actor, "", emotion, 1, "front", number)
    return Clip(label.id, "path.mp4", label, frames=frames)


@given(
    st.dictionaries(st.integers(0, 50), st.integers(0, 30), min_size=1),
    st.integers(0, 400),
)
def test_a_share_is_as_even_as_capacities_allow(capacities: dict[int, int], total: int) -> None:
    given_out = share(capacities, total, rank=lambda key: -key)
    assert sum(given_out.values()) == min(total, sum(capacities.values()))
    assert all(0 <= given_out[key] <= capacities[key] for key in capacities)
    not_full = [given_out[key] for key in capacities if given_out[key] < capacities[key]]
    if not_full:
        assert max(given_out.values()) <= min(not_full) + 1


def test_what_is_left_of_a_share_goes_by_rank() -> None:
    assert share({"a": 1, "b": 9, "c": 9}, 8, rank=ord) == {"a": 1, "b": 4, "c": 3}


def test_a_sample_is_balanced_over_cells_and_clips() -> None:
    clips = [
        clip(actor, emotion, number)
        for actor, emotion in product(("M003", "W009"), ("happy", "sad"))
        for number in range(1, 2 if (actor, emotion) == ("W009", "sad") else 6)
    ]
    sample = sample_frames(clips, 42)
    cells = Counter(frame.clip.rpartition("/")[0] for frame in sample)
    assert sorted(cells.values()) == [10, 10, 11, 11]
    per_clip = Counter(frame.clip for frame in sample)
    assert per_clip["W009/front/sad/level_1/001"] in (10, 11)
    assert set(per_clip.values()) <= {2, 3, 10, 11}
    assert len(set(sample)) == 42 and list(sample) == sorted(sample)


def test_frames_of_a_clip_lie_far_from_each_other() -> None:
    for seed in range(20):
        numbers = [frame.number for frame in sample_frames([clip(frames=100)], 5, seed=seed)]
        assert min(b - a for a, b in pairwise(numbers)) >= 10


def test_all_frames_are_taken_where_there_are_fewer() -> None:
    sample = sample_frames([clip(frames=3), clip(number=2, frames=1)], 1000)
    assert [frame.number for frame in sample] == [0, 1, 2, 0]


@given(st.integers(1, 300), st.integers(0, 5))
def test_every_frame_comes_once(frames: int, seed: int) -> None:
    numbers = [frame.number for frame in sample_frames([clip(frames=frames)], frames, seed=seed)]
    assert numbers == list(range(frames))


def test_another_clip_moves_only_what_balance_requires() -> None:
    clips = [clip(actor, "happy", n) for actor in ("M003", "W009") for n in range(1, 11)]
    before = set(sample_frames(clips, 40))
    after = set(sample_frames([*clips, clip("M003", "happy", 11)], 40))
    kept_elsewhere = {frame for frame in before if frame.clip.startswith("W009")}
    assert kept_elsewhere <= after
    assert len(before - after) <= 2


def test_order_and_place_have_no_part_in_a_sample_but_the_seed_has() -> None:
    clips = [clip(number=n) for n in range(1, 30)]
    assert sample_frames(clips, 20) == sample_frames(clips[::-1], 20)
    assert sample_frames(clips, 20) != sample_frames(clips, 20, seed=1)


def test_frames_must_be_counted_and_wanted() -> None:
    with pytest.raises(ValueError, match="not counted"):
        sample_frames([clip(frames=0)], 5)
    with pytest.raises(ValueError, match="at least 1"):
        sample_frames([clip()], 0)


def test_an_actor_is_on_one_side_only() -> None:
    frames = [FrameId(f"clip{n}", n) for n in range(50)]
    for actor in PUBLIC_ACTORS:
        assert len({split_of(frame, actor) for frame in frames}) == 1


def test_five_of_the_public_actors_are_held_out_by_default() -> None:
    assert len(PUBLIC_ACTORS) == 48
    held_out = [a for a in PUBLIC_ACTORS if split_of(FrameId("", 0), a) == "test"]
    assert held_out == ["M030", "M041", "W009", "W019", "W033"]


def test_by_frame_a_tenth_is_held_out() -> None:
    sides = Counter(split_of(FrameId("clip", n), "M003", by="frame") for n in range(10_000))
    assert 900 < sides["test"] < 1100 and sides["train"] == 10_000 - sides["test"]


def test_published_splits_hold_out_their_actors() -> None:
    sides = {a: split_of(FrameId("", 0), a, by="emote") for a in PUBLIC_ACTORS}
    assert Counter(sides.values()) == {"train": 33, "validation": 7, "test": 8}
    for sets in PUBLISHED_SPLITS.values():
        everyone = [actor for actors in sets.values() for actor in actors]
        assert len(everyone) == len(set(everyone))
        assert set(everyone) <= set(PUBLIC_ACTORS)


def test_another_split_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of actor, frame, emote"):
        check_split("sentence")
