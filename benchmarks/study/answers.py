"""Returned answers, which are anybody's text: read, checked, and screened by rule."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from expclip.benchmarks.study.key import Key
from expclip.face.errors import DataError

__all__ = ["COLUMNS", "Returned", "ScreeningRule", "collect_answers", "read_answers"]

COLUMNS = ("study", "rater", "trial", "clip", "question", "answer", "seconds", "plays")
SCALE = range(1, 6)

_MOST_BYTES = 8 << 20
_CELL = 100
_FEWEST_FOR_STRAIGHT = 10


@dataclass(frozen=True, slots=True)
class Returned:
    """What one rater sent.

    Attributes:
        rater: the code.
        path: of the file.
        answers: (trial from 0, question) -> 1..5, checks included.
        seconds: spent on each trial that has an answer.
    """

    rater: str
    path: Path
    answers: Mapping[tuple[int, str], int]
    seconds: Mapping[int, float]

    @property
    def median_s(self) -> float:
        """Median time on a trial."""
        return median(self.seconds.values())


@dataclass(frozen=True)
class ScreeningRule:
    """Who is left out; stated before the answers are seen.

    Attributes:
        failed_checks: share of the checks seen from which on a rater is left out. A check
            is failed if any answer to it is not the one that it asks for.
        same_answer: share of one and the same answer from which on, of ten answers or more.
        answered: share of the questions of the plan that must have an answer.
    """

    failed_checks: float = 0.5
    same_answer: float = 0.95
    answered: float = 0.5

    def __post_init__(self) -> None:
        for name in ("failed_checks", "same_answer"):
            if not 0 < getattr(self, name):
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.answered <= 1:
            raise ValueError(f"answered must lie in 0..1, got {self.answered}")

    def reasons(self, returned: Returned, key: Key) -> tuple[str, ...]:
        """Return why a rater is left out; nothing if not."""
        trials = key.raters[returned.rater]
        planned = [
            (trial, question)
            for trial, (code, asked) in enumerate(trials)
            if asked is None
            for question in key.clips[code].questions
        ]
        given = [returned.answers[place] for place in planned if place in returned.answers]
        passed, seen = count_checks(returned, key)
        found = []
        if seen and (seen - passed) / seen >= self.failed_checks:
            found.append(f"failed {seen - passed} of {seen} checks")
        value, times = Counter(given).most_common(1)[0] if given else (0, 0)
        if len(given) >= _FEWEST_FOR_STRAIGHT and times / len(given) >= self.same_answer:
            found.append(f"answered {value} in {times} of {len(given)} cases")
        if not given or len(given) < self.answered * len(planned):
            found.append(f"answered {len(given)} of {len(planned)} questions")
        return tuple(found)


def count_checks(returned: Returned, key: Key) -> tuple[int, int]:
    """Return how many checks a rater passed, and how many have an answer."""
    passed = seen = 0
    for trial, (_, asked) in enumerate(key.raters[returned.rater]):
        if asked is None:
            continue
        answers = {value for (at, _), value in returned.answers.items() if at == trial}
        seen += bool(answers)
        passed += answers == {asked}
    return passed, seen


def collect_answers(
    paths: Iterable[str | Path], key: Key
) -> tuple[list[Returned], dict[Path, str]]:
    """Read all files; return what each rater said, by code, and why files were left aside.

    Of several files of a rater the one with the most answers stands; of two with as many,
    that whose name comes last.
    """
    returned: dict[str, list[Returned]] = {}
    aside: dict[Path, str] = {}
    for path in sorted(map(Path, paths)):
        try:
            found = read_answers(path, key)
        except DataError as error:
            aside[path] = str(error)
        else:
            returned.setdefault(found.rater, []).append(found)
    best = []
    for rater, several in sorted(returned.items()):
        *others, standing = sorted(several, key=lambda one: len(one.answers))
        best.append(standing)
        for other in others:
            aside[other.path] = (
                f"{other.path}: {standing.path.name} is of the same rater, {rater}, with as "
                "many answers or more"
            )
    return best, aside


def read_answers(path: str | Path, key: Key) -> Returned:
    """Read the file that a page saved; a spreadsheet may have saved it again.

    Raises:
        DataError: it cannot be read, is of another study, or says what its page cannot
            have said.
    """
    path = Path(path)
    try:
        head, *rows = _rows(path)
        if tuple(head) != COLUMNS:
            raise DataError(f"starts with {_short(head)}, expected {','.join(COLUMNS)}")
        return _returned(path, rows, key)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: is no CSV in UTF-8: {error}") from None


def _rows(path: Path) -> list[list[str]]:
    if not path.is_file():
        raise DataError("is not a regular file" if path.exists() else "there is no such file")
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"has {path.stat().st_size:,} bytes, expected at most {_MOST_BYTES:,}")
    text = path.read_bytes().decode("utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) or [[]]


def _returned(path: Path, rows: Sequence[list[str]], key: Key) -> Returned:
    answers: dict[tuple[int, str], int] = {}
    seconds: dict[int, float] = {}
    rater = ""
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        try:
            place, value, spent = _answer(row, key)
            if rater not in ("", row[1]):
                raise DataError(f"is of the rater {_short(row[1])}, expected {rater}")
            if place in answers:
                raise DataError(f"answers trial {place[0] + 1}, {place[1]} again")
        except DataError as error:
            raise DataError(f"row {number} {error}") from None
        rater = row[1]
        answers[place] = value
        seconds[place[0]] = spent
    if not rater:
        raise DataError("has no answers")
    return Returned(rater, path, answers, seconds)


def _answer(row: Sequence[str], key: Key) -> tuple[tuple[int, str], int, float]:
    """Return trial and question, answer and seconds of a row that fits the plan."""
    if len(row) != len(COLUMNS):
        raise DataError(f"has {len(row)} columns, expected {len(COLUMNS)}")
    study, rater, trial, clip, question, answer, seconds, _ = row
    if study != key.study:
        raise DataError(f"is of the study {_short(study)}, expected {key.study}")
    if rater not in key.raters:
        raise DataError(f"is of the unknown rater {_short(rater)}")
    trials = key.raters[rater]
    at = _whole(trial, range(1, len(trials) + 1), "trial") - 1
    if clip != trials[at][0]:
        raise DataError(f"has the clip {_short(clip)}, expected {trials[at][0]}")
    if question not in key.clips[clip].questions:
        raise DataError(f"has the question {_short(question)}, which the clip was not shown with")
    return (at, question), _whole(answer, SCALE, "answer"), _seconds(seconds)


def _whole(text: str, expected: range, name: str) -> int:
    # isascii: int() also takes the digits of other scripts
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
    if value not in expected or value is None:
        told = f"{expected.start} to {expected.stop - 1}"
        raise DataError(f"has the {name} {_short(text)}, expected {told}")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text.replace(",", "."))  # a spreadsheet's comma
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e7:
        raise DataError(f"has {_short(text)} seconds, expected a number")
    return value


def _short(found: object) -> str:
    return repr(found)[:_CELL]
