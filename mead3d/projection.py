"""From meshes to the few numbers that a fit needs, in chunks: BᵀB, Bᵀd, what is missing."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

__all__ = ["Group", "Meshes", "Shapes", "group_by_holes"]

_CHUNK_BYTES = 32 << 20
_DISTINCT = 1e-13  # weakest direction, of unit shapes, that is projected on
_CANCELLED = 1e-4  # part of a sum left by subtraction, below which it is summed anew


@dataclass(frozen=True, slots=True)
class Shapes:
    """The basis, over the vertices that count."""

    flat: Float[np.ndarray, "shapes coordinates"]
    """Displacements at weight 1, times the square roots of the vertex weights."""
    roots: Float[np.ndarray, " kept"]
    """Square roots of the vertex weights, all above 0."""
    kept: Int[np.ndarray, " kept"] | None
    """The vertices that count; None if all do."""
    gram: Float[np.ndarray, "shapes shapes"]

    @classmethod
    def of(
        cls,
        basis: Float[np.ndarray, "shapes vertices 3"],
        mask: Shaped[np.ndarray, " vertices"] | None = None,
    ) -> "Shapes":
        """Weigh a basis by a mask: True and False, or weights from 0."""
        basis = np.asarray(basis)
        if basis.ndim != 3 or basis.shape[2] != 3 or not basis.size:
            raise ValueError(f"a basis is (shapes, vertices, 3), got {basis.shape}")
        if not np.isfinite(basis).all():
            raise ValueError("the basis has NaN or infinite entries")
        weights = np.ones(basis.shape[1]) if mask is None else np.asarray(mask, np.float64)
        if weights.shape != basis.shape[1:2]:
            raise ValueError(f"a mask is ({basis.shape[1]},), one a vertex, got {weights.shape}")
        if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.any()):
            raise ValueError("a mask holds weights from 0, not all of them 0")
        kept = None if weights.all() else np.flatnonzero(weights)
        chosen = basis if kept is None else basis[:, kept]
        roots = np.sqrt(weights if kept is None else weights[kept])
        flat = (chosen * roots[:, None]).astype(np.float64).reshape(len(basis), -1)
        return cls(flat, roots, kept, flat @ flat.T)

    def gram_of(self, present: Bool[np.ndarray, " kept"]) -> Float[np.ndarray, "shapes shapes"]:
        """Return the Gram matrix over some of the vertices only."""
        missing = ~present
        if 2 * missing.sum() < len(present):
            part = self.flat[:, np.repeat(missing, 3)]
            rest: Float[np.ndarray, "shapes shapes"] = self.gram - part @ part.T
            if (np.diagonal(rest) >= _CANCELLED * np.diagonal(self.gram)).all():
                return rest
        part = self.flat[:, np.repeat(present, 3)]
        found: Float[np.ndarray, "shapes shapes"] = part @ part.T
        return found


@dataclass(frozen=True, slots=True)
class Meshes:
    """Meshes, with something added to every frame, read in chunks.

    Args:
        values: (frames, vertices, 3); a memory-mapped file stays on the disk.
        offset: (vertices, 3), such as minus the neutral mesh where the values are positions.
        double: calculate in float64 even where the values are float32.
    """

    values: Float[np.ndarray, "frames vertices 3"]
    offset: Float[np.ndarray, "vertices 3"] | None = None
    double: bool = False

    @property
    def dtype(self) -> type[np.floating]:
        """What is calculated in."""
        single = self.values.dtype == np.float32 and not self.double
        return np.float32 if single else np.float64

    def chunks(
        self, shapes: Shapes, frames: Int[np.ndarray, " some"] | None = None
    ) -> Iterator[tuple[slice, Float[np.ndarray, "some kept 3"]]]:
        """Yield places and meshes over the kept vertices, some megabytes at a time.

        A chunk is overwritten by the next one, or is the caller's own array.

        Args:
            shapes: says which vertices are kept.
            frames: only these, in this order; places then count in them.
        """
        total = len(self.values) if frames is None else len(frames)
        bytes_a_frame = self.values[0].size * np.dtype(self.dtype).itemsize if total else 1
        step = max(1, _CHUNK_BYTES // bytes_a_frame)
        offset = None if self.offset is None else self.offset.astype(self.dtype)
        if offset is not None and shapes.kept is not None:
            offset = offset[shapes.kept]
        copied = offset is not None or self.values.dtype != self.dtype
        room = np.empty((min(step, total), len(shapes.roots), 3), self.dtype) if copied else None
        for start in range(0, total, step):
            places = slice(start, min(start + step, total))
            span = places
            if frames is not None:
                chosen = frames[places]
                span = slice(int(chosen.min()), int(chosen.max()) + 1)
            raw = self.values[places] if frames is None else self.values[chosen]
            part = raw if shapes.kept is None else raw[:, shapes.kept]
            if room is not None:
                into = room[: len(part)]
                np.copyto(into, part, casting="unsafe")
                part = into if offset is None else np.add(into, offset, out=into)
            yield places, np.ascontiguousarray(part)
            _let_go(self.values[span])

    def project(self, shapes: Shapes) -> Float[np.ndarray, "frames shapes"]:
        """Return Bᵀd of every frame; not finite where a vertex that counts is not.

        In float32 the frames are multiplied with orthonormal mixtures of the shapes, not
        with the shapes: similar shapes then lose an order of magnitude less to rounding.
        """
        left = shapes.flat * np.repeat(shapes.roots, 3)
        mixtures = _orthonormal(shapes.gram) if self.dtype == np.float32 else None
        if mixtures is not None:
            unmix, mix = mixtures
            left = mix @ left
        right = np.ascontiguousarray(left.T, self.dtype)  # (coordinates, shapes)
        found = np.empty((len(self.values), right.shape[1]))
        with np.errstate(invalid="ignore", over="ignore"):
            for places, part in self.chunks(shapes):
                found[places] = part.reshape(len(part), -1) @ right
            return found if mixtures is None else found @ unmix

    def project_group(self, shapes: Shapes, group: "Group") -> Float[np.ndarray, "some shapes"]:
        """Return Bᵀd of frames that lack vertices, over those they have, in float64."""
        right = (shapes.flat * np.repeat(shapes.roots, 3)).T
        found = np.empty((len(group.frames), len(shapes.flat)))
        with np.errstate(over="ignore", invalid="ignore"):
            for places, part in self.chunks(shapes, group.frames):
                filled = group.fill(part.astype(np.float64))
                found[places] = filled.reshape(len(part), -1) @ right
        return found

    def complete(self, shapes: Shapes) -> Bool[np.ndarray, " frames"]:
        """Say which frames have all vertices that count."""
        found = np.empty(len(self.values), bool)
        for places, part in self.chunks(shapes):
            found[places] = np.isfinite(part).all(axis=(1, 2))
        return found


def _orthonormal(
    gram: Float[np.ndarray, "shapes shapes"],
) -> tuple[Float[np.ndarray, "directions shapes"], Float[np.ndarray, "directions shapes"]]:
    """Return (unmix, mix): rows of mix @ B are orthonormal, and c = (mix @ B @ d) @ unmix."""
    lengths = np.sqrt(np.diagonal(gram))
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    strengths, directions = np.linalg.eigh(gram * inverse[:, None] * inverse)
    kept = strengths > _DISTINCT
    roots = np.sqrt(strengths[kept])[:, None]
    chosen = directions[:, kept].T
    return chosen * roots * lengths, chosen / roots * inverse


@dataclass(frozen=True, slots=True)
class Group:
    """Frames in which the same vertices are there."""

    frames: Int[np.ndarray, " some"]
    present: Bool[np.ndarray, " kept"] | None
    """None where all are."""

    def fill(self, part: Float[np.ndarray, "some kept 3"]) -> Float[np.ndarray, "some kept 3"]:
        """Return the coordinates, 0 where the vertex is missing."""
        if self.present is None:
            return part
        filled: Float[np.ndarray, "some kept 3"] = np.where(self.present[:, None], part, 0)
        return filled


def group_by_holes(
    meshes: Meshes, shapes: Shapes, whole: Bool[np.ndarray, " frames"]
) -> tuple[list[Group], Bool[np.ndarray, " frames"]]:
    """Group the frames by the vertices that are there; say which frames have none.

    Args:
        meshes: a vertex is missing where one of its coordinates is NaN or infinite.
        shapes: says which vertices count.
        whole: the frames known to lack none.
    """
    groups = [Group(np.flatnonzero(whole), None)] if whole.any() else []
    rest = np.flatnonzero(~whole)
    lost = np.zeros(len(whole), bool)
    if not len(rest):
        return groups, lost
    packed = np.concatenate(
        [
            np.packbits(np.isfinite(part).all(axis=2), axis=1)
            for _, part in meshes.chunks(shapes, rest)
        ]
    )
    patterns, of_frame = np.unique(packed, axis=0, return_inverse=True)
    order = np.argsort(of_frame, kind="stable")
    starts = np.searchsorted(of_frame[order], np.arange(len(patterns) + 1))
    for number, pattern in enumerate(patterns):
        frames = rest[order[starts[number] : starts[number + 1]]]
        present = np.unpackbits(pattern, count=len(shapes.roots)).astype(bool)
        if present.any():
            groups.append(Group(frames, present))
        else:
            lost[frames] = True
    return groups, lost


def _let_go(part: Float[np.ndarray, "..."]) -> None:
    """Let the system have the memory of what was read of a mapped file.

    Pages read from a file count as the process's own until then. Private copies
    (mode "c") may hold changes that the file has not: they stay.
    """
    if not isinstance(part, np.memmap) or part.mode not in ("r", "r+", "w+"):
        return
    base: object = part
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap) or not hasattr(base, "madvise") or not part.size:
        return
    first = part.__array_interface__["data"][0] - np.frombuffer(base, np.uint8).ctypes.data
    start = first // mmap.PAGESIZE * mmap.PAGESIZE
    base.madvise(mmap.MADV_DONTNEED, start, min(first + part.nbytes, len(base)) - start)
