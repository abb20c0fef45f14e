"""What a file of a recorded face says, in the four layouts we read and write.

BEAT JSON       {"names": [...], "frames": [{"weights": [...], "time": s, "rotation": []}]};
                "metadata": {"fps": ...} is written too, and used where present
Live Link CSV   Timecode, BlendshapeCount, 52 shapes, 9 rotations; further columns ignored
npz             weights (frames, channels) float32, fps, names (channels), gaps (n, 2) int64
Parquet         a row per frame, a float column per channel; "fps" and "gaps" (JSON, pairs of
                frame and missing) in the metadata of the schema; further columns ignored
"""

import csv
import io
import json
import reprlib
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Shaped

from expclip.face.arrays import decode_array
from expclip.face.blendshapes import BLENDSHAPES, canonical_name
from expclip.face.clock import Gap, seconds_from_timecodes, timecodes_from_seconds
from expclip.face.errors import DataError
from expclip.face.even_json import EvenFrames, decode_even_frames

__all__ = ["WRITERS", "Recording", "read_recording"]

_T = TypeVar("_T")

_SIDES = ("Left", "Right")
_EYE = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
_LIVE_LINK = (
    *(f"eye{action}{side}" for side in _SIDES for action in _EYE),
    *("jawForward", "jawRight", "jawLeft", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft"),
    *(
        f"mouth{action}{side}"
        for action in ("Smile", "Frown", "Dimple", "Stretch")
        for side in _SIDES
    ),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *(f"mouth{action}{side}" for action in ("Press", "LowerDown", "UpperUp") for side in _SIDES),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""The order of the 52 shapes in a Live Link Face CSV: twice, right comes before left."""

_ROTATIONS = tuple(
    f"{part}{axis}" for part in ("head", "leftEye", "rightEye") for axis in ("Yaw", "Pitch", "Roll")
)


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file says, its channels as named there.

    ``fps`` is None where the file does not say it, ``times_s`` where it has no
    times; these are known to ``resolution_s``.
    """

    names: list[str]
    values: Shaped[np.ndarray, "frames channels"]
    fps: float | None = None
    times_s: Float[np.ndarray, " frames"] | None = None
    resolution_s: float = 1e-3
    gaps: tuple[Gap, ...] = ()


def read_recording(data: bytes, suffix: str, max_bytes: int) -> Recording:
    """Read the bytes of a file, known by its first bytes, or else by its suffix.

    Raises:
        DataError: it is none of the four, or broken; the message is to follow the path.
        ValueError: likewise, of its times.
    """
    return _reader(data, suffix)(data, max_bytes)


def _reader(data: bytes, suffix: str) -> Callable[[bytes, int], Recording]:
    """Choose by the first bytes, and by the suffix where these say nothing."""
    for magic, reader in ((b"PK", _read_npz), (b"PAR1", _read_parquet)):
        if data.startswith(magic):
            return reader
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _read_json
    if suffix in (".json", ".npz", ".parquet"):
        raise DataError(f"starts with {data[:12]!r}, expected a {suffix[1:]} file")
    return _read_csv


def _read_json(data: bytes, max_bytes: int) -> Recording:
    even = decode_even_frames(data)
    if even is not None:
        with suppress(DataError):  # the whole document says better where it is broken
            return _recording(even.document, even)
    try:
        document = json.loads(data)
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"is not JSON: {reason}") from error
    return _recording(document, None)


def _recording(document: Any, even: EvenFrames | None) -> Recording:
    """Return what a document in BEAT's schema says; ``even`` has the frames it lacks."""
    if not isinstance(document, dict):
        raise DataError(f"holds {_short(document)}, expected an object with names and frames")
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    names = _list_of(str, document.get("names", metadata.get("blendshape_names")))
    frames = _list_of(dict, document.get("frames"))
    if names is None or frames is None:
        raise DataError('expected {"names": [...], "frames": [{"weights": [...], "time": ...}]}')
    values = _matrix([frame.get("weights") for frame in frames], len(names))
    fps = metadata.get("fps")
    if fps is not None and not (_is_number(fps) and 0 < fps < 1e6):
        raise DataError(f"metadata.fps is {_short(fps)}, expected a number above 0")
    fps = None if fps is None else float(fps)
    seconds = [frame.get("time") for frame in frames]
    timed = any(time is not None for time in seconds)
    times = _matrix([[time] for time in seconds], 1, "times")[:, 0] if timed else None
    if even is not None:
        if even.weights.shape[1] != len(names) or (times is None) != (even.times_s is None):
            raise DataError("the frames are not alike")
        with np.errstate(over="ignore"):  # too large for float32 is infinite, as among the even
            values = np.concatenate((values[:1], even.weights, values[1:]), dtype=np.float32)
        if times is not None and even.times_s is not None:
            times = np.concatenate((times[:1], even.times_s, times[1:]))
    return Recording(names, values, fps, times)


def _matrix(
    rows: list[Any], width: int, noun: str = "weights"
) -> Float[np.ndarray, "frames channels"]:
    """Return rows of JSON numbers as an array, or say which is not such a row."""
    for frame, row in enumerate(rows):
        if type(row) is not list or len(row) != width:
            found = len(row) if type(row) is list else _short(row)
            raise DataError(f"frame {frame} has {found} {noun}, expected {width}")
    if not set(map(type, chain.from_iterable(rows))) <= {float, int}:
        frame, value = next((i, x) for i, row in enumerate(rows) for x in row if not _is_number(x))
        raise DataError(f"frame {frame} has {_short(value)} in its {noun}, expected numbers")
    try:
        flat = np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * width)
    except OverflowError:
        raise DataError("has a number that is too large") from None
    return flat.reshape(len(rows), width)


def _read_csv(data: bytes, max_bytes: int) -> Recording:
    try:
        text = data.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except UnicodeDecodeError as error:
        raise DataError(f"is not UTF-8 text (byte {error.start})") from None
    except csv.Error as error:
        raise DataError(f"is not CSV: {error}") from None
    header, rows = (rows[0], rows[1:]) if rows else ([], [])
    columns = [i for i, name in enumerate(header) if canonical_name(name)]
    if len(columns) < 2:
        raise DataError(f"starts with {_short(','.join(header))}, expected a Live Link Face header")
    for frame, row in enumerate(rows):
        if len(row) != len(header):
            raise DataError(f"frame {frame} has {len(row)} columns, expected {len(header)}")
    names = [header[i] for i in columns]
    values = _numbers(list(map(itemgetter(*columns), rows)), names)
    clock = [i for i, name in enumerate(header) if name.strip().lower() == "timecode"]
    if len(rows) < 2 or not clock:
        return Recording(names, values)
    times = seconds_from_timecodes([row[clock[0]] for row in rows])
    return Recording(names, values, None, times, resolution_s=1e-3 / 60)


def _numbers(rows: list[tuple[str, ...]], names: list[str]) -> Float[np.ndarray, "frames channels"]:
    """Return the cells of a CSV as an array, or say which is no number."""
    try:
        flat = np.fromiter(map(float, chain.from_iterable(rows)), np.float64)
    except ValueError:
        for frame, row in enumerate(rows):
            for name, cell in zip(names, row, strict=True):
                try:
                    float(cell)
                except ValueError:
                    message = f"frame {frame} has {_short(cell)} for {name}, expected a number"
                    raise DataError(message) from None
        raise
    return flat.reshape(len(rows), len(names))


def _read_npz(data: bytes, max_bytes: int) -> Recording:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {
                member.filename.removesuffix(".npy"): _read_npy(archive, member, max_bytes)
                for member in archive.infolist()
                if member.filename in ("weights.npy", "fps.npy", "names.npy", "gaps.npy")
            }
    except DataError:
        raise
    except Exception as error:  # zipfile and numpy raise anything on broken bytes
        raise DataError(f"is not npz: {error}") from error
    expected = {"weights": ("f", 2), "names": ("U", 1), "fps": ("fiu", 0), "gaps": ("iu", 2)}
    for name, (kinds, ndim) in expected.items():
        array = arrays.get(name)
        if array is None and name in ("weights", "names"):
            raise DataError(f"has no array {name!r}, expected weights, names and fps")
        if array is not None and (array.dtype.kind not in kinds or array.ndim != ndim):
            raise DataError(f"{name} is {array.dtype} with {array.ndim} axes, expected {ndim}")
    names = arrays["names"].tolist()
    if len(names) != arrays["weights"].shape[1]:
        raise DataError(f"has {arrays['weights'].shape[1]} channels and {len(names)} names")
    fps = float(arrays["fps"]) if "fps" in arrays else None
    gaps = _gaps(arrays["gaps"].tolist() if "gaps" in arrays else [])
    return Recording(names, arrays["weights"], fps, gaps=gaps)


def _read_npy(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int
) -> Shaped[np.ndarray, "..."]:
    """Read one array; its size is known before its bytes are unpacked, objects are refused."""
    if member.file_size > max_bytes:
        raise DataError(f"{member.filename} has {member.file_size} bytes, at most {max_bytes}")
    with archive.open(member) as stream:
        packed = stream.read(max_bytes + 1)
    return decode_array(packed, member.filename)


def _read_parquet(data: bytes, max_bytes: int) -> Recording:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = [name for name in file.schema_arrow.names if canonical_name(name)]
        if file.metadata.num_rows * len(BLENDSHAPES) * 8 > max_bytes:
            raise DataError(f"has {file.metadata.num_rows} rows: more than {max_bytes} bytes")
        table = file.read(columns=names, use_threads=False)
        metadata = {**(table.schema.metadata or {})}
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise DataError(f"is not Parquet: {error}") from error
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            raise DataError(f"column {name} is {column.type}, expected float")
        if column.null_count:
            raise DataError(f"column {name} has {column.null_count} nulls, expected none")
    values = np.empty((table.num_rows, len(table.columns)))
    for i, column in enumerate(table.columns):
        values[:, i] = column.to_numpy()
    fps = float(metadata[b"fps"]) if b"fps" in metadata else None
    gaps = _gaps(json.loads(metadata.get(b"gaps", b"[]")))
    return Recording(table.column_names, values, fps, gaps=gaps)


def _gaps(pairs: Any) -> tuple[Gap, ...]:
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and set(map(type, pair)) == {int}
        for pair in pairs
    ):
        raise DataError(f"gaps are {_short(pairs)}, expected pairs of frame and missing")
    return tuple(Gap(frame, missing) for frame, missing in pairs)


def _list_of(kind: type[_T], items: object) -> list[_T] | None:
    """Return the items if they are a list of one kind."""
    if isinstance(items, list) and all(isinstance(item, kind) for item in items):
        return items
    return None


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


_short = reprlib.repr


def _write_json(recording: Recording, path: Path) -> None:
    times = _times(recording).tolist()
    head = {"names": recording.names, "metadata": {"fps": recording.fps}}
    frames = ",\n".join(
        f'{{"weights":[{",".join(row)}],"time":{time!r},"rotation":[]}}'
        for row, time in zip(_texts(recording.values), times, strict=True)
    )
    text = f'{json.dumps(head)[:-1]}, "frames": [\n{frames}\n]}}\n'
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_csv(recording: Recording, path: Path) -> None:
    values = np.zeros((len(recording.values), len(_LIVE_LINK)), np.float32)
    for column, name in enumerate(recording.names):
        values[:, _LIVE_LINK.index(name)] = recording.values[:, column]
    header = ",".join(name[0].upper() + name[1:] for name in (*_LIVE_LINK, *_ROTATIONS))
    zeros = ",0" * len(_ROTATIONS)
    count = len(_LIVE_LINK) + len(_ROTATIONS)
    rows = [
        f"{timecode},{count},{','.join(row)}{zeros}\n"
        for timecode, row in zip(
            timecodes_from_seconds(_times(recording)), _texts(values), strict=True
        )
    ]
    text = f"Timecode,BlendshapeCount,{header}\n{''.join(rows)}"
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_npz(recording: Recording, path: Path) -> None:
    with path.open("wb") as stream:  # given a path, numpy would add a suffix
        np.savez(
            stream,
            weights=np.ascontiguousarray(recording.values),
            fps=np.float64(recording.fps or 0),
            names=np.array(recording.names),
            gaps=np.array(_pairs(recording), np.int64).reshape(-1, 2),
        )


def _write_parquet(recording: Recording, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [pa.field(name, pa.float32(), nullable=False) for name in recording.names],
        {"fps": repr(recording.fps), "gaps": json.dumps(_pairs(recording))},
    )
    columns = [np.ascontiguousarray(column) for column in recording.values.T]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)


def _times(recording: Recording) -> Float[np.ndarray, " frames"]:
    assert recording.times_s is not None  # a recording to write comes from a Sequence
    return recording.times_s


def _pairs(recording: Recording) -> list[tuple[int, int]]:
    return [(gap.frame, gap.missing) for gap in recording.gaps]


def _texts(values: Shaped[np.ndarray, "frames channels"]) -> list[list[str]]:
    """Return the shortest decimals that come back as the same float32."""
    texts: list[list[str]] = values.astype(np.str_).tolist()
    return texts


WRITERS: dict[str, Callable[[Recording, Path], None]] = {
    ".json": _write_json,
    ".csv": _write_csv,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
"""By suffix: writes a recording that has a rate and times."""
