"""Retrieval metrics of rankings with ties, in closed form.

Every value is the mean over all orders of the items that are tied (McSherry and Najork,
"Computing information retrieval performance measures efficiently in the presence of tied
scores", ECIR 2008), so that no metric rewards or punishes an order that the model did not
give. A model that gives all items one score gets what chance gets.

In the formulas a group of tied items has ``before`` items ahead of it and ``items`` items,
of which ``relevant`` are what the query looks for; R is the number of all relevant items.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["NDCG_AT", "TieGroups", "cumulative_discount", "one_group", "tie_metrics"]

BATCH = 32
"""Items of the small gallery, as in text-to-motion work: R-precision "in batches of 32"."""

BATCH_HITS = (1, 2, 3)

NDCG_AT = 10


@dataclass(frozen=True, slots=True, eq=False)
class TieGroups:
    """Where the relevant items of each query lie: groups of tied items that hold some.

    The groups of a query stand together, best first; every query has one or more.
    """

    query: Int[np.ndarray, " groups"]  # 0, 1, ... ascending
    before: Int[np.ndarray, " groups"]
    items: Int[np.ndarray, " groups"]
    relevant: Int[np.ndarray, " groups"]
    gallery: int

    @property
    def first(self) -> Int[np.ndarray, " queries"]:
        """The best group of each query."""
        return np.flatnonzero(np.diff(self.query, prepend=-1))

    @property
    def total(self) -> Int[np.ndarray, " queries"]:
        """R of each query."""
        return np.add.reduceat(self.relevant, self.first)

    @property
    def earlier(self) -> Int[np.ndarray, " groups"]:
        """Relevant items in better groups of the query."""
        seen = np.cumsum(self.relevant) - self.relevant
        return np.asarray(seen - seen[self.first][self.query])


def one_group(relevant: Int[np.ndarray, " queries"], gallery: int) -> TieGroups:
    """Return what a constant model gives: all items tied, for each query."""
    count = len(relevant)
    whole = np.full(count, gallery)
    return TieGroups(np.arange(count), np.zeros(count, np.int64), whole, relevant, gallery)


def tie_metrics(
    groups: TieGroups, ks: Sequence[int] = (1, 5, 10)
) -> dict[str, Float[np.ndarray, " queries"]]:
    """Return every metric of each query, its mean over the orders of tied items.

    "R@k" is the chance that one of the first k items is relevant, "Recall@k" the share of the
    relevant items that are, "P@k" the share of relevant ones in the first k, "R-Precision"
    the same at k = R, "mAP@R" the mean precision at the relevant among the first R
    (Musgrave et al. 2020), "mAP" at all relevant, "MRR" 1 / rank of the first relevant item,
    "rank" that rank, "nDCG@10" with gain 1 for the relevant, "batch32 R@k" as batch_hits.
    All but "rank" are best at 1.
    """
    values: dict[str, Float[np.ndarray, " queries"]] = {}
    values |= {f"R@{k}": _hit(groups, k) for k in ks}
    values |= {f"Recall@{k}": _found(groups, np.full(len(groups.first), k)) for k in ks}
    values |= {f"P@{k}": values[f"Recall@{k}"] * groups.total / k for k in ks}
    values["R-Precision"] = _found(groups, groups.total)
    values["mAP@R"] = _average_precision(groups, groups.total)
    values["mAP"] = _average_precision(groups, np.full(len(groups.first), groups.gallery))
    values["MRR"] = _reciprocal_rank(groups)
    first = groups.first
    values["rank"] = groups.before[first] + (groups.items[first] + 1) / (groups.relevant[first] + 1)
    values[f"nDCG@{NDCG_AT}"] = _ndcg(groups, NDCG_AT)
    values |= batch_hits(groups)
    return values


def cumulative_discount(k: int) -> Float[np.ndarray, " k_plus_1"]:
    """Return the sums of 1 / log2(rank + 1) over the first 0, 1, ... k ranks."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def batch_hits(groups: TieGroups) -> dict[str, Float[np.ndarray, " queries"]]:
    """Return the chance that a relevant item is among the best of a random small gallery.

    The gallery is one of the query's relevant items, drawn evenly, and BATCH - 1 of the items
    that are not relevant, drawn without replacement; all of them if there are fewer. This
    is the exact mean of "batches of 32", without seeds, remainders, or two right answers in
    one batch.
    """
    missing = groups.gallery - groups.total[groups.query]
    ahead, beside = groups.before - groups.earlier, groups.items - groups.relevant
    cases, back = np.unique(np.stack([missing, ahead, beside]), axis=1, return_inverse=True)
    share = groups.relevant / groups.total[groups.query]
    return {
        f"batch{BATCH} R@{k}": np.bincount(groups.query, hits[back.ravel()] * share)
        for k, hits in zip(BATCH_HITS, _batch_cases(cases), strict=True)
    }


def _batch_cases(cases: Int[np.ndarray, "3 cases"]) -> list[Float[np.ndarray, " cases"]]:
    """Return the chances of hits, by how many wrong items there are, are better, are tied.

    j of the better and i of the tied are drawn with the chance of a hypergeometric
    distribution of three kinds; the right item is then in one of the places j + 1 .. j + i + 1.
    """
    missing, ahead, beside = cases
    drawn = np.minimum(BATCH - 1, missing)
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, missing.max(initial=0) + 1)))])
    hits = [np.zeros(len(missing)) for _ in BATCH_HITS]
    every = _log_choose(log, missing, drawn)
    for j in range(max(BATCH_HITS)):
        for i in range(BATCH - j if beside.any() else 1):
            some = beside > 0 if i else np.full(len(beside), True)
            ways = (
                _log_choose(log, ahead[some], j)
                + _log_choose(log, beside[some], i)
                + _log_choose(log, (missing - ahead - beside)[some], drawn[some] - j - i)
            )
            chance = np.exp(ways - every[some])
            for k, found in zip(BATCH_HITS, hits, strict=True):
                found[some] += chance * np.clip((k - j) / (i + 1), 0, 1)
    return hits


def _log_choose(log: np.ndarray, n: np.ndarray, k: np.ndarray | int) -> Float[np.ndarray, " n"]:
    """Return the logarithm of n over k; minus infinity where there is no way."""
    possible = (0 <= np.asarray(k)) & (k <= n)
    chosen = np.where(possible, k, 0)
    return np.where(possible, log[n] - log[chosen] - log[n - chosen], -np.inf)


def _hit(groups: TieGroups, k: int) -> Float[np.ndarray, " queries"]:
    """1 - C(n - p, k - t) / C(n, k - t), by factors."""
    first = groups.first
    n, p, room = groups.items[first], groups.relevant[first], k - groups.before[first]
    miss = np.ones(len(first))
    for place in range(min(k, groups.gallery)):
        factor = np.maximum(n - p - place, 0) / np.maximum(n - place, 1)
        miss = np.where(place < room, miss * factor, miss)
    return 1 - miss


def _found(groups: TieGroups, k: Int[np.ndarray, " queries"]) -> Float[np.ndarray, " queries"]:
    """Share of the relevant in the first k: sum of p clip((k - t) / n, 0, 1) over R."""
    part = np.clip((k[groups.query] - groups.before) / groups.items, 0, 1)
    return np.asarray(np.bincount(groups.query, groups.relevant * part) / groups.total)


def _average_precision(
    groups: TieGroups, last: Int[np.ndarray, " queries"]
) -> Float[np.ndarray, " queries"]:
    """Mean over R of the precision at each relevant item that is among the first `last`.

    At place i of a group a relevant item stands with p / n, and then c + 1 + (i - 1) (p - 1)
    / (n - 1) are relevant up to there: a sum of (a + b i) / (t + i), by harmonic numbers.
    """
    harmonic = _harmonic(groups.gallery)
    t, n, p = groups.before, groups.items, groups.relevant
    length = np.clip(last[groups.query] - t, 0, n)
    slope = (p - 1) / np.maximum(n - 1, 1)
    level = groups.earlier + 1 - slope * (t + 1)
    precision = level * (harmonic[t + length] - harmonic[t]) + slope * length
    return np.asarray(np.bincount(groups.query, p / n * precision) / groups.total)


def _reciprocal_rank(groups: TieGroups) -> Float[np.ndarray, " queries"]:
    """Sum over the place x of the first relevant item of its chance / (t + x)."""
    first = groups.first
    cases, back = np.unique(
        np.stack([groups.before[first], groups.items[first], groups.relevant[first]]),
        axis=1,
        return_inverse=True,
    )
    t, n, p = cases
    harmonic = _harmonic(groups.gallery)
    found = np.where(p == 1, (harmonic[t + n] - harmonic[t]) / n, 1 / (t + 1))
    for case in np.flatnonzero((p > 1) & (n > p)):
        found[case] = _first_of_many(int(t[case]), int(n[case]), int(p[case]))
    return np.asarray(found[back.ravel()])


def _first_of_many(t: int, n: int, p: int) -> float:
    """Chances of the first of p among n to be at x = 1, 2, ...: each from the one before."""
    place = np.arange(1, n - p + 1)
    later = np.cumprod((n - p - place + 1) / (n - place))  # chance at x + 1 over that at 1
    return float(p / n * (1 / (t + 1) + (later / (t + 1 + place)).sum()))


def _ndcg(groups: TieGroups, k: int) -> Float[np.ndarray, " queries"]:
    discount = cumulative_discount(k)
    gained = (
        discount[np.minimum(groups.before + groups.items, k)]
        - discount[np.minimum(groups.before, k)]
    )
    found = np.bincount(groups.query, groups.relevant / groups.items * gained)
    return np.asarray(found / discount[np.minimum(groups.total, k)])


def _harmonic(last: int) -> Float[np.ndarray, " last_plus_1"]:
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, last + 1))])
