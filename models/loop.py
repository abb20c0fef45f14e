"""The loop that trains any network here: draw, step, validate, log, save.

Each step is a function of the course and its number alone, so that a run that was killed goes
on where it was last saved, and ends with the same weights, bit for bit.
"""

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from expclip.face.errors import ModelError
from expclip.face.files import write_atomically
from expclip.models.checkpoint import write_checkpoint
from expclip.models.course import Course
from expclip.models.curves import draw_curves
from expclip.models.features import Progress
from expclip.models.state import RunFolder, RunState

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Lesson", "end_run", "learn"]

_SHOW_EVERY = 20
"""Steps."""


class Lesson(Protocol):
    """What a network learns, and from what."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the losses; the last is that of their sum, by which the network learns."""

    def samplers(self, device: torch.device) -> tuple[Any, Any]:
        """Return what draws batches to learn from, and what holds those to validate on."""

    def set_mode(self, network: Any) -> None:
        """Turn on dropout where something learns."""

    def losses(self, model: Any, batch: Any) -> dict[str, Tensor]:
        """Return the terms of a batch by name."""


def learn(
    accelerator: "Accelerator",
    run: RunFolder,
    network: nn.Module,
    lesson: Lesson,
    course: Course,
    progress: Progress | None,
) -> RunState:
    """Train until the course ends it; the network is then the best one.

    Raises:
        ModelError: the losses are no longer finite.
    """
    network.to(accelerator.device)
    weights = [value for value in network.parameters() if value.requires_grad]
    adam = torch.optim.AdamW(weights, course.learning_rate, weight_decay=course.weight_decay)
    state = run.restore(network, adam)
    if accelerator.is_main_process:
        run.read_log(state.step)
    model, optimiser = accelerator.prepare(network, adam)
    sampler, held = lesson.samplers(accelerator.device)
    sums, since = torch.zeros(len(lesson.terms), device=accelerator.device), 0
    began = time.monotonic()

    for step in range(state.step, course.steps):
        if course.patience and state.waited >= course.patience:
            break
        lesson.set_mode(network)
        for group in optimiser.param_groups:
            group["lr"] = course.rate_at(step)
        batch = sampler.draw(step, accelerator.process_index, accelerator.num_processes)
        torch.manual_seed(batch.torch_seed)
        losses = lesson.losses(model, batch)
        accelerator.backward(losses[lesson.terms[-1]])
        if course.clip:
            accelerator.clip_grad_norm_(weights, course.clip)
        optimiser.step()
        optimiser.zero_grad()
        sums, since = sums + _stacked(losses, lesson).detach(), since + 1
        if progress and step % _SHOW_EVERY == 0:
            progress("training", step, course.steps, _named(sums / since, lesson))

        done = step + 1
        if done % course.validate_every and done < course.steps:
            continue
        trained, found = _named(sums / since, lesson), _validate(network, held, lesson)
        total = found[lesson.terms[-1]]
        if not math.isfinite(trained[lesson.terms[-1]] + total):
            raise ModelError(f"step {done}: the loss is no longer finite: lower learning_rate")
        state.note(done, total, network)
        if accelerator.is_main_process:
            line = {"step": done, "train": trained, "validation": found}
            seconds = round(time.monotonic() - began, 2)
            run.log({**line, "learning_rate": course.rate_at(step), "seconds": seconds})
            run.save(state, network, adam)
        accelerator.wait_for_everyone()
        sums, since = torch.zeros_like(sums), 0
    if progress:
        progress("training", course.steps, course.steps, {})
    network.load_state_dict(state.best)
    network.eval()
    return state


def end_run(
    accelerator: "Accelerator",
    run: RunFolder,
    network: nn.Module,
    kind: str,
    record: Mapping[str, Any],
    card: str,
) -> None:
    """Write the curves and the checkpoint of a run that is complete.

    Raises:
        DataError: the folder cannot be written.
    """
    if accelerator.is_main_process:
        with write_atomically(run.folder / "curves.svg") as temporary:
            temporary.write_text(draw_curves(run.read_log(), record["best_step"]), "utf-8")
        write_checkpoint(run.folder, kind, network, record, card)
        run.end()
    accelerator.wait_for_everyone()


def _validate(network: nn.Module, held: Any, lesson: Lesson) -> dict[str, float]:
    """Return the mean losses of what is held out."""
    network.eval()
    sums, rows = torch.zeros(len(lesson.terms)), 0
    with torch.no_grad():
        for batch in held.whole():
            losses = _stacked(lesson.losses(network, batch), lesson).cpu()
            sums, rows = sums + losses * len(batch), rows + len(batch)
    return _named(sums / rows, lesson)


def _stacked(losses: dict[str, Tensor], lesson: Lesson) -> Tensor:
    return torch.stack([losses[name] for name in lesson.terms])


def _named(values: Tensor, lesson: Lesson) -> dict[str, float]:
    return dict(zip(lesson.terms, values.tolist(), strict=True))
