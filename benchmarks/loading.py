"""Models by name: `pkg.module:factory` of the current folder, a checkpoint, a Hub id."""

import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from expclip.benchmarks.protocols import METHODS, failure_place
from expclip.face.errors import DataError, ExpclipError, ModelError

__all__ = ["load_model"]

_LARGEST_CONFIG = 1_000_000


def load_model(name: str) -> object:
    """Return the model of a name.

    `pkg.module:factory` and `path/to/file.py:factory` name a class or a function, which is
    called with nothing, or an object that has the methods, which is taken as it is. The
    current folder (or the file's) goes first on the path, as it does for a script that lies
    there: packages called `models`, `benchmarks` or `datasets` are the user's own. Anything
    else is a folder or Hub id of expclip's own models.

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
    folder, file = Path.cwd(), None
    if module.endswith(".py"):
        if not Path(module).is_file():
            raise ModelError(f"{where}: no such file")
        file = Path(module).resolve()
        folder, module = file.parent, file.stem
    if str(folder) not in sys.path[:1]:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
        if file is not None and getattr(found, "__file__", None) != str(file):
            found = _load_file(file)
    except ExpclipError:
        raise
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{where}: no module {error.name!r} in {folder}, or on the path"
        ) from error
    except (Exception, SystemExit) as error:
        raise _failure(where, "cannot be imported", error) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ModelError(f"{where}: {getattr(found, '__file__', module)} has no {part!r}")
        found = getattr(found, part)
    return _made(where, found)


def _load_file(file: Path) -> Any:
    """Return the module of a file whose name another module has."""
    digest = hashlib.sha256(str(file).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"{file.stem}_{digest}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def _made(where: str, found: Any) -> object:
    """Return the model that a class or a function makes, or the object itself."""
    is_model = any(callable(getattr(found, name, None)) for name in METHODS)
    if not isinstance(found, type) and (is_model or not callable(found)):
        return found
    try:
        signature = inspect.signature(found)
        signature.bind()
    except ValueError:  # of a function in C
        pass
    except TypeError:
        raise ModelError(
            f"{where}: cannot be called with nothing: it takes {signature}; name a function "
            "that takes nothing, and returns the model"
        ) from None
    try:
        made: object = found()
    except ExpclipError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(where, "cannot be made", error) from error
    if made is None:
        raise ModelError(f"{where}: returned None, expected a model")
    return made


def _failure(where: str, what: str, error: BaseException) -> ModelError:
    told = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())[:300]
    return ModelError(f"{where}: {what}{failure_place(error)}: {type(error).__name__}: {told}")


def _from_checkpoint(name: str) -> object:
    """Return one of our own models, by the kind that its config tells."""
    if not name or (not Path(name).exists() and name.count("/") != 1):
        raise ModelError(
            f"{name or repr(name)}: no folder here; expected module:factory, a checkpoint's "
            "folder, OWNER/NAME on the Hub, or a baseline"
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
        from expclip.models.animator.model import SpeechAnimator

        return SpeechAnimator.from_pretrained(name)
    raise DataError(f"{config}: is of {kind!r}, expected ExpCLIP or SpeechAnimator")
