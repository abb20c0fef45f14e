"""Windows of a fixed number of frames over a built folder, as places, not copies."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int16

from expclip.beat_loader.audio import SAMPLE_RATE, samples_of_frames
from expclip.beat_loader.splits import SPLITS
from expclip.beat_loader.store import read_manifest
from expclip.face.errors import DataError

__all__ = ["FRAMES", "BuiltBeat", "Windows", "find_windows"]

FRAMES = 64
"""Of a window, as in ExpCLIP: 4.27 s at 15 frames a second."""


@dataclass(frozen=True, slots=True, eq=False)
class BuiltBeat:
    """A built folder: its index, and its arrays, mapped, not read.

    Attributes:
        parts: the columns of ``takes.parquet``.
        frames: of all takes, one behind the other.
        samples: of all takes, likewise; None in a build without speech.
        fps: of the frames.
    """

    folder: Path
    parts: dict[str, list[Any]]
    frames: Float[np.ndarray, "frames 52"]
    samples: Int16[np.ndarray, " samples"] | None
    fps: float

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "BuiltBeat":
        """Open a folder of `expclip beat build`.

        Raises:
            DataError: there is none, or its files do not belong together.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder = Path(folder)
        manifest = read_manifest(folder)
        if manifest is None:
            raise DataError(f"{folder}: has no manifest.json: not built, or not to the end")
        try:
            parts = pq.read_table(folder / "takes.parquet").to_pydict()
            fps = float(manifest["options"]["fps"])
            has_audio = bool(manifest["options"]["audio"])
        except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
            raise DataError(f"{folder}: is no whole build: {error}") from error
        frames = _map(folder / "frames.npy", "<f4", (52,))
        samples = _map(folder / "audio.npy", "<i2", ()) if has_audio else None
        for kind, array in (("frame", frames), ("sample", samples)):
            starts, counts = np.array(parts[f"{kind}_start"]), np.array(parts[f"{kind}s"])
            if array is not None and ((starts < 0) | (starts + counts > len(array))).any():
                raise DataError(f"{folder}: takes.parquet names {kind}s that are not there")
        return cls(folder, parts, frames, samples, fps)


def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be mapped: {error}") from error
    if not isinstance(array, np.ndarray) or (array.dtype.str, array.shape[1:]) != (dtype, shape):
        raise DataError(f"{path}: is not the array of a build")
    plain: np.ndarray = np.asarray(array)
    return plain


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Where windows are.

    Attributes:
        parts: the row of the index that each lies in.
        frames: its first frame in the part.
    """

    parts: Int[np.ndarray, " windows"]
    frames: Int[np.ndarray, " windows"]

    def __len__(self) -> int:
        return len(self.parts)


def find_windows(
    built: BuiltBeat,
    split: str | None = "train",
    *,
    length: int = FRAMES,
    stride: int | None = None,
    speakers: frozenset[int] = frozenset(),
    emotions: frozenset[str] = frozenset(),
) -> Windows:
    """Return the windows of a split, in the order of the takes; none reaches out of its part.

    Args:
        built: the folder.
        split: of SPLITS; None for all.
        length: of a window, in frames.
        stride: from one window to the next, in frames; by default the length. The paper
            does not say (reconstruction: no overlap).
        speakers: only these; empty for all.
        emotions: only these, likewise.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)} or None")
    stride = length if stride is None else stride
    if length < 1 or stride < 1:
        raise ValueError(f"length and stride must be at least 1, got {length} and {stride}")
    wanted = [
        (split is None or own == split)
        and (not speakers or speaker in speakers)
        and (not emotions or emotion in emotions)
        for own, speaker, emotion in zip(
            *(built.parts[key] for key in ("split", "speaker", "emotion")), strict=True
        )
    ]
    frames = np.array(built.parts["frames"], np.int64)
    counts = np.where(wanted, np.maximum(0, (frames - length) // stride + 1), 0)
    parts = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(parts)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Windows(parts, number * stride)


def samples_of_window(length: int, fps: float) -> int:
    """Return how many samples go with a window: never more than its part has."""
    return int(length * SAMPLE_RATE / fps)


def sample_places(
    built: BuiltBeat, windows: Windows, chosen: Int[np.ndarray, " chosen"]
) -> list[int]:
    """Return the first sample of some windows."""
    starts = built.parts["sample_start"]
    return [
        starts[part] + samples_of_frames(int(frame), built.fps)
        for part, frame in zip(windows.parts[chosen], windows.frames[chosen], strict=True)
    ]
