"""Emotions and the action units of their prototypical faces.

The table holds 105 emotions, all within the 36 units and free of hard conflicts. It
is a reconstruction from the published prototypes (EMFACS; Du, Tao & Martinez 2014;
Cordaro et al. 2018; Keltner et al. 2019), widened by judgement to the tags that
people and language models use.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Prototype", "prototypes"]


@dataclass(frozen=True, slots=True)
class Prototype:
    """The face of one emotion.

    Attributes:
        emotion: the tag, lower case.
        units: FACS codes that most faces of this emotion show.
        optional: codes that some of them show.
    """

    emotion: str
    units: tuple[int, ...]
    optional: tuple[int, ...]


@cache
def prototypes() -> dict[str, Prototype]:
    """Return the 105 prototypes by emotion, neutral first."""
    text = files("expclip.tead").joinpath("data/prototypes.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return {
        row["emotion"]: Prototype(
            row["emotion"],
            tuple(int(code) for code in row["units"].split("+") if code),
            tuple(int(code) for code in row["optional"].split()),
        )
        for row in rows
    }
