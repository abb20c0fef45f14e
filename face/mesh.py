"""The 52 blendshapes as meshes: a neutral face, and how each shape moves its vertices.

``read_basis`` understands three sources:

a folder of OBJ   absolute shapes with names such as ``jawOpen.obj`` or ``eyeBlink_L.obj``
                  beside a neutral face: ICT-FaceKit's FaceXModel, an export of ARKit's
a zip of OBJ      the same in an archive, such as the ARKit reference shapes
npz               names, neutral (vertices, 3), deltas (shapes, vertices, 3), triangles
                  (n, 3) and, where known, unit: what ``write_basis`` writes
"""

import os
import stat
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float, Int, Shaped

from expclip.face.arrays import decode_array
from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES, canonical_name
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.face.obj import parse_triangles, parse_vertices

__all__ = ["METRES", "Basis", "Unit", "read_basis", "write_basis"]

_T = TypeVar("_T")

Unit = Literal["m", "cm", "mm"]

METRES: dict[Unit, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001}
"""Metres in a unit."""

_PAIRED = {f"{name.lower()}_{side}": name for name in ("browInnerUp", "cheekPuff") for side in "lr"}
"""Shapes that ICT-FaceKit halves into left and right; ARKit's are their sums."""

_NEUTRALS = ("neutral", "generic_neutral_mesh")
_MAX_BYTES = 1 << 30
_MAX_OBJ_BYTES = 64 << 20
_MAX_MEMBERS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """A face that the 52 weights move: neutral + Σ weight * delta."""

    neutral: Float[np.ndarray, "vertices 3"]
    deltas: Float[np.ndarray, "52 vertices 3"]
    """In the order of BLENDSHAPES; zeros for shapes that the source lacks."""
    triangles: Int[np.ndarray, "triangles 3"]
    unit: Unit
    """Of all coordinates. +x is the person's own left in the sources we know."""

    def __post_init__(self) -> None:
        vertices = len(self.neutral)
        expected = {
            "neutral": (self.neutral, (vertices, 3)),
            "deltas": (self.deltas, (len(BLENDSHAPES), vertices, 3)),
            "triangles": (self.triangles, (len(self.triangles), 3)),
        }
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise ValueError(f"{name} must be {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has NaN or infinite entries")
        if self.unit not in METRES:
            raise ValueError(f"unit must be one of {', '.join(METRES)}, got {self.unit!r}")
        if self.triangles.size and not 0 <= self.triangles.min() <= self.triangles.max() < vertices:
            raise ValueError(f"triangles name vertices outside 0..{vertices - 1}")

    @property
    def names(self) -> tuple[str, ...]:
        """The shapes: BLENDSHAPES."""
        return BLENDSHAPES

    @property
    def missing(self) -> tuple[str, ...]:
        """The shapes that move nothing; many sources lack tongueOut."""
        return tuple(
            name for name, delta in zip(BLENDSHAPES, self.deltas, strict=True) if not delta.any()
        )

    def pose(self, weights: Float[np.ndarray, "*frames 52"]) -> Float[np.ndarray, "*frames v 3"]:
        """Return the vertices that weights give."""
        posed: Float[np.ndarray, "*frames v 3"] = self.neutral + np.tensordot(
            weights, self.deltas, 1
        )
        return posed

    def to_unit(self, unit: Unit) -> "Basis":
        """Return the basis in another unit."""
        factor = np.float64(METRES[self.unit] / METRES[unit])
        neutral, deltas = (
            (array * factor).astype(array.dtype) for array in (self.neutral, self.deltas)
        )
        return replace(self, neutral=neutral, deltas=deltas, unit=unit)

    def region(self, vertices: Int[np.ndarray, " some"]) -> "Basis":
        """Return the part with these vertices, in this order, and the triangles among them.

        ICT-FaceKit's face without eyes, teeth and head is ``range(9409)``, and
        ``range(6706)`` the same without the rim.
        """
        chosen = np.asarray(vertices)
        place = np.full(len(self.neutral), -1, np.int32)
        place[chosen] = np.arange(len(chosen))
        triangles = place[self.triangles]
        kept = triangles[(triangles >= 0).all(axis=1)]
        return replace(
            self, neutral=self.neutral[chosen], deltas=self.deltas[:, chosen], triangles=kept
        )


def read_basis(
    path: str | os.PathLike[str], *, unit: Unit | None = None, max_bytes: int = _MAX_BYTES
) -> Basis:
    """Read a folder of OBJ, a zip of OBJ, or npz.

    Shapes with other names (identities, pupils) are passed over; at least one of the 52 must
    be there. Nothing is unpacked to the disk, and nothing outside the folder is read.

    Args:
        path: what it is, its content says.
        unit: goes before what the file says. Where neither says it, the size of the neutral
            mesh does: metres below 1, centimetres below 100.
        max_bytes: a source that is larger, unpacked, is refused.

    Raises:
        DataError: the source is none of the three, is damaged, or holds meshes that do not
            fit together.
    """
    source = Path(path)
    try:
        if source.is_dir():
            return _from_objs(_folder(source, max_bytes), unit)
        with zipfile.ZipFile(source) as archive:
            members = _members(archive, max_bytes)
            if "neutral.npy" in members:
                return _from_npz(members, unit)
            return _from_objs(
                {name: read for name, read in members.items() if name.lower().endswith(".obj")},
                unit,
            )
    except (DataError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # zipfile and numpy raise anything on broken bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: {reason}; expected a folder or zip of OBJ, or npz") from error


def write_basis(path: str | os.PathLike[str], basis: Basis) -> None:
    """Write npz, compressed; equal bases give equal arrays back.

    Raises:
        DataError: the file cannot be written.
    """
    with write_atomically(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            names=np.array(BLENDSHAPES),
            neutral=basis.neutral,
            deltas=basis.deltas,
            triangles=basis.triangles,
            unit=np.array(basis.unit),
        )


_Read = Callable[[], bytes]


def _folder(folder: Path, max_bytes: int) -> dict[str, _Read]:
    """Return the OBJ files of a folder by name; links that lead out of it are refused."""
    root, total = folder.resolve(), 0
    found: dict[str, _Read] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() != ".obj" or file.name.startswith("."):
            continue
        target = file.resolve()
        if not target.is_relative_to(root):
            raise DataError(f"{file.name} is a link that leads out of the folder")
        size = file.stat()
        if not stat.S_ISREG(size.st_mode):
            raise DataError(f"{file.name} is not a regular file")
        if size.st_size > _MAX_OBJ_BYTES:
            raise DataError(f"{file.name} has {size.st_size} bytes, at most {_MAX_OBJ_BYTES}")
        if not _is_of_face(file.name):
            continue
        total += size.st_size
        if total > max_bytes:
            raise DataError(f"the OBJ files have more than {max_bytes} bytes")
        found[file.name] = target.read_bytes
    return found


def _members(archive: zipfile.ZipFile, max_bytes: int) -> dict[str, _Read]:
    """Return the members of a zip by the last part of their names, read when asked for."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > _MAX_MEMBERS:
        raise DataError(f"has {len(infos)} files, at most {_MAX_MEMBERS}")
    claimed = sum(info.file_size for info in infos)
    if claimed > max_bytes:
        raise DataError(f"has {claimed} bytes unpacked, at most {max_bytes}")
    found: dict[str, _Read] = {}
    for info in infos:
        name = PurePosixPath(info.filename.replace("\\", "/")).name
        if name.startswith("."):  # what macOS leaves beside every file
            continue
        if name in found:
            raise DataError(f"has two files {name!r}")
        found[name] = partial(_unpack, archive, info)
    return found


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read a member, no further than the size it claims."""
    with archive.open(info) as stream:
        return stream.read(info.file_size)


def _is_of_face(name: str) -> bool:
    """Whether a file's name is that of a shape or of the neutral face."""
    stem = PurePosixPath(name).stem
    return stem.lower() in _NEUTRALS or _shape_of(stem) is not None


def _shape_of(stem: str) -> str | None:
    return canonical_name(stem) or _PAIRED.get(stem.strip().lower())


def _from_objs(files: dict[str, _Read], unit: Unit | None) -> Basis:
    """Build a basis from absolute shapes."""
    stems = {PurePosixPath(name).stem: name for name in files}
    neutrals = [name for stem, name in stems.items() if stem.lower() in _NEUTRALS]
    if len(neutrals) != 1:
        expected = " or ".join(f"{name}.obj" for name in _NEUTRALS)
        raise DataError(f"has {len(neutrals)} neutral meshes, expected one: {expected}")
    text = files[neutrals[0]]()
    neutral = _parse(neutrals[0], partial(parse_vertices, text))
    triangles = _parse(neutrals[0], partial(parse_triangles, text, len(neutral)))
    deltas = np.zeros((len(BLENDSHAPES), *neutral.shape), np.float32)
    halves: set[str] = set()
    wholes: set[str] = set()
    for stem, file in stems.items():
        shape = _shape_of(stem)
        if shape is None:
            continue
        half = stem.strip().lower() in _PAIRED
        if shape in wholes or (not half and shape in halves):
            raise DataError(f"{file} is a second mesh of {shape}")
        (halves if half else wholes).add(shape)
        text = files[file]()
        vertices = _parse(file, partial(parse_vertices, text))
        if len(vertices) != len(neutral):
            raise DataError(f"{file} has {len(vertices)} vertices, expected {len(neutral)}")
        deltas[BLENDSHAPE_INDEX[shape]] += (vertices - neutral).astype(np.float32)
    if not halves | wholes:
        raise DataError(f"has no mesh of the {len(BLENDSHAPES)} shapes, such as jawOpen.obj")
    return Basis(neutral.astype(np.float32), deltas, triangles, unit or _guess_unit(neutral))


def _parse(file: str, parse: Callable[[], _T]) -> _T:
    try:
        return parse()
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def _from_npz(members: dict[str, _Read], unit: Unit | None) -> Basis:
    """Build a basis from arrays; its names may be in any order and spelling."""
    arrays = {
        name: _array(name, members)
        for name in ("names", "neutral", "deltas", "triangles", "unit")
        if f"{name}.npy" in members or name in ("names", "neutral", "deltas")
    }
    kinds = {
        "names": ("U", 1),
        "neutral": ("f", 2),
        "deltas": ("f", 3),
        "triangles": ("iu", 2),
        "unit": ("U", 0),
    }
    for name, array in arrays.items():
        kind, axes = kinds[name]
        if array.dtype.kind not in kind or array.ndim != axes:
            raise DataError(f"{name} is {array.dtype} with {array.ndim} axes, expected {axes}")
    neutral, given = arrays["neutral"], arrays["deltas"]
    places = _places(arrays["names"].tolist())
    if given.shape != (len(places), *neutral.shape):
        raise DataError(f"deltas are {given.shape}, expected {(len(places), *neutral.shape)}")
    deltas = np.zeros((len(BLENDSHAPES), *neutral.shape), given.dtype)
    for row, place in enumerate(places):
        if place is not None:
            deltas[place] = given[row]
    triangles = arrays.get("triangles", np.empty((0, 3), np.int32))
    said = str(arrays["unit"]) if "unit" in arrays else None
    if said is not None and said not in METRES:
        raise DataError(f"unit is {said!r}, expected one of {', '.join(METRES)}")
    return Basis(neutral, deltas, triangles, unit or said or _guess_unit(neutral))


def _places(names: Iterable[str]) -> list[int | None]:
    """Return the places of the names among the 52, None for those of other shapes."""
    found = [canonical_name(name) for name in names]
    known = [name for name in found if name is not None]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice or not known:
        raise DataError(f"names {twice[0]} twice" if twice else "names none of the 52 shapes")
    return [None if name is None else BLENDSHAPE_INDEX[name] for name in found]


def _array(name: str, members: dict[str, _Read]) -> Shaped[np.ndarray, "..."]:
    """Read an array that holds no objects, and no more than its bytes."""
    if f"{name}.npy" not in members:
        raise DataError(f"has no array {name!r}, expected names, neutral and deltas")
    return decode_array(members[f"{name}.npy"](), name)


def _guess_unit(neutral: Float[np.ndarray, "vertices 3"]) -> Unit:
    """Return the unit in which a face or a head has this size."""
    height = float(np.ptp(neutral, axis=0).max()) if len(neutral) else 0.0
    return "m" if height < 1 else "cm" if height < 100 else "mm"
