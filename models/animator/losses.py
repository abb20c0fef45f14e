"""The losses of the speaking face: equations (5), (7), (8) of the paper, and two of ours."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from expclip.face import BLENDSHAPES
from expclip.models.animator.network import AnimatorOutput

__all__ = [
    "LIPS",
    "LOSSES",
    "AnimatorLossWeights",
    "AnimatorLosses",
    "animator_loss_parts",
    "animator_losses",
]

LIPS = [index for index, name in enumerate(BLENDSHAPES) if name.startswith(("jaw", "mouth"))]
"""The channels that speech moves: 4 of the jaw, 23 of the mouth."""


@dataclass(frozen=True)
class AnimatorLossWeights:
    """Weights of the losses (5), (7) and (8), and of two terms of ours, off in the paper.

    The paper's values are lost in the available text; these are a reconstruction.
    """

    animation: float = 1.0
    lip: float = 1.0
    style: float = 1.0
    centred: float = 0.0
    """Ours: equation (8) with angles measured from the style of the mean face."""
    prompt: float = 0.0
    """Ours: the pooled animation shall be the prompt, weight by weight."""

    def __post_init__(self) -> None:
        for name in LOSSES:
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


LOSSES = ("animation", "lip", "style", "centred", "prompt")
"""The terms, in the order of `AnimatorLosses`."""


@dataclass(frozen=True)
class AnimatorLosses:
    """The terms, unweighted, and their weighted sum."""

    animation: Float[Tensor, ""]
    lip: Float[Tensor, ""]
    style: Float[Tensor, ""]
    centred: Float[Tensor, ""]
    prompt: Float[Tensor, ""]
    total: Float[Tensor, ""]


def animator_loss_parts(losses: AnimatorLosses) -> dict[str, Tensor]:
    """Return the terms and their sum by name."""
    return {name: getattr(losses, name) for name in (*LOSSES, "total")}


def animator_losses(
    output: AnimatorOutput,
    weights: Float[Tensor, "batch frames 52"],
    scale: AnimatorLossWeights,
    mask: Bool[Tensor, "batch frames"] | None = None,
) -> AnimatorLosses:
    """Return the losses of the generator; all but the first are 0 where nothing was perturbed.

    - animation, equation (5): L1 distance of x and the animation with the clip's own prompt.
    - lip, equation (7): L1 distance of the displacements between neighbouring frames of x and
      of the animation with p', over jaw and mouth. Which of x and the unperturbed animation
      is meant, and which norm, the available text does not say: a reconstruction.
    - style, equation (8): 1 - cos(E_b(A(x')), E_b(p')), x' the animation with p'.
    - centred (ours): the same, of embeddings less that of the mean face. Embeddings of faces
      share most of their direction, so that (8) alone hardly tells a weak face from a strong.
    - prompt (ours): L1 distance of A(x') and p'.

    Distances are sums over channels, means over all frames of the batch that are there
    (lip: pairs of such), means over clips for the prompts.
    """
    parts = {name: weights.new_zeros(()) for name in LOSSES}
    there = torch.ones_like(weights[..., 0], dtype=torch.bool) if mask is None else mask
    parts["animation"] = _mean_where((output.animation - weights).abs().sum(2), there)
    if output.moved:
        moved = output.moved
        steps = (moved.animation - weights)[..., LIPS].diff(dim=1).abs().sum(2)
        parts["lip"] = _mean_where(steps, there[:, 1:] & there[:, :-1])
        parts["style"] = _turn(moved.found_style, moved.wanted_style)
        parts["centred"] = _turn(
            moved.found_style - moved.mean_style, moved.wanted_style - moved.mean_style
        )
        parts["prompt"] = (moved.found - moved.prompt).abs().sum(1).mean()
    total = torch.stack([getattr(scale, name) * parts[name] for name in LOSSES]).sum()
    return AnimatorLosses(**parts, total=total)


def _turn(
    found: Float[Tensor, "batch dim"], wanted: Float[Tensor, "batch dim"]
) -> Float[Tensor, ""]:
    return (1 - functional.cosine_similarity(found, wanted)).mean()


def _mean_where(
    values: Float[Tensor, "batch frames"], there: Bool[Tensor, "batch frames"]
) -> Float[Tensor, ""]:
    return (values * there).sum() / there.sum().clamp(min=1)
