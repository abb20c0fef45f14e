"""The grammar of the embedded corpus: emotional texts put together from written clauses.

The written material is in ``data/grammar``; its README explains the notation.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TypeVar

from expclip.tead.schema import SourceText

__all__ = ["CAPACITY", "GRAMMAR_VERSION", "grammar_texts"]

GRAMMAR_VERSION = "1"

CAPACITY = 200_000
"""Most texts of one seed; far beyond it they would differ in little more than names."""

_TOKEN = re.compile(r"[\[\]|]|\{[^{}]*\}|[^\[\]|{}]+")
_WORD = re.compile(r"[a-z']{5,}")
_PRONOUNS = {
    "he": {"f": "she", "m": "he"},
    "him": {"f": "her", "m": "him"},
    "his": {"f": "her", "m": "his"},
    "himself": {"f": "herself", "m": "himself"},
}
_KINDS = {"-": "past", "~": "state", ">": "feel", ".": "remark", "*": "line", "!": "gesture"}
_CLAUSES = frozenset({"event", "past", "state"})
_LISTS = {"am", "mild", "not", "tag", "open", "with"}
_MAY_REPEAT = frozenset(
    "about after again because before could every everyone everything first going minutes never"
    " nobody other should since something still their there these thing things think those three"
    " through today until where which while whole would years".split()
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Slot:
    """A hole: ``{name}``, ``{a name}`` (with its article) or ``{name.form}`` (a pronoun)."""

    name: str
    form: str = ""
    article: bool = False


_Parts = tuple["str | _Slot | _Choice", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """``[one|other]``."""

    options: tuple[_Parts, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One way to fill a hole; a person has a gender, a mixed feeling a second label."""

    parts: _Parts
    gender: str = ""
    label: str = ""


_Rules = Mapping[str, Sequence[_Rule]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The order of the clauses of a text; a plain one is never made casual."""

    rule: _Rule
    plain: bool


@dataclass(frozen=True, slots=True)
class _Emotion:
    """What there is to say about one emotion."""

    name: str
    weight: int
    loud: bool
    rules: _Rules
    plans: tuple[_Plan, ...]


_Said = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class _Section:
    """What the file of a family says about one emotion, and about all of the family."""

    weight: int
    loud: bool
    family: _Said
    own: _Said

    def said(self) -> _Said:
        """Return the clauses of both, and the emotion's own lists in place of the family's."""
        said = self.family | self.own
        for kind in _KINDS.values():
            if kind in said:
                said[kind] = self.family.get(kind, []) + self.own.get(kind, [])
        return said


@dataclass(slots=True)
class _Draft:
    """One text while it is being written: what a hole was filled with stays."""

    rules: _Rules
    rng: random.Random
    filled: dict[str, tuple[str, str]] = field(default_factory=dict)
    gender: str = ""
    label: str = ""

    def write(self, parts: _Parts) -> str:
        """Return the words of ``parts``, every hole filled."""
        words = []
        for part in parts:
            if isinstance(part, str):
                words.append(part)
            elif isinstance(part, _Slot):
                words.append(self._fill(part))
            else:
                words.append(self.write(_pick(part.options, self.rng)))
        return "".join(words)

    def _fill(self, slot: _Slot) -> str:
        if slot.name in _PRONOUNS:
            return _PRONOUNS[slot.name][self.gender]
        if slot.name not in self.filled:
            self.filled[slot.name] = self._draw(self.rules[slot.name.rstrip("0123456789")])
        words, gender = self.filled[slot.name]
        self.gender = gender or self.gender
        if slot.form:
            return _PRONOUNS[slot.form][gender]
        return f"{_article(words)} {words}" if slot.article else words

    def _draw(self, rules: Sequence[_Rule]) -> tuple[str, str]:
        taken = [words for words, _ in self.filled.values()]
        for _ in range(8):
            rule = _pick(rules, self.rng)
            words = self.write(rule.parts)
            if not any(words in other or other in words for other in taken):
                break
        self.label = rule.label or self.label
        return words, rule.gender


def grammar_texts(count: int = 50_000, *, seed: int = 0) -> list[SourceText]:
    """Return ``count`` distinct texts, each labelled with the emotion it was written for.

    Texts are distinct even in lower case and without punctuation. Fewer texts of one
    seed are always the beginning of more.

    Raises:
        ValueError: ``count`` is negative or above ``CAPACITY``.
    """
    if not 0 <= count <= CAPACITY:
        raise ValueError(f"count must be 0 to {CAPACITY} (the grammar's capacity), got {count}")
    emotions = [emotion for emotion in _emotions() for _ in range(emotion.weight)]
    seen: set[str] = set()
    texts = []
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        emotion = _pick(emotions, rng)
        while True:
            text, label = _compose(emotion, rng)
            key = "".join(filter(str.isalnum, text.lower()))
            if key not in seen:
                break
        seen.add(key)
        labels = (emotion.name, label) if label else (emotion.name,)
        texts.append(SourceText(text, "grammar", labels, synthetic=True))
    return texts


def _compose(emotion: _Emotion, rng: random.Random) -> tuple[str, str]:
    """Return a text without clumsy repetitions, and its second label or ""."""
    while True:
        plan = _pick(emotion.plans, rng)
        draft = _Draft(emotion.rules, rng)
        text = _tidy(draft.write(plan.rule.parts), loud=emotion.loud and rng.random() < 0.3)
        whole = "line" in draft.filled and _CLAUSES.isdisjoint(draft.filled)
        if not whole and _repeats(text):
            continue
        if not plan.plain:
            text = _restyle(text, draft)
        if 3 <= text.count(" ") + 1 <= 60:
            return text, draft.label


def _restyle(text: str, draft: _Draft) -> str:
    """Return the text as it is or as typed with one thumb, perhaps with a tag."""
    if draft.rng.random() < 0.3:
        slang, slangs = _slang()
        text = slang.sub(lambda match: slangs[match[0]], text.lower()).removesuffix(".")
    if draft.rng.random() < 0.2:
        text = f"{text} {draft.write((_Slot('tag'),))}"
    return text


def _pick(items: Sequence[T], rng: random.Random) -> T:
    # random() is the one method whose values no Python version changes.
    return items[int(rng.random() * len(items))]


def _article(words: str) -> str:
    sounds_open = re.match(r"(?!uni|use|usu|one|euro|ukulele)[aeiou]|hour|honest", words.lower())
    return "an" if sounds_open else "a"


def _repeats(text: str) -> bool:
    words = [word for word in _WORD.findall(text.lower()) if word not in _MAY_REPEAT]
    return len(words) != len(set(words)) or text.count(" and ") > 2


def _tidy(text: str, *, loud: bool) -> str:
    """Put spaces, punctuation and capitals right."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,.!?])", r"\1", text)
    text = re.sub(r"([!?…])[.,]", r"\1", text)
    if loud and text.endswith("."):
        text = text[:-1] + "!"
    return re.sub(r'(?:^|[.!?] )"?[a-z]', lambda match: match[0].upper(), text)


def _read(name: str) -> list[str]:
    """Return the lines of a file of the grammar, without comments and empty ones."""
    text = files("expclip.tead").joinpath("data/grammar", name).read_text("utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


@cache
def _slang() -> tuple[re.Pattern[str], dict[str, str]]:
    slangs = dict(line.split(" -> ") for line in _read("slang.txt"))
    return re.compile(rf"\b({'|'.join(slangs)})\b"), slangs


@cache
def _words() -> dict[str, list[_Rule]]:
    words: dict[str, list[_Rule]] = {}
    for line in _read("words.txt"):
        head, _, entries = line.partition(":")
        name, _, gender = head.partition("/")
        rules = (_Rule(_parse(entry.strip()), gender) for entry in entries.split(";"))
        words.setdefault(name, []).extend(rules)
    return words


@cache
def _plans() -> tuple[_Plan, ...]:
    plans = []
    for line in _read("plans.txt"):
        weight, style, text = line.split(" ", 2)
        plans += [_Plan(_Rule(_parse(text)), style == "plain")] * int(weight)
    return tuple(plans)


@cache
def _emotions() -> tuple[_Emotion, ...]:
    """Return the emotions, as the files of the families tell them."""
    sections: dict[str, _Section] = {}
    for name in _read("families.txt"):
        family: _Said = {}
        said = family
        for line in _read(f"{name}.txt"):
            mark, _, rest = line.partition(" ")
            if mark == "==":
                said = family = {}
            elif match := re.fullmatch(r"= (.+?) (\d+)( loud)?", line):
                said = {}
                sections[match[1]] = _Section(int(match[2]), bool(match[3]), family, said)
            elif mark in _KINDS:
                said.setdefault(_KINDS[mark], []).append(rest)
            elif mark[:-1] in _LISTS:
                said[mark[:-1]] = [entry.strip() for entry in rest.split(";")]
            else:
                raise AssertionError(f"{name}.txt: no such kind of line: {line!r}")
    return tuple(_emotion(name, sections) for name in sections)


def _emotion(name: str, sections: Mapping[str, _Section]) -> _Emotion:
    section = sections[name]
    said = section.said()
    said["event"] = said["past"] + said.get("state", [])
    others = said.pop("with", [])
    also = [f"{am} @{other}" for other in others for am in sections[other].own["am"]]
    rules: dict[str, Sequence[_Rule]] = dict(_words())
    for kind, lines in (said | {"also": also}).items():
        if lines:
            rules[kind] = [_labelled(line) for line in lines]
    plans = tuple(plan for plan in _plans() if _names(plan.rule.parts) <= rules.keys())
    return _Emotion(name, section.weight, section.loud, rules, plans)


def _labelled(line: str) -> _Rule:
    text, _, label = line.partition(" @")
    return _Rule(_parse(text), label=label)


def _names(parts: _Parts) -> set[str]:
    """Return the names of the holes in ``parts``, without their numbers."""
    names = set()
    for part in parts:
        if isinstance(part, _Slot) and part.name not in _PRONOUNS:
            names.add(part.name.rstrip("0123456789"))
        elif isinstance(part, _Choice):
            names.update(*map(_names, part.options))
    return names


def _parse(text: str) -> _Parts:
    """Read the notation of a clause."""
    levels: list[list[list[str | _Slot | _Choice]]] = [[[]]]
    for token in _TOKEN.findall(text):
        if token == "[":
            levels.append([[]])
        elif token == "|":
            levels[-1].append([])
        elif token == "]":
            options = levels.pop()
            levels[-1][-1].append(_Choice(tuple(tuple(option) for option in options)))
        elif token[0] == "{":
            name, _, form = token[1:-1].removeprefix("a ").partition(".")
            levels[-1][-1].append(_Slot(name, form, token.startswith("{a ")))
        else:
            levels[-1][-1].append(token)
    assert len(levels) == 1 and len(levels[0]) == 1, f"unbalanced brackets: {text!r}"
    return tuple(levels[0][0])
