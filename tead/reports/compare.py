"""Two or more TEADs side by side: how far do their annotators agree?

Over the texts they share: kappa and prevalence of each action unit, Krippendorff's
alpha of more than two, tags, blendshapes; each with a bootstrap interval over rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from expclip.face import ACTION_UNITS, AU_CODES, AU_INDEX, BLENDSHAPES, HARD_PAIRS
from expclip.face.errors import DataError
from expclip.tead.folder import read_batches, read_manifest
from expclip.tead.reports.agreement import (
    alpha_from_means,
    bootstrap,
    interval,
    jaccard,
    kappa_from_means,
)

__all__ = [
    "MEASURES",
    "USED",
    "AnnotatedSet",
    "Comparison",
    "Estimate",
    "PairAgreement",
    "compare",
]

USED = 0.02
"""A unit counts towards a mean if more than so many of the compared rows show it."""

MEASURES: dict[str, str] = {
    "mean_kappa": f"mean kappa of the units in more than {USED:.0%} of rows",
    "unit_jaccard": "Jaccard of units",
    "tag_jaccard": "Jaccard of tags",
    "same_first_tag": "same first tag",
    "first_tag_among": "first tag among the other's tags",
    "blendshape_mae": "blendshapes, mean absolute difference",
    "blendshape_rms": "blendshapes, root mean square difference",
}
"""What is measured of a pair, over the rows they share; the last two are better lower."""

_UNITS = len(ACTION_UNITS)
_PLAIN = tuple(MEASURES)[1:-1]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the ends of its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AnnotatedSet:
    """One of the compared data sets.

    Attributes:
        name: its configuration, or its folder where that tells more.
        rows: number of all its rows.
        content_sha256: hash of its content, from its manifest.
        prevalence: share of the compared rows that show each unit, in vector order.
        conflicts: compared rows with units that no face shows together.
    """

    name: str
    rows: int
    content_sha256: str
    prevalence: tuple[float, ...]
    conflicts: int

    @property
    def units_per_row(self) -> float:
        """Mean number of units of the compared rows."""
        return sum(self.prevalence)

    @property
    def empty_units(self) -> tuple[int, ...]:
        """Codes of the units that none of the compared rows shows."""
        return tuple(code for code in AU_CODES if not self.prevalence[AU_INDEX[code]])


@dataclass(frozen=True)
class PairAgreement:
    """How far two data sets agree: measures by name, kappa by unit in vector order."""

    first: AnnotatedSet
    second: AnnotatedSet
    measures: Mapping[str, Estimate]
    kappa: tuple[Estimate, ...]


@dataclass(frozen=True)
class Comparison:
    """Two or more data sets over the texts they share.

    Attributes:
        sets: in the order given.
        rows: number of texts that all of them hold.
        pairs: each set with each later one.
        alpha: Krippendorff's alpha of each unit; None for two sets.
        mean_alpha: its mean over the units in use; None for two sets.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """

    sets: tuple[AnnotatedSet, ...]
    rows: int
    pairs: tuple[PairAgreement, ...]
    alpha: tuple[Estimate, ...] | None
    mean_alpha: Estimate | None
    draws: int
    seed: int


@dataclass(frozen=True)
class _Table:
    """The annotations of a data set, by columns."""

    ids: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]
    aus: Bool[np.ndarray, "rows 36"]
    blendshapes: Float[np.ndarray, "rows 52"]

    def take(self, ids: Sequence[str]) -> _Table:
        """Return the rows with some ids, in their order."""
        where = {id: row for row, id in enumerate(self.ids)}
        rows = [where[id] for id in ids]
        tags = tuple(self.tags[row] for row in rows)
        return _Table(tuple(ids), tags, self.aus[rows], self.blendshapes[rows])


def compare(folders: Sequence[str | Path], *, draws: int = 1000, seed: int = 0) -> Comparison:
    """Compare TEAD folders over the texts that all of them hold.

    Args:
        folders: two or more; each annotates the same texts (known by their id).
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: fewer than two folders, or no draws.
        DataError: a folder is no sound TEAD, or they share no text.
    """
    if len(folders) < 2 or draws < 1:
        raise ValueError(
            f"{len(folders)} folders and {draws} draws, expected two folders and one draw or more"
        )
    paths = [Path(folder) for folder in folders]
    tables = [_read_table(path) for path in paths]
    shared = sorted(set(tables[0].ids).intersection(*(table.ids for table in tables[1:])))
    if not shared:
        raise DataError(
            f"{', '.join(map(str, paths))}: no text in common, expected data sets built from the "
            "same corpus (a row's id is the hash of source and text)"
        )
    views = [table.take(shared) for table in tables]
    sets = tuple(
        _describe(name, path, len(table.ids), view)
        for name, path, table, view in zip(_names(paths), paths, tables, views, strict=True)
    )
    pairs = tuple(
        _agreement((sets[one], sets[two]), (views[one], views[two]), draws, seed)
        for one, two in combinations(range(len(sets)), 2)
    )
    alpha = _alpha(views, draws, seed) if len(views) > 2 else None
    return Comparison(
        sets=sets,
        rows=len(shared),
        pairs=pairs,
        alpha=alpha and alpha[:-1],
        mean_alpha=alpha[-1] if alpha else None,
        draws=draws,
        seed=seed,
    )


def _read_table(folder: Path) -> _Table:
    ids: list[str] = []
    tags: list[tuple[str, ...]] = []
    aus, faces = [np.zeros((0, _UNITS))], [np.zeros((0, len(BLENDSHAPES)), np.float32)]
    for batch in read_batches(folder, ("id", "emotions", "aus", "blendshapes")):
        ids += batch.column("id").to_pylist()
        tags += (tuple(names or ()) for names in batch.column("emotions").to_pylist())
        for name, parts, width in (("aus", aus, _UNITS), ("blendshapes", faces, len(BLENDSHAPES))):
            flat = batch.column(name).flatten().to_numpy(zero_copy_only=False)
            if flat.size != len(batch) * width:
                raise DataError(
                    f"{folder}: {flat.size} numbers in {len(batch)} rows of {name}, "
                    f"expected {width} a row"
                )
            parts.append(flat.reshape(-1, width))
    return _Table(tuple(ids), tuple(tags), np.concatenate(aus) != 0, np.concatenate(faces))


def _names(folders: Sequence[Path]) -> list[str]:
    """Return what to call the sets: configuration, else folder, else with a number."""
    names = [str(read_manifest(folder)["config"]) for folder in folders]
    if len(set(names)) < len(names):
        names = [folder.resolve().name for folder in folders]
    names = ["".join(c if c.isprintable() else " " for c in name)[:60] for name in names]
    again, seen = Counter(names), Counter[str]()
    for place, name in enumerate(names):
        seen[name] += 1
        names[place] = f"{name} ({seen[name]})" if again[name] > 1 else name
    return names


def _describe(name: str, folder: Path, rows: int, view: _Table) -> AnnotatedSet:
    clashes = [
        view.aus[:, AU_INDEX[one]] & view.aus[:, AU_INDEX[two]] for one, two in sorted(HARD_PAIRS)
    ]
    return AnnotatedSet(
        name=name,
        rows=rows,
        content_sha256=str(read_manifest(folder)["content_sha256"]),
        prevalence=tuple(view.aus.mean(axis=0).tolist()),
        conflicts=int(np.any(clashes, axis=0).sum()),
    )


def _agreement(
    sets: tuple[AnnotatedSet, AnnotatedSet], views: tuple[_Table, _Table], draws: int, seed: int
) -> PairAgreement:
    used = np.mean([one.prevalence for one in sets], axis=0) > USED

    def statistic(means: Float[np.ndarray, "draws columns"]) -> Float[np.ndarray, "draws values"]:
        first, second, both = (means[:, at * _UNITS : (at + 1) * _UNITS] for at in range(3))
        rest = means[:, 3 * _UNITS :]  # as in MEASURES, but the mean of squares at the end
        kappa = kappa_from_means(first, second, both)
        return np.column_stack(
            [kappa, _mean_defined(kappa[:, used]), rest[:, :-1], np.sqrt(rest[:, -1])]
        )

    estimates = _estimate(_pair_columns(*views), statistic, draws, seed)
    measures = dict(zip(MEASURES, estimates[_UNITS:], strict=True))
    return PairAgreement(*sets, measures, estimates[:_UNITS])


def _pair_columns(first: _Table, second: _Table) -> Float[np.ndarray, "rows columns"]:
    """Return, row by row, the numbers whose means decide every measure of a pair."""
    both, either = first.aus & second.aus, (first.aus | second.aus).sum(axis=1)
    tags = list(zip(first.tags, second.tags, strict=True))
    difference = first.blendshapes.astype(np.float64) - second.blendshapes
    plain = {
        "unit_jaccard": np.where(either > 0, both.sum(axis=1) / np.maximum(either, 1), 1.0),
        "tag_jaccard": [jaccard(set(one), set(two)) for one, two in tags],
        "same_first_tag": [one[:1] == two[:1] for one, two in tags],
        "first_tag_among": [
            ((set(one[:1]) <= set(two)) + (set(two[:1]) <= set(one))) / 2 for one, two in tags
        ],
        "blendshape_mae": np.abs(difference).mean(axis=1),
    }
    squares = (difference**2).mean(axis=1)
    return np.column_stack(
        [first.aus, second.aus, both, *(plain[name] for name in _PLAIN), squares]
    ).astype(np.float64)


def _alpha(views: Sequence[_Table], draws: int, seed: int) -> tuple[Estimate, ...]:
    """Return alpha of each unit, and at the end the mean over those in use."""
    yes = np.sum([view.aus for view in views], axis=0)
    raters, rows = len(views), len(yes)
    used = yes.mean(axis=0) / raters > USED

    def statistic(means: Float[np.ndarray, "draws columns"]) -> Float[np.ndarray, "draws values"]:
        said, split = means[:, :_UNITS], means[:, _UNITS:]
        alpha = alpha_from_means(said, split, raters=raters, rows=rows)
        return np.column_stack([alpha, _mean_defined(alpha[:, used])])

    columns = np.column_stack([yes, yes * (raters - yes)]).astype(np.float64)
    return _estimate(columns, statistic, draws, seed)


def _estimate(
    columns: Float[np.ndarray, "rows columns"],
    statistic: Callable[[Float[np.ndarray, "draws columns"]], Float[np.ndarray, "draws values"]],
    draws: int,
    seed: int,
) -> tuple[Estimate, ...]:
    values = statistic(columns.mean(axis=0, keepdims=True))[0]
    low, high = interval(bootstrap(columns, statistic, draws=draws, seed=seed), about=values)
    numbers = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(Estimate(*number) for number in numbers)


def _mean_defined(values: Float[np.ndarray, "draws units"]) -> Float[np.ndarray, " draws"]:
    """Return means over units, the undefined left out; NaN where none is defined."""
    defined = ~np.isnan(values)
    total, count = np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
