"""From the takes of an index to a folder of frames, speech and labels for training."""

import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int16

from expclip.beat_loader.audio import SAMPLE_RATE, read_audio, require_audio, samples_of_frames
from expclip.beat_loader.index import BeatIndex, LeftOut, Take
from expclip.beat_loader.labels import read_emotions, read_gestures
from expclip.beat_loader.names import EMOTIONS
from expclip.beat_loader.overlap import Overlap
from expclip.beat_loader.read import read_face
from expclip.beat_loader.resample import METHODS, resample
from expclip.beat_loader.splits import SELECTIONS, Part, Selection, official_parts
from expclip.beat_loader.store import FORMAT, Store, read_manifest
from expclip.beat_loader.summary import DRIFTS_S
from expclip.beat_loader.textgrid import read_textgrid
from expclip.face.errors import DataError

__all__ = ["BuildOptions", "build"]

_LONGEST_S = 4 * 3600.0
_AT_ONCE = 4
"""Takes a process has waiting, so that memory stays small."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How takes become rows.

    Attributes:
        selection: which takes.
        fps: of the stored frames; ExpCLIP's is 15.
        method: of METHODS, see ``resample``.
        audio: store the speech too, 16 kHz, 16 bits.
    """

    selection: Selection = SELECTIONS["english"]
    fps: float = 15.0
    method: str = "fir"
    audio: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 120:
            raise ValueError(f"fps must be within 1 to 120, got {self.fps}")
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}, expected one of {', '.join(METHODS)}")


@dataclass(frozen=True, slots=True, eq=False)
class _Streams:
    """A take at the rates of the build, cut to what all streams cover."""

    weights: Float[np.ndarray, "frames 52"]
    samples: Int16[np.ndarray, " samples"] | None
    overlap: Overlap
    face_fps: float
    lost_frames: int


def build(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: BuildOptions | None = None,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a folder that ``BeatDataset`` reads, and return its manifest.

    Takes are cut to the overlap of their streams and put in the official splits. A take that
    cannot be read is left out with its reason; the others go on. Stopped at any moment, the
    same call goes on where it was. The bytes do not depend on the number of workers.

    Raises:
        DataError: no take is left, or ``out`` holds another build (see ``overwrite``).
        MissingExtra: soundfile or soxr is not installed.
    """
    options = options or BuildOptions()
    index = BeatIndex.scan(folder, options.selection)
    plan = _plan(index, options)
    built = None if overwrite else read_manifest(Path(out))
    if built is not None and built.get("plan") != plan:
        raise DataError(f"{out}: holds a build of other takes or options: choose to overwrite it")
    if built is not None:
        return built
    if not index.takes:
        raise DataError(f"{folder}: has no take with face and speech (see `expclip beat index`)")
    require_audio()
    store = Store(Path(out), plan, audio=options.audio, overwrite=overwrite)
    try:
        waiting = index.takes[len(store.done) :]
        for done, (entry, arrays) in enumerate(_process(waiting, options, workers), start=1):
            store.add(entry, arrays)
            if progress:
                progress(len(index.takes) - len(waiting) + done, len(index.takes))
        return _finish(store, index, options, plan)
    finally:
        store.close()


def _plan(index: BeatIndex, options: BuildOptions) -> str:
    """Return the identity of a build: its options, and the names and sizes of its files."""
    files = [
        (str(path.relative_to(index.folder)), path.stat().st_size)
        for take in index.takes
        for path in take.files.values()
    ]
    text = json.dumps([FORMAT, _spell(options), files])
    return hashlib.sha256(text.encode()).hexdigest()


def _spell(options: BuildOptions) -> dict[str, Any]:
    spelled = asdict(options)
    spelled["selection"] = {key: sorted(value) for key, value in spelled["selection"].items()}
    return spelled


def _process(
    takes: Iterable[Take], options: BuildOptions, workers: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the takes in their order, made by one or several processes."""
    if workers <= 1:
        for take in takes:
            yield _make(take, options)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    waiting: deque[Future[tuple[dict[str, Any], dict[str, Any]]]] = deque()
    try:
        for take in takes:
            waiting.append(pool.submit(_make, take, options))
            if len(waiting) >= workers * _AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _make(take: Take, options: BuildOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the line and the arrays of a take; for a broken one, the reason and none."""
    try:
        parts = official_parts(take.name)
        streams = _read_streams(take, options)
        labels = _labels(take)
    except (DataError, ValueError) as error:
        return {"name": str(take.name), "reason": str(error)}, {}
    arrays: dict[str, Any] = {"frames": streams.weights}
    if streams.samples is not None:
        arrays["audio"] = streams.samples
    rows = [_row(take, part, streams, options, labels) for part in parts]
    return {"name": str(take.name), "rows": [row for row in rows if row["frames"]]}, arrays


def _read_streams(take: Take, options: BuildOptions) -> _Streams:
    assert take.face is not None and take.audio is not None  # the index asked for both
    face = read_face(take.face)
    if face.duration_s > _LONGEST_S:
        raise DataError(f"{take.face}: is {face.duration_s:,.0f} s long, at most {_LONGEST_S:,.0f}")
    audio = read_audio(take.audio)
    overlap = Overlap(face.duration_s, audio.seconds)
    weights = resample(face.filled().weights, face.fps, options.fps, options.method)
    frames = min(len(weights), math.floor(overlap.seconds * options.fps + 1e-6))
    if not frames:
        raise DataError(f"{take.face}: speech and face overlap for {overlap.seconds:.3f} s only")
    count = samples_of_frames(frames, options.fps)
    samples = np.rint(audio.samples[:count] * 32768).clip(-32768, 32767).astype(np.int16)
    samples = np.pad(samples, (0, count - len(samples)))
    lost = sum(max(gap.missing, 0) for gap in face.gaps)
    kept = samples if options.audio else None
    return _Streams(weights[:frames], kept, overlap, face.fps, lost)


def _labels(take: Take) -> dict[str, list[dict[str, Any]]]:
    """Return words, gestures and emotions of a take, their times from its start."""
    grid = read_textgrid(take.words) if take.words else None
    words = grid.tiers.get("words", ()) if grid else ()
    gestures = read_gestures(take.gestures) if take.gestures else ()
    emotions = read_emotions(take.emotion) if take.emotion else ()
    return {
        "words": [asdict(word) for word in words if word.text.strip()],
        "gestures": [asdict(gesture) for gesture in gestures],
        "emotions": [asdict(emotion) for emotion in emotions],
    }


def _row(
    take: Take,
    part: Part,
    streams: _Streams,
    options: BuildOptions,
    labels: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """Return a part of a take; its places are those within the take, for now."""
    frames, name = len(streams.weights), take.name
    start = min(math.ceil(part.start_s * options.fps - 1e-6), frames)
    stop = frames if part.stop_s is None else min(math.ceil(part.stop_s * options.fps), frames)
    first, last = (samples_of_frames(frame, options.fps) for frame in (start, stop))
    seconds = (start / options.fps, stop / options.fps)
    own = {key: _within(spans, *seconds) for key, spans in labels.items()}
    emotion = name.emotion or ""
    content = hashlib.sha256(streams.weights[start:stop].astype("<f4").tobytes())
    if streams.samples is not None:
        content.update(streams.samples[first:last].astype("<i2").tobytes())
    return {
        "id": str(name) if not part.start_s and part.stop_s is None else f"{name}@{seconds[0]:g}",
        "take": str(name),
        "split": part.split,
        "speaker": name.speaker,
        "person": name.person,
        "language": name.language,
        "kind": name.kind,
        "emotion": emotion,
        "emotion_code": EMOTIONS.index(emotion) if emotion else -1,
        "frame_start": start,
        "frames": stop - start,
        "sample_start": first if options.audio else 0,
        "samples": last - first if options.audio else 0,
        "start_s": seconds[0],
        "face_s": streams.overlap.face_s,
        "audio_s": streams.overlap.audio_s,
        "drift_s": streams.overlap.drift_s,
        "face_fps": streams.face_fps,
        "lost_frames": streams.lost_frames,
        "transcript": " ".join(word["text"] for word in own["words"]),
        **own,
        "sha256": content.hexdigest(),
    }


def _within(spans: list[dict[str, Any]], start: float, stop: float) -> list[dict[str, Any]]:
    """Return the spans that begin in a stretch, their times from its start."""
    return [
        {**span, "start_s": span["start_s"] - start, "stop_s": span["stop_s"] - start}
        for span in spans
        if start <= span["start_s"] < stop
    ]


def _finish(store: Store, index: BeatIndex, options: BuildOptions, plan: str) -> dict[str, Any]:
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    left_out = list(index.left_out)
    frames = samples = 0
    for take, entry in zip(index.takes, store.done, strict=True):
        if "reason" in entry:
            left_out.extend(take.left_out(entry["reason"]))
            continue
        for row in entry["rows"]:
            at = {"frame_start": frames, "sample_start": samples}
            rows.append({**row, **{key: row[key] + offset for key, offset in at.items()}})
        frames += entry["rows"][-1]["frame_start"] + entry["rows"][-1]["frames"]
        samples += entry["rows"][-1]["sample_start"] + entry["rows"][-1]["samples"]
    if not rows:
        raise DataError(f"{index.folder}: no take could be read: {left_out[-1].reason}")
    hours: dict[str, float] = {}
    for row in rows:
        hours[row["split"]] = hours.get(row["split"], 0.0) + row["frames"] / options.fps / 3600
    manifest = {
        "beat_format": FORMAT,
        "made_by": f"expclip {version('expclip')}",
        "plan": plan,
        "options": _spell(options),
        "sample_rate": SAMPLE_RATE if options.audio else None,
        "counts": {
            "takes": len({row["take"] for row in rows}),
            "parts": len(rows),
            "frames": frames,
            "left_out": len(left_out),
        },
        "hours": hours,
        "drifting": {row["take"]: row["drift_s"] for row in rows if abs(row["drift_s"]) > DRIFTS_S},
        "licence": "BEAT's own terms hold: see the data set",
    }
    table = pa.Table.from_pylist(rows, schema=_schema())
    named = [LeftOut(item.file.relative_to(index.folder), item.reason) for item in left_out]
    return store.finish(manifest, table, sorted(named, key=lambda item: item.file))


def _schema() -> Any:
    import pyarrow as pa

    span = [("start_s", pa.float64()), ("stop_s", pa.float64())]
    word = pa.struct([*span, ("text", pa.string())])
    gesture = pa.struct(
        [("type", pa.string()), *span, ("score", pa.float64()), ("words", pa.string())]
    )
    kinds = {
        "speaker": pa.int16(),
        "emotion_code": pa.int16(),
        **dict.fromkeys(("frame_start", "frames", "sample_start", "samples"), pa.int64()),
        **dict.fromkeys(("start_s", "face_s", "audio_s", "drift_s", "face_fps"), pa.float64()),
        "lost_frames": pa.int32(),
        "words": pa.list_(word),
        "gestures": pa.list_(gesture),
        "emotions": pa.list_(pa.struct([("emotion", pa.string()), *span])),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in _COLUMNS])


_COLUMNS = (
    *("id", "take", "split", "speaker", "person", "language", "kind", "emotion", "emotion_code"),
    *("frame_start", "frames", "sample_start", "samples", "start_s", "face_s", "audio_s"),
    *("drift_s", "face_fps", "lost_frames", "transcript", "words", "gestures", "emotions"),
    "sha256",
)
