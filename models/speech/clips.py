"""Pairs of sound and face as a generator learns from them: each frame stored once."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16, Int

from expclip.beat_loader.resample import resample
from expclip.beat_loader.windows import BuiltBeat
from expclip.face import read_sequence
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.models.features import Progress
from expclip.models.speech.audio import read_speech
from expclip.models.speech.encoders import SpeechEncoder, frames_of_samples
from expclip.models.speech.synthetic import FPS, make_clip

__all__ = [
    "SPEECH_SPLITS",
    "SYNTHETIC_CLIPS",
    "SpeechCache",
    "SpeechPairs",
    "read_built_beat",
    "read_folder",
    "read_synthetic",
]

SPEECH_SPLITS = ("train", "validation", "test")
"""Of every source; the synthetic set has "unseen", too."""

SYNTHETIC_CLIPS: Mapping[str, int] = {"train": 400, "validation": 40, "test": 48, "unseen": 24}
"""How many are made unless told: 51 minutes in all."""

_SOUND = frozenset((".wav", ".flac", ".ogg", ".mp3"))
_FACE = frozenset((".csv", ".json", ".npz", ".parquet"))
_ENDINGS = ("_audio", "_speech", "_sound", "_shapes", "_face", "_weights", "_blendshapes", "_cal")
_SHORTEST = 8
_SHARE = 0.1
"""Of a folder, that is held out for validation, and again for the test."""


@dataclass(frozen=True, eq=False)
class SpeechPairs:
    """Clips of speech and face, one behind the other.

    All of it is in memory: an hour has 54,000 frames, 17 MB of `log-mel` features, 83 MB of
    wav2vec 2.0 base, 11 MB of weights.

    Attributes:
        names: of the clips.
        actors: who speaks in each; its name where that is not known.
        emotions: of each, as the source calls it; empty where that is not known.
        splits: of each: SPEECH_SPLITS, or "unseen".
        offsets: clip i has the frames offsets[i] to offsets[i + 1].
        features: of the sound.
        weights: of the face, 0..1.
        fps: of the frames.
        about: source, encoder and what was left out, for a model's record.
    """

    names: tuple[str, ...]
    actors: tuple[str, ...]
    emotions: tuple[str, ...]
    splits: tuple[str, ...]
    offsets: Int[np.ndarray, " bounds"]
    features: Float16[np.ndarray, "frames features"]
    weights: Float[np.ndarray, "frames 52"]
    fps: float
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> Int[np.ndarray, " clips"]:
        """Frames of each clip."""
        return np.diff(self.offsets)

    def clip(
        self, number: int
    ) -> tuple[Float16[np.ndarray, "frames features"], Float[np.ndarray, "frames 52"]]:
        """Return features and weights of one clip: views."""
        part = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return self.features[part], self.weights[part]

    def of_split(self, split: str) -> "SpeechPairs":
        """Return the clips of a split.

        Raises:
            DataError: it has none.
        """
        chosen = [number for number, own in enumerate(self.splits) if own == split]
        if not chosen:
            raise DataError(f"{self.about['source']}: has no clip in the split {split!r}")
        rows = np.concatenate([np.arange(*self.offsets[i : i + 2]) for i in chosen])
        names, actors, emotions, splits = (
            tuple(column[i] for i in chosen)
            for column in (self.names, self.actors, self.emotions, self.splits)
        )
        return SpeechPairs(
            names,
            actors,
            emotions,
            splits,
            offsets=np.concatenate([[0], np.cumsum(self.lengths[chosen])]),
            features=self.features[rows],
            weights=self.weights[rows],
            fps=self.fps,
            about=self.about,
        )


class SpeechCache:
    """Features of speech on disk, by the content of encoder and sound.

    Features are float16, a relative error of 5e-4. An encoder without weights is quicker than
    a disk, so it is not cached.

    Args:
        folder: where they are kept; by default in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._folder = folder or home / "expclip" / "features"

    def encode(
        self, encoder: SpeechEncoder, samples: Float[np.ndarray, " samples"], fps: float
    ) -> Float16[np.ndarray, "frames features"]:
        """Return the features of 16 kHz sound.

        Raises:
            DataError: the folder cannot be written.
        """
        if not encoder.sha256:
            return encoder.encode(samples, fps).astype(np.float16)
        samples = np.ascontiguousarray(samples, np.float32)
        key = hashlib.blake2b(f"{fps!r}\0".encode() + samples.tobytes(), digest_size=16).hexdigest()
        path = self._folder / f"speech-{encoder.sha256[:32]}" / f"{key}.npy"
        shape = (frames_of_samples(len(samples), fps), encoder.features)
        found = _read_features(path, shape)
        if found is None:
            found = encoder.encode(samples, fps).astype(np.float16)
            _write_features(path, found)
        return found


@dataclass
class _Clips:
    """Clips as they are collected."""

    encoder: SpeechEncoder
    cache: SpeechCache
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    features: list[Float16[np.ndarray, "frames features"]] = field(default_factory=list)
    weights: list[Float[np.ndarray, "frames 52"]] = field(default_factory=list)

    def add(
        self,
        row: tuple[str, str, str, str],
        samples: Float[np.ndarray, " samples"],
        weights: Float[np.ndarray, "frames 52"],
    ) -> None:
        """Take a clip up: name, actor, emotion and split; cut to what sound and face share."""
        features = self.cache.encode(self.encoder, samples, FPS)
        frames = min(len(features), len(weights))
        self.rows.append(row)
        self.features.append(features[:frames])
        self.weights.append(np.clip(weights[:frames], 0, 1).astype(np.float32))

    def pairs(self, about: dict[str, Any]) -> SpeechPairs:
        if not self.rows:
            raise DataError(f"{about['source']}: has no pair of speech and face to learn from")
        lengths = [len(part) for part in self.weights]
        names, actors, emotions, splits = zip(*self.rows, strict=True)
        about["speech_encoder"] = {"name": self.encoder.name, "sha256": self.encoder.sha256}
        about["clips"] = {split: splits.count(split) for split in sorted(set(splits))}
        about["hours"] = round(sum(lengths) / FPS / 3600, 4)
        return SpeechPairs(
            names, actors, emotions, splits,
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate(self.features), np.concatenate(self.weights), FPS, about,
        )  # fmt: skip


def read_synthetic(
    encoder: SpeechEncoder,
    *,
    clips: Mapping[str, int] = SYNTHETIC_CLIPS,
    seed: int = 0,
    cache: SpeechCache | None = None,
    progress: Progress | None = None,
) -> SpeechPairs:
    """Return clips of our own making (see `make_clip`).

    Args:
        encoder: of the sound.
        clips: how many of each split.
        seed: of all of them.
        cache: of features.
        progress: is told how far it is.
    """
    found = _Clips(encoder, cache or SpeechCache())
    wanted = [(split, index) for split, count in clips.items() for index in range(count)]
    for number, (split, index) in enumerate(wanted):
        _tell(progress, "making speech", number, len(wanted))
        clip = make_clip(index, split, seed)
        found.add((clip.name, clip.speaker, clip.emotion, split), clip.samples, clip.weights)
    _tell(progress, "making speech", len(wanted), len(wanted))
    return found.pairs({"source": "synthetic", "seed": seed})


def read_built_beat(
    folder: str | os.PathLike[str],
    encoder: SpeechEncoder,
    *,
    cache: SpeechCache | None = None,
    progress: Progress | None = None,
) -> SpeechPairs:
    """Return the takes of a folder of `expclip beat build`, in BEAT's own splits.

    Raises:
        DataError: the folder is no build, or one without speech.
    """
    built = BuiltBeat.open(folder)
    if built.samples is None:
        raise DataError(f"{folder}: was built without speech")
    found, parts = _Clips(encoder, cache or SpeechCache()), built.parts
    total = len(parts["id"])
    for row in range(total):
        _tell(progress, "encoding speech", row, total)
        first, start = parts["sample_start"][row], parts["frame_start"][row]
        samples = built.samples[first : first + parts["samples"][row]] * np.float32(1 / 32768)
        weights = built.frames[start : start + parts["frames"][row]]
        if not len(samples) or len(weights) * FPS / built.fps < _SHORTEST:
            continue
        split = {"val": "validation"}.get(parts["split"][row], parts["split"][row])
        name, actor, emotion = (str(parts[key][row]) for key in ("id", "speaker", "emotion"))
        found.add((name, actor, emotion, split), samples, resample(weights, built.fps, FPS))
    _tell(progress, "encoding speech", total, total)
    return found.pairs({"source": "beat", "folder": Path(folder).name})


def read_folder(
    folder: str | os.PathLike[str],
    encoder: SpeechEncoder,
    *,
    seed: int = 0,
    cache: SpeechCache | None = None,
    progress: Progress | None = None,
) -> SpeechPairs:
    """Return the pairs of a folder, at any depth: sound and ARKit sequence of one stem.

    Sound is what `read_speech` reads, a face what `read_sequence` reads, at any rate. A
    stem's last word does not count where it says what the file is (`_audio`, `_shapes`...).
    Where the folder has three folders or more with pairs, each is one actor, and on one side
    of the splits; else clips are split. A pair that cannot be read costs itself, and a line
    in `about["left_out"]`.

    Raises:
        DataError: there is no such folder, or it has fewer than three pairs.
    """
    folder = Path(folder)
    found, left_out = _Clips(encoder, cache or SpeechCache()), []
    pairs = list(_find_pairs(folder))
    actors = {name: _actor(name) for name, _, _ in pairs}
    if len(set(actors.values())) < 3 or "" in actors.values():
        actors = {name: name for name in actors}
    splits = _splits(sorted(set(actors.values())), seed, folder)
    for number, (name, sound, face) in enumerate(pairs):
        _tell(progress, "encoding speech", number, len(pairs))
        try:
            samples, weights = read_speech(sound), _read_face(face)
        except DataError as error:
            left_out.append(str(error))
            continue
        actor = actors[name]
        found.add((name, actor, "", splits[actor]), samples, weights)
    _tell(progress, "encoding speech", len(pairs), len(pairs))
    return found.pairs({"source": "folder", "folder": folder.name, "left_out": left_out})


def _read_face(path: Path) -> Float[np.ndarray, "frames 52"]:
    sequence = read_sequence(path).filled()
    weights = resample(sequence.weights, sequence.fps, FPS)
    if len(weights) < _SHORTEST:
        raise DataError(f"{path}: is {sequence.duration_s:.2f} s long, too short to learn from")
    return weights


def _find_pairs(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield name, sound and face, by name; a stem that two files of a kind share is refused."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder")
    kinds: tuple[dict[str, Path], dict[str, Path]] = ({}, {})
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in _SOUND | _FACE or not path.is_file():
            continue
        own = kinds[suffix in _FACE]
        name = (path.parent.relative_to(folder) / _plain(path.stem)).as_posix()
        if name in own:
            raise DataError(f"{path}: {own[name].name} has the same stem")
        own[name] = path
    sounds, faces = kinds
    yield from ((name, sounds[name], faces[name]) for name in sorted(sounds.keys() & faces.keys()))


def _plain(stem: str) -> str:
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


def _actor(name: str) -> str:
    return name.split("/")[0] if "/" in name else ""


def _splits(groups: Sequence[str], seed: int, folder: Path) -> dict[str, str]:
    """Return the split of each group, a tenth for validation and a tenth for the test."""
    if len(groups) < 3:
        raise DataError(f"{folder}: has {len(groups)} pairs of speech and face, expected 3 or more")
    drawn = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}\0{group}".encode()).digest())
    held = max(1, round(len(groups) * _SHARE))
    names = ["test"] * held + ["validation"] * held + ["train"] * (len(groups) - 2 * held)
    return dict(zip(drawn, names, strict=True))


def _read_features(path: Path, shape: tuple[int, int]) -> Float16[np.ndarray, "f n"] | None:
    """Return what a file of the cache holds; None where it is no such thing."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = isinstance(found, np.ndarray) and found.dtype == np.float16 and found.shape == shape
    return np.asarray(found) if sound else None


def _write_features(path: Path, features: Float16[np.ndarray, "frames features"]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path.parent}: cannot be made: {error.strerror}") from None
    with write_atomically(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, features, allow_pickle=False)


def _tell(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress:
        progress(what, done, total, {})
