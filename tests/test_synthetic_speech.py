"""Speech of our own making: the same every time, and lips that go with the sound."""

from __future__ import annotations

import numpy as np
import pytest

from expclip.face import BLENDSHAPE_INDEX, BLENDSHAPES
from expclip.models.speech import (
    SEEN_EMOTIONS,
    UNSEEN_EMOTIONS,
    SpeechClip,
    expression_of,
    make_clip,
    show_expression,
)
from expclip.models.speech.phones import CONTROLS, PHONES, Utterance, make_utterance
from expclip.models.speech.sound import Mood, Voice, blend, make_sound
from expclip.models.speech.synthetic import SYNTHETIC_SPLITS
from expclip.tead import prototypes

RATE = 16_000
JAW, CLOSE = BLENDSHAPE_INDEX["jawOpen"], BLENDSHAPE_INDEX["mouthClose"]
PLAIN = Voice(110, 0.0, 1.0, 0.01, 500, 1.0, 0.0)


@pytest.fixture(scope="module")
def clips() -> list[SpeechClip]:
    return [make_clip(index) for index in range(20)]


def frames_of(clip: SpeechClip, names: tuple[str, ...]) -> list[int]:
    """Return the frames well within some phones."""
    bounds = clip.said.bounds_s
    within = [
        (begin + 0.015, end - 0.015)
        for name, begin, end in zip(clip.said.names, bounds, bounds[1:], strict=False)
        if name in names
    ]
    times = np.arange(len(clip.weights)) / 15 + 0.02  # the mouth is ahead
    return [f for f, time in enumerate(times) if any(a <= time <= b for a, b in within)]


def test_a_clip_is_a_function_of_seed_split_and_index_alone() -> None:
    first = make_clip(3, "test", seed=1)
    make_clip(9)
    again = make_clip(3, "test", seed=1)
    assert first.samples.tobytes() == again.samples.tobytes()
    assert first.weights.tobytes() == again.weights.tobytes()
    others = make_clip(3, "train", seed=1), make_clip(4, "test", seed=1), make_clip(3, "test")
    assert len({other.samples.tobytes() for other in (first, *others)}) == 4
    for index, split in ((-1, "train"), (0, "training")):
        with pytest.raises(ValueError, match="expected one of"):
            make_clip(index, split)


def test_sound_and_face_last_as_long(clips: list[SpeechClip]) -> None:
    for clip in clips:
        frames = len(clip.weights)
        assert 60 <= frames <= 120 and abs(len(clip.samples) - frames * RATE / 15) <= 0.5
        assert clip.samples.dtype == clip.weights.dtype == clip.speech.dtype == np.float32
        assert clip.weights.min() >= 0 and clip.weights.max() <= 1
        assert abs(clip.samples).max() <= 1 and np.square(clip.samples).mean() > 1e-5
        assert clip.said.bounds_s[0] == 0 and clip.said.bounds_s[-1] == pytest.approx(frames / 15)
        assert (np.diff(clip.said.bounds_s) > 0).all()


def test_bilabials_close_the_mouth_and_open_vowels_open_it(clips: list[SpeechClip]) -> None:
    def gaps(*names: str) -> np.ndarray:
        apart = [(clip.speech[:, JAW] - clip.speech[:, CLOSE])[frames_of(clip, names)]
                 for clip in clips]  # fmt: skip
        return np.concatenate(apart)

    closed, open_ = gaps("b", "p", "m"), gaps("aa")
    assert len(closed) > 20 and closed.max() < 0.08 and np.median(closed) < 0.02
    assert len(open_) > 20 and np.median(open_) > 0.35
    for clip in clips:
        assert (clip.speech[:, CLOSE] <= clip.speech[:, JAW] + 0.06).all()


@pytest.mark.parametrize(
    ("phone", "shape"),
    [
        ("uw", "mouthPucker"),
        ("iy", "mouthStretchLeft"),
        ("f", "mouthRollLower"),
        ("sh", "mouthFunnel"),
    ],
)
def test_a_phone_moves_its_own_shape_most(clips: list[SpeechClip], phone: str, shape: str) -> None:
    column = BLENDSHAPE_INDEX[shape]
    own = [clip.speech[frames_of(clip, (phone,)), column] for clip in clips]
    rest = [clip.speech[:, column] for clip in clips]
    assert np.median(np.concatenate(own)) > 2 * np.mean(np.concatenate(rest)) + 0.05


def test_in_a_pause_the_mouth_is_shut_and_the_sound_is_gone(clips: list[SpeechClip]) -> None:
    for clip in clips:
        begin, end = clip.said.bounds_s[-2:]
        assert clip.said.names[-1] == "_" and end - begin >= 0.149
        assert clip.speech[-1, JAW] < 0.12
        tail = clip.samples[int((begin + 0.1) * RATE) :]
        assert np.square(tail).mean() < 0.1 * np.square(clip.samples).mean()


def test_training_knows_few_emotions_and_shows_them_weakly(clips: list[SpeechClip]) -> None:
    assert {clip.emotion for clip in clips} == set(SEEN_EMOTIONS)
    assert max(clip.strength for clip in clips) <= 0.3
    assert 5 <= sum(clip.strength == 0 for clip in clips) <= 15
    for clip in clips:
        assert (clip.strength > 0) == (clip.emotion != "neutral")
        assert np.array_equal(clip.weights, clip.speech) == (clip.strength == 0)


def test_unseen_clips_show_other_emotions_in_full() -> None:
    assert not set(SEEN_EMOTIONS) & set(UNSEEN_EMOTIONS) and set(UNSEEN_EMOTIONS) <= {*prototypes()}
    clip = make_clip(1, "unseen")
    assert clip.emotion == UNSEEN_EMOTIONS[1] == "fear" and clip.strength == 1
    wide = BLENDSHAPE_INDEX["eyeWideLeft"]
    assert clip.weights[:, wide].mean() > clip.speech[:, wide].mean() + 0.6


def test_no_speaker_of_a_test_was_heard_in_training(clips: list[SpeechClip]) -> None:
    heard = {clip.speaker for clip in clips}
    assert len(heard) > 5
    for split in SYNTHETIC_SPLITS[1:]:
        assert make_clip(0, split).speaker not in heard


def test_an_expression_leaves_closed_lips_closed() -> None:
    speech = np.zeros((2, 52), np.float32)
    speech[1, [JAW, CLOSE]] = 0.3
    face = expression_of("surprise")
    shown = show_expression(speech, face, 1.0)
    brows = BLENDSHAPE_INDEX["browInnerUp"]
    assert (shown[:, brows] == face[brows]).all()
    assert shown[0, JAW] == pytest.approx(0.15 * face[JAW]) and shown[1, JAW] == speech[1, JAW]
    half = show_expression(speech, face, np.array([0.0, 0.5], np.float32))
    assert np.array_equal(half[0], speech[0]) and half[1, brows] == 0.5 * face[brows]
    with pytest.raises(ValueError, match="prototypes"):
        expression_of("no emotion")


# The parts


def held(phone: str, seconds: float = 1.0) -> Utterance:
    """Return one phone between two pauses."""
    names = ("_", phone, "_")
    bounds = np.array([0.0, 0.2, 0.2 + seconds, 0.4 + seconds])
    phones = np.array([list(PHONES).index(name) for name in names])
    return Utterance(phones, bounds, np.array([0.0, 0.5, 0.0]), np.zeros(3, np.int64))


def spectrum(phone: str, voice: Voice = PLAIN) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies, and the mean spectrum of a phone that is held, in dB."""
    said = held(phone)
    sound = make_sound(np.random.default_rng(4), said, voice, Mood(), int(1.4 * RATE))
    parts = sound[int(0.3 * RATE) : int(1.1 * RATE)].reshape(-1, 800) * np.hanning(800)
    power = np.square(abs(np.fft.rfft(parts, 1024))).mean(axis=0)
    return np.fft.rfftfreq(1024, 1 / RATE), 10 * np.log10(power)


@pytest.mark.parametrize("phone", ["iy", "aa", "uw", "ae"])
def test_a_vowel_has_its_formants(phone: str) -> None:
    hertz, level = spectrum(phone)
    smooth = np.convolve(level, np.hanning(11) / np.hanning(11).sum(), mode="same")
    tilted = smooth + 6 * np.log2(np.maximum(hertz, 100) / 1000)  # against the fall of the voice
    peaks = [
        hertz[i]
        for i in range(3, 300)
        if tilted[i] == tilted[max(0, i - 7) : i + 8].max()
    ]  # fmt: skip
    for formant in PHONES[phone].formants[:2]:
        assert min(abs(peak - formant) for peak in peaks) < 130, (formant, peaks)


def test_hisses_are_where_they_should_be() -> None:
    middles = {}
    for phone in ("s", "sh"):
        hertz, level = spectrum(phone)
        power = 10 ** (level / 10) * (hertz > 1500)
        middles[phone] = float(hertz @ power / power.sum())
    assert middles["s"] > 5000 and 2500 < middles["sh"] < 4200


def test_the_voice_has_its_pitch() -> None:
    for pitch in (100, 220):
        voice = Voice(pitch, 0.0, 1.0, 0.0, 500, 1.0, 0.0)
        sound = make_sound(np.random.default_rng(0), held("aa"), voice, Mood(), int(1.4 * RATE))
        part = sound[8000:9000]
        correlation = np.correlate(part, part, mode="full")[len(part) :]
        lag = int(correlation[60:200].argmax()) + 61
        assert RATE / lag == pytest.approx(pitch, rel=0.12)


def test_phones_blend_by_grip_and_distance() -> None:
    said = held("aa")
    values, grip = np.array([[0.0], [1.0], [0.0]]), np.ones((3, 1))
    times = np.array([0.7, 0.2, 0.1])
    near = float(np.exp(-0.1 / 0.05))
    found = blend(said, values, grip, times, 0.05)[:, 0]
    far = [np.exp(-0.5 / 0.05), np.exp(-1.0 / 0.05), np.exp(-1.1 / 0.05)]
    assert found[0] == pytest.approx(1 / (1 + 2 * far[0]))
    assert found[1] == pytest.approx(1 / (2 + far[1]))
    assert found[2] == pytest.approx(near / (1 + near + far[2]))


def test_the_table_of_phones_is_sound() -> None:
    assert next(iter(PHONES)) == "_" and len(PHONES) == 33
    for phone in PHONES.values():
        first, second, third = phone.formants
        assert 200 < first < second < third < 3500
        assert len(phone.mouth) == len(CONTROLS) and 0 <= min(phone.mouth) <= max(phone.mouth) <= 1
        assert 0.03 < phone.seconds < 0.5 and 0 <= phone.voice <= 1
    seal = CONTROLS.index("seal")
    assert [name for name, phone in PHONES.items() if phone.mouth[seal]] == ["p", "b", "m"]


def test_sentences_have_phrases_with_pauses_between() -> None:
    said = make_utterance(np.random.default_rng(0), 8.0, 1.0)
    assert said.names[0] == said.names[-1] == "_" and not said.spoken[0] and said.spoken[1]
    inner = (~said.spoken)[1:-1]
    assert inner.any() and said.bounds_s[-1] == 8.0
    assert 6 < said.spoken.sum() / 8.0 < 14  # phones a second
    assert set(said.stress[~said.spoken]) == {0.0} and said.stress.max() > 0.4
    assert (np.diff(said.phrase) >= 0).all()


def test_shapes_of_no_phone_and_no_emotion_stay_still(clips: list[SpeechClip]) -> None:
    moved = np.concatenate([clip.speech for clip in clips]).max(axis=0)
    for name in ("jawLeft", "noseSneerLeft", "eyeWideRight", "mouthRight"):
        assert moved[BLENDSHAPE_INDEX[name]] < 0.05
    assert moved[BLENDSHAPE_INDEX["eyeBlinkLeft"]] > 0.6
    assert len(moved) == len(BLENDSHAPES)
