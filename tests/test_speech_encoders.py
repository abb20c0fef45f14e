"""From sound to features, a row for each frame of the face."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_chat_model, make_wav2vec2

from expclip.face.errors import MissingExtra, ModelError
from expclip.models.speech import LOG_MEL, SpeechEncoder, encoders, speech_encoder
from expclip.models.speech.encoders import LogMel, Wav2Vec, frames_of_samples, mel_edges

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.05 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


def sine(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wav2vec2(tmp_path_factory.mktemp("wav2vec2"))


# Log mel energies


def test_a_sine_is_loudest_in_its_own_band() -> None:
    centres = mel_edges()[1:-1]
    for band in (5, 13, 30):
        spectra = LogMel().encode(sine(centres[band]), 15)[7].reshape(4, 40)
        assert (spectra.argmax(axis=1) == band).all()
        rest = np.delete(spectra, [band - 1, band, band + 1], axis=1)
        assert (spectra[:, band] - rest.max(axis=1) > 1).all()


def test_ten_times_the_amplitude_is_two_powers_of_ten() -> None:
    quiet, loud = (LogMel().encode(scale * sine(1000), 15)[7] for scale in (0.05, 0.5))
    band = int(loud[:40].argmax())
    assert (loud[band] - quiet[band]) * encoders._SPREAD == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize(
    ("samples", "fps", "frames"),
    [
        (1, 15, 1),
        (1600, 15, 2),
        (RATE, 15, 15),
        (RATE * 2, 60, 120),
        (533, 15, 1),
        (17_600, 15, 17),
    ],
)
def test_there_are_as_many_frames_as_last_as_long(samples: int, fps: float, frames: int) -> None:
    assert frames_of_samples(samples, fps) == frames
    assert LogMel().encode(np.zeros(samples, np.float32), fps).shape == (frames, 160)


@pytest.mark.parametrize("fps", [15.0, 25.0, 30.0, 60.0])
def test_a_frame_is_centred_on_its_time(fps: float) -> None:
    click = np.zeros(RATE, np.float32)
    frame = round(0.4 * fps)
    click[round(frame / fps * RATE)] = 1
    energy = LogMel().encode(click, fps).reshape(-1, 4, 40).mean(axis=2)  # (frames, spectra)
    assert energy[frame, 1] == pytest.approx(energy[frame, 2], abs=0.05)  # before and after
    assert energy[frame, 1] > energy[frame, 0] and energy[frame, 2] > energy[frame, 3]
    assert energy.sum(axis=1).argmax() == frame


def test_silence_and_clipping_give_plain_numbers() -> None:
    encoder = LogMel()
    silent = encoder.encode(np.zeros(RATE, np.float32), 15)
    assert np.ptp(silent) < 1e-6 and silent[0, 0] == pytest.approx((-8 - -6) / 1.5)
    loud = np.sign(noise(1)) * 1e30
    assert np.array_equal(encoder.encode(loud, 15), encoder.encode(np.sign(loud), 15))
    assert abs(encoder.encode(loud, 15)).max() < 5


@settings(max_examples=25, deadline=None)
@given(
    first=st.integers(0, 20), frames=st.integers(1, 40), tail=st.integers(0, 900),
    fps=st.sampled_from([15.0, 30.0, 60.0]),
)  # fmt: skip
def test_a_chunk_gives_what_the_whole_gives(first: int, frames: int, tail: int, fps: float) -> None:
    sound, encoder = noise(5), LogMel()
    context = int(np.ceil(encoder.context_s * fps))
    unit = 3 * fps / 15  # frames that last a whole number of samples
    start = int(first * unit)
    end = round((start + frames + 2 * context) / fps * RATE) + tail
    chunk = encoder.encode(sound[round(start / fps * RATE) : end], fps)
    own = slice(context, context + min(frames, len(chunk) - 2 * context))
    whole = encoder.encode(sound, fps)[start : start + len(chunk)]
    assert np.array_equal(chunk[own], whole[own])


def test_what_lies_beyond_the_context_does_not_matter() -> None:
    encoder, fps = LogMel(), 15.0
    near = int(encoder.context_s * RATE)
    sound, middle = noise(2), round(10 / fps * RATE)
    other = noise(2, seed=1)
    other[middle - near : middle + near] = sound[middle - near : middle + near]
    assert np.array_equal(encoder.encode(sound, fps)[10], encoder.encode(other, fps)[10])


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0), np.zeros((2, 9)), np.array([0.0, np.nan]), np.array([0.0, np.inf])],
)
def test_what_is_no_sound_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        LogMel().encode(samples, 15)
    with pytest.raises(ValueError, match="fps"):
        LogMel().encode(np.zeros(9), 0)


# Models like wav2vec 2.0


def test_an_encoder_is_found_by_name(folder: Path) -> None:
    mel, model = speech_encoder(LOG_MEL), speech_encoder(str(folder))
    assert isinstance(mel, SpeechEncoder) and isinstance(model, SpeechEncoder)
    assert mel.sha256 == "" and len(model.sha256) == 64
    assert (mel.features, model.features) == (160, 32)
    found = model.encode(noise(2), 15)
    assert found.shape == (30, 32) and found.dtype == np.float32
    assert np.array_equal(found, Wav2Vec(str(folder)).encode(noise(2), 15))
    assert model.encode(noise(1 / RATE), 15).shape == (1, 32)


class Energy:
    """Stands for a model: a state is the energy of the samples that it looks at."""

    device = "cpu"

    def __init__(self, field: int, step: int) -> None:
        self._field, self._step = field, step

    def __call__(self, values: torch.Tensor) -> SimpleNamespace:
        seen = values.unfold(1, self._field, self._step).square().sum(dim=2, keepdim=True)
        return SimpleNamespace(last_hidden_state=seen)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("piece_s", [8.0, 0.4])
def test_a_models_states_come_to_the_frames_of_their_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fps: float, piece_s: float
) -> None:
    monkeypatch.setattr(encoders, "_PIECE_S", piece_s)
    monkeypatch.setattr(encoders, "_OVERLAP_S", 0.2)
    model = Wav2Vec(str(folder))
    model.features, model._normalised = 1, False
    model._model = Energy(model._field, model._step)
    for second in (0.0, 0.4, 1.4, 29 / 15):
        click = np.zeros(2 * RATE, np.float32)
        click[round(second * RATE)] = 1
        energy = model.encode(click, fps)[:, 0]
        times = np.arange(len(energy)) / fps
        assert abs(energy @ times / energy.sum() - second) < 0.02 + 0.02 * (second == 0)
        assert energy.argmax() == round(second * fps)


def test_pieces_give_what_the_whole_gives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, model = noise(7.3), Wav2Vec(str(folder))
    whole = model.encode(sound, 15)
    longest: list[int] = []
    encode = model._states
    monkeypatch.setattr(model, "_states", lambda *a: longest.append(a[2] - a[1]) or encode(*a))
    monkeypatch.setattr(encoders, "_PIECE_S", 2.0)
    pieces = model.encode(sound, 15)
    assert len(longest) == 4 and max(longest) <= 4 * RATE
    assert pieces.shape == whole.shape
    near = (whole * pieces).sum(1) / np.linalg.norm(whole, axis=1) / np.linalg.norm(pieces, axis=1)
    assert near.min() > 0.99 and near.mean() > 0.999


def test_speech_is_brought_to_one_level_and_silence_is_not(folder: Path) -> None:
    model = Wav2Vec(str(folder))
    model.features = 1
    model._model = Energy(model._field, model._step)
    loud, soft, hiss = (model.encode(scale * noise(1), 15)[2:-2] for scale in (4, 1, 1e-3))
    assert np.allclose(loud, soft, rtol=1e-3) and hiss.max() < 1e-3 * soft.min()
    assert np.isfinite(Wav2Vec(str(folder)).encode(np.ones(RATE, np.float32), 15)).all()


def test_what_is_no_speech_encoder_is_told_in_one_line(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    chat = make_chat_model(tmp_path / "chat")
    slow = make_wav2vec2(tmp_path / "slow", rate=8000)
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / "preprocessor_config.json").unlink()
    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    for place, why in (
        (tmp_path / "nowhere", "no speech encoder"),
        (tmp_path / "odd", "no speech encoder"),
        (chat, "expected a model like wav2vec2"),
        (slow, "8000 Hz"),
        (bare, "no speech encoder"),
        (pickled, "no speech encoder"),
    ):
        with pytest.raises(ModelError, match=why) as caught:
            speech_encoder(str(place))
        assert "\n" not in str(caught.value) and str(caught.value).startswith(str(place))


@pytest.mark.parametrize(
    ("key", "value"),
    [("hidden_size", 64), ("hidden_size", "a"), ("conv_stride", [2]), ("num_hidden_layers", 3)],
)
def test_a_model_whose_weights_do_not_fit_is_refused(
    tmp_path: Path, folder: Path, key: str, value: object
) -> None:
    shutil.copytree(folder, tmp_path / "odd")
    path = tmp_path / "odd" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ModelError, match="no speech encoder"):
        speech_encoder(str(tmp_path / "odd"))


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_a_model_whose_weights_are_cut_is_refused(tmp_path: Path, folder: Path, kept: int) -> None:
    shutil.copytree(folder, tmp_path / "cut")
    path = tmp_path / "cut" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match="no speech encoder"):
        speech_encoder(str(tmp_path / "cut"))


def test_missing_transformers_names_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtra, match="models"):
        speech_encoder("somebody/some-model")
