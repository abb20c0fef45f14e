"""Retrieval by cosine, with duplicates and ties done right; chance beside every number.

Gallery rows of one key are one item; a query's metrics are means over the orders of tied
items (`expclip.benchmarks.metrics.ties`); ties are cosines within `MARGIN`. A model that gives all
items one score gets exactly what chance gets, a perfect one 1, however heavy the duplicates.
No number depends on portions, threads or the order of rows (`expclip.benchmarks.metrics.cosine`).

Two ways to say what is relevant. Without ``relevant`` the key of a query is the key of the
item that it looks for, and each row is a query. With it, keys name the things themselves
(a text, a face), and ``relevant`` holds pairs of keys, as in ``zip(text_keys, face_keys)``
over all rows of a split; query rows of one key are then one query.

A query counts with the number of its rows ("rows", the default), or each query key counts
once ("keys"), so that a frequent one does not dominate. Rows of one item, and rows of
one query key where ``relevant`` is given, whose embeddings differ stand for it by the mean of
their unit vectors. A zero vector has cosine 0 with everything.
"""

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from expclip.benchmarks.metrics.cosine import (
    MARGIN,
    Bounds,
    count_above,
    exact_pairs,
    unit_vectors,
)
from expclip.benchmarks.metrics.graded import checked_gains, graded_ndcg
from expclip.benchmarks.metrics.relevance import (
    Gains,
    Keys,
    distinct,
    key_list,
    relation,
    require_answers,
)
from expclip.benchmarks.metrics.ties import NDCG_AT, TieGroups, one_group, tie_metrics

__all__ = ["QueryRanks", "legacy_diagonal", "rank_both", "rank_queries", "retrieval_metrics"]

KS = (1, 5, 10)
CHUNK = 1024

Average = Literal["rows", "keys"]
Relevant = Iterable[tuple[Hashable, Hashable]]


@dataclass(frozen=True, slots=True, eq=False)
class QueryRanks:
    """What each query found.

    ``values`` has every metric of `expclip.benchmarks.metrics.ties.tie_metrics`, ``chance`` the
    same of a model that gives all items one score.
    """

    keys: tuple[Hashable, ...]
    weights: Float[np.ndarray, " queries"]  # how many rows a query stands for
    values: dict[str, Float[np.ndarray, " queries"]]
    chance: dict[str, Float[np.ndarray, " queries"]]
    gallery: int  # distinct items

    def means(self, average: Average = "rows") -> dict[str, float]:
        """Return the weighted mean of each metric, its chance, and it adjusted for chance.

        "MedR" is the weighted median of the rank of the first relevant item, "mean rank" its
        mean as a share of the gallery; "adjusted x" is (x - chance) / (1 - chance).

        Raises:
            ValueError: average is neither "rows" nor "keys".
        """
        if average not in ("rows", "keys"):
            raise ValueError(f"average must be 'rows' or 'keys', got {average!r}")
        weights = self.weights
        if average == "keys":
            number = distinct(self.keys)[1]
            weights = weights / np.bincount(number, weights)[number]
        shares = weights / weights.sum()
        means = {name: float((shares * values).sum()) for name, values in self.values.items()}
        chance = {name: float((shares * values).sum()) for name, values in self.chance.items()}
        found = {name: mean for name, mean in means.items() if name != "rank"}
        found["MedR"] = _median(self.values["rank"], weights)
        found["mean rank"] = means["rank"] / self.gallery
        found |= {f"chance {name}": value for name, value in chance.items() if name != "rank"}
        found["chance MedR"] = _median(self.chance["rank"], weights)
        found["chance mean rank"] = chance["rank"] / self.gallery
        for name, value in means.items():
            if name != "rank" and chance[name] < 1:
                found[f"adjusted {name}"] = (value - chance[name]) / (1 - chance[name])
        return found


def retrieval_metrics(
    queries: Shaped[np.ndarray, "queries dim"],
    gallery: Shaped[np.ndarray, "rows dim"],
    query_keys: Keys,
    gallery_keys: Keys,
    *,
    relevant: Relevant | None = None,
    gains: Gains | Shaped[np.ndarray, "queries rows"] | None = None,
    positive_gain: float | None = None,
    weights: Float[np.ndarray, " queries"] | None = None,
    ks: Sequence[int] = KS,
    average: Average = "rows",
    chunk: int = CHUNK,
) -> dict[str, float]:
    """Return the means of all metrics: `rank_queries` and `QueryRanks.means`.

    >>> faces = np.eye(3)
    >>> retrieval_metrics(faces[[0, 1, 2, 2]], faces, [7, 8, 9, 9], [7, 8, 9])["R@1"]
    1.0
    """
    ranks = rank_queries(
        queries,
        gallery,
        query_keys,
        gallery_keys,
        relevant=relevant,
        gains=gains,
        positive_gain=positive_gain,
        weights=weights,
        ks=ks,
        chunk=chunk,
    )
    return ranks.means(average)


def rank_queries(
    queries: Shaped[np.ndarray, "queries dim"],
    gallery: Shaped[np.ndarray, "rows dim"],
    query_keys: Keys,
    gallery_keys: Keys,
    *,
    relevant: Relevant | None = None,
    gains: Gains | Shaped[np.ndarray, "queries rows"] | None = None,
    positive_gain: float | None = None,
    weights: Float[np.ndarray, " queries"] | None = None,
    ks: Sequence[int] = KS,
    chunk: int = CHUNK,
) -> QueryRanks:
    """Rank the gallery for each query; return every metric, query by query.

    Args:
        queries: embeddings, of any length but the same as the gallery's.
        gallery: embeddings; rows of one key are one item.
        query_keys: see the module.
        gallery_keys: see the module.
        relevant: pairs of query key and gallery key. None: equal keys.
        gains: graded relevance for nDCG, 0 or above, by rows: a matrix, or a function from
            rows of both to one (`expclip.benchmarks.metrics.relevance.jaccard_gains`). Of rows
            of one key the first is asked for. None: 1 for the relevant.
        positive_gain: items of at least this gain are the relevant ones, in all metrics.
        weights: of the rows of the queries; 1 if None.
        ks: of R@k, Recall@k and P@k.
        chunk: so many queries in one product; changes no number.

    Raises:
        ValueError: an argument is not as said, a value is not finite, or a query has no
            relevant item.
    """
    _check_numbers(ks, chunk)
    if positive_gain is not None and (gains is None or relevant is not None):
        raise ValueError("positive_gain needs gains, and no `relevant`")
    queries, gallery = _tables(queries, gallery)
    asked = key_list(query_keys, len(queries), "query")
    ids = asked
    if relevant is None:
        ids = list(zip(asked, _digests(queries), strict=True))
    one = _side(queries, ids, "queries", weights)
    other = _side(gallery, key_list(gallery_keys, len(gallery), "gallery"), "gallery", None)
    keys = tuple(asked[row] for row in one.rows)
    table = _as_function(gains, len(queries), len(gallery))
    if table is not None and positive_gain is not None:
        pairs = _pairs_of_gains(table, positive_gain, one.rows, other.rows, keys)
    else:
        pairs = relation(keys, other.numbers, relevant)
    cosines = exact_pairs(one.vectors, other.vectors, *pairs.T)
    bounds, counts = _tie_bounds(pairs, cosines)
    placed, _ = count_above(one.vectors, other.vectors, bounds, chunk=chunk)
    ranks = _ranks(keys, one, len(other.vectors), bounds, counts, placed, ks)
    if table is None:
        return ranks
    value, chance = graded_ndcg(one.vectors, other.vectors, table, one.rows, other.rows, NDCG_AT)
    name = f"nDCG@{NDCG_AT}"
    return replace(ranks, values=ranks.values | {name: value}, chance=ranks.chance | {name: chance})


def rank_both(
    first: Shaped[np.ndarray, "first dim"],
    second: Shaped[np.ndarray, "second dim"],
    first_keys: Keys,
    second_keys: Keys,
    relevant: Relevant,
    *,
    ks: Sequence[int] = KS,
    chunk: int = CHUNK,
) -> tuple[QueryRanks, QueryRanks]:
    """Return what the first find among the second, and the second among the first.

    The same as `rank_queries` with ``relevant``, once each way, from one matrix product.

    Raises:
        ValueError: as rank_queries.
    """
    _check_numbers(ks, chunk)
    first, second = _tables(first, second)
    one = _side(first, key_list(first_keys, len(first), "first"), "first", None)
    other = _side(second, key_list(second_keys, len(second), "second"), "second", None)
    pairs = relation(tuple(one.numbers), other.numbers, relevant)
    back = pairs[:, ::-1]
    require_answers(back, tuple(other.numbers))
    there, here = one.vectors, other.vectors
    cosines = exact_pairs(there, here, *pairs.T)
    bounds, counts = _tie_bounds(pairs, cosines)
    reverse, reverse_counts = _tie_bounds(back, cosines)
    placed, placed_back = count_above(there, here, bounds, reverse, chunk=chunk)
    return (
        _ranks(tuple(one.numbers), one, len(here), bounds, counts, placed, ks),
        _ranks(tuple(other.numbers), other, len(there), reverse, reverse_counts, placed_back, ks),
    )


def legacy_diagonal(
    queries: Shaped[np.ndarray, "rows dim"],
    gallery: Shaped[np.ndarray, "rows dim"],
    query_keys: Keys,
    gallery_keys: Keys,
    *,
    ks: Sequence[int] = KS,
    chunk: int = CHUNK,
) -> dict[str, float]:
    """Return metrics where row i of the gallery alone is right for row i: for old tables.

    Copies of the right answer count as wrong, so a perfect model stays below 1. "ceiling x"
    is what one gets that ties all rows it cannot tell apart: those whose gallery key is
    right for the query's key. Not for ranking models.

    Raises:
        ValueError: as rank_queries; or the two have not the same number of rows.
    """
    if len(queries) != len(gallery):
        raise ValueError(f"{len(queries)} queries and {len(gallery)} rows, expected pairs")
    rows = range(len(queries))
    ranks = rank_queries(queries, gallery, rows, rows, ks=ks, chunk=chunk)
    asked = key_list(query_keys, len(rows), "query")
    known = key_list(gallery_keys, len(rows), "gallery")
    _, item = distinct(known)
    size = np.bincount(item)
    right = dict.fromkeys(asked, 0)
    for query, number in dict.fromkeys(zip(asked, item.tolist(), strict=True)):
        right[query] += int(size[number])
    tied = np.array([right[query] for query in asked])
    alike = TieGroups(
        np.arange(len(rows)), np.zeros_like(tied), tied, np.ones_like(tied), len(rows)
    )
    ceiling = replace(ranks, values=tie_metrics(alike, ks)).means()
    kept = {f"ceiling {name}": ceiling[name] for name in ranks.values if name in ceiling}
    return ranks.means() | kept


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """The items of one side."""

    numbers: dict[Hashable, int]
    rows: Int[np.ndarray, " items"]  # first row of each
    vectors: Float[np.ndarray, "items dim"]  # of `unit_vectors`
    weights: Float[np.ndarray, " items"]


def _side(table: np.ndarray, keys: list[Hashable], name: str, weights: np.ndarray | None) -> _Side:
    numbers, item = distinct(keys)
    rows = np.unique(item, return_index=True)[1]
    if weights is not None:
        weights = np.asarray(weights, np.float64)
        if weights.shape != (len(table),) or not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError(f"weights must be {len(table)} finite numbers above 0")
    return _Side(numbers, rows, unit_vectors(table, item, name), np.bincount(item, weights) * 1.0)


def _tie_bounds(
    pairs: Int[np.ndarray, "pairs 2"], cosines: Float[np.ndarray, " pairs"]
) -> tuple[Bounds, Int[np.ndarray, " bounds"]]:
    """Return the intervals of cosines tied with relevant items, and how many those are.

    Tied is what is within the margin of a relevant item; relevant items whose intervals
    touch share one, so that nothing is counted twice.
    """
    order = np.lexsort((-cosines, pairs[:, 0]))
    query, cosines = pairs[order, 0], cosines[order]
    new = np.ones(len(query), bool)
    new[1:] = (query[1:] != query[:-1]) | (cosines[:-1] - cosines[1:] > 2 * MARGIN)
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(query))
    bounds = Bounds(query[starts], cosines[ends - 1] - MARGIN, cosines[starts] + MARGIN)
    return bounds, ends - starts


def _ranks(
    keys: tuple[Hashable, ...],
    side: _Side,
    gallery: int,
    bounds: Bounds,
    counts: np.ndarray,
    placed: np.ndarray,
    ks: Sequence[int],
) -> QueryRanks:
    groups = TieGroups(bounds.query, placed[:, 0], placed[:, 1], counts, gallery)
    total, back = np.unique(groups.total, return_inverse=True)
    blind = tie_metrics(one_group(total, gallery), ks)
    chance = {name: values[back] for name, values in blind.items()}
    return QueryRanks(keys, side.weights, tie_metrics(groups, ks), chance, gallery)


def _pairs_of_gains(
    gains: Gains,
    least: float,
    rows: np.ndarray,
    items: np.ndarray,
    keys: tuple[Hashable, ...],
) -> Int[np.ndarray, "pairs 2"]:
    """Return the pairs whose gain is large enough."""
    step = max(1, (4 << 20) // len(items))
    found = []
    for start in range(0, len(rows), step):
        row, item = np.nonzero(checked_gains(gains, rows[start : start + step], items) >= least)
        found.append(np.stack([row + start, item], axis=1))
    pairs = np.concatenate(found)
    require_answers(pairs, keys)
    return pairs


def _as_function(
    gains: Gains | Shaped[np.ndarray, "queries rows"] | None, queries: int, rows: int
) -> Gains | None:
    if gains is None or callable(gains):
        return gains
    table = np.asarray(gains)
    if table.shape != (queries, rows):
        raise ValueError(f"gains: shape {table.shape}, expected {(queries, rows)}")
    return lambda some, items: table[np.ix_(some, items)]


def _tables(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    one, other = np.asarray(one), np.asarray(other)
    for table in (one, other):
        if table.ndim != 2 or not table.size or table.dtype.kind not in "biuf":
            raise ValueError(
                f"embeddings are {table.dtype} {table.shape}, expected numbers (rows, dim), "
                "not empty"
            )
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"embeddings of length {one.shape[1]} and {other.shape[1]}, expected one")
    return one, other


def _check_numbers(ks: Sequence[int], chunk: int) -> None:
    if not ks or min(ks) < 1 or chunk < 1:
        raise ValueError(f"ks and chunk must be 1 or more, got {tuple(ks)} and {chunk}")


def _digests(rows: np.ndarray) -> list[bytes]:
    """Return what tells rows apart, so that equal ones are ranked once."""
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted median: the middle, or the mean of the two middle ones."""
    order = np.argsort(values, kind="stable")
    ordered, sums = values[order], np.cumsum(weights[order])
    half = sums[-1] / 2
    at = np.searchsorted(sums, half * (1 - 1e-12))
    after = at + 1 if abs(sums[at] - half) <= 1e-12 * half and at + 1 < len(sums) else at
    return float((ordered[at] + ordered[after]) / 2)
