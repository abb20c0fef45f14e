"""Tasks that ask what a text means: against human labels, and when it is said otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from expclip.benchmarks.answers import Answers, face_id, text_id
from expclip.benchmarks.metrics.emotions import nearest_hits, prototype_faces
from expclip.benchmarks.metrics.retrieval import rank_queries
from expclip.benchmarks.metrics.robustness import (
    TextVariants,
    face_shift,
    flip_rate,
    robustness_metrics,
    vary_texts,
)
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.task_data import Pairing, TeadData, hash_parts
from expclip.benchmarks.tasks.faces import faces_of_texts
from expclip.benchmarks.tasks.retrieval import embed_pair
from expclip.benchmarks.tasks.task import make_outcome
from expclip.face.errors import DataError

__all__ = ["HumanLabels", "LabelledTexts", "Robustness", "read_labels", "smoke_labels"]

_NEUTRAL = "neutral"
_FACES = (("text_to_expression",), ("encode_text", "decode"))
_ROBUST_TEXTS = 500


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Texts, and which of the 28 labels of GoEmotions people gave each."""

    texts: tuple[str, ...]
    labels: Bool[np.ndarray, "texts 28"]


def read_labels(path: str | Path) -> LabelledTexts:
    """Return the labelled texts of a file: GoEmotions' own tsv, or any with its labels.

    Raises:
        DataError: the file is missing or broken, or has no such label.
    """
    from expclip.tead import read_corpus
    from expclip.tead.corpora.readers import GO_EMOTIONS

    rows = [
        (row.text, [name in row.labels for name in GO_EMOTIONS])
        for row in read_corpus([str(path)]).texts
    ]
    known = sorted(row for row in rows if any(row[1]))
    if not known:
        raise DataError(f"{path}: has no label of GoEmotions' 28 (admiration, amusement, ...)")
    return LabelledTexts(tuple(text for text, _ in known), np.array([row for _, row in known]))


def smoke_labels() -> LabelledTexts:
    """Return a sentence for each label that has a face."""
    from expclip.tead.corpora.readers import GO_EMOTIONS

    texts = sorted(f"I feel {name} today" for name in GO_EMOTIONS)
    return LabelledTexts(
        tuple(texts), np.array([[name in text.split() for name in GO_EMOTIONS] for text in texts])
    )


@dataclass(frozen=True, eq=False)
class HumanLabels:
    """Does the face of a text show what people say the text expresses?

    The answer of a face is the label whose prototypical face is nearest; it is right if it is
    one of the text's labels, and shared where labels have one face. Of all texts: by Euclidean
    distance among all labels, `neutral` a still face. With feeling: of the texts that have a
    label other than neutral, by cosine, among the 27.

    Notes: `ceiling`, what the nearest prototypes themselves get; `chance`.
    """

    data: LabelledTexts
    with_feeling: bool = True

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        of = "with a feeling" if self.with_feeling else "of all kinds"
        return TaskInfo(
            id="goemotions/labels" if self.with_feeling else "goemotions/labels-all",
            version=1,
            title=f"Faces of texts {of} against human labels",
            main="hit",
            higher_is_better=True,
            needs=_FACES,
            data_sha256=hash_parts(
                "\0".join(self._texts), self._right, self._prototypes.astype("<f4")
            ),
        )

    def measure(self, model: Asked) -> Outcome:
        """Return how often the nearest label is right."""
        hits = self._hits(faces_of_texts(model, self.info, self._texts))
        chance = self._right.mean(axis=1)
        notes = {
            "chance": float(chance.mean()),
            "ceiling": float(self._hits(self._best_faces).mean()),
            "texts": len(self._texts),
        }
        keys = [text_id(text) for text in self._texts]
        return make_outcome(keys, keys, np.ones(len(keys)), {"hit": hits}, notes)

    def perfect(self) -> object:
        """Return a model that gives a prototype of a right label."""
        table = dict(zip(map(text_id, self._texts), self._best_faces, strict=True))
        return Answers({"text_to_expression": table}, name="perfect")

    @cached_property
    def _names(self) -> list[str]:
        from expclip.tead.corpora.readers import GO_EMOTIONS

        return [name for name in GO_EMOTIONS if not (self.with_feeling and name == _NEUTRAL)]

    @cached_property
    def _columns(self) -> list[int]:
        from expclip.tead.corpora.readers import GO_EMOTIONS

        return [GO_EMOTIONS.index(name) for name in self._names]

    @cached_property
    def _chosen(self) -> Int[np.ndarray, " texts"]:
        return np.flatnonzero(self.data.labels[:, self._columns].any(axis=1))

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return tuple(self.data.texts[place] for place in self._chosen)

    @cached_property
    def _right(self) -> Bool[np.ndarray, "texts labels"]:
        return np.asarray(self.data.labels[self._chosen][:, self._columns])

    @cached_property
    def _prototypes(self) -> Float[np.ndarray, "labels 52"]:
        return prototype_faces(self._names)

    @cached_property
    def _best_faces(self) -> Float[np.ndarray, "texts 52"]:
        """The prototype, of each text's labels, that is shared with the fewest wrong ones."""
        own = np.array(
            [self._hits(np.tile(face, (len(self._texts), 1))) for face in self._prototypes]
        )
        return np.asarray(self._prototypes[own.argmax(axis=0)])

    def _hits(self, faces: Float[np.ndarray, "texts 52"]) -> Float[np.ndarray, " texts"]:
        return nearest_hits(faces, self._prototypes, self._right, by_direction=self.with_feeling)


@dataclass(frozen=True, eq=False)
class Robustness:
    """The expression of a text, found again when the text is said in other words.

    Of 500 test texts, chosen by hash, each is asked as it is and in fixed variants (see
    `expclip.benchmarks.metrics.robustness`); the score is the reciprocal rank of the right
    expression among all of the test split. The main metric is the worst variant's.
    """

    data: TeadData

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        said = "\0".join("\0".join(row) for row in self._variants.texts)
        return TaskInfo(
            id="tead/robustness",
            version=1,
            title="Text to expression, the text said otherwise",
            main="worst",
            higher_is_better=True,
            needs=(("encode_text", "encode_expression"), ("text_to_expression",)),
            data_sha256=hash_parts(
                said,
                "\0".join(self._texts),
                repr(self._relevant),
                self._pairing.faces.astype("<f4"),
            ),
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the score of the texts, of their variants, and what changes."""
        model.require(self.info.needs)
        said = [(text, *row) for text, row in zip(self._texts, self._variants.texts, strict=True)]
        flat = tuple(text for row in said for text in row)
        texts, faces = embed_pair(model, flat, self._pairing.faces, "t2e")
        asked = [(place, which) for place, row in enumerate(said) for which in range(len(row))]
        relevant = [(key, face) for key in asked for face in self._relevant[key[0]]]
        ranks = rank_queries(texts, faces, asked, range(len(faces)), relevant=relevant)
        score = ranks.values["MRR"].reshape(len(said), -1)  # (texts, 1 + variants)
        changed = self._variants.changed
        values = robustness_metrics(score[:, 0], score[:, 1:], changed, higher_is_better=True)
        first = _nearest(texts, faces).reshape(len(said), -1)
        values |= flip_rate(first[:, 0], first[:, 1:], changed)
        if any(model.can.issuperset(way) for way in _FACES):
            moved = self._faces(model, flat).reshape(len(said), -1, self._pairing.faces.shape[1])
            values |= face_shift(moved[:, 0], moved[:, 1:], changed)
        notes: dict[str, float | int | str] = {
            "variants": len(self._variants.names),
            "chance": ranks.means()["chance MRR"],
        }
        for place, name in enumerate(self._variants.names):
            if changed[:, place].any():
                notes[f"MRR [{name}]"] = float(score[changed[:, place], place + 1].mean())
        keys = [text_id(text) for text in self._texts]
        return make_outcome(keys, keys, np.ones(len(keys)), values, notes)

    def perfect(self) -> object:
        """Return a model that knows the expressions of every variant."""
        axes = np.eye(len(self._pairing.faces), dtype=np.float32)
        texts: dict[str, Float[np.ndarray, " axes"]] = {}
        for row, known in zip(self._variants.texts, self._relevant, strict=True):
            texts |= dict.fromkeys(map(text_id, row), axes[list(known)].sum(axis=0))
        for text, known in zip(self._texts, self._relevant, strict=True):
            texts[text_id(text)] = axes[list(known)].sum(axis=0)
        faces = dict(zip(map(face_id, self._pairing.faces), axes, strict=True))
        return Answers({"encode_text": texts, "encode_expression": faces}, name="perfect")

    @cached_property
    def _pairing(self) -> Pairing:
        return Pairing.of(self.data.test)

    @cached_property
    def _chosen(self) -> list[int]:
        """Places of the texts: those whose hashes sort first."""
        places = range(len(self._pairing.texts))
        first = sorted(places, key=lambda place: text_id(f"robust\0{self._pairing.texts[place]}"))
        return sorted(first[:_ROBUST_TEXTS])

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return tuple(self._pairing.texts[place] for place in self._chosen)

    @cached_property
    def _relevant(self) -> tuple[tuple[int, ...], ...]:
        """The expressions of each text."""
        known: dict[int, list[int]] = {place: [] for place in self._chosen}
        for text, face in self._pairing.links:
            if text in known:
                known[text].append(face)
        return tuple(tuple(known[place]) for place in self._chosen)

    @cached_property
    def _variants(self) -> TextVariants:
        """The variants; those do not count that say what another text says in earnest."""
        made = vary_texts(self._texts)
        meant: dict[str, set[tuple[int, ...]]] = {}
        for text, row, known in zip(self._texts, made.texts, self._relevant, strict=True):
            for said in (text, *row):
                meant.setdefault(said, set()).add(known)
        clear = [[len(meant[said]) == 1 for said in row] for row in made.texts]
        return replace(made, changed=made.changed & np.array(clear))

    def _faces(self, model: Asked, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        if "text_to_expression" in model.can:
            return model.text_to_expression(texts)
        return model.decode(model.encode_text(texts))


def _nearest(
    texts: Float[np.ndarray, "texts dim"], faces: Float[np.ndarray, "faces dim"]
) -> Int[np.ndarray, " texts"]:
    """Return the face of the highest cosine; of equals, the first."""
    sides = [
        side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
        for side in (texts.astype(np.float64), faces.astype(np.float64))
    ]
    return np.asarray(np.round(sides[0] @ sides[1].T, 6).argmax(axis=1))
