"""Synonyms for augmentation: emotion words by our own table, others from WordNet."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from expclip.tead.augmentation.wordnet import WordNet, find_wordnet, load_wordnet
from expclip.tead.emotions import label_synonyms, prototypes
from expclip.tead.offline.lexicon import load_lexicon

__all__ = ["EMOTION_WORDS", "Synonyms", "emotion_table", "load_synonyms"]

EMOTION_WORDS = ("same", "protect", "free")
"""What may happen to an emotion word: replaced within its emotion, never, or as any word."""

_ENDINGS = ("s", "ed", "ing", "ly", "er", "est", "d")
_CLEAR = 1.0  # the lexicon's weight of a plain emotion word; less is a hint


@dataclass(frozen=True)
class Synonyms:
    """What a word may be replaced by.

    Attributes:
        wordnet: for words without emotion; None where the machine has none.
        emotion_words: one of EMOTION_WORDS.
    """

    wordnet: WordNet | None = None
    emotion_words: str = "same"

    def __post_init__(self) -> None:
        if self.emotion_words not in EMOTION_WORDS:
            expected = ", ".join(EMOTION_WORDS)
            raise ValueError(f"emotion_words is {self.emotion_words!r}, expected {expected}")

    @property
    def source(self) -> str:
        """Where the synonyms come from, said to people."""
        own = f"the embedded table of {len(emotion_table())} emotion words"
        if self.wordnet is None:
            return f"{own} alone (no WordNet was used or found: other words have no synonyms)"
        return f"{self.wordnet.source}, and {own}"

    @property
    def origin(self) -> str:
        """Where the synonyms come from, for a manifest: no path of this machine."""
        return f"wordnet-{self.wordnet.version}+embedded" if self.wordnet else "embedded"

    def of(self, word: str) -> tuple[str, ...]:
        """Return the synonyms of a lower-case word, in a fixed order.

        An emotion word never comes in the place of a word without emotion, unless
        `emotion_words` is "free".
        """
        free = self.emotion_words == "free"
        if not free and is_emotional(word):
            return emotion_table().get(word, ()) if self.emotion_words == "same" else ()
        own = emotion_table().get(word, ()) if free else ()
        others = self.wordnet.of(word) if self.wordnet else ()
        if not free:
            others = tuple(filter(_is_plain, others))
        return tuple(dict.fromkeys((*own, *others)))


def load_synonyms(
    wordnet: str | Path | bool | None = None, emotion_words: str = "same"
) -> Synonyms:
    """Load WordNet where there is one, and the table of emotion words.

    Args:
        wordnet: folder of its database files (or NLTK's wordnet.zip); None looks in the
            usual places, and False uses none.
        emotion_words: one of EMOTION_WORDS.

    Raises:
        DataError: the folder given holds no WordNet.
    """
    if wordnet is False:
        return Synonyms(None, emotion_words)
    path = find_wordnet() if wordnet in (None, True) else wordnet
    return Synonyms(load_wordnet(str(path)) if path else None, emotion_words)


@cache
def emotion_table() -> dict[str, tuple[str, ...]]:
    """Return, for each word of data/synonyms.csv, the others of its emotion and form."""
    text = files("expclip.tead").joinpath("data/synonyms.csv").read_text("utf-8")
    groups = [row["words"].split() for row in csv.DictReader(text.splitlines())]
    return {word: tuple(w for w in group if w != word) for group in groups for word in group}


def is_emotional(word: str) -> bool:
    """Tell whether a lower-case word, or its base, speaks of an emotion."""
    known = _emotional()
    if word in known:
        return True
    return word.endswith(_ENDINGS) and any(
        word.endswith(end) and len(word) > len(end) + 2 and word[: -len(end)] in known
        for end in _ENDINGS
    )


@cache
def _is_plain(phrase: str) -> bool:
    return not any(map(is_emotional, phrase.split()))


@cache
def _emotional() -> frozenset[str]:
    named = {word for name in (*prototypes(), *label_synonyms()) for word in name.split()}
    weighty = {
        phrase
        for phrase, entry in load_lexicon().entries()
        if phrase.isalpha() and any(weight >= _CLEAR for _, weight in entry.weights)
    }
    return frozenset((named | weighty | emotion_table().keys()) - {"neutral", "empty"})
