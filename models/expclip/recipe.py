"""How ExpCLIP is trained, as data: its recipe, and presets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from expclip.face.errors import DataError
from expclip.models.course import Course, Preset, check_not_negative
from expclip.models.expclip.augmentation import AUGMENTATIONS
from expclip.models.expclip.network import ExpClipConfig, LossWeights

__all__ = ["PRESETS", "Recipe", "recipe_from"]

ValidateOn = Literal["all", "natural"]

_PROMPTS = ("text", "tags", "situation", "units")
"""Kinds of prompt."""


@dataclass(frozen=True)
class Recipe(Course):
    """One training of ExpCLIP. The defaults are the paper's, or off where it says nothing."""

    losses: LossWeights = field(default_factory=LossWeights)
    faces: str = "paper"
    """Name of a face augmentation."""
    text: float = 1.0
    """How often a row's text is its prompt, relative to the next two."""
    tags: float = 1.0
    situation: float = 1.0
    units: float = 0.0
    """The same for an account of the action units, as the paper's demonstrations prompt."""
    natural: float | None = None
    """Share of a batch from rows whose text no grammar made; None: as they come."""
    anchors: int = 0
    """Natural rows of a first tag from which on it has an anchor; 0: the model has none."""
    augmented: bool = True
    """Augmented texts are taken beside the originals, where the data set has some."""
    validation: float = 0.05
    """Share of the training texts, by hash, that are held out for early stopping."""
    validate_on: ValidateOn = "all"
    """Of those, all rows, or the natural ones (all, where there are none)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, *_PROMPTS, "anchors")
        if not any(getattr(self, name) for name in _PROMPTS):
            raise ValueError(f"one of {', '.join(_PROMPTS)} must be above 0")
        if self.natural is not None and not 0 <= self.natural <= 1:
            raise ValueError(f"natural must lie in 0..1, got {self.natural}")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must lie between 0 and 1, got {self.validation}")
        for name, known in (
            ("faces", tuple(AUGMENTATIONS)),
            ("validate_on", get_args(ValidateOn)),
        ):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {found!r}")

    @property
    def chances(self) -> dict[str, float]:
        """Chance of each kind of prompt that has one."""
        shares = {name: getattr(self, name) for name in _PROMPTS if getattr(self, name)}
        return {name: share / sum(shares.values()) for name, share in shares.items()}


PRESETS: dict[str, Preset[ExpClipConfig, Recipe]] = {
    "paper": Preset(ExpClipConfig(), Recipe()),
    "small": Preset(
        ExpClipConfig(
            dim=128,
            width=256,
            layers=2,
            heads=4,
            feedforward=512,
            dropout=0.0,
            tokens="vector",
            projector_width=512,
            projector_dropout=0.3,
            text_encoder="minilm",
            text_features=384,
            image_encoder=None,
            sharpness=30.0,
        ),
        Recipe(
            steps=600,
            learning_rate=1e-3,
            schedule="cosine",
            warmup=100,
            weight_decay=0.01,
            clip=1.0,
            validate_every=100,
            losses=LossWeights(
                reconstruction=2.0,
                embedding=1.0,
                cross=1.0,
                contrastive=1.0,
                anchor=3.0,
                prior=0.5,
            ),
            faces="wide",
            text=4.0,
            units=0.5,
            natural=0.5,
            anchors=15,
            validate_on="natural",
        ),
    ),
}
"""By name: the paper's, and one that trains in minutes on two CPU cores."""


def recipe_from(values: Mapping[str, Any], place: str) -> Recipe:
    """Return the recipe that a checkpoint's record holds.

    Raises:
        DataError: it is none.
    """
    try:
        losses = LossWeights(**values["losses"])
        return Recipe(**{**values, "losses": losses})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place}: not a recipe: {error}") from None
