"""Whether results still say what was measured: every hash checked, every number made again."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from expclip.benchmarks.outcome import TaskInfo
from expclip.benchmarks.results.record import Result, compute_metrics, find_results, read_result
from expclip.benchmarks.results.signed import read_signed
from expclip.face.errors import DataError
from expclip.face.files import hash_file

__all__ = ["Verification", "verify"]

_TOLERANCE = 1e-9
"""Relative: another machine adds in another order."""


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        checked: results that were read and made again.
        problems: a line for each fault, which names the file.
        unseen: files and task data that results rest on, and that were not there to check.
    """

    checked: int
    problems: tuple[str, ...]
    unseen: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    path: str | Path, *, inputs: Iterable[str | Path] = (), tasks: Iterable[TaskInfo] = ()
) -> Verification:
    """Check a result, or all results of a folder.

    A changed byte in a JSON, in a sidecar, in a log, in a file measured on, or in a task's data is
    found. Means and intervals are computed again from the sidecar. That the model really
    gave these values, only a new run can say.

    Args:
        path: a result's JSON, a model's folder, or the folder of all.
        inputs: folders in which the files measured on (data, predictions) are looked for.
        tasks: as they are built now, from data at hand, to compare their hashes.

    Raises:
        DataError: there is nothing at ``path``.
    """
    path = Path(path)
    problems: list[str] = []
    if path.is_dir():
        found = find_results(path)
        results: tuple[Result, ...] = found.results
        problems += [*found.problems, *_orphans(path)]
        if not (results or found.skipped or problems):
            raise DataError(f"{path}: holds no results")
    elif path.is_file():
        try:
            results = (read_result(path),)
        except DataError as error:
            return Verification(0, (str(error),), ())
    else:
        raise DataError(f"{path}: there is no such result or folder")
    folders = [Path(folder) for folder in inputs]
    known = {info.id: info for info in tasks}
    unseen: dict[str, None] = {}
    for result in results:
        problems += [*_check_numbers(result), *_check_log(result)]
        for fault, name in (*_check_inputs(result, folders), *_check_task(result, known)):
            if fault:
                problems.append(f"{result.path}: {fault}")
            else:
                unseen[name] = None
    return Verification(len(results), tuple(problems), tuple(unseen))


def _check_numbers(result: Result) -> list[str]:
    """Return a line for a sidecar that is broken, or for each number it does not give."""
    try:
        made = compute_metrics(result.outcome(), result.statistics)
    except (DataError, ValueError) as error:
        return [str(error)]
    return [
        f"{result.path}: {name} is stated as {stated:.9g} ({part}), the sidecar gives {again:.9g}"
        for name, metric in result.metrics.items()
        for part in ("value", "low", "high")
        if not _is_near(stated := getattr(metric, part), again := getattr(made[name], part))
    ]


def _check_log(result: Result) -> list[str]:
    """Return a line for a log that was changed; there need be none."""
    try:
        if result.log.exists():
            read_signed(result.log)
    except DataError as error:
        return [str(error)]
    return []


def _is_near(a: float, b: float) -> bool:
    return abs(a - b) <= _TOLERANCE * max(1.0, abs(a), abs(b))


def _check_inputs(result: Result, folders: list[Path]) -> list[tuple[str, str]]:
    """Return a fault, or no fault and the name of what is not there, for each input."""
    found = []
    for name, expected in result.inputs.items():
        there = [folder / name for folder in folders if (folder / name).is_file()]
        if not there:
            found.append(("", name))
        elif (digest := hash_file(there[0])) != expected:
            found.append((f"measured on {there[0]} of SHA-256 {expected[:12]}…, "
                          f"now it is {digest[:12]}…", name))  # fmt: skip
    return found


def _check_task(result: Result, known: dict[str, TaskInfo]) -> list[tuple[str, str]]:
    was, now = result.task, known.get(result.task.id)
    if now is None or now.version != was.version:
        return [("", f"data of {was.id} version {was.version}")]
    if now.data_sha256 != was.data_sha256:
        fault = f"data of {was.id} were {was.data_sha256[:12]}…, now they are "
        return [(f"{fault}{now.data_sha256[:12]}…", was.id)]
    return []


def _orphans(folder: Path) -> list[str]:
    """Return a line for each sidecar without a result."""
    sidecars = sorted({*folder.glob("*@*.npz"), *folder.glob("*/*@*.npz")})
    alone = (path for path in sidecars if not path.with_name(f"{path.stem}.json").exists())
    return [f"{path}: there is no result beside it" for path in alone]
