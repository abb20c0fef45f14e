"""Tasks whose answer is a face: given again, or made of a text."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from expclip.benchmarks.answers import Answers, face_id, text_id
from expclip.benchmarks.metrics.emotions import nearest_hits, prototype_faces
from expclip.benchmarks.metrics.reconstruction import (
    add_noise,
    face_variance,
    reconstruction_errors,
    text_face_errors,
)
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.task_data import Pairing, TeadData, hash_parts, text_key
from expclip.benchmarks.tasks.task import make_outcome
from expclip.face import BLENDSHAPES
from expclip.face.errors import DataError
from expclip.face.sequence import Sequence as FaceSequence
from expclip.tead.emotions import prototypes

__all__ = [
    "Faces",
    "Reconstruction",
    "TextRegression",
    "faces_of_sequences",
    "faces_of_tead",
]

_NOISES = (0.0, 0.01, 0.02, 0.05, 0.1)
"""Standard deviations of the noise on the input, in weights."""

_RECONSTRUCT = (("reconstruct",), ("encode_expression", "decode"))


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces to be given again, in groups that count as one query each.

    Attributes:
        source: begins the task's id, "tead" or "beat".
        keys: of the groups.
        clusters: of the groups.
        weights: rows or frames that each group stands for.
        faces: of all groups, one behind the other; 0..1.
        groups: the group of each face, ascending.
        channels: those that the data has.
    """

    source: str
    keys: tuple[str, ...]
    clusters: tuple[str, ...]
    weights: Float[np.ndarray, " groups"]
    faces: Float[np.ndarray, "faces 52"]
    groups: Int[np.ndarray, " faces"]
    channels: tuple[str, ...] = BLENDSHAPES

    @cached_property
    def sha256(self) -> str:
        """Hash of all of it."""
        words = "\0".join((*self.keys, *self.clusters, *self.channels))
        arrays = (self.weights.astype("<f8"), self.faces.astype("<f4"), self.groups.astype("<i8"))
        return hash_parts(words, *arrays)

    @property
    def face_keys(self) -> list[str]:
        """A distinct key for each face."""
        starts = np.searchsorted(self.groups, np.arange(len(self.keys)))
        return [
            f"{self.keys[group]}#{place - starts[group]}" for place, group in enumerate(self.groups)
        ]


def faces_of_tead(data: TeadData) -> Faces:
    """Return the distinct faces of the test split, each weighted by its rows.

    Clusters are the expressions: faces of the same action units count as alike.
    """
    rows = data.test
    distinct, where = np.unique(rows.faces.astype(np.float32), axis=0, return_inverse=True)
    counts = np.bincount(where.reshape(-1))
    unit_of = dict(zip(where.reshape(-1).tolist(), rows.expressions, strict=True))
    keys = [f"{unit_of[place]}@{face_id(face)}" for place, face in enumerate(distinct)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Faces(
        "tead",
        tuple(keys[place] for place in order),
        tuple(unit_of[place] for place in order),
        counts[order].astype(np.float64),
        distinct[order],
        np.arange(len(keys)),
    )


def faces_of_sequences(source: str, sequences: Sequence[tuple[str, str, FaceSequence]]) -> Faces:
    """Return the frames of clips, clipped to 0..1: a query a clip, weighted by its frames.

    Args:
        source: begins the task's id.
        sequences: name, cluster (the speaker, or again the name) and frames of each.

    Raises:
        DataError: two have one name, there is none, or they share no channel.
    """
    chosen = sorted(sequences, key=lambda item: item[0])
    names = [name for name, _, _ in chosen]
    if len(set(names)) != len(names) or not names:
        raise DataError(f"{source}: expected clips with names of their own, found {names[:3]}")
    missing = {channel for _, _, clip in chosen for channel in clip.missing}
    counts = [len(clip) for _, _, clip in chosen]
    return Faces(
        source,
        tuple(names),
        tuple(cluster for _, cluster, _ in chosen),
        np.array(counts, np.float64),
        np.concatenate([clip.weights for _, _, clip in chosen]).clip(0, 1).astype(np.float32),
        np.repeat(np.arange(len(chosen)), counts),
        tuple(name for name in BLENDSHAPES if name not in missing),
    )


@dataclass(frozen=True)
class Reconstruction:
    """Faces given again by a model that encodes and decodes them: the paper's Table 1.

    With noise, the model is given faces with Gaussian noise, and is to give those without:
    the value of the augmentation of faces, as a curve over its strength. Answers are judged
    as they are; ExpCLIP's own are within 0..1.

    `mse` is the mean over named weights, of rows (or frames). Notes: `variance`, the error of
    the mean of the tested faces; `mse_by_cluster`, each expression (or speaker) counted once.
    """

    faces: Faces
    noisy: bool = False

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        return TaskInfo(
            id=f"{self.faces.source}/reconstruction{'-noise' if self.noisy else ''}",
            version=1,
            title="Faces with noise, given again without" if self.noisy else "Faces given again",
            main=f"mse@{_NOISES[-2]:g}" if self.noisy else "mse",
            higher_is_better=False,
            needs=_RECONSTRUCT,
            data_sha256=self.faces.sha256,
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the errors."""
        model.require(self.info.needs)
        faces = self.faces
        shares = np.bincount(faces.groups, minlength=len(faces.keys))
        per_face = faces.weights[faces.groups] / shares[faces.groups]
        variance = face_variance(faces.faces, weights=per_face, channels=faces.channels)
        values = self._errors(model, variance)
        main = values[self.info.main]
        notes = {"variance": variance, "channels": len(faces.channels)}
        notes["mse_by_cluster"] = _by_cluster(main, faces.weights, faces.clusters)
        return make_outcome(faces.keys, faces.clusters, faces.weights, values, notes)

    def perfect(self) -> object:
        """Return a model that gives the faces without noise."""
        table: dict[str, Float[np.ndarray, " 52"]] = {}
        for sigma in _NOISES if self.noisy else _NOISES[:1]:
            noisy = self._input(sigma)
            table |= {
                face_id(given): face for given, face in zip(noisy, self.faces.faces, strict=True)
            }
        return Answers({"reconstruct": table}, name="perfect")

    def _input(self, sigma: float) -> Float[np.ndarray, "faces 52"]:
        faces = self.faces
        return add_noise(faces.faces, sigma, faces.face_keys).astype(np.float32)

    def _errors(self, model: Asked, variance: float) -> dict[str, Float[np.ndarray, " groups"]]:
        faces = self.faces
        if not self.noisy:
            found = model.reconstruct(faces.faces)
            errors = reconstruction_errors(
                faces.faces, found, channels=faces.channels, variance=variance
            )
            return {name: self._means(values) for name, values in errors.items()}
        curve = {}
        for sigma in _NOISES:
            found = model.reconstruct(self._input(sigma))
            errors = reconstruction_errors(faces.faces, found, channels=faces.channels)
            curve[f"mse@{sigma:g}"] = self._means(errors["mse"])
        return curve

    def _means(self, values: Float[np.ndarray, " faces"]) -> Float[np.ndarray, " groups"]:
        groups = self.faces.groups
        return np.asarray(np.bincount(groups, values) / np.bincount(groups))


def _by_cluster(
    values: Float[np.ndarray, " queries"],
    weights: Float[np.ndarray, " queries"],
    clusters: Collection[str],
) -> float:
    """Return the mean over clusters of their weighted means."""
    _, where = np.unique(np.array(list(clusters)), return_inverse=True)
    means = np.bincount(where, values * weights) / np.bincount(where, weights)
    return float(means.mean())


@dataclass(frozen=True, eq=False)
class TextRegression:
    """The face of a text, against all faces that the data has for it.

    One text may have several faces: no answer is better than their mean, and `floor` says
    what that one still misses. The main metric is `skill`: 0 for the mean face of the
    training split, 1 for the mean of each text's own faces.

    `emotion_hit` is how often the emotion of the face is one of the row's own tags; it is
    that of the nearest of all prototypes, by Euclidean distance, `neutral` a still face. Notes:
    `emotion ceiling`, what the rows' own faces get, which blend their tags (a model that gives
    the prototype of one tag gets more, and pays in `skill`); `emotion chance`, of a prototype
    drawn at random; `emotion commonest`, the share of rows with the commonest tag: one face
    for all texts gets no more.
    """

    data: TeadData

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        return TaskInfo(
            id="tead/t2e-regression",
            version=1,
            title="The face of a text, by its weights",
            main="skill",
            higher_is_better=True,
            needs=(("text_to_expression",), ("encode_text", "decode")),
            data_sha256=hash_parts(self.data.test.sha256, self._mean_face.astype("<f4")),
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the errors."""
        found = faces_of_texts(model, self.info, self._pairing.texts)
        counts = np.bincount(self._queries).astype(np.float64)
        rows = self.data.test.faces
        values = text_face_errors(
            rows, self._queries, found, mean_face=self._mean_face, weights=counts
        )
        hits = self._emotion_hits(found[self._queries])
        values["emotion_hit"] = np.bincount(self._queries, hits) / counts
        keys = self._pairing.text_keys
        notes = {
            "floor": float(np.average(values["floor"], weights=counts)),
            "rows": len(rows),
            "emotion ceiling": float(self._emotion_hits(rows).mean()),
            "emotion chance": float(self._tagged.mean()),
            "emotion commonest": float(self._tagged.mean(axis=0).max()),
        }
        return make_outcome(keys, keys, counts, values, notes)

    def perfect(self) -> object:
        """Return a model that gives each text the mean of its faces."""
        counts = np.bincount(self._queries)
        sums = np.zeros((len(counts), len(BLENDSHAPES)))
        np.add.at(sums, self._queries, self.data.test.faces.astype(np.float64))
        means = sums / counts[:, None]
        table = {text_id(text): mean for text, mean in zip(self._pairing.texts, means, strict=True)}
        return Answers({"text_to_expression": table}, name="perfect")

    @cached_property
    def _pairing(self) -> Pairing:
        return Pairing.of(self.data.test)

    @cached_property
    def _queries(self) -> Int[np.ndarray, " rows"]:
        """The place of each row's text among the distinct ones."""
        places = {key: place for place, key in enumerate(self._pairing.text_keys)}
        return np.array([places[key] for key in map(text_key, self.data.test.texts)])

    def _emotion_hits(self, faces: Float[np.ndarray, "rows 52"]) -> Float[np.ndarray, " rows"]:
        return nearest_hits(faces, prototype_faces(prototypes()), self._tagged, by_direction=False)

    @cached_property
    def _tagged(self) -> Bool[np.ndarray, "rows emotions"]:
        """Which of all emotions are among each row's tags."""
        tags = [{*joined.split(", ")} for joined in self.data.test.tags]
        return np.array([[emotion in own for emotion in prototypes()] for own in tags])

    @cached_property
    def _mean_face(self) -> Float[np.ndarray, " 52"]:
        return np.asarray(self.data.train.faces.astype(np.float64).mean(axis=0))


def faces_of_texts(
    model: Asked, info: TaskInfo, texts: Sequence[str]
) -> Float[np.ndarray, "texts 52"]:
    """Return the faces of texts, by the first way of a task that the model has."""
    if model.require(info.needs) == ("text_to_expression",):
        return model.text_to_expression(texts)
    return model.decode(model.encode_text(texts))
