"""What is relevant to what, and how much: relations between keys, never row numbers.

A key says what a row is: the normalised text, the action-unit vector, the hash of an image.
Rows of one key are one item, so that no copy of the right answer counts as a wrong one.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

__all__ = [
    "Gains",
    "Keys",
    "distinct",
    "diverse_keys",
    "jaccard_gains",
    "key_list",
    "relation",
    "require_answers",
]

Keys = Sequence[Hashable] | Shaped[np.ndarray, "rows ..."]
"""One key a row: strings, numbers, tuples; or an array, whose rows are the keys."""

Gains = Callable[
    [Int[np.ndarray, " queries"], Int[np.ndarray, " items"]], Shaped[np.ndarray, "queries items"]
]
"""From rows of the queries and rows of the gallery to gains, 0 or above."""


def key_list(keys: Keys, rows: int, name: str) -> list[Hashable]:
    """Return the keys of rows as things that can be compared and looked up.

    Raises:
        ValueError: there are not as many keys as rows, or one cannot be looked up.
    """
    if isinstance(keys, np.ndarray) and keys.ndim > 1:
        found: list[Hashable] = [tuple(row) for row in keys.reshape(len(keys), -1).tolist()]
    else:
        found = keys.tolist() if isinstance(keys, np.ndarray) and keys.ndim else list(keys)
    if len(found) != rows:
        raise ValueError(f"{name}_keys: {len(found)} keys, expected {rows}, one a row")
    for number, key in enumerate(found):
        try:
            hash(key)
        except TypeError:
            raise ValueError(
                f"{name}_keys: key {number} is a {type(key).__name__}, expected a string, a "
                "number or a tuple of such"
            ) from None
    return found


def distinct(keys: Iterable[Hashable]) -> tuple[dict[Hashable, int], Int[np.ndarray, " rows"]]:
    """Return the number of each key, by first appearance, and that of each row's key."""
    numbers: dict[Hashable, int] = {}
    inverse = [numbers.setdefault(key, len(numbers)) for key in keys]
    return numbers, np.array(inverse, np.int64)


def relation(
    queries: Sequence[Hashable],
    gallery: dict[Hashable, int],
    relevant: Iterable[tuple[Hashable, Hashable]] | None,
) -> Int[np.ndarray, "pairs 2"]:
    """Return the pairs of a query and a relevant item, by number, ascending, each once.

    Args:
        queries: key of each query.
        gallery: number of each item's key.
        relevant: pairs of keys; those of queries or items that are not asked about are left
            out. None: equal keys.

    Raises:
        ValueError: a query has no relevant item in the gallery.
    """
    if relevant is None:
        pairs = [(number, gallery.get(key, -1)) for number, key in enumerate(queries)]
        found = np.array(pairs, np.int64)
        found = found[found[:, 1] >= 0]
    else:
        asked = {key: number for number, key in enumerate(queries)}
        known = {(asked[one], gallery[other]) for one, other in relevant
                 if one in asked and other in gallery}  # fmt: skip
        found = np.array(sorted(known), np.int64).reshape(-1, 2)
    require_answers(found, queries)
    return found


def require_answers(pairs: Int[np.ndarray, "pairs 2"], queries: Sequence[Hashable]) -> None:
    """Check that each query has an answer.

    Raises:
        ValueError: a query has no relevant item in the gallery.
    """
    without = np.flatnonzero(np.bincount(pairs[:, 0], minlength=len(queries)) == 0)
    if len(without):
        raise ValueError(
            f"query {queries[without[0]]!r} has no relevant item in the gallery, nor have "
            f"{len(without) - 1} others; expected one or more for each (see `relevant`)"
        )


def jaccard_gains(
    query_aus: Shaped[np.ndarray, "queries units"],
    gallery_aus: Shaped[np.ndarray, "rows units"],
    query_keys: Keys,
    gallery_keys: Keys,
) -> Gains:
    """Return the overlap of action units as graded relevance: shared over all, 0..1.

    A text with several expressions gets the best of them; two faces without any unit are
    the same. A unit is absent where its value is 0; the units of a text's row are those of an
    expression that it stands for. Memory: one number for each pair that is asked for.
    """
    sides = [
        _shown(aus, keys, name)
        for aus, keys, name in (
            (query_aus, query_keys, "query"),
            (gallery_aus, gallery_keys, "gallery"),
        )
    ]

    def gains(queries: np.ndarray, items: np.ndarray) -> Float[np.ndarray, "queries items"]:
        (one, starts), (other, stops) = (
            _of_rows(side, rows) for side, rows in zip(sides, (queries, items), strict=True)
        )
        shared = one @ other.T
        either = one.sum(axis=1)[:, None] + other.sum(axis=1) - shared
        overlap = np.divide(shared, either, out=np.ones_like(shared), where=either > 0)
        if len(starts) < len(one):
            overlap = np.maximum.reduceat(overlap, starts, axis=0)
        if len(stops) < len(other):
            overlap = np.maximum.reduceat(overlap, stops, axis=1)
        return np.asarray(overlap)

    return gains


def diverse_keys(
    aus: Shaped[np.ndarray, "rows units"], count: int, text_keys: Keys | None = None
) -> Int[np.ndarray, " count"]:
    """Return rows whose faces differ as much as can be: farthest first, by Hamming distance.

    The first is the face that differs most from all others in sum, each next one that whose
    nearest among the chosen is farthest; ties go to the vector that sorts first. So the faces
    do not depend on the order of rows. Of the rows of a face the first is taken. With
    ``text_keys``, no two of those chosen share a text: the row with the smallest free key
    stands for a face, and a face without a free one is left out.

    Raises:
        ValueError: there are not so many different faces.
    """
    table = np.asarray(aus)
    faces, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    rows: list[list[int]] = [[int(row)] for row in first]
    texts: list[Any] | None = None
    if text_keys is not None:
        texts = key_list(text_keys, len(table), "text")
        rows = [[] for _ in faces]
        by_text: list[tuple[Any, int]] = sorted(zip(texts, range(len(table)), strict=True))
        for _, row in by_text:
            rows[inverse.ravel()[row]].append(row)
    same = np.zeros(len(faces))
    for unit in faces.T:
        _, value, number = np.unique(unit, return_inverse=True, return_counts=True)
        same += number[value]
    nearest = -same  # the first: least like the others
    chosen: list[int] = []
    used: set[Hashable] = set()
    while len(chosen) < count and np.isfinite(nearest).any():
        face = int(np.argmax(nearest))
        free = [row for row in rows[face] if texts is None or texts[row] not in used]
        if free:
            distance = (faces != faces[face]).sum(axis=1)
            closer = np.minimum(nearest, distance) if chosen else distance.astype(np.float64)
            nearest = np.where(np.isfinite(nearest), closer, -np.inf)
            chosen.append(free[0])
            if texts is not None:
                used.add(texts[free[0]])
        nearest[face] = -np.inf
    if len(chosen) < count:
        raise ValueError(f"{len(chosen)} different faces can be chosen, expected {count}")
    return np.array(chosen, np.int64)


def _shown(
    aus: Shaped[np.ndarray, "rows units"], keys: Keys, name: str
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return distinct faces, the key number of each row, and the faces of each key."""
    shown = np.asarray(aus) != 0
    if shown.ndim != 2:
        raise ValueError(f"{name}_aus has shape {shown.shape}, expected (rows, units)")
    numbers, key = distinct(key_list(keys, len(shown), name))
    faces, face = np.unique(shown, axis=0, return_inverse=True)
    pairs = np.unique(np.stack([key, face.ravel()]), axis=1)
    starts = np.searchsorted(pairs[0], np.arange(1, len(numbers)))
    return faces.astype(np.float32), key, np.split(pairs[1], starts)


def _of_rows(
    side: tuple[np.ndarray, np.ndarray, list[np.ndarray]], rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces of rows' keys, one below the other, and where each row's start."""
    faces, key, of_key = side
    mine = [of_key[number] for number in key[rows]]
    starts = np.cumsum([0] + [len(one) for one in mine[:-1]])
    return faces[np.concatenate(mine)], starts
