"""The files that a task measures on, by hash, so that `verify` finds a changed byte."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from expclip.benchmarks.protocols import Skip
from expclip.face.files import hash_file

if TYPE_CHECKING:
    from expclip.benchmarks.tasks.collection import Sources

__all__ = ["hash_inputs"]

_BUILT = ("manifest.json", "takes.parquet", "frames.npy")


def hash_inputs(sources: "Sources", data: str) -> dict[str, str]:
    """Return the SHA-256 of the files of some data, by their names within the data's folder.

    Args:
        sources: where they lie.
        data: what a task is measured on, as an `Entry` says: "tead", "beat, basis", ...
            Data made in memory have no file.
    """
    found: dict[str, str] = {}
    for name in data.split(", "):
        root, paths = _files(sources, name)
        found |= {path.relative_to(root).as_posix(): hash_file(path) for path in paths}
    return found


def _files(sources: "Sources", name: str) -> tuple[Path, Iterable[Path]]:
    """Return the folder of some data, and the files in it that count."""
    if name == "tead":
        try:
            data = sources.tead_data
        except Skip:
            return Path(), ()
        if data.folder is None:
            return Path(), ()
        return data.folder, sorted(data.folder.glob(f"data/{data.name}/*.parquet"))
    if name == "beat" and sources.beat is not None:
        return sources.beat, [path for path in (sources.beat / one for one in _BUILT)
                              if path.is_file()]  # fmt: skip
    if name == "mead3d" and sources.mead3d is not None:
        return sources.mead3d, sorted(sources.mead3d.glob("data/test-*.parquet"))
    if name in ("pairs", "sequences"):
        folder = getattr(sources, name)
        if folder is not None:
            return folder, [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if name in ("labels", "basis"):
        path = getattr(sources, name)
        if path is not None and path.is_file():
            return path.parent, [path]
        if path is not None and path.is_dir():
            return path, sorted(path.glob("*.obj"))
    return Path(), ()
