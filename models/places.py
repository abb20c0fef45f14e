"""Where models and data sets lie: a folder here, or a repository of the Hub."""

import re
from collections.abc import Sequence
from pathlib import Path

from expclip.face.errors import DataError, ModelError

__all__ = ["fetch_dataset", "fetch_file", "hub_failures", "hub_reason"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def fetch_dataset(place: str | Path, patterns: Sequence[str], revision: str | None = None) -> Path:
    """Return the folder with a data set's files; from the Hub, only those asked for.

    Raises:
        DataError: there is no such folder, and it is no name on the Hub either.
        ModelError: the Hub has no such data set, or cannot be reached.
    """
    if Path(place).is_dir():
        return Path(place)
    _check_hub_id(place)
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                str(place), repo_type="dataset", revision=revision, allow_patterns=list(patterns)
            )
        )
    except hub_failures() as error:
        raise ModelError(f"{place}: no folder here, and no such data set on the Hub: "
                         f"{hub_reason(error)}") from None  # fmt: skip


def fetch_file(place: str | Path, name: str, revision: str | None = None) -> Path:
    """Return the path of a file of a model, fetched from the Hub if need be.

    Raises:
        DataError: the folder lacks the file; there is no such folder, and it is no name on
            the Hub either.
        ModelError: the Hub has no such file, or cannot be reached.
    """
    folder = Path(place)
    if folder.is_dir():
        if not (folder / name).is_file():
            raise DataError(f"{folder}: no checkpoint: {name} is not there")
        return folder / name
    _check_hub_id(place)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(str(place), name, revision=revision))
    except hub_failures() as error:
        raise ModelError(
            f"{place}: no folder here, and no {name} on the Hub: {hub_reason(error)}"
        ) from None


def hub_failures() -> tuple[type[Exception], ...]:
    """Return what the client raises when the Hub or the network fails."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    # RuntimeError: an upload of a large file failed, for the reason in its cause.
    return (transport, LocalEntryNotFoundError, HFValidationError, OSError, RuntimeError)


def hub_reason(error: Exception) -> str:
    """Return in a few words why the Hub gave nothing, with no token in them."""
    from huggingface_hub.errors import HfHubHTTPError

    cause = error.__cause__
    if isinstance(error, RuntimeError) and isinstance(cause, Exception):
        error = cause
    if not isinstance(error, HfHubHTTPError):
        return f"it cannot be reached ({type(error).__name__})"
    told = {
        401: "it does not accept the token, or there is none: `hf auth login`",
        403: "the token may not do this there",
        404: "it knows none of this name",
    }
    status = error.response.status_code
    return told.get(status, f"it answered {status}")


def _check_hub_id(place: str | Path) -> None:
    if isinstance(place, Path) or not _HUB_ID.fullmatch(place):
        raise DataError(f"{place}: no such folder")
