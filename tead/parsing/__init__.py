"""Parsing of replies: from the text a language model sent to an annotation.

Lenient in form, strict in content: whatever states tags, action units or situations is
understood, from canonical JSON to a sentence, and nothing is made up. What is found
but cannot be used is named in the annotation's notes.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from expclip.face.errors import ParseError
from expclip.tead.parsing.fields import Fields, field_of, find_fields, merge_fields, situation_texts
from expclip.tead.parsing.loose_json import Found, Json, find_json, read_strict
from expclip.tead.parsing.prose import (
    read_prose,
    read_situation_lines,
    strip_markup,
    strip_thinking,
)
from expclip.tead.parsing.units import fold, settle
from expclip.tead.schema import Annotation

__all__ = ["MAX_REPLY", "parse_reply", "parse_situations"]

MAX_REPLY = 100_000
"""Characters; a longer reply is refused unread."""

_MAX_TAG = 40
_MAX_SITUATION = 400
_MAX_SITUATIONS = 10
_MAX_NOTES = 40
_BLANK_LOOP = 200  # white space in a row that ends an unfinished reply: the model looped

_REFUSAL = re.compile(
    r"(?i)\b(?:i(?:['\u2019]m| am) (?:really |very |so )?(?:sorry|unable|not able)|i apologi[sz]e"
    r"|(?:i |we )?(?:can(?:not|['\u2019]t| not)|won['\u2019]t|will not|could not"
    r"|couldn['\u2019]t|am unable to) "
    r"(?:help|assist|comply|provide|do|fulfil|fulfill|answer|process|analy[sz]e|create|generate"
    r"|continue|engage|complete|in good)|as an? (?:ai|artificial|large language|language)"
    r"|against my (?:guidelines|policy)|unable to (?:help|assist|comply|provide|process)"
    r"|not comfortable|not appropriate for me)\b|\u62b1\u6b49|\u5bf9\u4e0d\u8d77|\u7533\u3057\u8a33"
)
_REQUEST = re.compile(r"(?i)\b(?:requests?|assist|help|ai|language model)\b")
_LETTER = re.compile(r"[^\W\d_]")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'"})
_CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069"
    "\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_PLAIN_TAG = re.compile(r"[a-z]{2,}(?:[ '-][a-z]+)*")
_TAG_CUT = re.compile(r"[(\[{:=\u2014\u2013]|\s-\s|->|\s\d")
_TAG_SPLIT = re.compile(r"[,;/|&+\n\u3001\u060c\uff0c\uff1b\u061b\u00b7\u2022]|(?<=\w)\s(?=#)")
_NO_TAGS = frozenset("none n/a na null unknown nan undefined nil".split())
_UNIT_LIKE = re.compile(r"(?:[lr]-?)?au ?\d+[a-e]?")
_NUMBERING = re.compile(
    r"(?:[-*\u2022\u00b7>\u2013\u2014]\s?|\(?\d{1,3}[.)\u3001:](?=\s|\D)\s?"
    r"|(?:situation|scenario)\s?\d{0,3}\s?[:.)]\s?)",
    re.IGNORECASE,
)
_NO_SENTENCE = re.compile(r'[{}\[\]]|", ?"')
_QUOTES = {'"': '"', "\u201c": "\u201d", "\u300c": "\u300d", "\u00ab": "\u00bb"}


def parse_reply(text: str) -> Annotation:
    """Parse a reply into emotions, action units and situations.

    The rules for intensities are those of `expclip.tead.parsing.units`. Objects of scores
    ({"joy": 0.3, "pride": 0.9}) give the tags strongest first; all else keeps its order.

    Raises:
        ParseError: nothing can be used. ``reason`` is "empty", "blank" (white space
            until the limit), "too_long", "truncated" (the reply ends before its tags
            and units do), "refusal" or "nothing".
    """
    _check_length(text)
    value = read_strict(text)
    if isinstance(value, str):  # JSON in a JSON string
        text, value = value, read_strict(value)
        _check_length(text)
    fields = find_fields(value)
    if not (fields.tags and fields.units):
        fields = _read_loosely(text, fields)
    annotation = _annotate(fields)
    if not (annotation.emotions or annotation.actions or annotation.situations):
        raise _explain(text)
    return annotation


def parse_situations(text: str) -> tuple[str, ...]:
    """Parse the reply to the second question into at most 10 sentences.

    Raises:
        ParseError: it holds none; reasons as for `parse_reply`.
    """
    _check_length(text)
    texts: Sequence[str] = _situations_of(read_strict(text))
    if not texts:
        body = _strip_thinking(text)
        found = [*find_json(body), *find_json(body, "[")]
        values = (_situations_of(one.value) for one in found)
        texts = next((sentences for sentences in values if sentences), [])
        if not texts and any(one.cut for one in found):
            raise _cut_short(text)
        if not texts and not found and not _REFUSAL.search(body):
            prose = strip_markup(body)
            labelled = read_prose(prose, labelled_only=True).situations
            texts = labelled or read_situation_lines(prose)
    sentences, _ = clean_situations(texts)
    if not sentences:
        raise _explain(text)
    return sentences


def _situations_of(value: Json) -> list[str]:
    if isinstance(value, str):
        return _situations_of(read_strict(value))
    if isinstance(value, list):
        return situation_texts(value)
    if not isinstance(value, dict):
        return []
    named = find_fields(value).situations
    lists = [member for member in value.values() if isinstance(member, list)]
    if named or len(lists) != 1:
        return list(named) or ([] if lists or "error" in value else situation_texts(value))
    return situation_texts(lists[0])


def _check_length(text: str) -> None:
    if len(text) > MAX_REPLY:
        raise ParseError("too_long", f"reply has {len(text)} characters, at most {MAX_REPLY}")


def _read_loosely(text: str, strict: Fields) -> Fields:
    """Read every JSON value in the text, then the text around them."""
    text = _strip_thinking(text)
    found = list(find_json(text))
    parts = [strict, *(find_fields(one.value) for one in found)]
    if not any(part.keys for part in parts):
        lists = [one for one in find_json(text, "[") if not one.cut]
        found += lists
        parts += [find_fields(one.value) for one in lists]
    whole = next((part for part in parts if part.tags and part.units), None)
    for one in found:
        needed = {field_of(key) for key in one.cut_keys} & {"emotions", "units"}
        if one.cut and (needed or find_fields(one.value).keys) and not (whole and not needed):
            raise _cut_short(text)
    if whole:
        cut = any(one.cut for one in found)
        return replace(whole, notes=(*whole.notes, *["reply: cut off at the end"] * cut))
    merged = merge_fields(parts)
    around = strip_markup(_outside(text, found))
    return merge_fields([merged, read_prose(around, labelled_only=bool(merged.keys))])


def _outside(text: str, found: Sequence[Found]) -> str:
    """Return the text without the values that were found to hold fields."""
    pieces, at = [], 0
    for one in sorted(found, key=lambda one: one.start):
        if find_fields(one.value).keys and one.start >= at:
            pieces.append(text[at : one.start])
            at = one.end
    return "\n".join([*pieces, text[at:]])


def _strip_thinking(text: str) -> str:
    answer = strip_thinking(text)
    if answer is None:
        raise _cut_short(text)
    return answer


def _annotate(fields: Fields) -> Annotation:
    emotions, tag_notes = clean_tags(fields.tags)
    actions, unit_notes = settle(fields.units)
    situations, situation_notes = clean_situations(fields.situations)
    notes = [*fields.notes, *tag_notes, *unit_notes, *situation_notes]
    if len(notes) > _MAX_NOTES:
        notes[_MAX_NOTES - 1 :] = [f"{len(notes) - _MAX_NOTES + 1} more notes"]
    shown = tuple(_CONTROLS.sub("", note) for note in notes)
    return Annotation(emotions, actions, situations, shown)


def clean_tags(texts: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return tags in lower case without duplicates, and notes of what is no tag."""
    tags: dict[str, None] = {}
    notes: list[str] = []
    for text in texts:
        if _PLAIN_TAG.fullmatch(text) and len(text) <= _MAX_TAG and text not in _NO_TAGS:
            tags[text] = None
            continue
        if _REFUSAL.search(text[:400]):
            notes.append("emotions: a refusal")
            continue
        parts = _TAG_SPLIT.split(text)
        for part in parts[:1000]:
            tag = _clean_tag(part)
            if tag:
                tags[tag] = None
            elif part.strip():
                notes.append(f"{_shorten(part)!r}: not an emotion tag")
    return tuple(tags), notes


def _clean_tag(text: str) -> str:
    """Return a tag without numbering, quotes and scores, "" if that is no plain word."""
    text = fold(_CONTROLS.sub("", text[: 4 * _MAX_TAG])).translate(_APOSTROPHES).lower()
    text = re.sub(r"^[\s\d.()#*\"'-]+", "", text)
    if _UNIT_LIKE.match(text):
        return ""
    text = _TAG_CUT.split(text, maxsplit=1)[0].replace("_", " ")
    while text and not _is_letter(text[-1]):
        text = text[:-1]
    while text and not _is_letter(text[0]):
        text = text[1:]
    text = " ".join(text.split())
    plain = all(_is_letter(mark) or mark in " -'\u200c" for mark in text)
    if not plain or len(text) > _MAX_TAG or text in _NO_TAGS:
        return ""
    return "" if len(text) == 1 and text.isascii() else text


def _is_letter(mark: str) -> bool:
    return mark.isalpha() or unicodedata.category(mark)[0] == "M"


def clean_situations(texts: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return at most 10 sentences, on one line each, and notes of what was cut."""
    sentences: dict[str, None] = {}
    notes: list[str] = []
    for text in texts:
        sentence = text[: 20 * _MAX_SITUATION]
        if not sentence.isprintable():
            sentence = _CONTROLS.sub("", sentence)
        sentence = " ".join(sentence.split())
        numbering = _NUMBERING.match(sentence)
        sentence = sentence[numbering.end() :].strip() if numbering else sentence
        if len(sentence) > 1 and _QUOTES.get(sentence[0]) == sentence[-1]:
            sentence = sentence[1:-1].strip()
        if len(sentence) > _MAX_SITUATION:
            notes.append(f"situation {len(sentences) + 1}: cut to {_MAX_SITUATION} characters")
            sentence = sentence[:_MAX_SITUATION].rsplit(" ", 1)[0]
        if _REFUSAL.match(sentence) and _REQUEST.search(sentence):
            notes.append("situations: a refusal")
        elif _NO_SENTENCE.search(sentence):
            notes.append("situations: broken JSON or an unfilled place")
        elif _LETTER.search(sentence):
            sentences[sentence] = None
    if len(sentences) > _MAX_SITUATIONS:
        notes.append(f"situations: {len(sentences) - _MAX_SITUATIONS} beyond {_MAX_SITUATIONS}")
    return tuple(sentences)[:_MAX_SITUATIONS], notes


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_TAG else text[: _MAX_TAG - 3] + "..."


def _cut_short(text: str) -> ParseError:
    if len(text) - len(text.rstrip()) >= _BLANK_LOOP:
        return ParseError("blank", "reply ends in white space before it is complete")
    return ParseError("truncated", f"reply of {len(text)} characters ends before it is complete")


def _explain(text: str) -> ParseError:
    """Return the error for a reply in which nothing can be used."""
    if not _CONTROLS.sub("", text).strip():
        if len(text) < _BLANK_LOOP:
            return ParseError("empty", "reply is empty")
        return ParseError("blank", f"reply is {len(text)} characters of white space")
    if _REFUSAL.search(text):
        return ParseError("refusal", f"the model declines: {_shorten(text)!r}")
    answer = strip_thinking(text)
    if answer is None or any(one.cut for one in find_json(answer)):
        return _cut_short(text)
    if len(text) - len(text.rstrip()) >= _BLANK_LOOP:
        return _cut_short(text)
    return ParseError("nothing", f"no tags, units or situations in {_shorten(text)!r}")
