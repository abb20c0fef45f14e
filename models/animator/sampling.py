"""Batches of speech with faces: each a function of seed and step alone, so that a run resumes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from expclip.models.animator.recipe import AnimatorRecipe
from expclip.models.speech import SpeechPairs

__all__ = ["AnimatorBatch", "AnimatorSampler", "Windows"]

_WHOLE = 2**32
"""The step whose chances choose expressions for validation: no run has so many."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Places in recordings: which, and from which frame on; a frame is a row of their table.

    Attributes:
        clips: which recording each is from.
        starts: first frame of each.
        stops: end of the recording of each.
    """

    clips: Int[np.ndarray, " windows"]
    starts: Int[np.ndarray, " windows"]
    stops: Int[np.ndarray, " windows"]

    def __len__(self) -> int:
        return len(self.clips)

    @classmethod
    def end_to_end(cls, offsets: Int[np.ndarray, " ends"], frames: int) -> "Windows":
        """Return the windows that cover all recordings once; the last of each may be short."""
        lengths = np.diff(offsets)
        counts = np.maximum(-(-lengths // frames), 1)
        clips = np.repeat(np.arange(len(lengths)), counts)
        within = np.arange(len(clips)) - np.repeat(np.cumsum(counts) - counts, counts)
        return cls(clips, offsets[clips] + frames * within, offsets[clips + 1])

    def of(self, part: slice | Int[np.ndarray, " some"]) -> "Windows":
        """Return some of the windows."""
        return Windows(self.clips[part], self.starts[part], self.stops[part])

    def rows(
        self, frames: int
    ) -> tuple[Int[np.ndarray, "windows frames"], Bool[np.ndarray, "windows frames"]]:
        """Return the rows of the frames, and where there is a frame; padding repeats the last."""
        rows = self.starts[:, None] + np.arange(frames)
        stops = self.stops[:, None]
        return np.minimum(rows, stops - 1), rows < stops


@dataclass(frozen=True, eq=False)
class AnimatorBatch:
    """Clips as the network takes them.

    Attributes:
        weights: faces.
        speech: features.
        mask: true where there is a frame; None where there is no padding.
        expressions: that perturb the prompts, where they are to be.
        shares: of these.
        torch_seed: of what is random within the network.
    """

    weights: Float[Tensor, "batch frames 52"]
    speech: Float[Tensor, "batch frames features"]
    mask: Bool[Tensor, "batch frames"] | None
    expressions: Float[Tensor, "batch 52"] | None = None
    shares: Float[Tensor, " batch"] | None = None
    torch_seed: int = 0

    def __len__(self) -> int:
        return len(self.weights)


class AnimatorSampler:
    """Cuts clips of one length out of recordings; what is shorter is padded.

    Args:
        clips: recordings.
        expressions: that prompts are perturbed by; none, or a recipe without, perturbs nothing.
        recipe: how.
        device: where the batches shall be; the recordings are moved there once.
    """

    def __init__(
        self,
        clips: SpeechPairs,
        expressions: Float[np.ndarray, "faces 52"],
        recipe: AnimatorRecipe,
        device: torch.device,
    ) -> None:
        self._recipe, self._device = recipe, device
        self._features = torch.from_numpy(clips.features).to(device)
        self._weights = torch.from_numpy(clips.weights).to(device)
        self._expressions = torch.from_numpy(expressions).to(device)
        self._offsets = np.asarray(clips.offsets, np.int64)
        self._places = np.cumsum(np.maximum(np.diff(self._offsets) - recipe.frames, 0) + 1)

    def draw(self, step: int, process: int = 0, processes: int = 1) -> AnimatorBatch:
        """Return the batch of a step: any place of any recording is as likely.

        Several processes share it.
        """
        rng = np.random.default_rng((self._recipe.seed, step, process))
        count = max(self._recipe.batch // processes, 1)
        places = rng.integers(self._places[-1], size=count)
        clips = np.searchsorted(self._places, places, side="right")
        first = np.concatenate([[0], self._places])[clips]
        starts = self._offsets[clips] + places - first
        return self._cut(Windows(clips, starts, self._offsets[clips + 1]), rng)

    def whole(self) -> Iterator[AnimatorBatch]:
        """Yield all recordings once, cut end to end, always with the same expressions."""
        windows = Windows.end_to_end(self._offsets, self._recipe.frames)
        rng = np.random.default_rng((self._recipe.seed, _WHOLE))
        for first in range(0, len(windows), self._recipe.batch):
            yield self._cut(windows.of(slice(first, first + self._recipe.batch)), rng)

    def _cut(self, windows: Windows, rng: np.random.Generator) -> AnimatorBatch:
        frames, there = windows.rows(self._recipe.frames)
        rows = torch.from_numpy(frames).to(self._device)
        mask = None if there.all() else torch.from_numpy(there).to(self._device)
        expressions = shares = None
        if self._recipe.epa and len(self._expressions):
            drawn = rng.integers(len(self._expressions), size=len(windows))
            expressions = self._expressions[torch.from_numpy(drawn).to(self._device)]
            shares = torch.from_numpy(rng.random(len(windows), np.float32)).to(self._device)
        seed = int(rng.integers(2**62))
        cut = (self._weights[rows], self._features[rows].float(), mask)
        return AnimatorBatch(*cut, expressions, shares, seed)
