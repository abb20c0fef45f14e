"""Pictures of faces: SVG text, PNG, contact sheets and animated GIF.

Two thin back ends over ``draw_face``: the shapes as SVG, and the same shapes
flattened to polygons for Pillow. Equal weights give equal bytes.
"""

import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
from jaxtyping import Float

from expclip.face.drawing import draw_face
from expclip.face.shapes import CANVAS, Curve, Ellipse, Shape
from expclip.face.text import is_visible

if TYPE_CHECKING:
    from PIL import Image, ImageFont

__all__ = [
    "MAX_GIF_FPS",
    "encode_png",
    "render_contact_sheet",
    "render_face",
    "render_gif",
    "render_png",
    "render_svg_sheet",
]

MAX_GIF_FPS = 50
"""A GIF counts in hundredths of a second, and viewers slow down frames of just one."""

_BACKGROUND, _INK = "#e9eff1", "#37474f"


def render_face(weights: Float[np.ndarray, " 52"], *, caption: str = "") -> str:
    """Return a face as SVG text, without ids, so that many fit into one page.

    Weights are clipped to 0..1. Left is the person's own: the picture's right.

    Raises:
        ValueError: not 52 weights, or one that is not a finite number.
    """
    return render_svg_sheet([np.asarray(weights)], [caption], columns=1)


def render_png(weights: Float[np.ndarray, " 52"], *, size: int = 512, caption: str = "") -> bytes:
    """Return a face as PNG, ``size`` pixels wide; a caption is added below.

    Raises:
        ValueError: as ``render_face``, or a size below 16 or above 4096.
    """
    return encode_png(render_contact_sheet([np.asarray(weights)], [caption], columns=1, size=size))


def render_svg_sheet(
    faces: Float[np.ndarray, "faces 52"] | Sequence[Float[np.ndarray, " 52"]],
    captions: Sequence[str] = (),
    *,
    columns: int | None = None,
) -> str:
    """Return several faces, row by row, as one SVG text."""
    grid = _Grid.of(len(faces), captions, columns)
    unit, cells = _GRID * CANVAS, []
    for (column, row), face, lines in zip(grid.places(), faces, grid.lines, strict=True):
        body = "".join(map(_svg_shape, draw_face(face))) + _svg_caption(lines)
        if column or row:
            body = (
                f'<g transform="translate({column * unit} {_GRID * row * grid.height})">{body}</g>'
            )
        cells.append(body)
    width, height = grid.columns * unit, _GRID * grid.rows * grid.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f'<rect width="{width}" height="{height}" fill="{_BACKGROUND}"/>{"".join(cells)}</svg>\n'
    )


def render_contact_sheet(
    faces: Float[np.ndarray, "faces 52"] | Sequence[Float[np.ndarray, " 52"]],
    captions: Sequence[str] = (),
    *,
    columns: int | None = None,
    size: int = 256,
) -> "Image.Image":
    """Return several faces, row by row, as one Pillow image.

    Args:
        faces: the weights.
        captions: none, or one for each face.
        columns: faces in a row; by default a sheet somewhat wider than high.
        size: width of one face in pixels.

    Raises:
        ValueError: as ``render_face``; no face; not one caption for each face.
    """
    from PIL import Image

    grid = _Grid.of(len(faces), captions, columns)
    if not 16 <= size <= 4096:
        raise ValueError(f"size must lie in 16..4096 pixels, got {size}")
    height = round(size * grid.height / CANVAS)
    sheet = Image.new("RGB", (grid.columns * size, grid.rows * height), _BACKGROUND)
    for (column, row), face, lines in zip(grid.places(), faces, grid.lines, strict=True):
        sheet.paste(_raster(draw_face(face), size), (column * size, row * height))
        _draw_caption(sheet, lines, column * size, row * height, size)
    return sheet


def render_gif(weights: Float[np.ndarray, "frames 52"], fps: float, *, size: int = 256) -> bytes:
    """Return a sequence as an endless GIF whose length is right to a hundredth of a second.

    Equal neighbours are stored once, with the sum of their durations.

    Raises:
        ValueError: as ``render_face``; no frame; fps not in 0..``MAX_GIF_FPS``.
    """
    from PIL import Image

    if not 0 < fps <= MAX_GIF_FPS:
        raise ValueError(f"a GIF shows up to {MAX_GIF_FPS} frames a second, got fps {fps}")
    frames = [render_contact_sheet([face], size=size) for face in weights]
    if not frames:
        raise ValueError("a GIF needs at least one frame, got none")
    sample = [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(len(frames), 8))]
    strip = Image.new("RGB", (size, size * len(sample)))
    for row, frame in enumerate(sample):
        strip.paste(frame, (0, row * size))
    palette = strip.quantize(256, method=Image.Quantize.MEDIANCUT)
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    ticks = [round(100 * index / fps) for index in range(len(frames) + 1)]
    file = io.BytesIO()
    indexed[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=[10 * (end - start) for start, end in pairwise(ticks)],
        loop=0,
    )
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where faces go, and the lines of their captions; all cells are equally high."""

    lines: list[list[str]]
    columns: int

    @classmethod
    def of(cls, count: int, captions: Sequence[str], columns: int | None) -> "_Grid":
        """Lay out ``count`` faces."""
        if count < 1:
            raise ValueError("a picture needs at least one face, got none")
        if captions and len(captions) != count:
            raise ValueError(f"{count} faces need as many captions, got {len(captions)}")
        if columns is not None and columns < 1:
            raise ValueError(f"columns must be at least 1, got {columns}")
        wanted = math.ceil(math.sqrt(1.5 * count)) if columns is None else columns
        lines = [_wrap(caption) for caption in captions] or [[]] * count
        return cls(lines, min(wanted, count))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return -(-len(self.lines) // self.columns)

    @property
    def height(self) -> int:
        """Height of a cell in units."""
        most = max(map(len, self.lines))
        return CANVAS + (most * _LINE_HEIGHT + _MARGIN if most else 0)

    def places(self) -> list[tuple[int, int]]:
        """Return (column, row) of each face."""
        return [(i % self.columns, i // self.columns) for i in range(len(self.lines))]


# Captions

_FONT_SIZE, _LINE_HEIGHT, _MARGIN = 21, 27, 14  # in units of the canvas
_MAX_LINES, _LINE_CELLS, _MAX_CAPTION = 3, 32.0, 400
_SUBSTITUTE, _ELLIPSIS = "\N{REPLACEMENT CHARACTER}", "\N{HORIZONTAL ELLIPSIS}"


def _printable(char: str) -> str:
    """Return the character, or a visible substitute where XML or the layout would suffer."""
    if char.isspace():
        return " "
    return char if is_visible(char) else _SUBSTITUTE


def _cells(char: str) -> float:
    """Return the width of a character, in widths of a small letter."""
    if unicodedata.east_asian_width(char) in "WF":
        return 2.0
    return 1.3 if char.isupper() or char in "mw@%&+" else 1.0


def _wrap(caption: str) -> list[str]:
    """Return the caption in at most three lines, with an ellipsis where it was cut."""
    words = "".join(map(_printable, caption[:_MAX_CAPTION])).split()
    lines, line, width = [], "", 0.0
    for word in words:
        length = sum(map(_cells, word))
        if line and width + 1 + length > _LINE_CELLS:
            lines.append(line)
            line, width = "", 0.0
        if line:
            line, width = line + " ", width + 1
        for char in word:
            if width + _cells(char) > _LINE_CELLS:
                lines.append(line)
                line, width = "", 0.0
            line, width = line + char, width + _cells(char)
    lines += [line] if line else []
    if len(lines) > _MAX_LINES or len(caption) > _MAX_CAPTION:
        del lines[_MAX_LINES:]
        lines[-1:] = [line[:-1] + _ELLIPSIS for line in lines[-1:]]
    return lines


# SVG


_GRID = 10
"""SVG numbers are whole: tenths of a unit, relative within a curve. That halves the text."""


def _svg_curve(curve: Curve, command: str) -> str:
    """Return the commands of one curve."""
    flat = [round(_GRID * value) for point in curve for value in point]
    x, y = first_x, first_y = flat[:2]
    numbers: list[int] = []
    for ax, ay, bx, by, end_x, end_y in zip(*[iter(flat[2:])] * 6, strict=True):
        numbers += (ax - x, ay - y, bx - x, by - y, end_x - x, end_y - y)
        x, y = end_x, end_y
    text = " ".join(map(str, numbers)).replace(" -", "-")
    return f"{command}{first_x} {first_y}c{text}"


@lru_cache(maxsize=1024)  # hair, ears, shirt are the same in all faces
def _svg_shape(shape: Shape) -> str:
    """Return one SVG element."""
    paint = f'fill="{shape.fill}"'
    if shape.opacity < 1:
        paint += f' opacity="{shape.opacity:.2f}"'.replace("0.", ".")
    if isinstance(shape, Ellipse):
        x, y, rx, ry = (round(_GRID * v) for v in (shape.x, shape.y, shape.rx, shape.ry))
        return f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" {paint}/>'
    curves = "".join(
        _svg_curve(curve, "L" if index else "M") for index, curve in enumerate(shape.curves)
    )
    return f'<path d="{curves}Z" {paint}/>'


def _svg_caption(lines: list[str]) -> str:
    """Return the caption as SVG text."""
    return "".join(
        f'<text x="{_GRID * CANVAS // 2}" y="{_GRID * (CANVAS + (row + 1) * _LINE_HEIGHT)}" '
        f'fill="{_INK}" font-family="system-ui,sans-serif" font-size="{_GRID * _FONT_SIZE}" '
        f'text-anchor="middle">{escape(line)}</text>'
        for row, line in enumerate(lines)
    )


# Pillow

_STEPS, _ZOOM = 8, 3
_T = np.arange(_STEPS)[:, None] / _STEPS
_BASIS = np.hstack([(1 - _T) ** 3, 3 * _T * (1 - _T) ** 2, 3 * _T**2 * (1 - _T), _T**3])


def _flatten(curve: Curve) -> Float[np.ndarray, "points 2"]:
    """Return points along a curve."""
    points = np.array(curve)
    pieces = np.stack([points[i : len(points) - 3 + i : 3] for i in range(4)])  # (4, pieces, 2)
    along = np.einsum("sk,kpc->psc", _BASIS, pieces).reshape(-1, 2)
    return np.vstack([along, points[-1:]])


def _rgba(shape: Shape) -> tuple[int, int, int, int]:
    """Return the colour of a shape."""
    red, green, blue = bytes.fromhex(shape.fill[1:])
    return red, green, blue, round(255 * shape.opacity)


def _raster(shapes: list[Shape], size: int) -> "Image.Image":
    """Draw shapes into a square of ``size`` pixels, smoothed by drawing them larger."""
    from PIL import Image, ImageDraw

    scale = size * _ZOOM / CANVAS
    image = Image.new("RGB", (size * _ZOOM, size * _ZOOM), _BACKGROUND)
    draw = ImageDraw.Draw(image, "RGBA")
    for shape in shapes:
        if isinstance(shape, Ellipse):
            box = (shape.x - shape.rx, shape.y - shape.ry, shape.x + shape.rx, shape.y + shape.ry)
            draw.ellipse([scale * value for value in box], _rgba(shape))
        else:
            outline = np.vstack([_flatten(curve) for curve in shape.curves]) * scale
            draw.polygon(outline.ravel().tolist(), _rgba(shape))
    return image.resize((size, size), Image.Resampling.LANCZOS)


@lru_cache(maxsize=16)
def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """Return Pillow's own font."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _drawable(char: str) -> bool:
    """Return whether the font has the character: it then looks unlike a missing one."""
    font = _font(24)
    return bytes(font.getmask(char)) != bytes(font.getmask("\uffff"))


def _draw_caption(image: "Image.Image", lines: list[str], x: int, y: int, size: int) -> None:
    """Write a caption below the face whose upper left corner is (x, y)."""
    if not lines:
        return
    from PIL import ImageDraw

    scale = size / CANVAS
    draw = ImageDraw.Draw(image)
    font = _font(max(6, round(_FONT_SIZE * scale)))
    for row, line in enumerate(lines):
        text = "".join(char if _drawable(char) else "?" for char in line)
        base = y + (CANVAS + (row + 1) * _LINE_HEIGHT) * scale
        draw.text((x + size / 2, base), text, _INK, font, anchor="ms")


def encode_png(image: "Image.Image") -> bytes:
    """Return the image as PNG."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
