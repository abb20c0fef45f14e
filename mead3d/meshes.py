"""Meshes that were reconstructed elsewhere: JMLR, FLAME, or any other with a basis.

They lie in a folder beside MEAD, as npz or npy, under the id of their clip or under its
path in MEAD:

    M003/front/angry/level_1/001.npz            (frames, vertices, 3)
    M003/video/front/angry/level_1/001.npy      the same
    M003/front/angry/level_1/001/000012.npz     one frame, (vertices, 3)
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, Int

from expclip.face.errors import DataError
from expclip.mead3d.index import Clip
from expclip.mead3d.reconstruct import Reconstruction, Shot

__all__ = ["MeshFile", "ReadyMeshes", "read_meshes"]

_NAMES = ("vertices", "verts", "meshes", "v")
_MAX_BYTES = 1 << 33
_NEUTRAL_FILES, _NEUTRAL_FRAMES = 10, 5


@dataclass(frozen=True, slots=True, eq=False)
class MeshFile:
    """Meshes of one clip.

    Attributes:
        vertices: a whole frame is NaN where no face was found.
        frames: which frame of the clip each mesh is, or None: the first, the second...
        fps: rate of the meshes, or 0.0 where the file does not say it.
    """

    vertices: Float[np.ndarray, "frames vertices 3"]
    frames: Int[np.ndarray, " frames"] | None = None
    fps: float = 0.0

    def row_of(self, clip: Clip, number: int) -> int:
        """Return which mesh belongs to a frame of a clip; -1 if there is none.

        By the file's frame numbers; else by time, where the rates differ; else by order.

        Raises:
            DataError: meshes and frames do not have the same number, and nothing says
                which belongs to which.
        """
        if self.frames is not None:
            found = np.flatnonzero(self.frames == number)
            return int(found[0]) if len(found) else -1
        row = number
        if self.fps and clip.fps:
            row = round(number * self.fps / clip.fps)
        elif len(self.vertices) != clip.frames:
            raise DataError(
                f"{len(self.vertices)} meshes for {clip.frames} frames: store their numbers "
                "as 'frames', or their rate as 'fps', in the npz"
            )
        return row if row < len(self.vertices) else -1


@dataclass(frozen=True)
class ReadyMeshes:
    """Finds the mesh of each frame in a folder.

    Attributes:
        folder: of the meshes.
        neutral: what displacements are measured from. "basis": the neutral face of the
            basis, right where the meshes carry no identity. "actor": the face of the same
            actor at rest, from ``<actor>/neutral.npz`` in the folder, or else the median
            of meshes of the actor's neutral clips, of the same view where there are any.
            The paper does not say what it does; "actor" is our reconstruction.
    """

    folder: Path
    neutral: str = "actor"
    _at_rest: dict[Path, np.ndarray | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.neutral not in ("basis", "actor"):
            raise ValueError(f"neutral {self.neutral!r}, expected basis or actor")
        if not Path(self.folder).is_dir():
            raise DataError(f"{self.folder}: no folder, expected one with meshes")

    @property
    def name(self) -> str:
        """Not where they lie: they may be moved during a build."""
        return f"ready meshes, neutral: {self.neutral}"

    def reconstruct(self, shots: Sequence[Shot]) -> list[Reconstruction]:
        """Return the mesh of each frame, or why there is none."""
        return [self._one(shot.clip, shot.number) for shot in shots]

    def _one(self, clip: Clip, number: int) -> Reconstruction:
        path, of_frame = self._find(clip, number)
        if path is None:
            return Reconstruction(reason="no_mesh", message=f"no mesh below {clip.id}")
        told = path.relative_to(self.folder)
        try:
            meshes = _read(path)
            row = 0 if of_frame else meshes.row_of(clip, number)
            if row < 0:
                return Reconstruction(reason="no_mesh", message=f"{told}: not frame {number}")
            vertices = meshes.vertices[row]
            if not np.isfinite(vertices).any():
                return Reconstruction(reason="no_face", message=f"{told}: no number in the mesh")
            neutral = None
            if self.neutral == "actor":
                neutral = self._neutral(clip, path)
        except DataError as error:
            return Reconstruction(reason="mesh", message=f"{told}: {error}")
        if neutral is not None and neutral.shape != vertices.shape:
            found = f"{len(vertices)} vertices, the neutral face {len(neutral)}"
            return Reconstruction(reason="mesh", message=f"{told}: {found}")
        return Reconstruction(vertices=vertices, neutral=neutral)

    def _find(self, clip: Clip, number: int) -> tuple[Path | None, bool]:
        """Return the file with a frame's mesh, and whether it holds only this frame."""
        pictures = clip.pictures
        shown = PurePosixPath(pictures[number]).stem if number < len(pictures) else f"{number:06}"
        bases = [clip.id]
        if clip.offset < 0:
            bases.append(clip.path if pictures else str(PurePosixPath(clip.path).with_suffix("")))
        for base in bases:
            for name in (base, f"{base}/{shown}", f"{base}/{number}"):
                for suffix in (".npz", ".npy"):
                    path = self.folder / (name + suffix)
                    if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()):
                        return path, name != base
        return None, False

    def _neutral(self, clip: Clip, path: Path) -> Float[np.ndarray, "vertices 3"]:
        """Return the actor's face at rest."""
        own = self.folder / clip.label.actor / "neutral.npz"
        if own.is_file():
            rest: np.ndarray = _read(own).vertices[0]
            return rest
        label = clip.label
        folders = path.relative_to(self.folder).parts[:-1]
        at = next((i for i, part in enumerate(folders) if part == label.emotion), None)
        if at is not None:
            for at_rest in (["neutral", "level_1"], ["neutral"]):
                folder = self.folder.joinpath(*folders[:at], *at_rest)
                if folder not in self._at_rest:
                    self._at_rest[folder] = _median(folder)
                if (found := self._at_rest[folder]) is not None:
                    return found
        raise DataError(
            f"no neutral face of {label.actor}: add {label.actor}/neutral.npz to the meshes, "
            "or measure from the basis' (--neutral basis)"
        )


def read_meshes(path: str | os.PathLike[str], *, max_bytes: int = _MAX_BYTES) -> MeshFile:
    """Read meshes from npz or npy; an npy is mapped, not loaded.

    An npz has the array ``vertices`` (or verts, meshes, v, or just one array), of shape
    (frames, vertices, 3) or (vertices, 3), and may have ``frames`` and ``fps``. Pickled
    objects are refused.

    Raises:
        DataError: the file cannot be read, is too large, or has no such array.
    """
    try:
        return _meshes(_load(Path(path), max_bytes))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _load(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    try:
        if path.suffix.lower() == ".npy":
            return {"vertices": np.load(path, mmap_mode="r", allow_pickle=False)}
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > max_bytes:
            raise DataError(f"{size:,} bytes unpacked, expected at most {max_bytes:,}")
        with np.load(path, allow_pickle=False) as archive:
            wanted = {*_NAMES, "frames", "fps"}
            only = archive.files if len(archive.files) == 1 else ()
            return {name: archive[name] for name in archive.files if name in wanted or name in only}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from None
    except Exception as error:  # zipfile and numpy raise anything on broken bytes
        raise DataError(f"is no npz or npy of plain numbers: {error}") from None


def _meshes(arrays: dict[str, np.ndarray]) -> MeshFile:
    named = [arrays[name] for name in _NAMES if name in arrays] or list(arrays.values())
    if len(named) < 1:
        raise DataError("has no array 'vertices'")
    vertices = named[0]
    if vertices.ndim == 2:
        vertices = vertices[None]
    if (
        vertices.ndim != 3
        or vertices.shape[2] != 3
        or vertices.dtype.kind != "f"
        or not len(vertices)
    ):
        raise DataError(
            f"vertices are {vertices.dtype} of shape {vertices.shape}, "
            "expected floating (frames, vertices, 3)"
        )
    frames, fps = arrays.get("frames"), arrays.get("fps")
    if frames is not None and (frames.dtype.kind not in "iu" or frames.shape != vertices.shape[:1]):
        raise DataError(f"frames have shape {frames.shape}, expected {len(vertices)} whole numbers")
    rate = 0.0
    if fps is not None:
        rate = float(fps) if fps.shape == () and fps.dtype.kind in "fiu" else -1.0
        if not 0 < rate < 10_000:
            raise DataError("fps must be one number above 0")
    return MeshFile(vertices, frames, rate)


def _read(path: Path) -> MeshFile:
    status = path.stat()
    return _read_as_it_is(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_as_it_is(path: Path, size: int, changed_ns: int) -> MeshFile:
    return _meshes(_load(path, _MAX_BYTES))


def _median(folder: Path) -> Float[np.ndarray, "vertices 3"] | None:
    """Return the median mesh of a few frames of a few files below a folder."""
    paths = sorted((*folder.rglob("*.npz"), *folder.rglob("*.npy")))
    kept: list[np.ndarray] = []
    for place in _evenly(len(paths), _NEUTRAL_FILES):
        vertices = _meshes(_load(paths[place], _MAX_BYTES)).vertices
        kept.extend(vertices[row] for row in _evenly(len(vertices), _NEUTRAL_FRAMES))
    kept = [mesh for mesh in kept if np.isfinite(mesh).all()]
    if len({mesh.shape for mesh in kept}) != 1:
        return None
    median: np.ndarray = np.median(np.stack(kept), axis=0)
    return median


def _evenly(count: int, most: int) -> list[int]:
    """Return up to ``most`` places out of ``count``, even and each once."""
    return [round(place) for place in np.linspace(0, count - 1, min(most, count))]
