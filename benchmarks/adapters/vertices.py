"""Meshes in motion as models: FaceFormer, CodeTalker, FLAME; fitted with a basis of theirs.

The basis has the mesh's own topology: 52 shapes on FLAME's 5,023 vertices, say, carried over
once with any deformation transfer and written by `expclip.face.write_basis`.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.adapters.files import SpeechFiles, fill_missing
from expclip.face import Basis
from expclip.face.errors import DataError
from expclip.mead3d.fit import FitOptions, fit_meshes
from expclip.mead3d.meshes import read_meshes

__all__ = ["VertexMotions", "weights_from_vertices"]

Neutral = Literal["basis", "first"]
"""The face at rest: the basis' own, or the first frame, where the mesh is another person's."""


class VertexMotions(SpeechFiles):
    """Has `animate`: reads FOLDER/ID.npy or .npz, ID being that of the speech in `inputs.jsonl`.

    Args:
        folder: of the meshes, (frames, vertices, 3) each.
        basis: of their topology and unit.
        fps: of the meshes, where a file does not say it, and of the answers.
        neutral: what they are measured from.
        name: in results.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(
        self,
        folder: str | Path,
        basis: Basis,
        *,
        fps: float = 30.0,
        neutral: Neutral = "basis",
        name: str = "vertices",
    ) -> None:
        def read(path: Path) -> tuple[Float[np.ndarray, "frames 52"], float]:
            meshes = read_meshes(path)
            weights = weights_from_vertices(meshes.vertices, basis, neutral=neutral, name=str(path))
            return weights, meshes.fps or fps

        super().__init__(folder, (".npy", ".npz"), read, fps=fps, name=name)


def weights_from_vertices(
    vertices: Float[np.ndarray, "frames vertices 3"],
    basis: Basis,
    *,
    neutral: Neutral = "basis",
    rigid: bool = True,
    name: str = "vertices",
) -> Float[np.ndarray, "frames 52"]:
    """Return the weights, 0..1, that explain meshes best; the head's own motion is taken out.

    Args:
        vertices: positions, in the basis' unit; a frame of NaN is filled from its neighbours.
        basis: of the same topology.
        neutral: what displacements are measured from.
        rigid: take out a rotation and a translation of each frame.
        name: of the meshes, in messages.

    Raises:
        DataError: the meshes have another number of vertices, or mostly are no numbers.
    """
    meshes = np.asarray(vertices)
    if meshes.ndim != 3 or meshes.shape[1:] != basis.neutral.shape or not len(meshes):
        raise DataError(
            f"{name}: shape {meshes.shape}, expected (frames, {len(basis.neutral)}, 3) as the basis"
        )
    there = np.isfinite(meshes).all(axis=(1, 2))
    if not there.any():
        raise DataError(f"{name}: no frame is of numbers")
    rest = basis.neutral if neutral == "basis" else meshes[int(there.argmax())]
    options = FitOptions(positions=True, rigid=rigid)
    fitted = fit_meshes(meshes[there], basis.deltas, options, neutral=rest).weights
    weights = np.zeros((len(meshes), fitted.shape[1]))
    weights[there] = fitted
    return fill_missing(weights, there, name)
