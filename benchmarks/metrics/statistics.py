"""How sure a benchmark's numbers are: intervals, tests, ranks.

Queries of one source (a text, a clip, an actor) stand and fall together, so everything here
draws whole clusters. The draws depend on the clusters and the seed alone: models and
metrics share them, and differences of models have narrower intervals than the models.
A mean is the ratio of the sum of w x to the sum of w, over queries or over drawn ones.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from expclip.tead.reports.agreement import bootstrap, interval

__all__ = [
    "bca_interval",
    "benjamini_hochberg",
    "cluster_bootstrap",
    "holm",
    "interval",
    "mcnemar_test",
    "minimum_detectable_effect",
    "rank_intervals",
    "sign_flip_pairs",
    "sign_flip_test",
    "sign_flip_tests",
    "weighted_mean",
]

_NORMAL = NormalDist()


def weighted_mean(
    values: Float[np.ndarray, "queries ..."], weights: Float[np.ndarray, " queries"]
) -> Float[np.ndarray, "..."]:
    """Return the mean of each metric, a query counting with its weight."""
    values, weights = _checked(values, weights)
    return np.asarray(np.einsum("q,q...->...", weights, values) / weights.sum())


def cluster_bootstrap(
    values: Float[np.ndarray, "queries metrics"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> Float[np.ndarray, "draws metrics"]:
    """Return the means of metrics for clusters drawn anew with replacement.

    Clusters are drawn by their sorted order, so the order of queries changes nothing, and
    row i is the same draw for whatever has the same clusters and seed.

    Raises:
        ValueError: no queries, no draws, a value that is not finite, or a weight not above 0.
    """
    sums = _cluster_sums(*_checked(values, weights), clusters)
    return bootstrap(sums, lambda means: means[:, :-1] / means[:, -1:], draws=draws, seed=seed)


def bca_interval(
    draws: Float[np.ndarray, "draws metrics"],
    values: Float[np.ndarray, "queries metrics"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
) -> tuple[Float[np.ndarray, " metrics"], Float[np.ndarray, " metrics"]]:
    """Return the ends of the bias-corrected and accelerated interval of each metric.

    Efron 1987, with the jackknife over clusters in closed form. Where all draws are on one
    side of the estimate, or there is one cluster only, the ends are those of `interval`.
    """
    sums = _cluster_sums(*_checked(values, weights), clusters)
    total = sums.sum(axis=0)
    estimate = total[:-1] / total[-1]
    lows, highs = interval(draws, level)
    if len(sums) == 1:
        return lows, highs
    left_out = (total[:-1] - sums[:, :-1]) / (total[-1] - sums[:, -1:])
    away = left_out.mean(axis=0) - left_out
    spread = (away**2).sum(axis=0)
    for metric, column in enumerate(draws.T):
        below = ((column < estimate[metric]).mean() + (column <= estimate[metric]).mean()) / 2
        if not 0 < below < 1 or not spread[metric]:
            continue
        bias = _NORMAL.inv_cdf(float(below))
        speed = float((away[:, metric] ** 3).sum() / (6 * spread[metric] ** 1.5))
        shares = []
        for tail in ((1 - level) / 2, (1 + level) / 2):
            z = bias + _NORMAL.inv_cdf(tail)
            shares.append(_NORMAL.cdf(bias + z / (1 - speed * z)))
        lows[metric], highs[metric] = np.quantile(column, shares)
    return lows, highs


def sign_flip_test(
    a: Float[np.ndarray, " queries"],
    b: Float[np.ndarray, " queries"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
    *,
    draws: int = 9_999,
    seed: int = 0,
) -> float:
    """Return the two-sided p-value of two models' difference on the same queries.

    If neither is better, each cluster's difference is as likely to have the other sign. With
    few clusters all signs are tried, otherwise ``draws`` random ones, which count with the
    one seen: (1 + hits) / (draws + 1). 1 if the models agree everywhere.

    Raises:
        ValueError: as cluster_bootstrap, or the models have not the same number of queries.
    """
    if np.ndim(a) != 1 or np.shape(a) != np.shape(b):
        raise ValueError(f"{np.shape(a)} and {np.shape(b)} values, expected pairs")
    gaps = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return float(sign_flip_tests(gaps[:, None], weights, clusters, draws=draws, seed=seed)[0])


def sign_flip_tests(
    gaps: Float[np.ndarray, "queries tests"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
    *,
    draws: int = 9_999,
    seed: int = 0,
) -> Float[np.ndarray, " tests"]:
    """Return the p-value of each column of differences, as sign_flip_test does of one.

    All columns share the random signs, so that many cost little more than one, and a column
    has the same p-value in whatever company.

    Raises:
        ValueError: as cluster_bootstrap.
    """
    sums = _cluster_sums(*_checked(gaps, weights), clusters)[:, :-1]
    return _sign_flip_ps(sums, _flipped(sums, draws, seed))


def sign_flip_pairs(
    values: Float[np.ndarray, "queries models"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
    *,
    draws: int = 9_999,
    seed: int = 0,
) -> Float[np.ndarray, "models models"]:
    """Return the p-values of all pairs of models, symmetric, 1 on the diagonal.

    A sum of differences under random signs is the difference of the models' own sums under
    them, so signs are drawn for models, not for pairs.

    Raises:
        ValueError: as cluster_bootstrap.
    """
    sums = _cluster_sums(*_checked(values, weights), clusters)[:, :-1]
    sums -= sums.mean(axis=1, keepdims=True)  # no pair changes, and less is lost to rounding
    flipped = _flipped(sums, draws, seed)
    noise = 1e-13 * np.abs(sums).sum(axis=0)
    ps = np.ones((sums.shape[1], sums.shape[1]))
    for one in range(len(ps) - 1):
        others = slice(one + 1, None)
        ps[one, others] = ps[others, one] = _sign_flip_ps(
            sums[:, [one]] - sums[:, others],
            flipped[:, [one]] - flipped[:, others],
            noise[one] + noise[others],
        )
    return ps


def mcnemar_test(a: Float[np.ndarray, " queries"], b: Float[np.ndarray, " queries"]) -> float:
    """Return the exact two-sided p-value of two models that are right (1) or wrong (0).

    McNemar 1947: only queries that one alone has right count; if neither model is better,
    each is as likely the one's as the other's. 1 without any. Queries must not depend on
    each other: for clusters, or weights, there is `sign_flip_test`.

    Raises:
        ValueError: no queries, not the same number of both, or a value is neither 0 nor 1.
    """
    from scipy.special import bdtr  # of 0.1 s

    pairs = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if pairs[0].ndim != 1 or not len(pairs[0]) or pairs[0].shape != pairs[1].shape:
        raise ValueError(f"{pairs[0].shape} and {pairs[1].shape} values, expected pairs")
    if not all(((values == 0) | (values == 1)).all() for values in pairs):
        raise ValueError("a value is neither 0 nor 1: sign_flip_test takes any numbers")
    won, lost = (int(np.count_nonzero(pairs[0] - pairs[1] == sign)) for sign in (1, -1))
    return min(1.0, 2 * float(bdtr(min(won, lost), won + lost, 0.5)))


def holm(ps: Sequence[float] | Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Return p-values adjusted so that any false finding among them is as rare as asked for.

    Holm 1979, step down.
    """
    found = _checked_ps(ps)
    order = np.argsort(found)
    adjusted = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    return _in_order(np.minimum(adjusted, 1), order)


def benjamini_hochberg(
    ps: Sequence[float] | Float[np.ndarray, " tests"],
) -> Float[np.ndarray, " tests"]:
    """Return p-values adjusted so that the share of false findings is as small as asked for.

    Benjamini and Hochberg 1995, step up.
    """
    found = _checked_ps(ps)
    order = np.argsort(found)[::-1]
    count = len(found)
    adjusted = np.minimum.accumulate(found[order] * count / np.arange(count, 0, -1))
    return _in_order(np.minimum(adjusted, 1), order)


def rank_intervals(
    draws: Mapping[str, Float[np.ndarray, " draws"]],
    *,
    level: float = 0.95,
    higher_is_better: bool = True,
) -> dict[str, tuple[int, int]]:
    """Return the ranks that each model has in that share of shared draws, best 1.

    Models that are equal in a draw share all their ranks there, so two equal models are
    both "1-2".

    Raises:
        ValueError: no models, or not the same number of draws for all.
    """
    shapes = {np.shape(column) for column in draws.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"draws of shapes {sorted(shapes)}, expected the same draws of each model")
    table = np.stack([np.asarray(column, np.float64) for column in draws.values()])
    table = -table if higher_is_better else table
    ordered = np.sort(table, axis=0)
    tail = (1 - level) / 2
    found = {}
    for name, column in zip(draws, table, strict=True):
        best = 1 + (ordered < column).sum(axis=0)
        worst = (ordered <= column).sum(axis=0)
        low = np.quantile(best, tail, method="inverted_cdf")
        high = np.quantile(worst, 1 - tail, method="inverted_cdf")
        found[name] = int(low), int(high)
    return found


def minimum_detectable_effect(
    values: Float[np.ndarray, " queries"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    power: float = 0.8,
) -> float:
    """Return the smallest true mean that a test at this level would find with this power.

    Give the differences of two models on the same queries; of a single model's values it is
    the smallest difference to a fixed number. From the standard error over clusters (the
    linearised ratio), and the normal distribution. Infinite with one cluster.
    """
    values, weights = _checked(values, weights)
    sums = _cluster_sums(values[:, None], weights, clusters)
    count = len(sums)
    if count == 1:
        return math.inf
    total, weight = sums.sum(axis=0)
    residuals = sums[:, 0] - sums[:, 1] * total / weight
    error = math.sqrt(count / (count - 1) * float(residuals @ residuals)) / weight
    return float((_NORMAL.inv_cdf((1 + level) / 2) + _NORMAL.inv_cdf(power)) * error)


def _cluster_sums(
    values: Float[np.ndarray, "queries metrics"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
) -> Float[np.ndarray, "clusters metrics_and_weight"]:
    """Return the sums of w x, and of w, of each cluster, in sorted order."""
    number = _numbered(clusters, len(values))
    columns = [weights * column for column in values.T] + [weights]
    return np.stack([np.bincount(number, column) for column in columns], axis=1)


def _numbered(clusters: Sequence[Hashable], queries: int) -> Int[np.ndarray, " queries"]:
    if len(clusters) != queries:
        raise ValueError(f"{len(clusters)} clusters, expected {queries}, one a query")
    names: list[Any] = clusters.tolist() if isinstance(clusters, np.ndarray) else list(clusters)
    order = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([order[name] for name in names], np.int64)


def _sign_flip_ps(
    sums: Float[np.ndarray, "clusters tests"],
    flipped: Float[np.ndarray, "draws tests"],
    noise: float | Float[np.ndarray, " tests"] = 0.0,
) -> Float[np.ndarray, " tests"]:
    """Return p-values of sums over clusters, given their totals under random signs.

    Args:
        sums: of each cluster.
        flipped: totals; not looked at where all signs can be tried.
        noise: a difference of totals that is only rounding.
    """
    sizes = np.abs(sums)
    # Equal but for rounding is a hit.
    least = np.abs(sums.sum(axis=0)) - 1e-9 * sizes.sum(axis=0) - noise
    ps = (1 + np.count_nonzero(np.abs(flipped) >= least, axis=0)) / (len(flipped) + 1)
    counted = sizes > 1e-12 * sizes.max(axis=0)
    few = (len(flipped) + 1).bit_length() - 1  # clusters of which no more signs are tried
    for test in np.flatnonzero(counted.sum(axis=0) <= few):
        some = sums[counted[:, test], test]
        signs = np.arange(2 ** len(some))[:, None] >> np.arange(len(some)) & 1
        ps[test] = np.mean(np.abs(some.sum() - 2 * signs @ some) >= least[test])
    return np.asarray(ps, np.float64)


def _flipped(
    sums: Float[np.ndarray, "clusters tests"], draws: int, seed: int
) -> Float[np.ndarray, "draws tests"]:
    """Return totals under random signs, the same signs for all columns.

    Eight clusters at a time: a random byte looks up their total among the 256 that there are.
    """
    if draws < 1:
        raise ValueError(f"{draws} draws, expected at least 1")
    rng = np.random.default_rng(seed)
    clusters, tests = sums.shape
    padded = np.zeros((-(-clusters // 8) * 8, tests))
    padded[:clusters] = sums
    signs = 2.0 * (np.arange(256)[:, None] >> np.arange(8) & 1) - 1
    total, some = np.zeros((draws, tests)), np.empty((draws, tests))
    for eight in padded.reshape(-1, 8, tests):
        drawn = rng.integers(0, 256, draws, dtype=np.uint8)
        np.take(signs @ eight, drawn, axis=0, out=some, mode="clip")  # "raise" would copy
        total += some
    return total


def _checked(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, weights = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if not len(values) or weights.shape != values.shape[:1]:
        raise ValueError(f"{weights.shape} weights of {values.shape} values, expected one a query")
    if not (np.isfinite(values).all() and np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("a value is not finite, or a weight not a finite number above 0")
    return values, weights


def _checked_ps(ps: Sequence[float] | np.ndarray) -> Float[np.ndarray, " tests"]:
    found = np.asarray(ps, np.float64)
    if found.ndim != 1 or not ((found >= 0) & (found <= 1)).all():
        raise ValueError(f"p-values must be a list of numbers in 0..1, got {ps!r}")
    return found


def _in_order(values: np.ndarray, order: np.ndarray) -> Float[np.ndarray, " tests"]:
    found = np.empty(len(values))
    found[order] = values
    return found
