"""From words to pictures of faces: the paper's retrieval in MEAD-3D, in numbers."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.answers import Answers, image_id, name_image, text_id
from expclip.benchmarks.metrics.retrieval import rank_queries
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.task_data import hash_parts
from expclip.benchmarks.tasks.task import make_outcome
from expclip.face import BLENDSHAPES, blendshapes_from_aus
from expclip.face.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

__all__ = ["PictureRetrieval", "Pictures", "read_pictures", "smoke_pictures"]

_SPREAD = 1.0
"""s of the gain exp(-||w_q - w_g||² / s²): fixed, part of the task."""

_EMOTIONS = {
    "angry": "anger",
    "contempt": "contempt",
    "disgusted": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}
"""MEAD's emotions, and the prototypes of TEAD that are meant."""

_LEVELS = {1: "a slightly {} face", 2: "a {} face", 3: "a very {} face"}
_WORDS = {"contempt": "contemptuous", "fear": "frightened"}
_COLUMNS = ("id", "actor", "emotion", "level", "weights")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of a test split, by actor; the pictures themselves stay where they are."""

    ids: tuple[str, ...]
    actors: tuple[str, ...]
    emotions: tuple[str, ...]
    levels: tuple[int, ...]
    weights: Float[np.ndarray, "pictures 52"]
    places: tuple[tuple[Path, int], ...] = ()
    """File and row of each; none where `made` has them."""
    made: "tuple[Image, ...]" = ()

    def open(self, chosen: Sequence[int]) -> "list[Image]":
        """Return some pictures, in this order.

        Raises:
            DataError: one cannot be read.
        """
        if self.made:
            return [self.made[place] for place in chosen]
        return list(_open(self, chosen))


def read_pictures(folder: str | Path) -> Pictures:
    """Return the test split of a MEAD-3D folder.

    Raises:
        DataError: the folder is no MEAD-3D, or a file is broken.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("data/test-*.parquet"))
    if not paths:
        raise DataError(f"{folder}: not a MEAD-3D (no data/test-*.parquet)")
    rows: list[dict[str, Any]] = []
    for path in paths:
        first = len(rows)
        for batch in _batches(path, _COLUMNS):
            rows += [row | {"place": (path, len(rows) - first + n)}
                     for n, row in enumerate(batch.to_pylist())]  # fmt: skip
    rows = sorted(
        (row for row in rows if row["emotion"] in _EMOTIONS and row["level"] in _LEVELS),
        key=lambda row: str(row["id"]),
    )
    try:
        weights = np.array([row["weights"] for row in rows], np.float32)
    except (TypeError, ValueError):
        weights = np.zeros((0, 0), np.float32)
    if weights.shape != (len(rows), len(BLENDSHAPES)) or not np.isfinite(weights).all():
        raise DataError(f"{folder}: weights are not {len(BLENDSHAPES)} finite numbers each")
    if len({row["id"] for row in rows}) != len(rows):
        raise DataError(f"{folder}: two rows have one id")
    return Pictures(
        tuple(str(row["id"]) for row in rows),
        tuple(str(row["actor"]) for row in rows),
        tuple(str(row["emotion"]) for row in rows),
        tuple(int(row["level"]) for row in rows),
        weights.clip(0, 1),
        tuple(row["place"] for row in rows),
    )


def smoke_pictures() -> Pictures:
    """Return drawn faces: two actors, three emotions, two levels."""
    from PIL import Image

    cells = [(a, e, n) for a in ("M1", "W1") for e in ("angry", "happy", "sad") for n in (1, 3)]
    ids = [f"{actor}-{emotion}-{level}" for actor, emotion, level in cells]
    faces = np.array([_aim(emotion, level) for _, emotion, level in cells], np.float32)
    shades = np.linspace(30, 220, len(cells)).astype(int).tolist()
    made = [
        name_image(Image.new("RGB", (8, 8), (shade,) * 3), name)
        for name, shade in zip(ids, shades, strict=True)
    ]
    actors, emotions, levels = zip(*cells, strict=True)
    return Pictures(tuple(ids), actors, emotions, levels, faces, made=tuple(made))


@dataclass(frozen=True, eq=False)
class PictureRetrieval:
    """Which pictures of an actor show what a text says.

    A query is an emotion at a level, in words ("a very angry face"), of one actor; the
    gallery is that actor's pictures, the right ones those of emotion and level. Actors
    count alike. R@k saturates where a cell has many pictures: `R-Precision` is the main
    metric. `nDCG@10` has the gain exp(-||w - v||²), w the prototype's weights at the level,
    v the picture's.
    """

    data: Pictures

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        data = self.data
        words = json.dumps([data.ids, data.actors, data.emotions, data.levels])
        return TaskInfo(
            id="mead3d/t2i",
            version=1,
            title="Text to pictures of one actor",
            main="R-Precision",
            higher_is_better=True,
            needs=(("encode_text", "encode_image"),),
            data_sha256=hash_parts(words, data.weights.astype("<f4"), repr(sorted(self._texts))),
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the metrics of each actor's emotions and levels."""
        model.require(self.info.needs)
        said = sorted(self._texts)
        codes = dict(
            zip(said, model.encode_text([self._texts[cell] for cell in said]), strict=True)
        )
        keys: list[str] = []
        clusters: list[str] = []
        weights: list[float] = []
        values: dict[str, list[float]] = {}
        chance = []
        for actor in sorted(set(self.data.actors)):
            mine = [place for place, name in enumerate(self.data.actors) if name == actor]
            shown = model.encode_image(self.data.open(mine))
            cells = [(self.data.emotions[place], self.data.levels[place]) for place in mine]
            asked = sorted(set(cells))
            aims = np.array([_aim(*cell) for cell in asked])
            away = np.square(aims[:, None] - self.data.weights[mine][None]).sum(axis=2)
            ranks = rank_queries(
                np.array([codes[cell] for cell in asked]),
                shown,
                asked,
                [self.data.ids[place] for place in mine],
                relevant=[
                    (cell, self.data.ids[place]) for cell, place in zip(cells, mine, strict=True)
                ],
                gains=np.exp(-away / _SPREAD**2),
            )
            keys += [f"{actor}|{emotion}|{level}" for emotion, level in asked]
            clusters += [actor] * len(asked)
            weights += [1 / len(asked)] * len(asked)
            chance.append(float(ranks.chance["R-Precision"].mean()))
            for name in ("R-Precision", "mAP@R", "P@10", "R@1", "MRR", "nDCG@10"):
                values.setdefault(name, []).extend(ranks.values[name].tolist())
        notes = {"actors": len(chance), "pictures": len(self.data.ids)}
        columns = {name: np.array(column) for name, column in values.items()}
        return make_outcome(
            keys, clusters, weights, columns, notes | {"chance": float(np.mean(chance))}
        )

    def perfect(self) -> object:
        """Return a model with an axis for each emotion and level."""
        said = sorted(self._texts)
        axes = dict(zip(said, np.eye(len(said), dtype=np.float32), strict=True))
        texts = {text_id(self._texts[cell]): axis for cell, axis in axes.items()}
        data, images = self.data, {}
        for name, emotion, level in zip(data.ids, data.emotions, data.levels, strict=True):
            images[_named(name)] = axes[emotion, level]
        return Answers({"encode_text": texts, "encode_image": images}, name="perfect")

    @cached_property
    def _texts(self) -> dict[tuple[str, int], str]:
        cells = set(zip(self.data.emotions, self.data.levels, strict=True))
        return {(e, n): _LEVELS[n].format(_WORDS.get(e, e)) for e, n in cells}


def _aim(emotion: str, level: int) -> Float[np.ndarray, " 52"]:
    """Return the weights that an emotion at a level stands for."""
    from expclip.tead.emotions import prototypes

    units = [f"AU{code}" for code in prototypes()[_EMOTIONS[emotion]].units]
    return np.asarray(blendshapes_from_aus(units, strength=level / 3), np.float64)


def _named(name: str) -> str:
    from PIL import Image

    return image_id(name_image(Image.new("RGB", (1, 1)), name))


def _open(data: Pictures, chosen: Sequence[int]) -> "Iterator[Image]":
    """Yield pictures, each file read once, group by group."""
    from PIL import Image

    wanted: dict[Path, dict[int, int]] = {}
    for order, place in enumerate(chosen):
        path, row = data.places[place]
        wanted.setdefault(path, {})[row] = order
    found: dict[int, bytes] = {}
    for path, rows in wanted.items():
        first = 0
        for batch in _batches(path, ("image",)):
            images = batch.column("image")
            for row in range(first, first + len(batch)):
                if row in rows:
                    found[rows[row]] = images[row - first].as_py()["bytes"]
            first += len(batch)
    for order, place in enumerate(chosen):
        try:
            picture = Image.open(io.BytesIO(found[order])).convert("RGB")
        except (OSError, ValueError, TypeError, Image.DecompressionBombError) as error:
            told = " ".join(str(error).split())
            raise DataError(f"{data.places[place][0]}: a picture cannot be read: {told}") from None
        yield name_image(picture, data.ids[place])


def _batches(path: Path, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            missing = set(columns) - set(file.schema_arrow.names)
            if missing:
                raise DataError(f"{path}: no column {', '.join(sorted(missing))}")
            yield from file.iter_batches(256, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a sound Parquet file ({error})") from None
