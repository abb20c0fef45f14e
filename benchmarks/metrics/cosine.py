"""Cosines that do not depend on how they are computed, and counts of them above a bound.

A product in float32 gives other last digits for other shapes, so that near ties fall one
way or the other. Here unit vectors are rounded to multiples of 2^-24, which float32 holds: the
sum of products of two of them is then exact in float64, in any order, by any library. A fast
product in float32 comes first; only what lies nearer to a bound than its error is looked at
again, exactly. So no count depends on portions, threads or the order of rows.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Lock, local
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

__all__ = [
    "MARGIN",
    "Bounds",
    "count_above",
    "error_bound",
    "exact_pairs",
    "exact_table",
    "unit_vectors",
]

MARGIN = 3e-7
"""Cosines no farther apart than this are tied: what float32, and the grid, do to unit vectors."""

_GRID = 2.0**24
_ROUNDING = 2.0**-24  # of float32
_ROWS_AT_ONCE = 256  # of float64, that a processor's cache holds
_COLUMNS_AT_ONCE = 1024
_PAIRS_AT_ONCE = 256
_STRIP = 64  # rows that are turned into columns at once
_MOST_THREADS = 16  # each has memory for a tile
_FEW = 4  # bounds of one query that are compared one by one; more are found in a sorted row


_Vectors = Float[np.ndarray, "n dim"]
"""Of unit_vectors: float32, on the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Intervals of cosines, some to each query; in each is that of one of its items."""

    query: Int[np.ndarray, " bounds"]  # ascending
    low: Float[np.ndarray, " bounds"]
    high: Float[np.ndarray, " bounds"]

    def __len__(self) -> int:
        return len(self.query)


def unit_vectors(
    rows: Shaped[np.ndarray, "rows dim"], item: Int[np.ndarray, " rows"], name: str
) -> Float[np.ndarray, "items dim"]:
    """Return one unit vector an item, float32 on the grid; items are numbered by first appearance.

    Rows of one item that differ stand for it by the mean of their unit vectors, which does
    not depend on their order and favours no item for having many rows. A zero vector stays
    zero: its cosine with anything is 0.

    Raises:
        ValueError: a value is not finite.
    """
    first = np.unique(item, return_index=True)[1]
    vectors = np.empty((len(first), rows.shape[1]), np.float32)
    for part in _portions(len(first)):
        vectors[part] = _on_grid(rows[first[part]], name, first[part])
    uneven: set[int] = set()
    for part in _portions(len(rows)):
        kin = first[item[part]]
        if not np.array_equal(kin, np.arange(part.start, part.stop)):
            differs = (rows[part] != rows[kin]).any(axis=1)
            uneven.update(item[part][differs].tolist())
    for number in sorted(uneven):
        mine = np.flatnonzero(item == number)
        total = _on_grid(rows[mine], name, mine).sum(axis=0)  # exact, as all sums on the grid
        vectors[number] = _on_grid(total[None], name, mine[:1])[0]
    return vectors


def exact_pairs(
    first: _Vectors,
    second: _Vectors,
    one: Int[np.ndarray, " pairs"],
    other: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """Return the cosines of pairs, exact sums of what the vectors hold."""
    found = np.empty(len(one))
    for part in _portions(len(one), _PAIRS_AT_ONCE):
        left = first[one[part]].astype(np.float64)
        right = second[other[part]].astype(np.float64)
        found[part] = np.einsum("ij,ij->i", left, right)
    return found


def exact_table(
    first: _Vectors, second: _Vectors, rows: Int[np.ndarray, " rows"], columns: Any
) -> Float[np.ndarray, "rows columns"]:
    """Return the cosines of some vectors with some others, exact sums as in exact_pairs."""
    left, right = first[rows].astype(np.float64), second[columns]
    found = np.empty((len(left), len(right)))
    for part in _portions(len(right), _COLUMNS_AT_ONCE):
        found[:, part] = left @ right[part].T.astype(np.float64)
    return found


def error_bound(dim: int) -> float:
    """Return how far a cosine computed in float32 can be from the exact one."""
    return (dim + 8) * _ROUNDING


def count_above(
    queries: _Vectors,
    gallery: _Vectors,
    bounds: Bounds,
    reverse: Bounds | None = None,
    *,
    chunk: int = 1024,
) -> tuple[Int[np.ndarray, "bounds 2"], Int[np.ndarray, "reverse 2"]]:
    """Return how many items lie above each interval, and how many in it, ends included.

    ``bounds`` are intervals of the queries, counted over the gallery; ``reverse`` those of
    gallery items, counted over the queries, from the same product. ``chunk`` queries are
    taken at once, which changes no count.
    """
    chunk = min(chunk, len(queries))
    sides = [bounds, reverse or Bounds(*np.empty((3, 0)))]
    dim = queries.shape[1]
    likely = 4 * math.sqrt(dim) * _ROUNDING + 8 * _ROUNDING
    for slack in (likely, error_bound(dim)):  # the second only if the first was exceeded
        counter = _Counter((queries, gallery), sides, slack, chunk * _COLUMNS_AT_ONCE)
        counter.run(chunk)
        if counter.trusted:
            break
    return counter.counts[0], counter.counts[1]


class _Memory(local):
    """Memory of each thread, kept: fresh memory costs more than its use."""

    def __init__(self, cells: int) -> None:
        self.scores = np.empty(cells, np.float32)
        self.masks = np.empty((2, cells), bool)


class _Counter:
    """Counts, tile by tile; ``slack`` is how far the fast product may be from the exact one."""

    def __init__(
        self, vectors: tuple[_Vectors, _Vectors], sides: list[Bounds], slack: float, cells: int
    ) -> None:
        self._slack, self._worst = slack, 0.0
        self._memory = _Memory(cells)
        self._lock = Lock()
        self.counts = [np.zeros((len(side), 2), np.int64) for side in sides]
        self._vectors = vectors
        self._sides = sides
        self._starts = [
            np.searchsorted(side.query, np.arange(len(vectors) + 1))
            for side, vectors in zip(sides, self._vectors, strict=True)
        ]

    @property
    def trusted(self) -> bool:
        """Whether the slack was enough, by the errors seen.

        Each interval was laid around some cosine: where none was found in it, errors are
        too large to be seen.
        """
        missed = any(not counts[:, 1].all() for counts in self.counts)
        return self._worst <= self._slack / 2 and not missed

    def run(self, chunk: int) -> None:
        """Count all tiles, as many at once as the products would have threads."""
        queries, gallery = self._vectors
        tiles = [
            (rows, columns)
            for rows in _portions(len(queries), chunk)
            for columns in _portions(len(gallery), _COLUMNS_AT_ONCE)
        ]
        blas = _blas()
        threads = max((library["num_threads"] for library in blas.info()), default=1)
        threads = min(threads, len(tiles), _MOST_THREADS)
        with blas.limit(limits=1), ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(self._count_tile, tiles):
                pass  # an error is raised here

    def _count_tile(self, tile: tuple[slice, slice]) -> None:
        rows, columns = tile
        left, right = self._vectors[0][rows], self._vectors[1][columns]
        memory = self._memory.scores[: len(left) * len(right)]
        scores = np.matmul(left, right.T, out=memory.reshape(len(left), len(right)))
        self._add_side(0, scores, rows, columns)
        if len(self._sides[1]):
            self._add_side(1, scores.T, columns, rows)

    def _add_side(self, side: int, scores: np.ndarray, mine: slice, others: slice) -> None:
        """Count a tile whose rows (or columns, transposed) are the queries."""
        starts = self._starts[side][mine.start : mine.stop + 1]
        number = np.diff(starts)
        for layer in range(min(_FEW, int(number.max()))):
            has = np.flatnonzero((number > layer) & (number <= _FEW))
            if len(has):
                part = scores if len(has) == len(number) else _take(scores, has)
                self._compare(side, part, starts[has] + layer, others)
        many = np.flatnonzero(number > _FEW)
        if len(many):
            self._search(side, _laid_out(scores, many), starts[many], number[many], others)

    def _compare(self, side: int, scores: np.ndarray, bound: np.ndarray, others: slice) -> None:
        """Count for one interval a row."""
        low, high = self._edges(side, bound)
        above = np.greater(scores, high[:, None], out=self._mask_like(scores, 0))
        unsure = np.greater_equal(scores, low[:, None], out=self._mask_like(scores, 1))
        unsure ^= above
        sure = _count(above)
        few = max(scores.shape[1] // 64, 8)
        if np.count_nonzero(unsure) > few * len(unsure):  # too many for one by one
            dense = _count(unsure) > few
            self._count_exactly(side, bound[dense], others)
            sure[dense] = unsure[dense] = 0
        self._tally(side, bound, sure)
        row, column = _where(unsure)
        if len(row):
            self._look_again(side, scores, row, column, bound[row], others)

    def _search(
        self, side: int, scores: np.ndarray, starts: np.ndarray, number: np.ndarray, others: slice
    ) -> None:
        """Count for many intervals a row."""
        width = scores.shape[1]
        row = np.repeat(np.arange(len(number)), number)
        bound = np.arange(len(row)) + np.repeat(starts - np.cumsum(number) + number, number)
        low, high = self._edges(side, bound)
        ordered = np.sort(scores, axis=1)
        sure = width - _number_below(ordered, row, np.nextafter(high, np.float32(np.inf)))
        unsure = width - _number_below(ordered, row, low) - sure
        dense = np.bincount(row, unsure, len(number)) > max(width // 8, 64)
        for at in np.flatnonzero(dense):
            self._search_exactly(side, starts[at] + np.arange(number[at]), others)
        clear = ~dense[row]
        self._tally(side, bound[clear], sure[clear])
        some = np.flatnonzero(clear & (unsure > 0))
        for part in _portions(len(some)):
            here = some[part]
            near = scores[row[here]]
            which, column = np.nonzero((near >= low[here, None]) & (near <= high[here, None]))
            self._look_again(side, scores, row[here[which]], column, bound[here[which]], others)

    def _mask_like(self, scores: np.ndarray, which: int) -> Bool[np.ndarray, "rows columns"]:
        """Return memory for a comparison, in the order of the scores."""
        mask = self._memory.masks[which, : scores.size]
        if scores.flags.c_contiguous:
            return mask.reshape(scores.shape)
        return mask.reshape(scores.T.shape).T

    def _edges(self, side: int, bound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where a fast cosine is surely below, and surely above, an interval."""
        bounds = self._sides[side]
        low, high = bounds.low[bound] - self._slack, bounds.high[bound] + self._slack
        return low.astype(np.float32), high.astype(np.float32)

    def _look_again(
        self,
        side: int,
        scores: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        bound: np.ndarray,
        others: slice,
    ) -> None:
        """Count single cosines exactly, and see how far the fast ones were off."""
        bounds = self._sides[side]
        first, second = self._vectors[side], self._vectors[1 - side]
        exact = exact_pairs(first, second, bounds.query[bound], column + others.start)
        worst = float(np.abs(scores[row, column] - exact).max())
        above = exact > bounds.high[bound]
        tied = ~above & (exact >= bounds.low[bound])
        with self._lock:
            self._worst = max(self._worst, worst)
        self._tally(side, bound, above, tied)

    def _count_exactly(self, side: int, bound: np.ndarray, others: slice) -> None:
        """Count whole rows exactly: where nearly all is tied."""
        bounds = self._sides[side]
        exact = self._exact_rows(side, bounds.query[bound], others)
        above = _count(exact > bounds.high[bound, None])
        self._tally(side, bound, above, _count(exact >= bounds.low[bound, None]) - above)

    def _search_exactly(self, side: int, bound: np.ndarray, others: slice) -> None:
        """Count many intervals of one row exactly."""
        bounds = self._sides[side]
        ordered = np.sort(self._exact_rows(side, bounds.query[bound[:1]], others)[0])
        low = np.searchsorted(ordered, bounds.low[bound], side="left")
        high = np.searchsorted(ordered, bounds.high[bound], side="right")
        self._tally(side, bound, len(ordered) - high, high - low)

    def _tally(self, side: int, bound: np.ndarray, above: np.ndarray, tied: Any = 0) -> None:
        """Add what a thread has counted; an interval may stand there more than once."""
        counts = self.counts[side]
        with self._lock:
            np.add.at(counts[:, 0], bound, above)
            np.add.at(counts[:, 1], bound, tied)

    def _exact_rows(self, side: int, rows: np.ndarray, others: slice) -> np.ndarray:
        return exact_table(self._vectors[side], self._vectors[1 - side], rows, others)


@cache
def _blas() -> Any:
    """Return the controller of the libraries that multiply matrices."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController().select(user_api="blas")


def _on_grid(rows: np.ndarray, name: str, numbers: np.ndarray) -> Float[np.ndarray, "rows dim"]:
    """Return rows as unit vectors, each value a multiple of the grid's step."""
    values = rows.astype(np.float64)
    largest = np.maximum(values.max(axis=1), -values.min(axis=1))
    wrong = np.flatnonzero(~np.isfinite(largest))
    if len(wrong):
        found = values[wrong[0]][~np.isfinite(values[wrong[0]])][0]
        raise ValueError(f"{name}: row {numbers[wrong[0]]} has {found}, expected finite numbers")
    extreme = np.flatnonzero((largest > 0) & ~((1e-100 < largest) & (largest < 1e100)))
    values[extreme] /= largest[extreme, None]  # whose squares float64 does not hold
    length = np.sqrt(np.einsum("ij,ij->i", values, values))
    values *= (_GRID / np.where(length > 0, length, 1))[:, None]
    np.rint(values, out=values)
    values /= _GRID
    return values


def _portions(total: int, step: int = _ROWS_AT_ONCE) -> Iterator[slice]:
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))


def _take(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows, in the memory order of the table."""
    if table.flags.c_contiguous:
        return np.asarray(table[rows])
    return np.take(table.T, rows, axis=1).T


def _laid_out(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows, each in one piece of memory."""
    if table.flags.c_contiguous:
        return np.asarray(table[rows])
    found = np.empty((len(rows), table.shape[1]), table.dtype)
    for part in _portions(table.shape[1], _STRIP):
        found[:, part] = table.T[part, rows].T
    return found


def _number_below(
    ordered: Float[np.ndarray, "rows columns"],
    row: Int[np.ndarray, " edges"],
    edge: Float[np.ndarray, " edges"],
) -> Int[np.ndarray, " edges"]:
    """Return how many of an edge's row are smaller: a binary search for all edges at once."""
    width, flat = ordered.shape[1], ordered.ravel()
    start = row * width - 1
    found = np.zeros(len(row), np.int64)
    step = 1 << (width.bit_length() - 1)
    while step:
        probe = found + step
        smaller = flat[start + np.minimum(probe, width)] < edge
        np.copyto(found, probe, where=smaller & (probe <= width))
        step //= 2
    return found


def _count(mask: Bool[np.ndarray, "rows columns"]) -> Int[np.ndarray, " rows"]:
    """Return how many of each row are true, whatever the memory order."""
    total = np.zeros(len(mask), np.int64)
    if not mask.flags.c_contiguous:
        tall = mask.T.view(np.uint8)
        for start in range(0, len(tall), 255):  # what a byte holds
            total += np.add.reduce(tall[start : start + 255], axis=0, dtype=np.uint8)
    elif mask.shape[1] % 8:
        total += np.count_nonzero(mask, axis=1)
    else:  # eight at once, each in its byte
        words = mask.view(np.uint64)
        for start in range(0, words.shape[1], 255):
            sums = np.add.reduce(words[:, start : start + 255], axis=1)
            total += sums.view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64)
    return total


def _where(mask: Bool[np.ndarray, "rows columns"]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of what is true, read in memory order."""
    if mask.flags.c_contiguous:
        row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
        return row, column
    column, row = np.divmod(np.flatnonzero(mask.T), mask.shape[0])
    return row, column
