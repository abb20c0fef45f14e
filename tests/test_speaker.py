"""The speaking face in use: whatever the sound, however it comes, one and the same answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from speakers import RATE, hum, make_speaker

from expclip.face import Sequence
from expclip.face.errors import ModelError
from expclip.models.animator.model import SpeechAnimator
from expclip.models.speech import Blinks, speech_encoder
from expclip.models.speech.windows import WindowGrid

torch.set_num_threads(1)  # networks this small only wait for one another

SPEAKER = make_speaker()
FAR = make_speaker(radius=40)  # its reach is no window's
TRACK = SPEAKER.encode_prompts("0:calm 1:furious")


def streamed(
    speaker: SpeechAnimator, samples: np.ndarray, rate: int, seed: int, fps: float | None = None
) -> np.ndarray:
    """Return the frames of sound that comes in pieces of any length."""
    stream, rng, at, found = (
        speaker.stream(rate, TRACK, fps=fps),
        np.random.default_rng(seed),
        0,
        [],
    )
    while at < len(samples):
        size = int(rng.integers(1, rate // 2))
        found.append(stream.push(samples[at : at + size]))
        at += size
    return np.concatenate([*found, stream.close()])


@pytest.mark.parametrize("speaker", [SPEAKER, FAR], ids=["near", "far"])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_streaming_gives_what_the_whole_gives(speaker: SpeechAnimator, rate: int) -> None:
    samples = hum(3.2, rate)
    whole = speaker.animate(samples, rate, TRACK)
    assert whole.shape == (48, 52)
    np.testing.assert_allclose(streamed(speaker, samples, rate, seed=1), whole, atol=1e-5)
    np.testing.assert_allclose(streamed(speaker, samples, rate, seed=2), whole, atol=1e-5)


@pytest.mark.parametrize("fps", [25, 30, 60])
def test_streaming_at_another_rate_of_frames_gives_what_the_whole_gives(fps: int) -> None:
    samples = hum(2.0)
    whole = SPEAKER.animate(samples, RATE, TRACK, fps=fps)
    assert len(whole) == 29 * fps // 15 + 1
    np.testing.assert_allclose(streamed(SPEAKER, samples, RATE, 3, fps), whole, atol=1e-5)


@pytest.mark.parametrize("fps", [15, 30])
def test_blinks_are_added_to_file_and_stream_alike_and_only_where_asked(fps: int) -> None:
    samples, blinks = hum(3.2), Blinks(40)
    plain = SPEAKER.animate(samples, RATE, TRACK, fps=fps)
    whole = SPEAKER.animate(samples, RATE, TRACK, fps=fps, blinks=blinks)
    assert whole.tobytes() == blinks.add_to(plain, fps).tobytes() != plain.tobytes()
    stream = SPEAKER.stream(RATE, TRACK, fps=fps, blinks=blinks)
    parts = [stream.push(samples[at : at + 1234]) for at in range(0, len(samples), 1234)]
    made = np.concatenate([*parts, stream.close()])
    np.testing.assert_allclose(made, whole, atol=1e-5)
    np.testing.assert_allclose(streamed(SPEAKER, samples, RATE, 4, fps), plain, atol=1e-5)


def test_windows_give_what_one_pass_over_the_clip_gives() -> None:
    samples = hum(6.0)
    features = torch.from_numpy(speech_encoder("log-mel").encode(samples, 15.0))[None]
    style = torch.from_numpy(SPEAKER.encode_prompts("calm").styles)
    whole = SPEAKER.network.generate(features, style)[0].numpy().clip(0, 1)
    np.testing.assert_allclose(SPEAKER.animate(samples, RATE, "calm"), whole, atol=1e-5)


def test_how_windows_are_cut_and_batched_does_not_matter() -> None:
    samples = hum(4.0)
    wide = make_speaker(grid=WindowGrid(before=10, hop=12, fade=0, after=5))
    assert wide.config.reach == 4
    np.testing.assert_allclose(
        wide.animate(samples, RATE, TRACK), SPEAKER.animate(samples, RATE, TRACK), atol=1e-5
    )


@pytest.mark.parametrize("speaker", [SPEAKER, FAR], ids=["near", "far"])
def test_there_is_no_seam_at_the_borders_of_windows(speaker: SpeechAnimator) -> None:
    weights = speaker.animate(hum(40.0), RATE, "calm")
    jerk = np.abs(np.diff(weights, n=3, axis=0)).mean(axis=1)
    border = (np.arange(len(jerk)) + 2) % speaker.grid.hop == 0
    assert np.median(jerk[border]) <= 1.05 * np.median(jerk[~border])


def test_the_same_sound_gives_the_same_bytes() -> None:
    samples = hum(2.0)
    one, other = (make_speaker().animate(samples, RATE, "sly", fps=30) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_a_frame_comes_no_later_than_said() -> None:
    samples, stream = hum(4.0), SPEAKER.stream(RATE, TRACK, fps=30)
    done, late = 0, 0.0
    for at in range(0, len(samples), 160):
        done += len(stream.push(samples[at : at + 160]))
        late = max(late, (at + 160) / RATE - done / 30)
    assert late <= stream.latency_s < 2.5


@pytest.mark.parametrize("samples", [1, 10, 800, 3200])
def test_however_short_there_is_a_face(samples: int) -> None:
    weights = SPEAKER.animate(hum(1.0)[:samples], RATE)
    assert len(weights) == max(1, round(samples / RATE * 15))
    assert ((weights >= 0) & (weights <= 1)).all()


def test_silence_and_clipping_give_a_face() -> None:
    for samples in (np.zeros(RATE, np.float32), 50 * hum(1.0), np.ones(RATE)):
        assert np.isfinite(SPEAKER.animate(samples, RATE)).all()


def test_channels_are_averaged_and_whole_numbers_scaled() -> None:
    samples = hum(1.0)
    plain = SPEAKER.animate(samples, RATE)
    both = np.stack([samples + 0.1, samples - 0.1], axis=1)
    np.testing.assert_allclose(SPEAKER.animate(both, RATE), plain, atol=1e-5)
    whole = np.rint(samples * 32768).astype(np.int16)
    np.testing.assert_allclose(SPEAKER.animate(whole, RATE), plain, atol=0.01)


@pytest.mark.parametrize(
    ("samples", "rate", "told"),
    [
        (np.array([0.0, np.nan]), RATE, "sample 1 is nan, expected -1 to 1"),
        (np.zeros(0), RATE, "there is no sample"),
        (np.zeros((2, 3, 4)), RATE, r"samples have shape \(2, 3, 4\)"),
        (np.array(["a"]), RATE, "samples are <U1"),
        (np.zeros(9), 10, "sample_rate must be 1,000 to 768,000, got 10"),
    ],
)
def test_what_is_no_sound_is_one_clear_line(samples: np.ndarray, rate: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SPEAKER.animate(samples, rate)


def test_a_rate_of_frames_without_meaning_is_refused() -> None:
    for fps in (0, 1000, float("nan")):
        with pytest.raises(ValueError, match="fps must be 1 to 240"):
            SPEAKER.animate(hum(0.5), RATE, fps=fps)


def test_a_closed_stream_takes_nothing_more() -> None:
    stream = SPEAKER.stream(RATE)
    assert len(stream.close()) == 0
    with pytest.raises(ValueError, match="closed"):
        stream.push(hum(0.1))


def test_strength_goes_from_the_resting_face_to_the_prompt_and_beyond() -> None:
    rest = SPEAKER.prompt_face(None)
    np.testing.assert_allclose(rest, 0.1)
    np.testing.assert_allclose(SPEAKER.prompt_face("sad", 0), rest, atol=1e-6)
    face = np.linspace(0, 1, 52, dtype=np.float32)
    np.testing.assert_allclose(SPEAKER.prompt_face(face), face, atol=1e-6)
    np.testing.assert_allclose(SPEAKER.prompt_face(face, 0.5), (face + 0.1) / 2, atol=1e-6)
    beyond = (0.1 + 2 * (face - 0.1)).clip(0, 1)
    np.testing.assert_allclose(SPEAKER.prompt_face(face, 2), beyond, atol=1e-6)
    with pytest.raises(ValueError, match="strength must be 0 to 4"):
        SPEAKER.prompt_face(face, -1)


def test_every_kind_of_prompt_gives_a_face() -> None:
    recording = Sequence(np.random.default_rng(0).random((150, 52), np.float32), 60.0)
    for prompt in ("a smug grin", "AU6+AU12 strong", np.full(52, 0.5), recording):
        face = SPEAKER.prompt_face(prompt)
        assert face.shape == (52,) and ((face >= 0) & (face <= 1)).all()
    with pytest.raises(ModelError, match="no image branch"):
        SPEAKER.prompt_face(Image.new("RGB", (8, 8)))
    with pytest.raises(ValueError, match="52 finite weights"):
        SPEAKER.prompt_face(np.zeros(51))


def test_a_prompt_acts_from_its_time_on_and_not_before() -> None:
    samples = hum(4.0)
    calm = SPEAKER.animate(samples, RATE, "calm")
    both = SPEAKER.animate(samples, RATE, [(0.0, "calm"), (2.0, "furious")])
    before = 30 - SPEAKER.config.reach
    np.testing.assert_allclose(both[:before], calm[:before], atol=1e-6)
    furious = SPEAKER.animate(samples, RATE, "furious")
    after = 30 + round(0.8 * 15) + SPEAKER.config.reach + 1
    np.testing.assert_allclose(both[after:], furious[after:], atol=1e-5)
    assert np.abs(furious[after:] - calm[after:]).max() > 1e-4


def test_before_the_first_prompt_there_is_none() -> None:
    track = SPEAKER.encode_prompts("2:furious")
    assert track.starts_s == (0, 2) and track.names == ("no prompt", "furious")


def test_what_is_saved_and_read_again_speaks_alike(tmp_path: Path) -> None:
    again = SpeechAnimator.from_pretrained(SPEAKER.save_pretrained(tmp_path / "model"))
    assert again.name == "model" and again.fps == 15
    face = np.full(52, 0.3, np.float32)
    one, other = (one.animate(hum(1.0), RATE, face) for one in (SPEAKER, again))
    assert one.tobytes() == other.tobytes()
    assert "# SpeechAnimator" in (tmp_path / "model" / "README.md").read_text("utf-8")


def test_another_speech_encoder_than_that_of_the_training_is_refused() -> None:
    speaker = make_speaker(radius=1)
    trained = speaker.network.config
    speaker.network.config = replace(trained, speech_sha256="ab" * 32)
    with pytest.raises(ModelError, match="was trained with abababab"):
        speaker.animate(hum(0.2), RATE)
    speaker.network.config = replace(trained, speech_features=9)
    with pytest.raises(ModelError, match="log-mel: 160 features, expected 9"):
        speaker.animate(hum(0.2), RATE)
