"""Speech of BEAT takes: any encoding in, mono float32 out.

The files are called .wav, but hold float32, 16- or 24-bit samples, and some are MP3.
"""

import math
import os
import struct
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float

from expclip.face.errors import DataError, MissingExtra

__all__ = [
    "SAMPLE_RATE",
    "Audio",
    "audio_seconds",
    "read_audio",
    "require_audio",
    "samples_of_frames",
]

SAMPLE_RATE = 16_000
"""Of BEAT's speech, and of the speech encoders of `expclip.models`, in Hz."""

_LONGEST_S = 4 * 3600.0
_MOST_SAMPLES = 1 << 29
"""Of all channels; 2 GB as float32."""
_RATES = range(1000, 768_001)
_STREAMED = (0, 0xFFFFFFFF)
"""What a header claims whose writer could not go back to it."""
_MOST_CHUNKS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono speech.

    Attributes:
        samples: -1..1, float32; captures may exceed it a little.
        sample_rate: in Hz.
    """

    samples: Float[np.ndarray, " samples"]
    sample_rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.sample_rate


def read_audio(path: str | os.PathLike[str], sample_rate: int | None = SAMPLE_RATE) -> Audio:
    """Read speech, channels averaged, resampled; None keeps the file's rate.

    Reads what libsndfile does (wav, flac, ogg, mp3, known by content), and ``.npy`` of the
    official cache (16 kHz).

    Raises:
        DataError: it cannot be read, its header lies, or a sample is not finite.
        MissingExtra: soundfile, or soxr where the rate must change, is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        samples, rate = _read_npy(path), SAMPLE_RATE
    else:
        samples, rate = _read_sound(path)
    if not len(samples):
        raise DataError(f"{path}: has no samples")
    if not np.isfinite(samples).all():
        place = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise DataError(f"{path}: sample {place} is {samples[place]}, expected -1 to 1")
    if sample_rate is not None and rate != sample_rate:
        soxr = _extra("soxr")
        samples, rate = soxr.resample(samples, rate, sample_rate).astype(np.float32), sample_rate
    return Audio(samples, rate)


def audio_seconds(path: str | os.PathLike[str]) -> float:
    """Return the length of a file from its header.

    Raises:
        DataError: it cannot be read, or its header lies.
        MissingExtra: it is no wav inside, and soundfile is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return len(_read_npy(path)) / SAMPLE_RATE
    seconds = _wav_seconds(path)
    if seconds is None:
        with _open_sound(path) as sound:
            seconds = sound.frames / sound.samplerate
    return seconds


def _read_sound(path: Path) -> tuple[Float[np.ndarray, " samples"], int]:
    _wav_seconds(path)  # libsndfile believes headers that lie
    with _open_sound(path) as sound:
        samples = sound.read(dtype="float32", always_2d=True)
        rate = int(sound.samplerate)
    if samples.shape[1] == 1:
        return samples[:, 0], rate
    return samples.mean(axis=1, dtype=np.float32), rate


def require_audio() -> None:
    """Raise MissingExtra if speech cannot be read here."""
    for name in ("soundfile", "soxr"):
        _extra(name)


def _extra(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra(name, "models") from None


def _open_sound(path: Path) -> Any:
    soundfile = _extra("soundfile")
    try:
        sound = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read as sound: {str(reason).strip()}") from error
    _check_length(path, sound.frames / sound.samplerate, sound.samplerate)
    if sound.frames * sound.channels > _MOST_SAMPLES:
        raise DataError(f"{path}: has {sound.channels} channels of {sound.frames:,} samples")
    return sound


def _check_length(path: Path, seconds: float, rate: int) -> None:
    if rate not in _RATES:
        raise DataError(f"{path}: has {rate} samples a second, expected 1,000 to 768,000")
    if not seconds <= _LONGEST_S:
        raise DataError(f"{path}: is {seconds:,.0f} s long, expected at most {_LONGEST_S:,.0f}")


def _wav_seconds(path: Path) -> float | None:
    """Return the length that a wav's header claims, checked against the file; None if no wav."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            start = stream.read(12)
            if start[:4] != b"RIFF" or start[8:] != b"WAVE":
                return None
            return _seconds_of_chunks(stream, size)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _seconds_of_chunks(stream: BinaryIO, size: int) -> float:
    rate = block = 0
    for head in iter(partial(stream.read, 8), b""):
        if len(head) < 8 or stream.tell() > size:
            break
        kind, length = struct.unpack("<4sI", head)
        left = size - stream.tell()
        if kind == b"fmt ":
            form = stream.read(min(length, 40))
            if len(form) < 16:
                break
            _, channels, rate, _, block, _ = struct.unpack("<HHIIHH", form[:16])
            if not (channels and block and rate in _RATES):
                raise DataError(f"its header says {channels} channels at {rate} Hz, block {block}")
            length -= len(form)
        if kind == b"data":
            if not block:
                raise DataError("its samples come before their format")
            if length > left and length not in _STREAMED:
                raise DataError(f"its header says {length:,} bytes of sound, it holds {left:,}")
            length = left if length in _STREAMED else length
            return length / block / rate
        stream.seek(length + length % 2, os.SEEK_CUR)
    raise DataError("is a wav without sound")


def _read_npy(path: Path) -> Float[np.ndarray, " samples"]:
    try:
        samples = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is no array of samples: {error}") from error
    if not isinstance(samples, np.ndarray) or samples.ndim != 1 or samples.dtype.kind != "f":
        raise DataError(f"{path}: holds no row of floating-point samples")
    _check_length(path, len(samples) / SAMPLE_RATE, SAMPLE_RATE)
    return np.array(samples, np.float32)


def samples_of_frames(frames: int, fps: float, sample_rate: int = SAMPLE_RATE) -> int:
    """Return how many samples last as long as some frames, to the nearest."""
    return math.floor(frames * sample_rate / fps + 0.5)
