"""Which of many models are told apart, in letters: who shares one is not separated."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from expclip.benchmarks.metrics.statistics import benjamini_hochberg, sign_flip_pairs

__all__ = ["group_letters", "separate_models"]

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def separate_models(
    values: Float[np.ndarray, "queries models"],
    weights: Float[np.ndarray, " queries"],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
) -> Bool[np.ndarray, "models models"]:
    """Return which pairs of models are told apart: symmetric, False on the diagonal.

    By sign-flip tests of all pairs over the same queries, of which Benjamini and Hochberg
    let at most a share of 1 - level be wrong.

    Raises:
        ValueError: as cluster_bootstrap.
    """
    ps = sign_flip_pairs(values, weights, clusters)
    pairs = np.triu_indices(len(ps), 1)
    separated = np.zeros(ps.shape, bool)
    separated[pairs] = benjamini_hochberg(ps[pairs]) <= 1 - level
    return np.asarray(separated | separated.T)


def group_letters(
    separated: Bool[np.ndarray, "models models"], order: Sequence[int]
) -> tuple[str, ...]:
    """Return the letters of each model; two share one exactly where they are not separated.

    The compact letter display of Piepho 2004. A letter is a largest group without a
    separated pair; groups are grown until they hold all pairs that are not separated, and
    those that no pair needs are dropped (Gramm et al. 2007: as few letters as are needed in
    practice, and never exponentially many, which insert-and-absorb can come to).

    Args:
        separated: symmetric, False on the diagonal.
        order: the models' numbers, best first; the best model of a group decides its letter.

    Returns:
        Letters in the order of ``separated``: "a", "ab", "b". Of more than 26 groups the
        later ones are called aa, ab ..., and a model's letters have spaces between them.

    Raises:
        ValueError: not such a matrix, or not such an order.
    """
    separated, places = np.asarray(separated), np.asarray(order, np.int64)
    count = len(separated)
    if separated.dtype != bool or separated.shape != (count, count):
        raise ValueError(f"separated is {separated.dtype} {separated.shape}, expected bool, square")
    if (separated != separated.T).any() or separated.diagonal().any():
        raise ValueError("separated must be symmetric, and no model is separated from itself")
    if not np.array_equal(np.sort(places), np.arange(count)):
        raise ValueError(f"order must hold each of {count} models once, got {order!r}")
    groups = _needed(_grow_groups(~separated[np.ix_(places, places)]), count)
    letters: list[list[str]] = [[] for _ in range(count)]
    for number, group in enumerate(sorted(group.tolist() for group in groups)):
        for place in group:
            letters[places[place]].append(_letter(number))
    between = "" if len(groups) <= len(_ALPHABET) else " "
    return tuple(between.join(own) for own in letters)


def _grow_groups(together: Bool[np.ndarray, "models models"]) -> list[Int[np.ndarray, " members"]]:
    """Return groups of models, all together, that hold every pair; none can be larger."""
    groups: list[Int[np.ndarray, " members"]] = []
    missing = together.copy()
    for one, other in np.argwhere(np.triu(together)):
        if not missing[one, other]:
            continue
        members, open_to = {int(one), int(other)}, together[one] & together[other]
        open_to[list(members)] = False
        while open_to.any():
            best = int(open_to.argmax())
            members.add(best)
            open_to &= together[best]
            open_to[best] = False
        groups.append(np.array(sorted(members), np.int64))
        missing[np.ix_(groups[-1], groups[-1])] = False
    return groups


def _needed(
    groups: list[Int[np.ndarray, " members"]], count: int
) -> list[Int[np.ndarray, " members"]]:
    """Return the groups without those all of whose pairs are in others too."""
    times = np.zeros((count, count), np.int64)
    for group in groups:
        times[np.ix_(group, group)] += 1
    needed = []
    for group in groups:
        pairs = np.ix_(group, group)
        if (times[pairs] > 1).all():
            times[pairs] -= 1
        else:
            needed.append(group)
    return needed


def _letter(number: int) -> str:
    """Return a, b ... z, aa, ab ..."""
    rest, last = divmod(number, len(_ALPHABET))
    return (_letter(rest - 1) if rest else "") + _ALPHABET[last]
