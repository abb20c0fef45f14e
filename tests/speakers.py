"""A speaking face with random weights that hears log-mel, and sounds for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from expclip.models.animator.model import SpeechAnimator
from expclip.models.animator.network import AnimatorConfig, AnimatorNetwork
from expclip.models.expclip.network import ExpClipConfig

__all__ = ["FakeTexts", "hum", "make_speaker"]

RATE = 16_000
_SPACE = ExpClipConfig(
    dim=8, width=8, layers=1, heads=2, feedforward=16, tokens="vector", projector_width=0,
    text_features=4, image_encoder=None,
)  # fmt: skip


class FakeTexts:
    """A frozen text encoder that tells texts apart by their letters."""

    name, features, sha256 = "fake", 4, ""

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [sum(map(ord, text)) for text in texts]
        return np.stack([np.random.default_rng(s).normal(size=4) for s in seeds]).astype(np.float32)


@cache
def _network(radius: int) -> AnimatorNetwork:
    config = AnimatorConfig(
        space=_SPACE, speech_encoder="log-mel", speech_features=160, width=16, heads=2,
        feedforward=32, layers=2, dropout=0.0, radius=radius, style_tokens=2, hidden=16,
        pool_width=8, pool_layers=1,
    )  # fmt: skip
    torch.manual_seed(0)
    network = AnimatorNetwork(config)
    with torch.no_grad():
        network.out[-1].bias.fill_(0.4)  # away from 0, where weights are clipped
        network.resting.fill_(0.1)
    return network


def make_speaker(radius: int = 2, **options: Any) -> SpeechAnimator:
    """Return a speaker with a reach of twice the radius, in frames."""
    speaker = SpeechAnimator(_network(radius), **options)
    speaker.__dict__["_space"] = space = type(speaker)._space.func(speaker)  # type: ignore[attr-defined]
    space.__dict__["_texts"] = FakeTexts()
    return speaker


def hum(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Return a voice that rises and falls, with some noise."""
    times = np.arange(round(seconds * rate)) / rate
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 2.3 * times)
    tone = np.sign(np.sin(2 * np.pi * 137.3 * times)) * 0.2 * loud
    noise = np.random.default_rng(seed).normal(size=len(times)) * 0.02
    return (tone + noise).astype(np.float32)
