"""A built BEAT folder on disk: what it holds, written so that a build can stop and go on.

frames.npy      float32 (frames, 52), all takes one behind the other
audio.npy       int16 (samples,), mono, 16 kHz, likewise; absent in a build without speech
takes.parquet   a row per part of a take: where its frames and samples are, labels, words
left_out.csv    file and reason
manifest.json   what made it: options, counts, hashes
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Shaped

from expclip.beat_loader.index import LeftOut
from expclip.face.errors import DataError
from expclip.face.files import hash_file, write_atomically

__all__ = ["FORMAT", "Store", "read_manifest"]

FORMAT = 1
"""Of the folder; another number means another layout."""

_HEADER_BYTES = 128
_MOST_MANIFEST = 1 << 24
_ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {"frames": ("<f4", (52,)), "audio": ("<i2", ())}
_JOURNAL = ".build.jsonl"
_FILES = ("frames.npy", "audio.npy", "takes.parquet", "left_out.csv", "manifest.json")


class Store:
    """Takes the takes of a build one after the other; after a crash it knows the last one.

    Every take is on the disk before the journal says so; what lies behind the last one that
    it names is cut off when the build goes on.
    """

    def __init__(self, folder: Path, plan: str, *, audio: bool, overwrite: bool = False) -> None:
        self.folder = folder
        self.names = ("frames", "audio") if audio else ("frames",)
        self._plan = plan
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = _open_to(self.folder / _JOURNAL)
            self._streams: dict[str, BinaryIO] = {}
            try:
                _lock(self._journal, folder)
                if overwrite:
                    self._remove(*_FILES, *(self._part(name).name for name in _ARRAYS))
                    self._journal.truncate(0)
                self.done = self._read_journal()
                self._open()
            except BaseException:
                self.close()
                raise

    def add(self, take: dict[str, Any], arrays: dict[str, Shaped[np.ndarray, "..."]]) -> None:
        """Append the arrays of a take, then its line: ``take`` is any JSON, with its name."""
        with _told(self.folder):
            for name, array in arrays.items():
                self._streams[name].write(np.ascontiguousarray(array, _ARRAYS[name][0]).tobytes())
                _sync(self._streams[name])
                self.lengths[name] += len(array)
            line = {"take": take, "lengths": self.lengths}
            self._journal.write(json.dumps(line).encode() + b"\n")
            _sync(self._journal)
        self.done.append(take)

    def finish(
        self, manifest: dict[str, Any], rows: Any, left_out: Iterable[LeftOut]
    ) -> dict[str, Any]:
        """Give all files their names, the manifest last; return it with sizes and hashes."""
        import pyarrow.parquet as pq

        with _told(self.folder):
            for name in self.names:
                dtype, shape = _ARRAYS[name]
                self._streams[name].seek(0)
                self._streams[name].write(_header(dtype, (self.lengths[name], *shape)))
                _sync(self._streams[name])
                self._streams[name].close()
            for name in self.names:
                self._part(name).replace(self.folder / f"{name}.npy")
        with write_atomically(self.folder / "takes.parquet") as temporary:
            pq.write_table(rows, temporary)
        with write_atomically(self.folder / "left_out.csv") as temporary:
            _write_csv(temporary, left_out)
        files = [name for name in _FILES[:-1] if (self.folder / name).exists()]
        manifest["files"] = {name: _describe(self.folder / name) for name in files}
        with write_atomically(self.folder / "manifest.json") as temporary:
            temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        self._remove(_JOURNAL)
        return manifest

    def close(self) -> None:
        """Close the files; what is written stays for the next time."""
        for stream in (*self._streams.values(), self._journal):
            with suppress(OSError):  # a full disk has been told already
                stream.close()

    def _part(self, name: str) -> Path:
        return self.folder / f".{name}.npy.part"

    def _remove(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def _read_journal(self) -> list[dict[str, Any]]:
        """Return the takes that are safely there; refuse those of another plan."""
        self.lengths = dict.fromkeys(self.names, 0)
        lines = self._journal.read().split(b"\n")[:-1]
        if not lines:
            return []
        try:
            first, *entries = [json.loads(line) for line in lines]
            known = first["plan"] == self._plan
            self.lengths = entries[-1]["lengths"] if entries else self.lengths
            done = [entry["take"] for entry in entries]
        except (ValueError, LookupError, TypeError) as error:
            message = f"{self.folder / _JOURNAL}: is damaged: {error}"
            raise DataError(message) from error
        if not known:
            raise DataError(f"{self.folder}: holds an unfinished build of other takes or options")
        return done

    def _open(self) -> None:
        """Open the files for more, cut to what the journal knows."""
        for name in self.names:
            part, final = self._part(name), self.folder / f"{name}.npy"
            if self.done and not part.exists() and final.exists():
                final.replace(part)  # stopped while the files got their names
        self._streams = {name: _open_to(self._part(name)) for name in self.names}
        for name, stream in self._streams.items():
            dtype, shape = _ARRAYS[name]
            size = np.dtype(dtype).itemsize * int(np.prod(shape)) * self.lengths[name]
            if stream.seek(0, os.SEEK_END) < size + _HEADER_BYTES * bool(size):
                raise DataError(f"{self._part(name)}: is shorter than the journal says")
            stream.truncate(_HEADER_BYTES + size)
            stream.seek(_HEADER_BYTES + size)
        if not self.done:
            self._journal.truncate(0)
        self._journal.seek(0)
        kept = b"".join(self._journal.readlines()[: len(self.done) + 1])
        self._journal.truncate(len(kept))
        self._journal.seek(len(kept))
        if not kept:
            self._journal.write(json.dumps({"plan": self._plan}).encode() + b"\n")
            _sync(self._journal)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Tell a full or read-only disk in one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from error


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a finished build, None if there is none.

    Raises:
        DataError: there is one, but it is not ours.
    """
    path = folder / "manifest.json"
    try:
        if path.stat().st_size > _MOST_MANIFEST:
            raise DataError(f"{path}: is larger than {_MOST_MANIFEST:,} bytes")
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no manifest: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("beat_format") != FORMAT:
        raise DataError(f"{path}: is no manifest of `expclip beat build` (format {FORMAT})")
    return manifest


def _open_to(path: Path) -> BinaryIO:
    """Open a file to read and write, made if it is not there; a link is not followed."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+b")


def _lock(stream: BinaryIO, folder: Path) -> None:
    """Keep other builds out until the file is closed, where the system can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"{folder}: another build is writing here") from None


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _header(dtype: str, shape: Sequence[int]) -> bytes:
    """Return a .npy header of _HEADER_BYTES, whatever the shape."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    return start + text.encode().ljust(_HEADER_BYTES - 11) + b"\n"


def _describe(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": hash_file(path)}


def _write_csv(path: Path, left_out: Iterable[LeftOut]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", "reason"))
        writer.writerows((item.file.as_posix(), item.reason) for item in left_out)
