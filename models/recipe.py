"""How ExpCLIP is trained, as data: the recipe, its presets, and settings by name."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from expclip.face.errors import DataError
from expclip.models.augmentation import AUGMENTATIONS
from expclip.models.expclip import ExpClipConfig, LossWeights

__all__ = ["PRESETS", "Preset", "Recipe", "recipe_from"]

Schedule = Literal["constant", "cosine"]
"""Of the learning rate after the warm-up: it stays, or falls to 0 along a cosine."""

ValidateOn = Literal["all", "natural"]

Record = TypeVar("Record", ExpClipConfig, LossWeights, "Recipe")


@dataclass(frozen=True)
class Recipe:
    """One training run. The defaults are the paper's, or off where it says nothing."""

    steps: int = 20_000
    """At most; the paper does not say how many."""
    batch: int = 256
    learning_rate: float = 1e-5
    schedule: Schedule = "constant"
    warmup: int = 0
    """Steps in which the learning rate rises to its value."""
    weight_decay: float = 0.0
    clip: float = 0.0
    """Longest gradient, as a norm over all weights; 0 is no limit."""
    losses: LossWeights = field(default_factory=LossWeights)
    faces: str = "paper"
    """Name of a face augmentation."""
    text: float = 1.0
    """How often a row's text is its prompt, relative to the next two."""
    tags: float = 1.0
    situation: float = 1.0
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
    validate_every: int = 500
    """Steps; so often the run is also written to disk, to be taken up after a kill."""
    patience: int = 10
    """Validations without a better one before the run ends; 0 never ends it."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        rates = ("learning_rate", "weight_decay", "clip", "text", "tags", "situation")
        for name in ("warmup", "patience", "seed", "anchors", *rates):
            value = getattr(self, name)
            if not (0 <= value and math.isfinite(value)):
                raise ValueError(f"{name} must be 0 or more, got {value}")
        if not self.text + self.tags + self.situation:
            raise ValueError("one of text, tags and situation must be above 0")
        if self.natural is not None and not 0 <= self.natural <= 1:
            raise ValueError(f"natural must lie in 0..1, got {self.natural}")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must lie between 0 and 1, got {self.validation}")
        for name, known in (
            ("faces", tuple(AUGMENTATIONS)),
            ("schedule", get_args(Schedule)),
            ("validate_on", get_args(ValidateOn)),
        ):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {found!r}")

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    @property
    def chances(self) -> dict[str, float]:
        """Chance of each kind of prompt."""
        total = self.text + self.tags + self.situation
        return {name: getattr(self, name) / total for name in ("text", "tags", "situation")}


@dataclass(frozen=True)
class Preset:
    """Sizes of the networks, and how they are trained."""

    model: ExpClipConfig
    recipe: Recipe

    def with_settings(self, settings: Iterable[str]) -> "Preset":
        """Return the preset with some fields changed.

        Args:
            settings: each NAME=VALUE; NAME is a field of the recipe, or ``losses.`` and a
                field of the losses, or ``model.`` and a field of the model.

        Raises:
            ValueError: there is no such field, or it cannot take the value.
        """
        model, recipe = self.model, self.recipe
        for setting in settings:
            name, equals, value = setting.partition("=")
            if not equals:
                raise ValueError(f"setting {setting!r}, expected NAME=VALUE")
            head, _, rest = name.strip().rpartition(".")
            if head == "model":
                model = _changed(model, rest, value)
            elif head == "losses":
                recipe = replace(recipe, losses=_changed(recipe.losses, rest, value))
            elif not head and rest != "losses":
                recipe = _changed(recipe, rest, value)
            else:
                raise ValueError(f"setting {name!r}: no such field")
        return Preset(model, recipe)


PRESETS: dict[str, Preset] = {
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
            text_encoder="minilm",
            text_features=384,
            image_encoder=None,
            sharpness=100.0,
        ),
        Recipe(
            steps=5000,
            learning_rate=1e-3,
            schedule="cosine",
            warmup=200,
            weight_decay=0.01,
            clip=1.0,
            faces="wide",
            natural=0.5,
            anchors=15,
            losses=LossWeights(anchor=1.0),
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


def _changed(record: Record, name: str, value: str) -> Record:
    """Return a record with one field changed."""
    kinds = get_type_hints(type(record))
    if name not in {field.name for field in fields(record)}:
        known = ", ".join(asdict(record))
        raise ValueError(f"setting {name!r}: no such field, expected one of {known}")
    try:
        parsed = _parse(value.strip(), kinds[name])
    except ValueError:
        raise ValueError(f"setting {name}: {value!r} is not of its kind") from None
    return replace(record, **{name: parsed})


def _parse(text: str, kind: Any) -> Any:
    """Return the value that a text means, for a field of this type."""
    options = get_args(kind)
    if NoneType in options:
        if text.lower() == "none":
            return None
        kind = next(option for option in options if option is not NoneType)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError
        return text.lower() == "true"
    return kind(text) if kind in (int, float) else text
