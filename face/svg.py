"""Pictures as SVG text: the pieces that plots are made of.

Equal data gives equal bytes. The ground is white, so that a picture reads the same on a
light page and on a dark one.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from expclip.face.text import one_line

__all__ = ["FAINT", "INK", "build_svg", "draw_dot", "draw_line", "draw_rect", "draw_text"]

INK, FAINT = "#22303a", "#6b7a84"
_FONT = "font-family:system-ui,'Segoe UI','DejaVu Sans',sans-serif"


def build_svg(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """Return a picture of these pieces; its title is read aloud, not shown."""
    size = f'width="{width:g}" height="{height:g}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'{size} style="{_FONT}" role="img">'
    )
    ground = f'<rect {size} fill="#fff"/>'
    return "\n".join([head, f"<title>{_plain(title)}</title>", ground, *parts, "</svg>\n"])


def draw_text(
    x: float, y: float, text: str, size: int = 13, fill: str = INK, more: str = ""
) -> str:
    """Return a line of text that begins at a point; whatever is in it, it is no markup.

    Args:
        x: of its beginning, or of what ``text-anchor`` says.
        y: of its base line.
        text: as it shall be read.
        size: in pixels.
        fill: its colour.
        more: other attributes, as they are written.
    """
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" {more}'
    return f"<text {place}>{_plain(text)}</text>"


def draw_line(
    x: tuple[float, float], y: tuple[float, float], stroke: str, width: float = 1.0
) -> str:
    """Return a line from the first x and y to the second."""
    ends = f'x1="{x[0]:.1f}" y1="{y[0]:.1f}" x2="{x[1]:.1f}" y2="{y[1]:.1f}"'
    return f'<line {ends} stroke="{stroke}" stroke-width="{width}" stroke-linecap="round"/>'


def draw_dot(x: float, y: float, fill: str, radius: float = 4.5) -> str:
    """Return a disc."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}"/>'


def draw_rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    """Return a rectangle with its upper left corner at a point."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} rx="2" fill="{fill}"/>'


def _plain(text: str) -> str:
    """Return a text as XML may hold it: no markup, no control, nothing that turns."""
    return html.escape(one_line(text), quote=False)
