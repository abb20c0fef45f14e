"""The figures of a data set: which units, with which others, which emotions, how long a text.

Each is an SVG picture for the card; equal rows, in whatever order, give equal bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from expclip.face import ACTION_UNITS
from expclip.face.errors import DataError
from expclip.face.svg import FAINT, INK, build_svg, draw_line, draw_rect, draw_text

__all__ = ["FIGURES", "Tally", "draw_figures"]

FIGURES = {
    "units": "Action units",
    "emotions": "Emotions",
    "together": "Action units together",
    "lengths": "Length of the texts",
}
"""The names of the figures, and their titles."""

_UNITS = len(ACTION_UNITS)
_WIDTH, _MARGIN, _HEAD = 760.0, 24.0, 78.0
_STRONG, _WEAK, _GROUND = (47, 111, 127), "#a9c8d0", (240, 245, 246)
_ACCENT = "#2f6f7f"
_GRID = "#e3e8eb"

_TAGS, _LONGEST_TAG = 24, 18
_ROW, _BAR = 20.0, 11.0
_COLUMN = (_WIDTH - 3 * _MARGIN) / 2
_NAMES = {"units": 166.0, "emotions": 122.0}
_NUMBER = 50.0

_CELL, _LABELS, _SHADES = 15, 172.0, 20
_BINS, _PLOT = 30, 190.0


class Tally:
    """Counts what the figures show, row by row."""

    def __init__(self) -> None:
        self.rows = 0
        self.emotions: Counter[str] = Counter()
        self.first: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self._aus = bytearray()
        self._together = np.zeros((_UNITS, _UNITS), np.int64)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row.

        Raises:
            DataError: it has not one number for each action unit.
        """
        if len(row["aus"]) != _UNITS:
            raise DataError(f"row {row['id']}: {len(row['aus'])} action units, expected {_UNITS}")
        self.rows += 1
        self.emotions.update(set(row["emotions"]))
        self.first.update(row["emotions"][:1])
        self.lengths[len(row["text"])] += 1
        self._aus += bytes(map(bool, row["aus"]))
        if len(self._aus) >= 2**20:
            self._settle()

    @property
    def together(self) -> Int64[np.ndarray, "units units"]:
        """Rows that show both units; in the diagonal, rows that show the unit."""
        self._settle()
        return self._together

    def _settle(self) -> None:
        aus = np.frombuffer(bytes(self._aus), np.uint8).reshape(-1, _UNITS).astype(np.float32)
        self._together += (aus.T @ aus).astype(np.int64)
        self._aus.clear()


def draw_figures(tally: Tally, name: str) -> dict[str, str]:
    """Return the figures of a data set as SVG, by the names in ``FIGURES``.

    Args:
        tally: of all its rows; at least one.
        name: of the data set, shown in the pictures.
    """
    drawn = {
        "units": _draw_units(tally),
        "emotions": _draw_emotions(tally),
        "together": _draw_together(tally),
        "lengths": _draw_lengths(tally),
    }
    return {
        key: build_svg(
            _WIDTH,
            picture.height,
            f"{FIGURES[key]}, {name}",
            [*_heading(FIGURES[key], name[:40], picture.told), *picture.parts],
        )
        for key, picture in drawn.items()
    }


@dataclass(frozen=True)
class _Picture:
    """What is drawn below a heading, and what the heading says of it."""

    told: str
    height: float
    parts: Sequence[str]


def _heading(title: str, name: str, told: str) -> Iterator[str]:
    yield draw_text(_MARGIN, 34.0, title, 18, more='font-weight="650"')
    yield draw_text(_WIDTH - _MARGIN, 34.0, name, 13, FAINT, 'text-anchor="end"')
    yield draw_text(_MARGIN, 55.0, told, 12, FAINT)


# Bars


@dataclass(frozen=True)
class _Bar:
    """A line of a chart: its name, its share, and the part of it that is dark."""

    name: str
    share: float
    dark: float


def _draw_units(tally: Tally) -> _Picture:
    shown = tally.together.diagonal() / tally.rows
    bars = [
        _Bar(f"AU{unit.code} {unit.name}", float(share), float(share))
        for unit, share in zip(ACTION_UNITS, shown, strict=True)
    ]
    told = f"share of {tally.rows:,} texts whose face shows the unit; {shown.sum():.2f} units each"
    return _draw_bars(told, bars, _NAMES["units"])


def _draw_emotions(tally: Tally) -> _Picture:
    tags = sorted(tally.emotions.items(), key=lambda item: (-item[1], item[0]))
    bars = [
        _Bar(_short(tag), count / tally.rows, tally.first[tag] / tally.rows)
        for tag, count in tags[:_TAGS]
    ]
    more = f"; {len(tags) - _TAGS:,} more tags" if len(tags) > _TAGS else ""
    told = f"share of {tally.rows:,} texts with the tag; dark where it comes first{more}"
    return _draw_bars(told, bars, _NAMES["emotions"])


def _short(tag: str) -> str:
    return tag if len(tag) <= _LONGEST_TAG else f"{tag[: _LONGEST_TAG - 1]}…"


def _draw_bars(told: str, bars: Sequence[_Bar], names: float) -> _Picture:
    """Return bars in two columns, the first downwards first; the longest fills its track."""
    lines = -(-len(bars) // 2)
    longest = max((bar.share for bar in bars), default=0.0) or 1.0
    track = _COLUMN - names - _NUMBER
    parts: list[str] = []
    for place, bar in enumerate(bars):
        column, line = divmod(place, lines)
        x, y = _MARGIN + column * (_COLUMN + _MARGIN), _HEAD + line * _ROW
        fill = INK if bar.share else FAINT
        parts.append(draw_text(x, y + 10, bar.name, 12, fill))
        for share, colour in ((bar.share, _WEAK), (bar.dark, _ACCENT)):
            if share:
                width = max(track * share / longest, 1.0)
                parts.append(draw_rect(x + names, y, width, _BAR, colour))
        number = f"{bar.share:.1%}" if bar.share else "never"
        parts.append(draw_text(x + _COLUMN, y + 10, number, 11, FAINT, 'text-anchor="end"'))
    return _Picture(told, _HEAD + lines * _ROW + 12, parts)


# Units with units


def _draw_together(tally: Tally) -> _Picture:
    """Return a matrix of the units that are shown at all; cells of a shade are one path."""
    together = tally.together
    units = [place for place in range(_UNITS) if together[place, place]]
    side = _CELL * len(units)
    left, top = (_WIDTH - _LABELS - side) / 2 + _LABELS, _HEAD + 16
    parts = [draw_rect(left, top, side, side, _shade(0))] if units else []
    cells: dict[int, list[str]] = {}
    for row, a in enumerate(units):
        y, unit = top + _CELL * row, ACTION_UNITS[a]
        middle = left + _CELL * (row + 0.5)
        name = f"AU{unit.code} {unit.name}"
        parts.append(draw_text(left - 8, y + 11, name, 11, INK, 'text-anchor="end"'))
        parts.append(draw_text(middle, top - 6, f"{unit.code}", 9, FAINT, 'text-anchor="middle"'))
        for column, b in enumerate(units):
            shade = -1 if a == b else round(_SHADES * together[a, b] / together[a, a])
            if shade:
                x = left + _CELL * column
                cells.setdefault(shade, []).append(f"M{x:g} {y:g}h{_CELL}v{_CELL}h-{_CELL}z")
    for shade, squares in sorted(cells.items()):
        parts.append(f'<path d="{"".join(squares)}" fill="{_shade(shade)}"/>')
    parts += _legend(left + side, top + side + 14) if units else []
    told = "share of the texts with the row's unit that also show the column's"
    return _Picture(told, top + side + 44, parts)


def _legend(right: float, y: float) -> Iterator[str]:
    """Return shades from none to all of the texts, ending at the right."""
    start, width = right - 42 - 8.0 * _SHADES, 8.0
    yield draw_text(start - 6, y + 10, "0 %", 11, FAINT, 'text-anchor="end"')
    for step in range(_SHADES):
        box = f'x="{start + step * width:g}" y="{y:g}" width="{width:g}" height="12"'
        yield f'<rect {box} fill="{_shade(step + 1)}"/>'
    yield draw_text(right, y + 10, "100 %", 11, FAINT, 'text-anchor="end"')


def _shade(shade: int) -> str:
    """Return the colour of a share in 20ths; of a unit with itself, grey."""
    if shade < 0:
        return "#c9d1d5"
    mix = (low + (high - low) * shade / _SHADES for low, high in zip(_GROUND, _STRONG, strict=True))
    return "#" + bytes(map(round, mix)).hex()


# Lengths


def _draw_lengths(tally: Tally) -> _Picture:
    """Return a histogram; its last bar takes all that is longer than 99 of 100 texts."""
    lengths = sorted(tally.lengths.items())
    longest, usual = lengths[-1][0], _quantile(lengths, 0.99)
    step = _bin_width(usual)
    counts = [0] * (usual // step + 1)
    for length, rows in lengths:
        counts[min(length // step, len(counts) - 1)] += rows
    last, bottom = len(counts) - 1, _HEAD + _PLOT
    width = (_WIDTH - 2 * _MARGIN) / len(counts)
    every = -(-len(counts) // 10)
    parts = [draw_line((_MARGIN, _WIDTH - _MARGIN), (bottom, bottom), _GRID)]
    for place, count in enumerate(counts):
        x, height = _MARGIN + width * place, (_PLOT - 18) * count / max(counts)
        if count:
            parts.append(draw_rect(x + 1, bottom - height, width - 2, height, _ACCENT))
        if place == counts.index(max(counts)):
            middle = (x + width / 2, bottom - height - 6)
            parts.append(draw_text(*middle, f"{count:,}", 11, INK, 'text-anchor="middle"'))
        if place % every == 0 and place <= last - every:
            parts.append(draw_text(x + 1, bottom + 16, f"{place * step:,}", 11, FAINT))
    end = f"{last * step:,}{'+' if longest >= (last + 1) * step else ''}"
    parts.append(draw_text(_MARGIN + width * last + 1, bottom + 16, end, 11, FAINT))
    told = f"characters; half of the texts have up to {_quantile(lengths, 0.5):,}"
    return _Picture(f"{told}, the longest {longest:,}", bottom + 32, parts)


def _quantile(lengths: Sequence[tuple[int, int]], share: float) -> int:
    """Return the least length that this share of the texts does not exceed."""
    wanted = share * sum(rows for _, rows in lengths)
    reached = 0
    for length, rows in lengths:
        reached += rows
        if reached >= wanted:
            return length
    return lengths[-1][0]


def _bin_width(longest: int) -> int:
    """Return a round number of characters of which few make the longest."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if longest // (digit * power) < _BINS:
                return digit * power
        power *= 10
