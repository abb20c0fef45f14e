"""Krippendorff's alpha of ratings on a scale, where raters saw different things.

Alpha depends on the ratings through sums over units alone: how often two values meet in
one unit. A bootstrap over units is therefore one matrix product.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

__all__ = ["Level", "alpha_from_coincidences", "count_coincidences", "krippendorff_alpha"]

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(
    ratings: Float[np.ndarray, "raters units"], level: Level = "ordinal"
) -> float:
    """Return Krippendorff's alpha: 1 is perfect agreement, 0 what chance gives.

    Units with fewer than two ratings say nothing and are left out. NaN where all ratings
    are the same, or none can be paired: chance leaves nothing to agree on.

    Args:
        ratings: numbers; NaN where a rater gave none.
        level: how differing values differ. "ordinal" counts the ratings between them.

    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).
    """
    ratings = np.asarray(ratings, np.float64)
    values = np.unique(ratings[~np.isnan(ratings)])
    pairs = count_coincidences(ratings, values.tolist()).sum(axis=0)
    return float(alpha_from_coincidences(pairs, values.tolist(), level))


def count_coincidences(
    ratings: Float[np.ndarray, "raters units"], values: Sequence[float]
) -> Float[np.ndarray, "units values values"]:
    """Return how often two raters' values meet in each unit, a unit weighing as its ratings."""
    counts = (ratings[:, :, None] == np.asarray(values)).sum(axis=0, dtype=np.float64)
    number = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs -= counts[:, :, None] * np.eye(len(values))
    share = (number > 1) / np.maximum(number - 1, 1)
    return np.asarray(pairs * share[:, None, None])


def alpha_from_coincidences(
    pairs: Float[np.ndarray, "*draws values values"],
    values: Sequence[float],
    level: Level = "ordinal",
) -> Float[np.ndarray, "*draws"]:
    """Return alpha of sums of coincidences."""
    each = pairs.sum(axis=-1)  # (*draws, values)
    total = each.sum(axis=-1)
    distance = _distances(each, np.asarray(values, np.float64), level)
    observed = (pairs * distance).sum(axis=(-2, -1))
    expected = (each[..., :, None] * each[..., None, :] * distance).sum(axis=(-2, -1))
    defined = expected > 1e-12
    return np.where(defined, 1 - (total - 1) * observed / np.where(defined, expected, 1), np.nan)


def _distances(
    each: Float[np.ndarray, "*draws values"], values: Float[np.ndarray, " values"], level: Level
) -> Float[np.ndarray, "*draws values values"]:
    """Return the squared distance of each two values."""
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(len(values)), (*each.shape, len(values)))
    if level == "interval":
        square = (values[:, None] - values[None, :]) ** 2
        return np.broadcast_to(square, (*each.shape, len(values)))
    if level != "ordinal":
        raise ValueError(f"level must be one of {get_args(Level)}, got {level!r}")
    # Ratings from one value to the other, of the two themselves half: a difference of ranks.
    ranks = each.cumsum(axis=-1) - each / 2
    square = (ranks[..., :, None] - ranks[..., None, :]) ** 2
    return np.asarray(square)
