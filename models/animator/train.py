"""Training the speaking face: load, loop, log, save.

Every random choice is a function of seed and step, as in the training of ExpCLIP: a run
that was killed and goes on gives the same weights, bit for bit (on the same machine).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from expclip.face import blendshapes_from_actions
from expclip.models.animator.card import build_animator_card
from expclip.models.animator.losses import (
    LOSSES,
    animator_loss_parts,
    animator_losses,
)
from expclip.models.animator.measure import measure_speech
from expclip.models.animator.network import AnimatorConfig, AnimatorNetwork
from expclip.models.animator.recipe import AnimatorPreset, AnimatorRecipe
from expclip.models.animator.sampling import AnimatorBatch, AnimatorSampler
from expclip.models.checkpoint import build_network, read_checkpoint
from expclip.models.expclip.data import read_tead
from expclip.models.expclip.network import ExpClipConfig, ExpClipNetwork
from expclip.models.expclip.train import KIND as EXPCLIP_KIND
from expclip.models.features import Progress
from expclip.models.loop import end_run, learn
from expclip.models.speech import SPEECH_SPLITS, SpeechPairs
from expclip.models.state import RunFolder, make_accelerator
from expclip.tead import read_core

if TYPE_CHECKING:
    pass

__all__ = ["KIND", "Expressions", "read_expressions", "train_animator"]

KIND = "SpeechAnimator"
"""What a checkpoint's config calls the model."""


_SCALED_BY = 100_000
"""Frames, from the first on, that the scale of the features is taken from."""


@dataclass(frozen=True, eq=False)
class Expressions:
    """Faces that prompts are perturbed by, and what they are."""

    faces: Float[np.ndarray, "faces 52"]
    about: dict[str, Any]


def read_expressions(tead: str | None = None, *, config: str | None = None) -> Expressions:
    """Return the training faces of a TEAD, or those of the embedded core corpus.

    The core corpus is part of every TEAD that the package builds offline, is annotated text
    by text, and needs no file: the default. Frequent faces stand as often as they occur, as
    "sampled from TEAD" says.

    Args:
        tead: folder, or id on the Hub.
        config: configuration of the TEAD, where it has several.

    Raises:
        DataError: the folder is no TEAD.
        ModelError: the Hub has no such data set, or cannot be reached.
    """
    if tead is not None:
        found = read_tead(tead, config=config, augmented=False)
        return Expressions(found.train.faces, found.about)
    rows = read_core()
    faces = blendshapes_from_actions(row.annotation.actions for row in rows).astype(np.float32)
    rows_of = {"core": len(faces)}
    about = {"corpora": ["core"], "rows": rows_of, "content_sha256": _digest(faces)}
    return Expressions(faces, about)


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What the speaking face learns from.

    Attributes:
        train, held: clips to learn from, and to validate on.
        others: expressions that perturb prompts.
        recipe: which losses.
    """

    train: SpeechPairs
    held: SpeechPairs
    others: Expressions
    recipe: AnimatorRecipe

    terms = (*LOSSES, "total")

    def samplers(self, device: torch.device) -> tuple[AnimatorSampler, AnimatorSampler]:
        made = (self.others.faces, self.recipe, device)
        return AnimatorSampler(self.train, *made), AnimatorSampler(self.held, *made)

    def set_mode(self, network: AnimatorNetwork) -> None:
        network.train()

    def losses(self, model: Any, batch: AnimatorBatch) -> dict[str, Tensor]:
        output = model(batch.weights, batch.speech, batch.mask, batch.expressions, batch.shares)
        return animator_loss_parts(
            animator_losses(output, batch.weights, self.recipe.losses, batch.mask)
        )


def train_animator(
    out: str | Path,
    data: SpeechPairs,
    preset: AnimatorPreset,
    *,
    expclip: str | Path,
    expressions: Expressions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on speech with faces, or go on with it; return the record of the run.

    The folder is then a checkpoint, `SpeechAnimator.from_pretrained(out)`, with the frozen
    ExpCLIP in it, the losses in `log.jsonl` and as a picture in `curves.svg`. A run that is
    complete is left as it is.

    Args:
        out: folder of the checkpoint.
        data: speech and faces.
        preset: the network, and the recipe.
        expclip: a trained ExpCLIP: folder, or id on the Hub.
        expressions: to perturb prompts by; by default those of the embedded core corpus.
        overwrite: replace a run of another preset or data set.
        progress: called with what is done, how much, of how much, and losses by name.

    Returns:
        What `training.json` holds: "data", "recipe", "steps", "best_step", "parameters",
        "figures" (see `measure_speech`), "plan".

    Raises:
        DataError: the checkpoint or the folder is not what it should be.
        ModelError: the losses are no longer finite, or the Hub cannot be reached.
        MissingExtra: a package is not installed.
    """
    accelerator, recipe = make_accelerator(), preset.recipe
    train, held, test = (data.of_split(split) for split in SPEECH_SPLITS)
    others = expressions or read_expressions()
    frozen = read_checkpoint(expclip, EXPCLIP_KIND, ExpClipConfig)
    space = build_network(ExpClipNetwork, frozen, expclip)
    model = replace(
        preset.model,
        space=frozen.config,
        speech_encoder=data.about["speech_encoder"]["name"],
        speech_features=data.features.shape[1],
        speech_sha256=data.about["speech_encoder"]["sha256"],
        fps=data.fps,
    )
    about = {
        "speech": {**data.about, "content_sha256": _speech_digest(data)},
        "expressions": others.about,
    }
    run = RunFolder(Path(out), _plan(model, recipe, about, frozen.state), overwrite=overwrite)
    if run.result:
        return run.result
    with run.begin(first=accelerator.is_main_process):
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            network = AnimatorNetwork(model)
            network.space.load_state_dict(space.state_dict())
            network.set_scales(
                torch.from_numpy(train.features[:_SCALED_BY].astype(np.float32)),
                torch.from_numpy(train.weights),
                torch.from_numpy(others.faces),
            )
            lesson = _Lesson(train, held, others, recipe)
            state = learn(accelerator, run, network, lesson, recipe, progress)
        figures = measure_speech(network, train, test, recipe.frames)
        record = {
            "data": about,
            "recipe": asdict(recipe),
            "steps": state.step,
            "best_step": state.best_step,
            "parameters": sum(v.numel() for v in network.parameters() if v.requires_grad),
            "figures": figures,
            "plan": run.plan,
        }
        end_run(accelerator, run, network, KIND, record, build_animator_card(model, record))
        return record


def _plan(
    model: AnimatorConfig,
    recipe: AnimatorRecipe,
    about: Mapping[str, Mapping[str, Any]],
    frozen: Mapping[str, Tensor],
) -> dict[str, Any]:
    """Return what decides the weights."""
    tensors = [part for name in sorted(frozen) for part in (name, frozen[name].numpy())]
    return {
        "model": asdict(model),
        "recipe": asdict(recipe),
        "expclip_sha256": _digest(*tensors),
        **{f"{name}_sha256": part["content_sha256"] for name, part in about.items()},
    }


def _speech_digest(data: SpeechPairs) -> str:
    columns = (data.offsets, data.features, data.weights)
    return _digest(*data.names, *data.splits, *columns)


def _digest(*parts: str | np.ndarray) -> str:
    """Return the SHA-256 of texts and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        whole = isinstance(part, str)
        digest.update(f"{part}\0".encode() if whole else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
