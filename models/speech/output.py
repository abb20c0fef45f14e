"""A face in motion as files: recordings, a mesh that moves, or a preview."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.face import Basis, Sequence, write_sequence
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.models.speech.glb import build_glb
from expclip.models.speech.preview import Preview, require_video, write_page, write_video
from expclip.models.speech.usda import build_usda

__all__ = ["OUTPUTS", "Spoken", "check_outputs", "write_output"]

_RECORDINGS = (".csv", ".json", ".npz", ".parquet")
_MESHES = (".glb", ".usda")
_PREVIEWS = (".html", ".mp4")

OUTPUTS = (*_RECORDINGS, *_MESHES, *_PREVIEWS)
"""What can be written, by suffix: Live Link Face, BEAT, npz, Parquet; a mesh; a preview."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A face that has spoken.

    Attributes:
        sequence: its weights.
        captions: what prompts it had, and from which second on.
        samples: the sound, for previews.
        sample_rate: of it, in Hz.
    """

    sequence: Sequence
    captions: tuple[tuple[float, str], ...]
    samples: Float[np.ndarray, " samples"]
    sample_rate: int


def check_outputs(paths: list[Path], basis: object) -> None:
    """Refuse, before any work is done, what could not be written in the end.

    Args:
        paths: where to.
        basis: None if there is no mesh.

    Raises:
        DataError: a suffix says nothing; a folder is not there; a mesh is asked for and
            there is none.
        MissingExtra: a video is asked for, and PyAV is not installed.
    """
    for path in paths:
        suffix = path.suffix.lower()
        if suffix not in OUTPUTS:
            raise DataError(f"{path}: suffix {suffix!r}, expected one of {', '.join(OUTPUTS)}")
        if suffix in _MESHES and basis is None:
            raise DataError(f"{path}: a moving mesh needs a basis: --basis FOLDER, .zip or .npz")
        if not path.parent.is_dir():
            raise DataError(f"{path}: there is no folder {path.parent}")
        if suffix == ".mp4":
            require_video()


def write_output(path: Path, spoken: Spoken, basis: Basis | None = None) -> None:
    """Write what the suffix of a path says; equal faces give equal bytes.

    Raises:
        as `check_outputs`; DataError: the file cannot be written.
    """
    check_outputs([path], basis)
    suffix = path.suffix.lower()
    if suffix in _RECORDINGS:
        write_sequence(spoken.sequence, path)
        return
    if suffix in _PREVIEWS:
        preview = Preview(
            spoken.sequence.weights,
            spoken.sequence.fps,
            spoken.captions,
            spoken.samples,
            spoken.sample_rate,
        )
        (write_page if suffix == ".html" else write_video)(preview, path)
        return
    assert basis is not None
    build = build_glb if suffix == ".glb" else build_usda
    content = build(basis, spoken.sequence)
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)
