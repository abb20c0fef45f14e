"""Sound from a pipe, as it comes: a wav, or bare 16-bit samples."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
from jaxtyping import Float

from expclip.face.errors import DataError

__all__ = ["PipedSound", "read_pipe"]

_BYTES = 1 << 14
"""Read at most so much at once; what is there is taken, nothing is waited for."""
_MOST_HEADER = 1 << 20
_RATES = range(1000, 768_001)
_MOST_CHANNELS = 64
_KINDS = {
    (1, 8): "u1",
    (1, 16): "<i2",
    (1, 24): "3",
    (1, 32): "<i4",
    (3, 32): "<f4",
    (3, 64): "<f8",
}
_EXTENSIBLE = 0xFFFE


class _Pipe(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def read1(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PipedSound:
    """Sound that still comes in.

    Attributes:
        sample_rate: in Hz.
        chunks: of samples, -1..1, channels averaged; each as soon as it is there.
    """

    sample_rate: int
    chunks: Iterator[Float[np.ndarray, " samples"]]


def read_pipe(
    pipe: BinaryIO | _Pipe, *, sample_rate: int = 16_000, channels: int = 1
) -> PipedSound:
    """Return the sound of a pipe.

    Args:
        pipe: a wav by its first bytes (its length is not believed: who writes into a pipe
            cannot go back), or 16-bit little-endian samples.
        sample_rate: of bare samples, in Hz.
        channels: of bare samples, interleaved.

    Raises:
        DataError: it is a wav that is cut short or of a kind that we do not know; later, of
            the chunks: a sample is not finite.
    """
    start = pipe.read(12)
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        sample_rate, channels, kind = _read_header(pipe)
        start = b""
    else:
        kind = "<i2"
    if sample_rate not in _RATES or not 1 <= channels <= _MOST_CHANNELS:
        raise DataError(f"-: {channels} channels at {sample_rate} Hz cannot be read")
    return PipedSound(sample_rate, _chunks(pipe, start, kind, channels))


def _read_header(pipe: BinaryIO | _Pipe) -> tuple[int, int, str]:
    """Return rate, channels and kind of samples, and leave the pipe where these begin."""
    found = None
    for _ in range(1000):
        head = pipe.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            if found is None:
                raise DataError("-: a wav whose samples come before their format")
            return found
        if length > _MOST_HEADER:
            break
        body = pipe.read(length + length % 2)
        if name == b"fmt " and len(body) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if tag == _EXTENSIBLE and len(body) >= 26:
                tag = struct.unpack("<H", body[24:26])[0]
            if (tag, bits) not in _KINDS:
                raise DataError(f"-: a wav of kind {tag} with {bits} bits, expected PCM or float")
            found = rate, channels, _KINDS[tag, bits]
    raise DataError("-: a wav without sound")


def _chunks(
    pipe: BinaryIO | _Pipe, start: bytes, kind: str, channels: int
) -> Iterator[Float[np.ndarray, " samples"]]:
    size = channels * (3 if kind == "3" else np.dtype(kind).itemsize)
    left, data = start, b"more"
    while data:
        data = pipe.read1(_BYTES)  # type: ignore[union-attr]
        left += data
        whole = len(left) // size * size
        if whole:
            yield _samples(left[:whole], kind).reshape(-1, channels).mean(axis=1, dtype=np.float32)
            left = left[whole:]


def _samples(data: bytes, kind: str) -> Float[np.ndarray, " samples"]:
    if kind == "3":
        bytes_of = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
        whole = bytes_of[:, 0] << 8 | bytes_of[:, 1] << 16 | bytes_of[:, 2] << 24
        return (whole / 2.0**31).astype(np.float32)
    samples = np.frombuffer(data, kind)
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all():
            raise DataError("-: a sample is not finite")
        return samples.astype(np.float32)
    middle = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return ((samples - (middle if kind == "u1" else 0.0)) / middle).astype(np.float32)
