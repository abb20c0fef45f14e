"""Results: one JSON for a model and a task, its per-query values beside it.

<out>/<model>/<task>@<version>.json       what was found, with hashes of all it rests on
<out>/<model>/<task>@<version>.npz        a number for each query and metric
<out>/<model>/<task>@<version>.log.json   when it ran, and for how long
<out>/<model>/<task>@<version>.skip.json  instead of them, why the model was not measured

A result holds no time of day: the same model, data and seed give the same bytes. It is read
as a stranger's: sizes are limited, and what is not exactly as we write it is refused.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from expclip.benchmarks.metrics.statistics import cluster_bootstrap, interval, weighted_mean
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.results.environment import describe_environment
from expclip.benchmarks.results.fields import (
    Metric,
    ModelInfo,
    Statistics,
    parse_inputs,
    parse_metrics,
    parse_model,
    parse_notes,
    parse_statistics,
    parse_task,
    take,
)
from expclip.benchmarks.results.folder import make_folder, write_alone, write_file
from expclip.benchmarks.results.sidecar import pack_outcome, parse_outcome
from expclip.benchmarks.results.signed import encode_json, read_limited, read_signed, sign
from expclip.face.errors import DataError

__all__ = [
    "Found",
    "Metric",
    "ModelInfo",
    "Result",
    "Skipped",
    "Statistics",
    "compute_metrics",
    "find_results",
    "read_result",
    "read_skipped",
    "result_path",
    "write_result",
    "write_skipped",
]

_FORMAT = 1
_SIDECAR_BYTES = 2**29
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOG, _SKIP = ".log.json", ".skip.json"
_FIELDS = {
    "environment",
    "format",
    "inputs",
    "metrics",
    "model",
    "notes",
    "queries",
    "seed",
    "sha256",
    "sidecar_sha256",
    "statistics",
    "task",
}


@dataclass(frozen=True, eq=False)
class Result:
    """What one model got in one task.

    Attributes:
        path: of the JSON.
        model: whose it is.
        task: what was measured.
        metrics: weighted means over queries, with intervals.
        notes: chance, ceilings, leak counts.
        statistics: how the intervals were made.
        inputs: SHA-256 of files that were measured on, by relative name.
        environment: versions that it was made with.
        seed: of the run.
        queries: how many were asked.
        sidecar_sha256: of the file with the values of each query.
        sha256: of the JSON in canonical form without this field.
    """

    path: Path
    model: ModelInfo
    task: TaskInfo
    metrics: Mapping[str, Metric]
    notes: Mapping[str, float | int | str]
    statistics: Statistics
    inputs: Mapping[str, str]
    environment: Mapping[str, str]
    seed: int
    queries: int
    sidecar_sha256: str
    sha256: str

    @property
    def main(self) -> Metric:
        """The metric that ranks."""
        return self.metrics[self.task.main]

    @property
    def sidecar(self) -> Path:
        """Where the values of each query lie."""
        return self.path.with_suffix(".npz")

    @property
    def log(self) -> Path:
        """Where it says when and for how long; a published result has none."""
        return _beside(self.path, _LOG)

    def outcome(self) -> Outcome:
        """Read the values of each query.

        Raises:
            DataError: the file is missing, changed, or does not fit the result.
        """
        packed = read_limited(self.sidecar, _SIDECAR_BYTES)
        found = hashlib.sha256(packed).hexdigest()
        if found != self.sidecar_sha256:
            raise DataError(
                f"{self.sidecar}: its SHA-256 is {found[:12]}…, its result says "
                f"{self.sidecar_sha256[:12]}…"
            )
        outcome = parse_outcome(packed, str(self.sidecar), self.notes)
        if set(outcome.values) != set(self.metrics) or len(outcome.keys) != self.queries:
            raise DataError(f"{self.sidecar}: holds other metrics or queries than its result")
        return outcome


@dataclass(frozen=True)
class Skipped:
    """A task that a model was not measured in.

    Attributes:
        path: of the JSON.
        model: whose it is.
        task: that was left out.
        reason: one line.
    """

    path: Path
    model: ModelInfo
    task: TaskInfo
    reason: str


@dataclass(frozen=True)
class Found:
    """What lies in a folder of results.

    Attributes:
        results: sorted by task, then model.
        skipped: likewise.
        problems: a line for each file that is none of ours, or no longer as it was written.
    """

    results: tuple[Result, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[str, ...] = ()


def result_path(out: str | Path, model: str, info: TaskInfo) -> Path:
    """Return where the result of a model in a task lies.

    OWNER/NAME becomes the folder OWNER--NAME; of a name that is no plain file name, what is
    plain, and a hash. No name leads out of ``out``.
    """
    return Path(out) / _folder_name(model) / f"{info.id.replace('/', '.')}@{info.version}.json"


def compute_metrics(outcome: Outcome, statistics: Statistics) -> dict[str, Metric]:
    """Return the weighted mean of each metric, and its interval from a cluster bootstrap.

    Raises:
        ValueError: nothing was measured.
    """
    if not outcome.keys or not outcome.values:
        raise ValueError("an outcome without queries or metrics has no mean")
    names = sorted(outcome.values)
    values = np.stack([outcome.values[name] for name in names], axis=1)  # (queries, metrics)
    draws = cluster_bootstrap(
        values, outcome.weights, outcome.clusters, draws=statistics.draws, seed=statistics.seed
    )
    means = weighted_mean(values, outcome.weights)
    columns = (means, *interval(draws, statistics.level, about=means))
    return {
        name: Metric(*(float(column[place]) for column in columns))
        for place, name in enumerate(names)
    }


def write_result(
    out: str | Path,
    model: ModelInfo,
    info: TaskInfo,
    outcome: Outcome,
    *,
    seed: int = 0,
    inputs: Mapping[str, str] | None = None,
    statistics: Statistics | None = None,
    log: Mapping[str, Any] | None = None,
) -> Result:
    """Write what a model got in a task; each file whole or not at all, the JSON last.

    Args:
        out: folder of all results; made if there is none.
        model: whose it is.
        info: of the task.
        outcome: what the task found.
        seed: of the run.
        inputs: SHA-256 of the files measured on, by their relative names.
        statistics: of the intervals.
        log: durations and the like, kept apart with the time of day.

    Raises:
        ValueError: the outcome is empty, lacks the main metric, or a name or note cannot be
            written down.
        DataError: a file cannot be written.
    """
    statistics = statistics or Statistics()
    path = result_path(out, model.name, info)
    if info.main not in outcome.values:
        raise ValueError(f"{info.id}: the outcome lacks its main metric {info.main!r}")
    packed = pack_outcome(outcome)
    record: dict[str, Any] = {
        "format": _FORMAT,
        "model": _plain(model),
        "task": _plain(info),
        "metrics": {k: asdict(v) for k, v in compute_metrics(outcome, statistics).items()},
        "notes": {name: _scalar(note) for name, note in outcome.notes.items()},
        "queries": len(outcome.keys),
        "statistics": asdict(statistics),
        "inputs": dict(inputs or {}),
        "sidecar_sha256": hashlib.sha256(packed).hexdigest(),
        "environment": describe_environment(),
        "seed": seed,
    }
    try:
        checked = _parse_result({**record, "sha256": ""}, path)
        signed = sign(record)
        text = encode_json(signed)
    except (DataError, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from error
    times = encode_json(sign({"finished": _now(), **(log or {})}))
    make_folder(path.parent)
    with write_alone(Path(out)):
        write_file(path.with_suffix(".npz"), packed)
        write_file(checked.log, times)
        write_file(path, text)
        _beside(path, _SKIP).unlink(missing_ok=True)
    return replace(checked, sha256=signed["sha256"])


def write_skipped(out: str | Path, model: ModelInfo, info: TaskInfo, reason: str) -> Skipped:
    """Write why a model was not measured in a task; an older result of it goes.

    Raises:
        ValueError: a name or the reason cannot be written down.
        DataError: a file cannot be written.
    """
    path = result_path(out, model.name, info)
    note = {"format": _FORMAT, "model": _plain(model), "task": _plain(info), "reason": reason}
    try:
        skipped = _parse_skipped(sign(note), _beside(path, _SKIP))
        text = encode_json(sign(note))
    except (DataError, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from error
    make_folder(path.parent)
    with write_alone(Path(out)):
        write_file(skipped.path, text)
        for old in (path, path.with_suffix(".npz"), _beside(path, _LOG)):
            old.unlink(missing_ok=True)
    return skipped


def read_result(path: str | Path) -> Result:
    """Read a result; its own hash is checked, that of the sidecar when it is read.

    Raises:
        DataError: there is none, or it is not as it was written.
    """
    path = Path(path)
    return _parse_result(read_signed(path), path)


def read_skipped(path: str | Path) -> Skipped:
    """Read why a task was left out.

    Raises:
        DataError: there is no such file, or it is not as it was written.
    """
    path = Path(path)
    return _parse_skipped(read_signed(path), path)


def find_results(folder: str | Path) -> Found:
    """Read all results in a folder of models, or of one model.

    Raises:
        DataError: there is no such folder.
    """
    results, skipped, problems = [], [], []
    for path in _result_files(Path(folder)):
        try:
            if path.name.endswith(_SKIP):
                skipped.append(read_skipped(path))
            else:
                results.append(read_result(path))
        except DataError as error:
            problems.append(str(error))

    def order(item: Result | Skipped) -> tuple[str, int, str]:
        return item.task.id, item.task.version, item.model.name

    return Found(tuple(sorted(results, key=order)), tuple(sorted(skipped, key=order)),
                 tuple(problems))  # fmt: skip


def _result_files(folder: Path) -> Iterator[Path]:
    """Yield results and reasons, not logs; links to elsewhere are left alone."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of results")
    for path in sorted({*folder.glob("*@*.json"), *folder.glob("*/*@*.json")}):
        inside = path.resolve().is_relative_to(folder.resolve())
        if inside and not path.name.endswith(_LOG) and not path.name.startswith("."):
            yield path


# Fields


def _parse_result(record: Mapping[str, Any], path: Path) -> Result:
    try:
        if record.keys() != _FIELDS or record["format"] != _FORMAT:
            odd = sorted(map(str, record.keys() ^ _FIELDS)) or ["format"]
            raise DataError(f"is no result of format {_FORMAT}: see {', '.join(odd[:5])[:200]}")
        task = parse_task(take(record, "task", dict))
        metrics = parse_metrics(take(record, "metrics", dict))
        if task.main not in metrics:
            raise DataError(f"lacks its main metric {task.main!r}")
        environment = take(record, "environment", dict)
        if not all(isinstance(told, str) for told in environment.values()):
            raise DataError("environment is not made of words")
        result = Result(
            path=path,
            model=parse_model(take(record, "model", dict)),
            task=task,
            metrics=metrics,
            notes=parse_notes(take(record, "notes", dict)),
            statistics=parse_statistics(take(record, "statistics", dict)),
            inputs=parse_inputs(take(record, "inputs", dict)),
            environment=environment,
            seed=take(record, "seed", int),
            queries=take(record, "queries", int),
            sidecar_sha256=take(record, "sidecar_sha256", str),
            sha256=take(record, "sha256", str),
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    _check_name(path, result.model, result.task, ".json")
    return result


def _parse_skipped(record: Mapping[str, Any], path: Path) -> Skipped:
    try:
        model, task = (take(record, name, dict) for name in ("model", "task"))
        reason = " ".join(take(record, "reason", str).split())
        if not 0 < len(reason) <= 2000:
            raise DataError("reason is empty, or of more than 2,000 characters")
        skipped = Skipped(path, parse_model(model), parse_task(task), reason)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    _check_name(path, skipped.model, skipped.task, _SKIP)
    return skipped


def _check_name(path: Path, model: ModelInfo, task: TaskInfo, suffix: str) -> None:
    """Refuse a file that lies under another model's or task's name."""
    expected = result_path("", model.name, task).with_suffix("")
    name = f"{expected.name}{suffix}"
    place = path.resolve()
    if (place.parent.name, place.name) != (expected.parent.name, name):
        raise DataError(f"{path}: holds what belongs in {expected.parent.name}/{name}")


# Files


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name.removesuffix(".json") + suffix)


def _folder_name(model: str) -> str:
    plain = model.replace("/", "--") if model.count("/") == 1 and "--" not in model else model
    if _PLAIN_NAME.fullmatch(plain):
        return plain
    digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip(".-")[:80]
    return f"{kept or 'model'}-{digest}"


# What is told


def _plain(record: ModelInfo | TaskInfo) -> dict[str, Any]:
    """Return a record's fields as JSON holds them, without those that are not told."""
    return {key: value for key, value in asdict(record).items() if value is not None}


def _scalar(note: Any) -> Any:
    return note.item() if isinstance(note, np.generic) else note


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
