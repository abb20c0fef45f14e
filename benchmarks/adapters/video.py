"""Talking-head videos as models: each video's face is reconstructed, frame by frame.

EAMM, StyleTalk, PD-FGC and the like give mp4, and no weights; so the paper compares itself
with them. What the reconstruction misses counts against them: measure the truth's own
videos beside them, through the same adapter.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.adapters.files import SpeechFiles, fill_missing
from expclip.face import BLENDSHAPES, Basis
from expclip.face.errors import DataError
from expclip.mead3d import Clip, MeadIndex, Reconstructor, fit_meshes
from expclip.mead3d.fit import FitOptions
from expclip.mead3d.naming import Label
from expclip.mead3d.reconstruct import Reconstruction, Shot
from expclip.mead3d.video import count_frames, read_pictures

__all__ = ["TalkingHeads", "read_talking_head"]

_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_BATCH = 32
_MOST_FRAMES = 20_000


class TalkingHeads(SpeechFiles):
    """Has `animate`: reads FOLDER/ID.mp4, ID being that of the speech in `inputs.jsonl`.

    Args:
        folder: of the videos.
        reconstructor: finds faces; MediaPipe's by default (extra `mead3d`).
        basis: that meshes are fitted with, where the reconstructor gives meshes.
        fps: that all are brought to.
        name: in results.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(
        self,
        folder: str | Path,
        reconstructor: Reconstructor | None = None,
        *,
        basis: Basis | None = None,
        fps: float = 25.0,
        name: str = "talking-heads",
    ) -> None:
        if reconstructor is None:
            from expclip.mead3d import FaceLandmarker

            reconstructor = FaceLandmarker()
        finder = reconstructor
        super().__init__(
            folder,
            _SUFFIXES,
            lambda path: read_talking_head(path, finder, basis),
            fps=fps,
            name=name,
        )


def read_talking_head(
    path: Path, reconstructor: Reconstructor, basis: Basis | None = None
) -> tuple[Float[np.ndarray, "frames 52"], float]:
    """Return the weights of a video's face, 0..1, and frames a second.

    A frame without a face is filled from its neighbours.

    Raises:
        DataError: the video cannot be read, is too long, or mostly shows no face; the
            reconstructor gives meshes, and there is no basis.
        MissingExtra: no decoder is installed, or not the reconstructor's package.
    """
    label = Label("M000", "", "neutral", 1, "front", 0)
    clip = Clip(path.stem, path.name, label, size=path.stat().st_size)
    clip = count_frames(MeadIndex(path.parent, (clip,))).clips[0]
    if not 0 < clip.frames <= _MOST_FRAMES or clip.fps <= 0:
        raise DataError(f"{path}: {clip.frames} frames at {clip.fps:g} a second cannot be used")
    found: list[Reconstruction] = []
    for start in range(0, clip.frames, _BATCH):
        numbers = range(start, min(start + _BATCH, clip.frames))
        pictures = read_pictures(path.parent, clip, numbers)
        shots = [
            Shot(clip, number, picture)
            for number in numbers
            if not isinstance(picture := pictures[number], str)
        ]
        made = dict(
            zip((shot.number for shot in shots), reconstructor.reconstruct(shots), strict=True)
        )
        lost = Reconstruction(reason="picture", message="cannot be decoded")
        found += [made.get(number, lost) for number in numbers]
    weights = _weights(found, basis, path)
    there = np.array([not item.reason for item in found]) & np.isfinite(weights).all(axis=1)
    return fill_missing(weights, there, str(path)).clip(0, 1), clip.fps


def _weights(
    found: list[Reconstruction], basis: Basis | None, path: Path
) -> Float[np.ndarray, "frames 52"]:
    """Return a row a frame; NaN where there is no face."""
    weights = np.full((len(found), len(BLENDSHAPES)), np.nan)
    for place, item in enumerate(found):
        if item.weights is not None:
            weights[place] = item.weights
    meshes = [place for place, item in enumerate(found) if item.vertices is not None]
    if meshes:
        if basis is None:
            raise DataError(f"{path}: the reconstructor gives meshes: name a basis")
        vertices = np.stack([np.asarray(found[place].vertices) for place in meshes])
        options = replace(FitOptions(), positions=True)
        first = found[meshes[0]].neutral
        neutral = basis.neutral if first is None else first
        weights[meshes] = fit_meshes(vertices, basis.deltas, options, neutral=neutral).weights
    return weights
