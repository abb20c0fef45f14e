"""Windows of BEAT for torch and for `datasets`."""

import io
import os
import wave
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Int16

from expclip.beat_loader.audio import SAMPLE_RATE
from expclip.beat_loader.names import EMOTIONS
from expclip.beat_loader.windows import (
    FRAMES,
    BuiltBeat,
    find_windows,
    sample_places,
    samples_of_window,
)
from expclip.face.errors import DataError, MissingExtra

if TYPE_CHECKING:
    import datasets

__all__ = ["BeatDataset", "Window"]

_ROWS_AT_ONCE = 256


class Window(dict[str, Any]):
    """One window, by column: weights, emotion, speaker, index; audio where asked for.

    Torch's default collation makes a batch of these without looking at each.
    """


class _Batch(Sequence[Window]):
    """Windows side by side; one is cut out only when somebody asks for it."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["index"])

    def __getitem__(self, index: int) -> Window:  # type: ignore[override]
        return Window({name: column[index] for name, column in self.columns.items()})


class BeatDataset:
    """Windows of a built folder, map-style: any DataLoader takes it as it is.

        loader = DataLoader(BeatDataset("out/beat"), batch_size=256, shuffle=True)

    A batch is a dict of tensors: ``weights`` (batch, 64, 52) float32, ``emotion`` (batch,)
    code of EMOTIONS or -1, ``speaker`` (batch,) 1 to 30, ``index`` (batch,) of the window, and
    with ``audio=True`` ``audio`` (batch, samples) float32 at 16 kHz. A DataLoader asks for
    whole batches at once; its workers map the same files, so nothing is copied to them, and
    what a window holds depends on its index alone.

    Args:
        folder: made by `expclip beat build`.
        split: "train", "val" or "test"; None for all.
        length: frames of a window.
        stride: frames from one window to the next; by default the length.
        audio: give the speech too.
        speakers: only these.
        emotions: only these, by name.

    Raises:
        DataError: the folder is no build, has no such window, or no speech.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        split: str | None = "train",
        *,
        length: int = FRAMES,
        stride: int | None = None,
        audio: bool = False,
        speakers: Collection[int] = (),
        emotions: Collection[str] = (),
    ) -> None:
        unknown = set(emotions) - set(EMOTIONS)
        if unknown:
            raise ValueError(f"emotion {min(unknown)!r}, expected one of {', '.join(EMOTIONS)}")
        self.folder, self.length, self.audio = Path(folder), length, audio
        self._built: BuiltBeat | None = BuiltBeat.open(folder)
        self.fps = self._built.fps
        self.windows = find_windows(
            self._built,
            split,
            length=length,
            stride=stride,
            speakers=frozenset(speakers),
            emotions=frozenset(emotions),
        )
        if not len(self.windows):
            raise DataError(f"{folder}: has no window of {length} frames in split {split!r}")
        if audio and self._built.samples is None:
            raise DataError(f"{folder}: was built without speech")
        parts = self._built.parts
        self._starts = np.array(parts["frame_start"])[self.windows.parts] + self.windows.frames
        self._labels = {
            "emotion": np.array(parts["emotion_code"], np.int64)[self.windows.parts],
            "speaker": np.array(parts["speaker"], np.int64)[self.windows.parts],
        }

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Window:
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index}, there are {len(self)}")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Window]:
        """Return the windows of a batch; a DataLoader calls this."""
        torch = _torch()
        columns = self.columns(np.asarray(indices, np.int64))
        return _Batch({name: torch.from_numpy(column) for name, column in columns.items()})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_built": None}  # a worker maps the files itself

    def columns(self, indices: Int[np.ndarray, " batch"]) -> dict[str, np.ndarray]:
        """Return the columns of some windows as arrays of their own."""
        built = self._opened()
        columns = {"weights": _cut(built.frames, self._starts[indices], self.length)}
        columns |= {name: labels[indices] for name, labels in self._labels.items()}
        columns["index"] = np.array(indices)
        if self.audio:
            columns["audio"] = self._samples(built, indices) * np.float32(1 / 32768)
        return columns

    def describe(self, index: int) -> dict[str, Any]:
        """Return the row of the index that a window is from, and when in its take it starts."""
        part = int(self.windows.parts[index])
        row = {name: column[part] for name, column in self._opened().parts.items()}
        row["start_s"] += float(self.windows.frames[index]) / self.fps
        return row

    def to_hf(self, path: str | os.PathLike[str] | None = None) -> "datasets.Dataset":
        """Return the windows as a Hugging Face data set, a row each.

        Columns: id, take, split, speaker, emotion (ClassLabel), start_s, weights (Array2D);
        with ``audio=True`` audio (Audio: wav, 16 bits; hearing it needs torchcodec).

        Args:
            path: a file for it (Arrow), from which it is then mapped; else it is in memory.
        """
        import datasets
        import pyarrow as pa
        from datasets.arrow_writer import ArrowWriter

        features = self._features()
        tables = self._tables(features)
        if path is None:
            return datasets.Dataset(pa.concat_tables(tables))
        with ArrowWriter(features=features, path=os.fspath(path)) as writer:
            for table in tables:
                writer.write_table(table)
            writer.finalize()
        return datasets.Dataset.from_file(os.fspath(path))

    def _features(self) -> "datasets.Features":
        from datasets import Array2D, Audio, ClassLabel, Features, Value

        features = {
            **dict.fromkeys(("id", "take", "split"), Value("string")),
            "speaker": Value("int16"),
            "emotion": ClassLabel(names=list(EMOTIONS)),
            "start_s": Value("float64"),
            "weights": Array2D((self.length, 52), "float32"),
        }
        if self.audio:
            features["audio"] = Audio(sampling_rate=SAMPLE_RATE)
        return Features(features)

    def _tables(self, features: "datasets.Features") -> Iterator[Any]:
        import pyarrow as pa

        schema = features.arrow_schema
        built, parts = self._opened(), self._opened().parts
        for first in range(0, len(self), _ROWS_AT_ONCE):
            indices = np.arange(first, min(first + _ROWS_AT_ONCE, len(self)))
            rows = self.windows.parts[indices].tolist()
            starts = np.array(parts["start_s"])[rows] + self.windows.frames[indices] / self.fps
            weights = _cut(built.frames, self._starts[indices], self.length)
            columns: dict[str, Any] = {
                "id": [
                    f"{parts['id'][row]}#{start:.3f}"
                    for row, start in zip(rows, starts, strict=True)
                ],
                **{name: [parts[name][row] for row in rows] for name in ("take", "split")},
                "speaker": [parts["speaker"][row] for row in rows],
                "emotion": self._labels["emotion"][indices],
                "start_s": starts,
                "weights": _nested(weights, schema.field("weights").type),
            }
            if self.audio:
                samples = self._samples(built, indices)
                columns["audio"] = [{"bytes": _wav(row), "path": None} for row in samples]
            arrays = [
                column if isinstance(column, pa.Array) else pa.array(column, field.type)
                for column, field in zip(columns.values(), schema, strict=True)
            ]
            yield pa.Table.from_arrays(arrays, schema=schema)

    def _samples(
        self, built: BuiltBeat, indices: Int[np.ndarray, " batch"]
    ) -> Int16[np.ndarray, "batch samples"]:
        assert built.samples is not None  # __init__ has looked
        places = sample_places(built, self.windows, indices)
        return _cut(built.samples, np.array(places), samples_of_window(self.length, self.fps))

    def _opened(self) -> BuiltBeat:
        if self._built is None:
            self._built = BuiltBeat.open(self.folder)
        return self._built


def _cut(array: np.ndarray, starts: Int[np.ndarray, " batch"], length: int) -> np.ndarray:
    """Return stretches of an array side by side, copied."""
    stretches = np.empty((len(starts), length, *array.shape[1:]), array.dtype)
    for stretch, start in zip(stretches, starts.tolist(), strict=True):
        stretch[:] = array[start : start + length]
    return stretches


def _nested(weights: Float[np.ndarray, "batch frames 52"], kind: Any) -> Any:
    """Return windows as an Arrow array of Array2D, their numbers not touched one by one."""
    import pyarrow as pa

    array: Any = pa.array(weights.ravel())
    for size in reversed(weights.shape[1:]):
        offsets = np.arange(0, len(array) + 1, size, dtype=np.int32)
        array = pa.ListArray.from_arrays(offsets, array)
    return pa.ExtensionArray.from_storage(kind, array)


def _wav(samples: Int16[np.ndarray, " samples"]) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()


def _torch() -> Any:
    """Return torch, which from now on collates a batch of ours as it is."""
    try:
        import torch
        from torch.utils.data._utils.collate import collate, default_collate_fn_map
    except ImportError:
        raise MissingExtra("torch", "models") from None

    def collate_windows(batch: Sequence[Window], *, collate_fn_map: Any = None) -> dict[str, Any]:
        if isinstance(batch, _Batch):
            return batch.columns
        names = batch[0].keys()
        return {
            name: collate([window[name] for window in batch], collate_fn_map=collate_fn_map)
            for name in names
        }

    default_collate_fn_map.setdefault(Window, collate_windows)
    return torch
