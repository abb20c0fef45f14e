"""Speech that comes in pieces, and the frames of a face that go out as soon as they are final."""

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped

from expclip.beat_loader.audio import SAMPLE_RATE
from expclip.beat_loader.resample import resample
from expclip.face import BLENDSHAPES
from expclip.face.errors import MissingExtra
from expclip.models.animator.network import AnimatorNetwork
from expclip.models.speech.blinks import Blinks
from expclip.models.speech.encoders import SpeechEncoder
from expclip.models.speech.prompts import PromptTrack
from expclip.models.speech.windows import PieceStream, WindowGrid, WindowStream

__all__ = ["SpeechStream", "check_fps", "mono"]

_MOST_CHANNELS = 64
_RATES = range(1000, 768_001)
_PIECE_S = 0.2
_RESAMPLING_REACH = 9
"""Samples of the slower rate that `resample` looks at, to either side, and one."""


class SpeechStream:
    """A face that speaks while the sound still comes in; made by `SpeechAnimator.stream`.

        stream = model.stream(48_000, "0:calm 2.5:furious")
        for samples in microphone:
            for weights in stream.push(samples):  # (52,)
                show(weights)
        rest = stream.close()

    Attributes:
        fps: frames a second that come out.
        latency_s: a frame comes out at the latest when the sound of so much later is in.
    """

    def __init__(
        self,
        network: AnimatorNetwork,
        encoder: SpeechEncoder,
        track: PromptTrack,
        grid: WindowGrid,
        *,
        sample_rate: float,
        fps: float,
        blinks: Blinks | None = None,
    ) -> None:
        check_fps(fps)
        if not _RATES.start <= sample_rate < _RATES.stop:
            raise ValueError(f"sample_rate must be 1,000 to 768,000, got {sample_rate}")
        own = self._own_fps = float(network.config.fps)
        self.fps = float(fps)
        self._network, self._track = network, track
        self._blinks, self._done = blinks, 0
        self._sound = _resampler(sample_rate)
        self._features = PieceStream(
            partial(encoder.encode, fps=own),
            SAMPLE_RATE,
            own,
            piece_s=max(_PIECE_S, 2 * encoder.context_s),
            context_s=encoder.context_s,
        )
        self._windows = WindowStream(self._generate, grid)
        self._frames = PieceStream(
            partial(resample, fps=own, to_fps=self.fps),
            own,
            self.fps,
            piece_s=_PIECE_S,
            context_s=_RESAMPLING_REACH / min(own, self.fps),
        )
        self._closed = self._heard = False
        self.latency_s = self._features.latency_s + grid.latency / own
        if self.fps != own:
            self.latency_s += self._frames.latency_s

    def push(
        self, samples: Shaped[np.ndarray, " samples *channels"]
    ) -> Float[np.ndarray, "frames 52"]:
        """Return the frames that these samples make final, perhaps none.

        Raises:
            ValueError: a sample is not finite, or the stream is closed.
        """
        if self._closed:
            raise ValueError("the stream is closed")
        return self._advance(mono(samples), last=False)

    def close(self) -> Float[np.ndarray, "frames 52"]:
        """Return the frames that are left. Of no sound at all there is none."""
        if self._closed:
            return np.zeros((0, len(BLENDSHAPES)), np.float32)
        self._closed = True
        return self._advance(np.zeros(0, np.float32), last=True)

    def _advance(
        self, sound: Float[np.ndarray, " samples"], *, last: bool
    ) -> Float[np.ndarray, "frames 52"]:
        self._heard |= bool(len(sound))
        if not self._heard:
            return np.zeros((0, len(BLENDSHAPES)), np.float32)
        if self._sound is not None:
            sound = self._sound.resample_chunk(sound, last=last)
        features = self._features.push(sound)
        features += self._features.close() if last else []
        weights = [made for rows in features for made in self._windows.push(rows)]
        weights += self._windows.close() if last else []
        if self.fps != self._own_fps:
            weights = [made for rows in weights for made in self._frames.push(rows)] + (
                self._frames.close() if last else []
            )
        if not weights:
            return np.zeros((0, len(BLENDSHAPES)), np.float32)
        return self._finish(np.concatenate(weights).clip(0, 1))

    def _finish(self, weights: Float[np.ndarray, "frames 52"]) -> Float[np.ndarray, "frames 52"]:
        """Return frames as they go out."""
        first = self._done
        self._done += len(weights)
        return self._blinks.add_to(weights, self.fps, first) if self._blinks else weights

    def _generate(
        self, windows: Float[np.ndarray, "windows frames features"], starts: list[int]
    ) -> Float[np.ndarray, "windows frames 52"]:
        """Return the weights of windows, each under the styles of its own time."""
        times = (np.array(starts)[:, None] + np.arange(windows.shape[1])) / self._own_fps
        device = self._network.resting.device
        with torch.inference_mode():
            weights = self._network.generate(
                torch.from_numpy(windows).to(device).float(),
                torch.from_numpy(self._track.at(times)).to(device),
            )
            return np.asarray(weights.clamp(0, 1).cpu().numpy())


def mono(samples: Shaped[np.ndarray, " samples *channels"]) -> Float[np.ndarray, " samples"]:
    """Return sound as one channel of float32, -1..1 or somewhat beyond.

    Raises:
        ValueError: it is no sound, or a sample is not finite.
    """
    sound = np.asarray(samples)
    if sound.ndim not in (1, 2) or (sound.ndim == 2 and not 0 < sound.shape[1] <= _MOST_CHANNELS):
        raise ValueError(f"samples have shape {sound.shape}, expected (samples,) or with channels")
    if sound.dtype.kind not in "fiu":
        raise ValueError(f"samples are {sound.dtype}, expected numbers")
    if sound.dtype.kind in "iu":
        middle = 2.0 ** (8 * sound.dtype.itemsize - 1)
        sound = (sound - (middle if sound.dtype.kind == "u" else 0.0)) / middle
    if sound.ndim == 2:
        sound = sound.mean(axis=1)
    if not np.isfinite(sound).all():
        place = int(np.flatnonzero(~np.isfinite(sound))[0])
        raise ValueError(f"sample {place} is {sound[place]}, expected -1 to 1")
    return np.asarray(sound.clip(-1, 1), np.float32)


def _resampler(sample_rate: float) -> Any:
    """Return what brings sound to the encoders' rate chunk by chunk, or None."""
    if sample_rate == SAMPLE_RATE:
        return None
    try:
        import soxr
    except ImportError:
        raise MissingExtra("soxr", "models") from None
    return soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")


def check_fps(fps: float) -> None:
    """Refuse a rate of frames that makes no sense."""
    if not 1 <= fps <= 240:
        raise ValueError(f"fps must be 1 to 240, got {fps}")
