"""The fields of a JSON reply: emotions, action units and situations under any usual key."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from expclip.face.action_units import AU_CODES
from expclip.tead.parsing.loose_json import Json
from expclip.tead.parsing.units import Mention, fold, grade, read_units

__all__ = ["FIELDS", "Fields", "field_of", "find_fields", "read_fields", "situation_texts"]

FIELDS: dict[str, frozenset[str]] = {
    "emotions": frozenset(
        "emotions emotion emotiontags emotiontag emotionaltags emotionaltag tags tag labels"
        " emotionlabels emotionlabel emotionlist emotionscores feelings feeling moods mood"
        " primaryemotion primaryemotions secondaryemotion secondaryemotions dominantemotion"
        " dominantemotions mainemotion mainemotions keyemotions topemotions detectedemotions"
        " inferredemotions expressedemotions emotionalstate emotionalstates affect affects"
        " emociones emozioni \u00e9motions \u00e9motion emotionen gef\u00fchle etiquetas"
        " emo\u00e7\u00f5es"
        " \u60c5\u611f \u60c5\u7eea \u60c5\u7dd2 \u611f\u60c5 \u6807\u7b7e \u60c5\u611f\u6807\u7b7e"
        " \u60c5\u7eea\u6807\u7b7e".split()
    ),
    "units": frozenset(
        "aus au actionunits actionunit facialactionunits facialactionunit facs facsaus facsau"
        " facsunits facscodes facscode facsactionunits aucodes aucode aulist facialaus auvector"
        " activeaus activeactionunits actionunitcodes actionunitslist actions facialactions"
        " units auintensities unidadesdeacci\u00f3n unit\u00e9sdaction"
        " \u52a8\u4f5c\u5355\u5143 \u9762\u90e8\u52a8\u4f5c\u5355\u5143 \u52d5\u4f5c\u55ae\u5143"
        " \u30a2\u30af\u30b7\u30e7\u30f3\u30e6\u30cb\u30c3\u30c8".split()
    ),
    "situations": frozenset(
        "situations situation scenarios scenario possiblesituations possiblesituation"
        " situationsentences situationsentence situationdescriptions situationdescription"
        " possiblescenarios situaciones situationen situa\u00e7\u00f5es situazioni"
        " \u60c5\u5883 \u60c5\u666f \u573a\u666f \u72b6\u6cc1 \u72b6\u6cc1\u4f8b".split()
    ),
}
"""Keys of each field, folded as `field_of` does."""

_FIELD_OF = {key: name for name, keys in FIELDS.items() for key in keys}
_NAME_KEYS = ("emotion", "name", "tag", "label", "feeling", "text", "value")
_CODE_KEYS = ("code", "au", "aucode", "actionunit", "unit", "facs", "facscode", "number", "id")
_UNIT_NAME_KEYS = ("name", "description", "auname", "label", "meaning", "movement", "action")
_GRADE_KEYS = ("intensity", "strength", "level", "score", "value", "weight", "grade", "activation")
_FLAG_KEYS = ("present", "active", "activated", "shown", "presence")
_SITUATION_KEYS = ("situation", "sentence", "text", "description", "scenario", "content")
_TAG_AND = re.compile(r"\s(?:and|et|und|y)\s", re.IGNORECASE)
_MAX_DEPTH = 8
_MAX_KEY = 60
_MAX_OBJECTS = 1000
_VECTOR = 12  # so many zeros are the form of a list, not a statement about each unit


@dataclass(frozen=True)
class Fields:
    """What one or several JSON values hold, as it stands there.

    Attributes:
        tags: emotions, each as written; commas not yet split.
        units: mentions of action units.
        situations: sentences, each as written.
        keys: names of the fields whose key was there, even if empty.
        notes: what could not be read.
    """

    tags: tuple[str, ...] = ()
    units: tuple[Mention, ...] = ()
    situations: tuple[str, ...] = ()
    keys: frozenset[str] = field(default=frozenset())
    notes: tuple[str, ...] = ()


def fold_key(key: str) -> str:
    """Return the key without case, spaces and marks: "Action_Units" is "actionunits"."""
    return re.sub(r"[\W_]", "", fold(key).casefold())


def field_of(key: str) -> str | None:
    """Return the field that a key stands for, None for any other key."""
    return _FIELD_OF.get(key) or _FIELD_OF.get(fold_key(key[:_MAX_KEY]))


def find_fields(value: Json) -> Fields:
    """Return the fields of the best object inside a value, outermost first.

    An object with emotions and units is best; else each field comes from the first
    object that has it. A list without objects is read item by item.
    """
    found: list[Fields] = []
    for member in _objects(value):
        fields = read_fields(member)
        if fields.tags and fields.units:
            return fields
        if fields.keys:
            found.append(fields)
    if not found:
        return _read_plain_list(value) if isinstance(value, list) else Fields()
    return merge_fields(found)


def merge_fields(parts: Sequence[Fields]) -> Fields:
    """Return each field from the first part in which it is not empty."""
    return Fields(
        tags=next((part.tags for part in parts if part.tags), ()),
        units=next((part.units for part in parts if part.units), ()),
        situations=next((part.situations for part in parts if part.situations), ()),
        keys=frozenset().union(*(part.keys for part in parts)),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _objects(value: Json) -> Iterator[dict[str, Json]]:
    """Yield the objects inside a value, breadth first."""
    level = [value]
    seen = 0
    for _ in range(_MAX_DEPTH):
        deeper: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                yield item
                deeper += item.values()
            elif isinstance(item, list):
                deeper += item
        seen += len(deeper)
        if not deeper or seen > _MAX_OBJECTS:
            return
        level = deeper


def read_fields(members: dict[str, Json]) -> Fields:
    """Read the fields of one object."""
    tags: list[str] = []
    units: list[Mention] = []
    inner: list[Mention] = []  # units that stand under an emotion: {"joy": ["AU6"]}
    situations: list[str] = []
    keys: set[str] = set()
    for key, value in members.items():
        name = field_of(key)
        if _is_schema(value):
            continue
        if name == "emotions":
            listed = _TAG_AND.split(value) if isinstance(value, str) else value
            tags += _read_tags(listed, inner, 0)
        elif name == "units":
            units += _read_units(value, 0)
        elif name == "situations":
            situations += situation_texts(value)
        elif (unit := _read_key(key)) and unit.label.startswith("AU"):
            units += _read_entry(key, value, 0)
            name = "units"
        if name:
            keys.add(name)
    return Fields(tuple(tags), tuple(units or inner), tuple(situations), frozenset(keys))


def _is_schema(value: Json) -> bool:
    """Whether a value is the JSON schema of a field, echoed from the prompt."""
    return isinstance(value, dict) and value.get("type") in ("array", "string", "object")


def _read_plain_list(items: list[Json]) -> Fields:
    """Read ["joy", "AU6"] or [6, 12]: what is no unit is a tag."""
    units: list[Mention] = []
    tags: list[str] = []
    if _is_vector(items) or all(isinstance(item, int) for item in items):
        units = _read_units(items, 0)
        items = []
    for item in items[:_MAX_OBJECTS]:
        if isinstance(item, str):
            mentions = read_units(fold(item), expected=False)
            units += mentions
            tags += [] if mentions else [item]
    names = {"units"} if units else set()
    return Fields(
        tuple(tags), tuple(units), (), frozenset(names | ({"emotions"} if tags else set()))
    )


def _read_tags(value: Json, units: list[Mention], depth: int) -> list[str]:
    """Return the tags of a value; units found beneath them go to ``units``."""
    if isinstance(value, str):
        return [value]
    if depth > _MAX_DEPTH:
        return []
    if isinstance(value, list):
        return [tag for item in value for tag in _read_tags(item, units, depth + 1)]
    if not isinstance(value, dict):
        return []
    folded = {fold_key(key[:_MAX_KEY]): member for key, member in value.items()}
    named = next((folded[key] for key in _NAME_KEYS if isinstance(folded.get(key), str)), None)
    if isinstance(named, str):
        for key, member in folded.items():
            if _FIELD_OF.get(key) == "units":
                units += _read_units(member, depth + 1)
        return [named]
    return _read_tag_map(value, units, depth)


def _read_tag_map(value: dict[str, Json], units: list[Mention], depth: int) -> list[str]:
    """Read {"joy": 0.9, "fear": 0}, {"joy": ["AU6"]} or {"primary": "joy"}."""
    scored: list[tuple[float, str]] = []
    tags: list[str] = []
    for key, member in value.items():
        if isinstance(member, bool | int | float):
            if member > 0 and math.isfinite(member):
                scored.append((float(member), key))
        elif re.match(r"(?i)(primary|secondary|tertiary|main|other|\d+$)", key):
            tags += _read_tags(member, units, depth + 1)
        elif member is not None:
            tags.append(key)
            mentions = _read_units(member, depth + 1)
            units += [mention for mention in mentions if mention.label.startswith("AU")]
    ranked = sorted(scored, key=lambda pair: -pair[0])  # stable
    return [tag for _, tag in ranked] + tags


def _read_units(value: Json, depth: int) -> list[Mention]:
    if depth > _MAX_DEPTH or value is None or isinstance(value, bool):
        return []
    if isinstance(value, str):
        return list(_read_short(value)) if len(value) < _MAX_KEY else _read_text(value)
    if isinstance(value, int | float):
        return [_unit_of_number(value)]
    if isinstance(value, list):
        if _is_vector(value):
            return _read_vector(value)
        return [unit for item in value[:_MAX_OBJECTS] for unit in _read_units(item, depth + 1)]
    return _read_unit_object(value, depth)


def _read_text(text: str) -> list[Mention]:
    return read_units(fold(text), expected=True)


@lru_cache(maxsize=2048)
def _read_short(text: str) -> tuple[Mention, ...]:
    """Read a short text; a data set repeats the same few hundred."""
    return tuple(_read_text(text))


def _unit_of_number(number: float) -> Mention:
    if math.isfinite(number) and number == int(number):
        number = int(number)
    text = str(number) if abs(number) < 1e15 else "9" * 16
    return read_units(f"AU{text}", expected=True)[0] if number >= 0 else Mention(None, f"AU{text}")


def _is_vector(items: list[Json]) -> bool:
    numbers = all(isinstance(item, int | float) and 0 <= item <= 1 for item in items)
    return numbers and (len(items) == len(AU_CODES) or len(items) > 2)


def _read_vector(items: list[Json]) -> list[Mention]:
    if len(items) != len(AU_CODES):
        return [Mention(None, f"a vector of {len(items)} numbers", remark="expected 36")]
    pairs = zip(AU_CODES, items, strict=True)
    return [_with_value(Mention(code, f"AU{code}"), item) for code, item in pairs if item]


def _read_unit_object(members: dict[str, Json], depth: int) -> list[Mention]:
    """Read {"code": "AU12", "intensity": "C"}, {"AU6": 0.8} or {"upper": ["AU1"]}."""
    folded = {fold_key(key[:_MAX_KEY]): value for key, value in members.items()}
    scalars = {key: value for key, value in folded.items() if isinstance(value, str | int | float)}
    code = next((scalars[key] for key in _CODE_KEYS if key in scalars), None)
    name = next((scalars[key] for key in _UNIT_NAME_KEYS if key in scalars), None)
    if code is None and name is None:
        entries = [_read_entry(key, value, depth) for key, value in members.items()]
        zeros = [entry for entry in entries if len(entry) == 1 and _is_off(entry[0])]
        dull = len(zeros) >= _VECTOR
        return [unit for entry in entries if not (dull and entry in zeros) for unit in entry]
    units = _read_units(code, depth + 1)
    if isinstance(name, str):
        shown = f"{units[0].label} ({name})" if len(units) == 1 and units[0].code else name
        if code is None or units:
            named = read_units(fold(shown), expected=True)
            units = named[:1] if code is not None and units[0].code else units or named
    for key in (*_GRADE_KEYS, "side", "laterality", *_FLAG_KEYS):
        if key in folded:
            units = [_with_value(unit, folded[key], flag=key in _FLAG_KEYS) for unit in units]
    return units


def _is_off(mention: Mention) -> bool:
    return mention.number == 0 or not mention.present


def _read_key(key: str) -> Mention | None:
    """Read a key that is one unit: "AU6", "6", "AU6 (cheek raiser)", "cheek raiser"."""
    if len(key) > 2 * _MAX_KEY:
        return None
    units = read_units(fold(key), expected=True)
    return units[0] if len(units) == 1 else None


def _read_entry(key: str, value: Json, depth: int) -> list[Mention]:
    """Read one member of an object of units."""
    unit = _read_key(key)
    side = {"left": "L", "right": "R"}.get(fold_key(key))
    if isinstance(value, dict | list) and (unit is None or unit.code is None) and "AU" not in key:
        grouped = _read_units(value, depth + 1)
        return [replace(found, side=side) for found in grouped] if side else grouped
    if unit is None:
        return [Mention(None, repr(key[:_MAX_KEY]))] if key else []
    if isinstance(value, dict):
        return _read_unit_object({"code": unit.label, **value}, depth + 1)[:1] or [unit]
    if isinstance(value, str) and grade(fold(value)) is None:
        named = read_units(f"{unit.label} ({fold(value)[:_MAX_KEY]})", expected=True)
        return named[:1] if unit.code and named else [unit]
    return [_with_value(unit, value)]


def _with_value(mention: Mention, value: Json, *, flag: bool = False) -> Mention:
    """Return the mention with an intensity, a side or an absence as JSON gives it."""
    if value is None or value is False:
        return replace(mention, present=False)
    if value is True or isinstance(value, list | dict):
        return mention
    if isinstance(value, str):
        return replace(mention, **(grade(fold(value)) or {}))  # type: ignore[arg-type]
    if flag:
        return replace(mention, present=mention.present and value > 0)
    return replace(mention, number=float(value) if abs(value) < 1e15 else math.inf)


def situation_texts(value: Json, depth: int = 0) -> list[str]:
    """Return the sentences of a value: a string, a list, or objects that hold them."""
    if isinstance(value, str):
        return [line for line in value.splitlines() if line.strip()]
    if depth > _MAX_DEPTH:
        return []
    if isinstance(value, dict):
        folded = {fold_key(key[:_MAX_KEY]): member for key, member in value.items()}
        told = next((folded[key] for key in _SITUATION_KEYS if key in folded), None)
        value = list(value.values()) if told is None else [told]
    if not isinstance(value, list):
        return []
    return [text for item in value for text in situation_texts(item, depth + 1)]
