"""Augmentation of faces: what keeps the auto-encoder from learning TEAD's faces by heart.

TEAD's faces are sums of a few action units, so they fill a small part of the 52-cube.
The paper perturbs them a little and gains by a factor of four (Table 1); its scale is not
printed. `FaceAugmentation` names that perturbation, and what of ours goes beyond it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["AUGMENTATIONS", "FaceAugmentation", "augment_faces"]


@dataclass(frozen=True)
class FaceAugmentation:
    """How faces are varied before they are encoded and reconstructed.

    Attributes:
        perturbation: largest change of a weight, uniform.
        symmetric: change by -p to p; else only upwards, 0 to p (a reconstruction).
        blend: share of the faces that take some channels, by a random weight, from another
            face (ours).
        scatter: share of the faces that get some channels at random values (ours).
        paired: a text goes with its face as varied, in its place; else with the face as it
            is, and varied faces are reconstructed beside it.
    """

    perturbation: float = 0.15
    symmetric: bool = False
    blend: float = 0.0
    scatter: float = 0.0
    paired: bool = True

    def __post_init__(self) -> None:
        for name in ("perturbation", "blend", "scatter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")

    @property
    def varies(self) -> bool:
        """Whether any face is changed."""
        return bool(self.perturbation or self.blend or self.scatter)


AUGMENTATIONS: dict[str, FaceAugmentation] = {
    "none": FaceAugmentation(perturbation=0.0),
    "paper": FaceAugmentation(),
    "wide": FaceAugmentation(
        perturbation=0.1, symmetric=True, blend=0.5, scatter=0.5, paired=False
    ),
}
"""By name: none, the paper's perturbation, and ours."""

_MOST_SCATTERED = 0.3
"""Share of the channels of a scattered face; uniform up to this."""


def augment_faces(
    weights: Float[Tensor, "batch 52"], options: FaceAugmentation, generator: torch.Generator
) -> Float[Tensor, "batch 52"]:
    """Return varied faces, within 0..1.

    The generator is one of the processor's: the same on all devices.
    """
    rows, channels = weights.shape
    faces = weights

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(weights)

    if options.blend:
        others = weights[torch.randperm(rows, generator=generator).to(weights.device)]
        taken = uniform(rows, channels) < uniform(rows, 1)
        share = uniform(rows, 1) * taken * (uniform(rows, 1) < options.blend)
        faces = torch.lerp(faces, others, share)
    if options.scatter:
        there = uniform(rows, channels) < _MOST_SCATTERED * uniform(rows, 1)
        there &= uniform(rows, 1) < options.scatter
        faces = torch.where(there, uniform(rows, channels), faces)
    if options.perturbation:
        noise = uniform(rows, channels)
        faces = faces + options.perturbation * (2 * noise - 1 if options.symmetric else noise)
    return faces.clamp(0, 1)
