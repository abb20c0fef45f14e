"""Praat's TextGrid files, long and short, in UTF-8 or UTF-16."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expclip.face.errors import DataError

__all__ = ["Interval", "TextGrid", "parse_textgrid", "read_textgrid"]

_MAX_BYTES = 1 << 26
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))

# Only what stands free counts: in `xmin = 0.5` the number, in `intervals [3]:` nothing. So
# the long and the short form are one.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|<\w+>)(?!\S)|!.*')
_INTERVALS, _POINTS = "IntervalTier", "TextTier"


@dataclass(frozen=True, slots=True)
class Interval:
    """A labelled stretch of time, in seconds; a point starts where it stops."""

    start_s: float
    stop_s: float
    text: str


@dataclass(frozen=True, slots=True)
class TextGrid:
    """Tiers of intervals by name; BEAT has "words" and "phones" (ARPAbet with stress).

    ``stop_s`` is the end of the recording that was labelled.
    """

    start_s: float
    stop_s: float
    tiers: dict[str, tuple[Interval, ...]]


def read_textgrid(path: str | os.PathLike[str]) -> TextGrid:
    """Read a TextGrid.

    Raises:
        DataError: it cannot be read, or is none.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: is larger than {_MAX_BYTES:,} bytes")
        data = path.read_bytes()
        encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
        return parse_textgrid(data.decode(encoding))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        message = f"{path}: is not {error.encoding} text (byte {error.start})"
        raise DataError(message) from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def parse_textgrid(text: str) -> TextGrid:
    """Parse the text of a TextGrid.

    Raises:
        ValueError: it is none, or ends too early.
    """
    tokens = _Tokens(text)
    if tokens.text() != "ooTextFile" or tokens.text() != "TextGrid":
        raise ValueError('is no TextGrid: expected "ooTextFile" and "TextGrid"')
    start, stop = tokens.number(), tokens.number()
    tiers: dict[str, tuple[Interval, ...]] = {}
    if tokens.flag() == "<exists>":
        for _ in range(tokens.count()):
            kind, name = tokens.text(), tokens.text()
            if kind not in (_INTERVALS, _POINTS):
                raise ValueError(f"has a tier of class {kind[:40]!r}, expected {_INTERVALS}")
            if name in tiers:
                raise ValueError(f"has the tier {name[:40]!r} twice")
            tokens.number(), tokens.number()
            tiers[name] = tuple(tokens.interval(kind) for _ in range(tokens.count()))
    return TextGrid(start, stop, tiers)


class _Tokens:
    """The free-standing numbers, texts and flags of a file, one after the other."""

    def __init__(self, text: str) -> None:
        self._left: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self._most = len(text)

    def _next(self) -> tuple[str | None, str | None]:
        for match in self._left:
            if not match[0].startswith("!"):
                return match[1], match[2]
        raise ValueError("ends too early")

    def text(self) -> str:
        quoted, other = self._next()
        if quoted is None:
            raise ValueError(f"has {other} where a text in quotes is expected")
        return quoted.replace('""', '"')

    def flag(self) -> str:
        return self._next()[1] or ""

    def number(self) -> float:
        quoted, other = self._next()
        if other is None or other.startswith("<"):
            raise ValueError(f"has {(quoted or other or '')[:40]!r} where a number is expected")
        number = float(other)
        if not abs(number) < 1e6:
            raise ValueError(f"has the time {number:g}, expected seconds")
        return number

    def count(self) -> int:
        number = self.number()
        if not 0 <= number <= self._most or number != int(number):
            raise ValueError(f"says that it has {number:g} items")
        return int(number)

    def interval(self, kind: str) -> Interval:
        start = self.number()
        stop = self.number() if kind == _INTERVALS else start
        if stop < start:
            raise ValueError(f"has an interval from {start:g} to {stop:g} s")
        return Interval(start, stop, self.text())
