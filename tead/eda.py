"""Easy data augmentation (Wei & Zou 2019) and the choice of the ExpCLIP paper, in arrays.

A block of texts is one flat array of chunk numbers. All chance is SplitMix64 over
(seed, row id, variant, place in the text), so that no row knows of its neighbours:
whatever the batching, the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from expclip.tead.synonyms import Synonyms, load_synonyms
from expclip.tead.vocabulary import ENDS, KEEP, STOP, WORD, Vocabulary

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
    """Rows of chunks, flat, with a random key for each row."""

    chunks: Int64[np.ndarray, " chunks"]
    lengths: Int64[np.ndarray, " rows"]
    keys: UInt64[np.ndarray, " rows"]

    @property
    def starts(self) -> Int64[np.ndarray, " rows"]:
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    @property
    def rows(self) -> Int64[np.ndarray, " chunks"]:
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def keep(self, mask: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the chunks of a mask, and how many each row has of them."""
        return self.chunks[mask], np.bincount(rows[mask], minlength=len(self.lengths))


_Result = tuple[np.ndarray, np.ndarray]
"""Chunks and lengths."""

_Pairs = Iterable[tuple[int, int]]


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
        split = list(map(str.split, texts))
        for first, last in _cut(split):
            if self._vocabulary.is_full:
                self._vocabulary.reset()
            found += self._augment_block(
                texts[first:last], split[first:last], ids[first:last], seed, variants
            )
        return found

    def _augment_block(
        self,
        texts: Sequence[str],
        split: list[list[str]],
        ids: Sequence[str],
        seed: int,
        variants: int,
    ) -> list[Variant]:
        plain = list(map(" ".join, split))
        too_long = {n for n, chunks in enumerate(split) if len(chunks) >= _MOST_CHUNKS}
        rows = [[] if n in too_long else chunks for n, chunks in enumerate(split)]
        numbers = np.array([self._vocabulary[c] for row in rows for c in row], np.int64)
        lengths = np.fromiter(map(len, rows), np.int64)
        keys = _row_keys(ids, seed)
        make = tuple.__new__  # a third of the time of Variant(...)
        made = []
        for variant in range(variants):
            self._vocabulary.sync()
            name = self.operations[variant % len(self.operations)]
            block = _Block(numbers, lengths, _mix(keys + _times(variant + 1, _GOLDEN)))
            results = self._decode(*_OPERATIONS[name](block, self._vocabulary, self.alpha))
            made.append(
                [
                    make(Variant, (id_, variant, name, new, "changed"))
                    if new != old
                    else make(Variant, (id_, variant, name, text, "unchanged"))
                    for id_, new, old, text in zip(ids, results, plain, texts, strict=True)
                ]
            )
        for n in too_long:
            for row in made:
                row[n] = row[n]._replace(text=texts[n], outcome="failed")
        return [item for row in zip(*made, strict=True) for item in row]

    def _decode(self, chunks: np.ndarray, lengths: np.ndarray) -> list[str]:
        words = list(map(self._vocabulary.strings.__getitem__, chunks.tolist()))
        ends = np.cumsum(lengths).tolist()
        return [
            " ".join(words[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]


def _cut(split: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
    """Yield the borders of blocks that are neither too many rows nor too many chunks."""
    first = size = 0
    for n, chunks in enumerate(split):
        if n > first and (n - first == _BLOCK_ROWS or size + len(chunks) > _BLOCK_CHUNKS):
            yield first, n
            first, size = n, 0
        size += len(chunks)
    if first < len(split):
        yield first, len(split)


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


def _shares(mask: np.ndarray, rows: np.ndarray, count: int, alpha: float) -> np.ndarray:
    """Return how many words each row is to lose, gain or change: its share, at least 1."""
    words = np.bincount(rows[mask], minlength=count)
    return np.maximum(1, (alpha * words).astype(np.int64))


def _pick(block: _Block, vocabulary: Vocabulary, alpha: float) -> tuple[np.ndarray, _Pairs]:
    """Pick words that have synonyms; return their places, and chunks with a synonym's number."""
    rows, count = block.rows, len(block.lengths)
    is_word = (vocabulary.flags[block.chunks] & WORD).astype(bool)
    most = _shares(is_word, rows, count, alpha)
    places = np.flatnonzero(vocabulary.counts[block.chunks])
    steps = places - block.starts[rows[places]]
    chance = _chance(block.keys[rows[places]], steps, 1)
    sorted_rows, order = _order(rows[places], chance)
    have = np.bincount(rows[places], minlength=count)
    rank = np.arange(len(order)) - (np.cumsum(have) - have)[sorted_rows]
    picked = order[rank < most[sorted_rows]]
    places, steps = places[picked], steps[picked]
    choices = _chance(block.keys[rows[places]], steps, 2) % vocabulary.counts[block.chunks[places]]
    return places, zip(block.chunks[places].tolist(), choices.tolist(), strict=True)


def _replace(block: _Block, vocabulary: Vocabulary, alpha: float) -> _Result:
    places, pairs = _pick(block, vocabulary, alpha)
    chunks = block.chunks.copy()
    chunks[places] = vocabulary.replacements(pairs)
    return chunks, block.lengths


def _insert(block: _Block, vocabulary: Vocabulary, alpha: float) -> _Result:
    places, pairs = _pick(block, vocabulary, alpha)
    rows = block.rows[places]
    steps = places - block.starts[rows]
    wide = _chance(block.keys[rows], steps, 3) % block.lengths[rows].astype(np.uint64)
    before = block.starts[rows] + wide.astype(np.int64)
    new = np.array(vocabulary.synonyms(pairs), np.int64)
    chunks = np.insert(block.chunks, before, new)
    return chunks, block.lengths + np.bincount(rows, minlength=len(block.lengths))


def _swap(block: _Block, vocabulary: Vocabulary, alpha: float) -> _Result:
    is_word = (vocabulary.flags[block.chunks] & WORD).astype(bool)
    rows, count = block.rows, len(block.lengths)
    words = np.bincount(rows[is_word], minlength=count)
    times = np.where(words > 1, _shares(is_word, rows, count, alpha), 0)
    places = np.flatnonzero(is_word)
    starts = np.cumsum(words) - words
    order = np.arange(len(places))
    active = np.flatnonzero(times)
    for turn in range(int(times.max(initial=0))):
        active = active[times[active] > turn]
        step, most = np.full(len(active), turn), words[active].astype(np.uint64)
        first = _chance(block.keys[active], step, 1) % most
        other = _chance(block.keys[active], step, 2) % (most - np.uint64(1))
        second = (first + np.uint64(1) + other) % most
        left, right = starts[active] + first.astype(int), starts[active] + second.astype(int)
        order[left], order[right] = order[right], order[left]
    chunks = block.chunks.copy()
    moved = np.flatnonzero(order != np.arange(len(order)))
    to, origin = places[moved], places[order[moved]]
    pairs = zip(block.chunks[to].tolist(), block.chunks[origin].tolist(), strict=True)
    chunks[to] = vocabulary.moved(pairs)
    return chunks, block.lengths


def _delete(block: _Block, vocabulary: Vocabulary, alpha: float) -> _Result:
    rows, flags = block.rows, vocabulary.flags[block.chunks]
    steps = np.arange(len(rows)) - block.starts[rows]
    chance = _chance(block.keys[rows], steps, 1)
    goes = ((flags & (WORD | KEEP)) == WORD) & (chance >> np.uint64(11) < int(alpha * 2**53))
    return _without(block, rows, flags, goes)


def _remove_stop_words(block: _Block, vocabulary: Vocabulary, alpha: float) -> _Result:
    rows, flags = block.rows, vocabulary.flags[block.chunks]
    return _without(block, rows, flags, (flags & (STOP | KEEP)) == STOP)


def _without(
    block: _Block, rows: Int64[np.ndarray, " chunks"], flags: UInt8[np.ndarray, " chunks"],
    goes: np.ndarray,
) -> _Result:  # fmt: skip
    """Remove chunks, but leave a row whole that would lose its last word."""
    words = (flags & WORD).astype(bool)
    left = np.bincount(rows[words & ~goes], minlength=len(block.lengths))
    return block.keep(~goes | (left == 0)[rows], rows)


def _shuffle_sentences(block: _Block, vocabulary: Vocabulary, alpha: float) -> _Result:
    rows = block.rows
    ends = ((vocabulary.flags[block.chunks] & ENDS) != 0).astype(np.int64)
    before = np.cumsum(ends) - ends  # ends of sentences before each chunk, in the block
    first = np.append(before, 0)[np.minimum(block.starts, len(before))]
    sentences = before - first[rows]
    chance = _chance(block.keys[rows], sentences, 1)
    _, order = _order(rows, chance)
    moved = np.bincount(rows[order != np.arange(len(order))], minlength=len(block.lengths))
    chance[(sentences == 0) & (moved == 0)[rows]] = np.iinfo(np.uint64).max  # first to the end
    _, order = _order(rows, chance)
    return block.chunks[order], block.lengths


_OPERATIONS: dict[str, Callable[[_Block, Vocabulary, float], _Result]] = {
    "synonym": _replace,
    "insertion": _insert,
    "swap": _swap,
    "deletion": _delete,
    "stop_words": _remove_stop_words,
    "sentences": _shuffle_sentences,
}

OPERATIONS = tuple(_OPERATIONS)
"""The names of all operations."""
