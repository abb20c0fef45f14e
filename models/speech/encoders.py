"""Frozen speech encoders by name: from sound to features, a row for each frame of the face.

An encoder is named by `log-mel`, which needs no weights, or by the Hub id or folder of a
model like wav2vec 2.0 (HuBERT, WavLM, data2vec: a convolution over samples, then a
transformer). Weights are read from safetensors alone, and no code of a repository is run.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int

from expclip.beat_loader.audio import SAMPLE_RATE, samples_of_frames
from expclip.face.errors import MissingExtra, ModelError
from expclip.models.encoders import first_line, weights_hash

__all__ = [
    "LOG_MEL",
    "LogMel",
    "SpeechEncoder",
    "Wav2Vec",
    "frames_of_samples",
    "mel_edges",
    "speech_encoder",
]

LOG_MEL = "log-mel"

_HOPS_PER_FRAME = 4
_HOP_S = 1 / 60
"""Four spectra cover a frame of 15 a second without a hole."""
_WINDOW = 400
_TRANSFORM = 512
_BANDS = 40
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0
_FLOOR = 1e-8
"""Added to the energy of a band: what is below about -80 dB is silence."""
_MIDDLE, _SPREAD = -6.0, 1.5
"""Of log10 energies of speech at usual levels."""
_FRAMES_AT_ONCE = 2048

_PIECE_S, _OVERLAP_S = 8.0, 1.0
_QUIET = 0.01
"""Sound below this (-40 dB) is not amplified to the level of speech."""


@runtime_checkable
class SpeechEncoder(Protocol):
    """A frozen encoder of speech.

    Attributes:
        name: by which `speech_encoder` finds it.
        features: of a frame.
        context_s: seconds of sound before and after a frame that its features look at.
    """

    name: str
    features: int
    context_s: float

    @property
    def sha256(self) -> str:
        """Hash of its weights; empty if it has none."""

    def encode(
        self, samples: Float[np.ndarray, " samples"], fps: float
    ) -> Float[np.ndarray, "frames features"]:
        """Return the features of 16 kHz sound; frame i is centred on second i / fps.

        As many frames as last as long as the sound, to the nearest, but at least one.

        Raises:
            ValueError: there is no sample, or one is not finite; fps is not above 0.
        """


def speech_encoder(name: str) -> SpeechEncoder:
    """Return a frozen speech encoder by name: `log-mel`, a Hub id, or a folder.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: nothing usable lies under this name.
    """
    return LogMel() if name == LOG_MEL else Wav2Vec(name)


def frames_of_samples(samples: int, fps: float) -> int:
    """Return how many frames last as long as some samples, to the nearest, at least one."""
    return max(1, math.floor(samples * fps / SAMPLE_RATE + 0.5))


class LogMel:
    """Log mel energies, four spectra a frame, scaled by constants.

    What a frame gets depends on the sound around it alone. A stretch that begins where a
    frame's time is a whole number of samples (every third frame, at 15 a second) gives,
    away from its ends, the very numbers that the whole gives, bit for bit; one that begins
    elsewhere is off by up to a sample.
    """

    name = LOG_MEL
    sha256 = ""
    features = _HOPS_PER_FRAME * _BANDS
    context_s = (_HOPS_PER_FRAME - 1) / 2 * _HOP_S + (_WINDOW / 2 + 1) / SAMPLE_RATE

    def encode(
        self, samples: Float[np.ndarray, " samples"], fps: float
    ) -> Float[np.ndarray, "frames features"]:
        """Return the features; samples beyond -1..1 are clipped (see `SpeechEncoder`)."""
        samples = _checked(samples, fps)
        frames = frames_of_samples(len(samples), fps)
        edge = _WINDOW // 2 + round(_HOPS_PER_FRAME / 2 * _HOP_S * SAMPLE_RATE)
        reach = edge + samples_of_frames(frames, fps) - len(samples)
        padded = np.pad(np.clip(samples, -1, 1), (edge, max(edge, reach)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)
        features = np.empty((frames, self.features), np.float32)
        for first in range(0, frames, _FRAMES_AT_ONCE):
            numbers = np.arange(first, min(first + _FRAMES_AT_ONCE, frames))
            features[numbers] = _log_mel(windows, _hops(numbers, fps) + edge - _WINDOW // 2)
        return features


class Wav2Vec:
    """A model like wav2vec 2.0: its last hidden states, brought to the frames of the face.

    Sound longer than 10 s is encoded in pieces of 8 s with a second more on either side, so
    memory is bounded. Each state is shared between the two nearest frames.
    """

    context_s = _OVERLAP_S

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            from transformers import AutoModel
        except ImportError as error:
            raise MissingExtra(error.name or "transformers", "models") from None
        config = _speech_config(name)
        self._normalised = _is_normalised(name)
        with _told(name):
            model: Any
            model, found = AutoModel.from_pretrained(
                name,
                use_safetensors=True,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
            )
        missing = set(found["missing_keys"]) - {"masked_spec_embed"}  # of training alone
        if missing:
            raise ModelError(f"{name}: no speech encoder: lacks the weights {min(missing)!r}")
        self._model = model.eval().requires_grad_(False)
        if torch.cuda.is_available():
            self._model.cuda()
        self.features = int(config.hidden_size)
        self._step = math.prod(config.conv_stride)
        self._field = _receptive_field(config.conv_kernel, config.conv_stride)

    @cached_property
    def sha256(self) -> str:
        """Hash of its weights."""
        return weights_hash(self._model)

    def encode(
        self, samples: Float[np.ndarray, " samples"], fps: float
    ) -> Float[np.ndarray, "frames features"]:
        """Return the features (see `SpeechEncoder`)."""
        samples = _checked(samples, fps)
        frames = frames_of_samples(len(samples), fps)
        centres = np.arange(frames) * (SAMPLE_RATE / fps)
        piece = round(_PIECE_S * SAMPLE_RATE / self._step) * self._step
        overlap = round(_OVERLAP_S * SAMPLE_RATE / self._step) * self._step
        features = np.empty((frames, self.features), np.float32)
        for start in range(0, len(samples), piece):
            last = start + piece + overlap >= len(samples)
            own = (centres >= start) & (last | (centres < start + piece))
            first = max(0, start - overlap)
            states = self._states(samples, first, min(len(samples), start + piece + overlap))
            places = (centres[own] - first) / self._step
            features[own] = _spread(states, places, max(1.0, SAMPLE_RATE / fps / self._step))
            if last:
                break
        return features

    def _states(
        self, samples: Float[np.ndarray, " samples"], start: int, stop: int
    ) -> Float[np.ndarray, "states features"]:
        """Return the hidden states of a stretch, state i centred on its sample i * step."""
        half = self._field // 2
        steps = math.ceil((stop - start) / self._step) + 1
        end = start - half + (steps - 1) * self._step + self._field
        low, high = max(0, start - half), min(len(samples), end)
        sound = samples[low:high]
        if self._normalised:
            sound = (sound - sound.mean()) / max(float(sound.std()), _QUIET)
        padded = np.pad(sound, (low - (start - half), end - high))
        with torch.inference_mode():
            values = torch.from_numpy(padded[None]).to(self._model.device)
            states = self._model(values).last_hidden_state[0]
        return np.asarray(states.float().cpu().numpy())


def _checked(samples: Float[np.ndarray, " samples"], fps: float) -> Float[np.ndarray, " samples"]:
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise ValueError(f"samples have shape {samples.shape}, expected one or more finite ones")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be above 0, got {fps}")
    return samples


def _hops(numbers: Int[np.ndarray, " frames"], fps: float) -> Int[np.ndarray, "frames hops"]:
    """Return the samples on which the spectra of some frames are centred."""
    centres = np.floor(numbers * SAMPLE_RATE / fps + 0.5).astype(np.int64)
    offsets = (np.arange(_HOPS_PER_FRAME) - (_HOPS_PER_FRAME - 1) / 2) * _HOP_S * SAMPLE_RATE
    hops: np.ndarray = centres[:, None] + np.floor(offsets + 0.5).astype(np.int64)
    return hops


def _log_mel(
    windows: Float[np.ndarray, "places window"], starts: Int[np.ndarray, "frames hops"]
) -> Float[np.ndarray, "frames features"]:
    """Return scaled log energies.

    Everything here works row by row or number by number: how many frames are computed
    together never changes a bit, as a matrix product would.
    """
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    spectra = np.fft.rfft(windows[starts.ravel()] * window, _TRANSFORM)  # (hops, bins)
    energy = np.square(spectra.real) + np.square(spectra.imag)
    bands = (_mel_filters() @ np.ascontiguousarray(energy.T)).T  # (hops, bands)
    scaled = (np.log10(bands + np.float32(_FLOOR)) - np.float32(_MIDDLE)) / np.float32(_SPREAD)
    return np.asarray(scaled.reshape(len(starts), -1), np.float32)


@cache
def _mel_filters() -> Any:
    """Return triangles, even on the mel scale, as a sparse matrix: bands by bins.

    A full-scale sine has about a third in its band.
    """
    from scipy.sparse import csr_array

    edges = mel_edges()
    bins = np.arange(_TRANSFORM // 2 + 1) * (SAMPLE_RATE / _TRANSFORM)
    low, middle, high = (edges[shift : shift + _BANDS, None] for shift in range(3))
    rise, fall = (bins - low) / (middle - low), (high - bins) / (high - middle)
    filters = np.clip(np.minimum(rise, fall), 0, None) / (_WINDOW / 2) ** 2
    return csr_array(filters.astype(np.float32))


def mel_edges() -> Float[np.ndarray, " edges"]:
    """Return where the triangles of `log-mel` begin, peak and end, in Hz: two more than bands."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges: np.ndarray = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    return edges


def _spread(
    states: Float[np.ndarray, "states features"],
    places: Float[np.ndarray, " frames"],
    width: float,
) -> Float[np.ndarray, "frames features"]:
    """Return states at fractional places, averaged under a triangle `width` to either side."""
    columns = np.arange(len(states))
    shares = np.clip(1 - abs(columns - places[:, None]) / width, 0, None)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.asarray(shares.astype(np.float32) @ states)


def _receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Return how many samples a state of the convolution looks at."""
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field


def _speech_config(name: str) -> Any:
    from transformers import AutoConfig

    with _told(name):
        config: Any = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if not all(hasattr(config, key) for key in ("conv_stride", "conv_kernel", "hidden_size")):
        raise ModelError(f"{name}: a {config.model_type!r}, expected a model like wav2vec2")
    return config


def _is_normalised(name: str) -> bool:
    """Return whether the model wants sound of mean 0 and variance 1."""
    import transformers

    extractors: Any = transformers.AutoFeatureExtractor
    with _told(name):
        extractor: Any = extractors.from_pretrained(name, trust_remote_code=False)
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(f"{name}: wants sound at {extractor.sampling_rate} Hz, not {SAMPLE_RATE}")
    return bool(extractor.do_normalize)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell in one line what transformers cannot read."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    known = (OSError, ValueError, KeyError, TypeError, RuntimeError)
    try:
        yield
    except (*known, StrictDataclassError, SafetensorError) as error:
        raise ModelError(f"{name}: no speech encoder: {first_line(error)}") from None
