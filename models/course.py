"""How any network is trained, as data: its course, presets, settings by name."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from types import NoneType
from typing import Any, Generic, Literal, TypeVar, get_args, get_type_hints

__all__ = ["Course", "Preset", "change_settings", "check_not_negative"]

Schedule = Literal["constant", "cosine"]
"""Of the learning rate after the warm-up: it stays, or falls to 0 along a cosine."""

Record = TypeVar("Record")
Model = TypeVar("Model")
Plan = TypeVar("Plan", bound="Course")


def check_not_negative(record: object, *names: str) -> None:
    """Raise a ValueError where a field is below 0, or not finite."""
    for name in names:
        value = getattr(record, name)
        if not (0 <= value and math.isfinite(value)):
            raise ValueError(f"{name} must be 0 or more, got {value}")


@dataclass(frozen=True)
class Course:
    """How long, and how fast, a network learns: what all recipes have."""

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
    validate_every: int = 500
    """Steps; so often the run is also written to disk, to be taken up after a kill."""
    patience: int = 10
    """Validations without a better one before the run ends; 0 never ends it."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_not_negative(
            self, "warmup", "patience", "seed", "learning_rate", "weight_decay", "clip"
        )
        if self.schedule not in get_args(Schedule):
            known = ", ".join(get_args(Schedule))
            raise ValueError(f"schedule must be one of {known}, got {self.schedule!r}")

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2


@dataclass(frozen=True)
class Preset(Generic[Model, Plan]):
    """Sizes of the networks, and how they are trained."""

    model: Model
    recipe: Plan

    def with_settings(self, settings: Iterable[str]) -> "Preset[Model, Plan]":
        """Return the preset with some fields changed.

        Args:
            settings: each NAME=VALUE; NAME is a field of the recipe, or ``losses.`` and a
                field of the losses, or ``model.`` and a field of the model.

        Raises:
            ValueError: there is no such field, or it cannot take the value.
        """
        return Preset(*change_settings(self.model, self.recipe, settings))


def change_settings(model: Model, recipe: Plan, settings: Iterable[str]) -> tuple[Model, Plan]:
    """Return a model's config and a recipe with some fields changed (see `Preset`).

    A recipe may hold ``losses``, a dataclass of its own.

    Raises:
        ValueError: there is no such field, or it cannot take the value.
    """
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"setting {setting!r}, expected NAME=VALUE")
        head, _, rest = name.strip().rpartition(".")
        if head == "model":
            model = _changed(model, rest, value)
        elif head == "losses":
            made: Any = recipe
            recipe = replace(made, losses=_changed(made.losses, rest, value))
        elif not head and rest != "losses":
            recipe = _changed(recipe, rest, value)
        else:
            raise ValueError(f"setting {name!r}: no such field")
    return model, recipe


def _changed(record: Record, name: str, value: str) -> Record:
    """Return a dataclass with one field changed; one that is a dataclass itself cannot be."""
    made: Any = record
    kinds = get_type_hints(type(made))
    simple = [f.name for f in fields(made) if not is_dataclass(kinds[f.name])]
    if name not in simple:
        known = ", ".join(simple)
        raise ValueError(f"setting {name!r}: no such field, expected one of {known}")
    try:
        parsed = _parse(value.strip(), kinds[name])
    except ValueError:
        raise ValueError(f"setting {name}: {value!r} is not of its kind") from None
    changed: Record = replace(made, **{name: parsed})
    return changed


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
