"""What a task is, and what it finds for one model, query by query."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Outcome", "TaskInfo"]


@dataclass(frozen=True)
class TaskInfo:
    """What a task measures, and on what.

    Attributes:
        id: "tead/t2e-class".
        version: changes whenever a number's meaning changes.
        title: one line.
        main: the metric that ranks.
        higher_is_better: of the main metric.
        needs: alternatives: any one set of method names is enough.
        data_sha256: of the canonical bytes of all that is measured on.
        ranked: False for legacy protocols, which are printed only.
    """

    id: str
    version: int
    title: str
    main: str
    higher_is_better: bool
    needs: tuple[tuple[str, ...], ...]
    data_sha256: str
    ranked: bool = True


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a task found for one model, query by query.

    Attributes:
        keys: of the queries, distinct, sorted.
        clusters: source text, clip or actor of each query.
        weights: how many rows a query stands for, above 0.
        values: metric -> one finite number a query, float64.
        notes: chance, ceilings, leak counts: told, never ranked.

    Raises:
        ValueError: the keys are not distinct and sorted, or something is not one finite
            number a query.
    """

    keys: tuple[str, ...]
    clusters: tuple[str, ...]
    weights: Float[np.ndarray, " queries"]
    values: Mapping[str, Float[np.ndarray, " queries"]]
    notes: Mapping[str, float | int | str]

    def __post_init__(self) -> None:
        if any(one >= other for one, other in zip(self.keys, self.keys[1:], strict=False)):
            raise ValueError("keys are not distinct and sorted")
        if len(self.clusters) != len(self.keys):
            raise ValueError(f"{len(self.clusters)} clusters for {len(self.keys)} queries")
        for name, array in (("weights", self.weights), *self.values.items()):
            if array.dtype != np.float64 or array.shape != (len(self.keys),):
                raise ValueError(
                    f"{name} are {array.dtype} {array.shape}, expected float64 ({len(self.keys)},)"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{name} hold something else than finite numbers")
        if not (self.weights > 0).all():
            raise ValueError("weights must be above 0")
