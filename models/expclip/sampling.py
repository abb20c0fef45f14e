"""Batches of a training run: each a function of seed and step alone, so that a run resumes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from expclip.models.expclip.augmentation import AUGMENTATIONS, augment_faces
from expclip.models.expclip.data import Pairs
from expclip.models.expclip.recipe import Recipe

__all__ = ["Batch", "Sampler"]

_WHOLE = 2**32
"""The step whose chances choose the prompts for validation: no run has so many."""

_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Batch:
    """Pairs as the network takes them.

    Attributes:
        faces: what the features go with.
        features: of the frozen encoder.
        keys: equal for faces that count as one.
        varied: faces to reconstruct beside ``faces``.
        anchors: which each row belongs to, -1 for none.
        torch_seed: of what is random within the network.
    """

    faces: Float[Tensor, "batch 52"]
    features: Float[Tensor, "batch features"]
    keys: Int[Tensor, " batch"]
    varied: Float[Tensor, "batch 52"] | None = None
    anchors: Int[Tensor, " batch"] | None = None
    torch_seed: int = 0

    def __len__(self) -> int:
        return len(self.faces)


class Sampler:
    """Draws batches from pairs, with replacement.

    Args:
        pairs: to draw from.
        features: the table that their prompts point to.
        recipe: how.
        chances: of each kind of prompt.
        device: where the batches shall be; the pairs are moved there once.
    """

    def __init__(
        self,
        pairs: Pairs,
        features: Tensor,
        recipe: Recipe,
        chances: Mapping[str, float],
        device: torch.device,
    ) -> None:
        self._pairs, self._recipe, self._chances = pairs, recipe, chances
        self._device = device
        self._features = features
        self._faces = torch.from_numpy(pairs.faces).to(device)
        self._keys = torch.from_numpy(pairs.keys).to(device)
        self._pools = [np.flatnonzero(pairs.natural), np.flatnonzero(~pairs.natural)]

    def draw(self, step: int, process: int = 0, processes: int = 1) -> Batch:
        """Return the batch of a step; several processes share it."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, step, process))
        count = max(recipe.batch // processes, 1)
        rows = self._draw_rows(rng, count)
        items = self._draw_items(rng, rows)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        faces, varied = self._faces[rows], None
        options = AUGMENTATIONS[recipe.faces]
        if options.varies:
            changed = augment_faces(faces, options, generator)
            faces, varied = (changed, None) if options.paired else (faces, changed)
        seed = int(rng.integers(2**62))
        return Batch(
            faces, self._features[items], self._keys[rows], varied, self._anchors_of(rows), seed
        )

    def whole(self) -> Iterator[Batch]:
        """Yield all rows once, unvaried, each with a prompt that is always the same."""
        rng = np.random.default_rng((self._recipe.seed, _WHOLE))
        items = self._draw_items(rng, np.arange(len(self._pairs)))
        for start in range(0, len(items), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield Batch(
                self._faces[part],
                self._features[items[part]],
                self._keys[part],
                anchors=self._anchors_of(part),
            )

    def _anchors_of(self, rows: Int[np.ndarray, " batch"] | slice) -> Tensor | None:
        anchors = self._pairs.anchors
        return None if anchors is None else torch.from_numpy(anchors[rows]).to(self._device)

    def _draw_rows(self, rng: np.random.Generator, count: int) -> Int[np.ndarray, " batch"]:
        natural, made = self._pools
        if self._recipe.natural is None or not len(natural) or not len(made):
            return rng.integers(len(self._pairs), size=count)
        is_natural = rng.random(count) < self._recipe.natural
        either = natural[rng.integers(len(natural), size=count)]
        return np.where(is_natural, either, made[rng.integers(len(made), size=count)])

    def _draw_items(
        self, rng: np.random.Generator, rows: Int[np.ndarray, " drawn"]
    ) -> Int[np.ndarray, " drawn"]:
        kinds = rng.choice(len(self._chances), size=len(rows), p=list(self._chances.values()))
        which = rng.random(len(rows))
        items = np.zeros(len(rows), np.int64)
        for kind, name in enumerate(self._chances):
            here = kinds == kind
            items[here] = self._pairs.prompts[name].draw(rows[here], which[here])
        return items
