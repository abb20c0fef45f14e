"""From pictures of faces to weights or meshes: what a reconstructor is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from expclip.face.blendshapes import BLENDSHAPES
from expclip.mead3d.index import Clip

__all__ = ["Reconstruction", "Reconstructor", "Shot"]

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One frame of a clip.

    Attributes:
        clip: what its name says, and where it lies.
        number: of the frame within the clip, from 0.
        picture: RGB, not cropped.
    """

    clip: Clip
    number: int
    picture: UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """The face of one frame: weights, or a mesh to be fitted, or why there is neither.

    Attributes:
        weights: in the order of BLENDSHAPES.
        vertices: of a mesh with the topology and the unit of the basis.
        neutral: the same face at rest, where it is known; else the basis' own is taken.
        box: around the face in the picture: left, top, right, bottom in pixels.
        reason: one word for counting: "no_face"; empty where there is a face.
        message: one line.
    """

    weights: Float[np.ndarray, " 52"] | None = None
    vertices: Float[np.ndarray, "vertices 3"] | None = None
    neutral: Float[np.ndarray, "vertices 3"] | None = None
    box: Box | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        given = [self.weights is not None, self.vertices is not None, bool(self.reason)]
        if sum(given) != 1:
            raise ValueError("a reconstruction has weights, or vertices, or a reason")
        if self.weights is not None and self.weights.shape != (len(BLENDSHAPES),):
            raise ValueError(f"weights have shape {self.weights.shape}, expected (52,)")
        if self.vertices is not None and self.vertices.shape[1:] != (3,):
            raise ValueError(f"vertices have shape {self.vertices.shape}, expected (vertices, 3)")


@runtime_checkable
class Reconstructor(Protocol):
    """Anything that finds faces in frames; it need not inherit from this.

    It is sent to worker processes, so it must be picklable: open models late.
    """

    @property
    def name(self) -> str:
        """What it is and in which version; a build under another name is another build."""

    def reconstruct(self, shots: Sequence[Shot]) -> list[Reconstruction]:
        """Return one reconstruction for each frame, in their order.

        The frames are of one clip, in ascending order, though not neighbours.
        """
