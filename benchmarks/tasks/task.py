"""What all tasks have in common."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Shaped

from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked

__all__ = ["Task", "make_outcome"]


class Task(Protocol):
    """Something that is measured of a model."""

    @property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""

    def measure(self, model: Asked) -> Outcome:
        """Return what is found, query by query.

        Raises:
            Skip: the model, or the data, cannot do it.
            ModelError: the model's answers are not what they should be.
        """

    def perfect(self) -> object:
        """Return a model that knows the answers, to be measured like any other."""


def make_outcome(
    keys: Sequence[str],
    clusters: Sequence[str],
    weights: Sequence[float] | Shaped[np.ndarray, " queries"],
    values: Mapping[str, Shaped[np.ndarray, " queries"]],
    notes: Mapping[str, float | int | str],
) -> Outcome:
    """Return an outcome, its queries in the order of their keys."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Outcome(
        tuple(keys[place] for place in order),
        tuple(clusters[place] for place in order),
        np.asarray(weights, np.float64)[order],
        {name: np.asarray(found, np.float64)[order] for name, found in values.items()},
        dict(notes),
    )
