"""What is in a BEAT folder, however it is laid out: takes, and files left out with a reason.

Folders are not trusted to mean anything; a file is known by its name alone. So the doubled
folder of version 0.2.1, one folder a speaker, one a modality (``json/``, ``wav/``), annotations
in a tree of their own and the official cache (``facial52/``, ``wave16k/``...) are read alike.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from expclip.beat_loader.names import TakeName, parse_take_name
from expclip.beat_loader.splits import Selection
from expclip.face.errors import DataError

__all__ = ["STREAMS", "BeatIndex", "LeftOut", "Take"]

STREAMS = {
    ".json": "face",
    ".wav": "audio",
    ".npy": "audio",
    ".textgrid": "words",
    ".csv": "emotion",
    ".txt": "gestures",
    ".bvh": "motion",
}
"""What a take may have, by the suffix of its file."""

_CACHED_AUDIO = "wave16k"
"""The folder of the official cache with samples as ``.npy``."""
_DEEPEST = 12
_MOST_FILES = 1_000_000


@dataclass(frozen=True, slots=True)
class Take:
    """One recording and its files; a stream that is not there is None."""

    name: TakeName
    face: Path | None = None
    audio: Path | None = None
    words: Path | None = None
    emotion: Path | None = None
    gestures: Path | None = None
    motion: Path | None = None

    def left_out(self, reason: str) -> Iterator["LeftOut"]:
        """Leave out all files; a reason of the form ``path: why`` is that of one of them."""
        named = [path for path in self.files.values() if reason.startswith(f"{path}: ")]
        why = reason.removeprefix(f"{named[0]}: ") if named else reason
        for path in self.files.values():
            other = f"its take is left out: {named[0].name} {why}" if named else why
            yield LeftOut(path, why if path in named else other)

    @property
    def files(self) -> dict[str, Path]:
        """The files that are there, by stream."""
        streams = dict.fromkeys(STREAMS.values())
        found = {stream: getattr(self, stream) for stream in streams}
        return {stream: path for stream, path in found.items() if path}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not used, and why."""

    file: Path
    reason: str


@dataclass(frozen=True, slots=True)
class BeatIndex:
    """The takes of a folder, in the order of their names, and what is left out.

    Attributes:
        folder: where the takes are.
        takes: those that have all that was asked for.
        left_out: every other file below the folder.
    """

    folder: Path
    takes: tuple[Take, ...]
    left_out: tuple[LeftOut, ...] = field(repr=False)

    @classmethod
    def scan(
        cls,
        folder: str | os.PathLike[str],
        selection: Selection | None = None,
        *,
        need: Collection[str] = ("face", "audio"),
    ) -> "BeatIndex":
        """Index a folder; no file is opened.

        Args:
            folder: of any layout.
            selection: see SELECTIONS; by default every take.
            need: the streams that a take must have.

        Raises:
            DataError: there is no such folder, or it holds beyond a million files.
        """
        root = Path(folder)
        if not root.is_dir():
            raise DataError(f"{root}: is no folder")
        scan = _Scan(root, selection or Selection(), frozenset(need))
        scan.collect()
        takes = scan.whole_takes()
        left_out = sorted(scan.left_out, key=lambda item: item.file)
        return cls(root, takes, tuple(left_out))


class _Scan:
    """The state of one walk through a folder."""

    def __init__(self, root: Path, selection: Selection, need: frozenset[str]) -> None:
        self.root, self.selection, self.need = root, selection, need
        self.left_out: list[LeftOut] = []
        self._found: dict[TakeName, dict[str, Path]] = defaultdict(dict)

    def collect(self) -> None:
        """Put every file to a take, or leave it out."""
        for path in _files(self.root, self.leave_out):
            stream = STREAMS.get(path.suffix.lower())
            try:
                name = parse_take_name(path.stem)
            except ValueError as error:
                self.leave_out(path, "is hidden" if path.name.startswith(".") else str(error))
                continue
            if stream is None or (path.suffix == ".npy" and path.parent.name != _CACHED_AUDIO):
                self.leave_out(path, f"is no stream of a take: {path.suffix or 'no suffix'}")
            elif reason := self.selection.reason_against(name):
                self.leave_out(path, reason)
            elif kept := self._found[name].get(stream):
                other = "" if kept.stat().st_size == path.stat().st_size else " and differs"
                used = kept.relative_to(self.root)
                self.leave_out(path, f"is a second {stream} of the take{other}: {used} is used")
            else:
                self._found[name][stream] = path

    def leave_out(self, path: Path, reason: str) -> None:
        """Note a file that is not used."""
        self.left_out.append(LeftOut(path, reason))

    def whole_takes(self) -> tuple[Take, ...]:
        """Return the takes that have what they need and that are not there in parts too."""
        complete = {
            name: files for name, files in self._found.items() if not self.need - files.keys()
        }
        takes = []
        for name, files in sorted(self._found.items()):
            if name not in complete:
                lacking = " and no ".join(sorted(self.need - files.keys()))
                reason = f"its take has no {lacking}"
            else:
                reason = _there_otherwise(name, complete) or ""
            if reason:
                self.left_out += Take(name, **files).left_out(reason)
            else:
                takes.append(Take(name, **files))
        return tuple(takes)


def _there_otherwise(name: TakeName, complete: Collection[TakeName]) -> str | None:
    """Say how a recording is there twice: as a whole and in halves, as a range and one by one."""
    if not name.half and len(name.sentences) == 1:
        return None
    for other in complete:
        if other == name or (other.speaker, other.type) != (name.speaker, name.type):
            continue
        if name.half and not other.half and other.sentences == name.sentences:
            return f"is half of {other}, which is here whole"
        if len(name.sentences) > 1 and len(other.sentences) == 1 and other.first in name.sentences:
            return f"covers {other}, which is here too"
    return None


def _files(root: Path, leave_out: Callable[[Path, str], None]) -> Iterator[Path]:
    """Yield the plain files below a folder, nearer ones first, each folder sorted.

    Links are followed to files inside the folder only.
    """
    inside, count = root.resolve(), 0
    level = [root]
    for _ in range(_DEEPEST):
        deeper: list[Path] = []
        for folder in level:
            for path in _entries(folder):
                count += 1
                if count > _MOST_FILES:
                    raise DataError(f"{root}: holds more than {_MOST_FILES:,} files")
                if path.is_symlink() and not path.resolve().is_relative_to(inside):
                    leave_out(path, "is a link out of the folder")
                elif path.is_symlink() and path.is_dir():
                    leave_out(path, "is a link to a folder")
                elif path.is_dir():
                    deeper.append(path)
                elif path.is_file():
                    yield path
                else:
                    leave_out(path, "is no regular file")
        level = deeper
    for folder in level:
        leave_out(folder, f"is more than {_DEEPEST} folders deep")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
