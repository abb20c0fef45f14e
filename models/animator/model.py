"""`SpeechAnimator`, to be used: speech and a prompt to a face that speaks."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped

from expclip.beat_loader.resample import resample
from expclip.face import BLENDSHAPES
from expclip.face import Sequence as FaceSequence
from expclip.face.errors import ModelError
from expclip.models.animator.card import build_animator_card
from expclip.models.animator.network import AnimatorConfig, AnimatorNetwork, perturb_prompt
from expclip.models.animator.train import KIND
from expclip.models.checkpoint import (
    build_network,
    push_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from expclip.models.expclip.model import ExpCLIP
from expclip.models.speech import Blinks, SpeechEncoder, speech_encoder
from expclip.models.speech.prompts import (
    Prompt,
    PromptTrack,
    TimedPrompt,
    check_times,
    describe_prompt,
    face_of_units,
    is_nothing,
    parse_prompts,
    read_prompt,
)
from expclip.models.speech.stream import SpeechStream, check_fps, mono
from expclip.models.speech.windows import WindowGrid

__all__ = ["SpeechAnimator"]

_BLOCK_S = 10
"""A clip goes through the stream in blocks: memory does not grow with its length."""
_POOLED = 64
"""Frames of a recording that are pooled together, as in training."""
_STRONGEST = 4.0

Prompts = Prompt | PromptTrack | Sequence[tuple[float, Prompt]]
"""One prompt, several over time, or these encoded."""


class SpeechAnimator:
    """A trained generator of speaking faces.

        model = SpeechAnimator.from_pretrained("out/animator")
        weights = model.animate(samples, 16_000, "a smug grin")  # (frames, 52), 15 a second

    A prompt is a text, action units ("AU6+AU12 strong"), a face (52 weights), a recording
    of one (`face.Sequence`), a picture of one (Pillow), a file of these (`pathlib.Path`), or
    None; or several of them: "0:calm 2.5:furious", or pairs of a start in seconds and a
    prompt. A plain string never reads a file.

    Args:
        network: trained; put to evaluation.
        training: what it was trained on, for the card.
        name: what it is called in results; a checkpoint's folder or repository.
        grid: how long clips are cut; by default as the network's reach allows.
    """

    def __init__(
        self,
        network: AnimatorNetwork,
        training: Mapping[str, Any] | None = None,
        name: str = "animator",
        *,
        grid: WindowGrid | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.training = dict(training or {})
        self.name = name
        self.fps = float(network.config.fps)
        self.grid = grid or WindowGrid.of_reach(network.config.reach)

    @classmethod
    def from_pretrained(
        cls, place: str | Path, *, revision: str | None = None, device: str = "cpu"
    ) -> "SpeechAnimator":
        """Return the model of a folder or, where there is none, of a Hub repository.

        Raises:
            DataError: the folder lacks a file, or one is no such thing.
            ModelError: the Hub has no such repository, or cannot be reached.
        """
        checkpoint = read_checkpoint(place, KIND, AnimatorConfig, revision)
        network = build_network(AnimatorNetwork, checkpoint, place).to(device)
        return cls(network, checkpoint.training, Path(place).name)

    @property
    def config(self) -> AnimatorConfig:
        """Sizes, and names of the frozen encoders."""
        return self.network.config

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.resting.device

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config, weights (safetensors), training record and card.

        Raises:
            DataError: the folder cannot be written.
        """
        card = build_animator_card(self.config, self.training)
        return write_checkpoint(folder, KIND, self.network, self.training, card)

    def push_to_hub(self, repo: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload to a Hub repository, made if need be; return its address.

        Raises:
            ModelError: the Hub refuses or cannot be reached.
        """
        with TemporaryDirectory(prefix="expclip-") as folder:
            self.save_pretrained(folder)
            return push_checkpoint(folder, repo, private=private, token=token)

    def prompt_face(self, prompt: Prompt, strength: float = 1.0) -> Float[np.ndarray, " 52"]:
        """Return the face that a prompt asks for; it may be looked at, and changed.

        Without a prompt it is the resting face: the mean of those in training.

        Args:
            prompt: one, not over time.
            strength: 0 is the resting face, 1 the prompt's own; more goes beyond it, as far
                as weights can.

        Raises:
            DataError: a file is none that can be a prompt.
            ModelError: the frozen encoder is not there, or not the one of the training; a
                picture, for a model without an image branch.
            ValueError: no such action unit; not 52 finite weights; strength not in 0..4.
        """
        if not 0 <= strength <= _STRONGEST:
            raise ValueError(f"strength must be 0 to {_STRONGEST:g}, got {strength}")
        rest = self.network.resting.cpu()
        if is_nothing(prompt):
            return np.asarray(rest.numpy().clip(0, 1))
        face = torch.from_numpy(self._face_of(prompt))
        mixed = perturb_prompt(rest, face, torch.tensor(float(strength)), self.config.blend)
        return np.asarray(mixed.numpy().clip(0, 1))

    def encode_prompts(self, prompts: Prompts, strength: float = 1.0) -> PromptTrack:
        """Return the styles of prompts over time; a track stays as it is.

        Before the first prompt there is none.

        Raises:
            DataError, ModelError, ValueError: as `prompt_face`; times that do not ascend.
        """
        if isinstance(prompts, PromptTrack):
            return prompts
        timed = _timed(prompts)
        if timed[0].start_s:
            timed = (TimedPrompt(0.0, None), *timed)
        faces = np.stack([self.prompt_face(one.prompt, strength) for one in timed])
        with torch.inference_mode():
            styles = self.network.style(torch.from_numpy(faces).to(self.device)).cpu().numpy()
        names = tuple(describe_prompt(one.prompt) for one in timed)
        return PromptTrack(tuple(one.start_s for one in timed), styles, names)

    def animate(
        self,
        samples: Shaped[np.ndarray, " samples *channels"],
        sample_rate: float,
        prompt: Prompts = None,
        strength: float = 1.0,
        *,
        fps: float | None = None,
        blinks: Blinks | None = None,
    ) -> Float[np.ndarray, "frames 52"]:
        """Return the face that speaks: weights 0..1, in the order of BLENDSHAPES.

        It is what `stream` gives, put together, up to rounding (1e-6).

        Args:
            samples: -1..1, or whole numbers of the range of their kind; channels, in the
                second axis, are averaged.
            sample_rate: in Hz.
            prompt: what the face shows meanwhile.
            strength: of the prompts; see `prompt_face`.
            fps: frames a second; by default `self.fps`.
            blinks: to add to what the network makes, which has none; by default none.

        Raises:
            DataError, ModelError: as `prompt_face`; the speech encoder is not there.
            MissingExtra: a package that is needed is not installed.
            ValueError: as `prompt_face`; there is no sample, or one is not finite; a rate is
                out of range.
        """
        sound = mono(samples)
        if not len(sound):
            raise ValueError("there is no sample to animate")
        to_fps = self.fps if fps is None else float(fps)
        check_fps(to_fps)
        grid = self.grid.for_whole(self.config.reach)
        stream = SpeechStream(
            self.network,
            self.encoder,
            self.encode_prompts(prompt, strength),
            grid,
            sample_rate=sample_rate,
            fps=self.fps,
        )
        block = round(_BLOCK_S * sample_rate)
        parts = [stream.push(sound[at : at + block]) for at in range(0, len(sound), block)]
        weights = np.concatenate([*parts, stream.close()])
        weights = np.asarray(resample(weights, self.fps, to_fps)).clip(0, 1)
        return blinks.add_to(weights, to_fps) if blinks else weights

    def stream(
        self,
        sample_rate: float,
        prompt: Prompts = None,
        strength: float = 1.0,
        *,
        fps: float | None = None,
        blinks: Blinks | None = None,
    ) -> SpeechStream:
        """Return what takes sound piece by piece, and gives frames as soon as they are final.

        Args:
            sample_rate: in Hz.
            prompt: what the face shows meanwhile.
            strength: of the prompts.
            fps: frames a second, one that meets `self.fps` at least once a second: 15, 24,
                25, 30, 60.
            blinks: to add; they are those of `animate`.

        Raises:
            as `animate`
        """
        return SpeechStream(
            self.network,
            self.encoder,
            self.encode_prompts(prompt, strength),
            self.grid,
            sample_rate=sample_rate,
            fps=self.fps if fps is None else fps,
            blinks=blinks,
        )

    def _face_of(self, prompt: Prompt) -> Float[np.ndarray, " 52"]:
        """Return the face of a prompt that is there, whatever kind it is of."""
        if isinstance(prompt, Path):
            prompt = read_prompt(prompt)
        if isinstance(prompt, str):
            units = face_of_units(prompt)
            return self._space.text_to_expression([prompt])[0] if units is None else units
        if isinstance(prompt, FaceSequence):
            return self._pool(prompt)
        if isinstance(prompt, np.ndarray):
            face = np.asarray(prompt, np.float32)
            if face.shape != (len(BLENDSHAPES),) or not np.isfinite(face).all():
                raise ValueError(f"a face has 52 finite weights, got shape {face.shape}")
            return face.clip(0, 1)
        assert prompt is not None
        return np.asarray(self._space.decode(self._space.encode_image([prompt]))[0])

    def _pool(self, sequence: FaceSequence) -> Float[np.ndarray, " 52"]:
        """Return the expression prompt of a recording: the mean of those of its stretches."""
        weights = resample(sequence.filled().weights, sequence.fps, self.fps).clip(0, 1)
        stretches = [weights[at : at + _POOLED] for at in range(0, len(weights), _POOLED)]
        with torch.inference_mode():
            pooled = [
                self.network.pool(torch.from_numpy(part)[None].to(self.device))[0].cpu().numpy()
                for part in stretches
            ]
        lengths = [len(part) for part in stretches]
        return np.asarray(np.average(pooled, axis=0, weights=lengths), np.float32).clip(0, 1)

    @cached_property
    def _space(self) -> ExpCLIP:
        return ExpCLIP(self.network.space, name=self.name)

    @cached_property
    def encoder(self) -> SpeechEncoder:
        """The frozen speech encoder, loaded when first needed."""
        encoder = speech_encoder(self.config.speech_encoder)
        wanted = self.config.speech_sha256
        if wanted and encoder.sha256 != wanted:
            raise ModelError(
                f"{encoder.name}: its weights have SHA-256 {encoder.sha256[:16]}…, "
                f"{self.name} was trained with {wanted[:16]}…"
            )
        if encoder.features != self.config.speech_features:
            expected = self.config.speech_features
            raise ModelError(f"{encoder.name}: {encoder.features} features, expected {expected}")
        return encoder


def _timed(prompts: Prompt | Sequence[tuple[float, Prompt]]) -> tuple[TimedPrompt, ...]:
    """Return prompts with their times, whichever way they were given."""
    if isinstance(prompts, str):
        return parse_prompts(prompts)
    if isinstance(prompts, list | tuple):
        return check_times(TimedPrompt(float(start), prompt) for start, prompt in prompts)
    return (TimedPrompt(0.0, prompts),)  # type: ignore[arg-type]
