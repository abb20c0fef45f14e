"""Pairs of speech and face: from our own set, a built BEAT, or any folder."""

from __future__ import annotations

import struct
from pathlib import Path

import beat_tree
import numpy as np
import pytest
import soundfile

from expclip.beat_loader import BuildOptions, build
from expclip.face import BLENDSHAPE_INDEX, Sequence, write_sequence
from expclip.face.errors import DataError
from expclip.models.speech import (
    SpeechCache,
    SpeechPairs,
    make_clip,
    read_built_beat,
    read_folder,
    read_speech,
    read_synthetic,
    speech_encoder,
)
from expclip.models.speech.encoders import LogMel, frames_of_samples

RATE = 16_000
FEW = {"train": 3, "test": 1}


class Counting:
    """An encoder that counts what it is asked; its features are loudness and length."""

    name, features, context_s, sha256 = "counting", 2, 0.0, "0" * 64

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, samples: np.ndarray, fps: float) -> np.ndarray:
        self.asked += 1
        frames = frames_of_samples(len(samples), fps)
        return np.tile(np.float32([abs(samples).max(), frames / 100]), (frames, 1))


def tone(seconds: float, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


def face(seconds: float, fps: float = 60, jaw: float = 0.5) -> Sequence:
    weights = np.zeros((round(seconds * fps), 52), np.float32)
    weights[:, BLENDSHAPE_INDEX["jawOpen"]] = jaw
    return Sequence(weights, fps)


def write_pair(folder: Path, name: str, *, seconds: float = 2.0, jaw: float = 0.5) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path.with_suffix(".wav"), tone(seconds), RATE)
    write_sequence(face(seconds, jaw=jaw), path.with_suffix(".csv"))


# Our own set


@pytest.fixture(scope="module")
def pairs() -> SpeechPairs:
    return read_synthetic(LogMel(), clips=FEW)


def test_clips_lie_one_behind_the_other(pairs: SpeechPairs) -> None:
    assert pairs.names == ("train-00000", "train-00001", "train-00002", "test-00000")
    assert pairs.offsets[0] == 0 and pairs.offsets[-1] == len(pairs.features) == len(pairs.weights)
    assert pairs.features.dtype == np.float16 and pairs.weights.dtype == np.float32
    clip = make_clip(1)
    features, weights = pairs.clip(1)
    assert np.array_equal(weights, clip.weights) and len(pairs) == 4 and pairs.fps == 15
    assert np.array_equal(features, LogMel().encode(clip.samples, 15).astype(np.float16))
    assert pairs.actors[1] == clip.speaker and pairs.emotions[1] == clip.emotion
    assert pairs.about["clips"] == {"train": 3, "test": 1}
    assert pairs.about["speech_encoder"] == {"name": "log-mel", "sha256": ""}


def test_a_split_has_its_own_clips(pairs: SpeechPairs) -> None:
    test = pairs.of_split("test")
    assert test.names == ("test-00000",) and test.offsets.tolist() == [0, pairs.lengths[3]]
    assert np.array_equal(test.weights, pairs.clip(3)[1])
    with pytest.raises(DataError, match="no clip in the split 'unseen'"):
        pairs.of_split("unseen")


def test_progress_is_told() -> None:
    seen: list[tuple[str, int, int]] = []
    read_synthetic(LogMel(), clips={"test": 1}, progress=lambda *told: seen.append(told[:3]))
    assert seen == [("making speech", 0, 1), ("making speech", 1, 1)]


# The cache


def test_sound_is_encoded_once(tmp_path: Path) -> None:
    encoder, cache = Counting(), SpeechCache(tmp_path)
    fresh = cache.encode(encoder, tone(1), 15.0)
    kept = SpeechCache(tmp_path).encode(encoder, tone(1), 15.0)
    assert encoder.asked == 1 and np.array_equal(fresh, kept) and fresh.dtype == np.float16
    cache.encode(encoder, tone(1), 30.0)
    encoder.sha256 = "1" * 64
    cache.encode(encoder, tone(1), 15.0)
    assert encoder.asked == 3
    cache.encode(LogMel(), tone(1), 15.0)
    assert len(list(tmp_path.rglob("*.npy"))) == 3  # none of what needs no cache


@pytest.mark.parametrize("damage", [b"", b"no array", b"\x93NUMPY\x01\x00\x10\x00{'descr': 'O'}"])
def test_a_broken_file_of_the_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    encoder, cache = Counting(), SpeechCache(tmp_path)
    found = cache.encode(encoder, tone(1), 15.0)
    (path,) = tmp_path.rglob("*.npy")
    path.write_bytes(damage)
    assert np.array_equal(cache.encode(encoder, tone(1), 15.0), found) and encoder.asked == 2
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made"):
        SpeechCache(tmp_path / "file").encode(encoder, tone(1), 15.0)


# A built BEAT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beat")
    takes = [
        beat_tree.Take("2_scott_0_9_9", 4, 4.5),
        beat_tree.Take("2_scott_0_1_1", 3, 3),
        beat_tree.Take("2_scott_0_65_65", 3, 3),
    ]
    beat_tree.write_tree(folder / "tree", takes)
    build(folder / "tree", folder / "built")
    return folder / "built"


def test_takes_of_a_built_beat_keep_their_split(built: Path) -> None:
    pairs = read_built_beat(built, LogMel())
    assert dict(zip(pairs.names, pairs.splits, strict=True)) == {
        "2_scott_0_1_1": "test",
        "2_scott_0_65_65": "test",
        "2_scott_0_9_9": "train",
    }
    train = pairs.of_split("train")
    assert train.actors == ("2",) and train.lengths.tolist() == [60]
    frames = np.load(built / "frames.npy")
    assert any(np.array_equal(train.weights[0], row) for row in frames)
    assert pairs.about["source"] == "beat"


def test_a_build_without_speech_is_refused(tmp_path: Path) -> None:
    beat_tree.write_tree(tmp_path / "tree", [beat_tree.Take("2_scott_0_9_9", 4, 4)])
    build(tmp_path / "tree", tmp_path / "silent", BuildOptions(audio=False))
    with pytest.raises(DataError, match="without speech"):
        read_built_beat(tmp_path / "silent", LogMel())


# Any folder


def test_pairs_are_matched_by_stem_at_any_depth(tmp_path: Path) -> None:
    for name in ("one", "deep/down/two", "three"):
        write_pair(tmp_path, name)
    (tmp_path / "three.wav").rename(tmp_path / "three_audio.wav")
    (tmp_path / "three.csv").rename(tmp_path / "three_shapes.csv")
    soundfile.write(tmp_path / "alone.wav", tone(1), RATE)
    (tmp_path / "notes.txt").write_text("no pair")
    pairs = read_folder(tmp_path, LogMel())
    assert pairs.names == ("deep/down/two", "one", "three")
    assert sorted(pairs.splits) == ["test", "train", "validation"]
    assert pairs.lengths.tolist() == [30, 30, 30] and pairs.about["left_out"] == []
    assert np.allclose(pairs.weights[:, BLENDSHAPE_INDEX["jawOpen"]], 0.5, atol=1e-5)
    assert read_folder(tmp_path, LogMel()).splits == pairs.splits


def test_folders_are_actors_where_there_are_three(tmp_path: Path) -> None:
    for actor in ("ann", "ben", "cem"):
        for take in range(2):
            write_pair(tmp_path, f"{actor}/{take}")
    pairs = read_folder(tmp_path, LogMel())
    sides = {(actor, split) for actor, split in zip(pairs.actors, pairs.splits, strict=True)}
    assert len(sides) == 3 and {actor for actor, _ in sides} == {"ann", "ben", "cem"}


def test_rates_and_lengths_are_brought_together(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_pair(tmp_path, name)
    soundfile.write(tmp_path / "a.wav", np.stack([tone(3, 44_100)] * 2, axis=1), 44_100)
    write_sequence(face(1.0, fps=25), tmp_path / "b.csv")
    pairs = read_folder(tmp_path, LogMel())
    assert pairs.lengths.tolist() == [30, 15, 30]


def test_a_pair_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        write_pair(tmp_path, name)
    (tmp_path / "b.wav").write_text("no sound")
    write_sequence(face(0.2), tmp_path / "d.csv")
    pairs = read_folder(tmp_path, LogMel())
    assert pairs.names == ("a", "c")
    first, second = pairs.about["left_out"]
    assert "b.wav" in first and "d.csv: is 0.20 s long" in second
    assert "\n" not in first + second


def test_a_folder_of_no_use_is_told_in_one_line(tmp_path: Path) -> None:
    write_pair(tmp_path / "few", "only")
    for name in ("a", "b", "c"):
        write_pair(tmp_path / "twice", name)
        write_pair(tmp_path / "broken", name)
        (tmp_path / "broken" / f"{name}.wav").write_text("no sound")
    soundfile.write(tmp_path / "twice" / "a.flac", tone(1), RATE)
    for place, why in (
        ("nowhere", "is no folder"),
        ("few", "has 1 pairs"),
        ("twice", "has the same stem"),
        ("broken", "no pair of speech and face"),
    ):
        with pytest.raises(DataError, match=why) as caught:
            read_folder(tmp_path / place, LogMel())
        assert "\n" not in str(caught.value)


# Sound of any kind


def nan_wav() -> bytes:
    data = np.full(RATE, np.nan, "<f4").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, RATE, 4 * RATE, 4, 32)
    body = b"WAVE" + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read"),
        (b"This is a letter, not a sound.", "cannot be read"),
        (nan_wav(), "sample 0 is nan"),
        (nan_wav()[:44], "header says"),
        (b"RIFF\x04\x00\x00\x00WAVE", "without sound"),
    ],
    ids=["empty", "text", "nan", "cut", "no sound"],
)
def test_what_is_no_speech_is_told_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(content)
    with pytest.raises(DataError, match=why) as caught:
        read_speech(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))


@pytest.mark.parametrize("rate", [8000, RATE, 96_000])
def test_a_file_of_one_sample_is_too_short(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1), rate)
    with pytest.raises(DataError, match=r"expected at least 0\.05"):
        read_speech(tmp_path / "a.wav")
    for place in (tmp_path, tmp_path / "nowhere.wav"):
        with pytest.raises(DataError, match="is no file"):
            read_speech(place)


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_any_rate_stereo_silence_and_clipping_will_do(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    for sound in (tone(1, rate, 3.0), np.zeros((rate, 2)), np.ones(rate)):
        soundfile.write(path, sound, rate, subtype="FLOAT")
        samples = read_speech(path)
        assert len(samples) == RATE and samples.dtype == np.float32
        assert abs(samples).max() <= 1
        assert np.isfinite(speech_encoder("log-mel").encode(samples, 15)).all()


DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="real recordings are not here")
def test_real_recordings_make_pairs(tmp_path: Path) -> None:
    for path in sorted((DATA / "speech").iterdir()):
        samples = read_speech(path)
        features = LogMel().encode(samples, 15)
        assert len(features) == frames_of_samples(len(samples), 15) and np.isfinite(features).all()
