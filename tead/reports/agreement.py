"""Agreement of annotators, and how sure it is: kappa, alpha, bootstrap.

Kappa and alpha depend on the data through means over rows alone. Each therefore comes
twice: from annotations, and from means, whose bootstrap is one matrix product.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

__all__ = [
    "alpha_from_means",
    "bootstrap",
    "cohen_kappa",
    "interval",
    "jaccard",
    "kappa_from_means",
    "krippendorff_alpha",
    "summable",
]

_DRAWS_AT_ONCE = 64


def cohen_kappa(
    first: Int8[np.ndarray, "rows units"], second: Int8[np.ndarray, "rows units"]
) -> Float[np.ndarray, " units"]:
    """Return Cohen's kappa of each unit of two annotators' 0/1 matrices.

    1 is perfect, 0 what chance gives, below 0 worse. NaN where both give all rows the
    same value: chance leaves nothing to agree on.

    Raises:
        ValueError: the matrices differ in shape, or have no row.
    """
    first, second = _ratings([first, second])
    return kappa_from_means(first.mean(axis=0), second.mean(axis=0), (first & second).mean(axis=0))


def kappa_from_means(
    first: Float[np.ndarray, "..."],
    second: Float[np.ndarray, "..."],
    both: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "..."]:
    """Return Cohen's kappa from the shares of rows where one, the other, and both say yes."""
    agreed = 1 - first - second + 2 * both
    chance = first * second + (1 - first) * (1 - second)
    return _ratio(agreed - chance, 1 - chance)


def krippendorff_alpha(
    ratings: Int8[np.ndarray, "raters rows units"],
) -> Float[np.ndarray, " units"]:
    """Return Krippendorff's alpha (nominal) of each unit of two or more annotators.

    All annotators rate all rows. NaN where all ratings of a unit are the same.

    Raises:
        ValueError: fewer than two annotators, or no row.
    """
    stacked = _ratings(list(ratings))
    yes = stacked.sum(axis=0, dtype=np.int64)
    raters, rows = stacked.shape[:2]
    split = (yes * (raters - yes)).mean(axis=0)
    return alpha_from_means(yes.mean(axis=0), split, raters=raters, rows=rows)


def alpha_from_means(
    yes: Float[np.ndarray, "..."],
    split: Float[np.ndarray, "..."],
    *,
    raters: int,
    rows: int,
) -> Float[np.ndarray, "..."]:
    """Return Krippendorff's alpha of 0/1 ratings from means over rows.

    Args:
        yes: mean number of annotators who say yes.
        split: mean of that number times the number of those who say no.
        raters: number of annotators, the same in each row.
        rows: number of rows.
    """
    total, share = raters * rows, yes / raters
    observed = split / (raters * (raters - 1))
    return 1 - (total - 1) / total * _ratio(observed, share * (1 - share))


def jaccard(first: set[str], second: set[str]) -> float:
    """Return what both have as a share of what either has; 1 if both are empty."""
    union = len(first | second)
    return len(first & second) / union if union else 1.0


def bootstrap(
    columns: Float[np.ndarray, "rows columns"],
    statistic: Callable[[Float[np.ndarray, "draws columns"]], Float[np.ndarray, "draws ..."]],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Float[np.ndarray, "draws ..."]:
    """Return a statistic of column means for rows drawn anew with replacement.

    The sums are exact, so that no thread, library or machine changes a bit of the means.

    Args:
        columns: what the statistic depends on, one row of numbers for each row.
        statistic: from means, one row for each draw, to values.
        draws: number of draws.
        seed: of the draws; the same for the same number of rows.

    Raises:
        ValueError: no rows, or no draws.
    """
    rows = len(columns)
    if not rows or draws < 1:
        raise ValueError(f"a bootstrap needs rows and draws, got {rows} and {draws}")
    rng = np.random.default_rng(seed)
    values = summable(np.asarray(columns, np.float64))
    means = np.empty((draws, values.shape[1]))
    for start in range(0, draws, _DRAWS_AT_ONCE):
        some = min(_DRAWS_AT_ONCE, draws - start)
        times = np.stack(
            [np.bincount(rng.integers(0, rows, rows), minlength=rows) for _ in range(some)]
        )
        means[start : start + some] = times.astype(np.float64) @ values / rows
    return statistic(means)


def interval(
    draws: Float[np.ndarray, "draws ..."],
    level: float = 0.95,
    *,
    about: Float[np.ndarray, "..."] | float | None = None,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return the ends of the central interval of a bootstrap; undefined draws are left out.

    NaN where no draw is defined. Where all draws are alike, they differ from the estimate by
    rounding; given the estimate (``about``), an interval that misses it so holds it.
    """
    tail = 100 * (1 - level) / 2
    undefined = np.isnan(draws).all(axis=0)
    low, high = np.nanpercentile(np.where(undefined, 0.0, draws), [tail, 100 - tail], axis=0)
    low, high = np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)
    if about is None:
        return low, high
    rounding = 1e-12 * np.maximum(1, np.abs(about))
    return (
        np.where((low > about) & (low - about <= rounding), about, low),
        np.where((high < about) & (about - high <= rounding), about, high),
    )


def summable(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Return the columns in steps so large that float64 holds any sum of as many of their rows.

    Of values like the largest, 16 digits less those of the number of rows are kept.
    """
    exponent = np.frexp(np.abs(values).max(axis=0))[1] + np.frexp(len(values))[1]
    step = np.ldexp(1.0, np.maximum(exponent - 52, -1074))
    return np.asarray(np.rint(values / step) * step)


def _ratings(raters: list[np.ndarray]) -> Any:
    """Return the annotators' matrices as one array, checked."""
    shapes = {np.shape(rater) for rater in raters}
    if len(raters) < 2 or len(shapes) > 1 or not min(shapes)[0]:
        raise ValueError(
            f"{len(raters)} annotators with matrices of shape {sorted(shapes)}, "
            "expected two or more of one shape, with rows"
        )
    return np.stack(raters).astype(np.int8)


def _ratio(
    above: Float[np.ndarray, "..."], below: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Return a quotient; NaN where it is undefined, within rounding of 0/0."""
    defined = below > 1e-12
    return np.where(defined, above / np.where(defined, below, 1), np.nan)
