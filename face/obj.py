"""OBJ text: the vertices and the triangles, nothing else of it."""

import re
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from expclip.face.errors import DataError

__all__ = ["parse_triangles", "parse_vertices"]

_VERTEX = re.compile(rb"^[ \t]*v[ \t]+([^\r\n]*)", re.MULTILINE)
_FACE = re.compile(rb"^[ \t]*f[ \t]+([^\r\n#]*)", re.MULTILINE)


def parse_vertices(text: bytes) -> Float[np.ndarray, "vertices 3"]:
    """Return the positions; colours, a fourth coordinate and comments are passed over.

    Raises:
        DataError: no vertices, or one that is not three finite numbers.
    """
    lines = _VERTEX.findall(text)
    if not lines:
        raise DataError("has no vertices, expected OBJ")
    values = _numbers_of(lines)
    if values is None:
        values = np.array([_vertex(line, number) for number, line in enumerate(lines, 1)])
    if not np.isfinite(values).all():
        number = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0]) + 1
        raise DataError(f"vertex {number} is not finite")
    return values


def _numbers_of(lines: list[bytes]) -> Float[np.ndarray, "vertices 3"] | None:
    """Read lines of equally many numbers at once; None if they are not that."""
    width = len(lines[0].split())
    words = b" ".join(lines).split()
    if width < 3 or len(words) != width * len(lines):
        return None
    try:
        return np.array(words, np.float64).reshape(-1, width)[:, :3]
    except ValueError:
        return None


def _vertex(line: bytes, number: int) -> list[float]:
    words = line.split(b"#")[0].split()
    try:
        if len(words) >= 3:
            return [float(word) for word in words[:3]]
    except ValueError:
        pass
    raise DataError(f"vertex {number} is {_shown(line)}, expected three numbers")


def parse_triangles(text: bytes, vertices: int) -> Int[np.ndarray, "triangles 3"]:
    """Return the faces as triangles: 0-based places of vertices, polygons as fans.

    Raises:
        DataError: a face that is not three or more places of the mesh's vertices.
    """
    found: list[tuple[int, int, int]] = []
    for number, line in enumerate(_FACE.findall(text), 1):
        try:
            corners = [int(word.split(b"/")[0]) for word in line.split()]
        except ValueError:
            corners = []
        places = [corner - 1 if corner > 0 else vertices + corner for corner in corners]
        inside = all(0 <= place < vertices for place in places) and 0 not in corners
        if len(places) < 3 or not inside:
            raise DataError(f"face {number} is {_shown(line)}, expected places of {vertices}")
        found += [(places[0], *edge) for edge in pairwise(places[1:])]
    return np.array(found, np.int32).reshape(-1, 3)


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 40 else text[:37] + "...")
