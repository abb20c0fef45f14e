"""Faces of BEAT takes, read once and kept as plain arrays."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from expclip.face.clock import Gap
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.face.sequence import Sequence, read_sequence

__all__ = ["FPS", "read_face"]

FPS = 60.0
"""Frames a second that BEAT was recorded at, nominally."""

_FORMAT = 1
_MAX_NOTE = 1 << 20


def read_face(
    path: str | os.PathLike[str], *, cache: str | os.PathLike[str] | None = None
) -> Sequence:
    """Read the face JSON of a take: 51 or 52 channels, by name, in any order.

    Args:
        path: the file; npz, Parquet and Live Link CSV are read too.
        cache: a folder for arrays of files already read (``.npy`` and a small ``.json``
            for each). They are used as long as the file has the same size and time.

    Raises:
        DataError: the file cannot be read, or is no face; or the cache cannot be written.
    """
    path = Path(path)
    if cache is None:
        return read_sequence(path)
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    key = f"{_FORMAT}-{stat.st_size}-{stat.st_mtime_ns}"
    entry = Path(cache) / f"{path.stem}-{place}"
    found = _read_entry(entry, key)
    if found is None:
        found = read_sequence(path)
        _write_entry(entry, key, found)
    return found


def _read_entry(entry: Path, key: str) -> Sequence | None:
    """Return what is kept; None where there is nothing, or nothing sound, or it is too old."""
    try:
        with entry.with_name(f"{entry.name}.json").open("rb") as stream:
            note = json.loads(stream.read(_MAX_NOTE))
        if note["key"] != key:
            return None
        with entry.with_name(note["array"]).open("rb") as stream:
            weights = _read_array(stream.read(), note)
        gaps = tuple(Gap(*pair) for pair in note["gaps"])
        return Sequence(weights, note["fps"], tuple(note["missing"]), gaps)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _read_array(data: bytes, note: Mapping[str, Any]) -> np.ndarray:
    """Return the weights of a .npy, whose header must be the one that we write."""
    shape = (int(note["frames"]), 52)
    start = len(data) - 4 * math.prod(shape)
    if start < 0 or data[:start] != _header(shape):
        raise ValueError("is not as it was written")
    array = np.frombuffer(data, "<f4", offset=start).reshape(shape)
    return array


def _header(shape: tuple[int, ...]) -> bytes:
    import io

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def _write_entry(entry: Path, key: str, sequence: Sequence) -> None:
    """Keep the array under a name of its own first, then the note that names it."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{entry.parent}: cannot be made: {error.strerror}") from error
    array = entry.with_name(f"{entry.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.npy")
    with write_atomically(array) as temporary, temporary.open("wb") as stream:
        stream.write(_header(sequence.weights.shape) + sequence.weights.astype("<f4").tobytes())
    note = {
        "key": key,
        "array": array.name,
        "frames": len(sequence),
        "fps": sequence.fps,
        "missing": sequence.missing,
        "gaps": [(gap.frame, gap.missing) for gap in sequence.gaps],
    }
    with write_atomically(entry.with_name(f"{entry.name}.json")) as temporary:
        temporary.write_text(json.dumps(note), encoding="utf-8")
    for older in entry.parent.glob(f"{entry.name}-*.npy"):
        if older != array:
            with suppress(OSError):
                older.unlink()
