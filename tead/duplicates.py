"""Texts that are nearly the same: pairs that share most of their word trigrams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["LEAST_ALIKE", "NearDuplicates", "find_near_duplicates"]

LEAST_ALIKE = 0.7
"""Jaccard similarity of near-duplicates: of 20 words one changed, of 10 the last one."""

_MOST_LIKE_IT = 100
"""A trigram's texts are compared with so many of them, the first ones.

Far above what is met (50,000 texts of the grammar: 80); it keeps a corpus that repeats
one sentence from asking for all its pairs.
"""

_ROWS_AT_ONCE = 4096
_PAIRS_AT_ONCE = 100_000
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
"""A run of letters and digits, or one character of the scripts that write no spaces."""


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of texts that are nearly the same, in the order of the later one.

    Attributes:
        first: position of the earlier text.
        second: position of the later text.
        similarity: Jaccard similarity of their word trigrams, 1 for the same words.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    similarity: Float[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.first)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        return zip(self.first.tolist(), self.second.tolist(), self.similarity.tolist(), strict=True)


def find_near_duplicates(texts: Sequence[str], least: float = LEAST_ALIKE) -> NearDuplicates:
    """Return the pairs of texts whose word trigrams have a Jaccard similarity of ``least``.

    Exact, by prefix filtering (Chaudhuri et al. 2006; Bayardo et al. 2007): two sets can
    be alike only if they share one of their rarest members, so that a text is compared
    with few others. Only where a trigram is the rarest of more than 100 texts, each is
    compared with the first 100 of them. Case and punctuation do not matter; a text of
    fewer than three words is one "trigram".

    Raises:
        ValueError: ``least`` is not above 0 and at most 1.
    """
    if not 0 < least <= 1:
        raise ValueError(f"least must be above 0 and at most 1, got {least}")
    grams = _gram_matrix(texts)
    sizes = np.diff(grams.indptr)
    nothing = np.zeros(0, np.int64)
    found = [(nothing, nothing, np.zeros(0))]
    found += [
        _alike(grams, sizes, first[at : at + _PAIRS_AT_ONCE], second[at : at + _PAIRS_AT_ONCE])
        for first, second in _candidates(grams, sizes, least)
        for at in range(0, len(first), _PAIRS_AT_ONCE)
    ]
    first, second, similarity = (np.concatenate(column) for column in zip(*found, strict=True))
    enough = similarity >= least - 1e-12
    order = np.lexsort((first[enough], second[enough]))
    return NearDuplicates(first[enough][order], second[enough][order], similarity[enough][order])


def _gram_matrix(texts: Iterable[str]) -> csr_array:
    """Return which text (row) has which trigram (column), the rarest trigrams first."""
    from scipy.sparse import csr_array

    numbers: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    starts = [0]
    for text in texts:
        words = _WORD.findall(text.casefold())
        grams = set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)} - {()}
        columns += {numbers.setdefault(gram, len(numbers)) for gram in grams}
        starts.append(len(columns))
    column = np.array(columns, np.int64)
    common = np.bincount(column, minlength=len(numbers))
    rank = np.empty(len(numbers), np.int64)
    rank[np.argsort(common, kind="stable")] = np.arange(len(numbers))
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    column = rank[column][np.lexsort((rank[column], rows))]
    ones = np.ones(len(column), np.int32)
    return csr_array((ones, column, starts), shape=(len(starts) - 1, len(numbers)))


def _candidates(
    grams: csr_array, sizes: Int[np.ndarray, " texts"], least: float
) -> Iterator[tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]]:
    """Yield pairs, the earlier text first, that share a trigram that is rare in both."""
    from scipy.sparse import csr_array

    needed = np.ceil(least * sizes - 1e-9).astype(np.int64)  # trigrams that two must share
    rows = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(grams.nnz) - np.repeat(grams.indptr[:-1], sizes)
    rare = place < (sizes - needed + 1)[rows]
    rows, columns = rows[rare], grams.indices[rare]
    ones = np.ones(len(rows), np.int32)
    prefixes = csr_array((ones, (rows, columns)), shape=grams.shape)
    few = _rank_within(columns) < _MOST_LIKE_IT
    earlier = csr_array((ones[few], (columns[few], rows[few])), shape=grams.shape[::-1])
    for start in range(0, len(sizes), _ROWS_AT_ONCE):
        shared = (prefixes[start : start + _ROWS_AT_ONCE] @ earlier).tocoo()
        second, first = (axis.astype(np.int64) for axis in shared.coords)
        second += start
        small, large = np.sort([sizes[first], sizes[second]], axis=0)
        possible = (first < second) & (small >= least * large - 1e-9)
        yield first[possible], second[possible]


def _rank_within(columns: Int[np.ndarray, " entries"]) -> Int[np.ndarray, " entries"]:
    """Return how many entries of the same column come before each."""
    order = np.argsort(columns, kind="stable")
    starts = np.flatnonzero(np.diff(columns[order], prepend=-1))
    rank = np.empty(len(columns), np.int64)
    rank[order] = np.arange(len(columns)) - np.repeat(
        starts, np.diff(starts, append=[len(columns)])
    )
    return rank


def _alike(
    grams: csr_array,
    sizes: Int[np.ndarray, " texts"],
    first: Int[np.ndarray, " pairs"],
    second: Int[np.ndarray, " pairs"],
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Return the pairs with the Jaccard similarity of their trigrams."""
    shared = np.asarray(grams[first].multiply(grams[second]).sum(axis=1)).ravel()
    return first, second, shared / (sizes[first] + sizes[second] - shared)
