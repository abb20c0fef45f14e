"""MEAD-3D as the second stage learns from it: faces, and the features of their pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from expclip.face import BLENDSHAPES
from expclip.face.errors import DataError
from expclip.models.encoders import ImageEncoder
from expclip.models.expclip.data import Choices, Pairs, split_by_hash
from expclip.models.features import FeatureCache, Progress
from expclip.tead.schema import content_hash

__all__ = ["ImageData", "read_mead3d"]

_BATCH = 256


@dataclass(frozen=True, eq=False)
class ImageData:
    """A MEAD-3D: its pairs by split, the features of its pictures, and what it is."""

    train: Pairs
    validation: Pairs
    test: Pairs
    features: Float[np.ndarray, "images features"]
    about: dict[str, Any]


def read_mead3d(
    folder: Path,
    encoder: ImageEncoder,
    cache: FeatureCache,
    *,
    validation: float,
    seed: int,
    progress: Progress | None = None,
) -> ImageData:
    """Return a MEAD-3D folder; pictures are encoded as they are read, and never kept.

    Where the folder has no split of its own for validation, a share of the training actors
    is held out; of a single actor, a share of the clips.

    Raises:
        DataError: the folder is no MEAD-3D, or one of its files is broken.
    """
    splits = {name: sorted(folder.glob(f"data/{name}-*.parquet")) for name in _SPLITS}
    paths = [path for name in _SPLITS for path in splits[name]]
    if not splits["train"] or not splits["test"]:
        raise DataError(f"{folder}: not a MEAD-3D (no data/train-*.parquet and test-*.parquet)")
    columns = ("id", "weights", "actor", "clip", "split")
    rows = [row for batch in _batches(paths, columns) for row in batch.to_pylist()]
    features = cache.encode_images(encoder, _pictures(paths), len(rows), progress)
    faces = _faces(rows, folder)
    names = np.array([row["split"] for row in rows])
    images = Choices.of([[place] for place in range(len(rows))])
    pairs = Pairs(faces, np.arange(len(rows)), np.ones(len(rows), bool), {"image": images})
    train, held = np.flatnonzero(names == "train"), np.flatnonzero(names == "validation")
    if not len(held):
        actors = [rows[row]["actor"] for row in train]
        of = "actor" if len(set(actors)) > 1 else "clip"
        kept, out = _hold_out([rows[row][of] for row in train], validation, seed)
        train, held = train[kept], train[out]
    about = {
        "pictures": "MEAD-3D",
        "content_sha256": content_hash(
            row["id"].encode() + face.tobytes() for row, face in zip(rows, faces, strict=True)
        ),
        "rows": {
            "train": len(train),
            "validation": len(held),
            "test": int((names == "test").sum()),
        },
    }
    test = pairs.of_rows(np.flatnonzero(names == "test"))
    return ImageData(pairs.of_rows(train), pairs.of_rows(held), test, features, about)


_SPLITS = ("train", "validation", "test")


def _hold_out(names: Sequence[str], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to keep and to hold out; with few names, one of them is held out."""
    try:
        return split_by_hash(names, share, seed)
    except DataError:
        last = np.array(names) == sorted(set(names))[-1]
        if last.all():
            raise
        return np.flatnonzero(~last), np.flatnonzero(last)


def _batches(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                missing = set(columns) - set(file.schema_arrow.names)
                if missing:
                    raise DataError(f"{path}: no column {', '.join(sorted(missing))}")
                yield from file.iter_batches(_BATCH, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a sound Parquet file ({error})") from None


def _pictures(paths: Sequence[Path]) -> Iterator[list[bytes]]:
    for batch in _batches(paths, ("image",)):
        images = batch.column("image").to_pylist()
        if not all(isinstance(image, dict) and image.get("bytes") for image in images):
            raise DataError(f"{paths[0].parent}: a row has no picture in it")
        yield [image["bytes"] for image in images]


def _faces(rows: Sequence[dict[str, Any]], folder: Path) -> Float[np.ndarray, "rows 52"]:
    try:
        faces = np.array([row["weights"] for row in rows], np.float32)
    except (TypeError, ValueError):
        faces = np.zeros((0, 0), np.float32)
    if faces.shape != (len(rows), len(BLENDSHAPES)) or not np.isfinite(faces).all():
        raise DataError(f"{folder}: weights are not {len(BLENDSHAPES)} finite numbers each")
    return faces.clip(0, 1)
