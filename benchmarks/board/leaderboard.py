"""Tables made of results: one for each task, version and data, models ranked as far as is sure."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip.benchmarks.metrics.groups import group_letters, separate_models
from expclip.benchmarks.metrics.statistics import cluster_bootstrap, rank_intervals
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.results.record import Metric, Result, Skipped, find_results
from expclip.face.errors import DataError

__all__ = [
    "PAPER_TABLE_1",
    "Board",
    "Row",
    "Table",
    "format_metric",
    "format_number",
    "read_board",
]

PAPER_TABLE_1: Mapping[str, tuple[float, float]] = {
    "tead/reconstruction": (0.051, 0.012),
    "beat/reconstruction": (0.069, 0.021),
}
"""The paper's own Table 1, by our task: error without and with augmentation of blendshapes.

Of other data: its TEAD was never released. It says neither whether the error is a sum or a
mean over the weights, nor how frames were sampled.
"""

_REFERENCES = ("chance", "ceiling")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)")
_DRAWS = 10_000
_LEAST_CLUSTERS = 6
"""Of fewer no sign-flip test comes below 0.05, and a bootstrap is surer than it may be."""

_DIGITS = 6
"""At most so many behind the point."""
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Row:
    """A model in a table.

    Attributes:
        result: what it got.
        ranks: the best and worst that the draws leave open; None where nothing is ranked.
        tied: another model has the very same main number.
        group: letters; models that share one are not separated. "" where nothing is ranked.
    """

    result: Result
    ranks: tuple[int, int] | None
    tied: bool
    group: str

    @property
    def rank(self) -> str:
        """The ranks in short: "2-4", "1", or "" where there is none."""
        if self.ranks is None:
            return ""
        low, high = self.ranks
        return f"{low}" if low == high else f"{low}-{high}"

    @property
    def leads(self) -> bool:
        """Whether no model is surely better."""
        return self.ranks is not None and self.ranks[0] == 1


@dataclass(frozen=True, eq=False)
class Table:
    """All models that were measured in one task, on the same queries.

    Attributes:
        task: what was measured.
        rows: oracles first, then the better first.
        notes: those that all results share: what the data are, not what a model did.
        queries: how many.
        clusters: of them.
        level: of the intervals and ranks.
        left_out: a line for each result that could not be ranked with the others.
        slug: a name for files and links, distinct on a board.
    """

    task: TaskInfo
    rows: tuple[Row, ...]
    notes: Mapping[str, float | int | str]
    queries: int
    clusters: int
    level: float
    left_out: tuple[str, ...]
    slug: str

    @property
    def references(self) -> dict[str, float]:
        """Chance and ceiling of the main metric, where the task tells them."""
        numbers = {name: self.notes.get(name) for name in _REFERENCES}
        return {name: x for name, x in numbers.items() if isinstance(x, int | float)}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that any model has, the main one first."""
        names = {name for row in self.rows for name in row.result.metrics}
        return (self.task.main, *sorted(names - {self.task.main}, key=_natural))


@dataclass(frozen=True, eq=False)
class Board:
    """All tables of a folder of results.

    Attributes:
        tables: by task.
        skipped: tasks that a model was not measured in.
        problems: a line for each file that was left out.
    """

    tables: tuple[Table, ...]
    skipped: tuple[Skipped, ...]
    problems: tuple[str, ...]

    def name_of(self, table: Table) -> str:
        """What a table is called beside the others: its task, with version and data if need be."""
        same = sum(other.task.id == table.task.id for other in self.tables)
        return table.task.id if same == 1 else table.slug

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models, those that lead in most tasks first, oracles last."""
        leads: Counter[str] = Counter()
        oracles: set[str] = set()
        for row in (row for table in self.tables for row in table.rows):
            leads[row.result.model.name] += row.leads
            if row.result.model.role == "oracle":
                oracles.add(row.result.model.name)
        return tuple(sorted(leads, key=lambda name: (name in oracles, -leads[name], name)))


def read_board(folder: str | Path) -> Board:
    """Read all results of a folder, and rank them.

    Results of other versions or other data of a task get tables of their own. A file that
    is broken is left out, and told.

    Raises:
        DataError: there is no such folder, or nothing in it.
    """
    found = find_results(folder)
    if not (found.results or found.skipped or found.problems):
        raise DataError(f"{folder}: holds no results")
    groups: dict[tuple[str, int, str], list[Result]] = defaultdict(list)
    for result in found.results:
        groups[result.task.id, result.task.version, result.task.data_sha256].append(result)
    several = Counter((task, version) for task, version, _ in groups)
    problems = list(found.problems)
    tables = []
    for (task, version, data), results in sorted(groups.items()):
        slug = f"{task.replace('/', '.')}@{version}"
        slug += f"-{data[:8]}" if several[task, version] > 1 else ""
        if table := _build_table(results, slug, problems):
            tables.append(table)
    return Board(tuple(tables), found.skipped, tuple(_relative(problems, folder)))


def _build_table(results: Sequence[Result], slug: str, problems: list[str]) -> Table | None:
    """Return a table of results of one task, version and data; broken ones become problems."""
    read: list[tuple[Result, Outcome]] = []
    for result in results:
        try:
            read.append((result, result.outcome()))
        except DataError as error:
            problems.append(str(error))
    if not read:
        return None
    usual = Counter(_asked(result, outcome) for result, outcome in read).most_common(1)[0][0]
    same = [pair for pair in read if _asked(*pair) == usual]
    left_out = tuple(
        f"{result.path.parent.name}/{result.path.name}: has other queries, another main metric "
        "or level than the other results"
        for result, outcome in read
        if _asked(result, outcome) != usual
    )
    task, outcome = same[0][0].task, same[0][1]
    return Table(
        task,
        _rank(same),
        _shared(result.notes for result, _ in same),
        len(outcome.keys),
        len(set(outcome.clusters)),
        same[0][0].statistics.level,
        left_out,
        slug,
    )


def _relative(lines: Iterable[str], folder: str | Path) -> list[str]:
    """Return lines without the folder's own path, which is nobody's business."""
    return [line.replace(f"{Path(folder)}/", "") for line in lines]


def _asked(result: Result, outcome: Outcome) -> tuple[object, ...]:
    """Return what must be the same for two results to stand in one table."""
    task = result.task
    weights = outcome.weights.tobytes()
    meaning = task.main, task.higher_is_better, task.ranked, result.statistics.level
    return outcome.keys, outcome.clusters, weights, meaning


def _rank(pairs: Sequence[tuple[Result, Outcome]]) -> tuple[Row, ...]:
    """Return rows in order, with the ranks and the groups that the queries leave open."""
    task = pairs[0][0].task
    sign = -1 if task.higher_is_better else 1

    def order(pair: tuple[Result, Outcome]) -> tuple[bool, float, str]:
        model = pair[0].model
        return model.role != "oracle", sign * pair[0].main.value, model.name

    pairs = sorted(pairs, key=order)
    enough = task.ranked and len(set(pairs[0][1].clusters)) >= _LEAST_CLUSTERS
    ranked = [pair for pair in pairs if pair[0].model.role != "oracle" and enough]
    ranks, groups = _compare(ranked) if ranked else ({}, {})
    counts = Counter(result.main.value for result, _ in ranked)
    return tuple(
        Row(result, ranks.get(name), counts[result.main.value] > 1, groups.get(name, ""))
        for result, name in ((result, result.model.name) for result, _ in pairs)
    )


def _compare(
    pairs: Sequence[tuple[Result, Outcome]],
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Return the ranks of models that stand best first, from shared draws, and their letters."""
    (result, outcome), task = pairs[0], pairs[0][0].task
    names = [result.model.name for result, _ in pairs]
    values = np.stack([outcome.values[task.main] for _, outcome in pairs], axis=1)
    asked, plan = (outcome.weights, outcome.clusters), result.statistics
    draws = cluster_bootstrap(values, *asked, draws=min(plan.draws, _DRAWS), seed=plan.seed)
    columns = dict(zip(names, draws.T, strict=True))
    ranks = rank_intervals(columns, level=plan.level, higher_is_better=task.higher_is_better)
    separated = separate_models(values, *asked, level=plan.level)
    letters = group_letters(separated, range(len(names)))
    return ranks, dict(zip(names, letters, strict=True))


def _shared(
    notes: Iterable[Mapping[str, float | int | str]],
) -> dict[str, float | int | str]:
    """Return the notes that all have, with the same value."""
    first, *rest = notes
    return {
        name: note
        for name, note in first.items()
        if all(name in other and _same(note, other[name]) for other in rest)
    }


def _same(a: float | int | str, b: float | int | str) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def _natural(name: str) -> tuple[list[str | float], str]:
    """Return a key by which R@5 comes before R@10, and mse@0.02 before mse@0.1."""
    words = _NUMBER.split(name)  # texts and numbers in turn
    return [float(word) if place % 2 else word for place, word in enumerate(words)], name


# Numbers


def format_metric(metric: Metric) -> str:
    """Return a mean with its interval: "0.423 [0.411, 0.435]"."""
    width = metric.high - metric.low
    sure = width > 1e-9 * max(1.0, abs(metric.value))  # else it is rounding
    digits = max(0, min(_DIGITS, 1 - math.floor(math.log10(width)))) if sure else None
    ends = (metric.value, metric.low, metric.high)
    value, low, high = (format_number(number, digits) for number in ends)
    return f"{value} [{low}, {high}]"


def format_number(value: float, digits: int | None = None) -> str:
    """Return a number with so many digits behind the point; by default three that count.

    Very small and very large ones are written as 1.2e-05; what is only rounding, as 0.
    """
    value = 0.0 if abs(value) < _ROUNDING else value
    size = abs(value)
    if size >= 1e6 or 0 < size < 10.0 ** -(_DIGITS - 1):
        return f"{value:.1e}"
    if digits is None:
        digits = max(1, 2 - math.floor(math.log10(size))) if size else 3
    return f"{value:,.{digits}f}"
