"""Prompts: text files with named holes, in-context examples, and the shape of the answer.

The paper's prompts are not printed; these are ours. They follow what it says of them:
in-context examples, tags and action units first, then situations from the tags.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from expclip.face import ACTION_UNITS, AU_CODES, HARD_PAIRS
from expclip.face.errors import DataError
from expclip.face.files import write_atomically

__all__ = ["PROMPT_NAMES", "Message", "Prompts", "answer_schema"]

Message = dict[str, str]
"""A chat message: its "role" and its "content"."""

PROMPT_NAMES = ("tags", "situations", "single")
"""The questions that can be asked: two for the two calls of a row, one for both in one."""

_FILES = (*(f"{name}.txt" for name in (*PROMPT_NAMES, "again")), "examples.jsonl")
_HOLE = re.compile(r"\{\{(\w+)\}\}")
_ANSWER_KEYS = {
    "tags": ("emotions", "aus"),
    "situations": ("situations",),
    "single": ("emotions", "aus", "situations"),
}
_AU_PATTERN = "^([LR]-)?AU({})[A-E]?$".format("|".join(map(str, AU_CODES)))
_ITEMS: dict[str, dict[str, Any]] = {
    "emotions": {"items": {"type": "string"}, "minItems": 3, "maxItems": 5},
    "aus": {"items": {"type": "string", "pattern": _AU_PATTERN}, "maxItems": 12},
    "situations": {"items": {"type": "string"}, "minItems": 1, "maxItems": 3},
}


@dataclass(frozen=True)
class Prompts:
    """The prompt templates of one folder.

    Attributes:
        templates: content by file name: ``tags.txt``, ``situations.txt``,
            ``single.txt``, ``again.txt`` and ``examples.jsonl``.
    """

    templates: Mapping[str, str]

    @classmethod
    def load(cls, folder: Path | None = None) -> "Prompts":
        """Read the templates of a folder, or the embedded ones.

        A folder need not hold all files: the embedded ones stand in.

        Raises:
            DataError: the folder is missing, holds none of the files, or an example
                or hole is wrong.
        """
        embedded = files("expclip.tead").joinpath("templates")
        templates = {name: embedded.joinpath(name).read_text("utf-8") for name in _FILES}
        if folder is not None:
            own = {name: folder / name for name in _FILES if (folder / name).is_file()}
            if not own:
                raise DataError(f"{folder}: no prompt found, expected one of {', '.join(_FILES)}")
            templates |= {name: path.read_text("utf-8") for name, path in own.items()}
        prompts = cls(templates)
        for name in PROMPT_NAMES:
            prompts.messages(name, {"text": "", "emotions": ""})
        prompts.again("")
        return prompts

    @cached_property
    def version(self) -> str:
        """12 hexadecimal digits: a hash of the templates and of what fills their holes."""
        content = [self.templates[name] for name in _FILES] + [_units(), _conflicts()]
        return hashlib.sha256("\0".join(content).encode()).hexdigest()[:12]

    def messages(self, name: str, holes: Mapping[str, str]) -> tuple[Message, ...]:
        """Return a question: system message, worked examples, and the question itself.

        Args:
            name: one of ``PROMPT_NAMES``.
            holes: what fills the holes of the user's part, "text" or "emotions".

        Raises:
            DataError: the template has no such parts, or a hole is left unfilled.
        """
        parts = self._parts(f"{name}.txt")
        return (*self._openings[name], _user(_fill(name, parts["user"], holes)))

    def again(self, problem: str) -> Message:
        """Return the message that asks again, naming what was wrong with the answer."""
        return _user(_fill("again", self._parts("again.txt")["user"], {"problem": problem}))

    def export(self, folder: Path) -> list[Path]:
        """Write the templates to a folder, to be changed; returns their paths.

        Raises:
            DataError: one of them is there already, or the folder cannot be written.
        """
        paths = [folder / name for name in _FILES]
        for path in paths:
            if path.exists():
                raise DataError(f"{path}: exists already, choose another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot be made: {error.strerror}") from None
        for path in paths:
            with write_atomically(path) as temporary:
                temporary.write_text(self.templates[path.name], "utf-8")
        return paths

    @cached_property
    def _openings(self) -> dict[str, tuple[Message, ...]]:
        """System message and worked examples of each question: the same for every row."""
        fixed = {"units": _units(), "conflicts": _conflicts()}
        openings: dict[str, tuple[Message, ...]] = {}
        for name in PROMPT_NAMES:
            parts = self._parts(f"{name}.txt")
            system = _fill(name, parts["system"], fixed)
            fixed.setdefault(name, system)  # "single" builds on "tags"
            shots = [
                message
                for example in self._examples
                for message in (
                    _user(_fill(name, parts["user"], _holes_of(example))),
                    {"role": "assistant", "content": _answer(example, _ANSWER_KEYS[name])},
                )
            ]
            openings[name] = ({"role": "system", "content": system}, *shots)
        return openings

    def _parts(self, file: str) -> dict[str, str]:
        pieces = re.split(r"^### (\w+)\n", self.templates[file], flags=re.MULTILINE)
        parts = dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))
        for name in ("user",) if file == "again.txt" else ("system", "user"):
            if name not in parts:
                raise DataError(f"{file}: no part '### {name}'")
        return parts

    @cached_property
    def _examples(self) -> list[dict[str, Any]]:
        examples = []
        for number, line in enumerate(self.templates["examples.jsonl"].splitlines(), start=1):
            try:
                example = json.loads(line)
                examples.append({key: example[key] for key in ("text", *_ANSWER_KEYS["single"])})
            except (ValueError, KeyError, TypeError):
                raise DataError(
                    f"examples.jsonl: line {number} is not an object with text, emotions, "
                    "aus and situations"
                ) from None
        return examples


def answer_schema(name: str) -> dict[str, Any]:
    """Return the JSON schema of the answer to a question, in OpenAI's strict form."""
    keys = _ANSWER_KEYS[name]
    return {
        "type": "object",
        "properties": {key: {"type": "array", **_ITEMS[key]} for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _answer(example: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return json.dumps({key: example[key] for key in keys}, ensure_ascii=False)


def _holes_of(example: Mapping[str, Any]) -> dict[str, str]:
    return {"text": example["text"], "emotions": ", ".join(example["emotions"])}


def _fill(name: str, template: str, holes: Mapping[str, str]) -> str:
    """Fill every hole, once: what fills a hole is not searched for holes."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in holes:
            raise DataError(
                f"{name}.txt: hole {match[0]} is not filled, known are {', '.join(sorted(holes))}"
            )
        return holes[match[1]]

    return _HOLE.sub(value, template)


def _units() -> str:
    return "\n".join(f"AU{unit.code} {unit.name}: {unit.description}" for unit in ACTION_UNITS)


def _conflicts() -> str:
    return ", ".join(f"{first} with {second}" for first, second in sorted(HARD_PAIRS))
