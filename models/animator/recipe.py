"""How the speaking face is trained, as data: its recipe, and presets."""

from dataclasses import dataclass, field

from expclip.models.animator.losses import AnimatorLossWeights
from expclip.models.animator.network import AnimatorConfig
from expclip.models.course import Course, Preset

__all__ = ["ANIMATOR_PRESETS", "AnimatorPreset", "AnimatorRecipe"]


@dataclass(frozen=True)
class AnimatorRecipe(Course):
    """One training of the generator. The defaults are the paper's, or off where it is silent."""

    frames: int = 64
    """Of a clip."""
    epa: bool = True
    """Expression prompt augmentation: prompts are perturbed by expressions of a TEAD."""
    losses: AnimatorLossWeights = field(default_factory=AnimatorLossWeights)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames < 2:
            raise ValueError(f"frames must be at least 2, got {self.frames}")


AnimatorPreset = Preset[AnimatorConfig, AnimatorRecipe]
"""Sizes of the network, and how it is trained."""

ANIMATOR_PRESETS: dict[str, AnimatorPreset] = {
    "paper": AnimatorPreset(AnimatorConfig(), AnimatorRecipe()),
    "small": AnimatorPreset(
        AnimatorConfig(
            speech_encoder="log-mel",
            speech_features=160,
            width=128,
            heads=4,
            feedforward=256,
            layers=3,
            dropout=0.0,
            radius=3,
            style_tokens=4,
            hidden=128,
            pool_width=32,
            pool_layers=1,
        ),
        AnimatorRecipe(
            steps=1500,
            batch=16,
            learning_rate=2e-3,
            schedule="cosine",
            warmup=100,
            weight_decay=0.01,
            clip=1.0,
            validate_every=250,
            losses=AnimatorLossWeights(style=0.0, centred=3.0),
        ),
    ),
}
"""By name: the paper's, and one that trains in minutes on two CPU cores."""
