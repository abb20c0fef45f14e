"""Emotions and the action units of their prototypical faces.

The table holds 105 emotions, all within the 36 units and free of hard conflicts. It
is a reconstruction from the published prototypes (EMFACS; Du, Tao & Martinez 2014;
Cordaro et al. 2018; Keltner et al. 2019), widened by judgement to the tags that
people and language models use.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Prototype", "label_synonyms", "matches_label", "prototypes"]


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


@cache
def label_synonyms() -> dict[str, frozenset[str]]:
    """Return, for labels that corpora use, the emotions of the table that mean the same."""
    text = files("expclip.tead").joinpath("data/label_synonyms.csv").read_text("utf-8")
    return {
        row["label"]: frozenset(row["emotions"].split(";"))
        for row in csv.DictReader(text.splitlines())
    }


def matches_label(tags: Iterable[str], labels: Iterable[str]) -> bool:
    """Tell whether a tag is one of a row's human labels, or a synonym of one."""
    named = {label.strip().lower() for label in labels}
    meant = named.union(*(label_synonyms().get(label, frozenset()) for label in named))
    return not meant.isdisjoint(tags)
