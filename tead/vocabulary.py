"""The words that augmentation has met, each with what may happen to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import numpy as np

from expclip.tead.offline.lexicon import load_lexicon
from expclip.tead.synonyms import Synonyms, is_emotional

__all__ = ["ENDS", "KEEP", "STOP", "WORD", "Vocabulary"]

WORD, STOP, KEEP, ENDS = 1, 2, 4, 8
"""Flags: may move; says little; is never deleted; ends a sentence."""

_MOST_WORDS = 500_000  # then it is emptied, so that endless texts do not fill the memory
_LETTER = re.compile(r"[^\W_]")
_LINK = re.compile(r"[@#]|https?:|www\.", re.IGNORECASE)
_STOP_WORDS = frozenset(
    """a about after again all also am an and any are as at be because been before being both but by
    can could did do does doing down during each few for from further had has have having he her
    here hers herself him himself his how i i'd i'll i'm i've if in into is it it's its itself just
    let's me more most my myself of off on once only or other our ours ourselves out over own same
    she should so some such than that that's the their theirs them themselves then there these they
    they're they've this those through to too under until up very was we we're we've were what when
    where which while who whom why will with would you you're you've your yours yourself""".split()
)


class Vocabulary(dict[str, int]):
    """Numbers for chunks (words with their punctuation), given out as they are met.

    No number may decide a result, for numbers depend on what was met before.

    Attributes:
        strings: the chunks by number.
        cores: the same without the punctuation around them.
        flags: of each chunk, as of the last `sync`.
        counts: how many synonyms each has.
    """

    def __init__(self, synonyms: Synonyms) -> None:
        super().__init__()
        self.strings: list[str] = []
        self.cores: list[str] = []
        self._synonyms = synonyms
        self.reset()

    def reset(self) -> None:
        """Forget every chunk."""
        self.clear()
        self.strings.clear()
        self.cores.clear()
        self._choices: list[tuple[str, ...]] = []
        self._new_flags: list[int] = []
        self._bare: dict[tuple[int, int], int] = {}
        self._replaced: dict[tuple[int, int], int] = {}
        self._moved: dict[tuple[int, int], int] = {}
        self._outputs: dict[str, int] = {}
        self.flags = np.zeros(0, np.uint8)
        self.counts = np.zeros(0, np.uint64)

    @property
    def is_full(self) -> bool:
        """Whether it is time for a `reset`, between two batches."""
        return len(self.strings) + len(self._moved) > _MOST_WORDS

    def output(self, chunk: str) -> int:
        """Return the number of a chunk that no operation will look at any more."""
        number = self._outputs.get(chunk)
        if number is None:
            number = self._outputs[chunk] = self._add(chunk, 0, (), chunk)
        return number

    def __missing__(self, chunk: str) -> int:
        written = _parts(chunk)[1]
        core = written.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        is_word = any(map(str.isalpha, core)) and not _LINK.search(chunk)
        negates = core in _negations() or core.endswith("n't")
        is_stop = core in _STOP_WORDS
        flags = ENDS * chunk.rstrip("\"')]}\N{RIGHT DOUBLE QUOTATION MARK}").endswith(
            _SENTENCE_ENDS
        )
        if is_word:
            flags |= WORD | STOP * is_stop | KEEP * (negates or is_emotional(core))
        replaceable = is_word and not is_stop and not negates
        choices = self._synonyms.of(core) if replaceable else ()
        number = self[chunk] = self._add(chunk, flags, choices, written)
        return number

    def _add(self, chunk: str, flags: int, choices: tuple[str, ...], core: str) -> int:
        self.strings.append(chunk)
        self.cores.append(core)
        self._new_flags.append(flags)
        self._choices.append(choices)
        return len(self.strings) - 1

    def sync(self) -> None:
        """Bring the arrays up to the last chunk."""
        done = len(self.flags)
        if done < len(self.strings):
            self.flags = np.append(self.flags, np.array(self._new_flags, np.uint8))
            counts = np.fromiter(map(len, self._choices[done:]), np.uint64)
            self.counts = np.append(self.counts, counts)
            self._new_flags.clear()

    def synonyms(self, pairs: Iterable[tuple[int, int]]) -> list[int]:
        """Return synonyms, bare, for pairs of a chunk and the number of its synonym."""
        known = self._bare
        return [known.get(pair) or self._synonym(pair) for pair in pairs]

    def replacements(self, pairs: Iterable[tuple[int, int]]) -> list[int]:
        """Return the same, dressed as the chunks."""
        known = self._replaced
        return [known.get(pair) or self._replacement(pair) for pair in pairs]

    def moved(self, pairs: Iterable[tuple[int, int]]) -> list[int]:
        """Return, for pairs of chunks, the word of the second dressed as the first."""
        known = self._moved
        return [known.get(pair) or self._move(pair) for pair in pairs]

    def _synonym(self, pair: tuple[int, int]) -> int:
        number = self._bare[pair] = self.output(self._choices[pair[0]][pair[1]])
        return number

    def _replacement(self, pair: tuple[int, int]) -> int:
        number = self._replaced[pair] = self._dress(pair[0], self._choices[pair[0]][pair[1]])
        return number

    def _move(self, pair: tuple[int, int]) -> int:
        number = self._moved[pair] = self._dress(pair[0], self.cores[pair[1]])
        return number

    def _dress(self, place: int, word: str) -> int:
        """Return the chunk of a word with the punctuation and capitals of another chunk."""
        lead, core, tail = _parts(self.strings[place])
        if len(core) > 1 and core.isupper():
            word = word.upper()
        elif core[:1].isupper():
            word = word[:1].upper() + word[1:]
        return self.output(lead + word + tail)


_SENTENCE_ENDS = (".", "!", "?", "\N{HORIZONTAL ELLIPSIS}")


def _parts(chunk: str) -> tuple[str, str, str]:
    """Split a chunk into punctuation, word, punctuation; without a word all is the word."""
    first = _LETTER.search(chunk)
    if first is None:
        return "", chunk, ""
    start = first.start()
    last = _LETTER.search(chunk[::-1])
    end = len(chunk) - (last.start() if last else 0)
    return chunk[:start], chunk[start:end], chunk[end:]


@cache
def _negations() -> frozenset[str]:
    said = (phrase for phrase, entry in load_lexicon().entries() if entry.cue == "negate")
    bare = {"dont", "cant", "wont", "isnt", "wasnt", "didnt", "doesnt", "aint", "couldnt"}
    return frozenset(bare | {phrase for phrase in said if " " not in phrase})
