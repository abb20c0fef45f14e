"""The records of TEAD: a text from a corpus, its annotation, and the row they become."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int8

from expclip.face.action_units import Action, aus_from_codes

__all__ = ["Annotation", "SourceText"]


@dataclass(frozen=True)
class SourceText:
    """One emotional text of a corpus.

    Attributes:
        text: repaired, on one line.
        source: name of the corpus.
        labels: emotions given by the corpus' own annotators, if any.
        synthetic: made by a grammar, not written by a person or a language model.
    """

    text: str
    source: str
    labels: tuple[str, ...] = ()
    synthetic: bool = False

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits, a hash of source and text."""
        return hashlib.sha256(f"{self.source}\0{self.text}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Annotation:
    """What a reply says of a text (or what the offline annotator says).

    Attributes:
        emotions: tags, strongest first, lower case.
        actions: action units, in the order given.
        situations: sentences, each a situation that could cause the emotions.
        notes: what was found and set aside ("AU99: not one of the 36 action units").
    """

    emotions: tuple[str, ...]
    actions: tuple[Action, ...]
    situations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def au_codes(self) -> tuple[str, ...]:
        """The action units in FACS notation: "AU12", "AU12C", "L-AU14B"."""
        return tuple(str(action) for action in self.actions)

    @property
    def aus(self) -> Int8[np.ndarray, " units"]:
        """The action units as a one-hot vector (36)."""
        return aus_from_codes(self.au_codes)
