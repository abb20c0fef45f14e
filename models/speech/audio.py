"""Speech from a file, whatever it is, as the encoders want it."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.beat_loader.audio import SAMPLE_RATE, read_audio
from expclip.face.errors import DataError

__all__ = ["read_speech"]

_SHORTEST_S = 0.05


def read_speech(path: str | os.PathLike[str]) -> Float[np.ndarray, " samples"]:
    """Return the sound of a file: mono, 16 kHz, -1..1.

    Any rate and any number of channels will do, and so do silence and clipping.

    Raises:
        DataError: in one line, that it cannot be read, is shorter than 0.05 s, or has a
            sample that is not finite.
        MissingExtra: soundfile, or soxr where the rate must change, is not installed.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: is no file")
    audio = read_audio(path, SAMPLE_RATE)
    if audio.seconds < _SHORTEST_S:
        raise DataError(f"{path}: is {audio.seconds:.4f} s long, expected at least {_SHORTEST_S}")
    return np.asarray(np.clip(audio.samples, -1, 1))
