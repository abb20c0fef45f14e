"""What a study shows: clips of models, and what they are compared with."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from expclip.beat_loader.audio import Audio, read_audio
from expclip.face.errors import DataError
from expclip.face.recording import WRITERS
from expclip.face.sequence import Sequence, read_sequence

__all__ = ["QUESTIONS", "Item", "Media", "Shown", "Stimuli", "read_stimuli"]

QUESTIONS = {
    "lip_sync": "How well do the lips move with the speech?",
    "emotion_video": "How well does the emotion match the reference?",
    "emotion_text": "How well does the emotion match the text?",
}
"""What the paper's raters judged (ExpCLIP, Table 2), in words of our own: it prints none."""

_MAGIC = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "video/mp4": re.compile(rb"(?s).{4}ftyp"),
    "video/webm": re.compile(rb"\x1aE\xdf\xa3"),
}
_MEDIA = (".png", ".jpg", ".jpeg", ".mp4", ".m4v", ".webm")
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".npy")
_MOST_BYTES = 64 << 20
_LONGEST_TEXT = 2000
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """A picture or a video, as it is in its file.

    Attributes:
        content: PNG, JPEG, MP4 or WebM, known by its first bytes.

    Raises:
        ValueError: it is none of them.
    """

    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self._kind() is None:
            raise ValueError("is neither PNG, JPEG, MP4 nor WebM")

    @property
    def kind(self) -> str:
        """Its media type, such as video/mp4."""
        return self._kind() or ""

    @property
    def is_video(self) -> bool:
        """Whether it moves."""
        return self.kind.startswith("video/")

    def _kind(self) -> str | None:
        return next((kind for kind, magic in _MAGIC.items() if magic.match(self.content)), None)


Shown = Sequence | Media
"""A recording (drawn; a still if it has one frame), a picture or a video."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What all models were given, as far as raters need it.

    Attributes:
        text: the prompt.
        sound: the speech, played with drawn animations; videos have their own.
        reference: what the emotion is compared with; if it is drawn, it is silent.
    """

    text: str | None = None
    sound: Audio | None = None
    reference: Shown | None = None

    def __post_init__(self) -> None:
        if (
            self.text is not None
            and not 0 < len(self.text.strip()) <= len(self.text) <= _LONGEST_TEXT
        ):
            raise ValueError(f"a text of {len(self.text)} characters, expected 1..{_LONGEST_TEXT}")


@dataclass(frozen=True, eq=False)
class Stimuli:
    """All that a study shows.

    Attributes:
        models: name -> item -> what the model made of it; every model has every item.
        items: name -> what it was made of.

    Raises:
        ValueError: a model lacks an item, an item has nothing to be asked about, or a name
            is empty, longer than 100 characters or not printable.
    """

    models: Mapping[str, Mapping[str, Shown]]
    items: Mapping[str, Item]

    def __post_init__(self) -> None:
        if not self.models or not self.items:
            raise ValueError(
                f"{len(self.models)} models and {len(self.items)} items, expected some"
            )
        for name in (*self.models, *self.items):
            if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
                raise ValueError(f"{name[:_LONGEST_NAME]!r} cannot be a name")
        for model, clips in self.models.items():
            differing = sorted(clips.keys() ^ self.items.keys())
            if differing:
                said = "has no" if differing[0] in self.items else "has the unknown"
                raise ValueError(f"model {model!r} {said} item {differing[0]!r}")
        for item in self.items:
            if not self.questions(item):
                raise ValueError(
                    f"item {item!r} has nothing to be asked about: "
                    "neither text, reference nor a speaking animation"
                )

    def questions(self, item: str) -> tuple[str, ...]:
        """Return what is asked about an item: the same of all models."""
        about = self.items[item]
        spoken = all(_speaks(clips[item], about) for clips in self.models.values())
        asked = (spoken, about.reference is not None, about.text is not None)
        return tuple(name for name, there in zip(QUESTIONS, asked, strict=True) if there)


def _speaks(clip: Shown, item: Item) -> bool:
    if isinstance(clip, Media):
        return clip.is_video
    return len(clip) > 1 and item.sound is not None


def read_stimuli(folder: str | Path) -> Stimuli:
    """Read the folder of a study; items go by the names of their files.

    ``models/NAME/ITEM.*`` are the clips: recordings (.npz, .csv, .json, .parquet), videos
    (.mp4, .webm) or pictures (.png, .jpg). All else may be absent: ``prompts.csv`` with the
    columns item and text, ``sound/ITEM.wav``, ``reference/ITEM.*``.

    Raises:
        DataError: something in it cannot be read, is too large, or belongs to no item.
        MissingExtra: there is sound, and soundfile is not installed.
    """
    folder = Path(folder)
    models = {
        path.name: {name: _read_shown(file) for name, file in _files(path, (*WRITERS, *_MEDIA))}
        for path in _entries(folder / "models")
        if path.is_dir()
    }
    names = sorted({name for clips in models.values() for name in clips})
    texts = _read_prompts(folder / "prompts.csv")
    sounds = dict(_files(folder / "sound", _SOUNDS))
    references = dict(_files(folder / "reference", (*WRITERS, *_MEDIA)))
    for place, found in (("prompts.csv", texts), ("sound", sounds), ("reference", references)):
        unknown = sorted(set(found) - set(names))
        if unknown:
            raise DataError(f"{folder / place}: item {unknown[0]!r}, but no model has a clip of it")
    try:
        return Stimuli(
            models,
            {
                name: Item(
                    texts.get(name),
                    read_audio(sounds[name], None) if name in sounds else None,
                    _read_shown(references[name]) if name in references else None,
                )
                for name in names
            },
        )
    except ValueError as error:
        raise DataError(f"{folder}: {error}") from None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Yield item and path of each file; a folder that is not there has none."""
    seen: dict[str, Path] = {}
    for path in _entries(folder) if folder.exists() else ():
        if path.suffix.lower() not in suffixes:
            raise DataError(f"{path}: expected one of {', '.join(suffixes)}")
        if path.stem in seen:
            raise DataError(f"{path}: {seen[path.stem].name} is the same item")
        seen[path.stem] = path
        yield path.stem, path


def _read_shown(path: Path) -> Shown:
    if path.suffix.lower() in WRITERS:
        return read_sequence(path, max_bytes=_MOST_BYTES)
    try:
        return Media(_read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _read_bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise DataError(f"{path}: is not a regular file")
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise DataError(f"{path}: has {size:,} bytes, expected at most {_MOST_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _read_prompts(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        rows = list(csv.reader(io.StringIO(_read_bytes(path).decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no CSV in UTF-8: {error}") from None
    if not rows or rows[0] != ["item", "text"]:
        raise DataError(f"{path}: starts with {rows[:1]!r:.80}, expected the columns item,text")
    texts: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != 2 or row[0] in texts:
            found = f"{row[0]!r} again" if row[0] in texts else f"{len(row)} columns"
            raise DataError(f"{path}: row {number} has {found}, expected item,text")
        texts[row[0]] = row[1]
    return texts
