"""Labels of MEAD, read from the names of files and folders.

The tree that the data set is delivered in is irregular: a folder level more or fewer,
parts of an actor ("M026-1"), no level for neutral. What a path says is therefore found
by what its parts look like, not by where they stand.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TypeVar

from expclip.face.errors import ParseError

__all__ = [
    "EMOTIONS",
    "LIST_EMOTIONS",
    "UNKNOWN",
    "VIEWS",
    "Label",
    "ListLine",
    "find_actor",
    "parse_label",
    "parse_list_line",
]

EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
"""MEAD's eight emotions, as its folders are named."""

LIST_EMOTIONS = (
    "angry",
    "disgusted",
    "contempt",
    "fear",
    "happy",
    "sad",
    "surprised",
    "neutral",
)
"""The same by their code in the lists of MEAD's code repository: not alphabetical."""

VIEWS = ("front", "top", "down", "left_30", "left_60", "right_30", "right_60")
"""MEAD's seven cameras."""

UNKNOWN = "unknown"
"""The view of a clip whose name does not say it."""

_Value = TypeVar("_Value")

_ACTOR = re.compile(r"([MW])0?(\d{2,3})(-\d{1,2})?", re.I)
_LEVEL = re.compile(r"level[_\- ]?(\d+)", re.I)
_VIEW = {re.sub("_", "", view): view for view in VIEWS}
_EMOTION = (
    {name: name for name in EMOTIONS}
    | {name[:3]: name for name in EMOTIONS}
    | {
        "anger": "angry",
        "disgust": "disgusted",
        "fearful": "fear",
        "happiness": "happy",
        "sadness": "sad",
        "surprise": "surprised",
    }
)
_FLAT = re.compile(
    r"(?P<actor>[MW]\d{2,3})[_-](?:(?P<view>front|top|down|left_?\d0|right_?\d0)[_-])?"
    r"(?P<emotion>[a-z]+)[_-](?P<level>(?:level_?)?\d)[_-](?P<number>\d{1,4})",
    re.I,
)
_LIST_FOLDER = re.compile(r"([MW]\d{3})_\d+_\d+_output_(\d+)", re.I)


@dataclass(frozen=True, slots=True)
class Label:
    """What the name of a clip says.

    Attributes:
        actor: "M003" to "W040"; parts of one actor have the same.
        part: which part of the actor ("1" of "M026-1"), or "".
        emotion: one of EMOTIONS.
        level: 1 to 3; neutral has only 1.
        view: one of VIEWS, or UNKNOWN.
        number: of the clip within its emotion and level. Equal numbers are not equal
            sentences.
    """

    actor: str
    part: str
    emotion: str
    level: int
    view: str
    number: int

    @property
    def id(self) -> str:
        """A name that is the same wherever the clip lies."""
        actor = f"{self.actor}-{self.part}" if self.part else self.actor
        return f"{actor}/{self.view}/{self.emotion}/level_{self.level}/{self.number:03}"


@dataclass(frozen=True, slots=True)
class ListLine:
    """One line of a list of MEAD's code repository.

    Attributes:
        picture: path of the picture, from the folder of the data set.
        label: its clip's; the level counts from 1, as in the tree.
        clip: the name of the clip's folder, unique in the list.
    """

    picture: PurePosixPath
    label: Label
    clip: str


def find_actor(part: str) -> tuple[str, str] | None:
    """Return actor and part that a folder is named for, or None: "M026-1" is M026, 1."""
    found = _ACTOR.fullmatch(part)
    if found is None:
        return None
    return f"{found[1].upper()}{int(found[2]):03}", (found[3] or "").lstrip("-")


def parse_label(parts: Sequence[str]) -> Label:
    """Return what a clip's path says: its folders from the root, then its bare name.

    Also understands the flat names in use elsewhere, "M030_sad_3_001",
    "M003_front_neu_1_017", "m03-neutral-level_1-010".

    Raises:
        ParseError: something is missing or said twice; the reason is the word for it
            (actor, emotion, level, view, name).
    """
    *folders, name = parts
    flat = _FLAT.fullmatch(name)
    words = folders + [flat[key] or "" for key in ("actor", "view", "emotion")] if flat else folders
    actor, part = _one("actor", (find_actor(word) for word in words)) or ("", "")
    emotion = _one("emotion", (_EMOTION.get(word.lower()) for word in words))
    view = _one("view", map(_view, words)) or UNKNOWN
    level = _one("level", (int(found[1]) for found in map(_LEVEL.fullmatch, folders) if found))
    if flat:
        level = int(flat["level"][-1])
    for reason, value in (("actor", actor), ("emotion", emotion)):
        if not value:
            raise ParseError(reason, f"no part of the path names {_EXPECTED[reason]}")
    if level is None and emotion == "neutral":
        level = 1
    if level not in (1, 2, 3):
        raise ParseError("level", f"level {level}, expected level_1, level_2 or level_3")
    number = flat["number"] if flat else name
    if not re.fullmatch("[0-9]{1,4}", number):
        raise ParseError("name", f"{name!r} is no clip's name, expected one like 001")
    return Label(actor, part, str(emotion), level, view, int(number))


_EXPECTED = {"actor": "an actor, like M003 or W040", "emotion": f"one of {', '.join(EMOTIONS)}"}


def parse_list_line(line: str) -> ListLine:
    """Parse "W003/W003_73_1_output_01/000.jpg 7 0 ...": picture, emotion and level codes.

    A fourth word (the picture of the same actor that the authors compare with) has no
    meaning here. Levels count from 0 in the lists.

    Raises:
        ParseError: the line is not so.
    """
    words = line.split()
    if len(words) not in (3, 4):
        raise ParseError("line", f"{len(words)} words, expected picture, emotion, level")
    picture = PurePosixPath(words[0])
    folder = _LIST_FOLDER.fullmatch(picture.parent.name)
    if folder is None or picture.is_absolute() or ".." in picture.parts:
        raise ParseError("name", f"{words[0]!r}, expected a path like M003/M003_01_1_output_01/000")
    codes = [int(word) if re.fullmatch("[0-9]", word) else 9 for word in words[1:3]]
    if codes[0] >= len(LIST_EMOTIONS) or codes[1] > 2:
        found = " ".join(words[1:3])
        raise ParseError("label", f"emotion and level {found!r}, expected 0..7 and 0..2")
    label = Label(
        folder[1].upper(), "", LIST_EMOTIONS[codes[0]], codes[1] + 1, UNKNOWN, int(folder[2])
    )
    return ListLine(picture, label, picture.parent.name)


@lru_cache(maxsize=4096)
def _view(word: str) -> str | None:
    return _VIEW.get(re.sub(r"[_\- ]", "", word.lower()))


def _one(kind: str, found: Iterable[_Value | None]) -> _Value | None:
    """Return the one value found, or None; a folder may repeat it."""
    values = {value for value in found if value is not None}
    if len(values) > 1:
        told = " and ".join(sorted(map(str, values)))
        raise ParseError(kind, f"the path names more than one {kind}: {told}")
    return values.pop() if values else None
