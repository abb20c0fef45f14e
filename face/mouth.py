"""The drawn mouth and chin: lips, teeth, tongue and the creases around them."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass

from expclip.face.shapes import CANVAS, Ellipse, Half, Path, Point, Shape, between, crease

__all__ = ["draw_mouth"]

_UPPER_LIP, _LOWER_LIP, _LIP_LINE, _LIP_GLOSS = "#b5655c", "#cb8073", "#7c3a38", "#e6aa9c"
_CAVITY, _TEETH, _LOWER_TEETH, _TEETH_GAP = "#57222a", "#fbf8f2", "#e9e2d8", "#d5cdc2"
_TONGUE, _TONGUE_SHADE, _SHADE, _GLOSS = "#dd7c80", "#b9585f", "#d99f7c", "#fbe0c8"

# The lips are sampled at nine places from the picture's left to its right.
_U = (-1.0, -0.82, -0.58, -0.3, 0.0, 0.3, 0.58, 0.82, 1.0)
_TO_CORNER = tuple(abs(u) ** 2.1 for u in _U)
_OPENING = tuple((1 - abs(u) ** 2.4) ** 0.6 for u in _U)
_UPPER_SHAPE = (0.0, 0.42, 0.78, 1.0, 0.8, 1.0, 0.78, 0.42, 0.0)
_LOWER_SHAPE = (0.0, 0.5, 0.82, 0.97, 1.0, 0.97, 0.82, 0.5, 0.0)
_BOW = (0.0, 0.3, 0.0, -0.7, 1.4, -0.7, 0.0, 0.3, 0.0)  # the wave of closed lips
_CONTACT = 2.5  # soft lips that move apart touch for so long


@dataclass(frozen=True, slots=True)
class _Side:
    """What one half of the mouth does, in units; x outwards, y downwards."""

    width: float
    corner: float
    raised: float
    dropped: float
    upper: float
    lower: float
    wave: float


@dataclass(frozen=True, slots=True)
class _Lips:
    """The four edges of the lips, from the picture's left to its right."""

    outer_top: list[Point]
    inner_top: list[Point]
    inner_bottom: list[Point]
    outer_bottom: list[Point]


def draw_mouth(w: dict[str, float], halves: tuple[Half, Half]) -> Iterator[Shape]:
    """Draw chin and mouth, from back to front."""
    right, left = (_side(w, half) for half in halves)
    lips = _lips(w, right, left)
    yield from _chin(w, lips)
    for half in halves:
        yield from _corner(half, lips.inner_top[-1 if half.sign > 0 else 0])
    yield between(lips.outer_top, lips.inner_top, _UPPER_LIP)
    yield between(lips.inner_bottom, lips.outer_bottom, _LOWER_LIP)
    yield from _inside(w, lips)
    yield from _lip_relief(w, lips)
    yield from _biting_teeth(w, lips)
    yield from _tongue_out(w, lips)


def _bite(w: dict[str, float]) -> float:
    """Return how far the upper teeth hold the lower lip: it rolls in, the upper does not."""
    more = w["mouthRollLower"] - w["mouthRollUpper"]
    return max(0.0, (more - 0.15) / 0.85) * (1 - w["jawOpen"])


def _closed(w: dict[str, float]) -> float:
    """Return how far the lips bridge an open jaw: wholly, where mouthClose equals jawOpen."""
    return min(1.0, w["mouthClose"] / max(w["jawOpen"], 1e-6))


def _side(w: dict[str, float], half: Half) -> _Side:
    """Return how wide, high, open and thick one half of the mouth is."""
    smile, frown, stretch = half("mouthSmile"), half("mouthFrown"), half("mouthStretch")
    dimple, press = half("mouthDimple"), half("mouthPress")
    up, down = half("mouthUpperUp"), half("mouthLowerDown")
    pucker, funnel, jaw = w["mouthPucker"], w["mouthFunnel"], w["jawOpen"]
    width = 45 + 14 * smile + 21 * stretch + 10 * dimple - 6 * jaw
    width -= 22 * pucker + 17 * funnel + 5 * w["cheekPuff"]
    corner = 16 * frown - 18 * smile + 6 * stretch - 6 * dimple + 9 * jaw - 2 * up + 2 * down
    thin = (1 - 0.6 * press) * (1 - 0.2 * smile) * (1 - 0.25 * stretch)
    closing = 1 - _closed(w)
    return _Side(
        width=max(width, 15),
        corner=corner,
        raised=(11 * up + 3 * half("noseSneer") + 7 * funnel + 4 * jaw * closing + 5 * _bite(w)),
        dropped=44 * jaw * closing + 14 * down + 15 * funnel + 8 * w["tongueOut"],
        upper=9 * thin * (1 - 0.9 * w["mouthRollUpper"]) * (1 - 0.15 * w["mouthClose"])
        + 5 * pucker + 4 * funnel + 4 * w["mouthShrugUpper"] - 3 * w["jawForward"],
        lower=12 * thin * (1 - 0.9 * w["mouthRollLower"]) * (1 - 0.15 * w["mouthClose"])
        + 5 * pucker + 5 * funnel + 4 * w["mouthShrugLower"] + 5 * w["jawForward"] + 8 * _bite(w),
        wave=1 - smile,
    )  # fmt: skip


def _middle(right: _Side, left: _Side) -> _Side:
    """Return what the midline does: the mean of both halves."""
    pairs = zip(astuple(right), astuple(left), strict=True)
    return _Side(*((a + b) / 2 for a, b in pairs))


def _lips(w: dict[str, float], right: _Side, left: _Side) -> _Lips:
    """Return the edges of the lips."""
    middle = CANVAS / 2 + 17 * (w["mouthLeft"] - w["mouthRight"])
    aside = 15 * (w["jawLeft"] - w["jawRight"])
    level = 285 - 9 * w["mouthShrugLower"] - 5 * w["mouthShrugUpper"] - 4 * w["jawForward"]
    level += 24 * w["jawOpen"] * _closed(w) + 2 * w["mouthClose"]
    wave = max(0.0, 1 - w["mouthPucker"] - w["mouthFunnel"] - w["jawOpen"])
    wave *= 1 - abs(aside) / 15
    edges: tuple[list[Point], ...] = ([], [], [], [])
    for index, u in enumerate(_U):
        side = left if u > 0 else right if u < 0 else _middle(right, left)
        x = middle + u * side.width + 0.35 * aside
        x_low = x + 0.65 * aside * _OPENING[index]
        y = level + _TO_CORNER[index] * side.corner + _BOW[index] * wave * side.wave
        y -= 0.2 * (1 - _TO_CORNER[index]) * side.corner
        apart = max(0.0, 1 - _CONTACT / (side.raised + side.dropped + 0.01))
        top = y - _OPENING[index] * side.raised * apart
        bottom = y + _OPENING[index] * side.dropped * apart
        edges[0].append((x, top - _UPPER_SHAPE[index] * side.upper))
        edges[1].append((x, top))
        edges[2].append((x_low, bottom))
        edges[3].append((x_low, bottom + _LOWER_SHAPE[index] * side.lower))
    return _Lips(*edges)


def _gap(top: list[Point], bottom: list[Point], fill: str) -> Iterator[Path]:
    """Fill the area between two edges where it is open."""
    wide = [i for i, (t, b) in enumerate(zip(top, bottom, strict=True)) if b[1] - t[1] > 1]
    if wide:
        part = slice(max(wide[0] - 1, 0), wide[-1] + 2)
        yield between(top[part], bottom[part], fill)


def _inside(w: dict[str, float], lips: _Lips) -> Iterator[Shape]:
    """Draw what shows between the lips: a line where they touch."""
    top, bottom = lips.inner_top, lips.inner_bottom
    rim = [1.3 * (1 - u * u) for u in _U]
    yield between(
        [(x, y - thick) for (x, y), thick in zip(top, rim, strict=True)],
        [(x, y + thick) for (x, y), thick in zip(bottom, rim, strict=True)],
        _LIP_LINE,
    )
    gap = bottom[4][1] - top[4][1]
    yield from _gap(top, bottom, _CAVITY)
    height = 0.5 * (gap - 12) * min(1.0, 4 * w["jawOpen"])
    if height > 0.3:
        x = bottom[4][0]
        dome = [
            (bx, max(ty, by - height * max(0.0, 1 - (bx - x) ** 2 / 900)))
            for (bx, by), (_, ty) in zip(bottom, top, strict=True)
        ]
        yield from _gap(dome, bottom, _TONGUE)
    upper_row, lower_row = 292.0 - 16 * w["mouthFunnel"], 291 + 44 * w["jawOpen"]
    teeth = [
        (tx, min(by, max(ty, upper_row - 3 * u * u)))
        for (tx, ty), (_, by), u in zip(top, bottom, _U, strict=True)
    ]
    yield from _gap(top, teeth, _TEETH)
    lower = [
        (bx, max(cut[1], min(by, lower_row + 2 * u * u)))
        for (bx, by), cut, u in zip(bottom, teeth, _U, strict=True)
    ]
    yield from _gap(lower, bottom, _LOWER_TEETH)


def _lip_relief(w: dict[str, float], lips: _Lips) -> Iterator[Shape]:
    """Draw the gloss of the lower lip and the creases of a pucker."""
    top, bottom = lips.inner_top, lips.inner_bottom
    x, y = bottom[4]
    thick = lips.outer_bottom[4][1] - y
    yield Ellipse(x, y + 0.52 * thick, 11, 0.16 * thick, _LIP_GLOSS, 0.6)
    pucker = w["mouthPucker"]
    for dx in (-9, 0, 9):
        for edge, sign in ((top, -1), (bottom, 1)):
            cx, y = edge[4][0] + dx, edge[4][1]
            yield from crease(
                [(cx, y + sign * 3), (cx + dx * 0.1, y + sign * 6), (cx + dx * 0.3, y + sign * 10)],
                1.8, 0.5 * pucker, _LIP_LINE,
            )  # fmt: skip


_INCISORS = ((-17, 4.8, 8.0), (17, 4.8, 8.0), (-6.2, 6.2, 10.5), (6.2, 6.2, 10.5))


def _biting_teeth(w: dict[str, float], lips: _Lips) -> Iterator[Shape]:
    """Draw the upper front teeth over a lower lip that is rolled in."""
    bite = _bite(w)
    if bite < 0.05:
        return
    x, y = lips.inner_top[4]
    for place, half_width, length in _INCISORS:
        tip = y + 2 + length * bite
        ends = (x + place - half_width, x + place + half_width)
        corners = [(ends[0] + 0.4, tip - 2), (ends[0] + 2, tip), (ends[1] - 2, tip)]
        yield between(
            [(ends[0], y), (ends[1], y)],
            [(ends[0], y), *corners, (ends[1] - 0.4, tip - 2), (ends[1], y)],
            _TEETH,
        )
    for dx in (-12.3, 0, 12.3):
        gap = [(x + dx, y), (x + dx, y + 4 * bite), (x + dx, y + 1 + 9 * bite)]
        yield from crease(gap, 1.4, 0.9, _TEETH_GAP)


def _corner(half: Half, corner: Point) -> Iterator[Shape]:
    """Draw the creases at a mouth corner."""
    x, y = corner
    s = half.sign
    dimple, frown, press = half("mouthDimple"), half("mouthFrown"), half("mouthPress")
    stretch, smile = half("mouthStretch"), half("mouthSmile")
    dent = max(dimple, 0.5 * smile, 0.6 * stretch)
    yield from crease(
        [(x + s * 5, y - 9), (x + s * (8 + 3 * dimple), y), (x + s * 5, y + 9)], 4, 0.9 * dent
    )
    yield from crease([(x + s * 1, y + 1), (x + s * 8, y + 7), (x + s * 8, y + 22)], 4, 0.9 * frown)
    yield from crease(
        [(x - s * 30, y + 13), (x - s * 14, y + 13), (x + s * 1, y + 6)], 3.4, 0.8 * press
    )
    yield from crease(
        [(x - s * 30, y - 11), (x - s * 14, y - 10), (x + s * 1, y - 5)], 3.4, 0.6 * press
    )


_CHIN_DIMPLES = ((-13, 24), (0, 21), (13, 24), (-7, 31), (7, 31), (0, 37))


def _chin(w: dict[str, float], lips: _Lips) -> Iterator[Shape]:
    """Draw the hollow under the lower lip, the raised chin and the thrust jaw."""
    x, y = lips.outer_bottom[4]
    raised, forward = w["mouthShrugLower"], w["jawForward"]
    depth = min(0.9, 0.4 + 0.5 * raised + 0.5 * forward + 0.3 * w["mouthPucker"])
    half_width = 20 + 8 * forward + 4 * raised
    yield from crease(
        [(x - half_width, y + 9), (x, y + 5), (x + half_width, y + 9)], 4 + 3 * forward, depth
    )
    if forward > 0:
        for size in (1.0, 0.75, 0.5):
            yield Ellipse(x, y + 25, 32 * size, 15 * size, _GLOSS, 0.35 * forward)
    if raised > 0:
        for size in (1.0, 0.7):
            yield Ellipse(x, y + 27, 28 * size, 16 * size, _SHADE, 0.28 * raised)
        for dx, dy in _CHIN_DIMPLES:
            yield from crease(
                [(x + dx - 4, y + dy - 1), (x + dx, y + dy + 1), (x + dx + 4, y + dy - 1)],
                2.4, 0.6 * raised,
            )  # fmt: skip


def _tongue_out(w: dict[str, float], lips: _Lips) -> Iterator[Shape]:
    """Draw the tongue: a little of it between the teeth, more over the lower lip."""
    out = w["tongueOut"]
    if out < 0.02:
        return
    x, y = lips.inner_bottom[4]
    shown = min(1.0, out / 0.3)
    root, tip = y - 7 * shown, y + shown * (6 + 30 * out)
    wide = (0.4 + 0.6 * shown) * (12 + 6 * out)
    left = [(x - wide, root), (x - wide - 1, (root + tip) / 2), (x - 0.6 * wide, tip - 4), (x, tip)]
    right = [(2 * x - px, py) for px, py in left]
    yield between(left, right, _TONGUE)
    yield from crease([(x, root + 4), (x, (root + tip) / 2), (x, tip - 9)], 3, 0.8, _TONGUE_SHADE)
