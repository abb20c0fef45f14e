"""Easy data augmentation (Wei & Zou 2019) and the choice of the ExpCLIP paper, in arrays.

A block of texts is one flat array of chunk numbers. All chance is SplitMix64 over
(seed, row id, variant, place in the text), so that no row knows of its neighbours:
whatever the batching, the same bytes.
"""

from __future__ import annotations

import gc
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64

from expclip.tead.augmentation.synonyms import Synonyms, load_synonyms
from expclip.tead.augmentation.vocabulary import ENDS, KEEP, STOP, WORD, Vocabulary

__all__ = ["OPERATIONS", "Eda", "Variant"]

_BLOCK_ROWS = 2048
_BLOCK_CHUNKS = 1 << 20
_PLACE_BITS, _ROW_SHIFT = 24, np.uint64(52)  # a sort key: row 12, chance 28, place 24 bits
_MOST_CHUNKS = 1 << _PLACE_BITS
_PLACE_MASK = np.uint64(_MOST_CHUNKS - 1)
_CHANCE_MASK = np.uint64((1 << 52) - _MOST_CHUNKS)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Variant(NamedTuple):
    """One augmented text.

    Attributes:
        id: of the row it was made from.
        variant: its number, from 0.
        operation: what was done.
        text: the result; the original to the letter, if nothing changed.
        outcome: "changed", "unchanged" (there was nothing to do), or "failed".
    """

    id: str
    variant: int
    operation: str
    text: str
    outcome: str = "changed"


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of chunks, flat.

    Attributes:
        chunks: their numbers.
        lengths: chunks of each row.
        starts: place of each row's first chunk.
        rows: row of each chunk.
        flags: of each chunk.
        counts: how many synonyms each chunk has.
        words: how many words each row has.
    """

    chunks: Int64[np.ndarray, " chunks"]
    lengths: Int64[np.ndarray, " rows"]
    starts: Int64[np.ndarray, " rows"]
    rows: Int64[np.ndarray, " chunks"]
    flags: UInt8[np.ndarray, " chunks"]
    counts: UInt64[np.ndarray, " chunks"]
    words: Int64[np.ndarray, " rows"]

    @classmethod
    def of(cls, split: Sequence[Sequence[str]], vocabulary: Vocabulary) -> _Block:
        """Return the block of some texts, split at white space."""
        lengths = np.fromiter(map(len, split), np.int64, len(split))
        each = map(vocabulary.__getitem__, chain.from_iterable(split))
        chunks = np.fromiter(each, np.int64, int(lengths.sum()))
        rows, flags = np.repeat(np.arange(len(lengths)), lengths), vocabulary.flags[chunks]
        words = np.bincount(rows, flags & WORD, len(lengths)).astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        return cls(chunks, lengths, starts, rows, flags, vocabulary.counts[chunks], words)

    def shares(self, alpha: float) -> Int64[np.ndarray, " rows"]:
        """Return how many words each row is to gain or change: its share, at least 1."""
        return np.maximum(1, (alpha * self.words).astype(np.int64))

    def keep(self, mask: Bool[np.ndarray, " chunks"]) -> _Result:
        """Return the chunks of a mask, and how many each row has of them."""
        return self.chunks[mask], np.bincount(self.rows[mask], minlength=len(self.lengths))


_Result = tuple[np.ndarray, np.ndarray]
"""Chunks and lengths."""


class Eda:
    """Augments texts by one operation a variant: variant v by operation v modulo their number.

    - ``synonym``: a share of the words gives way to synonyms.
    - ``insertion``: synonyms of a share of the words come in, each before any word.
    - ``swap``: pairs of words change places.
    - ``deletion``: each word goes with a chance of ``alpha``.
    - ``stop_words``: words that say little go, all of them.
    - ``sentences``: the sentences come in another order.

    The share is ``alpha``, at least one word. Links, mentions, hashtags, emoji and numbers
    stay; negations and emotion words are never deleted. A word in the place of another takes
    on its capitals and punctuation.

    Args:
        operations: of OPERATIONS, in the order of the variants.
        alpha: share of the words of a text, above 0 and at most 1.
        synonyms: loaded as `load_synonyms` does, if not given.
    """

    def __init__(
        self,
        operations: Sequence[str] = (),
        *,
        alpha: float = 0.1,
        synonyms: Synonyms | None = None,
    ) -> None:
        self.operations = tuple(operations or OPERATIONS)
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if unknown:
            raise ValueError(f"no operation {unknown[0]!r}, expected {', '.join(OPERATIONS)}")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be above 0 and at most 1, got {alpha}")
        self.alpha = alpha
        self.synonyms = synonyms or load_synonyms()
        self._vocabulary = Vocabulary(self.synonyms)

    @property
    def source(self) -> str:
        """What it works with, said to people."""
        return self.synonyms.source

    def augment(
        self, texts: Sequence[str], ids: Sequence[str], *, seed: int = 0, variants: int = 1
    ) -> list[Variant]:
        """Return the variants of every text, row by row.

        Each depends on seed, id and variant number alone.
        """
        if len(texts) != len(ids):
            raise ValueError(f"{len(texts)} texts with {len(ids)} ids, expected as many")
        if variants < 1:
            raise ValueError(f"variants must be at least 1, got {variants}")
        found: list[Variant] = []
        try:
            for first, split in _blocks(texts):
                if self._vocabulary.is_full:
                    self._vocabulary.reset()
                block = slice(first, first + len(split))
                with _no_collection():
                    found += self._augment_block(texts[block], split, ids[block], seed, variants)
        except BaseException:  # Ctrl-C, say, may have left a word half entered
            self._vocabulary.reset()
            raise
        return found

    def _augment_block(
        self,
        texts: Sequence[str],
        split: Sequence[Sequence[str]],
        ids: Sequence[str],
        seed: int,
        variants: int,
    ) -> list[Variant]:
        too_long = [n for n, chunks in enumerate(split) if len(chunks) >= _MOST_CHUNKS]
        if too_long:
            split = [() if n in too_long else chunks for n, chunks in enumerate(split)]
        block = _Block.of(split, self._vocabulary)
        keys = _row_keys(ids, seed)
        found: list[Any] = [None] * (len(texts) * variants)
        for variant in range(variants):
            name = self.operations[variant % len(self.operations)]
            own = _mix(keys + _times(variant + 1, _GOLDEN))
            result = _OPERATIONS[name](block, own, self._vocabulary, self.alpha)
            new, outcomes = self._vocabulary.join(*result), ["changed"] * len(texts)
            for n in np.flatnonzero(~self._changed(block, *result)).tolist():
                new[n], outcomes[n] = texts[n], "unchanged"
            for n in too_long:
                outcomes[n] = "failed"
            fields = zip(ids, repeat(variant), repeat(name), new, outcomes, strict=False)
            # A third of the time of Variant(...), which is a function in Python:
            found[variant::variants] = map(tuple.__new__, repeat(Variant), fields)
        return found

    def _changed(
        self, block: _Block, chunks: np.ndarray, lengths: np.ndarray
    ) -> Bool[np.ndarray, " rows"]:
        """Return which rows read differently: no operation both exchanges and adds or takes."""
        if len(chunks) != len(block.chunks) or not np.array_equal(lengths, block.lengths):
            return np.asarray(lengths != block.lengths)
        spelling = self._vocabulary.spellings
        other = block.rows[spelling[chunks] != spelling[block.chunks]]
        return np.bincount(other, minlength=len(lengths)).astype(bool)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Put off the search for reference cycles, for there are none in what a block makes.

    Python would walk all it holds, a WordNet perhaps, every some ten thousand new tuples:
    half of the time.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield split texts, and the number of the first: neither too many rows nor chunks."""
    for start in range(0, len(texts), _BLOCK_ROWS):
        split = list(map(str.split, texts[start : start + _BLOCK_ROWS]))
        ends = list(accumulate(map(len, split)))
        first = 0
        while first < len(split):
            before = ends[first - 1] if first else 0
            last = max(first + 1, bisect_right(ends, before + _BLOCK_CHUNKS))
            yield start + first, split[first:last]
            first = last


def _row_keys(ids: Sequence[str], seed: int) -> UInt64[np.ndarray, " rows"]:
    start = hashlib.blake2b(str(seed).encode(), digest_size=16)

    def key(id_: str) -> bytes:
        own = start.copy()
        own.update(id_.encode("utf-8", "surrogatepass"))
        return own.digest()[:8]

    return np.frombuffer(b"".join(map(key, ids)), "<u8").astype(np.uint64)


def _mix(state: UInt64[np.ndarray, "*any"]) -> UInt64[np.ndarray, "*any"]:
    """Return the output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = state ^ (state >> np.uint64(31))
    return mixed


def _times(count: int, step: int | np.uint64) -> np.uint64:
    return np.uint64(count * int(step) % 2**64)


def _chance(keys: np.ndarray, steps: np.ndarray, stream: int) -> UInt64[np.ndarray, " any"]:
    """Return 64 random bits for each pair of key and step; streams are independent."""
    stream_keys = _mix(keys + _times(stream, 0xD1B54A32D192ED03))
    return _mix(stream_keys + (steps.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def _order(rows: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, sorted, and places in the order of chance within each row.

    The place is the lowest part of the sort key, so that no tie is left to the sort.
    """
    places = np.arange(len(rows), dtype=np.uint64)
    keys = (rows.astype(np.uint64) << _ROW_SHIFT) | ((chance >> np.uint64(12)) & _CHANCE_MASK)
    keys = np.sort(keys | places)
    return (keys >> _ROW_SHIFT).astype(np.int64), (keys & _PLACE_MASK).astype(np.int64)


def _pick(block: _Block, keys: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Pick words that have synonyms; return their places, and one of each word's synonyms."""
    places = np.flatnonzero(block.counts)
    rows = block.rows[places]
    sorted_rows, order = _order(rows, _chance(keys[rows], places - block.starts[rows], 1))
    have = np.bincount(rows, minlength=len(block.lengths))
    rank = np.arange(len(order)) - (np.cumsum(have) - have)[sorted_rows]
    places = places[order[rank < block.shares(alpha)[sorted_rows]]]
    rows = block.rows[places]
    chance = _chance(keys[rows], places - block.starts[rows], 2)
    return places, (chance % block.counts[places]).astype(np.int64)


def _replace(block: _Block, keys: np.ndarray, vocabulary: Vocabulary, alpha: float) -> _Result:
    places, choices = _pick(block, keys, alpha)
    chunks = block.chunks.copy()
    chunks[places] = vocabulary.replacements(chunks[places], choices)
    return chunks, block.lengths


def _insert(block: _Block, keys: np.ndarray, vocabulary: Vocabulary, alpha: float) -> _Result:
    places, choices = _pick(block, keys, alpha)
    rows = block.rows[places]
    steps = places - block.starts[rows]
    wide = _chance(keys[rows], steps, 3) % block.lengths[rows].astype(np.uint64)
    before = block.starts[rows] + wide.astype(np.int64)
    chunks = np.insert(block.chunks, before, vocabulary.synonyms(block.chunks[places], choices))
    return chunks, block.lengths + np.bincount(rows, minlength=len(block.lengths))


def _swap(block: _Block, keys: np.ndarray, vocabulary: Vocabulary, alpha: float) -> _Result:
    words = block.words
    times = np.where(words > 1, block.shares(alpha), 0)
    places = np.flatnonzero(block.flags & WORD)
    starts = np.cumsum(words) - words
    order = np.arange(len(places))
    active = np.flatnonzero(times)
    for turn in range(int(times.max(initial=0))):
        active = active[times[active] > turn]
        step, most = np.full(len(active), turn), words[active].astype(np.uint64)
        first = _chance(keys[active], step, 1) % most
        other = _chance(keys[active], step, 2) % (most - np.uint64(1))
        second = (first + np.uint64(1) + other) % most
        left, right = starts[active] + first.astype(int), starts[active] + second.astype(int)
        order[left], order[right] = order[right], order[left]
    chunks = block.chunks.copy()
    moved = np.flatnonzero(order != np.arange(len(order)))
    to, origin = places[moved], places[order[moved]]
    chunks[to] = vocabulary.moved(block.chunks[to], block.chunks[origin])
    return chunks, block.lengths


def _delete(block: _Block, keys: np.ndarray, vocabulary: Vocabulary, alpha: float) -> _Result:
    steps = np.arange(len(block.chunks)) - block.starts[block.rows]
    chance = _chance(keys[block.rows], steps, 1)
    may_go = (block.flags & (WORD | KEEP)) == WORD
    return _without(block, may_go & (chance >> np.uint64(11) < int(alpha * 2**53)))


def _remove_stop_words(
    block: _Block, keys: np.ndarray, vocabulary: Vocabulary, alpha: float
) -> _Result:
    return _without(block, (block.flags & (STOP | KEEP)) == STOP)


def _without(block: _Block, goes: Bool[np.ndarray, " chunks"]) -> _Result:
    """Remove chunks, but leave a row whole that would lose its last word."""
    words = (block.flags & WORD).astype(bool)
    left = np.bincount(block.rows[words & ~goes], minlength=len(block.lengths))
    return block.keep(~goes | (left == 0)[block.rows])


def _shuffle_sentences(
    block: _Block, keys: np.ndarray, vocabulary: Vocabulary, alpha: float
) -> _Result:
    rows = block.rows
    ends = ((block.flags & ENDS) != 0).astype(np.int64)
    before = np.cumsum(ends) - ends  # ends of sentences before each chunk, in the block
    first = np.append(before, 0)[np.minimum(block.starts, len(before))]
    sentences = before - first[rows]
    chance = _chance(keys[rows], sentences, 1)
    _, order = _order(rows, chance)
    moved = np.bincount(rows[order != np.arange(len(order))], minlength=len(block.lengths))
    chance[(sentences == 0) & (moved == 0)[rows]] = np.iinfo(np.uint64).max  # first to the end
    _, order = _order(rows, chance)
    return block.chunks[order], block.lengths


_OPERATIONS: dict[str, Callable[[_Block, np.ndarray, Vocabulary, float], _Result]] = {
    "synonym": _replace,
    "insertion": _insert,
    "swap": _swap,
    "deletion": _delete,
    "stop_words": _remove_stop_words,
    "sentences": _shuffle_sentences,
}

OPERATIONS = tuple(_OPERATIONS)
"""The names of all operations."""
