"""Prose replies: labelled sections ("Emotions: joy, pride"), lists, tables, sentences."""

import html
import re

from expclip.tead.parsing.fields import FIELDS, Fields
from expclip.tead.parsing.units import Mention, fold, read_units

__all__ = ["read_prose", "read_situation_lines", "strip_markup", "strip_thinking"]

_THOUGHT = r"think|thinking|thought|thoughts|reasoning|analysis|reflection|scratchpad"
_THOUGHT_END = re.compile(rf"</(?:{_THOUGHT})>|<\|channel\|>final<\|message\|>", re.IGNORECASE)
_THOUGHT_START = re.compile(rf"<(?:{_THOUGHT})>|<\|channel\|>analysis", re.IGNORECASE)
_MARKUP = re.compile(
    r"</?(?:t[dh])\b[^<>]{0,80}>|</?[a-z][^<>]{0,80}>|<[|\uff5c][^<>]{0,40}>|\[/?INST\]"
    r"|\*{1,3}|__|`{1,3}(?:json|python|text|markdown)?|^\s{0,20}#{1,6}(?=\s)",
    re.IGNORECASE | re.MULTILINE,
)
_FOREIGN = {
    name: "|".join(sorted(key for key in keys if not key.isascii()))
    for name, keys in FIELDS.items()
}
_LABEL = re.compile(
    r"(?<![a-z-])(?:(?P<emotions>emotion(?:al|s)?(?: (?:tags?|labels?|states?))?|tags?|feelings?"
    rf"|moods?|emociones|emozioni|emotionen|{_FOREIGN['emotions']})"
    r"|(?P<units>(?:facial )?action units?|(?:facs )?aus?|facs|unidades de acci\u00f3n"
    rf"|{_FOREIGN['units']})"
    r"|(?P<situations>(?:situation|scenario)s?|situaciones|situationen"
    rf"|{_FOREIGN['situations']}))"
    r"(?P<more>[ a-z]{0,30}?(?:\s?\([^()\n]{0,40}\)|\s?/[ a-z]{0,20})?)"
    r"['\"]?\s?(?:[:=|]|(?<=s) (?:are|include)\b:?|$|(?=- ))",
    re.IGNORECASE,
)
_BULLETED = re.compile(r"\s{0,20}(?:[-*+\u2022\u00b7>]|\(?\d{1,2}[.)\u3001])\s?\S")
_RULE = re.compile(r"[\s|:+=_\u2500-]*")
_CHATTER = re.compile(
    r"(?i)(?:sure|certainly|of course|okay|ok|absolutely|here|i hope|let me know|note|please"
    r"|these|this|feel free|based on|below|great|happy to|the following|is there|if you|would you"
    r"|hope)\b"
)
_PROSE_WORDS = frozenset(
    "the is are was were be been feels feel felt expresses express expressed speaker person"
    " i you he she it they this that these those because which with would could may might"
    " text writer likely shows suggests reflect reflects has have".split()
)
_ENTRY_CUT = re.compile(r"[:(\[=\u2014\u2013]|\s-\s|->")
_SPLIT = re.compile(r"[,;/|&+]|\s#|\band\b", re.IGNORECASE)
_MAX_WORDS = 3
_MAX_LINES = 2000


def strip_thinking(text: str) -> str | None:
    """Return what follows the model's thoughts, None if they never end."""
    ends = list(_THOUGHT_END.finditer(text))
    if ends:
        return text[ends[-1].end() :]
    return None if _THOUGHT_START.search(text) else text


def strip_markup(text: str) -> str:
    """Return the text without Markdown emphasis, code fences, HTML tags and end marks."""
    plain = _MARKUP.sub(lambda mark: "|" if mark[0][:3].lower() in ("<td", "<th") else " ", text)
    return html.unescape(plain)


def read_prose(text: str, *, labelled_only: bool = False) -> Fields:
    """Read the sections of a text; without sections, the units named anywhere in it.

    Args:
        text: as `strip_markup` returns it.
        labelled_only: take nothing that stands outside a section.
    """
    sections: dict[str, list[str]] = {"emotions": [], "units": [], "situations": []}
    loose: list[str] = []
    current: str | None = None
    for line in text.splitlines():
        line = line if line.isascii() else fold(line)
        if not line.strip():
            current = None if current and sections[current] else current
            continue
        if _RULE.fullmatch(line):
            continue
        labels = list(_LABEL.finditer(line)) if len(line) < 5000 else []
        labels = [label for label in labels if label.end() < len(line) or _is_heading(line, label)]
        outside = line[: labels[0].start()] if labels else line
        if labels or (current and not _continues(line, current)):
            loose.append(outside)
        elif current:
            sections[current].append(line)
        else:
            loose.append(line)
        ends = [label.start() for label in labels[1:]] + [len(line)]
        for label, end in zip(labels, ends, strict=False):
            current = _group(label)
            content = line[label.end() : end]
            if current and content.strip(" .:*|-"):
                sections[current].append(content)
    units = [unit for line in sections["units"] for unit in read_units(line, expected=True)]
    tags = [tag for line in sections["emotions"] for tag in _read_tag_line(line)]
    if not labelled_only and not any(unit.code for unit in units):
        units, tags = _read_unlabelled(loose, sections["emotions"], tags, units)
    situations = [line for line in sections["situations"] if line.strip()]
    return Fields(tuple(tags), tuple(units), tuple(situations))


def _group(label: re.Match[str]) -> str | None:
    return next((name for name in FIELDS if label[name]), None)


def _is_heading(line: str, label: re.Match[str]) -> bool:
    """Whether a label at the end of a line opens a section: after few words, or with a colon."""
    words = re.findall(r"[^\W\d_]+", line[: label.start()])
    return len(words) <= 3 or label[0].endswith(":")


def _continues(line: str, section: str) -> bool:
    """Whether a line belongs to the section above it, not to what comes after it."""
    return (
        section == "situations" or bool(_BULLETED.match(line)) or not _CHATTER.match(line.strip())
    )


def _read_unlabelled(
    loose: list[str], section: list[str], tags: list[str], units: list[Mention]
) -> tuple[list[Mention], list[str]]:
    """Return units from anywhere, and tags from a bare list that stands before them."""
    lines = [*section, *loose][:_MAX_LINES]
    found = [read_units(line, expected=False) for line in lines]
    units = [unit for mentions in found for unit in mentions] or units
    if not units and not tags:
        bare = [read_units(line, expected=True) for line in loose[:20]]
        units = [
            unit for mentions in bare if mentions and _all_known(mentions) for unit in mentions
        ]
        found = [*([[]] * len(section)), *bare]
    if units and not tags:
        for line, mentions in zip(lines, found, strict=False):
            parts = _read_tag_line(line)
            if not any(unit.code for unit in mentions) and len(parts) > 1:
                return units, parts
    return units, tags


def _all_known(mentions: list[Mention]) -> bool:
    return all(mention.code for mention in mentions)


def _read_tag_line(line: str) -> list[str]:
    """Return the entries of a line if they look like tags and not like a sentence."""
    bullet = _BULLETED.match(line)
    entry = (
        re.sub(r"^\s{0,20}(?:[-*+\u2022\u00b7>]|\(?\d{1,2}[.)\u3001])\s?", "", line)
        if bullet
        else line
    )
    if bullet or re.match(r"[^,;]{2,40}[:\u2014\u2013]|[^,;]{2,40}\s-\s", entry):
        head = _ENTRY_CUT.split(entry, maxsplit=1)[0]
        entry = head if head.strip() and "," not in head else entry
    entry = re.sub(r"\([^()]{0,60}\)", "", entry)
    parts = [part.strip(" .!\"'\t#*|:") for part in _SPLIT.split(entry)]
    parts = [part for part in parts if part]
    if any(len(part.split()) > _MAX_WORDS for part in parts):
        return []
    if any(_PROSE_WORDS.intersection(part.casefold().split()) for part in parts):
        return []
    return [part for part in parts if not read_units(part, expected=False)]


def read_situation_lines(text: str) -> list[str]:
    """Return the lines of a text that can be situations, without chatter and headings."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not _RULE.fullmatch(line)]
    bulleted = [line for line in lines if _BULLETED.match(line)]
    if len(bulleted) > 1:
        return bulleted
    return [
        line
        for line in lines
        if not line.endswith((":", "\uff1a"))
        and (_BULLETED.match(line) or not _CHATTER.match(line))
    ]
