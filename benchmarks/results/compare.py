"""Two models on the same queries: which is better, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from expclip.benchmarks.metrics.statistics import (
    cluster_bootstrap,
    holm,
    interval,
    mcnemar_test,
    minimum_detectable_effect,
    sign_flip_tests,
)
from expclip.benchmarks.outcome import Outcome
from expclip.benchmarks.results.record import Result, find_results, read_result
from expclip.face.errors import DataError

__all__ = ["Comparison", "Difference", "compare"]


@dataclass(frozen=True)
class Difference:
    """What two models differ by, in one metric of one task.

    Attributes:
        task: its id.
        metric: its name.
        main: whether it is the one that ranks.
        higher_is_better: of the main metric; None of the others: results do not tell.
        a: the first model's mean.
        b: the second's.
        value: a - b.
        low: end of the interval of the difference, from draws that both share.
        high: its other end.
        p: of a paired sign-flip test over clusters.
        p_holm: adjusted for all main metrics compared; None for the others.
        p_mcnemar: of McNemar's exact test, where each query is right or wrong (1 or 0), counts
            the same, and is a cluster of its own; else None.
        detectable: the smallest difference that this many queries would show, four times
            in five; None where there is one cluster only.
        level: of the interval, and of what is detectable.
        queries: that both were asked.
    """

    task: str
    metric: str
    main: bool
    higher_is_better: bool | None
    a: float
    b: float
    value: float
    low: float
    high: float
    p: float
    p_holm: float | None
    p_mcnemar: float | None
    detectable: float | None
    level: float
    queries: int


@dataclass(frozen=True)
class Comparison:
    """Two models, task by task.

    Attributes:
        a: name of the first.
        b: name of the second.
        differences: by task, the main metric first.
        alone: tasks that only one of them was measured in.
    """

    a: str
    b: str
    differences: tuple[Difference, ...]
    alone: tuple[str, ...] = ()


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Compare two results, or two models' folders in all tasks that both have.

    Queries are paired by key. The interval of a difference comes from the same bootstrap
    draws for both; p-values of main metrics are adjusted by Holm for the number of tasks.

    Raises:
        DataError: they are of different tasks, versions, data or queries; nothing in common;
            a file is not as it was written.
    """
    ours, theirs = _read(Path(a)), _read(Path(b))
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        only = f"{', '.join(sorted(ours)[:3])} and {', '.join(sorted(theirs)[:3])}"
        raise DataError(f"{a} and {b} have no task in common: {only}")
    pairs = [(ours[task], theirs[task]) for task in common]
    for one, other in pairs:
        _check_comparable(one, other)
    found = [difference for pair in pairs for difference in _compare_results(*pair)]
    return Comparison(
        pairs[0][0].model.name,
        pairs[0][1].model.name,
        tuple(_adjust(found)),
        tuple(sorted(ours.keys() ^ theirs.keys())),
    )


def _read(path: Path) -> dict[str, Result]:
    """Return results by task.

    Raises:
        DataError: a file is broken, or the folder has several models, or versions of a task.
    """
    if not path.is_dir():
        result = read_result(path)
        return {result.task.id: result}
    found = find_results(path)
    if found.problems:
        raise DataError(found.problems[0])
    models = sorted({result.model.name for result in found.results})
    if len(models) != 1:
        told = ", ".join(map(ascii, models[:3])) or "none"
        raise DataError(f"{path}: has results of {len(models)} models ({told}), expected one")
    results = {result.task.id: result for result in found.results}
    if len(results) != len(found.results):
        raise DataError(f"{path}: has several versions of a task: name the results' files")
    return results


def _check_comparable(one: Result, other: Result) -> None:
    """Refuse numbers that do not mean the same."""
    for what, mine, theirs in (
        ("version", one.task.version, other.task.version),
        ("data", one.task.data_sha256[:12], other.task.data_sha256[:12]),
        ("main metric", one.task.main, other.task.main),
        ("higher_is_better", one.task.higher_is_better, other.task.higher_is_better),
    ):
        if mine != theirs:
            raise DataError(
                f"{one.path} and {other.path} are not compared: {what} of {one.task.id} is "
                f"{mine!r} there, {theirs!r} here"
            )


def _compare_results(one: Result, other: Result) -> list[Difference]:
    """Return the differences in all metrics of both, the main one first; not yet adjusted."""
    a, b = one.outcome(), other.outcome()
    if (a.keys, a.clusters) != (b.keys, b.clusters) or not np.array_equal(a.weights, b.weights):
        raise DataError(f"{one.path} and {other.path} are not compared: they have other queries")
    names = sorted(
        a.values.keys() & b.values.keys(), key=lambda name: (name != one.task.main, name)
    )
    gaps = np.stack([a.values[name] - b.values[name] for name in names], axis=1)
    draws = cluster_bootstrap(
        gaps, a.weights, a.clusters, draws=one.statistics.draws, seed=one.statistics.seed
    )
    level = one.statistics.level
    values = [one.metrics[name].value - other.metrics[name].value for name in names]
    lows, highs = interval(draws, level, about=np.array(values))
    ps = sign_flip_tests(gaps, a.weights, a.clusters)
    return [
        Difference(
            task=one.task.id,
            metric=name,
            main=(main := name == one.task.main),
            higher_is_better=one.task.higher_is_better if main else None,
            a=one.metrics[name].value,
            b=other.metrics[name].value,
            value=values[place],
            low=float(lows[place]),
            high=float(highs[place]),
            p=float(ps[place]),
            p_holm=None,
            p_mcnemar=_p_mcnemar(name, a, b),
            detectable=_detectable(gaps[:, place], a, level),
            level=level,
            queries=len(a.keys),
        )
        for place, name in enumerate(names)
    ]


def _p_mcnemar(metric: str, a: Outcome, b: Outcome) -> float | None:
    """Return the p-value where McNemar's test holds, and None elsewhere."""
    alone = len(set(a.clusters)) == len(a.keys) and np.all(a.weights == a.weights[0])
    pair = a.values[metric], b.values[metric]
    right_or_wrong = np.array_equal(np.unique(pair), (0, 1))  # an error that is 0 is neither
    return mcnemar_test(*pair) if alone and right_or_wrong else None


def _detectable(gaps: np.ndarray, outcome: Outcome, level: float) -> float | None:
    found = minimum_detectable_effect(gaps, outcome.weights, outcome.clusters, level=level)
    return found if math.isfinite(found) else None


def _adjust(found: Sequence[Difference]) -> list[Difference]:
    adjusted = iter(holm([difference.p for difference in found if difference.main]))
    return [
        replace(difference, p_holm=float(next(adjusted))) if difference.main else difference
        for difference in found
    ]
