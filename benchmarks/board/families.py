"""Families of emotions: what marks of one colour and shape stand for."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["FAMILIES", "OTHER", "Family", "family_of"]


@dataclass(frozen=True)
class Family:
    """Emotions that are drawn alike.

    Attributes:
        name: as the legend has it.
        sources: the files of TEAD's grammar that name its emotions.
        colour: after Okabe & Ito (2008), told apart by colour-blind people too.
        corners: of its mark; 0 is a disc.
        turn: of the mark, in degrees; 0 has a corner on top.
        waist: of a star, how far out it reaches between its corners; 0 is a polygon.
    """

    name: str
    sources: tuple[str, ...]
    colour: str
    corners: int = 0
    turn: float = 0.0
    waist: float = 0.0


FAMILIES = (
    Family("joy, play", ("joy", "play"), "#e69f00"),
    Family("warmth, pride", ("warm",), "#cc79a7", 4),
    Family("surprise, thought", ("mind",), "#56b4e9", 3),
    Family("sadness, shame", ("low", "self"), "#0072b2", 3, 180.0),
    Family("fear", ("fear",), "#009e73", 4, 45.0),
    Family("anger", ("anger",), "#d55e00", 4, 45.0, 0.4),
    Family("disgust, contempt", ("disgust",), "#5f4b32", 6),
    Family("neutral", ("neutral",), "#9aa5ab"),
)

OTHER = Family("other tags", (), "#9aa5ab", 4, 0.0, 0.4)
"""Of tags that are not among the 105 emotions of the table."""

_NAMED = re.compile(r"^= (.+?) \d", re.MULTILINE)


def family_of(emotion: str) -> Family:
    """Return the family of a tag."""
    return _families().get(emotion, OTHER)


@cache
def _families() -> dict[str, Family]:
    folder = files("expclip.tead").joinpath("data/grammar")
    return {
        emotion: family
        for family in FAMILIES
        for source in family.sources
        for emotion in _NAMED.findall(folder.joinpath(f"{source}.txt").read_text("utf-8"))
    }
