"""The face of somebody who speaks: mouth, lids, brows, gaze, and an expression over it."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from expclip.face import BLENDSHAPE_INDEX, BLENDSHAPES
from expclip.models.speech.blinks import close_lids
from expclip.models.speech.phones import CONTROLS, Utterance, phone_table
from expclip.models.speech.sound import blend

__all__ = ["Manner", "make_manner", "move_face", "show_expression"]

_FADE_S = 0.05
"""How fast a phone's hold on the mouth fades beyond its ends: slower than in sound."""
_LEAD_S = 0.02
"""The mouth is ahead of the sound."""
_BLINK_S = (0.08, 0.16)
"""To close and to open."""

_SHAPES: dict[str, dict[str, float]] = {
    "jaw": {"jawOpen": 1.0},
    "seal": {"mouthPress*": 0.3, "mouthRollLower": 0.3, "mouthRollUpper": 0.25},
    "bite": {"mouthRollLower": 0.5, "mouthShrugUpper": 0.1},
    "spread": {"mouthStretch*": 0.55, "mouthSmile*": 0.2, "mouthDimple*": 0.15},
    "funnel": {"mouthFunnel": 1.0},
    "pucker": {"mouthPucker": 1.0},
    "lower": {"mouthLowerDown*": 1.0},
    "upper": {"mouthUpperUp*": 1.0},
    "tongue": {"tongueOut": 0.6},
}
"""What each of CONTROLS does to a face; ``*`` stands for both sides."""

_LIPS_SHARE = 0.45
"""Of an expression's shapes that the talking mouth lets through."""
_JAW_SHARE = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Manner:
    """How somebody's face moves.

    Attributes:
        reach: of jaw and lips against the usual.
        slant: of left against right, around 0.
        rest: what the face shows when nothing is shown, as a capture without calibration
            has it.
        brows: how far they go up with an accent.
        blinks_hz: how often the eyes are shut.
    """

    reach: Float[np.ndarray, " controls"]
    slant: float
    rest: Float[np.ndarray, " 52"]
    brows: float
    blinks_hz: float


def make_manner(rng: np.random.Generator) -> Manner:
    """Return a random manner."""
    rest = np.zeros(len(BLENDSHAPES))
    for name in (
        "browInnerUp",
        "browDown*",
        "eyeSquint*",
        "mouthFrown*",
        "mouthPress*",
        "cheekPuff",
    ):
        rest[_both(name)] = rng.uniform(0, 0.06)
    return Manner(
        reach=np.exp(rng.normal(0, 0.1, len(CONTROLS))),
        slant=float(rng.normal(0, 0.06)),
        rest=rest,
        brows=float(rng.uniform(0.05, 0.2)),
        blinks_hz=float(rng.uniform(0.15, 0.45)),
    )


def move_face(
    rng: np.random.Generator, said: Utterance, manner: Manner, times: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames 52"]:
    """Return the face of an utterance, no emotion shown; 0..1, float32."""
    mouth = _mouth(said, manner, times)
    weights = mouth @ _shapes()
    jaw, seal = (mouth[:, CONTROLS.index(name)] for name in ("jaw", "seal"))
    weights[:, BLENDSHAPE_INDEX["mouthClose"]] = jaw * seal
    weights += manner.rest
    weights += _brows(said, manner, times) + _eyes(rng, said, manner, times)
    for name, sign in (("Left", 1.0), ("Right", -1.0)):
        sided = [i for i, shape in enumerate(BLENDSHAPES) if shape.endswith(name)]
        weights[:, sided] *= 1 + sign * manner.slant
    weights += _tremor(rng, weights.shape)
    return np.asarray(weights.clip(0, 1), np.float32)


def show_expression(
    speech: Float[np.ndarray, "frames 52"],
    expression: Float[np.ndarray, " 52"],
    strength: float | Float[np.ndarray, " frames"] = 1.0,
) -> Float[np.ndarray, "frames 52"]:
    """Return a speaking face that shows an expression, too.

    Brows, eyes, cheeks and nose take it as it is; the mouth less than half of it, the jaw
    little, and none where the lips must be shut for the sound.
    """
    amount = np.broadcast_to(np.asarray(strength, np.float32), len(speech))[:, None]
    jaw = speech[:, [BLENDSHAPE_INDEX["jawOpen"]]]
    sealed = speech[:, [BLENDSHAPE_INDEX["mouthClose"]]] / np.maximum(jaw, 1e-3)
    through = 1 - (_parting() > 0) * np.clip(sealed, 0, 1)
    shown = speech + amount * expression * _shares() * through
    return np.asarray(shown.clip(0, 1), np.float32)


def _mouth(
    said: Utterance, manner: Manner, times: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames controls"]:
    """Return CONTROLS over time; a stressed vowel is wider, a hasty one does not get there."""
    targets = phone_table("mouth")[said.phones] * manner.reach
    seal, jaw = CONTROLS.index("seal"), CONTROLS.index("jaw")
    targets[:, jaw] *= 0.75 + 0.5 * said.stress
    grip = phone_table("grip")[said.phones]
    grips = np.repeat(grip[:, 2:], len(CONTROLS), axis=1)
    grips[:, jaw] = grip[:, 1]
    held = [CONTROLS.index(name) for name in ("bite", "tongue")]
    grips[:, held] = np.maximum(grip[:, 2:], 1.0)
    mouth = blend(said, targets, grips, times + _LEAD_S, _FADE_S)
    mouth[:, seal] = _sealed(said, times)
    parts = [CONTROLS.index(name) for name in ("lower", "upper", "funnel", "tongue")]
    mouth[:, parts] *= 1 - mouth[:, [seal]]
    return mouth


def _sealed(said: Utterance, times: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
    """Return how far the lips are shut, 0..1."""
    seal = phone_table("mouth")[said.phones][:, [CONTROLS.index("seal")]]
    closed = blend(said, seal, np.ones_like(seal), times + _LEAD_S, 0.03)[:, 0]
    smooth = np.clip(closed * 1.6, 0, 1)
    return np.asarray(smooth * smooth * (3 - 2 * smooth))


def _brows(
    said: Utterance, manner: Manner, times: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames 52"]:
    """Return brows that go up with strong accents."""
    middle = (said.bounds_s[:-1] + said.bounds_s[1:]) / 2
    accents = np.where(said.stress > 0.7, said.stress, 0.0)
    up = np.exp(-(((times[:, None] - middle) / 0.16) ** 2)) @ accents
    motion = np.zeros((len(times), len(BLENDSHAPES)))
    motion[:, _both("browInnerUp")] = manner.brows * np.minimum(up, 1)[:, None]
    motion[:, _both("browOuterUp*")] = 0.6 * manner.brows * np.minimum(up, 1)[:, None]
    return motion


def _eyes(
    rng: np.random.Generator, said: Utterance, manner: Manner, times: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames 52"]:
    """Return blinks, rather in pauses, and a gaze that jumps."""
    seconds = float(said.bounds_s[-1])
    blinks = rng.uniform(0, seconds, int(rng.poisson(manner.blinks_hz * seconds)))
    pauses = said.bounds_s[:-1][~said.spoken] + 0.1
    blinks = np.append(blinks, pauses[rng.random(len(pauses)) < 0.35])
    shut = close_lids(times[:, None] - blinks, *_BLINK_S).max(axis=1, initial=0)
    motion = np.zeros((len(times), len(BLENDSHAPES)))
    motion[:, _both("eyeBlink*")] = (0.9 * shut + 0.06)[:, None]
    jumps = np.sort(rng.uniform(0, seconds, int(rng.poisson(seconds * 0.8))))
    looks = rng.normal(0, 0.09, (len(jumps) + 1, 2))
    aside, down = looks[np.searchsorted(jumps, times, side="right")].T
    for names, look in (
        (("eyeLookOutLeft", "eyeLookInRight"), aside),
        (("eyeLookInLeft", "eyeLookOutRight"), -aside),
        (("eyeLookDown*",), down), (("eyeLookUp*",), -down),
    ):  # fmt: skip
        for name in names:
            motion[:, _both(name)] = look.clip(0, 1)[:, None]
    return motion


def _tremor(rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "frames 52"]:
    """Return what a capture adds: a little of everything, slowly."""
    noise = rng.normal(0, 0.012, (shape[0] + 2, shape[1]))
    return np.asarray((noise[:-2] + 2 * noise[1:-1] + noise[2:]) / 4)


def _both(name: str) -> list[int]:
    names = [name.replace("*", side) for side in ("Left", "Right")] if "*" in name else [name]
    return [BLENDSHAPE_INDEX[one] for one in names]


@cache
def _shapes() -> Float[np.ndarray, "controls 52"]:
    table = np.zeros((len(CONTROLS), len(BLENDSHAPES)))
    for row, control in enumerate(CONTROLS):
        for name, weight in _SHAPES[control].items():
            table[row, _both(name)] = weight
    return table


@cache
def _shares() -> Float[np.ndarray, " 52"]:
    """Return how much of an expression each shape takes."""
    shares = np.ones(len(BLENDSHAPES), np.float32)
    for index, name in enumerate(BLENDSHAPES):
        if name.startswith("mouth") or name == "tongueOut":
            shares[index] = _LIPS_SHARE
        elif name.startswith("jaw"):
            shares[index] = _JAW_SHARE
    return shares


@cache
def _parting() -> Float[np.ndarray, " 52"]:
    """Return 1 for the shapes that part the lips."""
    names = ("jawOpen", "mouthLowerDown*", "mouthUpperUp*", "mouthFunnel", "tongueOut")
    parting = np.zeros(len(BLENDSHAPES), np.float32)
    for name in names:
        parting[_both(name)] = 1
    return parting
