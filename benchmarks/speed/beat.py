"""Speed of reading BEAT beside the way it is usually read, in one run.

Run: `python benchmarks/speed/beat.py [--frames 3600] [--files 6] [--rounds 7]`

Faces: `json.load` and an array for each frame, against `read_face`: first, first with numba
(as after the first GB of a process; needs `expclip[fast]`), and cached.
Resampling: energy of a 20 Hz tone at 15 frames a second. Windows: a DataLoader over
`datasets` with nested lists in torch format, against one over `BeatDataset`, on the same
frames. Ratios are medians of pairs measured one after the other; those of faces in time of
the processor, so that neighbours on the machine count less.
"""

import argparse
import json
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from expclip.beat_loader import BeatDataset, build, read_face, resample
from expclip.face import BLENDSHAPES, fast_json

BATCH = 256
LENGTH = 64


def spent(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Return the seconds that a piece of work takes."""
    start = clock()
    work()
    return clock() - start


SPELLINGS = {"compact": (",", ":"), "spaced": (", ", ": ")}


def write_takes(folder: Path, files: int, frames: int, spelling: str) -> list[Path]:
    """Write takes of a smooth random face, and silence."""
    random, paths = np.random.default_rng(0), []
    for number in range(files):
        steps = random.normal(0, 0.02, (frames, 51))
        weights = np.clip(np.cumsum(steps, axis=0) * 0.1 + 0.3, 0, 1).tolist()
        rows = [{"weights": w, "time": i / 60, "rotation": []} for i, w in enumerate(weights)]
        path = folder / f"2_scott_0_{number + 9}_{number + 9}.json"
        document = {"names": list(BLENDSHAPES[:51]), "frames": rows}
        path.write_text(json.dumps(document, separators=SPELLINGS[spelling]))
        with wave.open(str(path.with_suffix(".wav")), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16_000)
            sound.writeframes(bytes(2 * 16_000 * frames // 60))
        paths.append(path)
    return paths


def read_as_usual(path: Path) -> Any:
    """Read a face as public loaders do."""
    with path.open() as stream:
        document = json.load(stream)
    return np.array([np.array(frame["weights"], np.float32) for frame in document["frames"]])


def read_with_numba(path: Path, used: bool) -> Any:
    """Read a face as after many, or as among the first."""
    fast_json._WORTH = 0 if used else 1 << 60
    return read_face(path)


def measure_faces(paths: list[Path], cache: Path, rounds: int) -> None:
    """Print how much faster a face is read than as usual."""
    for path in paths:
        assert np.array_equal(read_face(path, cache=cache).weights[:, :51], read_as_usual(path))
        plain, compiled = (read_with_numba(path, used) for used in (False, True))
        assert np.array_equal(plain.weights, compiled.weights)
    usual, first, compiled, cached = [], [], [], []
    for _ in range(rounds):
        for path in paths:
            usual.append(spent(lambda path=path: read_as_usual(path)))
            first.append(spent(lambda path=path: read_with_numba(path, False)))
            compiled.append(spent(lambda path=path: read_with_numba(path, True)))
            kept = spent(lambda path=path: [read_face(path, cache=cache) for _ in range(10)])
            cached.append(kept / 10)
    size = paths[0].stat().st_size / 1e6
    print(f"faces of {size:.1f} MB: as usual {statistics.median(usual) * 1e3:.1f} ms")
    for name, found in (("first read", first), ("with numba", compiled), ("cached", cached)):
        ratio = statistics.median(a / b for a, b in zip(usual, found, strict=True))
        print(f"  {name:10} {statistics.median(found) * 1e3:6.2f} ms  {ratio:6.1f} x")


def measure_tone() -> None:
    """Print what is left of 20 Hz at 15 frames a second, and how fast."""
    tone = np.sin(2 * np.pi * 20 * np.arange(3600) / 60)[:, None].repeat(52, axis=1)
    tone = tone.astype(np.float32)
    for method in ("fir", "decimate"):
        left = np.square(resample(tone, 60, 15, method)).mean() / np.square(tone).mean()
        seconds = min(spent(lambda method=method: resample(tone, 60, 15, method)) for _ in range(9))
        print(f"20 Hz at 15 fps, {method:8}: {left:9.4%} of its energy, "
              f"{len(tone) / seconds / 1e6:.1f} M frames/s")  # fmt: skip


def rate(loader: Any, most_s: float) -> float:
    """Return windows a second of a loader, for some seconds at most."""
    count, start = 0, time.perf_counter()
    for batch in loader:
        count += len(batch["weights"])
        if time.perf_counter() - start > most_s:
            break
    return count / (time.perf_counter() - start)


def measure_windows(built: Path, rounds: int) -> None:
    """Print how many windows a second a DataLoader gives."""
    import datasets
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    ours = BeatDataset(built, stride=1)
    few = ours.columns(np.arange(0, len(ours), 4))["weights"]
    theirs = datasets.Dataset.from_dict({"weights": few.tolist()}).with_format("torch")
    pairs = []
    for _ in range(rounds):
        loader = DataLoader(theirs, batch_size=BATCH, shuffle=True)
        slow = rate(loader, 2.0)
        pairs.append((slow, rate(DataLoader(ours, batch_size=BATCH, shuffle=True), 2.0)))
    batch = next(iter(DataLoader(theirs, batch_size=4)))
    assert np.array_equal(batch["weights"].numpy(), few[:4])
    slow, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"windows, batches of {BATCH}: datasets {slow:,.0f}/s, ours {fast:,.0f}/s  {ratio:.0f} x")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=3600)
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for spelling in SPELLINGS:
            paths = write_takes(folder, options.files, options.frames, spelling)
            print(f"{spelling}: ", end="")
            measure_faces(paths, folder / f"{spelling}-cache", options.rounds)
        measure_tone()
        start = time.perf_counter()
        manifest = build(folder, folder / "out")
        seconds = time.perf_counter() - start
        print(f"build, one process: {options.files} takes, {manifest['counts']['frames']} frames, "
              f"{seconds:.2f} s")  # fmt: skip
        measure_windows(folder / "out", options.rounds)


if __name__ == "__main__":
    main()
