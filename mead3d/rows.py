"""Rows of MEAD-3D: from frames of clips to picture and weights, one task at a time."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from expclip.face.blendshapes import BLENDSHAPES
from expclip.face.errors import ModelError
from expclip.face.mesh import Basis
from expclip.mead3d.fit import FitOptions, fit_meshes
from expclip.mead3d.frames import FrameId, split_of
from expclip.mead3d.index import Clip
from expclip.mead3d.reconstruct import Box, Reconstruction, Reconstructor, Shot
from expclip.mead3d.video import read_pictures

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

__all__ = ["COLUMNS", "REJECT_COLUMNS", "Job", "PictureOptions", "Task", "features", "row_digest"]

COLUMNS: dict[str, str] = {
    "id": "hash of clip and frame, 16 hexadecimal digits",
    "image": "the face, or the whole picture where no box around the face is known",
    "weights": f"{len(BLENDSHAPES)} ARKit blendshape weights",
    "actor": "M or W and a number",
    "emotion": "one of eight, as MEAD names them",
    "level": "intensity, 1 to 3; neutral has only 1",
    "view": "camera: front, top, down, left_30, left_60, right_30, right_60, or unknown",
    "residual": "root mean square distance of fitted and given vertices, in the unit of the "
    "mesh; none where the weights were not fitted",
    "clip": "of the frame: actor, view, emotion, level, number",
    "frame": "number within the clip, from 0",
    "split": "train, validation or test",
    "source": "path of the clip within MEAD",
    "reconstructor": "what found the face",
}
"""What each column holds, in order."""

_MOST_SCALE = 5.0  # between one face and another; units differ by 10 at least

REJECT_COLUMNS = ("id", "clip", "frame", "source", "reason", "message")
"""Of frames without a face, as strings; the frame as a number."""


@dataclass(frozen=True)
class PictureOptions:
    """How pictures are kept.

    Attributes:
        size: the longer side, in pixels, is made no longer than this; 0 leaves it.
        crop: to a square around the face, where its box is known.
        margin: of that square, as a share of the box on each side.
        quality: of JPEG.
    """

    size: int = 512
    crop: bool = True
    margin: float = 0.3
    quality: int = 95

    def __post_init__(self) -> None:
        if self.size and not 16 <= self.size <= 8192:
            raise ValueError(f"size must be 0, or 16 to 8192, got {self.size}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must be 1 to 100, got {self.quality}")
        if not 0 <= self.margin <= 4:
            raise ValueError(f"margin must be 0 to 4, got {self.margin}")


@dataclass(frozen=True)
class Task:
    """Frames that are done in one go: clips, and the numbers of their frames."""

    number: int
    clips: tuple[tuple[Clip, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Job:
    """What is done with every task; it is sent to other processes.

    Attributes:
        root: of the index.
        reconstructor: finds the face.
        basis: that meshes are fitted with; None where there are none.
        fit: how.
        picture: how pictures are kept.
        split: name of the split, as `split_of` takes it.
        seed: of the split.
    """

    root: Path
    reconstructor: Reconstructor
    basis: Basis | None
    fit: FitOptions
    picture: PictureOptions
    split: str
    seed: int

    def __call__(self, task: Task) -> bytes:
        """Return the task's rows, and its frames without a face, as a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = []
        fitted: list[tuple[dict[str, Any], Reconstruction]] = []
        for clip, numbers in task.clips:
            for row, found in self._clip(clip, numbers):
                rows.append(row)
                if found.vertices is not None:
                    fitted.append((row, found))
        self._fit(fitted)
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, _task_schema()), file, compression="zstd")
        return file.getvalue()

    def _clip(
        self, clip: Clip, numbers: Sequence[int]
    ) -> list[tuple[dict[str, Any], Reconstruction]]:
        """Return a row for each frame of a clip; fitted weights are still missing."""
        pictures = read_pictures(self.root, clip, numbers)
        shots = [
            Shot(clip, number, picture)
            for number in numbers
            if not isinstance(picture := pictures[number], str)
        ]
        reconstructed = self.reconstructor.reconstruct(shots) if shots else []
        if len(reconstructed) != len(shots):
            raise ModelError(
                f"{self.reconstructor.name}: {len(reconstructed)} reconstructions of "
                f"{len(shots)} frames of {clip.id}"
            )
        found = {shot.number: item for shot, item in zip(shots, reconstructed, strict=True)}
        for number, picture in pictures.items():
            if isinstance(picture, str):
                found[number] = Reconstruction(reason="picture", message=picture)
        return [(self._row(clip, n, pictures[n], found[n]), found[n]) for n in numbers]

    def _row(self, clip: Clip, number: int, picture: Any, found: Reconstruction) -> dict[str, Any]:
        frame = FrameId(clip.id, number)
        label = clip.label
        row: dict[str, Any] = {
            "id": frame.id,
            "image": None,
            "weights": None,
            "actor": label.actor,
            "emotion": label.emotion,
            "level": label.level,
            "view": label.view,
            "residual": None,
            "clip": clip.id,
            "frame": number,
            "split": split_of(frame, label.actor, by=self.split, seed=self.seed),
            "source": clip.path,
            "reconstructor": self.reconstructor.name,
            "reason": found.reason,
            "message": found.message,
        }
        if found.reason:
            return row
        if found.weights is not None:
            if not np.isfinite(found.weights).all():
                return row | {"reason": "weights", "message": "a weight is no finite number"}
            row["weights"] = np.asarray(found.weights, np.float32)
        row["image"] = _keep(self.root, clip, number, picture, found.box, self.picture, frame.id)
        return row

    def _fit(self, fitted: Sequence[tuple[dict[str, Any], Reconstruction]]) -> None:
        """Put weights and residuals into the rows of frames with a mesh."""
        if not fitted:
            return
        if self.basis is None:
            raise ModelError(f"{self.reconstructor.name} gives meshes: a basis is needed")
        groups: dict[bytes, list[tuple[dict[str, Any], Reconstruction]]] = {}
        for row, found in fitted:
            assert found.vertices is not None
            if told := _unlike(found.vertices, self.basis.neutral):
                row.update(_refused("mesh", told))
                continue
            key = b"" if found.neutral is None else found.neutral.tobytes()
            groups.setdefault(key, []).append((row, found))
        for group in groups.values():
            self._solve(group)

    def _solve(self, group: Sequence[tuple[dict[str, Any], Reconstruction]]) -> None:
        """Fit frames that are measured from the same neutral face."""
        assert self.basis is not None
        neutral = group[0][1].neutral
        fit = fit_meshes(
            np.stack([found.vertices for _, found in group if found.vertices is not None]),
            self.basis.deltas,
            replace(self.fit, positions=True),
            neutral=self.basis.neutral if neutral is None else neutral,
        )
        for (row, _), weights, rms in zip(group, fit.weights, fit.rms, strict=True):
            if not np.isfinite(weights).all():
                row.update(_refused("fit", "no weights: too few vertices are finite"))
                continue
            row["weights"] = weights.astype(np.float32)
            row["residual"] = float(rms)


def features() -> datasets.Features:
    """Return the Hugging Face features of MEAD-3D."""
    from datasets import Features, Image, List, Value

    special = {
        "image": Image(),
        "weights": List(Value("float32"), length=len(BLENDSHAPES)),
        "level": Value("int8"),
        "residual": Value("float32"),
        "frame": Value("int32"),
    }
    return Features({name: special.get(name, Value("string")) for name in COLUMNS})


def _task_schema() -> pa.Schema:
    """Return the columns of a task's file; `datasets` would take seconds in each worker."""
    import pyarrow as pa

    special = {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "weights": pa.list_(pa.float32(), len(BLENDSHAPES)),
        "level": pa.int8(),
        "residual": pa.float32(),
        "frame": pa.int32(),
    }
    names = (*COLUMNS, "reason", "message")
    return pa.schema([(name, special.get(name, pa.string())) for name in names])


def row_digest(row: Mapping[str, Any]) -> bytes:
    """Return a SHA-256 over the content of one row."""
    plain = {name: row[name] for name in COLUMNS if name not in ("image", "weights", "residual")}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    numbers = [*row["weights"], np.nan if row["residual"] is None else row["residual"]]
    digest.update(np.asarray(numbers, "<f4").tobytes())
    digest.update(row["image"]["bytes"])
    return digest.digest()


def _unlike(vertices: np.ndarray, neutral: np.ndarray) -> str:
    """Return why a mesh cannot be one of the basis' face, or nothing."""
    if vertices.shape != neutral.shape:
        return f"{len(vertices)} vertices, the basis has {len(neutral)}"
    with np.errstate(invalid="ignore"):
        wide = np.nanmax(vertices, axis=0) - np.nanmin(vertices, axis=0)
    ratio = float(wide.max() / np.ptp(neutral, axis=0).max())
    if not 1 / _MOST_SCALE < ratio < _MOST_SCALE:
        return f"{ratio:.3g} times as large as the basis: another unit?"
    return ""


def _refused(reason: str, message: str) -> dict[str, Any]:
    return {"reason": reason, "message": message, "image": None, "weights": None}


def _keep(
    root: Path,
    clip: Clip,
    number: int,
    picture: UInt8[np.ndarray, "height width 3"],
    box: Box | None,
    options: PictureOptions,
    name: str,
) -> dict[str, Any]:
    """Return a picture as the Image feature stores it; unchanged ones byte for byte."""
    from PIL import Image

    image = Image.fromarray(picture)
    changed = image
    if box and options.crop:
        changed = changed.crop(_square(box, options.margin, *image.size))
    longer = max(changed.size)
    if options.size and longer > options.size:
        to = [max(1, round(side * options.size / longer)) for side in changed.size]
        changed = changed.resize((to[0], to[1]), Image.Resampling.LANCZOS)
    if changed is image and clip.pictures:
        path = root / clip.path / clip.pictures[number]
        return {"bytes": path.read_bytes(), "path": name + path.suffix.lower()}
    file = io.BytesIO()
    changed.save(file, "JPEG", quality=options.quality)
    return {"bytes": file.getvalue(), "path": f"{name}.jpg"}


def _square(box: Box, margin: float, width: int, height: int) -> Box:
    """Return a square around a box, moved and cut so that it lies within the picture."""
    left, top, right, bottom = box
    side = min(round(max(right - left, bottom - top, 1) * (1 + 2 * margin)), width, height)
    x = min(max(round((left + right - side) / 2), 0), width - side)
    y = min(max(round((top + bottom - side) / 2), 0), height - side)
    return x, y, x + side, y + side
