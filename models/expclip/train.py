"""Training ExpCLIP: load, loop, log, save.

Every random choice is a function of seed and step, so that a run that was killed and goes
on gives the same weights, bit for bit, as one that was not (on the same machine).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from expclip.models.checkpoint import build_network, read_checkpoint
from expclip.models.course import Preset
from expclip.models.encoders import image_encoder, text_encoder
from expclip.models.expclip.anchors import NO_ANCHORS, find_anchors
from expclip.models.expclip.card import build_card
from expclip.models.expclip.data import Pairs, read_tead, split_texts
from expclip.models.expclip.images import read_mead3d
from expclip.models.expclip.measure import measure_pairs
from expclip.models.expclip.network import (
    CLIP,
    LOSSES,
    ExpClipConfig,
    ExpClipNetwork,
    expclip_losses,
    loss_parts,
)
from expclip.models.expclip.recipe import Recipe
from expclip.models.expclip.sampling import Batch, Sampler
from expclip.models.features import FeatureCache, Progress
from expclip.models.loop import end_run, learn
from expclip.models.state import RunFolder, RunState, make_accelerator

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["train_expclip", "train_images"]


KIND = "ExpCLIP"
"""What a checkpoint's config calls the model."""


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What ExpCLIP learns from.

    Attributes:
        train, held: pairs to learn from, and to validate on.
        features: the table that their prompts point to.
        recipe: which prompts, which losses.
        image: the image projector learns, and nothing else.
    """

    train: Pairs
    held: Pairs
    features: Float[np.ndarray, "items features"]
    recipe: Recipe
    image: bool = False

    terms = (*LOSSES, "total")

    def samplers(self, device: torch.device) -> tuple[Sampler, Sampler]:
        features = torch.from_numpy(self.features).to(device)
        chances = {"image": 1.0} if self.image else self.recipe.chances
        made = (features, self.recipe, chances, device)
        return Sampler(self.train, *made), Sampler(self._validated, *made)

    @property
    def _validated(self) -> Pairs:
        """The held-out pairs that decide."""
        natural = np.flatnonzero(self.held.natural)
        only = self.recipe.validate_on == "natural" and len(natural)
        return self.held.of_rows(natural) if only else self.held

    def set_mode(self, network: ExpClipNetwork) -> None:
        network.train(not self.image)
        if self.image and network.image_projector is not None:
            network.image_projector.train()

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        output = model(batch.faces, batch.features, batch.varied, image=self.image)
        return loss_parts(
            expclip_losses(
                output,
                batch.faces,
                self.recipe.losses,
                varied=batch.varied,
                keys=batch.keys,
                anchors=batch.anchors,
            )
        )


def train_expclip(
    out: str | Path,
    data: str | Path,
    preset: Preset[ExpClipConfig, Recipe],
    *,
    config: str | None = None,
    cache: FeatureCache | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on a TEAD, or go on with it; return the record of the run.

    The folder is then a checkpoint, `ExpCLIP.from_pretrained(out)`, with the losses in
    `log.jsonl` and as a picture in `curves.svg`. A run that is complete is left as it is.

    Args:
        out: folder of the checkpoint.
        data: a TEAD's folder, or its id on the Hub.
        preset: the networks, and the recipe.
        config: configuration of the TEAD, where it has several.
        cache: of frozen features; by default the user's.
        overwrite: replace a run of another preset or data set.
        progress: called with what is done, how much, of how much, and losses by name.

    Returns:
        What `training.json` holds: "data", "recipe", "steps", "best_step", "parameters",
        "figures" (see `measure_pairs`), "plan".

    Raises:
        DataError: the data set or the folder is not what it should be.
        ModelError: there is no such encoder, or the losses are no longer finite.
        MissingExtra: a package is not installed.
    """
    accelerator, recipe = make_accelerator(), preset.recipe
    found = read_tead(
        data, config=config, augmented=recipe.augmented, units="units" in recipe.chances
    )
    encoder = text_encoder(preset.model.text_encoder)
    train, held = split_texts(found, recipe.validation, recipe.seed)
    anchors = (
        find_anchors(train, found.strings, recipe.anchors, recipe.natural)
        if recipe.anchors
        else NO_ANCHORS
    )
    train, held = (anchors.mark(pairs, found.strings) for pairs in (train, held))
    model = replace(
        preset.model,
        text_features=encoder.features,
        text_sha256=encoder.sha256,
        anchors=len(anchors.emotions),
    )
    run = RunFolder(Path(out), _plan(model, recipe, found.about), overwrite=overwrite)
    if run.result:
        return run.result
    with run.begin(first=accelerator.is_main_process):
        with accelerator.main_process_first():
            features = (cache or FeatureCache()).encode_texts(encoder, found.strings, progress)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            network = ExpClipNetwork(model)
            network.typical.copy_(torch.from_numpy(anchors.faces))
            network.shares.copy_(torch.from_numpy(anchors.shares))
            _choose_trained(network, image=False)
            lesson = _Lesson(train, held, features, recipe)
            state = learn(accelerator, run, network, lesson, recipe, progress)
        figures = measure_pairs(network, found.test, features, found.train.faces.mean(axis=0))
        return _finish(accelerator, run, network, state, recipe, {"text": found.about}, figures)


def train_images(
    out: str | Path,
    start: str | Path,
    images: str | Path,
    recipe: Recipe,
    *,
    encoder: str | None = None,
    cache: FeatureCache | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train the image projector of a checkpoint on a MEAD-3D; all else stays bit for bit.

    Args:
        out: folder of the new checkpoint.
        start: a checkpoint of `train_expclip`: folder, or id on the Hub.
        images: the MEAD-3D's folder.
        recipe: how; what it says of texts does not matter.
        encoder: name of the image encoder; by default the checkpoint's, or the paper's.
        cache: as for `train_expclip`, and so the rest.
        overwrite: replace another run.
        progress: called with what is done, how much, of how much, and losses by name.

    Returns:
        As `train_expclip`, with the figures of the images beside those of the texts.

    Raises:
        DataError: checkpoint, data set or folder is not what it should be.
        ModelError: there is no such encoder, or the losses are no longer finite.
        MissingExtra: a package is not installed.
    """
    accelerator = make_accelerator()
    recipe = replace(recipe, losses=replace(recipe.losses, anchor=0.0))  # pictures have none
    checkpoint = read_checkpoint(start, KIND, ExpClipConfig)
    before = build_network(ExpClipNetwork, checkpoint, start)
    eyes = image_encoder(encoder or checkpoint.config.image_encoder or CLIP)
    with accelerator.main_process_first():
        found = read_mead3d(
            Path(images),
            eyes,
            cache or FeatureCache(),
            validation=recipe.validation,
            seed=recipe.seed,
            progress=progress,
        )
    model = replace(
        checkpoint.config,
        image_encoder=eyes.name,
        image_features=eyes.features,
        image_sha256=eyes.sha256,
    )
    plan = _plan(model, recipe, found.about) | {"start": checkpoint.training.get("plan")}
    run = RunFolder(Path(out), plan, overwrite=overwrite)
    if run.result:
        return run.result
    with run.begin(first=accelerator.is_main_process):
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            network = ExpClipNetwork(model)
            kept = {k: v for k, v in before.state_dict().items() if not k.startswith("image_")}
            network.load_state_dict(kept, strict=False)
            _choose_trained(network, image=True)
            lesson = _Lesson(found.train, found.validation, found.features, recipe, image=True)
            state = learn(accelerator, run, network, lesson, recipe, progress)
        mean_face = found.train.faces.mean(axis=0)
        figures = measure_pairs(network, found.test, found.features, mean_face)
        told = checkpoint.training
        seen = {name: figures[name] for name in ("image_mse", "image_cosine")}
        seen["image_mean_face_mse"] = figures["mean_face_mse"]
        data = {**told.get("data", {}), "image": found.about}
        return _finish(
            accelerator, run, network, state, recipe, data, {**told.get("figures", {}), **seen}
        )


def _choose_trained(network: ExpClipNetwork, *, image: bool) -> None:
    """Let the image projector learn, or all but it."""
    for name, value in network.named_parameters():
        value.requires_grad_(name.startswith("image_projector.") is image)


def _plan(model: ExpClipConfig, recipe: Recipe, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the weights."""
    return {
        "model": asdict(model),
        "recipe": asdict(recipe),
        "content_sha256": data["content_sha256"],
        "augmented": data.get("augmented", []),
    }


def _finish(
    accelerator: "Accelerator",
    run: RunFolder,
    network: ExpClipNetwork,
    state: RunState,
    recipe: Recipe,
    data: Mapping[str, Any],
    figures: Mapping[str, float],
) -> dict[str, Any]:
    """Write curves and checkpoint; return the record."""
    record = {
        "data": data,
        "recipe": asdict(recipe),
        "steps": state.step,
        "best_step": state.best_step,
        "parameters": sum(value.numel() for value in network.parameters()),
        "figures": figures,
        "plan": run.plan,
    }
    end_run(accelerator, run, network, KIND, record, build_card(network.config, record))
    return record
