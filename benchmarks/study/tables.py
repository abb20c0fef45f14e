"""The analysis on paper: Markdown, JSON, and all ratings by model as CSV."""

import csv
import html
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

from expclip.benchmarks.results.folder import make_folder
from expclip.benchmarks.study.analyse import Analysis, Rating, Score
from expclip.face.files import write_atomically
from expclip.tead.reports.compare import Estimate

__all__ = ["analysis_json", "analysis_markdown", "write_analysis"]

_TITLES = {
    "lip_sync": "lip synchrony",
    "emotion_video": "emotion against video",
    "emotion_text": "emotion against text",
}


def write_analysis(analysis: Analysis, out: str | Path) -> list[Path]:
    """Write study.md, study.json and ratings.csv into a folder; return their paths.

    Raises:
        DataError: the folder cannot be made or written.
    """
    out = Path(out)
    texts = {
        "study.md": analysis_markdown(analysis),
        "study.json": json.dumps(analysis_json(analysis), indent=2, ensure_ascii=False) + "\n",
        "ratings.csv": _ratings_csv(analysis),
    }
    make_folder(out)
    for name, text in texts.items():
        with write_atomically(out / name) as temporary:
            temporary.write_text(text, "utf-8", newline="\n")
    return [out / name for name in texts]


def analysis_markdown(analysis: Analysis) -> str:
    """Return the tables: means, differences, who was left out and why."""
    clips = len(analysis.key.clips)
    models = len(analysis.key.models)
    parts = [
        "# User study",
        f"{analysis.used} raters, {models} models, {clips} clips, 1 (bad) to 5 (excellent). "
        f"In brackets the 95 % interval: bootstrap over raters, {analysis.draws:,} draws, "
        f"seed {analysis.seed}; it speaks of other raters with these clips.",
        _table(_score_rows(analysis)),
        "Alpha is Krippendorff's for ordinal ratings, its interval by bootstrap over items.",
        *_difference_part(analysis),
        "## Raters",
        f"{len(analysis.key.raters)} codes, {len(analysis.raters)} answered, "
        f"{analysis.used} used. {_rule(analysis)}",
        _table(_rater_rows(analysis)),
        *_aside_part(analysis),
    ]
    return "\n\n".join(parts) + "\n"


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """Return all numbers, undefined ones as None."""
    found = {
        "study": analysis.key.study,
        "draws": analysis.draws,
        "seed": analysis.seed,
        "rule": asdict(analysis.rule),
        "raters": [asdict(rater) for rater in analysis.raters],
        "aside": [{"file": path.name, "reason": reason} for path, reason in analysis.aside.items()],
        "ratings": len(analysis.ratings),
        "questions": [asdict(result) for result in analysis.questions],
    }
    return dict(_without_nan(found))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _score_rows(analysis: Analysis) -> Iterator[list[str]]:
    yield ["model", *(_TITLES[result.question] for result in analysis.questions)]
    for place, model in enumerate(analysis.key.models):
        scores = [result.scores[place] for result in analysis.questions]
        yield [_cell(model), *map(_score, scores)]
    yield ["alpha", *(_told(result.alpha) for result in analysis.questions)]


def _score(score: Score) -> str:
    if math.isnan(score.mean.value):
        return "–"  # noqa: RUF001
    return f"{_told(score.mean)}, n = {sum(score.counts)}"


def _difference_part(analysis: Analysis) -> Iterator[str]:
    if len(analysis.key.models) < 2:
        return
    yield "## Differences"
    yield (
        "First minus second, each rater once; p of the sign-flip test over raters, "
        "after Holm over all rows."
    )
    rows = [["question", "first", "second", "raters", "difference", "p", "p (Holm)"]]
    for result in analysis.questions:
        for one in result.differences:
            names = [_TITLES[result.question], _cell(one.first), _cell(one.second)]
            ps = [f"{p:.4f}" for p in (one.p, one.adjusted)]
            rows.append([*names, str(one.raters), _told(one.value), *ps])
    yield _table(rows)


def _rule(analysis: Analysis) -> str:
    rule = analysis.rule
    return (
        f"Left out: who fails {rule.failed_checks:.0%} of the checks or more, gives one and "
        f"the same answer in {rule.same_answer:.0%} of the cases or more (of ten at least), "
        f"or answers less than {rule.answered:.0%} of the questions."
    )


def _rater_rows(analysis: Analysis) -> Iterator[list[str]]:
    yield ["rater", "answers", "checks passed", "seconds a clip (median)", "left out"]
    for rater in analysis.raters:
        checks = f"{rater.checks_passed} of {rater.checks_seen}"
        reasons = "; ".join(rater.left_out)
        yield [rater.rater, str(rater.answers), checks, f"{rater.median_s:.1f}", reasons]


def _aside_part(analysis: Analysis) -> Iterator[str]:
    if analysis.aside:
        yield "Files that are not used:"
        yield "\n".join(f"- {_cell(reason)}" for reason in analysis.aside.values())


def _ratings_csv(analysis: Analysis) -> str:
    """Return all ratings, a row each, with the models' names: for statistics elsewhere."""
    with io.StringIO(newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([field.name for field in fields(Rating)])
        table.writerows(map(astuple, analysis.ratings))
        return file.getvalue()


def _table(rows: Iterable[list[str]]) -> str:
    first, *others = rows
    line = ["---", *["---:"] * (len(first) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (first, line, *others))


def _told(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "–"  # noqa: RUF001
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _cell(name: str) -> str:
    """Return a name that no table takes for its own signs."""
    return html.escape(re.sub(r"[|\\`*\[\]\s]+", " ", name).strip(), quote=False)
