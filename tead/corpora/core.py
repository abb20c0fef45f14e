"""The core corpus: texts written for this package, each annotated by itself.

Plain JSONL shards by theme under ``data/core/``; its README is the guideline by which
rows are written and annotated. Licence: CC BY 4.0. Written and annotated with a language
model, and reviewed; no text is taken from anywhere.
"""

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from expclip.face import parse_action
from expclip.face.errors import DataError, ParseError
from expclip.tead.corpora.corpus import normalise
from expclip.tead.rules import check_situations, check_tags
from expclip.tead.schema import Annotation, SourceText

__all__ = [
    "CORE_VERSION",
    "REGISTERS",
    "TRAITS",
    "CoreRow",
    "emotion_words",
    "read_core",
    "words_of",
]

CORE_VERSION = "1"
"""Goes up when any row changes; recorded with every data set."""

REGISTERS = (
    "caption",
    "child",
    "comment",
    "dialogue",
    "diary",
    "elder",
    "letter",
    "message",
    "note",
    "post",
    "review",
    "speech",
)
"""Who speaks to whom, and how."""

TRAITS = ("implicit", "misleading", "mixed", "neutral")
"""What is particular about a text: no emotion word; a word count would mislead; two
feelings; none."""

_LENGTHS = range(3, 61)
_EMOTION_WORD = re.compile(
    r"""happ(y|ier|iest|ily|iness)|sad(ly|ness|der|dest)?|ang(ry|er|rily)|lov(e|ed|es|ing|ely)
    |hat(e|ed|es|ing)|scar(e|ed|es|y|ing)|afraid|worr(y|ied|ies|ying)|proud(ly)?|pride
    |cr(y|ied|ies|ying)|laugh\w*|smil(e|ed|es|ing)|tears?|sorry|glad(ly)?|ugh|wow|joy\w*|fear\w*
    |terrif\w+|terror|furious\w*|fury|annoy\w+|disgust\w*|asham\w+|shame\w*|guilt\w*|jealous\w*
    |env(y|ious)|excit\w+|thrill\w*|bor(ed|ing|edom)|lone(ly|liness)|griev\w+|grief|relie(f|ved)
    |nervous\w*|anxi\w+|panic\w*|hope\w*|embarrass\w+|grateful\w*|thank\w*|amaz\w+|awful\w*
    |horri\w+|delight\w*|cheer\w*|upset\w*|surpris\w+|shock\w*|confus\w+|disappoint\w+
    |frustrat\w+|regret\w*|dread\w*|awe(some|struck|d)?|enjoy\w*|calm\w*|yay|omg|lol|haha\w*""",
    re.VERBOSE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # noqa: RUF001  (curly apostrophes)


@dataclass(frozen=True)
class CoreRow:
    """One row: a text and its annotation, its theme, register and traits."""

    text: SourceText
    theme: str
    register: str
    traits: tuple[str, ...]

    @property
    def annotation(self) -> Annotation:
        """The row's own annotation."""
        assert self.text.annotation is not None  # read_core sees to it
        return self.text.annotation


@cache
def read_core(folder: Path | None = None) -> tuple[CoreRow, ...]:
    """Read the shards of a folder, or the embedded ones, in the order of their names.

    Raises:
        DataError: a row breaks a rule of the guideline: its form, its length, its tags,
            units or situations, or it stands there twice.
    """
    place = folder or files("expclip.tead").joinpath("data/core")
    shards = sorted(
        (entry for entry in place.iterdir() if entry.name.endswith(".jsonl")),
        key=lambda entry: entry.name,
    )
    seen: dict[str, str] = {}
    rows: list[CoreRow] = []
    for shard in shards:
        theme = shard.name.removesuffix(".jsonl")
        for number, line in enumerate(shard.read_text("utf-8").splitlines(), start=1):
            where = f"{shard.name}: row {number}"
            row = _parse_row(where, line, theme)
            before = seen.setdefault(normalise(row.text.text), where)
            if before != where:
                raise DataError(f"{where}: the text stands already in {before}")
            rows.append(row)
    if not rows:
        raise DataError(f"{place}: no row of core found, expected JSONL shards")
    return tuple(rows)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and numbers."""
    return [word.lower() for word in _WORD.findall(text)]


def emotion_words(text: str) -> list[str]:
    """Return the words of a text that name an emotion or its plain signs, by a short list."""
    return [word for word in words_of(text) if _EMOTION_WORD.fullmatch(word)]


def _parse_row(where: str, line: str, theme: str) -> CoreRow:
    keys = ("text", "register", "traits", "emotions", "aus", "situations")
    try:
        row: dict[str, Any] = json.loads(line)
        text, register, traits, emotions, aus, situations = (row[key] for key in keys)
        actions = tuple(map(parse_action, aus))
        annotation = Annotation(tuple(emotions), actions, tuple(situations))
        check_tags(annotation)
        check_situations(annotation.situations)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: not an object with {', '.join(keys)} ({error})") from None
    except ParseError as error:
        raise DataError(f"{where}: {error}") from None
    problem = _problem(text, register, traits, annotation)
    if problem:
        raise DataError(f"{where}: {problem}")
    source = replace(SourceText(text, "core"), annotation=annotation)
    return CoreRow(source, theme, register, tuple(traits))


def _problem(text: str, register: str, traits: list[str], annotation: Annotation) -> str | None:
    """Return the rule of the guideline that a row breaks."""
    if len(text.split()) not in _LENGTHS or text != " ".join(text.split()):
        return f"{len(text.split())} words, expected {_LENGTHS[0]} to {_LENGTHS[-1]} on one line"
    if register not in REGISTERS:
        return f"register {register!r}, expected one of {', '.join(REGISTERS)}"
    if not set(traits) <= set(TRAITS):
        return f"traits {traits!r}, expected some of {', '.join(TRAITS)}"
    if "implicit" in traits and emotion_words(text):
        return f"implicit, but has the emotion word {emotion_words(text)[0]!r}"
    if any(action.intensity is None for action in annotation.actions):
        return "a unit without intensity letter"
    units = [(action.code, action.side) for action in annotation.actions]
    return "a unit twice" if len(set(units)) < len(units) else None
