"""The official splits of BEAT, and selections of its takes.

Source: the data set's readme (PantoMatrix, ``readme_beat.md``) and its preprocessing, which
agree. They are stated for English; other languages are treated alike here (reconstruction).
"""

from dataclasses import dataclass

from expclip.beat_loader.names import TakeName

__all__ = ["FOUR_HOUR_SPEAKERS", "SELECTIONS", "SPLITS", "Part", "Selection", "official_parts"]

SPLITS = ("train", "val", "test")

FOUR_HOUR_SPEAKERS = frozenset({1, 2, 3, 4, 6, 7, 8, 9, 11, 21})
"""The speakers recorded for four hours; the other twenty were for one."""

_HALF_S = {"speech": 30.0, "conversation": 300.0}
"""Where a take is cut whose halves are in two splits."""

# Sentences by split, for each kind of recording. "cut": first half test, second half val.
_EMOTION_TEST = (65, 73, 81, 87, 95, 103, 111)
_FOUR_HOURS = {
    "speech": {
        "test": {*range(1, 9), *_EMOTION_TEST},
        "val": {*range(57, 65), 72, 80, 86, 94, 102, 110, 118},
    },
    "conversation": {"test": {1}, "val": {12}},
}
_ONE_HOUR = {
    "speech": {
        "train": {*range(9, 17), 66, 74, 82, 88, 96, 104, 112, 118},
        "val": {*range(5, 9)},
        "test": {*range(1, 5)},
        "cut": {*_EMOTION_TEST},
    },
    "conversation": {"train": {2, 3}, "cut": {1}},
}
_MORE_OF_29 = {0, 4}


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a take that is in one split; ``stop_s`` None is its end."""

    split: str
    start_s: float = 0.0
    stop_s: float | None = None


def official_parts(name: TakeName) -> tuple[Part, ...]:
    """Return where the official split puts a take: whole, or cut in two.

    A take that is half of one cut before (``_a``, ``_b``) stays whole.

    Raises:
        ValueError: the split does not name the take, or parts of it that cannot be
            told apart; the message says which.
    """
    found = {_split(name, sentence) for sentence in name.sentences}
    if None in found:
        raise ValueError(f"the official split leaves out {name.kind} {_numbers(name)}")
    if len(found) > 1:
        splits = " and ".join(sorted(map(str, found)))
        raise ValueError(f"the official split puts {_numbers(name)} in {splits}: cut it first")
    (split,) = found
    if split != "cut":
        return (Part(str(split)),)
    if name.half:
        return (Part("test" if name.half == "a" else "val"),)
    middle = _HALF_S[name.kind]
    return Part("test", 0.0, middle), Part("val", middle, None)


def _numbers(name: TakeName) -> str:
    return f"{name.first}" if name.first == name.last else f"{name.first} to {name.last}"


def _split(name: TakeName, sentence: int) -> str | None:
    if name.speaker in FOUR_HOUR_SPEAKERS:
        named, others = _FOUR_HOURS[name.kind], "train"
        known = sentence > 0
    else:
        named, others = _ONE_HOUR[name.kind], None
        known = True
    for split, sentences in named.items():
        if sentence in sentences:
            return split
    if name.speaker == 29 and name.kind == "conversation" and sentence in _MORE_OF_29:
        return "train"
    return others if known else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which takes to use.

    Attributes:
        languages: of LANGUAGES; empty for all.
        speakers: their numbers; empty for all.
        kinds: "speech", "conversation"; empty for both.
    """

    languages: frozenset[str] = frozenset()
    speakers: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()

    def reason_against(self, name: TakeName) -> str | None:
        """Return why a take is not selected, None if it is."""
        if self.languages and name.language not in self.languages:
            return f"not selected: {name.language}"
        if self.speakers and name.speaker not in self.speakers:
            return f"not selected: speaker {name.speaker}"
        if self.kinds and name.kind not in self.kinds:
            return f"not selected: {name.kind}"
        return None


_ENGLISH = frozenset({"english"})

SELECTIONS: dict[str, Selection] = {
    "all": Selection(),
    "english": Selection(_ENGLISH),
    "paper-35h": Selection(_ENGLISH, FOUR_HOUR_SPEAKERS),
    "beat-16h": Selection(_ENGLISH, frozenset({2, 4, 6, 8})),
}
"""Selections by name.

``english`` is all of types 0 and 1, about 60 hours. ``paper-35h`` is a reconstruction of what
ExpCLIP calls "approximately 35 hours" of English. The data set's page counts 34 hours of
native English, but nowhere says who is native; the ten speakers of four hours each are
the choice nearest in length (39.7 hours as recorded, less what lacks a stream). Give your own
list of speakers where you know better. ``beat-16h`` is the usual benchmark of four speakers.
"""
