"""Names of BEAT takes, and what they say: speaker, language, kind of recording, emotion.

A take is ``<speaker>_<name>_<type>_<first>_<last>``. Version 0.1.0 has a range of sentences in a
file (``1_wayne_0_1_8``), 0.2.x one (``1_wayne_0_1_1``); the halves that the official
preprocessing cuts end in ``_a`` and ``_b``. Source: the data set's readme
(PantoMatrix, ``readme_beat.md``).
"""

import re
from dataclasses import dataclass

__all__ = ["EMOTIONS", "LANGUAGES", "SPEAKERS", "TakeName", "parse_take_name"]

SPEAKERS = (
    *("wayne", "scott", "solomon", "lawrence", "stewart", "carla", "sophie", "catherine"),
    *("miranda", "kieks", "nidal", "zhao", "lu", "zhang", "carlos", "jorge", "itoi", "daiki"),
    *("jaime", "li", "ayana", "luqi", "hailing", "kexin", "goto", "reamey", "yingqing"),
    *("tiffnay", "hanieh", "katya"),
)
"""Names of speakers 1 to 30, as the files spell them."""

LANGUAGES = ("english", "chinese", "spanish", "japanese")
"""Of the types 0 and 1, 2 and 3, 4 and 5, 6 and 7; the even ones are speech."""

EMOTIONS = (
    *("neutral", "happiness", "anger", "sadness", "contempt", "surprise", "fear", "disgust"),
)
"""In the order of the data set's codes 0 to 7."""

_FIRST_SENTENCES = (1, 65, 73, 81, 87, 95, 103, 111)
"""The first sentence of each emotion; the last one is the next emotion's first less 1."""
_SENTENCES = {"speech": (1, 118), "conversation": (0, 12)}

_NAME = re.compile(r"(\d{1,2})_([a-z]+)_([0-7])_(\d{1,3})_(\d{1,3})(?:_([ab]))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class TakeName:
    """The name of a take, in its parts; they sort as numbers.

    Attributes:
        speaker: 1 to 30.
        type: 0 to 7, language and kind of recording.
        first: number of the first sentence (of speech) or topic (of conversation).
        last: number of the last one.
        half: "a" or "b" of a take cut in two, else "".
        person: the speaker's name, as the file spells it.
    """

    speaker: int
    type: int
    first: int
    last: int
    half: str
    person: str

    def __str__(self) -> str:
        half = self.half and f"_{self.half}"
        return f"{self.speaker}_{self.person}_{self.type}_{self.first}_{self.last}{half}"

    @property
    def language(self) -> str:
        """One of LANGUAGES."""
        return LANGUAGES[self.type // 2]

    @property
    def kind(self) -> str:
        """Speech (read, about a minute a sentence) or conversation (about ten)."""
        return "conversation" if self.type % 2 else "speech"

    @property
    def sentences(self) -> range:
        """The numbers that the take covers."""
        return range(self.first, self.last + 1)

    @property
    def emotion(self) -> str | None:
        """The emotion that the numbers stand for; None where they stand for several.

        Sentences 65-72 are happy, 73-80 angry... Conversation is neutral throughout.
        """
        if self.kind == "conversation":
            return EMOTIONS[0]
        first, last = _emotion_of(self.first), _emotion_of(self.last)
        return EMOTIONS[first] if first == last else None


def _emotion_of(sentence: int) -> int:
    return sum(sentence >= start for start in _FIRST_SENTENCES) - 1


def parse_take_name(text: str) -> TakeName:
    """Parse the name of a take, without a suffix.

    Raises:
        ValueError: it is no such name; the message says why.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError("is not named <speaker>_<name>_<type>_<first>_<last>")
    speaker, person, kind, first, last, half = match.groups()
    name = TakeName(int(speaker), int(kind), int(first), int(last), half or "", person)
    if not 1 <= name.speaker <= len(SPEAKERS):
        raise ValueError(f"names speaker {name.speaker}, expected 1 to {len(SPEAKERS)}")
    least, most = _SENTENCES[name.kind]
    if not least <= name.first <= name.last <= most:
        numbers = f"{name.first} to {name.last}"
        raise ValueError(f"covers {name.kind} {numbers}, expected numbers from {least} to {most}")
    return name
