"""The words that augmentation has met, each with what may happen to it."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from expclip.tead.augmentation.synonyms import Synonyms, is_emotional
from expclip.tead.offline.lexicon import load_lexicon

__all__ = ["ENDS", "KEEP", "STOP", "WORD", "Vocabulary"]

WORD, STOP, KEEP, ENDS = 1, 2, 4, 8
"""Flags: may move; says little; is never deleted; ends a sentence."""

Numbers = Int64[np.ndarray, " any"]

_CODEC = ("utf-8", "surrogatepass")
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

    No number may decide a result, for numbers depend on what was met before. The arrays
    are views of what still grows: take from them at once, and do not keep them.
    """

    def __init__(self, synonyms: Synonyms) -> None:
        super().__init__()
        self._synonyms = synonyms
        self.reset()

    def reset(self) -> None:
        """Forget every chunk."""
        self.clear()
        self._outputs: dict[str, int] = {}
        self._moved: dict[int, int] = {}
        self._choices_of: dict[str, tuple[str, ...]] = {}
        self._parts: list[tuple[str, str, str]] = []  # by number, as all below
        self._choices: list[tuple[str, ...]] = []
        self._flags, self._counts, self._spellings = array("B"), array("Q"), array("q")
        self._first_choice = array("q")  # places in the two tables of all choices:
        self._bare, self._replaced = array("q"), array("q")  # their numbers, or -1
        self._letters = bytearray()  # each chunk after a space, and without
        self._ends = array("q", [0])

    @property
    def is_full(self) -> bool:
        """Whether it is time for a `reset`, between two batches."""
        return len(self._flags) + len(self._moved) > _MOST_WORDS

    @property
    def flags(self) -> UInt8[np.ndarray, " chunks"]:
        """What each chunk is."""
        return np.frombuffer(self._flags, np.uint8)

    @property
    def counts(self) -> UInt64[np.ndarray, " chunks"]:
        """How many synonyms each has."""
        return np.frombuffer(self._counts, np.uint64)

    @property
    def spellings(self) -> Int64[np.ndarray, " chunks"]:
        """One number for all chunks that are written the same."""
        return np.frombuffer(self._spellings, np.int64)

    def __missing__(self, chunk: str) -> int:
        parts = _split(chunk)
        core = parts[1].lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        is_word = any(map(str.isalpha, core)) and not _LINK.search(chunk)
        negates = core in _negations() or core.endswith("n't")
        is_stop = core in _STOP_WORDS
        flags = ENDS * chunk.rstrip("\"')]}\N{RIGHT DOUBLE QUOTATION MARK}").endswith(
            _SENTENCE_ENDS
        )
        if is_word:
            flags |= WORD | STOP * is_stop | KEEP * (negates or is_emotional(core))
        replaceable = is_word and not is_stop and not negates
        choices = self._look_up(core) if replaceable else ()
        empty = array("q", [-1]) * len(choices)
        self._bare += empty
        self._replaced += empty
        number = self[chunk] = self._add(chunk, self._outputs, flags, choices, parts)
        return number

    def synonyms(self, chunks: Numbers, choices: Numbers) -> Numbers:
        """Return synonyms, bare, by chunk and number of the choice."""

        def bare(chunk: int, choice: int) -> int:
            return self._output(self._choices[chunk][choice])

        return self._fill(self._bare, chunks, choices, bare)

    def replacements(self, chunks: Numbers, choices: Numbers) -> Numbers:
        """Return the same, dressed as the chunks."""

        def dressed(chunk: int, choice: int) -> int:
            return self._dress(chunk, self._choices[chunk][choice])

        return self._fill(self._replaced, chunks, choices, dressed)

    def moved(self, to: Numbers, origin: Numbers) -> Numbers:
        """Return the words of the second chunks, dressed as the first."""
        pairs = ((to << 32) | origin).tolist()
        found = list(map(self._moved.get, pairs))
        if None in found:
            for pair in {pair for pair, number in zip(pairs, found, strict=True) if number is None}:
                self._moved[pair] = self._dress(pair >> 32, self._parts[pair & 0xFFFFFFFF][1])
            found = list(map(self._moved.get, pairs))
        return np.array(found, np.int64)

    def join(self, chunks: Numbers, lengths: Numbers) -> list[str]:
        """Return rows of chunks as texts.

        Arrow lays the letters of all rows end to end, each chunk with the space before it
        (a row's first has none), so that rows are slices of one buffer.
        """
        import pyarrow as pa

        if not len(chunks):
            return [""] * len(lengths)
        ends = np.append(0, np.cumsum(lengths))
        places = chunks * 2
        places[ends[:-1][lengths > 0]] += 1
        buffers = [None, pa.py_buffer(self._ends), pa.py_buffer(self._letters)]
        words = pa.Array.from_buffers(pa.large_binary(), len(self._ends) - 1, buffers)
        _, word_ends, letters = words.take(pa.array(places)).buffers()
        row_ends = pa.py_buffer(np.frombuffer(word_ends, np.int64)[ends])
        rows = pa.Array.from_buffers(pa.large_string(), len(lengths), [None, row_ends, letters])
        try:
            texts: list[str] = rows.to_numpy(zero_copy_only=False).tolist()
        except (UnicodeDecodeError, pa.ArrowException):  # half a surrogate pair is no UTF-8
            return [row.decode(*_CODEC) for row in rows.view(pa.large_binary()).to_pylist()]
        return texts

    def _look_up(self, core: str) -> tuple[str, ...]:
        choices = self._choices_of.get(core)
        if choices is None:
            choices = self._choices_of[core] = self._synonyms.of(core)
        return choices

    def _fill(
        self, table: array[int], chunks: Numbers, choices: Numbers, make: Callable[[int, int], int]
    ) -> Numbers:
        """Return entries of a table of choices; those that nobody asked for yet are made."""
        places: Numbers = np.frombuffer(self._first_choice, np.int64)[chunks] + choices
        if not len(places):
            return places
        known = np.frombuffer(table, np.int64)
        found: Numbers = known[places]
        new, first = np.unique(places[found < 0], return_index=True)
        if len(new):
            asked = np.flatnonzero(found < 0)[first]
            pairs = zip(chunks[asked].tolist(), choices[asked].tolist(), strict=True)
            known[new] = [make(chunk, choice) for chunk, choice in pairs]
            found = known[places]
        return found

    def _dress(self, place: int, word: str) -> int:
        """Return the chunk of a word with the punctuation and capitals of another chunk."""
        lead, core, tail = self._parts[place]
        if len(core) > 1 and core.isupper():
            word = word.upper()
        elif core[:1].isupper():
            word = word[:1].upper() + word[1:]
        return self._output(lead + word + tail)

    def _output(self, chunk: str) -> int:
        """Return the number of a chunk that no operation will look at any more."""
        number = self._outputs.get(chunk)
        if number is None:
            number = self._outputs[chunk] = self._add(chunk, self)
        return number

    def _add(
        self,
        chunk: str,
        others: dict[str, int],
        flags: int = 0,
        choices: tuple[str, ...] = (),
        parts: tuple[str, str, str] = ("", "", ""),
    ) -> int:
        """Give a chunk the next number; the same may be among `others` already."""
        number = len(self._flags)
        self._flags.append(flags)
        self._counts.append(len(choices))
        self._first_choice.append(len(self._bare) - len(choices))
        self._spellings.append(others.get(chunk, number))
        self._choices.append(choices)
        self._parts.append(parts)
        letters = chunk.encode(*_CODEC)
        start = len(self._letters)
        self._letters += b" " + letters + letters
        self._ends.append(start + 1 + len(letters))
        self._ends.append(start + 1 + 2 * len(letters))
        return number


_SENTENCE_ENDS = (".", "!", "?", "\N{HORIZONTAL ELLIPSIS}")


def _split(chunk: str) -> tuple[str, str, str]:
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
