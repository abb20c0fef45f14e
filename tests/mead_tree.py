"""A tiny MEAD of our own making: drawn faces, and the meshes that belong to them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from expclip.face import BLENDSHAPES, render_png
from expclip.mead3d.meshes import ReadyMeshes
from expclip.mead3d.reconstruct import Reconstruction, Shot

ACTORS = ("M003", "M005", "W009", "W011")
EMOTIONS = ("angry", "happy", "neutral")
VIEWS = ("front", "left_30")
VERTICES = 40
FRAMES = 4


@dataclass(frozen=True)
class Tree:
    """Where everything lies, and the weights of every clip, (frames, 52)."""

    root: Path
    meshes: Path
    basis: Path
    weights: dict[str, np.ndarray]


def shapes(vertices: int = VERTICES) -> tuple[np.ndarray, np.ndarray]:
    """Return the neutral mesh and the displacements of a random basis."""
    random = np.random.default_rng(5)
    return random.normal(size=(vertices, 3)), random.normal(size=(len(BLENDSHAPES), vertices, 3))


@lru_cache(maxsize=256)
def face(seed: int) -> tuple[np.ndarray, bytes]:
    """Return some weights, and a drawing of them."""
    random = np.random.default_rng(seed)
    weights = random.uniform(size=52) * (random.uniform(size=52) < 0.3)
    return weights, render_png(weights, size=32)


def write_tree(folder: Path, *, actors: tuple[str, ...] = ACTORS, frames: int = FRAMES) -> Tree:
    """Write a MEAD of pictures: two clips of each emotion, level and view."""
    root, meshes = folder / "MEAD", folder / "meshes"
    neutral, deltas = shapes()
    weights: dict[str, np.ndarray] = {}
    seed = 0
    for actor in actors:
        identity = neutral + 0.1 * np.random.default_rng(int(actor[1:])).normal(size=neutral.shape)
        (meshes / actor).mkdir(parents=True)
        np.savez(meshes / actor / "neutral.npz", vertices=identity)
        for view in VIEWS:
            for emotion in EMOTIONS:
                for level in (1,) if emotion == "neutral" else (1, 3):
                    for number in (1, 2):
                        name = f"{emotion}/level_{level}/{number:03}"
                        clip = root / actor / "video" / view / name
                        clip.mkdir(parents=True)
                        faces = []
                        for frame in range(frames):
                            seed += 1
                            found, png = face(seed % 40)
                            faces.append(found)
                            (clip / f"{frame:03}.png").write_bytes(png)
                        known = np.stack(faces)
                        weights[f"{actor}/{view}/{name}"] = known
                        path = meshes / actor / view / f"{name}.npz"
                        path.parent.mkdir(parents=True, exist_ok=True)
                        np.savez(path, vertices=identity + np.tensordot(known, deltas, 1))
    basis = folder / "basis.npz"
    triangles = np.zeros((0, 3), np.int64)
    np.savez(basis, names=BLENDSHAPES, neutral=neutral, deltas=deltas, triangles=triangles)
    return Tree(root, meshes, basis, weights)


@dataclass(frozen=True)
class Slow:
    """Ready meshes that take their time, so that a run can be killed within."""

    meshes: ReadyMeshes
    seconds: float = 0.03
    pid: Path | None = None

    @property
    def name(self) -> str:
        return self.meshes.name

    def reconstruct(self, shots: Sequence[Shot]) -> list[Reconstruction]:
        if self.pid:
            self.pid.write_text(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        return self.meshes.reconstruct(shots)


@dataclass(frozen=True)
class Deadly:
    """Ready meshes whose first call, or every call, ends its process."""

    meshes: ReadyMeshes
    mark: Path
    always: bool = False

    @property
    def name(self) -> str:
        return self.meshes.name

    def reconstruct(self, shots: Sequence[Shot]) -> list[Reconstruction]:
        if self.always or not self.mark.exists():
            self.mark.touch()
            os._exit(9)
        return self.meshes.reconstruct(shots)


class Painter:
    """A reconstructor of one's own: weights from the picture, no face in dark ones."""

    name = "painter 1"

    def reconstruct(self, shots: Sequence[Shot]) -> list[Reconstruction]:
        return [self._one(shot) for shot in shots]

    def _one(self, shot: Shot) -> Reconstruction:
        if shot.number == 3:
            return Reconstruction(reason="no_face", message="the fourth frame is dark")
        weights = np.full(52, shot.picture.mean() / 255, np.float32)
        return Reconstruction(weights=weights, box=(8, 4, 24, 20))
