"""Loose JSON: the objects and lists that language models write, wherever they stand.

Strict JSON goes through `json`. What that refuses is read again by a tolerant reader:
comments, trailing or missing commas, single or curly quotes, quotes and line breaks
inside strings, Python literals, bare words, wrong or missing brackets at the end. It
never evaluates anything, nests at most 32 deep and runs in linear time.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Found", "Json", "find_json", "read_strict"]

Json = dict[str, "Json"] | list["Json"] | str | float | int | bool | None
"""A value as `json.loads` returns it."""

_MAX_DEPTH = 32
_MAX_FAILURES = 16  # openings that turn out not to be JSON, per kind of bracket

_MAX_VALUES = 100

_SPACE = re.compile(r"(?:\s++|//[^\n]*+|#[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_CLOSERS = {'"': '"\u201d\uff02', "'": "'\u2019", "\u201c": '\u201d\u201c"', "\u2018": "\u2019'"}
_CLOSERS |= {"\u201d": '\u201d"', "\u2019": "\u2019'", "\u201e": '\u201c\u201d"'}
_CLOSERS |= {"\uff02": '\uff02"', "\u00ab": "\u00bb", "`": "`"}
_STOPS = {opener: re.compile(rf"[\\{closers}]") for opener, closers in _CLOSERS.items()}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_BARE = re.compile(r"(?:(?!//)[^,:=\uff0c\uff1a\u3001{}\[\]\"\n])++")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,30})?([eE][+-]?\d{1,3})?")
_COLON = re.compile(r"=>|[:=\uff1a]")
_COMMA = ",;\uff0c\u3001\u060c"
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None, "none": None}
_WORDS |= {"undefined": None, "nan": None}


@dataclass(frozen=True, slots=True)
class Found:
    """A value found in a text, from ``start`` to before ``end``.

    Attributes:
        value: the object or list.
        cut: the text ended inside it.
        cut_keys: names of the members, at any depth, that the end of the text cut short.
    """

    value: Json
    start: int
    end: int
    cut: bool = False
    cut_keys: frozenset[str] = frozenset()


class _NotJson(Exception):
    """What stands here is no JSON, however loosely read."""


def read_strict(text: str) -> Json:
    """Return the value of a text that is JSON and nothing else, None if it is not."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def find_json(text: str, opening: str = "{") -> Iterator[Found]:
    """Find the outermost values that begin with the bracket ``opening``, in order."""
    failures = values = 0
    start = text.find(opening)
    while start >= 0 and failures < _MAX_FAILURES and values < _MAX_VALUES:
        reader = _Reader(text, start)
        try:
            value = reader.read(0)
        except _NotJson:
            failures += 1
            start = text.find(opening, start + 1)
            continue
        yield Found(value, start, reader.pos, reader.cut, frozenset(reader.cut_keys))
        values += 1
        start = text.find(opening, reader.pos)


class _Reader:
    """Reads one value; ``cut`` tells that the text ended first."""

    def __init__(self, text: str, pos: int) -> None:
        self.text = text
        self.pos = pos
        self.cut = False
        self.cut_keys: set[str] = set()

    def read(self, depth: int) -> Json:
        """Read the value at the current position."""
        if depth > _MAX_DEPTH:
            raise _NotJson
        match self._peek():
            case "{":
                return self._read_object(depth)
            case "[":
                return self._read_list(depth)
            case mark if mark in _CLOSERS:
                return self._read_string(mark)
        return self._read_bare()

    def _peek(self, skip: str = "") -> str:
        """Skip space, comments and the marks in ``skip``; return the next mark, "" at the end."""
        while True:
            space = _SPACE.match(self.text, self.pos)
            self.pos = space.end() if space else self.pos
            if self.pos >= len(self.text):
                return ""
            if self.text[self.pos] not in skip:
                return self.text[self.pos]
            self.pos += 1

    def _read_object(self, depth: int) -> Json:
        members: dict[str, Json] = {}
        self.pos += 1
        while (mark := self._peek(skip=_COMMA)) not in ("}", "]", ""):
            key = self._read_string(mark) if mark in _CLOSERS else self._read_bare()
            if self._peek() == "":
                break
            colon = _COLON.match(self.text, self.pos)
            if colon is None:
                raise _NotJson
            self.pos = colon.end()
            if self._peek() == "":
                self.cut_keys.add(str(key))
                break
            value = self.read(depth + 1)
            if self.cut:
                self.cut_keys.add(str(key))
            if not self.cut or isinstance(value, dict | list):
                members[str(key)] = value
        self._close("}")
        return members

    def _read_list(self, depth: int) -> Json:
        items: list[Json] = []
        self.pos += 1
        while self._peek(skip=_COMMA) not in ("]", "}", ""):
            value = self.read(depth + 1)
            if _COLON.match(self.text, self.pos):
                raise _NotJson
            if not self.cut or isinstance(value, dict | list):
                items.append(value)
        self._close("]")
        return items

    def _close(self, bracket: str) -> None:
        """Step over the closing bracket; leave another's to whoever opened it."""
        mark = self._peek()
        if mark == bracket:
            self.pos += 1
        elif mark == "":
            self.cut = True

    def _read_string(self, opener: str) -> str:
        start = self.pos + 1
        for stop in _STOPS[opener].finditer(self.text, start):
            at = stop.start()
            if at < start or at < self.pos + 1:  # the mark after a backslash
                continue
            if stop[0] == "\\":
                self.pos = at + 1
            elif self._ends_string(at + 1):
                self.pos = at + 1
                return _unescape(self.text[start:at])
        self.pos = len(self.text)
        self.cut = True
        return ""

    def _ends_string(self, after: int) -> bool:
        """Tell the quote that ends a string from one inside it, by what follows."""
        space = _SPACE.match(self.text, after)
        end = space.end() if space else after
        if end >= len(self.text) or self.text[end] in ":=}]\uff1a" + _COMMA:
            return True
        return "\n" in self.text[after:end] or (end > after and self.text[end] in _CLOSERS)

    def _read_bare(self) -> Json:
        bare = _BARE.match(self.text, self.pos)
        if bare is None:
            raise _NotJson
        self.pos = bare.end()
        self.cut = self.pos >= len(self.text)
        word = bare[0].strip().strip("'").strip()
        if word.casefold() in _WORDS:
            return _WORDS[word.casefold()]
        if number := _NUMBER.fullmatch(word):
            return float(word) if number[1] or number[2] else int(word)
        return word


def _unescape(raw: str) -> str:
    if "\\" not in raw:
        return raw
    text = _ESCAPE.sub(_unescape_one, raw)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescape_one(match: re.Match[str]) -> str:
    mark = match[1]
    return chr(int(mark[1:], 16)) if len(mark) == 5 else _ESCAPES.get(mark, mark)
