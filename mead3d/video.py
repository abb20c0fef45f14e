"""Frames of clips: how many there are, and their pictures.

Videos are read by PyAV, or by OpenCV where only that is installed. A video within a tar
file is read where it lies, without unpacking; OpenCV cannot do that.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from expclip.face.errors import DataError, MissingExtra
from expclip.face.files import write_atomically
from expclip.mead3d.index import Clip, LeftOut, MeadIndex

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["count_frames", "find_decoder", "read_pictures"]

_MAX_PIXELS = 50_000_000
_MAX_PICTURE_BYTES = 200_000_000
_MAX_FRAMES = 1_000_000
_THREADS = 8
_BATCH = 4096

Progress = Callable[[int, int], None]
Picture = UInt8[np.ndarray, "height width 3"]


def find_decoder() -> str:
    """Return what reads videos here: "av 14.0.0" or "opencv 4.11.0".

    Raises:
        MissingExtra: neither is installed.
    """
    for module, package, name in _DECODERS:
        if find_spec(module):
            return f"{name} {_version(package)}"
    raise MissingExtra("av", "mead3d")


_DECODERS = (("av", "av", "av"), ("cv2", "opencv-contrib-python", "opencv"))


def count_frames(
    index: MeadIndex, *, cache: Path | None = None, progress: Progress | None = None
) -> MeadIndex:
    """Return the index with the number of frames and the rate of each clip.

    Headers of videos are read, eight at a time; no picture is decoded. A video that
    cannot be read is left out.

    Args:
        index: of any clips; folders of pictures are counted already.
        cache: a file that remembers the counts of videos whose size has not changed.
        progress: called with the number of videos counted, and of all.

    Raises:
        MissingExtra: there are videos, and neither PyAV nor OpenCV is installed.
        DataError: no clip can be read.
    """
    known = _read_cache(cache)
    todo = [clip for clip in index.clips if not clip.pictures and _key(clip) not in known]
    if todo:
        find_decoder()
    left_out: list[LeftOut] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(todo), _BATCH):
            batch = todo[start : start + _BATCH]
            counts = pool.map(lambda clip: _count(index.root, clip), batch)
            for clip, found in zip(batch, counts, strict=True):
                if isinstance(found, str):
                    left_out.append(LeftOut(clip.path, "unreadable", found))
                else:
                    known[_key(clip)] = found
            _write_cache(cache, known)
            if progress:
                progress(start + len(batch), len(todo))
    clips = []
    for clip in index.clips:
        if clip.pictures:
            clips.append(clip)
        elif _key(clip) in known:
            frames, fps = known[_key(clip)]
            clips.append(replace(clip, frames=frames, fps=fps))
    if not clips:
        first = left_out[0]
        raise DataError(f"{index.root}: no clip can be read; {first.path}: {first.message}")
    ordered = sorted((*index.left_out, *left_out), key=lambda item: (item.path, item.message))
    return MeadIndex(index.root, tuple(clips), tuple(ordered))


def read_pictures(root: Path, clip: Clip, numbers: Sequence[int]) -> dict[int, Picture | str]:
    """Return frames of a clip as RGB, or why one cannot be read.

    Args:
        root: of the index.
        clip: with pictures, a video, or a video within a tar file.
        numbers: of the frames, from 0 in the order in which they are shown.

    Raises:
        MissingExtra: it is a video, and neither PyAV nor OpenCV is installed.
    """
    if clip.pictures:
        return {number: _read_picture(root, clip, number) for number in numbers}
    decoder = find_decoder()
    read = _read_with_av if decoder.startswith("av") else _read_with_opencv
    found: dict[int, Picture | str] = dict.fromkeys(numbers, "the video ends before this frame")
    try:
        for number, picture in read(root, clip, sorted(set(numbers))):
            found[number] = picture
    except _errors() as error:
        told = f"cannot be decoded: {_said(error)}"
        found = {n: told if isinstance(value, str) else value for n, value in found.items()}
    return found


def _read_cache(cache: Path | None) -> dict[str, list[Any]]:
    """Return the counts of an earlier run; a broken cache counts for nothing."""
    try:
        known = json.loads(cache.read_text("utf-8")) if cache else {}
        return {key: [int(frames), float(fps)] for key, (frames, fps) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_cache(cache: Path | None, known: dict[str, list[Any]]) -> None:
    if cache:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(cache) as temporary:
            temporary.write_text(json.dumps(known, sort_keys=True), "utf-8")


def _key(clip: Clip) -> str:
    return f"{clip.path}:{clip.offset}:{clip.size}"


def _count(root: Path, clip: Clip) -> list[Any] | str:
    """Return frames and rate of a video, or why it cannot be read."""
    try:
        counts = _count_with_av if find_decoder().startswith("av") else _count_with_opencv
        frames, fps = counts(root, clip)
    except _errors() as error:
        return _said(error)
    if not 0 < frames <= _MAX_FRAMES:
        return f"{frames:,} frames"
    return [frames, round(fps, 3) if 0 < fps < 1000 else 0.0]


def _count_with_av(root: Path, clip: Clip) -> tuple[int, float]:
    with _open_av(root, clip) as (container, stream):
        rate = float(stream.average_rate or 0)
        return stream.frames or len(_times(container, stream)), rate


def _count_with_opencv(root: Path, clip: Clip) -> tuple[int, float]:
    import cv2

    with _open_opencv(root, clip) as video:
        return int(video.get(cv2.CAP_PROP_FRAME_COUNT)), float(video.get(cv2.CAP_PROP_FPS))


def _read_with_av(root: Path, clip: Clip, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
    """Yield pictures; each is reached from the key frame before it, by its own time."""
    with _open_av(root, clip) as (container, stream):
        times = _times(container, stream)
        wanted = {times[number]: number for number in numbers if number < len(times)}
        while wanted:
            container.seek(min(wanted), stream=stream, backward=True)
            before = len(wanted)
            for frame in container.decode(stream):
                number = wanted.pop(frame.pts, None)
                if number is not None:
                    yield number, frame.to_ndarray(format="rgb24")
                if not wanted or frame.pts > min(wanted):
                    break
                if before > len(wanted) and _is_far(times, frame.pts, min(wanted)):
                    break
            if before == len(wanted):  # its picture does not decode: go on with the next
                del wanted[min(wanted)]


def _is_far(times: list[int], here: int, there: int) -> bool:
    """Return whether seeking is cheaper than decoding all frames on the way."""
    return there - here > 48 * (times[-1] - times[0]) / max(len(times) - 1, 1)


def _times(container: Any, stream: Any) -> list[int]:
    """Return the time of each frame in the order of showing, without decoding."""
    times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    return sorted(times)


@contextmanager
def _open_av(root: Path, clip: Clip) -> Iterator[tuple[Any, Any]]:
    import av

    with open(root / clip.path, "rb") as file:  # noqa: PTH123 - av wants a file object or a path
        source = _Window(file, clip.offset, clip.size) if clip.offset >= 0 else file
        with av.open(source, metadata_errors="replace") as container:
            if not container.streams.video:
                raise DataError("no video in it")
            stream = container.streams.video[0]
            _check_size(stream.width, stream.height)
            yield container, stream


def _read_with_opencv(
    root: Path, clip: Clip, numbers: Sequence[int]
) -> Iterator[tuple[int, Picture]]:
    """Yield pictures, all frames before them being decoded too."""
    import cv2

    with _open_opencv(root, clip) as video:
        here = 0
        for number in numbers:
            while here <= number:
                if not video.grab():
                    return
                here += 1
            good, picture = video.retrieve()
            if good:
                yield number, np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


@contextmanager
def _open_opencv(root: Path, clip: Clip) -> Iterator[Any]:
    import cv2

    if clip.offset >= 0:
        raise DataError("OpenCV cannot read within a tar file: unpack it, or pip install av")
    video = cv2.VideoCapture(str(root / clip.path))
    try:
        if not video.isOpened():
            raise DataError("no video that OpenCV can read")
        _check_size(
            int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        )
        yield video
    finally:
        video.release()


def _check_size(width: int, height: int) -> None:
    if width * height > _MAX_PIXELS:
        raise DataError(f"{width} x {height} pixels, expected at most {_MAX_PIXELS:,}")


def _read_picture(root: Path, clip: Clip, number: int) -> Picture | str:
    if number >= len(clip.pictures):
        return f"there are {len(clip.pictures)} pictures"
    from PIL import Image, UnidentifiedImageError

    path = root / clip.path / clip.pictures[number]
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            return f"{path.name}: leads out of the folder"
        if path.stat().st_size > _MAX_PICTURE_BYTES:
            return f"{path.name}: {path.stat().st_size:,} bytes"
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                return _to_rgb(image)
    except UnidentifiedImageError:
        return f"{path.name}: no picture that can be read"
    except (
        OSError,
        ValueError,
        SyntaxError,
        DataError,
        Warning,
        Image.DecompressionBombError,
    ) as error:
        return f"{path.name}: {_said(error)}"


def _to_rgb(image: Image.Image) -> Picture:
    _check_size(*image.size)
    return np.asarray(image.convert("RGB"))


def _said(error: Exception) -> str:
    """Return what is wrong, without the path that system errors repeat."""
    told = getattr(error, "strerror", None) or str(error)
    return " ".join(told.split()) or type(error).__name__


def _errors() -> tuple[type[Exception], ...]:
    """Return what a broken file makes a decoder raise."""
    if find_spec("av"):
        import av

        return (OSError, DataError, ValueError, av.error.FFmpegError)
    return (OSError, DataError, ValueError)


def _version(package: str) -> str:
    for name in (package, "opencv-python", "opencv-python-headless"):
        try:
            return version(name)
        except ImportError:
            continue
    return "unknown"


class _Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: io.BufferedReader, offset: int, size: int) -> None:
        self._file, self._offset, self._size, self._at = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        self._file.seek(self._offset + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data
