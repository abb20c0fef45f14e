"""Shapes of a drawing, and how curves become shapes.

All shapes are filled, also the creases (slim lenses), so that a back end needs
polygons and ellipses only.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "CANVAS",
    "Curve",
    "Ellipse",
    "Half",
    "Path",
    "Point",
    "Shape",
    "between",
    "crease",
    "smooth",
]

CANVAS = 400
"""Width and height of the picture in units."""

CREASE = "#a9674c"

Point = tuple[float, float]
Curve = tuple[Point, ...]
"""A start, then three points (two handles and an end) for each cubic Bezier piece."""


@dataclass(frozen=True, slots=True)
class Path:
    """A filled area bounded by curves, joined end to start by straight lines."""

    curves: tuple[Curve, ...]
    fill: str
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A filled upright ellipse."""

    x: float
    y: float
    rx: float
    ry: float
    fill: str
    opacity: float = 1.0


Shape = Path | Ellipse


@dataclass(frozen=True, slots=True)
class Half:
    """One half of the face: sign +1 is the person's left, the picture's right."""

    sign: int
    weights: dict[str, float]

    def __call__(self, name: str) -> float:
        """Return the weight of this side's shape."""
        return self.weights[name + ("Left" if self.sign > 0 else "Right")]

    def at(self, dx: float, y: float) -> Point:
        """Return the point ``dx`` outwards of the midline."""
        return (CANVAS / 2 + self.sign * dx, y)

    def crease(
        self, points: tuple[Point, Point, Point], width: float, opacity: float
    ) -> Iterator[Shape]:
        """Draw a crease through (dx, y) points of this half."""
        return crease([self.at(*point) for point in points], width, opacity)


def smooth(points: list[Point]) -> Curve:
    """Return a curve through the points (Catmull-Rom)."""
    ends = [points[0], *points, points[-1]]
    curve = [points[0]]
    for (ax, ay), (bx, by), (cx, cy), (dx, dy) in zip(
        ends, ends[1:], ends[2:], ends[3:], strict=False
    ):
        curve.append((bx + (cx - ax) / 6, by + (cy - ay) / 6))
        curve.append((cx - (dx - bx) / 6, cy - (dy - by) / 6))
        curve.append((cx, cy))
    return tuple(curve)


def between(upper: list[Point], lower: list[Point], fill: str, opacity: float = 1.0) -> Path:
    """Return the area between two smooth curves that run the same way."""
    return Path((smooth(upper), smooth(lower[::-1])), fill, opacity)


def crease(
    points: list[Point], width: float, opacity: float, fill: str = CREASE
) -> Iterator[Shape]:
    """Draw a lens: pointed at both ends, bent through the middle point, if it shows."""
    if opacity < 0.05:
        return
    (ax, ay), (mx, my), (bx, by) = points
    length = math.hypot(bx - ax, by - ay) or 1.0
    nx, ny = (ay - by) / length * width, (bx - ax) / length * width

    def edge(start: Point, end: Point, bulge: float) -> Curve:
        """Bend one piece so that its middle lies ``bulge`` widths beside the point."""
        hx = (4 * (mx + bulge * nx) - (ax + bx) / 2) / 3
        hy = (4 * (my + bulge * ny) - (ay + by) / 2) / 3
        reach = 0.22
        return (
            start,
            (hx + (start[0] - end[0]) * reach, hy + (start[1] - end[1]) * reach),
            (hx + (end[0] - start[0]) * reach, hy + (end[1] - start[1]) * reach),
            end,
        )

    a, b = (ax, ay), (bx, by)
    yield Path((edge(a, b, 0.5), edge(b, a, -0.5)), fill, min(opacity, 1.0))
