"""The folders that results lie in: made, and written by one run at a time."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from expclip.face.errors import DataError
from expclip.face.files import lock_folder, write_atomically

__all__ = ["make_folder", "write_alone", "write_file"]

_LOCK = ".lock"
_PATIENCE_S = 30.0


def make_folder(folder: Path) -> None:
    """Make a folder of results, if there is none.

    Raises:
        DataError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}") from error


@contextmanager
def write_alone(folder: Path) -> Iterator[None]:
    """Keep other runs from writing into a folder of results: files of one result are of one run.

    Another run is waited for: it writes for a moment, and may measure meanwhile.

    Raises:
        DataError: the folder cannot be made or written, or is held for half a minute.
    """
    make_folder(folder)
    until = time.monotonic() + _PATIENCE_S
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock_folder(folder / _LOCK, folder))
                break
            except OSError as error:
                raise DataError(f"{folder}: cannot be written: {error.strerror}") from error
            except DataError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
        yield


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)
