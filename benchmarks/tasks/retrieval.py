"""Retrieval between texts and expressions of a TEAD, by five protocols.

class     distinct texts against distinct expressions; what is right is a relation of keys
graded    the same, with the overlap of action units as gain
diverse   256 expressions as different as can be, each with one text
batch32   the exact mean over random galleries of 32, comparable in kind to R-precision of
          text-to-motion papers
diagonal  row against row, as is common: duplicates count as wrong; printed, never ranked

In all of them a model that says the same to everything scores chance, and one that knows
the answers 1; in `diagonal` the latter has the `ceiling` of its notes.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from expclip.benchmarks.answers import Answers, face_id, text_id
from expclip.benchmarks.metrics.relevance import diverse_keys, jaccard_gains
from expclip.benchmarks.metrics.retrieval import QueryRanks, legacy_diagonal, rank_queries
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.task_data import Kind, Pairing, TeadData, au_key, hash_parts, text_key
from expclip.benchmarks.tasks.task import make_outcome
from expclip.face.errors import ModelError

__all__ = ["DiagonalRetrieval", "Direction", "Protocol", "TextRetrieval", "embed_pair"]

Direction = Literal["t2e", "e2t"]
Protocol = Literal["class", "graded", "diverse", "batch32"]

_WAYS = (("encode_text", "encode_expression"), ("text_to_expression",))
_MAIN = {"class": "R@1", "graded": "nDCG@10", "diverse": "R@1", "batch32": "batch32 R@1"}
_DIVERSE = 256
_ALIKE = 0.8
"""Jaccard of action units from which an expression counts as right in `graded`."""

_NEGATED = re.compile(r"\b(?:not|never|no|nobody|nothing|without|cannot|\w+n['’]t)\b")  # noqa: RUF001
_LONG_WORDS = 12


@dataclass(frozen=True, eq=False)
class _Links:
    """Distinct texts, distinct expressions, and a link for each pair that some row has."""

    texts: tuple[str, ...]
    faces: Float[np.ndarray, "expressions 52"]
    units: Int8[np.ndarray, "expressions 36"]
    text_keys: tuple[str, ...]
    face_keys: tuple[str, ...]
    text: Int[np.ndarray, " links"]
    face: Int[np.ndarray, " links"]
    rows: Int[np.ndarray, " links"]

    @classmethod
    def of(cls, data: TeadData, kind: Kind) -> "_Links":
        pairing = Pairing.of(data.test, kind)
        units = {au_key(row): row for row in np.unique(data.test.aus, axis=0)}
        text, face = np.array(list(pairing.links), np.int64).T
        return cls(
            pairing.texts,
            pairing.faces,
            np.array([units[key] for key in pairing.face_keys], np.int8),
            pairing.text_keys,
            pairing.face_keys,
            text,
            face,
            np.array(list(pairing.links.values()), np.int64),
        )

    def only(self, chosen: Int[np.ndarray, " some"]) -> "_Links":
        """Return the texts and expressions of some links, and all links among them."""
        texts, faces = np.unique(self.text[chosen]), np.unique(self.face[chosen])
        kept = np.isin(self.text, texts) & np.isin(self.face, faces)
        return _Links(
            tuple(self.texts[place] for place in texts),
            self.faces[faces],
            self.units[faces],
            tuple(self.text_keys[place] for place in texts),
            tuple(self.face_keys[place] for place in faces),
            np.searchsorted(texts, self.text[kept]),
            np.searchsorted(faces, self.face[kept]),
            self.rows[kept],
        )

    @property
    def keys(self) -> list[tuple[str, str]]:
        """The pair of keys of each link."""
        return [
            (self.text_keys[text], self.face_keys[face])
            for text, face in zip(self.text, self.face, strict=True)
        ]

    def sha256(self) -> str:
        """Return a hash of all of it."""
        arrays = (self.faces.astype("<f4"), self.units, self.text, self.face, self.rows)
        return hash_parts(json.dumps([self.texts, self.face_keys]), *arrays)


@dataclass(frozen=True, eq=False)
class TextRetrieval:
    """Which expression goes with a text (t2e), or which text with an expression (e2t).

    The model's embeddings are compared by cosine; a model that has none, but gives faces, by
    the Euclidean distance of the weights (the note `by` says which).

    A query is a distinct text, or expression, weighted by its rows. Notes: `chance` of the
    main metric, `MedR` (weighted), how much of the test split the training split knows, and
    the main metric of some slices.
    """

    data: TeadData
    direction: Direction
    protocol: Protocol = "class"
    kind: Kind = "text"

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        named = {"text": "text", "tags": "emotion tags", "situation": "situation"}[self.kind]
        way = f"{named} to expression" if self.direction == "t2e" else f"expression to {named}"
        suffix = "" if self.kind == "text" else f"-{self.kind}"
        return TaskInfo(
            id=f"tead/{self.direction}-{self.protocol}{suffix}",
            version=1,
            title=f"{way.capitalize()}, {self.protocol}",
            main=_MAIN[self.protocol],
            higher_is_better=True,
            needs=_WAYS,
            data_sha256=self._links.sha256(),
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the metrics of the protocol."""
        way = model.require(self.info.needs)
        ranks = self._rank(*embed_pair(model, self._links.texts, self._links.faces, self.direction))
        means, main = ranks.means(), self.info.main
        values = {name: found for name, found in ranks.values.items() if self._wants(name)}
        keys = [str(key) for key in ranks.keys]
        notes: dict[str, float | int | str] = {
            "by": "embeddings" if way == _WAYS[0] else "faces",
            "gallery": ranks.gallery,
            "chance": means[f"chance {main}"],
            "MedR": means["MedR"],
            **self._leaks,
        }
        for name, chosen in self._slices(keys).items():
            if chosen.any() and not chosen.all():
                mean = np.average(values[main][chosen], weights=ranks.weights[chosen])
                notes[f"{main} [{name}]"] = float(mean)
        return make_outcome(keys, keys, ranks.weights, values, notes)

    def perfect(self) -> object:
        """Return a model whose cosines stand in the order of the gains."""
        links = self._links
        gains = np.zeros((len(links.texts), len(links.faces)), np.float32)
        if self.protocol == "graded":
            every = jaccard_gains(
                links.units[links.face], links.units, self._link_texts, links.face_keys
            )
            first = np.unique(links.text, return_index=True)[1]
            gains[:] = every(first, np.arange(len(links.faces)))
        else:
            gains[links.text, links.face] = 1
        return _knowing(links.texts, links.faces, gains, self.direction)

    @cached_property
    def _links(self) -> _Links:
        links = _Links.of(self.data, self.kind)
        if self.protocol != "diverse":
            return links
        keys = [links.text_keys[place] for place in links.text]
        count = min(_DIVERSE, len(links.faces), len(links.texts))
        while True:
            try:
                return links.only(diverse_keys(links.units[links.face], count, keys))
            except ValueError:  # a text of several faces stands for one alone
                count -= 1

    @property
    def _link_texts(self) -> list[str]:
        return [self._links.text_keys[place] for place in self._links.text]

    def _rank(
        self, texts: Float[np.ndarray, "texts dim"], faces: Float[np.ndarray, "faces dim"]
    ) -> QueryRanks:
        """Return the ranks; the side of the texts has a row for each link."""
        links = self._links
        graded = self.protocol == "graded"
        gains = None
        if self.direction == "t2e":
            queries, query_keys = texts[links.text], self._link_texts
            gallery, gallery_keys = faces, list(links.face_keys)
            pairs, weights = links.keys, links.rows.astype(np.float64)
            units = links.units[links.face], links.units
        else:
            queries, query_keys = faces, list(links.face_keys)
            gallery, gallery_keys = texts[links.text], self._link_texts
            pairs = [(face, text) for text, face in links.keys]
            weights = np.asarray(np.bincount(links.face, links.rows), np.float64)
            units = links.units, links.units[links.face]
        if graded:
            gains = jaccard_gains(*units, query_keys, gallery_keys)
        return rank_queries(
            queries,
            gallery,
            query_keys,
            gallery_keys,
            relevant=None if graded else pairs,
            gains=gains,
            positive_gain=_ALIKE if graded else None,
            weights=weights,
        )

    def _wants(self, metric: str) -> bool:
        return metric.startswith("batch32") == (self.protocol == "batch32")

    @cached_property
    def _leaks(self) -> dict[str, int]:
        """How many tested texts, and expressions, some training row has too."""
        known = {text_key(text) for text, _ in self.data.train.prompts(self.kind)}
        return {
            "texts": len(self._links.texts),
            "texts in training": sum(key in known for key in self._links.text_keys),
            "expressions": len(self._links.faces),
            "expressions in training": sum(key in self._trained for key in self._links.face_keys),
        }

    @cached_property
    def _trained(self) -> frozenset[str]:
        return frozenset(self.data.train.expressions)

    def _slices(self, keys: list[str]) -> dict[str, Bool[np.ndarray, " queries"]]:
        """Return queries of one kind: of texts, expressions that training rows do not have."""
        if self.direction == "e2t":
            return {"unseen expression": np.array([key not in self._trained for key in keys])}
        seen: set[str] = set()
        for text, face in self._links.keys:
            if face in self._trained:
                seen.add(text)
        rows = self.data.test
        natural = {text_key(text) for text, row in rows.prompts(self.kind) if rows.natural[row]}
        return {
            "natural": np.array([key in natural for key in keys]),
            "unseen expression": np.array([key not in seen for key in keys]),
            "negated": np.array([bool(_NEGATED.search(key)) for key in keys]),
            "long": np.array([len(key.split()) > _LONG_WORDS for key in keys]),
        }


@dataclass(frozen=True, eq=False)
class DiagonalRetrieval:
    """Row against row, each expression right for its own row alone: for old tables.

    Notes: `ceiling`, what a perfect model gets, for copies of the right answer count as wrong.
    """

    data: TeadData
    direction: Direction

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        way = "Text to expression" if self.direction == "t2e" else "Expression to text"
        return TaskInfo(
            id=f"tead/{self.direction}-diagonal",
            version=1,
            title=f"{way}, row against row",
            main="R@1",
            higher_is_better=True,
            needs=_WAYS,
            data_sha256=self.data.test.sha256,
            ranked=False,
        )

    def measure(self, model: Asked) -> Outcome:
        """Return R@k and MRR of each row."""
        way = model.require(self.info.needs)
        rows = self.data.test
        texts, text_at = np.unique(np.array(rows.texts, object), return_inverse=True)
        faces, face_at = np.unique(rows.faces, axis=0, return_inverse=True)
        embedded = embed_pair(model, tuple(texts), faces, self.direction)
        sides = embedded[0][text_at], embedded[1][face_at.reshape(-1)]
        queries, gallery = sides if self.direction == "t2e" else sides[::-1]
        places = range(len(rows))
        ranks = rank_queries(queries, gallery, places, places)
        asked, known = text_at, face_at.reshape(-1)
        if self.direction == "e2t":
            asked, known = known, asked
        old = legacy_diagonal(queries, gallery, asked, known)
        means = ranks.means()
        notes = {
            "by": "embeddings" if way == _WAYS[0] else "faces",
            "gallery": ranks.gallery,
            "chance": means["chance R@1"],
            "ceiling": old["ceiling R@1"],
        }
        keys = [f"{place:07d}" for place in places]
        values = {name: ranks.values[name] for name in ("R@1", "R@5", "R@10", "MRR")}
        return make_outcome(keys, rows.text_keys, np.ones(len(rows)), values, notes)

    def perfect(self) -> object:
        """Return the model that knows all that can be known: which rows go together at all."""
        rows = self.data.test
        faces, where = np.unique(rows.faces, axis=0, return_inverse=True)
        texts = {text: place for place, text in enumerate(dict.fromkeys(rows.texts))}
        gains = np.zeros((len(texts), len(faces)), np.float32)
        gains[[texts[text] for text in rows.texts], where.reshape(-1)] = 1
        return _knowing(tuple(texts), faces, gains, self.direction)


def _knowing(
    texts: tuple[str, ...],
    faces: Float[np.ndarray, "faces 52"],
    gains: Float[np.ndarray, "texts faces"],
    direction: Direction,
) -> Answers:
    """Return a model whose cosines, for each query, stand in the order of the gains."""
    if direction == "t2e":  # an axis for each face
        said, shown = gains, np.eye(len(faces), dtype=np.float32)
    else:  # an axis for each set of gains that some text has
        kinds, where = np.unique(gains, axis=0, return_inverse=True)
        said = np.eye(len(kinds), dtype=np.float32)[where.reshape(-1)]
        shown = np.ascontiguousarray(kinds.T)
    tables = {
        "encode_text": dict(zip(map(text_id, texts), said, strict=True)),
        "encode_expression": dict(zip(map(face_id, faces), shown, strict=True)),
    }
    return Answers(tables, name="perfect")


def embed_pair(
    model: Asked,
    texts: tuple[str, ...],
    faces: Float[np.ndarray, "faces 52"],
    direction: Direction,
) -> tuple[Float[np.ndarray, "texts dim"], Float[np.ndarray, "faces dim"]]:
    """Return what texts and faces are compared by, as vectors whose cosine orders them.

    Raises:
        ModelError: the model's embeddings of texts and of faces differ in length.
    """
    if model.can.issuperset(_WAYS[0]):
        one, other = model.encode_text(texts), model.encode_expression(faces)
        if one.shape[1] != other.shape[1]:
            raise ModelError(
                f"{type(model.model).__name__}: encode_text gave {one.shape[1]} numbers and "
                f"encode_expression {other.shape[1]}, expected embeddings of one length"
            )
        return one, other
    found = model.text_to_expression(texts)
    if direction == "t2e":
        return _asking(found), _asked(faces)
    return _asked(found), _asking(faces)


def _asking(faces: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 54"]:
    """Return queries whose cosine with `_asked` faces falls with the Euclidean distance."""
    rows = np.asarray(faces, np.float64)
    return np.hstack([rows, np.full((len(rows), 1), -1.0), np.zeros((len(rows), 1))])


def _asked(faces: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 54"]:
    """Return w, |w|²/2, and what makes all of one length: q·w - |w|²/2 orders by |q - w|."""
    rows = np.asarray(faces, np.float64)
    half = np.square(rows).sum(axis=1, keepdims=True) / 2
    lengths = np.square(rows).sum(axis=1, keepdims=True) + np.square(half)
    return np.hstack([rows, half, np.sqrt(lengths.max() - lengths)])
