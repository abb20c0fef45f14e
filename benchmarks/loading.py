"""Models by name: `pkg.module:factory` of the current folder, a checkpoint, a Hub id."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any, cast

from expclip.benchmarks.protocols import failure_place
from expclip.face.errors import DataError, ExpclipError, ModelError

__all__ = ["load_model"]

_LARGEST_CONFIG = 1_000_000


def load_model(name: str) -> object:
    """Return the model of a name.

    `pkg.module:factory` and `path/to/file.py:factory` name a class or a function, which is
    called with nothing, or an object, which is taken as it is. The current folder (or the
    file's) goes first on the path, as it does for a script that lies there: packages called
    `models`, `benchmarks` or `datasets` are the user's own. Anything else is a folder or Hub
    id of expclip's own models.

    Raises:
        ModelError: there is no such module or factory, or it fails; the Hub has no such
            repository.
        DataError: the folder holds no model of ours.
    """
    module, colon, attribute = name.rpartition(":")
    if colon and module and attribute and not Path(name).is_dir():
        return _from_module(module, attribute)
    return _from_checkpoint(name)


def _from_module(module: str, attribute: str) -> object:
    where = f"{module}:{attribute}"
    folder = Path.cwd()
    if module.endswith(".py"):
        folder, module = Path(module).resolve().parent, Path(module).stem
    if str(folder) not in sys.path[:1]:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
    except ExpclipError:
        raise
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{where}: no module {error.name!r} in {folder}, or on the path"
        ) from error
    except Exception as error:
        raise _failure(where, "cannot be imported", error) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ModelError(f"{where}: {getattr(found, '__file__', module)} has no {part!r}")
        found = getattr(found, part)
    if not (isinstance(found, type) or callable(found)):
        return cast(object, found)
    try:
        made: object = found()
    except ExpclipError:
        raise
    except Exception as error:
        raise _failure(where, "cannot be called with nothing", error) from error
    return made


def _failure(where: str, what: str, error: Exception) -> ModelError:
    told = " ".join(str(error).split())[:300]
    return ModelError(f"{where}: {what}{failure_place(error)}: {type(error).__name__}: {told}")


def _from_checkpoint(name: str) -> object:
    """Return one of our own models, by the kind that its config tells."""
    if not Path(name).exists() and name.count("/") != 1:
        raise ModelError(
            f"{name}: no folder here; expected module:factory, a checkpoint's folder, "
            "OWNER/NAME on the Hub, or a baseline"
        )
    config = Path(name) / "config.json"
    if not Path(name).exists():
        from expclip.models.places import fetch_file

        config = fetch_file(name, "config.json")
    try:
        if config.stat().st_size > _LARGEST_CONFIG:
            raise ValueError("too long")
        kind = json.loads(config.read_text("utf-8"))["model"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(f"{config}: not the config of a model of expclip ({error})") from None
    if kind == "ExpCLIP":
        from expclip.models import ExpCLIP

        return ExpCLIP.from_pretrained(name)
    if kind == "SpeechAnimator":
        from expclip.models.speaker import SpeechAnimator

        return SpeechAnimator.from_pretrained(name)
    raise DataError(f"{config}: is of {kind!r}, expected ExpCLIP or SpeechAnimator")
