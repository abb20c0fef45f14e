"""The 36 facial action units of TEAD, and their notation.

Which 36 units the paper used is not known. These are a reconstruction: the 24
core units of the Facial Action Coding System, tongue, jaw, lip bite and puffed
cheeks, the lids, the wink and the four gaze directions. Each can be seen in one
still picture and shown by some ARKit blendshape.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8

from expclip.face.errors import ParseError

__all__ = [
    "ACTION_UNITS",
    "AU_CODES",
    "AU_INDEX",
    "HARD_PAIRS",
    "INTENSITIES",
    "Action",
    "ActionUnit",
    "aus_from_codes",
    "drop_conflicts",
    "find_conflicts",
    "parse_action",
]


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One action unit of FACS (Ekman, Friesen & Hager)."""

    code: int
    name: str
    description: str
    region: str  # "upper", "lower", "jaw", "lids" or "gaze"
    sided: bool  # can be shown on one half of the face alone


_TABLE = (
    (1, "inner brow raiser", "the inner ends of the brows go up", "upper", False),
    (2, "outer brow raiser", "the outer ends of the brows go up", "upper", True),
    (4, "brow lowerer", "the brows come down and together", "upper", True),
    (5, "upper lid raiser", "the upper lids lift: wide, staring eyes", "upper", True),
    (6, "cheek raiser", "the cheeks rise and crease the eye corners", "upper", True),
    (7, "lid tightener", "the lower lids tense and narrow the eyes", "upper", True),
    (9, "nose wrinkler", "the nose is wrinkled along its bridge", "lower", True),
    (10, "upper lip raiser", "the upper lip is lifted off the teeth", "lower", True),
    (11, "nasolabial deepener", "the fold from nose to mouth deepens", "lower", True),
    (12, "lip corner puller", "the mouth corners go back and up: a smile", "lower", True),
    (13, "sharp lip puller", "the mouth corners go straight up, cheeks bulge", "lower", True),
    (14, "dimpler", "the mouth corners are tightened inwards", "lower", True),
    (15, "lip corner depressor", "the mouth corners go down", "lower", True),
    (16, "lower lip depressor", "the lower lip goes down, lower teeth show", "lower", True),
    (17, "chin raiser", "the chin pushes the lower lip up", "lower", False),
    (18, "lip pucker", "the lips come forward, closed, as for a kiss", "lower", False),
    (19, "tongue show", "the tongue is seen between the lips", "jaw", False),
    (20, "lip stretcher", "the mouth corners go straight sideways", "lower", True),
    (22, "lip funneler", "the lips open outward into a ring, as for 'oh'", "lower", False),
    (23, "lip tightener", "the lips are made hard and thin", "lower", True),
    (24, "lip pressor", "the lips are pressed on each other", "lower", True),
    (25, "lips part", "the lips part, the jaw hardly moves", "jaw", False),
    (26, "jaw drop", "the jaw drops, relaxed", "jaw", False),
    (27, "mouth stretch", "the jaw is pulled wide open", "jaw", False),
    (28, "lip suck", "the lips are rolled in over the teeth", "lower", False),
    (29, "jaw thrust", "the lower jaw is pushed forward", "jaw", False),
    (30, "jaw sideways", "the lower jaw goes to one side", "jaw", True),
    (32, "lip bite", "the teeth hold the lower lip", "lower", False),
    (34, "cheek puff", "the cheeks are blown out, lips closed", "lower", False),
    (41, "lid droop", "the upper lids hang heavy", "lids", True),
    (43, "eyes closed", "both eyes are shut, without squeezing", "lids", False),
    (46, "wink", "one eye is shut, the other open", "lids", True),
    (61, "eyes turn left", "both eyes look to the person's own left", "gaze", False),
    (62, "eyes turn right", "both eyes look to the person's own right", "gaze", False),
    (63, "eyes up", "both eyes look up", "gaze", False),
    (64, "eyes down", "both eyes look down", "gaze", False),
)

ACTION_UNITS: tuple[ActionUnit, ...] = tuple(ActionUnit(*row) for row in _TABLE)
"""The 36 units; the position is the index in an AU vector."""

AU_CODES: tuple[int, ...] = tuple(unit.code for unit in ACTION_UNITS)
"""FACS codes in vector order."""

AU_INDEX: dict[int, int] = {code: index for index, code in enumerate(AU_CODES)}
"""From FACS code to vector index."""

INTENSITIES: dict[str, float] = {"A": 0.1, "B": 0.3, "C": 0.5, "D": 0.75, "E": 1.0}
"""FACS intensity letters, trace to maximum, read as weights (our reading)."""

_ONE_SIDE_ONLY = frozenset({30, 46})

HARD_PAIRS: frozenset[tuple[int, int]] = frozenset(
    pair
    for first, seconds in {
        5: (41, 43),
        10: (28,),
        16: (24, 28, 32, 34),
        18: (20, 27),
        19: (24, 28, 32, 34),
        22: (24, 28, 34),
        24: (25, 26, 27, 32),
        25: (34,),
        26: (27, 34),
        27: (32, 34),
        28: (32,),
        41: (43,),
        43: (46, 61, 62, 63, 64),
        61: (62,),
        63: (64,),
    }.items()
    for pair in ((first, second) for second in seconds)
)
"""Pairs of codes (lower first) that no face can show together.

Opposite gazes come from the FACS manual (table 9-1); the others follow from the
anatomy: one lid in two places, lips pressed and parted, air behind open lips.
"""


@dataclass(frozen=True, slots=True)
class Action:
    """One unit as scored on a face: "AU12", "AU12C", "L-AU14B".

    Raises:
        ValueError: the code is not one of the 36, the intensity not A to E, or
            the side not L or R, or given for a unit that has no sides.
    """

    code: int
    intensity: str | None = None  # "A" (trace) to "E" (maximum)
    side: str | None = None  # "L" or "R": the person's own left or right

    def __post_init__(self) -> None:
        if self.code not in AU_INDEX:
            raise ValueError(f"AU{self.code} is not one of the 36 action units")
        if self.intensity is not None and self.intensity not in INTENSITIES:
            raise ValueError(f"intensity must be A to E, got {self.intensity!r}")
        if self.side is not None and self.side not in ("L", "R"):
            raise ValueError(f"side must be L or R, got {self.side!r}")
        if self.side is not None and not self.unit.sided:
            raise ValueError(f"AU{self.code} ({self.unit.name}) has no sides")

    @property
    def unit(self) -> ActionUnit:
        """The unit that acts."""
        return ACTION_UNITS[AU_INDEX[self.code]]

    @property
    def shown_sides(self) -> str:
        """The sides on which it shows: "LR", "L" or "R" (left unless said, for 30 and 46)."""
        return self.side or ("L" if self.code in _ONE_SIDE_ONLY else "LR")

    def strength(self, unmarked: float = 1.0) -> float:
        """Return the weight of the intensity letter, ``unmarked`` where there is none."""
        return unmarked if self.intensity is None else INTENSITIES[self.intensity]

    def __str__(self) -> str:
        side = f"{self.side}-" if self.side else ""
        return f"{side}AU{self.code}{self.intensity or ''}"


_NOTATION = re.compile(r"(?:([LR])-?)?(?:AU)? ?(\d{1,2})([A-E])?", re.IGNORECASE)


def parse_action(notation: str) -> Action:
    """Parse one unit in FACS notation: "AU12", "12C", "L-AU14B", "R12".

    Raises:
        ParseError: it is not the notation of one of the 36 units.
    """
    match = _NOTATION.fullmatch(notation.strip())
    if match is None:
        raise ParseError("notation", f"{notation!r} is not an action unit like 'AU12C'")
    side, code, intensity = match.groups()
    try:
        return Action(int(code), intensity and intensity.upper(), side and side.upper())
    except ValueError as error:
        raise ParseError("unit", f"{notation!r}: {error}") from None


def aus_from_codes(codes: Iterable[str]) -> Int8[np.ndarray, " units"]:
    """Return the one-hot vector (36) of units in FACS notation.

    Raises:
        ParseError: a code is not the notation of one of the 36 units.
    """
    vector = np.zeros(len(AU_CODES), np.int8)
    for notation in codes:
        vector[AU_INDEX[parse_action(notation).code]] = 1
    return vector


def find_conflicts(codes: Iterable[int]) -> list[tuple[int, int]]:
    """Return the hard pairs among the codes, in ascending order."""
    present = set(codes)
    return sorted(pair for pair in HARD_PAIRS if present.issuperset(pair))


def drop_conflicts(
    actions: Sequence[Action],
) -> tuple[tuple[Action, ...], tuple[Action, ...]]:
    """Return (kept, dropped): of each hard pair the weaker action goes, or the later."""
    ranked = sorted(actions, key=lambda action: -action.strength())  # stable
    kept: list[Action] = []
    for action in ranked:
        if not find_conflicts([*(other.code for other in kept), action.code]):
            kept.append(action)
    return (
        tuple(action for action in actions if action in kept),
        tuple(action for action in actions if action not in kept),
    )
