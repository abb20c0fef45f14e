"""How long the streams of a take are, and the stretch that all of them cover.

Speech and face come from the same phone, so their starts agree; their ends need not (the
official loader keeps the overlap from the start, and so does this).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from expclip.beat_loader.audio import audio_seconds
from expclip.beat_loader.index import Take
from expclip.beat_loader.read import read_face
from expclip.face.errors import DataError

__all__ = ["Overlap", "face_seconds", "measure_overlap"]

_TIME = re.compile(rb'"time"\s*:\s*([0-9][0-9.eE+-]*)')
_ENDS_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Overlap:
    """Lengths of face and speech, in seconds; None for a stream that a take has not."""

    face_s: float
    audio_s: float | None = None

    @property
    def seconds(self) -> float:
        """What both cover, from their common start."""
        return self.face_s if self.audio_s is None else min(self.face_s, self.audio_s)

    @property
    def drift_s(self) -> float:
        """By how much the speech is longer than the face; below 0 if it is shorter."""
        return 0.0 if self.audio_s is None else self.audio_s - self.face_s


def measure_overlap(take: Take) -> Overlap:
    """Return the lengths of a take's streams from the ends of its files, fast.

    Raises:
        DataError: a file cannot be read, or its header lies.
        MissingExtra: the audio is no wav inside, and soundfile is not installed.
    """
    if take.face is None:
        raise ValueError(f"{take.name} has no face")
    audio = None if take.audio is None else audio_seconds(take.audio)
    return Overlap(face_seconds(take.face), audio)


def face_seconds(path: str | os.PathLike[str]) -> float:
    """Return the length of a face JSON from its first and last times; reads only its ends.

    Raises:
        DataError: it cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(_ENDS_BYTES)
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _ENDS_BYTES))
            end = stream.read(_ENDS_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    first, times = _TIME.search(start), _TIME.findall(end)
    try:
        last, before = float(times[-1]), float(times[-2])
        seconds = last - float(first[1]) + last - before if first else 0.0
    except (IndexError, ValueError):
        seconds = 0.0
    if not 0 < seconds < 1e6 or not end.rstrip().endswith(b"}"):  # unusual: look at all of it
        seconds = read_face(path).duration_s
    return seconds
