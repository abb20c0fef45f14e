"""Sequences of blendshape weights, read from and written to four kinds of file.

The layouts are in ``recording.py``. Channels are found by name, whatever their order;
those absent from a file are absent from files written from it, except in CSV.
"""

import math
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES, canonical_name
from expclip.face.clock import Gap, find_gaps, measure_clock
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.face.recording import WRITERS, Recording, read_recording

__all__ = ["Sequence", "read_sequence", "write_sequence"]


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A face in motion: 52 weights at fixed intervals.

    Captured weights go a little below 0 and above 1; they stay so until ``clipped``.

    Attributes:
        weights: in the order of BLENDSHAPES; copied to float32, unless that and
            read-only already.
        fps: frames per second.
        missing: channels that the source did not have; they are 0.
        gaps: where the source lost or repeated frames; see ``filled``.
    """

    weights: Float[np.ndarray, "frames 52"]
    fps: float
    missing: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, np.float32)
        if weights.ndim != 2 or weights.shape[1] != len(BLENDSHAPES) or not len(weights):
            raise ValueError(f"weights have shape {weights.shape}, expected (frames, 52)")
        if not np.isfinite(weights).all():
            frame, channel = np.argwhere(~np.isfinite(weights))[0]
            found = weights[frame, channel]
            raise ValueError(f"frame {frame} has {found} for {BLENDSHAPES[channel]}")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be above 0, got {self.fps}")
        for name in self.missing:
            if name not in BLENDSHAPE_INDEX or weights[:, BLENDSHAPE_INDEX[name]].any():
                raise ValueError(f"{name!r} cannot be missing: no blendshape, or not 0")
        places = [gap.frame for gap in self.gaps]
        if places != sorted(set(places)) or places[-1:] >= [len(weights)]:
            raise ValueError(f"gaps must ascend and lie before frame {len(weights)}")
        if weights.flags.writeable:
            weights = weights.copy()
            weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def names(self) -> tuple[str, ...]:
        """The channels: BLENDSHAPES."""
        return BLENDSHAPES

    @property
    def frame_numbers(self) -> Int[np.ndarray, " frames"]:
        """The place of each frame on an even clock: 0, 1, 2... where there are no gaps."""
        steps = np.ones(len(self), np.int64)
        steps[0] = 0
        for gap in self.gaps:
            steps[gap.frame] += gap.missing
        return np.cumsum(steps)

    @property
    def times_s(self) -> Float[np.ndarray, " frames"]:
        """When each frame was taken, in seconds from the first."""
        return self.frame_numbers / self.fps

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last, gaps included."""
        return float(self.frame_numbers[-1] + 1) / self.fps

    def clipped(self) -> "Sequence":
        """Return the sequence with all weights within 0..1."""
        return replace(self, weights=self.weights.clip(0, 1))

    def filled(self) -> "Sequence":
        """Return it without gaps: lost frames interpolated, repeated ones left out."""
        if not self.gaps:
            return self
        numbers, first = np.unique(self.frame_numbers, return_index=True)
        even = np.arange(numbers[-1] + 1)
        columns = [np.interp(even, numbers, column) for column in self.weights[first].T]
        return replace(self, weights=np.stack(columns, axis=1).astype(np.float32), gaps=())


def read_sequence(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    optional: Collection[str] = ("tongueOut",),
    max_bytes: int = 1 << 30,
) -> Sequence:
    """Read BEAT JSON, a Live Link Face CSV, npz or Parquet.

    Args:
        path: the file; its content says what it is.
        fps: goes before what the file says; its times are then not looked at.
        optional: channels the file may lack; they become 0.
        max_bytes: larger files, or arrays in them, are refused.

    Raises:
        DataError: the file cannot be read, or is not such a file, whole and finite.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be above 0, got {fps}")
    try:
        data = _read_bytes(Path(path), max_bytes)
        recording = read_recording(data, Path(path).suffix.lower(), max_bytes)
        return _sequence(recording, fps, optional)
    except (DataError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error


def write_sequence(sequence: Sequence, path: str | os.PathLike[str]) -> None:
    """Write .json (BEAT), .csv (Live Link Face), .npz or .parquet, whole or not at all.

    Weights come back exactly, and the same sequence always gives the same bytes. A CSV
    tells the rate by its timecodes alone, to about 0.001 fps; a single frame has none.

    Raises:
        DataError: the file cannot be written.
        ValueError: the suffix is none of the four.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(f"{path}: suffix {suffix!r}, expected one of {', '.join(WRITERS)}")
    with write_atomically(path) as temporary:
        WRITERS[suffix](_recording(sequence), temporary)


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise DataError("is not a regular file")
        size = path.stat().st_size
        if size > max_bytes:
            raise DataError(f"has {size} bytes, expected at most {max_bytes}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error


def _sequence(recording: Recording, fps: float | None, optional: Collection[str]) -> Sequence:
    """Put the channels in order, find the rate, check everything."""
    columns = _columns(recording.names)
    missing = tuple(name for name in BLENDSHAPES if name not in columns)
    lacking = [name for name in missing if name not in optional]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise DataError(f"lacks the channel {lacking[0]!r}{more} (see expclip.face.BLENDSHAPES)")
    if not len(recording.values):
        raise DataError("has no frames")
    weights = np.zeros((len(recording.values), len(BLENDSHAPES)), np.float32)
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused
        places = [BLENDSHAPE_INDEX[name] for name in columns]
        weights[:, places] = recording.values[:, list(columns.values())]
    weights.flags.writeable = False
    if fps is not None:
        return Sequence(weights, float(fps), missing)
    rate, gaps = _clock(recording)
    return Sequence(weights, rate, missing, gaps)


def _columns(names: list[str]) -> dict[str, int]:
    """Return the column of each blendshape; MediaPipe's "_neutral" is none."""
    columns: dict[str, int] = {}
    for column, name in enumerate(names):
        if name == "_neutral":
            continue
        known = canonical_name(name)
        if known is None:
            raise DataError(f"has the channel {name[:60]!r}, expected ARKit blendshapes")
        if known in columns:
            raise DataError(f"has the channel {known!r} twice")
        columns[known] = column
    return columns


def _clock(recording: Recording) -> tuple[float, tuple[Gap, ...]]:
    """Return frame rate and gaps, of the times and of what the file says outright."""
    times, said = recording.times_s, recording.fps
    if times is None or len(times) < 2:
        if said is None:
            raise DataError("does not say its frame rate: give fps=")
        return said, recording.gaps
    measured, gaps = measure_clock(times, recording.resolution_s)
    if said is None:
        return measured, gaps
    gaps = find_gaps(times, 1 / said)
    true = (len(times) - 1 + sum(gap.missing for gap in gaps)) / float(times[-1] - times[0])
    if abs(true / said - 1) > 0.01 + recording.resolution_s * measured / (len(times) - 1):
        raise DataError(f"says {said:g} fps, but its times step by {1 / measured:.6g} s")
    return said, gaps


def _recording(sequence: Sequence) -> Recording:
    """Return what a file shall say: the channels that are not missing."""
    names = [name for name in BLENDSHAPES if name not in sequence.missing]
    values = sequence.weights[:, [BLENDSHAPE_INDEX[name] for name in names]]
    return Recording(names, values, sequence.fps, sequence.times_s, gaps=sequence.gaps)
