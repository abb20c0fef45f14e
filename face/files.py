"""Files written whole or not at all."""

import hashlib
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from errno import EINVAL
from pathlib import Path

from expclip.face.errors import DataError

__all__ = ["hash_file", "keep_files", "lock_folder", "write_atomically"]


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty temporary file to write; in the end it becomes ``path``.

    The temporary lies in the folder of ``path`` as ``.expclip-*.tmp``. When the
    block ends well, its bytes are on the disk before it takes the name; an error
    or an interrupt removes it, and ``path`` stays what it was. A link is followed,
    and an existing file's permissions stay.

        with write_atomically("out/card.md") as temporary:
            temporary.write_text(card, encoding="utf-8")

    Raises:
        DataError: the file cannot be written (full disk, no permission, no folder).
            An ``OSError`` in the block that names another file passes unchanged.
    """
    target = Path(path).resolve()
    temporary = target.parent / f".expclip-{secrets.token_hex(8)}.tmp"
    try:
        _create_like(target, temporary)
        yield temporary
        _sync(temporary, os.O_RDWR)
        temporary.replace(target)
        _sync(target.parent, os.O_RDONLY)
    except OSError as error:
        if error.filename not in (None, *map(str, (target, temporary, target.parent))):
            raise
        raise DataError(f"{path}: cannot be written: {_reason(error, target)}") from error
    finally:
        with suppress(OSError):  # a read-only disk refuses this too
            temporary.unlink()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_files(folder: Path, pattern: str, names: Collection[str]) -> dict[Path, str]:
    """Remove the files of a folder that match a pattern, but these; return their hashes."""
    kept = {}
    for path in sorted(folder.glob(pattern)):
        if path.name in names:
            kept[path] = hash_file(path)
        else:
            path.unlink()
    return kept


@contextmanager
def lock_folder(path: Path, folder: Path) -> Iterator[None]:
    """Keep a second run out of a folder, where the system has locks; they end with the process.

    Args:
        path: the file that is locked, made if it is not there.
        folder: what the message names.

    Raises:
        DataError: another run is at work there.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{folder}: in use by another run") from None
        except OSError:  # a file system without locks
            pass
        yield


def _create_like(target: Path, temporary: Path) -> None:
    """Create the temporary, with the permissions of the file it will replace."""
    if target.exists() and not target.is_file():  # a rename over /dev/null would remove it
        raise OSError(EINVAL, "not a regular file", str(target))
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    if target.exists():
        temporary.chmod(target.stat().st_mode & 0o777)


def _sync(path: Path, mode: int) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    except OSError as error:
        if not path.is_dir() or error.errno != EINVAL:  # some file systems sync no folders
            raise
    finally:
        os.close(handle)


def _reason(error: OSError, target: Path) -> str:
    if not target.parent.is_dir():
        return f"there is no folder {target.parent}"
    return error.strerror or " ".join(str(error).split())
