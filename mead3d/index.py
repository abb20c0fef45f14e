"""What of MEAD lies on a disk: its clips, and every file left out with the reason.

Nothing is opened but directories, lists and the headers of tar files.
"""

from __future__ import annotations

import os
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from expclip.face.errors import DataError, ParseError
from expclip.mead3d.naming import Label, find_actor, parse_label, parse_list_line

__all__ = ["Clip", "LeftOut", "MeadIndex", "index_list", "index_mead"]

_VIDEOS = frozenset({".mp4", ".mov", ".avi", ".mkv"})
_PICTURES = frozenset({".jpg", ".jpeg", ".png"})
_AUDIO = frozenset({".m4a", ".wav", ".aac", ".mp3"})
_MAX_LIST_BYTES = 1 << 28
_MAX_MEMBERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of one camera.

    Attributes:
        id: a name that is the same wherever the clip lies, unique in an index.
        path: of the video, of the folder of pictures, or of the tar file that holds the
            video; from the root of the index, with forward slashes.
        label: what its name says.
        pictures: names of the pictures, in order, where it is a folder of them.
        offset: where the video begins within the tar file; -1 where it is no tar file.
        size: of the video in bytes.
        frames: number of frames, 0 as long as it was not counted.
        fps: frames per second, 0.0 where it is not known.
    """

    id: str
    path: str
    label: Label
    pictures: tuple[str, ...] = ()
    offset: int = -1
    size: int = 0
    frames: int = 0
    fps: float = 0.0

    @property
    def cell(self) -> tuple[str, str, int, str]:
        """What samples are balanced over: actor, emotion, level, view."""
        return self.label.actor, self.label.emotion, self.label.level, self.label.view


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is no clip, or cannot be used.

    Attributes:
        path: from the root; a tar file's member follows after "!".
        reason: one word, for counting.
        message: one line.
    """

    path: str
    reason: str
    message: str


@dataclass(frozen=True)
class MeadIndex:
    """The clips below a folder, sorted by id, and what was left out, sorted by path."""

    root: Path
    clips: tuple[Clip, ...]
    left_out: tuple[LeftOut, ...] = ()

    def reasons(self) -> dict[str, int]:
        """Return how many files were left out, by reason, most first."""
        return dict(Counter(item.reason for item in self.left_out).most_common())

    def only(
        self, *, views: Iterable[str] = (), actors: Iterable[str] = (), emotions: Iterable[str] = ()
    ) -> MeadIndex:
        """Return the clips of some views, actors and emotions; none given means all.

        Raises:
            DataError: one that is asked for has no clip.
        """
        kept = list(self.clips)
        for name, wanted in (("view", views), ("actor", actors), ("emotion", emotions)):
            wanted = set(wanted)
            there = {str(getattr(clip.label, name)) for clip in self.clips}
            if wanted - there:
                asked, found = ", ".join(sorted(wanted - there)), ", ".join(sorted(there))
                raise DataError(f"{self.root}: no clip of {name} {asked}; there are {found}")
            if wanted:
                kept = [clip for clip in kept if getattr(clip.label, name) in wanted]
        return MeadIndex(self.root, tuple(kept), self.left_out)


@dataclass
class _Found:
    """What was found so far."""

    root: Path
    clips: dict[str, Clip] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, clip: Clip, told: str = "") -> None:
        """Add a clip, or leave it out if there is one of the same name."""
        if clip.id in self.clips:
            self.skip(told or clip.path, "double", f"also as {self.clips[clip.id].path}")
        else:
            self.clips[clip.id] = clip

    def skip(self, path: str, reason: str, message: str) -> None:
        self.left_out.append(LeftOut(path, reason, message))

    def index(self) -> MeadIndex:
        clips = sorted(self.clips.values(), key=lambda clip: clip.id)
        return MeadIndex(self.root, tuple(clips), tuple(sorted(self.left_out, key=_by_path)))


def index_mead(root: str | os.PathLike[str]) -> MeadIndex:
    """Find the clips below a folder: videos, folders of pictures, videos within tar files.

    A tar file is left out where the same actor's clips lie unpacked in the same folder.
    Links that lead out of the folder are not followed.

    Raises:
        DataError: there is no such folder, or no clip in it.
    """
    top = Path(root).resolve()
    if not top.is_dir():
        raise DataError(f"{root}: no folder, expected one with MEAD's actors, like M003")
    found = _Found(top)
    lead = (top.name,) if find_actor(top.name) else ()
    tars: list[str] = []
    pictures: dict[str, list[str]] = {}
    for path in _files(top, "", found):
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - 200,000 of them
        if suffix in _VIDEOS:
            _add_video(path, lead, found)
        elif suffix in _PICTURES:
            folder, _, name = path.rpartition("/")
            pictures.setdefault(folder, []).append(sys.intern(name))
        elif suffix == ".tar":
            tars.append(path)
        elif suffix in _AUDIO:
            found.skip(path, "audio", "sound is not used")
        else:
            found.skip(path, "kind", f"{suffix or 'no suffix'}, expected a video or a picture")
    for folder, names in sorted(pictures.items()):
        _add_pictures(folder, names, lead, found)
    unpacked = {
        (folder.as_posix(), clip.label.actor)
        for clip in found.clips.values()
        for folder in PurePosixPath(clip.path).parents
    }
    for path in sorted(tars):
        _add_tar(path, lead, unpacked, found)
    return _not_empty(found.index())


def index_list(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> MeadIndex:
    """Read a list of MEAD's code repository, which names pictures with their labels.

    Args:
        path: of the list, such as video_list_train.txt.
        root: the folder that the pictures' paths start from; they are not looked at.

    Raises:
        DataError: the list cannot be read, or names no picture.
    """
    source, found = Path(path), _Found(Path(root).resolve())
    pictures: dict[str, set[str]] = {}
    try:
        if source.stat().st_size > _MAX_LIST_BYTES:
            raise DataError(f"{path}: {source.stat().st_size:,} bytes are too many for a list")
        lines = source.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read: {_reason(error)}") from None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = parse_list_line(text)
        except ParseError as error:
            found.skip(f"{source.name}:{number}", error.reason, str(error))
            continue
        clip = Clip(line.clip, line.picture.parent.as_posix(), line.label)
        if found.clips.setdefault(clip.id, clip) != clip:
            told = f"{clip.id} has another label or folder in an earlier line"
            found.skip(f"{source.name}:{number}", "label", told)
            continue
        pictures.setdefault(clip.id, set()).add(line.picture.name)
    for name, clip in found.clips.items():
        found.clips[name] = _of_pictures(clip, pictures[name])
    return _not_empty(found.index())


def _files(folder: Path, lead: str, found: _Found) -> Iterator[str]:
    """Yield the paths of all files below a folder, sorted, links out of the root left out."""
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        found.skip(lead or ".", "unreadable", _reason(error))
        return
    for entry in entries:
        path = f"{lead}/{entry.name}" if lead else entry.name
        if entry.name.startswith("."):
            found.skip(path, "hidden", "hidden files are no clips")
        elif entry.is_symlink() and not _stays(entry, found.root):
            found.skip(path, "link", "a link to nothing, to a folder, or out of the root")
        elif entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), path, found)
        elif not entry.is_file():
            found.skip(path, "kind", "no regular file")
        elif not path.isprintable() or not _is_text(path):
            found.skip(ascii(path)[1:-1], "name", "a path with characters that are no text")
        else:
            yield path


def _stays(link: os.DirEntry[str], root: Path) -> bool:
    """Return whether a link leads to a file below the root."""
    target = Path(os.path.realpath(link.path))
    return target.is_file() and target.is_relative_to(root)


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _add_video(path: str, lead: tuple[str, ...], found: _Found) -> None:
    size = (found.root / path).stat().st_size
    parts = PurePosixPath(path).with_suffix("").parts
    try:
        label = parse_label([*lead, *parts])
    except ParseError as error:
        found.skip(path, error.reason, str(error))
        return
    if not size:
        found.skip(path, "empty", "0 bytes")
        return
    found.add(Clip(label.id, path, label, size=size))


def _add_pictures(folder: str, names: list[str], lead: tuple[str, ...], found: _Found) -> None:
    """Add the clip whose frames lie as pictures in a folder."""
    parts = PurePosixPath(folder).parts
    try:
        if re.search(r"_output_\d+$", folder):
            told = "labels of this naming are in the lists of MEAD's code: give one with --list"
            raise ParseError("list", told)
        label = parse_label([*lead, *parts] or [""])
    except ParseError as error:
        found.skip(folder or ".", error.reason, f"{len(names)} pictures: {error}")
        return
    found.add(_of_pictures(Clip(label.id, folder, label), names))


def _of_pictures(clip: Clip, names: Iterable[str]) -> Clip:
    ordered = tuple(sorted(map(sys.intern, names), key=_picture_order))
    return Clip(clip.id, clip.path, clip.label, ordered, frames=len(ordered))


def _picture_order(name: str) -> tuple[int, str]:
    """Sort by the last number in a name, so that 9.jpg stands before 10.jpg."""
    digits = re.findall(r"\d+", name)
    return int(digits[-1][-18:]) if digits else -1, name


def _add_tar(
    path: str, lead: tuple[str, ...], unpacked: set[tuple[str, str]], found: _Found
) -> None:
    """Add the videos within a tar file, which is read where they lie."""
    parent = PurePosixPath(path).parent
    folders = [*lead, *parent.parts]
    actors = {actor[0] for actor in map(find_actor, folders) if actor}
    if any((parent.as_posix(), actor) in unpacked for actor in actors):
        found.skip(path, "tar", "its actor's clips lie unpacked beside it")
        return
    size = (found.root / path).stat().st_size
    clips = 0
    try:
        with tarfile.open(found.root / path, "r:") as archive:
            for count, member in enumerate(archive):
                if count >= _MAX_MEMBERS:
                    raise DataError(f"more than {_MAX_MEMBERS:,} members")
                clips += _add_member(path, member, folders, size, found)
    except (tarfile.TarError, OSError, DataError, ValueError) as error:
        found.skip(path, "unreadable", f"after {clips} clips: {_reason(error)}")
        return
    if not clips:
        found.skip(path, "tar", "no clip in it")


def _add_member(
    path: str, member: tarfile.TarInfo, folders: list[str], size: int, found: _Found
) -> bool:
    """Add a video within a tar file, and return whether it is one."""
    inner = PurePosixPath(member.name)
    told = ascii(f"{path}!{member.name}")[1:-1]
    if inner.suffix.lower() not in _VIDEOS or inner.name.startswith("."):
        return False
    if not member.isreg() or member.issparse():
        found.skip(told, "link", "no regular file")
    elif member.offset_data + member.size > size or member.size <= 0:
        found.skip(told, "empty", f"{member.size} bytes, beyond the end of the tar file or none")
    else:
        try:
            label = parse_label([*folders, *inner.with_suffix("").parts])
        except ParseError as error:
            found.skip(told, error.reason, str(error))
            return False
        clip = Clip(label.id, path, label, offset=member.offset_data, size=member.size)
        found.add(clip, told)
        return True
    return False


def _not_empty(index: MeadIndex) -> MeadIndex:
    if not index.clips:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in index.reasons().items())
        raise DataError(
            f"{index.root}: no clip of MEAD ({reasons or 'no file at all'}), "
            "expected paths like M003/video/front/angry/level_1/001.mp4"
        )
    return index


def _by_path(item: LeftOut) -> tuple[str, str]:
    return item.path, item.message


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())
