"""Which frames of MEAD are taken, and on which side of the split each falls.

Every choice is made by hashes of names, not by a running generator: a clip that is added
or missing changes only what balance requires.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from expclip.mead3d.index import Clip

__all__ = [
    "PUBLISHED_SPLITS",
    "SPLITS",
    "FrameId",
    "check_split",
    "sample_frames",
    "share",
    "split_of",
]

SPLITS = ("train", "validation", "test")

_TEST_SHARE = 0.1
_SALT = "actor-1"  # with it, seed 0 holds out 5 of the 48 public actors, both M and W
_GOLDEN = (math.sqrt(5) - 1) / 2

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True, order=True)
class FrameId:
    """One frame: the id of its clip, and its number from 0."""

    clip: str
    number: int

    def __str__(self) -> str:
        return f"{self.clip}#{self.number}"

    @property
    def id(self) -> str:
        """16 hexadecimal digits, a hash of the clip's id and the number."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:16]


def sample_frames(clips: Sequence[Clip], count: int, *, seed: int = 0) -> tuple[FrameId, ...]:
    """Choose frames balanced over actor x emotion x level x view, sorted.

    Each of these cells gives the same number of frames, or one more, or all it has; so
    does each clip within its cell. The frames of one clip lie far from each other.

    Args:
        clips: with their frames counted.
        count: frames to choose; all are taken where there are fewer.
        seed: of every choice.

    Raises:
        ValueError: the count is not positive, or the frames were not counted.
    """
    if count < 1:
        raise ValueError(f"frames must be at least 1, got {count}")
    cells: dict[tuple[str, str, int, str], list[Clip]] = {}
    for clip in clips:
        if clip.frames < 1:
            raise ValueError(f"{clip.id}: frames were not counted: see count_frames")
        cells.setdefault(clip.cell, []).append(clip)

    def rank(key: object) -> int:
        return _draw(seed, "frames", str(key))

    wanted = share(
        {cell: sum(clip.frames for clip in group) for cell, group in cells.items()}, count, rank
    )
    chosen: list[FrameId] = []
    for cell, group in cells.items():
        frames = {clip.id: clip.frames for clip in group}
        for name, quota in share(frames, wanted[cell], rank).items():
            numbers = _spread(frames[name], start=_draw(seed, "start", name) / 2**64)
            chosen.extend(FrameId(name, next(numbers)) for _ in range(quota))
    return tuple(sorted(chosen))


def share(
    capacities: Mapping[_Key, int], total: int, rank: Callable[[_Key], int]
) -> dict[_Key, int]:
    """Divide a total as evenly as capacities allow; the rest of a division goes by rank.

    >>> share({"a": 1, "b": 9, "c": 9}, 8, rank=ord)
    {'a': 1, 'b': 4, 'c': 3}
    """
    total = min(total, sum(capacities.values()))
    level, left = 0, total
    waiting = sorted(capacities.values())
    for place, capacity in enumerate(waiting):
        open_ones = len(waiting) - place
        step = min(capacity - level, left // open_ones)
        level += step
        left -= step * open_ones
        if level < capacity:
            break
    given = {key: min(capacity, level) for key, capacity in capacities.items()}
    more = sorted((key for key in capacities if capacities[key] > level), key=rank)
    for key in more[:left]:
        given[key] += 1
    return given


def split_of(frame: FrameId, actor: str, *, by: str = "actor", seed: int = 0) -> str:
    """Return the side of the split that a frame falls on.

    Args:
        frame: the frame.
        actor: who is seen.
        by: "actor": about a tenth of the actors is held out, by a hash of each, so that
            more actors move none. "frame": a tenth of the frames, as the paper may have
            done (it names 90/10 of the images and no more): neighbouring frames and
            every actor are then on both sides. Or a name of PUBLISHED_SPLITS.
        seed: of the hashes.

    Raises:
        ValueError: another word for ``by``.
    """
    if by in PUBLISHED_SPLITS:
        held_out = PUBLISHED_SPLITS[by]
        return next((side for side, actors in held_out.items() if actor in actors), "train")
    if by not in ("actor", "frame"):
        names = ", ".join(("actor", "frame", *PUBLISHED_SPLITS))
        raise ValueError(f"split {by!r}, expected one of {names}")
    draw = _draw(seed, _SALT, actor) if by == "actor" else _draw(seed, "frame", str(frame))
    return "test" if draw < _TEST_SHARE * 2**64 else "train"


def check_split(by: str) -> None:
    """Refuse what ``split_of`` would refuse.

    Raises:
        ValueError: no such split.
    """
    split_of(FrameId("", 0), "", by=by)


def _actors(text: str) -> frozenset[str]:
    return frozenset(text.split())


PUBLISHED_SPLITS: dict[str, dict[str, frozenset[str]]] = {
    "emote": {
        "validation": _actors("M032 M033 M034 M035 W033 W035 W036"),
        "test": _actors("M037 M039 M040 M041 M042 W037 W038 W040"),
    },
    "smirk": {
        "validation": _actors("M013 M023 M042 W018 W028"),
        "test": _actors("M005 M022 M028 W029 W033"),
    },
    "eat": {"test": _actors("M003 M030 W009 W015")},
}
"""Actors held out by other work: EMOTE (also 3DMEAD), SMIRK, EAT; all others train."""


def _spread(frames: int, start: float) -> Iterator[int]:
    """Yield the frames of a clip, each once, each far from those before it.

    Steps of the golden ratio from a start in 0..1: any first few lie nearly even.
    """
    seen: set[int] = set()
    place = start
    while len(seen) < frames:
        number = min(int(place * frames), frames - 1)
        if number not in seen:
            seen.add(number)
            yield number
        place = (place + _GOLDEN) % 1


def _draw(seed: int, what: str, key: str) -> int:
    """Return 64 random bits that belong to a key."""
    digest = hashlib.sha256(f"{seed}\0{what}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
