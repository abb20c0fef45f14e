"""What a result's JSON is made of, and the checks of what a stranger wrote there."""

import math
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, TypeVar, cast, get_args

from expclip.benchmarks.outcome import TaskInfo
from expclip.face.errors import DataError
from expclip.face.text import is_visible

__all__ = [
    "Metric",
    "ModelInfo",
    "Role",
    "Statistics",
    "check_words",
    "parse_inputs",
    "parse_metrics",
    "parse_model",
    "parse_notes",
    "parse_statistics",
    "parse_task",
    "take",
]

Role = Literal["model", "baseline", "oracle"]
"""An oracle knows the answers: it is shown, never ranked."""

_T = TypeVar("_T")
_NAME, _TEXT, _MANY = 200, 2000, 1000
_DRAWS = 1_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TASK_ID = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*){0,3}")


@dataclass(frozen=True)
class ModelInfo:
    """Whose a result is.

    Attributes:
        name: shown; of a model of the Hub, OWNER/NAME.
        revision: of the Hub's repository.
        sha256: of the weights, or of the file of predictions.
        role: whether it competes.
    """

    name: str
    revision: str | None = None
    sha256: str | None = None
    role: Role = "model"


@dataclass(frozen=True)
class Metric:
    """A weighted mean over queries, and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Statistics:
    """How intervals are made: bootstrap draws, their seed, and the level."""

    draws: int = 10_000
    seed: int = 0
    level: float = 0.95


def take(record: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    """Return a field of a record that has the type it should have.

    Raises:
        DataError: it is missing, or another type (True is no number).
    """
    value = record.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DataError(f"{name} is {_short(value)}, expected {kind.__name__}")
    return value


def check_words(text: str, name: str) -> str:
    """Return a text of one line without controls; what else is in it, the pages escape.

    Raises:
        DataError: it is empty, has such characters, or more than 200.
    """
    if not text.strip() or len(text) > _NAME or not all(c == " " or _is_shown(c) for c in text):
        raise DataError(f"{_short(name)} is {_short(text)}, expected one line of visible text")
    return text


def parse_model(record: Mapping[str, Any]) -> ModelInfo:
    """Return the model of a result."""
    _check_fields(record, {"name", "role"}, {"revision", "sha256"})
    role = take(record, "role", str)
    if role not in get_args(Role):
        raise DataError(f"role is {_short(role)}, expected one of {', '.join(get_args(Role))}")
    rest = {name: _words(record, name) for name in ("revision", "sha256") if name in record}
    return ModelInfo(_words(record, "name"), role=cast("Role", role), **rest)


def parse_task(record: Mapping[str, Any]) -> TaskInfo:
    """Return the task of a result."""
    names = {*TaskInfo.__dataclass_fields__}
    _check_fields(record, names)
    needs = record["needs"]
    if not _is_lists(needs) or not all(isinstance(name, str) for way in needs for name in way):
        raise DataError(f"needs is {_short(needs)}, expected lists of method names")
    info = TaskInfo(
        id=take(record, "id", str),
        version=take(record, "version", int),
        title=_words(record, "title"),
        main=_words(record, "main"),
        higher_is_better=take(record, "higher_is_better", bool),
        needs=tuple(map(tuple, needs)),
        data_sha256=take(record, "data_sha256", str),
        ranked=take(record, "ranked", bool),
    )
    if not _TASK_ID.fullmatch(info.id) or len(info.id) > 100 or not 0 <= info.version < 10**6:
        raise DataError(f"task {_short(info.id)} version {_short(info.version)} is no task's name")
    if not _SHA256.fullmatch(info.data_sha256):
        raise DataError(f"data_sha256 is {_short(info.data_sha256)}, expected 64 hex digits")
    return info


def parse_metrics(record: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the metrics of a result; all finite."""
    _check_count("metrics", record)
    found = {}
    for name, told in record.items():
        check_words(name, name)
        if not isinstance(told, Mapping) or told.keys() != {"value", "low", "high"}:
            raise DataError(f"metric {_short(name)} is {_short(told)}, expected value, low, high")
        found[name] = Metric(*(_number(told[part], name) for part in ("value", "low", "high")))
    return found


def parse_notes(record: Mapping[str, Any]) -> dict[str, float | int | str]:
    """Return the notes of a result: short texts and finite numbers."""
    _check_count("notes", record)
    for name, note in record.items():
        check_words(name, name)
        if isinstance(note, str):
            if len(note) > _TEXT:
                raise DataError(f"note {_short(name)} has more than {_TEXT:,} characters")
        else:
            _number(note, name)
    return dict(record)


def parse_statistics(record: Mapping[str, Any]) -> Statistics:
    """Return how intervals were made, within bounds."""
    _check_fields(record, {"draws", "level", "seed"})
    draws, seed = take(record, "draws", int), take(record, "seed", int)
    level = _number(record["level"], "level")
    if not 0 < draws <= _DRAWS or not 0 < level < 1 or not 0 <= seed < 2**63:
        raise DataError(f"statistics are {_short(record)}, expected draws up to {_DRAWS:,}")
    return Statistics(draws, seed, float(level))


def parse_inputs(record: Mapping[str, Any]) -> dict[str, str]:
    """Return hashes by file name; no name leads out of a folder."""
    _check_count("inputs", record)
    for name, digest in record.items():
        path = PurePosixPath(name)
        escapes = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
        if escapes or not path.parts or not all(map(str.isprintable, name)) or len(name) > 500:
            raise DataError(f"input {_short(name)} is no file name within a folder")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise DataError(f"input {_short(name)} has hash {_short(digest)}")
    return dict(record)


def _words(record: Mapping[str, Any], name: str) -> str:
    return check_words(take(record, name, str), name)


def _is_shown(char: str) -> bool:
    return is_visible(char) and not char.isspace()


def _number(value: Any, name: str) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{_short(name)} is {_short(value)}, expected a number")
    if abs(value) > 1e300 or not math.isfinite(value):  # a large int is no float either
        raise DataError(f"{_short(name)} is {_short(value)}, expected a finite number")
    return value


def _check_fields(
    record: Mapping[str, Any],
    needed: Set[str],
    allowed: Set[str] = frozenset(),
) -> None:
    odd = (needed - record.keys()) | (record.keys() - needed - allowed)
    if odd:
        raise DataError(f"fields {', '.join(sorted(odd))[:200]} are missing, or none of ours")


def _check_count(name: str, record: Mapping[str, Any]) -> None:
    if len(record) > _MANY:
        raise DataError(f"{name} are {len(record):,}, expected up to {_MANY:,}")


def _is_lists(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, list | tuple) for one in value)


def _short(value: Any) -> str:
    shown = ascii(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
