"""nDCG of graded relevance with ties, over galleries of any size."""

import numpy as np
from jaxtyping import Float, Int

from expclip.benchmarks.metrics.cosine import MARGIN, error_bound, exact_pairs, exact_table
from expclip.benchmarks.metrics.relevance import Gains
from expclip.benchmarks.metrics.ties import cumulative_discount

__all__ = ["checked_gains", "graded_ndcg"]

_CELLS_AT_ONCE = 4 << 20


def checked_gains(
    gains: Gains, rows: Int[np.ndarray, " r"], items: Int[np.ndarray, " i"]
) -> Float[np.ndarray, "r i"]:
    """Return a part of the gains.

    Raises:
        ValueError: it has another shape, or a gain is not finite or below 0.
    """
    table = np.asarray(gains(rows, items))
    if table.shape != (len(rows), len(items)):
        raise ValueError(f"gains: shape {table.shape}, expected {(len(rows), len(items))}")
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise ValueError("gains: a gain is not finite or below 0, expected 0 or above")
    return table


def graded_ndcg(
    queries: Float[np.ndarray, "queries dim"],
    gallery: Float[np.ndarray, "items dim"],
    gains: Gains,
    rows: Int[np.ndarray, " queries"],
    items: Int[np.ndarray, " items"],
    k: int,
) -> tuple[Float[np.ndarray, " queries"], Float[np.ndarray, " queries"]]:
    """Return the nDCG@k of each query, and what a random order gives.

    Queries and gallery are those of `unit_vectors`. Gains are asked for by the caller's
    rows: one for each query, one for each item.

    Each group of tied items counts with its mean gain, which is the mean over all orders
    (McSherry and Najork 2008). A group is what lies within the margin of its best item,
    from the top. A query none of whose items has a gain scores 0.
    """
    discount = cumulative_discount(k)
    steps = np.diff(discount)
    values, chance = np.zeros(len(rows)), np.zeros(len(rows))
    step = max(1, _CELLS_AT_ONCE // len(items))
    for start in range(0, len(rows), step):
        part = np.arange(start, min(start + step, len(rows)))
        table = checked_gains(gains, rows[part], items)
        best = -np.partition(-table, min(k, len(items)) - 1, axis=1)[:, :k]
        best = -np.sort(-best, axis=1)
        ideal = best.astype(np.float64) @ steps[: best.shape[1]]
        found = _gained(queries, gallery, part, table, discount)
        mean = table.mean(axis=1, dtype=np.float64) * discount[min(k, len(items))]
        some = ideal > 0
        values[part[some]] = found[some] / ideal[some]
        chance[part[some]] = mean[some] / ideal[some]
    return values, chance


def _gained(
    queries: np.ndarray,
    gallery: np.ndarray,
    part: np.ndarray,
    table: np.ndarray,
    discount: np.ndarray,
) -> Float[np.ndarray, " queries"]:
    """Return the discounted gains of some queries."""
    scores = queries[part] @ gallery.T
    width, k = len(gallery), min(len(discount) - 1, len(gallery))
    last = -np.partition(-scores, k - 1, axis=1)[:, k - 1]
    near = scores >= (last - MARGIN - 2 * error_bound(queries.shape[1]))[:, None]
    number = np.count_nonzero(near, axis=1)
    crowded = number > max(width // 64, 64)
    single, column = np.nonzero(near & ~crowded[:, None])
    exact = exact_pairs(queries, gallery, part[single], column)
    stops = np.cumsum(np.where(crowded, 0, number))
    found = np.zeros(len(part))
    for at in np.flatnonzero(~crowded):
        mine = slice(stops[at] - number[at], stops[at])
        found[at] = _discounted(exact[mine], table[at, column[mine]], discount)
    if crowded.any():
        cosines = exact_table(queries, gallery, part[crowded], slice(None))
        for at, row in zip(np.flatnonzero(crowded), cosines, strict=True):
            found[at] = _discounted(row, table[at], discount)
    return found


def _discounted(cosines: np.ndarray, gains: np.ndarray, discount: np.ndarray) -> float:
    """Return the discounted gains of one query; all its best items are given."""
    order = np.argsort(-cosines)
    below, gains = -cosines[order], gains[order].astype(np.float64)
    k, start, total = min(len(discount) - 1, len(gains)), 0, 0.0
    while start < k:
        stop = int(np.searchsorted(below, below[start] + MARGIN, side="right"))
        total += gains[start:stop].mean() * (discount[min(stop, k)] - discount[start])
        start = stop
    return float(total)
