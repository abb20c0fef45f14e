"""Who sees which clip of which model, in which order.

Models rotate over items and raters as in a Latin square. Every choice is drawn from the
seed and the rater's number, so that more raters leave the plan of the earlier ones as it is.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

__all__ = ["PlanOptions", "Trial", "name_raters", "name_stimulus", "plan_trials"]

Each = Literal["all", "once"]

_LETTERS = "BCDFGHJKMPQRTVWXYZ2346789"
"""Of codes: no vowels, hence no words, and nothing that is easily misread."""
_ASKED = (1, 2, 4, 5)


@dataclass(frozen=True)
class PlanOptions:
    """How a study is laid out.

    Attributes:
        raters: how many are expected.
        each: "all": a rater sees an item once by every model; "once": by one of them.
        items: how many items a rater sees; None for all.
        checks: attention checks a rater; they say which answer to give.
        seed: of every choice, and of the codes that stand for the models.
    """

    raters: int = 20
    each: Each = "all"
    items: int | None = None
    checks: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.raters <= 10_000:
            raise ValueError(f"raters must lie in 1..10000, got {self.raters}")
        if self.each not in get_args(Each):
            raise ValueError(f"each must be 'all' or 'once', got {self.each!r}")
        if self.items is not None and self.items < 1:
            raise ValueError(f"items must be at least 1, got {self.items}")
        if self.checks < 0:
            raise ValueError(f"checks must be at least 0, got {self.checks}")


@dataclass(frozen=True, slots=True)
class Trial:
    """One clip before one rater; ``asked`` is the answer that a check asks for."""

    model: str
    item: str
    asked: int | None = None


def plan_trials(
    models: Sequence[str], items: Sequence[str], options: PlanOptions
) -> tuple[tuple[Trial, ...], ...]:
    """Return the trials of each rater, in order.

    Every clip is seen equally often, to within one rater. With each="all" a rater's
    trials are rounds: each shows every item once, by models in equal shares, so that an
    item comes back only after the others, and never twice in a row.

    Raises:
        ValueError: there is no model or item, fewer items than a rater shall see, or more
            checks than clips.
    """
    if not models or not items:
        raise ValueError(f"a study needs models and items, got {len(models)} and {len(items)}")
    seen = len(items) if options.items is None else options.items
    if seen > len(items):
        raise ValueError(f"a rater cannot see {seen} items, there are {len(items)}")
    rounds = len(models) if options.each == "all" else 1
    if options.checks > seen * rounds:
        raise ValueError(f"{options.checks} checks among {seen * rounds} clips, expected fewer")
    generator = _generator(options.seed, "places")
    models = [sorted(models)[place] for place in generator.permutation(len(models))]
    items = [sorted(items)[place] for place in generator.permutation(len(items))]
    return tuple(
        _with_checks(_clips(models, items, rater, seen, rounds, options.seed), rater, options)
        for rater in range(options.raters)
    )


def name_raters(options: PlanOptions) -> tuple[str, ...]:
    """Return a code for each rater; one mistyped letter hardly makes another's."""
    names: dict[str, None] = {}
    number = 0
    while len(names) < options.raters:
        names[_code(options.seed, 5, "rater", str(number))] = None
        number += 1
    return tuple(names)


def name_stimulus(seed: int, model: str, item: str) -> str:
    """Return the code under which a clip goes; without the seed it tells nothing."""
    return _code(seed, 8, "clip", model, item)


def _clips(
    models: Sequence[str], items: Sequence[str], rater: int, seen: int, rounds: int, seed: int
) -> list[Trial]:
    """Return a rater's clips, round by round."""
    running = range(rater * seen, (rater + 1) * seen)
    trials: list[Trial] = []
    for turn in range(rounds):
        # The item's place, how often it was shown before, and the round turn the models.
        places = [(number % len(items), number // len(items)) for number in running]
        clips = [
            Trial(models[(place + before + turn) % len(models)], items[place])
            for place, before in places
        ]
        generator = _generator(seed, "order", str(rater), str(turn))
        clips = [clips[place] for place in generator.permutation(seen)]
        if trials and clips[0].item == trials[-1].item:
            clips = [*clips[1:], clips[0]]
        trials += clips
    return trials


def _with_checks(clips: list[Trial], rater: int, options: PlanOptions) -> tuple[Trial, ...]:
    """Put checks between the clips, spread evenly, never first; no answer twice in a row.

    Whoever gives one answer throughout thus passes few of them.
    """
    generator = _generator(options.seed, "checks", str(rater))
    answers = generator.permutation(_ASKED)
    edges = np.linspace(0, len(clips), options.checks + 1).astype(int)
    places = [int(generator.integers(low, high)) for low, high in pairwise(edges)]
    trials: list[Trial] = []
    for place, clip in enumerate(clips):
        trials.append(clip)
        if place in places:
            shown = clips[int(generator.integers(len(clips)))]
            asked = int(answers[places.index(place) % len(_ASKED)])
            trials.append(Trial(shown.model, shown.item, asked))
    return tuple(trials)


def _generator(seed: int, *words: str) -> np.random.Generator:
    return np.random.default_rng(list(_digest(seed, *words)))


def _code(seed: int, length: int, *words: str) -> str:
    number = int.from_bytes(_digest(seed, *words))
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)


def _digest(seed: int, *words: str) -> bytes:
    return hmac.digest(str(seed).encode(), json.dumps(words).encode(), hashlib.sha256)
