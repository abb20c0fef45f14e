"""What tests of training share: a small TEAD, a tiny CLIP, networks small as can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny_models import make_clip

from expclip.models import PRESETS, FeatureCache, Preset, train_expclip
from expclip.tead import BuildPlan, CorpusOptions, build

torch.set_num_threads(1)  # networks this small only wait for one another

TINY = (
    *("dim=16", "width=16", "layers=1", "heads=2", "feedforward=32", "projector_width=32"),
    "dropout=0.1",  # so that a resumed run must get its chances right, too
)


def tiny_preset(clip: Path, *settings: str) -> Preset:
    """Return `small` with networks as small as can be, and this encoder."""
    sizes = [f"model.{size}" for size in TINY]
    few = ["batch=32", "steps=60", "validate_every=20", "warmup=5", "learning_rate=0.01"]
    return PRESETS["small"].with_settings([f"model.text_encoder={clip}", *sizes, *few, *settings])


def train(out: Path, assets: Assets, *settings: str, **options: Any) -> dict[str, Any]:
    preset = tiny_preset(assets.clip, *settings)
    return train_expclip(out, assets.tead, preset, cache=assets.cache, **options)


class Assets:
    """What tests of training need; not to be changed."""

    def __init__(self, root: Path) -> None:
        self.tead, self.clip, self.cache_folder = root / "tead", root / "clip", root / "cache"
        self.cache = FeatureCache(self.cache_folder)
        build(self.tead, BuildPlan(("core", "grammar"), CorpusOptions(limit=250)))
        make_clip(self.clip)
