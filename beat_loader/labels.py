"""Annotations of BEAT takes: emotion (csv) and meaning of gestures (txt)."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from expclip.beat_loader.names import EMOTIONS
from expclip.face.errors import DataError

__all__ = ["EmotionSpan", "GestureSpan", "read_emotions", "read_gestures"]

_MAX_BYTES = 1 << 24
_NUMBERED = re.compile(r"\d+_")
_SPELLINGS = {"netural": "neutral", "happy": "happiness", "angry": "anger", "sad": "sadness"}
"""What the files say, "netural" nearly always, and what it means."""


@dataclass(frozen=True, slots=True)
class EmotionSpan:
    """An emotion (of EMOTIONS) for a stretch of time, in seconds."""

    emotion: str
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class GestureSpan:
    """A gesture: its type ("beat_align", "iconic_h", "nogesture"...), score 0..1, words."""

    type: str
    start_s: float
    stop_s: float
    score: float
    words: str = ""


def read_emotions(path: str | os.PathLike[str]) -> tuple[EmotionSpan, ...]:
    """Read ``00_netural, 0, 63.9, 63.9, 0``: name, start, stop, length, code 0 to 7.

    The code says the emotion; a known name must agree with it.

    Raises:
        DataError: it cannot be read, or a line is not like this.
    """
    spans = []
    for where, line in _lines(path):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 5:
            raise DataError(f"{where} has {len(fields)} fields, expected 5")
        start, stop, _, code = (_number(where, field) for field in fields[1:])
        if code not in range(len(EMOTIONS)):
            raise DataError(f"{where} has the code {fields[4]!r}, expected 0 to 7")
        emotion = EMOTIONS[int(code)]
        name = _NUMBERED.sub("", fields[0].lower(), count=1)
        if _SPELLINGS.get(name, name) in set(EMOTIONS) - {emotion}:
            raise DataError(f"{where} says {name!r} with the code {code:g}, which is {emotion}")
        spans.append(EmotionSpan(emotion, *_ordered(where, start, stop)))
    return tuple(spans)


def read_gestures(path: str | os.PathLike[str]) -> tuple[GestureSpan, ...]:
    """Read ``07_iconic_h 3.1 4.8 1.7 0.7 relaxing``: type, start, stop, length, score, words.

    Fields are apart by tabs or spaces; the words may be absent.

    Raises:
        DataError: it cannot be read, or a line is not like this.
    """
    spans = []
    for where, line in _lines(path):
        fields = line.split(maxsplit=5)
        if len(fields) < 5:
            raise DataError(f"{where} has {len(fields)} fields, expected 5 or 6")
        start, stop, _, score = (_number(where, field) for field in fields[1:5])
        words = fields[5].strip() if len(fields) > 5 else ""
        kind = _NUMBERED.sub("", fields[0], count=1)
        spans.append(GestureSpan(kind, *_ordered(where, start, stop), score, words))
    return tuple(spans)


def _lines(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Return the lines that are not empty, each with the words to name it by."""
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: is larger than {_MAX_BYTES:,} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    lines = enumerate(text.splitlines(), start=1)
    return [(f"{path}: line {number}", line) for number, line in lines if line.strip()]


def _number(where: str, field: str) -> float:
    try:
        number = float(field)
    except ValueError:
        raise DataError(f"{where} has {field[:40]!r}, expected a number") from None
    if not abs(number) < 1e6:
        raise DataError(f"{where} has {field[:40]!r}, expected a number of seconds")
    return number


def _ordered(where: str, start: float, stop: float) -> tuple[float, float]:
    if stop < start:
        raise DataError(f"{where} goes from {start:g} to {stop:g} s")
    return start, stop
