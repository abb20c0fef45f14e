"""Small BEAT trees, made here: names, layouts and file formats as the data set has them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from expclip.face.blendshapes import BLENDSHAPES

NAMES = BLENDSHAPES[:51]
JAW = NAMES.index("jawOpen")
RATE = 16_000


@dataclass(frozen=True)
class Take:
    """What to write: lengths in seconds, and how."""

    name: str
    face_s: float = 6.0
    audio_s: float = 6.0
    subtype: str = "PCM_16"
    fps: float = 60.0


def weights_of(take: Take) -> np.ndarray:
    """Slow waves, another speed and level for each channel; known by the take's name."""
    frames = round(take.face_s * take.fps)
    seconds = np.arange(frames)[:, None] / take.fps
    channel = np.arange(51)[None, :]
    phase = sum(map(ord, take.name))
    return np.round(0.5 + 0.4 * np.sin(seconds * (1 + channel / 51) + channel + phase), 9)


def face_text(
    weights: np.ndarray, fps: float = 60.0, names: Sequence[str] = NAMES, **how: Any
) -> str:
    frames = [
        {"weights": row, "time": i / fps, "rotation": []} for i, row in enumerate(weights.tolist())
    ]
    return json.dumps({"names": list(names), "frames": frames}, **how)


def speech(seconds: float, rate: int = RATE) -> np.ndarray:
    """A tone whose pitch rises."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 + 20 * t) * t)).astype(np.float32)


def textgrid(stop: float, words: Sequence[tuple[float, float, str]], short: bool = False) -> str:
    """Two tiers, words and phones, in Praat's long or short form."""
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    tiers = {
        "words": words,
        "phones": [(start, end, text[:2].upper()) for start, end, text in words],
    }
    if short:
        lines = [f"0\n{stop}\n<exists>\n{len(tiers)}"]
        for name, items in tiers.items():
            lines.append(f'"IntervalTier"\n"{name}"\n0\n{stop}\n{len(items)}')
            lines += [f'{start}\n{end}\n"{text}"' for start, end, text in items]
        return head + "\n".join(lines) + "\n"
    lines = [f"xmin = 0 \nxmax = {stop} \ntiers? <exists> \nsize = {len(tiers)} \nitem []: "]
    for number, (name, items) in enumerate(tiers.items(), start=1):
        lines.append(
            f'    item [{number}]:\n        class = "IntervalTier" \n        name = "{name}" \n'
            f"        xmin = 0 \n        xmax = {stop} \n        intervals: size = {len(items)} "
        )
        for place, (start, end, text) in enumerate(items, start=1):
            lines.append(
                f"        intervals [{place}]:\n            xmin = {start} \n"
                f'            xmax = {end} \n            text = "{text}" '
            )
    return head + "\n".join(lines) + "\n"


def write_take(take: Take, at: Callable[[str, str], Path]) -> None:
    """Write all streams of a take, where ``at(take, suffix)`` says."""

    def path(suffix: str) -> Path:
        found = at(take.name, suffix)
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    path(".json").write_text(face_text(weights_of(take), take.fps), "utf-8")
    write_audio(path(".wav"), speech(take.audio_s), take.subtype)
    words = [(0.0, 0.5, ""), (0.5, 1.0, "so"), (1.0, 1.5, "there"), (1.5, 6.0, "")]
    path(".TextGrid").write_text(textgrid(6.0, words), "utf-8")
    path(".csv").write_text("00_netural, 0, 6.0, 6.0, 0\n", "utf-8")
    path(".txt").write_text("07_iconic_h\t1.0\t2.5\t1.5\t0.7\tthere\n", "utf-8")
    path(".bvh").write_text("HIERARCHY\n", "utf-8")


def write_audio(path: Path, samples: np.ndarray, subtype: str = "PCM_16", rate: int = RATE) -> None:
    if path.suffix == ".npy":
        np.save(path, samples)
        return
    kind = "MP3" if subtype == "MPEG_LAYER_III" else "WAV"
    soundfile.write(path, samples, rate, subtype=subtype, format=kind)


def _apart(root: Path, name: str, suffix: str) -> Path:
    tree = "beat_annotations_english" if suffix in (".csv", ".txt") else "beat_rawdata_english"
    return root / tree / name.split("_")[0] / f"{name}{suffix}"


_MODALITY = {".json": "json", ".wav": "wav", ".TextGrid": "textgrid", ".csv": "emo", ".txt": "sem"}
_CACHE = {".json": "facial52", ".wav": "wave16k", ".TextGrid": "text", ".csv": "emo", ".txt": "sem"}


def _cache(root: Path, name: str, suffix: str) -> Path:
    suffix = ".npy" if suffix == ".wav" else suffix
    folder = _CACHE.get(".wav" if suffix == ".npy" else suffix, "bvh_rot")
    return root / "beat_cache" / "beat_4english_15_141" / "train" / folder / f"{name}{suffix}"


LAYOUTS: Mapping[str, Callable[[Path, str, str], Path]] = {
    "doubled": lambda root, name, suffix: (
        root / "beat_english_v0.2.1" / "beat_english_v0.2.1" / name.split("_")[0] / (name + suffix)
    ),
    "by speaker": lambda root, name, suffix: root / name.split("_")[0] / (name + suffix),
    "by modality": lambda root, name, suffix: root / _MODALITY.get(suffix, "bvh") / (name + suffix),
    "flat": lambda root, name, suffix: root / (name + suffix),
    "annotations apart": _apart,
    "official cache": _cache,
}


def write_tree(root: Path, takes: Sequence[Take], layout: str = "doubled") -> Path:
    """Write takes in a layout and return the folder."""
    for take in takes:
        write_take(take, lambda name, suffix: LAYOUTS[layout](root, name, suffix))
    return root
