"""The losses of a training run as a picture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from expclip.face.svg import FAINT, INK, build_svg, draw_line, draw_text

__all__ = ["draw_curves"]

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 30, 50
_COLOURS = ("#22303a", "#c0392b", "#2471a3", "#1e8449", "#b9770e", "#7d3c98", "#5d6d7e")
_LEAST = 1e-9


def draw_curves(log: Sequence[Mapping[str, Any]], best_step: int) -> str:
    """Return the validation losses by step as SVG, on a logarithmic scale.

    Args:
        log: lines with "step", "train" and "validation"; the last two hold losses by name.
        best_step: of the network that was kept; marked.
    """
    series = {
        "training, total": [(line["step"], line["train"]["total"]) for line in log],
        **{
            name: [(line["step"], line["validation"][name]) for line in log]
            for name in (log[0]["validation"] if log else {})
        },
    }
    shown = {
        name: [(step, max(value, _LEAST)) for step, value in points if math.isfinite(value)]
        for name, points in series.items()
        if any(value > 0 for _, value in points)
    }
    values = [value for points in shown.values() for _, value in points] or [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    last = max((line["step"] for line in log), default=1)

    def x(step: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last

    def y(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    parts = [draw_text(_LEFT, 18, "Losses of validation; the line marks the network kept")]
    for power in range(low, high + 1):
        height = y(10.0**power)
        parts.append(draw_line((_LEFT, _WIDTH - _RIGHT), (height, height), "#dfe5e8"))
        parts.append(draw_text(_LEFT - 8, height + 4, f"1e{power}", 12, FAINT, _END))
    for step in (0, last // 2, last):
        middle = 'text-anchor="middle"'
        parts.append(draw_text(x(step), _HEIGHT - _BOTTOM + 20, f"{step:,}", 12, FAINT, middle))
    parts.append(draw_text(_LEFT, _HEIGHT - 10, "steps", 12, FAINT))
    parts.append(draw_line((x(best_step), x(best_step)), (_TOP, _HEIGHT - _BOTTOM), FAINT))
    for row, (name, points) in enumerate(shown.items()):
        colour = _COLOURS[row % len(_COLOURS)]
        parts.append(_draw_path(((x(step), y(value)) for step, value in points), colour))
        height = _TOP + 20 * row
        edge = _WIDTH - _RIGHT + 12
        parts.append(draw_line((edge, edge + 16), (height, height), colour, 2.5))
        parts.append(draw_text(edge + 22, height + 4, name, 12, INK))
    return build_svg(_WIDTH, _HEIGHT, "Losses of training", parts)


_END = 'text-anchor="end"'


def _draw_path(points: Iterable[tuple[float, float]], colour: str) -> str:
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{through}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
