"""What the answers of a study say: means, agreement, differences of models.

Raters are drawn anew as wholes, so that a generous one counts as one, and intervals speak of
other raters with the same clips. They say nothing about clips that were not shown.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.metrics.statistics import cluster_bootstrap, holm, interval, sign_flip_test
from expclip.benchmarks.study.alpha import alpha_from_coincidences, count_coincidences
from expclip.benchmarks.study.answers import (
    SCALE,
    Returned,
    ScreeningRule,
    collect_answers,
    count_checks,
)
from expclip.benchmarks.study.key import Key
from expclip.benchmarks.study.stimuli import QUESTIONS
from expclip.face.errors import DataError
from expclip.tead.reports.compare import Estimate

__all__ = [
    "Analysis",
    "Difference",
    "QuestionResult",
    "RaterReport",
    "Rating",
    "Score",
    "analyse_study",
]

_VALUES = list(map(float, SCALE))


@dataclass(frozen=True, slots=True)
class RaterReport:
    """One rater: how the checks went, and why the answers are left out, if they are."""

    rater: str
    file: str
    answers: int
    checks_passed: int
    checks_seen: int
    median_s: float
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rating:
    """One answer, 1 to 5; not ``used`` if its rater is left out."""

    rater: str
    model: str
    item: str
    question: str
    answer: int
    used: bool


@dataclass(frozen=True, slots=True)
class Score:
    """A model's ratings; ``counts`` says how often each of 1..5 was given."""

    model: str
    raters: int
    counts: tuple[int, ...]
    mean: Estimate


@dataclass(frozen=True, slots=True)
class Difference:
    """Two models before the same raters: mean of first minus second, each rater once.

    Attributes:
        p: two-sided, of the sign-flip test over raters.
        adjusted: p after Holm, over all pairs and questions of the study.
    """

    first: str
    second: str
    raters: int
    value: Estimate
    p: float
    adjusted: float


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """What was found for one question.

    Attributes:
        question: its name.
        scores: of each model.
        alpha: Krippendorff's, ordinal, over clips; its interval draws items anew.
        differences: of each two models.
    """

    question: str
    scores: tuple[Score, ...]
    alpha: Estimate
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the answers of a study say.

    Attributes:
        key: of the study.
        rule: by which raters were left out.
        raters: all who sent answers that can be read.
        aside: files that are not used, and why.
        ratings: all that can be read, also of raters who are left out; without checks.
        questions: the results, of the raters who were not left out.
        draws: of the bootstrap, and of the signs.
        seed: of both.
    """

    key: Key
    rule: ScreeningRule
    raters: tuple[RaterReport, ...]
    aside: Mapping[Path, str]
    ratings: tuple[Rating, ...]
    questions: tuple[QuestionResult, ...]
    draws: int
    seed: int

    @property
    def used(self) -> int:
        """How many raters the results are of."""
        return sum(not rater.left_out for rater in self.raters)


def analyse_study(
    paths: Iterable[str | Path],
    key: Key,
    *,
    rule: ScreeningRule | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Analysis:
    """Return what the files of answers say.

    Raises:
        DataError: no file has answers that can be used.
    """
    rule = rule or ScreeningRule()
    returned, aside = collect_answers(paths, key)
    reports = tuple(_report(one, key, rule) for one in returned)
    ratings = tuple(
        rating
        for one, report in zip(returned, reports, strict=True)
        for rating in _ratings(one, key, used=not report.left_out)
    )
    if not any(rating.used for rating in ratings):
        told = [*aside.values(), *(f"{one.file}: {one.left_out[0]}" for one in reports)]
        raise DataError("; ".join(told[:3]) or "no files of answers were given")
    results = [
        _result(name, _Table.of(name, ratings, key), key.models, draws, seed)
        for name in QUESTIONS
        if any(rating.used and rating.question == name for rating in ratings)
    ]
    return Analysis(key, rule, reports, aside, ratings, _adjusted(results), draws, seed)


def _report(returned: Returned, key: Key, rule: ScreeningRule) -> RaterReport:
    passed, seen = count_checks(returned, key)
    return RaterReport(
        returned.rater,
        returned.path.name,
        len(returned.answers),
        passed,
        seen,
        returned.median_s,
        rule.reasons(returned, key),
    )


def _ratings(returned: Returned, key: Key, *, used: bool) -> Iterator[Rating]:
    """Yield a rater's answers, checks left out."""
    trials = key.raters[returned.rater]
    for (trial, question), answer in sorted(returned.answers.items()):
        code, asked = trials[trial]
        if asked is None:
            clip = key.clips[code]
            yield Rating(returned.rater, clip.model, clip.item, question, answer, used)


@dataclass(frozen=True, slots=True)
class _Table:
    """The ratings of one question that are used; NaN where a rater gave none."""

    raters: tuple[str, ...]
    clips: tuple[tuple[str, str], ...]  # model and item
    ratings: Float[np.ndarray, "raters clips"]

    @classmethod
    def of(cls, question: str, ratings: Sequence[Rating], key: Key) -> "_Table":
        """Gather the answers to a question."""
        given = [one for one in ratings if one.used and one.question == question]
        raters = sorted({one.rater for one in given})
        clips = sorted(
            (clip.model, clip.item) for clip in key.clips.values() if question in clip.questions
        )
        table = np.full((len(raters), len(clips)), np.nan)
        for one in given:
            table[raters.index(one.rater), clips.index((one.model, one.item))] = one.answer
        return cls(tuple(raters), tuple(clips), table)

    def of_model(self, model: str) -> Float[np.ndarray, "raters its_clips"]:
        """Return the ratings of one model's clips."""
        return self.ratings[:, [name == model for name, _ in self.clips]]


def _result(
    question: str, table: _Table, models: Sequence[str], draws: int, seed: int
) -> QuestionResult:
    ratings = [table.of_model(model) for model in models]
    given = np.stack([np.isfinite(one).sum(axis=1) for one in ratings], axis=1)
    sums = np.stack([np.nansum(one, axis=1) for one in ratings], axis=1)  # (raters, models)
    means = sums / np.where(given > 0, given, np.nan)
    pairs = list(combinations(range(len(models)), 2))
    apart = [means[:, first] - means[:, second] for first, second in pairs]
    estimates = _ratios(
        np.stack([*sums.T, *map(np.nan_to_num, apart)], axis=1),
        np.stack([*given.T, *map(np.isfinite, apart)], axis=1).astype(np.float64),
        table.raters,
        draws,
        seed,
    )
    scores = tuple(
        Score(model, int((given[:, place] > 0).sum()), _counts(ratings[place]), estimates[place])
        for place, model in enumerate(models)
    )
    differences = []
    for (first, second), found in zip(pairs, estimates[len(models) :], strict=True):
        p, raters = _test(means[:, first], means[:, second], table.raters, draws, seed)
        differences.append(Difference(models[first], models[second], raters, found, p, p))
    return QuestionResult(question, scores, _alpha(table, draws, seed), tuple(differences))


def _ratios(
    above: Float[np.ndarray, "raters columns"],
    below: Float[np.ndarray, "raters columns"],
    raters: Sequence[str],
    draws: int,
    seed: int,
) -> list[Estimate]:
    """Return the ratio of each two columns' sums; all share the same draws of raters."""
    drawn = cluster_bootstrap(
        np.hstack([above, below]), np.ones(len(raters)), raters, draws=draws, seed=seed
    )
    top, bottom = drawn[:, : above.shape[1]], drawn[:, above.shape[1] :]
    total = below.sum(axis=0)
    values = above.sum(axis=0) / np.where(total > 0, total, np.nan)
    lows, highs = interval(top / np.where(bottom > 0, bottom, np.nan), about=values)
    return [Estimate(*map(float, ends)) for ends in zip(values, lows, highs, strict=True)]


def _counts(ratings: Float[np.ndarray, "raters clips"]) -> tuple[int, ...]:
    return tuple(int((ratings == value).sum()) for value in SCALE)


def _test(
    first: Float[np.ndarray, " raters"],
    second: Float[np.ndarray, " raters"],
    raters: Sequence[str],
    draws: int,
    seed: int,
) -> tuple[float, int]:
    """Return p, and of how many raters: those who rated both. 1 if nobody did."""
    both = np.isfinite(first) & np.isfinite(second)
    if not both.any():
        return 1.0, 0
    names = [rater for rater, there in zip(raters, both, strict=True) if there]
    weights = np.ones(len(names))
    p = sign_flip_test(first[both], second[both], weights, names, draws=draws - 1, seed=seed)
    return p, len(names)


def _alpha(table: _Table, draws: int, seed: int) -> Estimate:
    pairs = count_coincidences(table.ratings, _VALUES)
    clips, size = len(pairs), len(_VALUES)
    flat = pairs.reshape(clips, -1)
    drawn = cluster_bootstrap(
        flat, np.ones(clips), [item for _, item in table.clips], draws=draws, seed=seed
    )
    sums = clips * drawn.reshape(-1, size, size)
    value = float(alpha_from_coincidences(pairs.sum(axis=0), _VALUES))
    low, high = interval(alpha_from_coincidences(sums, _VALUES), about=value)
    return Estimate(value, float(low), float(high))


def _adjusted(results: Sequence[QuestionResult]) -> tuple[QuestionResult, ...]:
    """Return the results with p-values after Holm, over all that was tested."""
    ps = iter(holm([one.p for result in results for one in result.differences]).tolist())
    return tuple(
        replace(
            result,
            differences=tuple(replace(one, adjusted=next(ps)) for one in result.differences),
        )
        for result in results
    )
