"""Words on a picture: how wide they are, and where they stand so that none covers another."""

import math
import unicodedata

__all__ = ["Labels", "shorten", "text_width"]

_LETTER, _WIDE = 0.68, 1.1
"""Widths in sizes of the font, of letters and of those of East Asia: of a wide bold font, for
which one the reader has is not known."""

_TURNS = 12
_STEP = 5.0
_AIR = 2.0

Box = tuple[float, float, float, float]


def text_width(text: str, size: float) -> float:
    """Return how wide a line of text is at most, in pixels."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return size * (_LETTER * (len(text) - wide) + _WIDE * wide)


def shorten(text: str, length: int) -> str:
    """Return a text of so many characters at most, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


class Labels:
    """Finds places for words within a box, in the order they are asked for.

    Args:
        box: left, top, right, bottom; no word leaves it.
    """

    def __init__(self, box: Box) -> None:
        self._box = box
        self._taken: list[Box] = []

    def keep_free(self, x: float, y: float, radius: float) -> None:
        """Let no word cover a point."""
        self._taken.append((x - radius, y - radius, x + radius, y + radius))

    def place(
        self, x: float, y: float, text: str, size: int, reach: float
    ) -> tuple[float, float] | None:
        """Return the middle of a word's base line, on a point or beside it, and keep it.

        Returns None where nothing is free within ``reach`` pixels.
        """
        half, high = text_width(text, size) / 2, size / 2
        for ring in range(int(reach / _STEP) + 1):
            for turn in range(_TURNS if ring else 1):
                angle = 2 * math.pi * turn / _TURNS
                share = 0.0 if ring == 0 else 1.0
                across = x + math.cos(angle) * (share * half + ring * _STEP)
                down = y + math.sin(angle) * (share * high + ring * _STEP)
                found = (across - half, down - high, across + half, down + high)
                if self._is_free(found):
                    self._taken.append(found)
                    return across, down + 0.36 * size
        return None

    def _is_free(self, box: Box) -> bool:
        left, top, right, bottom = box
        inside = left >= self._box[0] and top >= self._box[1]
        inside = inside and right <= self._box[2] and bottom <= self._box[3]
        return inside and all(
            right + _AIR <= other[0]
            or other[2] + _AIR <= left
            or bottom + _AIR <= other[1]
            or other[3] + _AIR <= top
            for other in self._taken
        )
