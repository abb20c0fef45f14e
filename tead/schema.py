"""The records of TEAD: a text from a corpus, its annotation, and the row they become."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int8

from expclip.face.action_units import ACTION_UNITS, Action, aus_from_codes
from expclip.face.blendshapes import BLENDSHAPES

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

__all__ = [
    "COLUMNS",
    "SPLITS",
    "Annotation",
    "SourceText",
    "content_hash",
    "features",
    "row_digest",
    "to_arrow",
]

SPLITS = ("train", "test")

COLUMNS: dict[str, str] = {
    "id": "hash of source and text, 16 hexadecimal digits",
    "text": "the emotional text",
    "source": "name of the corpus it comes from",
    "emotions": "3 to 5 tags, the strongest first",
    "au_codes": "action units in FACS notation, with intensity and side where given",
    "aus": f"the same as a 0/1 vector over {len(ACTION_UNITS)} units",
    "blendshapes": f"{len(BLENDSHAPES)} ARKit weights, 0..1",
    "situations": "1 to 3 situations that could cause the emotions",
    "split": "train or test, by hash of the normalised text",
    "labels": "emotions given by the corpus' own annotators, if any",
    "synthetic": "true if the text was made by a grammar",
    "llm": "what annotated the row",
    "prompt_version": "hash of the prompts, or version of the annotator",
    "reply_sha256": "hash of the replies that the annotation was read from",
    "attempts": "number of questions asked for the row",
}
"""What each column holds, in order."""


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


@dataclass(frozen=True)
class SourceText:
    """One emotional text of a corpus.

    Attributes:
        text: repaired, on one line.
        source: name of the corpus.
        labels: emotions given by the corpus' own annotators, if any.
        synthetic: made by a grammar, not written by a person or a language model.
        annotation: the corpus' own, where it has one.
    """

    text: str
    source: str
    labels: tuple[str, ...] = ()
    synthetic: bool = False
    annotation: Annotation | None = None

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits, a hash of source and text."""
        return hashlib.sha256(f"{self.source}\0{self.text}".encode()).hexdigest()[:16]


def features() -> datasets.Features:
    """Return the Hugging Face features of TEAD."""
    from datasets import Features, List, Value

    text, texts = Value("string"), List(Value("string"))
    special = {
        "emotions": texts,
        "au_codes": texts,
        "aus": List(Value("int8"), length=len(ACTION_UNITS)),
        "blendshapes": List(Value("float32"), length=len(BLENDSHAPES)),
        "situations": texts,
        "labels": texts,
        "synthetic": Value("bool"),
        "attempts": Value("int32"),
    }
    return Features({name: special.get(name, text) for name in COLUMNS})


def to_arrow(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as an Arrow table; vectors may be NumPy arrays."""
    import pyarrow as pa

    def column(name: str) -> pa.Array:
        values = [row[name] for row in rows]
        kind = schema.field(name).type
        if not pa.types.is_fixed_size_list(kind):
            return pa.array(values, kind)
        flat = np.asarray(values, kind.value_type.to_pandas_dtype()).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, kind.value_type), type=kind)

    return pa.Table.from_arrays([column(name) for name in schema.names], schema=schema)


def content_hash(digests: Iterable[bytes]) -> str:
    """Return a SHA-256 over the digests of rows, whatever their order or file format."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def row_digest(row: Mapping[str, Any]) -> bytes:
    """Return a SHA-256 over the content of one row."""
    words = {name: row[name] for name in COLUMNS if name not in ("aus", "blendshapes")}
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    digest.update(np.asarray(row["aus"], "<i1").tobytes())
    digest.update(np.asarray(row["blendshapes"], "<f4").tobytes())
    return digest.digest()
