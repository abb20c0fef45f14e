"""Action units in text: finding them, and settling what was found into actions.

Intensities. A letter A to E is taken as it is. Words: trace A; slight, mild, weak, low B;
moderate, marked, medium C; strong, severe, high, intense D; maximum, extreme, full E.
Numbers of one reply share a scale, told by the largest: only 0 and 1 are absent and
present; up to 1 a weight; up to 5 the letters; up to 10 tenths; up to 100 per cent. A
weight becomes the letter whose own weight is nearest. 0 on any scale means absent.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from expclip.face.action_units import ACTION_UNITS, AU_INDEX, INTENSITIES, Action
from expclip.tead.parsing.names import find_names

__all__ = ["Mention", "fold", "grade", "read_units", "settle"]

_ABSENT = frozenset("absent no not none false inactive off missing negative n/a na".split()) | {
    "not present",
    "not active",
    "not visible",
    "not shown",
    "not activated",
    "not observed",
}
_PRESENT = frozenset("present active yes true on unilateral bilateral sides".split())
_WORDS = {
    "A": "trace, very slight, very mild, very weak, very low, minimal, barely, faint",
    "B": "slight, slightly, mild, mildly, weak, low, subtle, light, small, soft",
    "C": "moderate, moderately, medium, marked, pronounced, mid, average",
    "D": "strong, strongly, severe, high, intense, heavy",
    "E": "maximum, maximal, max, extreme, full, very strong, very high, very intense",
}
_LETTERS = {word: letter for letter, words in _WORDS.items() for word in words.split(", ")}
_SIDES = {"left": "L", "right": "R", "l": "L", "r": "R"}

_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?:(left|right|[LR])[ -]?)?(?:A\.?U\.?s?|action units?)[ _#.:\-]{0,3}"
    r"(\d++(?:\.\d++)?)(?:([LR])?([A-E])?|([A-E])([LR]))(?:_[rc])?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SUM = re.compile(
    r"(?<![A-Za-z0-9.+])(?<!\+ )((?:[LR]-?)?\d{1,3}[A-E]?(?:\s?\+\s?(?:[LR]-?)?\d{1,3}[A-E]?)++)"
    r"(?![A-Za-z0-9])"
)
_HARD_NEXT = re.compile(
    r"\s?(?:[+&/]|(?<=\d)-(?=\d))\s?(?:([LR])-?)?(\d{1,3}+)(?!\.\d|/)([A-E])?([LR])?(?![A-Za-z0-9])"
)
_SOFT_NEXT = re.compile(
    r"\s?(?:[,;]|,? ?\b(?:and|or)\b)\s?(?:and )?(?:([LR])-?)?(\d{1,3}+)(?!\.\d)([A-E])?([LR])?"
    r"(?=\s?(?:$|[+&/,;)\]|]|\.(?!\d)|(?:and|or|are|is)\b))"
)
_BARE = re.compile(r"(?:([LR])-?)?(?:AU)?(\d++(?:\.0)?)([A-E])?([LR])?", re.IGNORECASE)
_BARE_SPLIT = re.compile(r"\band\b|[+,;/&|\s\[\](){}]++")
_BULLET = re.compile(r"\s{0,99}(?:[-*\u2022\u00b7>\u2013\u2014]\s?)?(?:\d{1,3}[.)](?=\s))?\s{0,99}")
_NEGATED = re.compile(
    r"\b(?:no|not|without|never|nor|neither|lacks?|lacking|absence of|excluding|except|minus"
    r"|instead of|rather than|absent|inactive)"
    r"(?: (?:any|the|signs? of|visible|evidence of))?"
    r"[\s:]{0,3}$",
    re.IGNORECASE,
)
_STILL_NEGATED = re.compile(r"\s?,?\s?(?:n?or)\s?$", re.IGNORECASE)
_PIECE = re.compile(r"([|,;:=()\[\]\u2014\u2013]|\s-\s|(?<!\w)-(?!\w))")
_GRADE_FILLER = re.compile(
    r"\b(?:intensity|level|strength|score|value|grade|about|approximately|side|only|at|on|the|of)\b"
)
_FIGURE = re.compile(r"(\d{1,6}(?:\.\d{1,20})?|\.\d{1,20})\s?(?:/\s?(\d{1,3})|(%))?")
_MAX_PIECES = 10
_MAX_LABEL = 40
_MAX_MENTIONS = 1000  # of one reply; no honest one has more


@dataclass(frozen=True, slots=True)
class Mention:
    """One unit as a reply speaks of it.

    Attributes:
        code: FACS code, None if it is not one of the 36.
        label: the unit as the reply calls it, for notes.
        letter: intensity, if given as a letter or a word.
        number: intensity, if given as a number.
        scale: what the number counts to, if the reply says so.
        side: "L" or "R".
        present: False if the reply says that the unit does not show.
        remark: what is odd about it.
    """

    code: int | None
    label: str
    letter: str | None = None
    number: float | None = None
    scale: float | None = None
    side: str | None = None
    present: bool = True
    remark: str | None = None


def fold(text: str) -> str:
    """Return the text with ASCII digits and punctuation in place of their other forms."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)[: 3 * len(text)].translate(_PUNCTUATION)
    return re.sub(r"(?![0-9])\d", lambda digit: str(unicodedata.decimal(digit[0])), text)


_PUNCTUATION = {
    ord(mark): plain
    for marks, plain in (
        ("\u3001\u060c\uff64\u30fb", ","),
        ("\u061b", ";"),
        ("\u3010\u3014\u300c\u300e", "("),
        ("\u3011\u3015\u300d\u300f", ")"),
        ("\u3002", ". "),
        ("\u2010\u2011\u2212", "-"),
    )
    for mark in marks
}


def read_units(text: str, *, expected: bool) -> list[Mention]:
    """Find the units in a folded text.

    Args:
        text: the result of `fold`.
        expected: the text stands where units belong, so bare numbers, everyday names
            ("raised cheeks") and names that nobody knows are taken for what they are
            meant to be. Elsewhere only codes, sums and the formal names count.
    """
    mentions = (found for line in text.splitlines() for found in _read_line(line, expected))
    return list(islice(mentions, _MAX_MENTIONS))


def grade(text: str) -> dict[str, object] | None:
    """Read an intensity, side or absence ("C", "0.7", "3/5", "strong", "left").

    Returns:
        The fields of a Mention that the text sets, or None if it is none of these.
    """
    text = text.strip(" .*_'\"")
    if len(text) > _MAX_LABEL:
        return None
    if text in INTENSITIES:
        return {"letter": text}
    word = _GRADE_FILLER.sub("", text.casefold()).strip()
    if not word:
        return {} if text else None
    if figure := _FIGURE.fullmatch(word):
        scale = 100.0 if figure[3] else float(figure[2]) if figure[2] else None
        return {"number": float(figure[1]), "scale": scale}
    if word in _ABSENT:
        return {"present": False}
    found: dict[str, object] = {}
    for part in word.replace("very ", "very_").split():
        side, letter = _SIDES.get(part), _LETTERS.get(part.replace("_", " "))
        if side:
            found["side"] = side
        elif letter:
            found["letter"] = letter
        elif part.upper() in INTENSITIES and text.split()[-1] in INTENSITIES:
            found["letter"] = part.upper()
        elif part not in _PRESENT:
            return None
    return found


def _read_line(line: str, expected: bool) -> Iterator[Mention]:
    if expected and (bare := _read_bare(line)):
        yield from bare
        return
    groups = list(_find_codes(line))
    if not groups:
        yield from _read_names(line, expected)
        return
    previous_end, negated = 0, False
    for index, (start, end, mentions) in enumerate(groups):
        head = line[max(previous_end, start - 60) : start]
        negated = bool(
            _NEGATED.search(head)
            or (negated and _STILL_NEGATED.search(line[max(previous_end, start - 8) : start]))
        )
        limit = groups[index + 1][0] if index + 1 < len(groups) else len(line)
        last, others = _read_tail(mentions, line[end : min(limit, end + 300)], expected)
        for mention in [*mentions[:-1], last]:
            yield replace(mention, present=False) if negated else mention
        yield from others
        previous_end = end


def _find_codes(line: str) -> Iterator[tuple[int, int, list[Mention]]]:
    """Find codes with their prefix, and what is chained to them: "AU6+12, 25"."""
    at = 0
    while match := _next_code(line, at):
        if match.re is _SUM:
            parts = [part.strip() for part in match[1].split("+")[:_MAX_MENTIONS]]
            mentions = [found for part in parts if (found := _read_notation(part))]
            yield match.start(), match.end(), mentions
            at = match.end()
            continue
        side, number, right, letter, letter2, right2 = match.groups()
        mentions = [_mention(number, letter or letter2, side or right or right2)]
        at = match.end()
        while chained := _HARD_NEXT.match(line, at) or _SOFT_NEXT.match(line, at):
            side, number, letter, right = chained.groups()
            mentions.append(_mention(number, letter, side or right))
            at = chained.end()
        yield match.start(), at, mentions


def _next_code(line: str, at: int) -> re.Match[str] | None:
    code = _CODE.search(line, at)
    total = _SUM.search(line, at, code.start() if code else len(line))
    return total or code


def _read_bare(line: str) -> list[Mention]:
    """Read a line of nothing but notation: "6, 12", "R12", "1+2+5B"; else return nothing."""
    line = line.strip().strip(".\"'`")
    if len(line) > 1000:
        return []
    parts = [part for part in _BARE_SPLIT.split(line) if part]
    mentions = [_read_notation(part) for part in parts]
    return [found for found in mentions if found] if all(mentions) else []


def _read_notation(part: str) -> Mention | None:
    match = _BARE.fullmatch(part)
    if match is None:
        return None
    side, number, letter, right = match.groups()
    return _mention(number, letter, side or right)


def _mention(number: str, letter: str | None, side: str | None) -> Mention:
    """Make a mention of a code, whatever its number."""
    digits = number.removesuffix(".0").lstrip("0")
    code = int(digits) if digits.isdecimal() and len(digits) < 4 else None
    return Mention(
        code=code if code in AU_INDEX else None,
        label=f"AU{digits or '0'}",
        letter=letter and letter.upper(),
        side=_SIDES[side.casefold()] if side else None,
    )


def _read_tail(
    mentions: Sequence[Mention], tail: str, expected: bool
) -> tuple[Mention, list[Mention]]:
    """Return the last mention with what follows it, and units named beside it."""
    mention, others = mentions[-1], []
    codes = {other.label: other.code for other in mentions}
    mark, skip = "", False
    for piece in _PIECE.split(tail)[: 2 * _MAX_PIECES]:
        if _PIECE.fullmatch(piece):
            mark = piece.strip() or mark
            continue
        if not piece.strip():
            continue
        if piece.strip().casefold() in ("confidence", "probability", "likelihood"):
            skip = True
        elif not skip and (fields := grade(piece)) is not None:
            mention = replace(mention, **fields)  # type: ignore[arg-type]
        elif mark in (",", ";"):
            named = _read_names(piece, expected, unknown=False)
            others += [other for other in named if other.label not in codes]
        else:
            skip = False
            name = next(iter(find_names(piece)), None)
            if name and not any(f"AU{code}" in codes for code in name.codes):
                if mention.code and (name.formal or name.end - name.start > 0.6 * len(piece)):
                    called = piece.strip()[:_MAX_LABEL]
                    remark = f"called {called!r}, which is AU{name.codes[0]}; the code counts"
                    mention = replace(mention, remark=remark)
    return mention, others


def _read_names(line: str, expected: bool, *, unknown: bool = True) -> list[Mention]:
    """Read the units that a line names without codes."""
    line = line[_bullet_end(line) :]
    mentions: list[Mention] = []
    names = [name for name in find_names(line) if name.formal or expected]
    for index, name in enumerate(names):
        code = name.codes[0]
        label = f"AU{code}" if code in AU_INDEX else f"{line[name.start : name.end]}, AU{code}"
        side = re.search(r"\b(left|right)\s?$", line[: name.start][-12:], re.IGNORECASE)
        mention = Mention(
            code if code in AU_INDEX else None,
            label,
            side=_SIDES[side[1].casefold()] if side else None,
            present=not _NEGATED.search(line[max(0, name.start - 60) : name.start]),
        )
        limit = names[index + 1].start if index + 1 < len(names) else len(line)
        tail = line[name.end : min(limit, name.end + 300)]
        for piece in _PIECE.split(tail)[: 2 * _MAX_PIECES]:
            fields = None if _PIECE.fullmatch(piece) or not piece.strip() else grade(piece)
            if fields and fields.get("number") != code:  # "cheek raiser (6)"
                mention = replace(mention, **fields)  # type: ignore[arg-type]
        mentions.append(mention)
    label = line.strip(" .,;:*_#\"'`()[]{}|-")
    if expected and unknown and not mentions and 2 <= len(label) <= _MAX_LABEL:
        if re.search(r"[^\W\d_]", label) and grade(label) is None:
            mentions.append(Mention(None, repr(label)))
    return mentions


def _bullet_end(line: str) -> int:
    bullet = _BULLET.match(line)
    return bullet.end() if bullet else 0


def settle(mentions: Iterable[Mention]) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """Return the actions, one for each unit, and notes of what was set aside.

    Of one unit's mentions the strongest intensity counts; left and right together are
    both sides. A mention that says "absent" counts only if no other says the opposite.
    """
    mentions = list(mentions)
    scale = _find_scale(mentions)
    actions: dict[int, Action] = {}
    notes: list[str] = []
    absent: list[Mention] = []
    for mention in mentions:
        if mention.remark:
            notes.append(f"{mention.label}: {mention.remark}")
        elif mention.code is None:
            notes.append(_describe_outside(mention.label))
        if mention.code is None:
            continue
        if not mention.present or mention.number == 0:
            absent.append(mention)
        else:
            action = Action(mention.code, _find_letter(mention, scale), _find_side(mention, notes))
            earlier = actions.get(mention.code)
            if earlier:
                notes += [f"{mention.label}: given more than once"] * (earlier.side == action.side)
                action = _merge(earlier, action)
            actions[mention.code] = action
    gone = [mention.label for mention in absent if mention.code not in actions]
    notes += [f"{label}: said to be absent" for label in gone]
    return tuple(actions.values()), tuple(dict.fromkeys(notes))


def _describe_outside(label: str) -> str:
    label = label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 3] + "..."
    return f"{label}: not one of the 36 action units"


def _find_scale(mentions: Sequence[Mention]) -> float:
    """Return what the numbers count to, 0 if they are flags."""
    numbers = [m.number for m in mentions if m.number is not None and m.scale is None]
    numbers = [number for number in numbers if 0 <= number <= 100]
    if all(number in (0, 1) for number in numbers):
        return 0
    return next(top for top in (1, 5, 10, 100) if max(numbers) <= top)


def _find_letter(mention: Mention, scale: float) -> str | None:
    number = mention.number
    top = mention.scale if mention.scale is not None else scale
    if mention.letter or number is None or not 0 < number <= top:
        return mention.letter
    if top == 5:
        return "ABCDE"[max(1, round(number)) - 1]
    weight = number / top
    return min(INTENSITIES, key=lambda letter: abs(INTENSITIES[letter] - weight))


def _find_side(mention: Mention, notes: list[str]) -> str | None:
    if mention.code is None or mention.side is None:
        return None
    if not ACTION_UNITS[AU_INDEX[mention.code]].sided:
        notes.append(f"{mention.label}: has no sides, {mention.side} is dropped")
        return None
    return mention.side


def _merge(first: Action, second: Action) -> Action:
    """Join two actions of one unit; the first keeps the side where only one can show."""
    one_sided = len(Action(first.code).shown_sides) == 1
    side = first.side if first.side == second.side or one_sided else None
    graded = [action for action in (first, second) if action.intensity]
    intensity = max(graded, key=Action.strength).intensity if graded else None
    return Action(first.code, intensity, side)
