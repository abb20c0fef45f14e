"""MediaPipe's Face Landmarker: 52 scores for each picture.

MediaPipe (Apache-2.0) comes without its model, a file of 3.8 MB that is downloaded once,
or given by path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.request import urlopen

import numpy as np
from jaxtyping import Float32

from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES, canonical_name
from expclip.face.errors import DataError, MissingExtra, ModelError
from expclip.face.files import write_atomically
from expclip.mead3d.reconstruct import Box, Reconstruction, Shot

__all__ = ["MODEL_SHA256", "MODEL_URL", "FaceLandmarker", "find_model", "weights_from_scores"]

MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
    "float16/1/face_landmarker.task"
)
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
"""Of version 1, half precision."""

_MODEL_BYTES = 3_758_596
_TIMEOUT_S = 30.0
_ABSENT = frozenset({"tongueOut"})


class Score(Protocol):
    """One entry of MediaPipe's ``face_blendshapes``."""

    category_name: str | None
    score: float | None


@dataclass(frozen=True)
class FaceLandmarker:
    """Finds the face of each picture, on its own, and scores 51 of the 52 blendshapes.

    tongueOut is always 0: MediaPipe does not know it. Left and right are the person's
    own, so pictures must not be mirrored. A face turned far to the side is often not
    found: expect failures in MEAD's views left_60 and right_60.

    Attributes:
        model: file of the model; None for the one that `find_model` finds.
        min_confidence: of finding a face, and of its landmarks.
    """

    model: Path | None = None
    min_confidence: float = 0.5
    _opened: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def name(self) -> str:
        """With the versions of MediaPipe and of the model.

        Raises:
            MissingExtra: MediaPipe is not installed.
            DataError: there is no model, and it cannot be downloaded.
        """
        if not find_spec("mediapipe"):
            raise MissingExtra("mediapipe", "mead3d")
        digest = hashlib.sha256(self._path().read_bytes()).hexdigest()
        return f"mediapipe {version('mediapipe')} model {digest[:16]} >= {self.min_confidence}"

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "min_confidence": self.min_confidence, "_opened": {}}

    def reconstruct(self, shots: Sequence[Shot]) -> list[Reconstruction]:
        """Return scores and the box of the face of each picture, or that there is none.

        Raises:
            MissingExtra: MediaPipe is not installed.
            DataError: there is no model, or it cannot be opened.
            ModelError: its scores are not what this version of the package knows.
        """
        return [self._one(shot) for shot in shots]

    def _one(self, shot: Shot) -> Reconstruction:
        landmarker = self._landmarker()
        import mediapipe

        height, width = shot.picture.shape[:2]
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(shot.picture)
        )
        try:
            found = landmarker.detect(image)
        except (RuntimeError, ValueError) as error:  # what MediaPipe raises on one picture
            return Reconstruction(reason="detector", message=" ".join(str(error).split()))
        if not found.face_blendshapes:
            return Reconstruction(reason="no_face", message="MediaPipe finds no face")
        return Reconstruction(
            weights=weights_from_scores(found.face_blendshapes[0]),
            box=_box(found.face_landmarks[0], width, height),
        )

    def _path(self) -> Path:
        return find_model(self.model)

    def _landmarker(self) -> Any:
        """Open the model, once in each process."""
        if "landmarker" not in self._opened:
            if not find_spec("mediapipe"):
                raise MissingExtra("mediapipe", "mead3d")
            from mediapipe.tasks.python import BaseOptions, vision

            path = self._path()
            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(path)),
                running_mode=vision.RunningMode.IMAGE,
                num_faces=1,
                min_face_detection_confidence=self.min_confidence,
                min_face_presence_confidence=self.min_confidence,
                output_face_blendshapes=True,
            )
            try:
                self._opened["landmarker"] = vision.FaceLandmarker.create_from_options(options)
            except (RuntimeError, ValueError, OSError) as error:
                told = " ".join(str(error).split())
                raise DataError(f"{path}: MediaPipe cannot open this model: {told}") from None
        return self._opened["landmarker"]


def weights_from_scores(scores: Iterable[Score]) -> Float32[np.ndarray, " 52"]:
    """Return MediaPipe's scores as weights, put in order by name.

    ``_neutral``, which MediaPipe counts as one of its 52, is dropped.

    Raises:
        ModelError: a name is unknown or comes twice, one is missing, or a score is no
            finite number.
    """
    weights = np.zeros(len(BLENDSHAPES), np.float32)
    seen: set[str] = set()
    for score in scores:
        if score.category_name == "_neutral":
            continue
        name = canonical_name(score.category_name or "")
        if name is None or name in seen:
            what = "twice" if name else "no blendshape"
            raise ModelError(f"MediaPipe scores {score.category_name!r}: {what}")
        seen.add(name)
        if score.score is None or not np.isfinite(score.score):
            raise ModelError(f"MediaPipe scores {name} with {score.score}")
        weights[BLENDSHAPE_INDEX[name]] = score.score
    if missing := [name for name in BLENDSHAPES if name not in seen | _ABSENT]:
        raise ModelError(f"MediaPipe has no score for {', '.join(missing)}")
    return weights


def find_model(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the model's file: the given one, or the one downloaded before, or now.

    A given file may be another version of the model; a downloaded one has MODEL_SHA256.

    Raises:
        DataError: the given file does not exist, or the download fails; the message says
            what to download and where to put it.
    """
    if path is not None:
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file, expected the model from {MODEL_URL}")
        return Path(path)
    cached = _cache() / "face_landmarker.task"
    if not cached.is_file() or _sha256(cached) != MODEL_SHA256:
        _download(cached)
    return cached


def _download(target: Path) -> None:
    try:
        with urlopen(MODEL_URL, timeout=_TIMEOUT_S) as answer:
            data = answer.read(2 * _MODEL_BYTES)
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # URLError is one
        told = getattr(error, "reason", None) or error
        reason = " ".join(str(told).split())
        raise DataError(f"MediaPipe's model cannot be downloaded ({reason}): {_WHERE}") from None
    if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
        raise DataError(
            f"MediaPipe's model came with another content ({len(data):,} bytes, SHA-256 not "
            f"{MODEL_SHA256[:16]}...): {_WHERE}"
        )
    with write_atomically(target) as temporary:
        temporary.write_bytes(data)


_WHERE = (
    f"download {MODEL_URL} on any machine and give its path (--model), or work from ready "
    "meshes (--meshes)"
)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "expclip"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _box(landmarks: Sequence[Any], width: int, height: int) -> Box:
    """Return the box around landmarks, which are given as shares of the picture."""
    xs = [landmark.x * width for landmark in landmarks]
    ys = [landmark.y * height for landmark in landmarks]
    return round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys))
