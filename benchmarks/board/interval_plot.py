"""The models of a table as a picture: a dot and its interval each, on one scale."""

import math
from collections.abc import Iterator

from expclip.benchmarks.board.leaderboard import Row, Table, format_number
from expclip.face.svg import FAINT, INK, build_svg, draw_dot, draw_line, draw_text

__all__ = ["draw_intervals"]

_WIDTH, _MARGIN, _NAMES, _RANKS = 760.0, 24.0, 226.0, 64.0
_LEFT, _RIGHT = _MARGIN + _NAMES, _WIDTH - _MARGIN - _RANKS
_HEAD, _LABELS, _ROW, _FOOT = 66.0, 26.0, 26.0, 34.0
_GRID, _ACCENT, _BASELINE, _ORACLE = "#e3e8eb", "#2f6f7f", "#8a98a1", "#b9770e"
_COLOURS = {"model": _ACCENT, "baseline": _BASELINE, "oracle": _ORACLE}
_LONGEST, _TITLE = 30, 60
_NOTHING = 1e-15  # a lone number no larger is drawn as 0, on a scale of 1
_END, _MIDDLE = 'text-anchor="end"', 'text-anchor="middle"'


def draw_intervals(table: Table, *, heading: bool = True) -> str:
    """Return the main metric of each model as SVG; equal tables give equal bytes.

    Args:
        table: what to draw; it has at least one row.
        heading: say what it is, for a picture that stands alone.
    """
    task, scale = table.task, _Scale(table)
    top = (_HEAD if heading else 0.0) + (_LABELS if table.references else 8.0)
    bottom = top + _ROW * len(table.rows)
    parts = list(_draw_heading(table)) if heading else []
    parts += [*scale.draw(top, bottom), *_draw_references(table, scale, top, bottom)]
    for place, row in enumerate(table.rows):
        parts += _draw_row(row, scale, top + _ROW * (place + 0.5))
    return build_svg(_WIDTH, bottom + _FOOT, f"{task.title}: {task.main} by model", parts)


def _draw_heading(table: Table) -> Iterator[str]:
    task = table.task
    better = "higher" if task.higher_is_better else "lower"
    bars = f"bars: {table.level:.0%} intervals; right: places left open"
    name = f"{task.id} v{task.version}"
    yield draw_text(_MARGIN, 32.0, task.title[:_TITLE], 17, more='font-weight="650"')
    yield draw_text(_WIDTH - _MARGIN, 32.0, name[:_TITLE], 12, FAINT, _END)
    yield draw_text(_MARGIN, 52.0, f"{task.main[:_LONGEST]}, {better} is better; {bars}", 12, FAINT)


class _Scale:
    """The numbers of a table along the width of the picture, from one tick to another."""

    def __init__(self, table: Table) -> None:
        metrics = [row.result.main for row in table.rows]
        numbers = [x for metric in metrics for x in (metric.value, metric.low, metric.high)]
        numbers += table.references.values()
        low, high = min(numbers), max(numbers)
        if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
            reach = 0.5 * max(abs(low), abs(high))
            reach = reach if reach > _NOTHING else 0.5
            low, high = low - reach, high + reach
        self._step = _round_step((high - low) / 5)
        self._first = math.floor(low / self._step + 1e-9)
        self._last = math.ceil(high / self._step - 1e-9)

    def x(self, value: float) -> float:
        """Return where a number stands."""
        share = (value / self._step - self._first) / (self._last - self._first)
        return _LEFT + (_RIGHT - _LEFT) * share

    def draw(self, top: float, bottom: float) -> Iterator[str]:
        """Return the grid, and the numbers below it."""
        digits = max(0, -math.floor(math.log10(self._step) + 1e-9))
        for tick in range(self._first, self._last + 1):
            x = self.x(tick * self._step)
            yield draw_line((x, x), (top, bottom), _GRID)
            number = format_number(tick * self._step, digits)
            yield draw_text(x, bottom + 18, number, 11, FAINT, _MIDDLE)


def _round_step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is not less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))


def _draw_references(table: Table, scale: _Scale, top: float, bottom: float) -> Iterator[str]:
    """Return dashed lines at chance and ceiling; their names do not overlap."""
    taken = -math.inf
    for name, value in sorted(table.references.items(), key=lambda item: item[1]):
        x = scale.x(value)
        ends = f'x1="{x:.1f}" y1="{top - 4:g}" x2="{x:.1f}" y2="{bottom:g}"'
        yield f'<line {ends} stroke="{_ORACLE}" stroke-dasharray="4 4"/>'
        label = max(x, taken + 52)
        yield draw_text(label, top - 10, name, 11, _ORACLE, _MIDDLE)
        taken = label


def _draw_row(row: Row, scale: _Scale, y: float) -> Iterator[str]:
    model, metric = row.result.model, row.result.main
    colour = _COLOURS[model.role]
    name = model.name if len(model.name) <= _LONGEST else f"{model.name[: _LONGEST - 1]}…"
    weight = 'font-weight="650"' if row.leads else ""
    ink = INK if model.role == "model" else FAINT
    yield draw_text(_MARGIN, y + 4, name, 13, ink, weight)
    ends = (scale.x(metric.low), scale.x(metric.high))
    if ends[1] - ends[0] >= 1:
        yield draw_line(ends, (y, y), colour, 3.0)
    yield draw_dot(scale.x(metric.value), y, colour)
    shown = row.rank + (" =" if row.tied else "") or ("oracle" if model.role == "oracle" else "")
    yield draw_text(_WIDTH - _MARGIN, y + 4, shown, 12, INK if row.leads else FAINT, _END)
