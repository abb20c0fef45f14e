"""Measure a model: every task that it and the data allow, resumed where it was.

from expclip.benchmarks import evaluate

evaluate(MyModel(), data="out/tead", out="out/results").scores
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from expclip.benchmarks.baselines import Perfect
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked, Skip
from expclip.benchmarks.results.environment import hash_code
from expclip.benchmarks.results.fields import check_words
from expclip.benchmarks.results.folder import make_folder
from expclip.benchmarks.results.record import (
    Metric,
    ModelInfo,
    Result,
    Statistics,
    compute_metrics,
    read_result,
    result_path,
    write_result,
    write_skipped,
)
from expclip.benchmarks.task_data import TeadData
from expclip.benchmarks.tasks import CATALOGUE, Sources, Task, collect_tasks
from expclip.benchmarks.tasks.collection import match_tasks
from expclip.benchmarks.tasks.files import hash_inputs
from expclip.face import BLENDSHAPES
from expclip.face.errors import DataError, ExpclipError

__all__ = ["Evaluation", "Measured", "Progress", "evaluate", "fingerprint", "name_model"]

Progress = Callable[[str, int, int], None]
"""Called with a task, how many are done, of how many."""

_PROBES = ("I won!", "he is not angry, he is tired", "nothing to see here")


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model got in one task.

    Attributes:
        task: what was measured.
        outcome: query by query.
        metrics: weighted means, with intervals.
        path: of the result, if one was written.
        resumed: taken from an earlier run.
        replaced: another model's result of this name lay there.
    """

    task: TaskInfo
    outcome: Outcome
    metrics: Mapping[str, Metric]
    path: Path | None = None
    resumed: bool = False
    replaced: bool = False

    @property
    def score(self) -> float:
        """The main metric."""
        return self.metrics[self.task.main].value


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model got in all tasks.

    Attributes:
        model: whose it is.
        measured: in the order of the tasks.
        skipped: why each of the others was left out, by task id.
    """

    model: ModelInfo
    measured: tuple[Measured, ...]
    skipped: Mapping[str, str]

    @property
    def scores(self) -> dict[str, float]:
        """The main metric of each task, by its id."""
        return {one.task.id: one.score for one in self.measured}


def evaluate(
    model: object,
    tasks: Sequence[str | Task] | None = None,
    *,
    data: Sources | TeadData | str | Path | None = None,
    out: str | Path | None = None,
    name: str | None = None,
    statistics: Statistics | None = None,
    batch: int = 256,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model in all tasks, or some.

    Results are written one by one. What an earlier run has measured is not measured again if
    task, data, statistics, model and the code that measures are the same; a model is the same if
    its `sha256` is or, where it has none, if it answers a few fixed questions with the same
    numbers.

    Args:
        model: any object with some of `expclip.benchmarks.protocols.METHODS`.
        tasks: ids, where ``*`` stands for anything, or tasks of your own; all by default.
        data: a TEAD (folder, Hub id or `TeadData`), or `Sources` with more than that.
        out: folder of results; nothing is written without one.
        name: in results; the model's attribute ``name`` by default, or its class.
        statistics: of the intervals: 10,000 draws by default.
        batch: at most so many items are given to a method at once.
        overwrite: measure again what is there.
        progress: told of each task.

    Raises:
        ModelError: the model has none of the methods, fails, or answers with something else
            than finite numbers of the right shape; the message names the method.
        DataError: the data are not what they should be, or a result cannot be written.
        ValueError: there is no such task.
    """
    sources = data if isinstance(data, Sources) else Sources(tead=data)
    names = None if tasks is None else [one for one in tasks if isinstance(one, str)]
    match_tasks(names)
    if out is not None:  # before anything is read or asked
        make_folder(Path(out))
    own: list[Task] = [one for one in tasks or () if not isinstance(one, str)]
    chosen, skipped = collect_tasks(sources, names)
    info = _describe(model, name, batch)
    ask = _asking(model, batch)
    run = _Run(ask, info, statistics or Statistics(), Path(out) if out else None, overwrite)
    data_of = {entry.id: entry.data for entry in CATALOGUE}
    hashed = cache(hash_inputs)
    every = [*chosen, *own]
    measured = []
    for number, task in enumerate(every):
        if progress:
            progress(task.info.id, number, len(every))
        try:
            kind = data_of.get(task.info.id, "")
            measured.append(run.measure(task, partial(hashed, sources, kind)))
        except Skip as reason:
            skipped[task.info.id] = str(reason)
    if progress and every:
        progress(every[-1].info.id, len(every), len(every))
    return Evaluation(info, tuple(measured), skipped)


@dataclass(frozen=True, eq=False)
class _Run:
    """One model, and how it is measured."""

    ask: Callable[[Task], Asked]
    info: ModelInfo
    statistics: Statistics
    out: Path | None
    overwrite: bool

    def measure(self, task: Task, inputs: Callable[[], Mapping[str, str]]) -> Measured:
        """Return what the model gets in a task, measured or read.

        Raises:
            Skip: it cannot do the task.
        """
        earlier = self._earlier(task.info)
        if earlier is not None and (again := self._resume(earlier, task.info)) is not None:
            return again
        began = time.monotonic()
        try:
            outcome = task.measure(self.ask(task))
        except Skip as reason:
            if self.out is not None:
                write_skipped(self.out, self.info, task.info, str(reason))
            raise
        if self.out is None:
            return Measured(task.info, outcome, compute_metrics(outcome, self.statistics))
        result = write_result(
            self.out,
            self.info,
            task.info,
            outcome,
            seed=self.statistics.seed,
            inputs=inputs(),
            statistics=self.statistics,
            log={"seconds": round(time.monotonic() - began, 3)},
        )
        replaced = earlier is not None and earlier.model != self.info
        return Measured(task.info, outcome, result.metrics, result.path, replaced=replaced)

    def _earlier(self, info: TaskInfo) -> Result | None:
        """Return what lies where the result will."""
        if self.out is None:
            return None
        try:
            return read_result(result_path(self.out, self.info.name, info))
        except DataError:  # none, or changed since
            return None

    def _resume(self, earlier: Result, info: TaskInfo) -> Measured | None:
        """Return what this code found before for the same model, task, data and statistics."""
        mine = (self.info, info, self.statistics, hash_code())
        theirs = (earlier.model, earlier.task, earlier.statistics)
        known = (*theirs, earlier.environment.get("code_sha256"))
        if self.overwrite or self.info.sha256 is None or known != mine:
            return None
        try:
            outcome = earlier.outcome()
        except DataError:  # changed since: measured again
            return None
        return Measured(info, outcome, earlier.metrics, earlier.path, resumed=True)


def _asking(model: object, batch: int) -> Callable[[Task], Asked]:
    """Return whom a task asks: the model or, if that is an oracle, the one that knows its answers.

    Raises:
        ModelError: it has none of the methods.
    """
    if isinstance(model, Perfect):
        return lambda task: Asked(task.perfect(), batch=batch)
    asked = Asked(model, batch=batch)
    return lambda task: asked


def name_model(model: object, name: str | None = None) -> str:
    """Return what a model is called in results: this name, its own attribute, or its class."""
    told = name or getattr(model, "name", None)
    named = told if isinstance(told, str) and told.strip() else type(model).__name__
    return " ".join(named.split())


def _describe(model: object, name: str | None, batch: int) -> ModelInfo:
    """Return what is told of a model.

    Raises:
        ModelError: it has none of the methods.
        DataError: its name cannot be shown.
    """
    told = check_words(name_model(model, name), "name")
    if isinstance(model, Perfect):
        digest = hashlib.sha256(Perfect.name.encode()).hexdigest()
        return ModelInfo(told, sha256=digest, role="oracle")
    revision = getattr(model, "revision", None)
    role = "baseline" if type(model).__module__ in _BASELINE_MODULES else "model"
    return ModelInfo(
        told,
        revision if isinstance(revision, str) else None,
        fingerprint(model, batch=batch),
        role,  # type: ignore[arg-type]
    )


_BASELINE_MODULES = (
    "expclip.benchmarks.baselines",
    "expclip.benchmarks.adapters.nearest_face",
)


def fingerprint(model: object, *, batch: int = 256) -> str:
    """Return a SHA-256 that is another for another model.

    The model's own attribute ``sha256``, if it has one. Else of its answers to a few fixed
    texts, faces, pictures and a second of sound: weights that were trained on give other
    answers. A model that draws its answers at random has another each time, and is measured
    again each time. A method that fails tells of itself in the tasks that need it.

    Raises:
        ModelError: the model has none of the methods.
    """
    own = getattr(model, "sha256", None)
    if isinstance(own, str) and len(own) == 64:
        return own
    asked = Asked(model, batch=batch)
    digest = hashlib.sha256()
    for name, ask in _probes(asked).items():
        if name in asked.can:
            try:
                digest.update(name.encode() + np.ascontiguousarray(ask(), "<f4").tobytes())
            except (Skip, ExpclipError) as reason:
                digest.update(f"{name}: {reason}".encode())
    return digest.hexdigest()


def _probes(asked: Asked) -> dict[str, Callable[[], Any]]:
    """Return a fixed question for each method."""
    faces = np.zeros((3, len(BLENDSHAPES)), np.float32)
    faces[1, ::5], faces[2, 3::4] = 0.5, 1.0
    times = np.arange(16_000) / 16_000
    sound = (0.3 * np.sin(2 * np.pi * 140 * times) * np.sin(9 * times)).astype(np.float32)

    def pictures() -> Any:
        from PIL import Image

        return asked.encode_image([Image.new("RGB", (64, 64), (200, 160, 140))])

    def code() -> Any:
        if "encode_expression" in asked.can:
            return asked.encode_expression(faces)
        return asked.encode_text(_PROBES) if "encode_text" in asked.can else faces

    return {
        "text_to_expression": lambda: asked.text_to_expression(_PROBES),
        "encode_text": lambda: asked.encode_text(_PROBES),
        "encode_expression": lambda: asked.encode_expression(faces),
        "encode_image": pictures,
        "reconstruct": lambda: asked.reconstruct(faces),
        "decode": lambda: asked.decode(code()),
        "animate": lambda: asked.animate(sound, 16_000)[0],
    }
