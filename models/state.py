"""A training run on disk: what a kill leaves, and the same command goes on from.

One file, whole or not at all, holds network, optimiser and progress; a line of the log
that came after it is dropped when the run goes on.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from expclip.face.errors import DataError, MissingExtra
from expclip.face.files import lock_folder, write_atomically
from expclip.face.records import describe_difference, read_record

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["RunFolder", "RunState", "make_accelerator"]

_WORK = ".expclip"
_PLAN = "plan.json"
_STATE = "state.safetensors"
_LOCK = "lock"
_LOG = "log.jsonl"
_RESULT = "training.json"


@dataclass
class RunState:
    """How far a run is, and the best network so far.

    Attributes:
        step: steps done.
        best_loss: of validation.
        best_step: when that was.
        waited: validations since.
        best: weights of the best network.
    """

    step: int = 0
    best_loss: float = float("inf")
    best_step: int = 0
    waited: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def note(self, step: int, loss: float, network: nn.Module) -> None:
        """Take note of a validation."""
        self.step, self.waited = step, self.waited + 1
        if loss < self.best_loss or not self.best:
            self.best_loss, self.best_step, self.waited = loss, step, 0
            self.best = {name: value.clone() for name, value in network.state_dict().items()}


class RunFolder:
    """The folder of one run; its result, when there, is of the same plan.

    Args:
        folder: made if it is not there.
        plan: what decides the result, as JSON holds it.
        overwrite: what another plan has left is removed when the run begins.

    Raises:
        DataError: the folder holds something else, or cannot be written.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.folder = folder
        self._work = folder / _WORK
        self.plan = json.loads(json.dumps(plan))
        before = read_record(self._work / _PLAN) or read_record(folder / _RESULT).get("plan", {})
        self._stale = bool(before) and before != self.plan
        if self._stale and not overwrite:
            raise DataError(
                f"{folder}: holds a run with {describe_difference(before, self.plan)}: "
                "choose another folder, or replace it with --overwrite"
            )
        if not before and not overwrite and folder.is_dir() and any(folder.iterdir()):
            raise DataError(f"{folder}: not empty, and no run of expclip: choose another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot be made: {error.strerror}") from None

    @property
    def result(self) -> dict[str, Any]:
        """The record of a finished run of this plan; empty if it is not finished."""
        done = (self.folder / "model.safetensors").is_file() and not self._work.is_dir()
        return read_record(self.folder / _RESULT) if done and not self._stale else {}

    @contextmanager
    def begin(self, *, first: bool = True) -> Iterator[None]:
        """Say that a run of this plan lies here, and keep other runs out while it lasts.

        Args:
            first: of the processes that share the run; the others take no lock.

        Raises:
            DataError: another run is at work here.
        """
        self._work.mkdir(exist_ok=True)
        with lock_folder(self._work / _LOCK, self.folder) if first else nullcontext():
            if first and self._stale:
                self._clear()
            with write_atomically(self._work / _PLAN) as temporary:
                temporary.write_text(json.dumps(self.plan, indent=2) + "\n", "utf-8")
            yield

    def _clear(self) -> None:
        """Remove what another plan has left; the lock is held."""
        left = [path for path in self._work.iterdir() if path.name != _LOCK]
        for path in (*left, self.folder / _LOG, self.folder / _RESULT):
            path.unlink(missing_ok=True)
        self._stale = False

    def end(self) -> None:
        """Remove what only a run that goes on needs."""
        shutil.rmtree(self._work, ignore_errors=True)

    def save(self, state: RunState, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Write network, optimiser and progress."""
        from safetensors.torch import save

        tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in state.best.items()}
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{name}": value for name, value in values.items()}
        told = {f.name: getattr(state, f.name) for f in fields(state) if f.name != "best"}
        content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        with write_atomically(self._work / _STATE) as temporary:
            temporary.write_bytes(save(content, {"run": json.dumps(told)}))

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> RunState:
        """Give network and optimiser what was saved; return how far the run was.

        Raises:
            DataError: what was saved cannot be read, or is of another network.
        """
        from safetensors import SafetensorError, safe_open

        path = self._work / _STATE
        if not path.is_file():
            return RunState()
        try:
            with safe_open(path, "pt") as file:
                told = json.loads(file.metadata()["run"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            network.load_state_dict(_below("network/", tensors))
            values: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _below("optimiser/", tensors).items():
                index, _, key = name.partition("/")
                values.setdefault(int(index), {})[key] = tensor
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": values, "param_groups": groups})
            return RunState(**told, best=_below("best/", tensors))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise DataError(f"{path}: cannot be read ({reason}): remove {self._work}") from None

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with (self.folder / _LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def read_log(self, step: int | None = None) -> list[dict[str, Any]]:
        """Return the lines of the log; given a step, those after it are dropped from the file."""
        lines = []
        with suppress(OSError):
            for text in (self.folder / _LOG).read_text("utf-8", "replace").splitlines():
                with suppress(ValueError):  # a line that a kill has cut
                    line = json.loads(text)
                    if step is None or line["step"] <= step:
                        lines.append(line)
        if step is not None:
            with write_atomically(self.folder / _LOG) as temporary:
                temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return lines


def make_accelerator() -> "Accelerator":
    """Return what moves a run to its device, and to several.

    Raises:
        MissingExtra: accelerate is not installed.
    """
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise MissingExtra(error.name or "accelerate", "models") from None
    return Accelerator()


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
