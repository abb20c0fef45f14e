"""From action units to blendshape weights.

The paper had an animator's rule, which it does not print. This table and its
combination rule are a reconstruction: where public sources agree they are followed
(ICT-FaceKit, Py-Feat, Ozel's guide); 9 of the 36 rows rest on judgement.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Shaped

from expclip.face.action_units import AU_CODES, AU_INDEX, Action, parse_action
from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES

__all__ = [
    "AU_TO_BLENDSHAPES",
    "MAPPING_VERSION",
    "blendshapes_from_actions",
    "blendshapes_from_aus",
]

MAPPING_VERSION = "1"
"""Goes up when any weight or rule below changes; recorded with every data set."""

AU_TO_BLENDSHAPES: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 1.0},
    2: {"browOuterUp*": 1.0},
    4: {"browDown*": 1.0},
    5: {"eyeWide*": 1.0},
    6: {"cheekSquint*": 1.0, "eyeSquint*": 0.3},
    7: {"eyeSquint*": 1.0},
    9: {"noseSneer*": 1.0, "mouthUpperUp*": 0.25, "browDown*": 0.2},
    10: {"mouthUpperUp*": 1.0, "noseSneer*": 0.2},
    11: {"mouthUpperUp*": 0.35, "noseSneer*": 0.35},
    12: {"mouthSmile*": 1.0},
    13: {"mouthSmile*": 0.6, "cheekSquint*": 0.3, "cheekPuff": 0.2},
    14: {"mouthDimple*": 1.0},
    15: {"mouthFrown*": 1.0},
    16: {"mouthLowerDown*": 1.0},
    17: {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.4},
    18: {"mouthPucker": 1.0},
    19: {"tongueOut": 1.0, "jawOpen": 0.3},
    20: {"mouthStretch*": 1.0},
    22: {"mouthFunnel": 1.0},
    23: {"mouthPress*": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.3, "mouthPucker": 0.2},
    24: {"mouthPress*": 1.0},
    25: {"mouthLowerDown*": 0.3, "mouthUpperUp*": 0.15, "jawOpen": 0.1},
    26: {"jawOpen": 0.45},
    27: {"jawOpen": 1.0, "mouthLowerDown*": 0.2},
    28: {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
    29: {"jawForward": 1.0},
    30: {"jaw*": 1.0},
    32: {"mouthRollLower": 0.8, "mouthPress*": 0.2},
    34: {"cheekPuff": 1.0},
    41: {"eyeBlink*": 0.35},
    43: {"eyeBlink*": 1.0},
    46: {"eyeBlink*": 1.0, "cheekSquint*": 0.4},
    61: {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    62: {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    63: {"eyeLookUp*": 1.0},
    64: {"eyeLookDown*": 1.0},
}
"""Weights per unit at full strength; ``*`` stands for the sides on which it acts."""

_JAW_DEGREES = [AU_INDEX[code] for code in (25, 26, 27)]
_JAW_OPEN = BLENDSHAPE_INDEX["jawOpen"]
_BROW_DOWN = [BLENDSHAPE_INDEX[f"browDown{side}"] for side in ("Left", "Right")]
_BROW_DOWN_WITH_INNER_UP = 0.6
_LIDS = [
    (BLENDSHAPE_INDEX[f"eyeBlink{side}"], BLENDSHAPE_INDEX[f"eyeWide{side}"])
    for side in ("Left", "Right")
]


def _tables() -> Float[np.ndarray, "3 36 52"]:
    """Return the table split by side of shape: (left, right, both) x units x shapes."""
    tables = np.zeros((3, len(AU_CODES), len(BLENDSHAPES)))
    for code, row in AU_TO_BLENDSHAPES.items():
        for pattern, weight in row.items():
            for side in ("Left", "Right") if "*" in pattern else ("",):
                name = pattern.replace("*", side)
                half = 0 if name.endswith("Left") else 1 if name.endswith("Right") else 2
                tables[half, AU_INDEX[code], BLENDSHAPE_INDEX[name]] = weight
    return tables


_LEFT, _RIGHT, _BOTH = _tables()
_SHOWN = np.array([[side in Action(code).shown_sides for code in AU_CODES] for side in "LR"])


def blendshapes_from_aus(
    aus: Shaped[np.ndarray, "*batch 36"] | Sequence[float] | Iterable[str],
    *,
    strength: float = 1.0,
) -> Float[np.ndarray, "*batch 52"]:
    """Return the 52 weights, 0..1, of a face that shows the action units.

    Args:
        aus: AU vectors (one-hot, or strengths 0..1), or one face's units in FACS
            notation ("AU6", "AU12C", "L-AU14B"). A vector has no sides: units 30
            and 46 then act on the left.
        strength: multiplies every unit; 1 gives the peak of an expression, 0.6 to
            0.8 is nearer to captured speech.

    The rule: b = clip(sum of s M[a], 0, 1), where of units 25, 26 and 27 only the
    widest jaw counts; browDown times 0.6 where unit 1 acts against 4; no eyeWide
    on an eye more than half shut.

    Raises:
        ParseError: a notation is not one of the 36 units.
        ValueError: the vector is not 36 long, or a strength is outside 0..1.
    """
    if not isinstance(aus, np.ndarray):
        items = list(aus)
        if all(isinstance(item, str) for item in items):
            face = [parse_action(str(item)) for item in items]
            return np.squeeze(blendshapes_from_actions([face], strength=strength), axis=0)
        aus = np.array(items)
    if aus.shape[-1:] != (len(AU_CODES),):
        raise ValueError(f"AU vectors have {len(AU_CODES)} entries, got shape {aus.shape}")
    vectors = aus.astype(np.float64).reshape(-1, len(AU_CODES))
    left, right = (np.where(shown, vectors, 0) for shown in _SHOWN)
    weights = _combine(left, right, strength)
    return np.reshape(weights, (*aus.shape[:-1], len(BLENDSHAPES)))


def blendshapes_from_actions(
    faces: Iterable[Iterable[Action]], *, strength: float = 1.0, unmarked: float = 1.0
) -> Float[np.ndarray, "faces 52"]:
    """Return the weights of many faces, with the intensities and sides of their actions.

    Args:
        faces: the actions of each face.
        strength: multiplies every unit.
        unmarked: strength of an action without an intensity letter.
    """
    rows = [list(face) for face in faces]
    sides = np.zeros((2, len(rows), len(AU_CODES)))
    for row, actions in enumerate(rows):
        for action in actions:
            for half, side in enumerate("LR"):
                if side in action.shown_sides:
                    cell = (half, row, AU_INDEX[action.code])
                    sides[cell] = max(sides[cell], action.strength(unmarked))
    return _combine(sides[0], sides[1], strength)


def _combine(
    left: Float[np.ndarray, "faces 36"], right: Float[np.ndarray, "faces 36"], strength: float
) -> Float[np.ndarray, "faces 52"]:
    """Apply the combination rule to the strengths of both halves of the faces."""
    if not 0 < strength <= 1:
        raise ValueError(f"strength must be above 0 and at most 1, got {strength}")
    left, right = left * strength, right * strength
    both = np.maximum(left, right)  # (faces, units)
    if both.size and not (0 <= min(left.min(), right.min()) and both.max() <= 1):
        raise ValueError("AU strengths must lie in 0..1")
    weights = left @ _LEFT + right @ _RIGHT + both @ _BOTH  # (faces, weights)

    jaws = both[:, _JAW_DEGREES] * _BOTH[_JAW_DEGREES, _JAW_OPEN]
    weights[:, _JAW_OPEN] += jaws.max(axis=1, initial=0) - jaws.sum(axis=1)
    weights = weights.clip(0, 1)

    for half, brow in zip((left, right), _BROW_DOWN, strict=True):
        against = (both[:, AU_INDEX[1]] > 0) & (half[:, AU_INDEX[4]] > 0)
        weights[against, brow] *= _BROW_DOWN_WITH_INNER_UP
    for blink, wide in _LIDS:
        weights[weights[:, blink] > 0.5, wide] = 0
    return np.asarray(weights, np.float32)
