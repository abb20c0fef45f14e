"""The speaking face: speech and an expression to 52 weights a frame (paper, section 3.3).

A clip is pooled to its expression prompt, a frozen ExpCLIP makes that the style, and a
transformer decoder turns speech features into weights, with the style by cross-attention.
Sizes that the paper gives are the defaults; where it is silent the reconstruction says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from expclip.face import BLENDSHAPES
from expclip.models.attention import FAR, Layer
from expclip.models.expclip.network import ExpClipConfig, ExpClipNetwork

__all__ = [
    "WAV2VEC",
    "AnimatorConfig",
    "AnimatorNetwork",
    "AnimatorOutput",
    "Blend",
    "perturb_prompt",
]

WAV2VEC = "facebook/wav2vec2-base-960h"
"""The frozen speech encoder, as the Hub names it; the paper says "wav2vec 2.0"."""

Blend = Literal["convex", "additive"]
"""How an expression e joins a prompt p by a share a: (1 - a) p + a e, or p + a e, clipped."""

_LARGEST_SIZE, _MOST_LAYERS = 1 << 16, 128


@dataclass(frozen=True)
class AnimatorConfig:
    """Sizes of the networks, and which frozen ones they are trained with.

    Attributes:
        space: of the frozen ExpCLIP, in whose space styles live; a mapping, as a file holds
            it, becomes one.
    """

    space: ExpClipConfig = field(default_factory=ExpClipConfig)
    speech_encoder: str = WAV2VEC
    speech_features: int = 768
    speech_sha256: str = ""
    """Of the frozen speech encoder's weights; empty before training."""
    fps: float = 15.0
    width: int = 512
    """Of the decoder; not in the paper, as the next two."""
    heads: int = 8
    feedforward: int = 2048
    layers: int = 8
    dropout: float = 0.1
    radius: int = 63
    """A layer looks at so many frames before and after one: the default, at whole clips."""
    style_tokens: int = 1
    """What a style is split into for cross-attention; the paper has one embedding."""
    hidden: int = 512
    """Width between the two fully connected layers."""
    pool_width: int = 512
    """Of the self-attention pooling."""
    pool_layers: int = 4
    blend: Blend = "convex"
    """Of a clip's own prompt and another expression, in training and in use."""

    def __post_init__(self) -> None:
        if isinstance(self.space, Mapping):
            object.__setattr__(self, "space", ExpClipConfig(**self.space))
        sizes = ("speech_features", "width", "heads", "feedforward", "layers")
        for name in (*sizes, "radius", "style_tokens", "hidden", "pool_width", "pool_layers"):
            value = getattr(self, name)
            most = _MOST_LAYERS if name.endswith("layers") else _LARGEST_SIZE
            if type(value) is not int or not 0 < value <= most:
                raise ValueError(f"{name} must be a number of 1 to {most}, got {value!r}")
        for name in ("width", "pool_width"):
            if getattr(self, name) % self.heads:
                value = getattr(self, name)
                raise ValueError(f"{name} {value} must be a multiple of heads {self.heads}")
        if not 0 < self.fps <= _LARGEST_SIZE:
            raise ValueError(f"fps must be above 0, got {self.fps}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if self.blend not in get_args(Blend):
            raise ValueError(f"blend must be convex or additive, got {self.blend!r}")

    @property
    def reach(self) -> int:
        """Frames before and after one that its weights may depend on."""
        return self.layers * self.radius


@dataclass(frozen=True)
class Moved:
    """What clips become under perturbed prompts.

    Attributes:
        prompt: p'.
        animation: made with it, x'.
        found: A(x'), the prompt that the pooling sees in it.
        found_style: E_b(A(x')).
        wanted_style: E_b(p').
        mean_style: that of the mean face.
    """

    prompt: Float[Tensor, "batch 52"]
    animation: Float[Tensor, "batch frames 52"]
    found: Float[Tensor, "batch 52"]
    found_style: Float[Tensor, "batch dim"]
    wanted_style: Float[Tensor, "batch dim"]
    mean_style: Float[Tensor, " dim"]


@dataclass(frozen=True)
class AnimatorOutput:
    """What one pass over clips gives.

    Attributes:
        prompt: p = A(x), the clips' own.
        animation: made with it.
        moved: under perturbed prompts, where there are some.
    """

    prompt: Float[Tensor, "batch 52"]
    animation: Float[Tensor, "batch frames 52"]
    moved: Moved | None = None


class SelfAttentionPool(nn.Module):
    """A, the face of a clip: a mean of its frames, by shares that a transformer gives.

    A reconstruction. As a mean of faces it is a face, which the frozen ExpCLIP can read
    and for which, in use, any other face may stand. At first all frames have one share.
    """

    def __init__(self, config: AnimatorConfig) -> None:
        super().__init__()
        width = config.pool_width
        self.into = nn.Linear(len(BLENDSHAPES), width)
        self.layers = nn.ModuleList(
            Layer(width, config.heads, 2 * width, config.dropout) for _ in range(config.pool_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(
        self, weights: Float[Tensor, "batch frames 52"], there: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch 52"]:
        """Return the face of each clip."""
        states = self.into(weights)
        for layer in self.layers:
            states = layer(states, there)
        scores = self.score(self.norm(states))[..., 0].masked_fill(~there, FAR)
        return torch.einsum("bt,btc->bc", scores.softmax(dim=1), weights)


class AnimatorNetwork(nn.Module):
    """From speech features and a style to the face.

    It holds the ExpCLIP that it was trained with, frozen, so that a checkpoint needs no
    other. Features, prompts and styles go in as they come; `set_scales` says from what
    they are measured.
    """

    feature_scale: Float[Tensor, "2 features"]
    style_scale: Float[Tensor, "2 dim"]
    resting: Float[Tensor, " 52"]

    def __init__(self, config: AnimatorConfig) -> None:
        super().__init__()
        self.config = config
        self.space = ExpClipNetwork(config.space).eval().requires_grad_(False)
        width, dim = config.width, config.space.dim
        self.pooling = SelfAttentionPool(config)
        self.into = nn.Linear(config.speech_features, width)
        self.layers = nn.ModuleList(
            Layer(
                *(width, config.heads, config.feedforward, config.dropout, config.radius),
                style=(dim, config.style_tokens),
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Sequential(
            nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, len(BLENDSHAPES))
        )
        self.register_buffer("feature_scale", _no_scale(config.speech_features))
        self.register_buffer("style_scale", _no_scale(dim))
        self.register_buffer("resting", torch.zeros(len(BLENDSHAPES)))

    def train(self, mode: bool = True) -> "AnimatorNetwork":
        """Turn dropout on or off; the frozen ExpCLIP never has any."""
        super().train(mode)
        self.space.eval()
        return self

    def set_scales(
        self,
        features: Float[Tensor, "heard features"],
        weights: Float[Tensor, "frames 52"],
        expressions: Float[Tensor, "faces 52"],
    ) -> None:
        """Take from the training data what goes in at rest, and how far it spreads.

        Args:
            features: of speech.
            weights: of the faces that go with it; their mean is the resting face, the
                prompt where nobody gives one.
            expressions: faces whose styles are typical.
        """
        with torch.no_grad():
            self.feature_scale.copy_(_scale_of(features))
            self.style_scale.copy_(_scale_of(self.style(expressions)))
            self.resting.copy_(weights.mean(0))

    def pool(
        self,
        weights: Float[Tensor, "batch frames 52"],
        mask: Bool[Tensor, "batch frames"] | None = None,
    ) -> Float[Tensor, "batch 52"]:
        """Return A(x), the expression prompts of clips.

        Args:
            weights: the clips.
            mask: true where there is a frame, false in padding; none is all.
        """
        found: Tensor = self.pooling(weights, _all_or(mask, weights))
        return found

    def style(self, prompt: Float[Tensor, "batch 52"]) -> Float[Tensor, "batch dim"]:
        """Return E_b(p), the styles of faces."""
        return self.space.encode_expression(prompt)

    def restyle(self, embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return the styles of the faces that embeddings of texts or images decode to.

        What equation (3) brings together are directions, and only roughly: lengths, and
        what all faces share, may differ. The way through the face has no such gap.
        """
        return self.style(self.space.decode(embeddings).clamp(0, 1))

    def centred(self, style: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Return styles measured from that of the mean face, in units of their spread."""
        return (style - self.style_scale[0]) / self.style_scale[1]

    def generate(
        self,
        speech: Float[Tensor, "batch frames features"],
        style: Float[Tensor, "batch dim"] | Float[Tensor, "batch frames dim"],
        mask: Bool[Tensor, "batch frames"] | None = None,
    ) -> Float[Tensor, "batch frames 52"]:
        """Return weights as they come, which may leave 0..1 a little.

        A frame's weights depend on the `config.reach` frames on either side, and on nothing
        else: with those given, they are the same in any window.

        Args:
            speech: features, `config.fps` frames a second.
            style: of each clip, or of each of its frames.
            mask: true where there is a frame, false in padding; none is all.
        """
        return self._speak(self._listen(speech), style, _all_or(mask, speech))

    def _listen(
        self, speech: Float[Tensor, "batch frames features"]
    ) -> Float[Tensor, "batch frames width"]:
        states: Tensor = self.into((speech - self.feature_scale[0]) / self.feature_scale[1])
        return states

    def _speak(
        self,
        states: Float[Tensor, "batch frames width"],
        style: Float[Tensor, "batch dim"] | Float[Tensor, "batch frames dim"],
        there: Bool[Tensor, "batch frames"],
    ) -> Float[Tensor, "batch frames 52"]:
        times = self.centred(style if style.ndim == 3 else style[:, None])
        for layer in self.layers:
            states = layer(states, there, times)
        weights: Tensor = self.out(self.norm(states))
        return weights

    def forward(
        self,
        weights: Float[Tensor, "batch frames 52"],
        speech: Float[Tensor, "batch frames features"],
        mask: Bool[Tensor, "batch frames"] | None = None,
        expressions: Float[Tensor, "batch 52"] | None = None,
        shares: Float[Tensor, " batch"] | None = None,
    ) -> AnimatorOutput:
        """Return the animations of clips, with their own prompts and with perturbed ones.

        Both are made in one pass. What is perturbed teaches the generator, and the pooling
        by what it sees there; p' itself passes no gradient on.

        Args:
            weights: the clips.
            speech: its features.
            mask: true where there is a frame, false in padding; none is all.
            expressions: to perturb each clip's prompt by; none perturbs nothing.
            shares: of each expression, 0..1.
        """
        prompt = self.pool(weights, mask)
        style = self.style(prompt)
        if expressions is None or shares is None:
            return AnimatorOutput(prompt, self.generate(speech, style, mask))
        with torch.no_grad():
            perturbed = perturb_prompt(prompt, expressions, shares, self.config.blend)
            wanted = self.style(perturbed)
        states, there = self._listen(speech), _all_or(mask, speech)
        twice = (torch.cat(pair) for pair in ((states, states), (style, wanted), (there, there)))
        animation, moved = self._speak(*twice).chunk(2)
        found = self.pool(moved, mask)
        styles = (self.style(found), wanted, self.style_scale[0])
        return AnimatorOutput(prompt, animation, Moved(perturbed, moved, found, *styles))


def perturb_prompt(
    prompt: Float[Tensor, "*batch 52"],
    expression: Float[Tensor, "*batch 52"],
    share: Float[Tensor, "*batch"],
    blend: Blend = "convex",
) -> Float[Tensor, "*batch 52"]:
    """Return p', equation (6): a prompt with a share of another expression.

    The paper says "blend ... using a random weight"; both readings of it are here.
    """
    part = share[..., None]
    if blend == "additive":
        return (prompt + part * expression).clamp(0, 1)
    return torch.lerp(prompt, expression, part)


def _all_or(
    mask: Bool[Tensor, "batch frames"] | None, clips: Float[Tensor, "batch frames columns"]
) -> Bool[Tensor, "batch frames"]:
    return (
        torch.ones(clips.shape[:2], dtype=torch.bool, device=clips.device) if mask is None else mask
    )


def _no_scale(columns: int) -> Float[Tensor, "2 columns"]:
    return torch.stack([torch.zeros(columns), torch.ones(columns)])


def _scale_of(rows: Float[Tensor, "rows columns"]) -> Float[Tensor, "2 columns"]:
    """Return the mean, and one spread for all columns."""
    mean = rows.mean(0)
    return torch.stack([mean, (rows - mean).square().mean().sqrt().clamp(min=1e-6).expand_as(mean)])
