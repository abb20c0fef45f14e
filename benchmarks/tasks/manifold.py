"""Is the space of expressions smooth: its neighbourhoods, and the ways between faces."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from expclip.benchmarks.answers import Answers, face_id
from expclip.benchmarks.metrics.manifold import (
    PATH_STEPS,
    Kind,
    far_pairs,
    interpolate,
    neighbour_purity,
    neighbourhood_metrics,
    path_metrics,
    path_points,
    perceptual_path_length,
)
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked, Skip
from expclip.benchmarks.task_data import TeadData, au_key, hash_parts
from expclip.benchmarks.tasks.faces import Faces, faces_of_tead
from expclip.benchmarks.tasks.task import make_outcome

__all__ = ["Neighbourhoods", "Paths"]

_NEIGHBOURS = 15
_PAIRS = 500
_KINDS: tuple[Kind, ...] = ("lerp", "slerp")

_FAR = 10.0
"""How far the perfect model's sphere is: from there the faces lie nearly in a plane."""


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Faces that are alike have embeddings that are alike, and the other way round.

    Embeddings are compared by cosine, faces by Euclidean distance; 15 neighbours, fewer
    where there are fewer than 31 faces. The perfect model has nearly 1.
    """

    data: TeadData

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        return TaskInfo(
            id="tead/neighbourhoods",
            version=1,
            title="Neighbours among faces are neighbours among embeddings",
            main="trustworthiness",
            higher_is_better=True,
            needs=(("encode_expression",),),
            data_sha256=self._faces.sha256,
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the metrics of each distinct face."""
        model.require(self.info.needs)
        faces = self._faces
        k = min(_NEIGHBOURS, (len(faces.keys) - 1) // 2)
        if k < 1:
            raise Skip(f"{len(faces.keys)} distinct faces, three are needed")
        found = model.encode_expression(faces.faces).astype(np.float64)
        unit = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        units = {au_key(row): row.astype(bool) for row in self.data.test.aus}
        shown = np.array([units[key] for key in faces.clusters])
        values = neighbourhood_metrics(faces.faces, unit, k) | neighbour_purity(unit, shown, k)
        return make_outcome(
            faces.keys, faces.clusters, np.ones(len(faces.keys)), values, {"neighbours": k}
        )

    def perfect(self) -> object:
        """Return a model whose embeddings are the faces, seen from afar."""
        rows = self._faces.faces
        seen = np.hstack([rows, np.full((len(rows), 1), _FAR, np.float32)])
        return Answers(
            {"encode_expression": dict(zip(map(face_id, rows), seen, strict=True))}, name="perfect"
        )

    @cached_property
    def _faces(self) -> Faces:
        return faces_of_tead(self.data)


@dataclass(frozen=True, eq=False)
class Paths:
    """From one face to another by way of the embeddings, decoded on 34 points.

    500 pairs of faces that are far apart. Metrics are those of straight lines between
    embeddings; with `slerp_` in front, of turns. A decoder that gives one face everywhere
    goes nowhere, and has the worst.
    """

    data: TeadData

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        return TaskInfo(
            id="tead/paths",
            version=1,
            title="Decoded ways between faces",
            main="path_ratio",
            higher_is_better=False,
            needs=(("encode_expression", "decode"),),
            data_sha256=hash_parts(self._faces.sha256, self._pairs.astype("<i8")),
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the metrics of each pair."""
        model.require(self.info.needs)
        if not len(self._pairs):
            raise Skip("no two faces differ")
        faces = self._faces.faces
        codes = model.encode_expression(faces)
        ends = [codes[side].astype(np.float64) for side in self._pairs.T]
        shown = [faces[side].astype(np.float64) for side in self._pairs.T]
        keys = ["|".join(self._faces.keys[place] for place in pair) for pair in self._pairs]
        steps = np.linspace(0, 1, PATH_STEPS + 1)[None]
        values: dict[str, Float[np.ndarray, " pairs"]] = {}
        for kind in _KINDS:
            prefix = "" if kind == "lerp" else f"{kind}_"
            points = interpolate(ends[0], ends[1], steps, kind)
            here, there = path_points(ends[0], ends[1], keys, kind=kind)
            decoded = _decode(model, points)
            found = path_metrics(decoded, shown[0], shown[1])
            found |= perceptual_path_length(model.decode(here), model.decode(there))
            values |= {f"{prefix}{name}": rows for name, rows in found.items()}
        clusters = [self._faces.clusters[first] for first, _ in self._pairs]
        notes = {"pairs": len(keys), "points": PATH_STEPS + 1}
        return make_outcome(keys, clusters, np.ones(len(keys)), values, notes)

    def perfect(self) -> object:
        """Return a model whose embeddings are the faces: it goes straight."""
        return _Identity()

    @cached_property
    def _faces(self) -> Faces:
        return faces_of_tead(self.data)

    @cached_property
    def _pairs(self) -> Int[np.ndarray, "pairs 2"]:
        return far_pairs(self._faces.faces, self._faces.keys, _PAIRS)


class _Identity:
    name = "perfect"

    def encode_expression(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 52"]:
        return weights

    def decode(self, embeddings: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 52"]:
        return embeddings


def _decode(
    model: Asked, points: Float[np.ndarray, "pairs points dim"]
) -> Float[np.ndarray, "pairs points 52"]:
    found = model.decode(points.reshape(-1, points.shape[2]))
    return found.reshape(*points.shape[:2], -1).astype(np.float64)
