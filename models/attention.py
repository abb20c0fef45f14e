"""Transformer layers over frames: attention to those near, and to a style."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

__all__ = ["FAR", "Layer", "LocalAttention", "StyleAttention"]

FAR = -1e9
"""Score of what is not attended to: its share is exactly 0, and none alone gives no NaN."""


class LocalAttention(nn.Module):
    """Self-attention over the frames near one; where a frame lies in a clip is not known.

    Args:
        width: of the states.
        heads: a divisor of it.
        radius: frames on each side that are attended to, each with a learnt bias by its
            distance; None attends to all alike.
    """

    def __init__(self, width: int, heads: int, radius: int | None) -> None:
        super().__init__()
        self.heads, self.radius = heads, radius
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.near = nn.Parameter(torch.zeros(heads, 2 * radius + 1)) if radius else None

    def forward(
        self, states: Float[Tensor, "batch frames width"], there: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return new states; frames that are not there are not attended to."""
        batch, frames, width = states.shape
        shape = (batch, frames, 3, self.heads, width // self.heads)
        ask, keys, values = self.into(states).view(shape).permute(2, 0, 3, 1, 4)
        bias = torch.where(there, 0.0, FAR)[:, None, None, :].to(states.dtype)
        if self.near is not None:
            bias = bias + self._nearness(frames)
        found = _attend(ask, keys, values, bias)
        mixed: Tensor = self.out(found.transpose(1, 2).reshape(batch, frames, width))
        return mixed

    def _nearness(self, frames: int) -> Float[Tensor, "heads frames frames"]:
        assert self.near is not None and self.radius is not None
        places = torch.arange(frames, device=self.near.device)
        distance = places[None, :] - places[:, None]
        within = distance.abs() <= self.radius
        learnt = self.near[:, distance.clamp(-self.radius, self.radius) + self.radius]
        return torch.where(within, learnt, FAR)


class StyleAttention(nn.Module):
    """Cross-attention of each frame to the tokens of the style in force at its time."""

    def __init__(self, width: int, heads: int, dim: int, tokens: int) -> None:
        super().__init__()
        self.shape = (tokens, heads, width // heads)
        self.ask = nn.Linear(width, width)
        self.keys = nn.Linear(dim, tokens * width)
        self.values = nn.Linear(dim, tokens * width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        states: Float[Tensor, "batch frames width"],
        style: Float[Tensor, "batch times dim"],
    ) -> Float[Tensor, "batch frames width"]:
        """Return new states; the style is one for all frames, or one for each."""
        batch, frames, width = states.shape
        tokens, heads, part = self.shape
        groups = batch * style.shape[1]  # of frames under one style
        ask = self.ask(states).view(groups, -1, heads, part).transpose(1, 2)
        keys = self.keys(style).view(groups, tokens, heads, part).transpose(1, 2)
        values = self.values(style).view(groups, tokens, heads, part).transpose(1, 2)
        found = _attend(ask, keys, values)
        mixed: Tensor = self.out(found.transpose(1, 2).reshape(batch, frames, width))
        return mixed


class Layer(nn.Module):
    """A transformer layer, normalised before each part; of a decoder where it has a style."""

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        dropout: float,
        radius: int | None = None,
        style: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.frames = LocalAttention(width, heads, radius)
        self.style = StyleAttention(width, heads, *style) if style else None
        self.feed = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Linear(feedforward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if style else 2))
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        states: Float[Tensor, "batch frames width"],
        there: Bool[Tensor, "batch frames"],
        style: Float[Tensor, "batch times dim"] | None = None,
    ) -> Float[Tensor, "batch frames width"]:
        """Return the states after the layer."""
        states = states + self.drop(self.frames(self.norms[0](states), there))
        if self.style is not None and style is not None:
            states = states + self.drop(self.style(self.norms[1](states), style))
        after: Tensor = states + self.drop(self.feed(self.norms[-1](states)))
        return after


def _attend(
    ask: Float[Tensor, "batch heads asking part"],
    keys: Float[Tensor, "batch heads asked part"],
    values: Float[Tensor, "batch heads asked part"],
    bias: Float[Tensor, "#batch #heads #asking asked"] | float = 0.0,
) -> Float[Tensor, "batch heads asking part"]:
    """Return the mean of values, by softmax of scores.

    Written out: with a bias that learns, torch's own function takes longer on a processor.
    """
    scores = (ask * ask.shape[-1] ** -0.5) @ keys.transpose(-1, -2) + bias
    mixed: Tensor = scores.softmax(-1) @ values
    return mixed
