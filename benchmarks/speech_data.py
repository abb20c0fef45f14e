"""Speech with the speaker's face, from whatever has both, at 15 frames a second."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.answers import text_id
from expclip.benchmarks.task_data import hash_parts
from expclip.face import BLENDSHAPES, Basis
from expclip.face.errors import DataError
from expclip.face.sequence import Sequence as FaceSequence
from expclip.face.sequence import read_sequence

__all__ = [
    "FPS",
    "SAMPLE_RATE",
    "SpeechSet",
    "Spoken",
    "beat_clips",
    "beat_speech",
    "paired_speech",
    "read_clips",
    "smoke_basis",
    "smoke_clips",
    "smoke_speech",
    "synthetic_speech",
]

FPS = 15.0
"""Of the faces that answers are compared with, as in ExpCLIP."""

SAMPLE_RATE = 16_000

_MOST_CLIPS = 500
_SYNTHETIC_CLIPS = 48
_FACES = (".json", ".csv", ".npz", ".parquet")
_SOUNDS = (".wav", ".flac", ".mp3", ".ogg")
_LONGEST_S = 60.0


@dataclass(frozen=True, eq=False)
class Spoken:
    """One stretch of speech, mono at SAMPLE_RATE, and the face at FPS."""

    name: str
    speaker: str
    audio: Float[np.ndarray, " samples"]
    weights: Float[np.ndarray, "frames 52"]


@dataclass(frozen=True, eq=False)
class SpeechSet:
    """Clips in the order of their names; the source begins the ids of its tasks."""

    source: str
    clips: tuple[Spoken, ...]

    def __post_init__(self) -> None:
        names = [clip.name for clip in self.clips]
        if not names or names != sorted(set(names)):
            raise DataError(f"{self.source}: expected clips with names of their own, in order")

    @cached_property
    def sha256(self) -> str:
        """Hash of all clips."""
        parts: list[str | np.ndarray] = []
        for clip in self.clips:
            parts += [clip.name, clip.speaker]
            parts += [clip.audio.astype("<f4"), clip.weights.astype("<f4")]
        return hash_parts(*parts)


def beat_speech(folder: str | Path) -> SpeechSet:
    """Return windows of 64 frames of the test split of a built BEAT: 500, chosen by hash.

    Raises:
        DataError: the folder is no build with speech at 15 frames a second.
    """
    from expclip.beat_loader import BeatDataset

    dataset = BeatDataset(folder, "test", audio=True)
    if dataset.fps != FPS:
        raise DataError(f"{folder}: built at {dataset.fps:g} frames a second, expected {FPS:g}")
    about = [dataset.describe(place) for place in range(len(dataset))]
    names = [f"{row['id']}#{row['start_s']:.3f}" for row in about]
    places = sorted(range(len(names)), key=lambda place: text_id(names[place]))[:_MOST_CLIPS]
    places.sort(key=names.__getitem__)
    found = dataset.columns(np.array(places))
    return SpeechSet(
        "beat",
        tuple(
            Spoken(names[place], str(about[place]["speaker"]), audio, weights)
            for place, audio, weights in zip(
                places, found["audio"], found["weights"].clip(0, 1), strict=True
            )
        ),
    )


def paired_speech(folder: str | Path) -> SpeechSet:
    """Return the pairs of a folder: a sound and an ARKit recording of one name.

    Recordings are in any layout that `expclip.face.read_sequence` reads. Clips longer than a
    minute are cut there.

    Raises:
        DataError: there is no pair, or a file is broken.
        MissingExtra: the packages that read sound are not installed.
    """
    from expclip.beat_loader import read_audio, resample

    folder = Path(folder)
    sounds = {path.stem: path for path in _files(folder, _SOUNDS)}
    clips = []
    for path in _files(folder, _FACES):
        if path.stem not in sounds:
            continue
        audio = read_audio(sounds[path.stem], SAMPLE_RATE).samples
        face = read_sequence(path).filled()
        if len(face) < 2:
            raise DataError(f"{path}: has {len(face)} frame, expected two or more")
        weights = resample(face.weights, face.fps, FPS)
        seconds = min(len(audio) / SAMPLE_RATE, len(weights) / FPS, _LONGEST_S)
        frames = int(seconds * FPS)
        if frames < 2:
            raise DataError(f"{path}: sound and face overlap for {seconds:.2f} s only")
        samples = round(frames / FPS * SAMPLE_RATE)
        clips.append(Spoken(path.stem, path.stem, audio[:samples], weights[:frames].clip(0, 1)))
    if not clips:
        raise DataError(f"{folder}: has no sound and recording of one name")
    return SpeechSet("pairs", tuple(sorted(clips, key=lambda clip: clip.name)))


def synthetic_speech() -> SpeechSet:
    """Return the test clips of the synthetic set of `expclip.models.speech`.

    Raises:
        MissingExtra: torch is not installed.
    """
    from expclip.models.speech.synthetic import FPS as MADE_AT
    from expclip.models.speech.synthetic import make_clip

    assert MADE_AT == FPS
    made = [make_clip(number, "test") for number in range(_SYNTHETIC_CLIPS)]
    clips = [Spoken(one.name, one.speaker, one.samples, one.weights) for one in made]
    return SpeechSet("synthetic", tuple(sorted(clips, key=lambda clip: clip.name)))


def smoke_speech(source: str = "synthetic") -> SpeechSet:
    """Return two clips of a second and a half: a hum that swells as the jaw opens."""
    clips = []
    for number, speed in enumerate((2.0, 3.0)):
        frames = np.arange(22) / FPS
        jaw = np.sin(np.pi * speed * frames) ** 2
        weights = np.zeros((len(frames), len(BLENDSHAPES)), np.float32)
        weights[:, BLENDSHAPES.index("jawOpen")] = jaw
        weights[:, BLENDSHAPES.index("browInnerUp")] = 0.1 * jaw
        times = np.arange(round(len(frames) / FPS * SAMPLE_RATE)) / SAMPLE_RATE
        loud = np.sin(np.pi * speed * times) ** 2
        audio = (0.3 * loud * np.sin(2 * np.pi * 150 * times)).astype(np.float32)
        clips.append(Spoken(f"hum-{number}", f"hum-{number}", audio, weights))
    return SpeechSet(source, tuple(clips))


def smoke_clips() -> list[tuple[str, str, FaceSequence]]:
    """Return the faces of `smoke_speech` as recordings."""
    return [(one.name, one.speaker, FaceSequence(one.weights, FPS)) for one in smoke_speech().clips]


def smoke_basis() -> Basis:
    """Return a face of six vertices: two lips in the middle, a corner, a brow, two cheeks."""
    neutral = np.array(
        [
            [0, -0.03, 0],
            [0, -0.04, 0],
            [0.02, -0.035, 0],
            [0.02, 0.05, 0],
            [0.05, 0, 0],
            [-0.05, 0, 0],
        ]
    )
    deltas = np.zeros((len(BLENDSHAPES), len(neutral), 3))
    for name, vertex, moved in (
        ("mouthRollUpper", 0, -0.005),
        ("mouthRollLower", 1, 0.005),
        ("mouthRollLower", 2, 0.003),
        ("jawOpen", 1, -0.03),
        ("jawOpen", 2, -0.015),
        ("browInnerUp", 3, 0.01),
        ("cheekSquintLeft", 4, 0.005),
    ):
        deltas[BLENDSHAPES.index(name), vertex, 1] = moved
    return Basis(neutral, deltas, np.array([[0, 1, 2], [2, 3, 4]]), "m")


def read_clips(folder: str | Path) -> list[tuple[str, str, FaceSequence]]:
    """Return all recordings of a folder, and of those in it: name, name again, frames.

    Raises:
        DataError: there is none, or one is broken.
    """
    folder = Path(folder)
    found = []
    for path in _files(folder, _FACES):
        name = path.relative_to(folder).as_posix()
        found.append((name, name, read_sequence(path).filled()))
    if not found:
        raise DataError(f"{folder}: has no recording of a face ({', '.join(_FACES)})")
    return found


def beat_clips(folder: str | Path) -> list[tuple[str, str, FaceSequence]]:
    """Return the frames of the test split of a built BEAT: name, speaker, frames of each part.

    Raises:
        DataError: the folder is no build, or has no test split.
    """
    from expclip.beat_loader.windows import BuiltBeat

    built = BuiltBeat.open(folder)
    parts = built.parts
    found = []
    for place, split in enumerate(parts["split"]):
        start, count = parts["frame_start"][place], parts["frames"][place]
        if split == "test" and count:
            face = FaceSequence(built.frames[start : start + count], built.fps)
            found.append((parts["id"][place], str(parts["speaker"][place]), face))
    if not found:
        raise DataError(f"{folder}: has no part in split test")
    return found


def _files(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Yield the files with these suffixes, by name; what leads out of the folder is left out."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.resolve().is_relative_to(root):
            if path.is_file():
                yield path
