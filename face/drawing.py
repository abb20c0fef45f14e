"""The drawn face: from 52 weights to shapes, with no asset and no randomness.

A flat, calm teaching picture seen from the front, in a square of ``CANVAS`` units.
The person's left is the picture's right. What should be hidden (the iris under a
lid) is painted over by skin, so that a back end needs no clipping.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from jaxtyping import Float

from expclip.face.blendshapes import BLENDSHAPES
from expclip.face.mouth import draw_mouth
from expclip.face.shapes import (
    CANVAS,
    CREASE,
    Ellipse,
    Half,
    Path,
    Point,
    Shape,
    between,
    crease,
    smooth,
)

__all__ = ["draw_face"]

_SKIN, _SHADE, _BLUSH, _GLOSS = "#efc4a1", "#d99f7c", "#e58f76", "#fbe0c8"
_NOSTRIL = "#8f5340"
_LID, _LASH, _BROW, _HAIR, _HAIR_GLOSS = "#e9b994", "#3d2b29", "#4a3431", "#503a36", "#6a4f49"
_EYE_WHITE, _IRIS, _IRIS_RIM, _PUPIL = "#fdfcf9", "#5d8a86", "#35565a", "#1d2629"
_SHIRT, _SHIRT_SHADE = "#6f97a3", "#5d8592"


def draw_face(weights: Float[np.ndarray, " 52"]) -> list[Shape]:
    """Return the shapes of a face, from back to front; weights are clipped to 0..1.

    Raises:
        ValueError: not 52 weights, or one that is not a finite number.
    """
    values = np.asarray(weights, np.float64)
    if values.shape != (len(BLENDSHAPES),):
        raise ValueError(f"a face has {len(BLENDSHAPES)} weights, got shape {values.shape}")
    if not np.isfinite(values).all():
        wrong = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"{BLENDSHAPES[wrong]} is {values[wrong]}, expected weights in 0..1")
    w = dict(zip(BLENDSHAPES, values.clip(0, 1).tolist(), strict=True))
    halves = (Half(-1, w), Half(1, w))
    shapes = [*_head(w)]
    for half in halves:
        shapes += _cheek(half)
    shapes += _forehead(w)
    shapes += _hair()
    for half in halves:
        shapes += _eye(half)
        shapes += _brow(half)
    shapes += _nose(halves)
    shapes += draw_mouth(w, halves)
    return shapes


# Parts, from back to front


def _jaw(w: dict[str, float]) -> tuple[float, float]:
    """Return how far the chin goes sideways (to the picture's right) and down."""
    return 20 * (w["jawLeft"] - w["jawRight"]), 40 * w["jawOpen"] + 7 * w["jawForward"]


def _head(w: dict[str, float]) -> Iterator[Shape]:
    """Draw shoulders, neck, ears and head."""
    mid = CANVAS / 2
    aside, down = _jaw(w)
    puff, forward = w["cheekPuff"], w["jawForward"]
    chin = 344 + down - 5 * w["mouthShrugLower"]

    yield between(
        [(36, 400), (62, 384), (124, 368), (200, 364), (276, 368), (338, 384), (364, 400)],
        [(36, 400), (364, 400)],
        _SHIRT,
    )
    yield between([(152, 300), (248, 300)], [(146, 368), (200, 388), (254, 368)], _SHADE)
    yield between(
        [(142, 364), (200, 384), (258, 364)], [(136, 367), (200, 397), (264, 367)], _SHIRT_SHADE
    )
    for sign in (-1, 1):
        yield Ellipse(mid + sign * 113, 196, 15, 25, _SKIN)
        yield Ellipse(mid + sign * 115, 197, 8, 15, _SHADE, 0.6)

    outline = []
    for sign in (-1, 1):
        side = [
            (0.0, 44.0),
            (72.0, 62.0),
            (109.0, 120.0),
            (113.0, 180.0),
            (108.0 + 12 * puff, 236.0),
            (93.0 + 24 * puff, 284.0 + 0.5 * down),
            (56.0 + 9 * forward + 6 * puff, 325.0 + 0.95 * down),
            (0.0, chin),
        ]
        shift = [0, 0, 0, 0, 0, 0.35 * aside, aside, 1.1 * aside]
        outline.append([(mid + sign * x + s, y) for (x, y), s in zip(side, shift, strict=True)])
    left, right = outline
    yield Path((smooth(left + right[-2::-1]),), _SKIN)


_STRANDS: tuple[list[Point], ...] = (
    [(250, 56), (190, 60), (122, 90)],
    [(244, 44), (178, 41), (106, 80)],
    [(222, 31), (170, 30), (126, 54)],
    [(258, 52), (288, 72), (307, 110)],
    [(264, 41), (296, 63), (312, 98)],
)


@cache
def _hair() -> tuple[Shape, ...]:
    """Draw short hair, parted and swept to one side, off the forehead."""
    crown: list[Point] = [
        *[(90, 184), (78, 130), (84, 84), (114, 42), (168, 17), (232, 16), (284, 40)],
        *[(316, 88), (322, 134), (310, 184)],
    ]
    hairline: list[Point] = [
        *[(90, 184), (94, 144), (103, 116), (134, 99), (180, 91), (226, 77), (254, 60)],
        *[(278, 80), (300, 112), (306, 144), (310, 184)],
    ]
    strands = [shape for strand in _STRANDS for shape in crease(strand, 4, 0.75, _HAIR_GLOSS)]
    return between(crown, hairline, _HAIR), *strands


def _cheek(half: Half) -> Iterator[Shape]:
    """Draw the cheek: blush, puff, folds beside nose and mouth."""
    w = half.weights
    raised, smile, puff = half("cheekSquint"), half("mouthSmile"), w["cheekPuff"]
    x, y = half.at(66, 240 - 9 * raised - 5 * smile)
    for size in (1.0, 0.88, 0.74, 0.58, 0.4):
        rx, ry = size * (26 + 4 * smile + 3 * raised), size * (16 + 2 * smile)
        yield Ellipse(x, y, rx, ry, _BLUSH, 0.055 + 0.03 * raised + 0.02 * smile)
    if puff > 0:
        x, y = half.at(80, 266)
        for radius in (38, 33, 28, 22, 15):
            yield Ellipse(x, y, radius, radius, _GLOSS, 0.22 * puff)
        yield from half.crease(((49, 238), (40, 268), (58, 304)), 5, 0.7 * puff)

    fold = 0.8 * smile + 0.75 * half("noseSneer") + 0.5 * half("mouthUpperUp")
    fold += 0.1 * half("mouthStretch") + 0.4 * half("mouthDimple") + 0.15 * raised
    out = 12 * smile + 14 * half("mouthStretch") + 5 * half("mouthDimple")
    lift = 7 * half("noseSneer") + 3 * half("mouthUpperUp")
    yield from half.crease(
        ((25, 234 - lift), (46 + 0.6 * out, 248 - lift), (56 + out, 280 - 6 * smile)),
        4,
        min(fold, 0.85),
    )


def _forehead(w: dict[str, float]) -> Iterator[Shape]:
    """Draw the lines of a raised forehead and of a frown."""
    inner = w["browInnerUp"]
    for row in range(3):
        y = 128 - 9 * row - 6 * inner
        yield from crease([(166, y + 2), (200, y - 2), (234, y + 2)], 3, 0.7 * inner)
    for half in (Half(-1, w), Half(1, w)):
        outer = half("browOuterUp")
        for row in range(2):
            y = 121 - 9 * row - 4 * outer
            yield from half.crease(((42, y), (66, y - 6), (88, y + 5)), 3, 0.7 * outer)
        frown = half("browDown")
        low = 160 + 4 * frown
        yield from half.crease(((7, low - 20), (9, low - 8), (6, low + 6)), 4, 0.85 * frown)


def _brow(half: Half) -> Iterator[Shape]:
    """Draw the brow, thick at the nose and thin at the temple."""
    inner, outer = half.weights["browInnerUp"], half("browOuterUp")
    down, sneer = half("browDown"), half("noseSneer")
    press = 1 - 0.7 * inner  # of browDown at the inner end: unit 1 works against 4
    near = 16 * down * press - 24 * inner * (1 - 0.4 * outer) - 4 * outer + 5 * sneer
    next_to = 12 * down * press - 15 * inner * (1 - 0.3 * outer) - 11 * outer + 3 * sneer
    line = [
        (22 - 7 * down, 151 + near, 3),
        (27 - 7 * down, 150 + near, 9),
        (43 - 5 * down, 147 + next_to, 11),
        (63, 144 + 7 * down * press - 4 * inner - 19 * outer, 10),
        (81, 147 + 3 * down - 18 * outer + 3 * inner, 7),
        (95, 156 + 1 * down - 12 * outer + 6 * inner, 1.5),
    ]
    yield between(
        [half.at(x, y - thick / 2) for x, y, thick in line],
        [half.at(x, y + thick / 2) for x, y, thick in line],
        _BROW,
    )


_LASH_WIDTH = (0.2, 0.75, 1.0, 1.0, 0.7)


def _eye(half: Half) -> Iterator[Shape]:
    """Draw eyeball, iris, the lids over them, and the creases around."""
    blink, wide, squint = half("eyeBlink"), half("eyeWide"), half("eyeSquint")
    cheek, sneer = half("cheekSquint"), half("noseSneer")
    up, down = half("eyeLookUp"), half("eyeLookDown")
    level = 188.0
    above = 14 + 9 * wide + 3 * up - 9 * down - 3 * squint - 2 * cheek
    below = 11 + 2.5 * wide - 7 * squint - 4 * cheek - 2 * sneer + 1.5 * down - 2 * up
    above += blink * (1.5 - below - above)
    above = max(above, 1.5 - below)
    inner, outer = (25.0, 191.5), (84.0, 186.0)

    def lid(height: float) -> list[Point]:
        """Return the edge of a lid that passes ``height`` above the level line."""
        edge = [
            inner,
            (38.0, 189.5 - 0.74 * height),
            (54.0, level - height),
            (71.0, 187 - 0.78 * height),
            outer,
        ]
        return [half.at(*point) for point in edge]

    top, bottom = lid(above), lid(-below)
    cx, y = half.at(54 + 13 * (half("eyeLookOut") - half("eyeLookIn")), level + 9 * down - 8 * up)
    middle_x, _ = half.at(54, 0)
    yield Ellipse(middle_x, level + 1, 31, 25, _EYE_WHITE)
    yield Ellipse(cx, y, 14.5, 14.5, _IRIS_RIM)
    yield Ellipse(cx, y, 12.3, 12.3, _IRIS)
    yield Ellipse(cx, y, 6.6, 6.6, _PUPIL)
    yield Ellipse(cx - 4, y - 5, 3, 3, "#ffffff")

    socket = [half.at(x, y) for x, y in ((18, 191), (28, 167), (54, 159), (82, 165), (92, 187))]
    under = [half.at(x, y) for x, y in ((18, 191), (28, 210), (54, 217), (80, 211), (92, 187))]
    yield between(socket, top, _LID)
    yield between(bottom, under, _SKIN)
    yield between(
        [(x, y - 3.6 * t) for (x, y), t in zip(top, _LASH_WIDTH, strict=True)], top, _LASH
    )
    yield between(bottom, [(x, y + 1.4) for x, y in bottom], CREASE, 0.7)

    fold = level - max(above, -2) - 8 + 2 * wide
    yield from half.crease(((30, 183 - wide * 3), (54, fold), (84, 180)), 2.6, 0.7)
    pouch = level + below
    yield from half.crease(
        ((34, pouch + 3), (54, pouch + 9), (76, pouch + 1)), 3, 0.75 * max(squint, 0.6 * cheek)
    )
    yield from half.crease(
        ((38, 214), (60, 217 - 4 * cheek), (90, 203 - 3 * cheek)), 3.4, 0.8 * cheek
    )
    feet = max(cheek, 0.5 * squint)
    for row, (dx, dy) in enumerate(((18, -9), (20, 1), (17, 11))):
        y = 184 + 6 * row
        yield from half.crease(
            ((88, y), (88 + dx / 2, y + dy / 2 - 1), (88 + dx, y + dy)), 2.6, 0.8 * feet
        )


def _nose(halves: tuple[Half, Half]) -> Iterator[Shape]:
    """Draw the nose: bridge, wings, nostrils, and the wrinkles of a sneer."""
    for half in halves:
        sneer = half("noseSneer")
        lift = 8 * sneer
        yield from half.crease(((13, 176), (10, 200), (15, 222)), 3, 0.22)
        yield from half.crease(
            ((17, 222 - lift), (25 + 3 * sneer, 236 - lift), (15, 245 - lift)), 3.6, 0.75
        )
        yield from half.crease(
            ((4, 246 - 0.4 * lift), (10, 241 - 0.8 * lift), (16, 245 - lift)), 5, 1.0
        )
        for row in range(3):
            y = 188 + 10 * row
            yield from half.crease(((2, y + 2), (9, y), (17 + 2 * row, y - 6)), 2.8, 0.75 * sneer)
        yield from half.crease(((17, 212), (24, 217), (27, 229)), 3, 0.6 * sneer)
    yield from crease([(190, 249), (200, 252), (210, 249)], 2.6, 0.6)
