"""Trained networks on disk and on the Hub: `config.json`, `model.safetensors`, a card.

Nothing is ever unpickled. A checkpoint's config is the dataclass of its model, field by
field, and what it was trained on stands in `training.json` beside it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from expclip.face.errors import DataError, ModelError
from expclip.face.files import write_atomically
from expclip.models.places import fetch_file, hub_failures, hub_reason

__all__ = ["Checkpoint", "build_network", "push_checkpoint", "read_checkpoint", "write_checkpoint"]

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_TRAINING = "training.json"
_CARD = "README.md"
_LARGEST_JSON = 1_000_000
_LARGEST_WEIGHTS = 8_000_000_000

Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint(Generic[Config]):
    """A checkpoint as read: its config, its tensors, its training record."""

    config: Config
    state: dict[str, Tensor]
    training: dict[str, Any]


def write_checkpoint(
    folder: str | Path, kind: str, network: nn.Module, training: Mapping[str, Any], card: str
) -> Path:
    """Write a network with its config, its training record and its card.

    The weights come last, each file whole or not at all.

    Args:
        folder: made if it is not there.
        kind: name of the model's class, so that no other reads it.
        network: has its dataclass as ``config``.
        training: what it was trained on, as JSON holds it.
        card: the README.md.

    Raises:
        DataError: the folder cannot be written.
    """
    from safetensors.torch import save

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}") from None
    fields_of: Any = network.config
    config = {"model": kind, "expclip": version("expclip"), **asdict(fields_of)}
    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    for name, content in (
        (_CONFIG, _json(config)),
        (_TRAINING, _json(training)),
        (_CARD, card.encode()),
        (_WEIGHTS, save(state, {"format": "pt"})),
    ):
        with write_atomically(folder / name) as temporary:
            temporary.write_bytes(content)
    return folder


def read_checkpoint(
    place: str | Path, kind: str, config: type[Config], revision: str | None = None
) -> Checkpoint[Config]:
    """Return a checkpoint from a folder or, where there is none, from the Hub.

    Args:
        place: the folder, or OWNER/NAME on the Hub.
        kind: name of the model's class.
        config: its dataclass.
        revision: of the Hub's repository.

    Raises:
        DataError: the folder lacks a file; a file is no such thing; the config is of
            another model, has an unknown field, or a value out of its range.
        ModelError: the Hub has no such repository, or cannot be reached.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    found = {name: fetch_file(place, name, revision) for name in (_CONFIG, _TRAINING, _WEIGHTS)}
    values = _read_json(found[_CONFIG])
    if values.pop("model", None) != kind:
        raise DataError(f"{found[_CONFIG]}: not the config of {kind}")
    values.pop("expclip", None)
    weights = found[_WEIGHTS]
    try:
        state = load(_read_bytes(weights, _LARGEST_WEIGHTS))
    except SafetensorError as error:
        raise DataError(f"{weights}: not a safetensors file: {_one_line(error)}") from None
    made = _config_from(config, values, found[_CONFIG])
    return Checkpoint(made, state, _read_json(found[_TRAINING]))


def build_network(
    make: Callable[[Config], Network], checkpoint: Checkpoint[Config], place: str | Path
) -> Network:
    """Return a network with the tensors of a checkpoint.

    It is built without memory first: a config that is at odds with the weights costs none.

    Raises:
        DataError: the tensors are not those of this config.
    """
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in make(checkpoint.config).state_dict().items()}
    found = {name: value.shape for name, value in checkpoint.state.items()}
    for name in sorted(wanted.keys() | found.keys()):
        one, other = found.get(name), wanted.get(name)
        if one != other:
            raise DataError(
                f"{place}: {_WEIGHTS} does not fit {_CONFIG}: {name} is {_shape(one)}, "
                f"expected {_shape(other)}"
            )
    network = make(checkpoint.config)
    network.load_state_dict(checkpoint.state)
    return network


def push_checkpoint(
    folder: str | Path, repo: str, *, private: bool = False, token: str | None = None
) -> str:
    """Upload a checkpoint's folder in one commit; return the address of the repository.

    Raises:
        DataError: the folder holds no checkpoint.
        ModelError: the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    for name in (_CONFIG, _TRAINING, _CARD, _WEIGHTS):
        fetch_file(Path(folder), name)
    api = HfApi(token=token, library_name="expclip")
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=str(folder),
            allow_patterns=[_CONFIG, _TRAINING, _CARD, _WEIGHTS, "curves.svg", "log.jsonl"],
            commit_message="Upload by expclip",
        )
    except hub_failures() as error:
        raise ModelError(f"{repo}: not uploaded: the Hub: {hub_reason(error)}") from None
    return f"{api.endpoint}/{repo}"


def _config_from(kind: type[Config], values: Mapping[str, Any], path: Path) -> Config:
    """Return the dataclass of a config as read."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise DataError(f"{path}: unknown field {unknown[0]!r}, made by a newer expclip?")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read_bytes(path, _LARGEST_JSON))
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds a {type(document).__name__}, expected an object")
    return document


def _read_bytes(path: Path, most: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > most:
            raise DataError(f"{path}: {size:,} bytes, expected at most {most:,}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _shape(shape: "torch.Size | None") -> str:
    return "not there" if shape is None else str(tuple(shape))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
