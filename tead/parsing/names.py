"""Names of action units in running text: "lip corner puller", "raised inner eyebrows"."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from expclip.face.action_units import ACTION_UNITS

__all__ = ["Name", "find_names"]

_FORMS = {
    "raise": "raiser raised raises raising lift lifter lifted lifts lifting elevated",
    "lower": "lowerer lowered lowers lowering furrow furrower furrowed furrowing",
    "tighten": "tightener tightened tightens tightening tight tense tensed",
    "wrinkle": "wrinkler wrinkled wrinkles wrinkling",
    "deepen": "deepener deepened deepens deepening",
    "pull": "puller pulled pulls pulling",
    "depress": "depressor depressed depresses depressing depresser",
    "pucker": "puckerer puckered puckers puckering",
    "stretch": "stretcher stretched stretches stretching",
    "funnel": "funneler funneller funneled funnelled funneling",
    "press": "pressor presser pressed presses pressing",
    "part": "parted parts parting apart",
    "drop": "dropped drops dropping dropper",
    "suck": "sucked sucks sucking sucker",
    "thrust": "thruster thrusts thrusting",
    "bite": "bites biting biter bitten",
    "puff": "puffer puffed puffs puffing",
    "droop": "drooped droops drooping drooper",
    "close": "closed closes closing closure closer shut",
    "dimple": "dimpler dimples dimpled dimpling",
    "wide": "widen widened widener widening",
    "turn": "turned turns turning look looks looking gaze gazing",
    "tilt": "tilted tilts tilting",
    "blink": "blinks blinking blinked",
    "wink": "winks winking winked",
    "smile": "smiles smiling smiled",
    "squint": "squints squinting squinted squinter",
    "brow": "eyebrow eyebrows brows",
    "lid": "eyelid eyelids lids",
    "show": "shown shows out protruding protrusion",
    "sideway": "sideways sidewards",
    "dilate": "dilator dilated dilation",
    "compress": "compressor compressed",
    "clench": "clencher clenched clenching",
}
_STEM = {form: stem for stem, forms in _FORMS.items() for form in forms.split()}
_FILLERS = frozenset({"the", "of", "a", "an", "both"})

_VARIANTS: dict[int, str] = {
    1: "raise inner brow, inner brow up, inner corner brow raise, inner brow",
    2: "raise outer brow, outer brow up, outer brow",
    4: "lower brow, brow down, brow knit, knit brow, brow draw together",
    5: "lid raise, raise upper lid, wide eye, eye wide",
    6: "raise cheek",
    7: "lower lid tighten, tighten lid, tighten lower lid",
    9: "wrinkle nose",
    10: "raise upper lip",
    11: "nasolabial fold deepen, nasolabial furrow deepen, deepen nasolabial fold",
    12: "lip corner raise, mouth corner raise, lip corner up, lip corner pull up, smile,"
    " mouth corner pull, pull lip corner, raise lip corner",
    13: "",
    15: "lip corner down, mouth corner down, mouth corner depress, lip corner pull down",
    16: "depress lower lip, lower lip down",
    17: "raise chin",
    18: "pucker lip, pucker, lip pucker up",
    19: "tongue, tongue protrude",
    20: "stretch lip",
    22: "funnel lip",
    23: "tighten lip",
    24: "press lip, lip press together, press lip together",
    25: "part lip, lip open",
    26: "drop jaw, jaw open, jaw lower, lower jaw drop",
    27: "mouth open wide, mouth wide open, stretch mouth",
    28: "suck lip",
    29: "jaw forward",
    32: "bite lip, lower lip bite, bite lower lip",
    34: "puff cheek",
    41: "upper lid droop, droop lid",
    43: "close eye, lid close",
    46: "eye wink",
    61: "eye left, turn left, eye to left",
    62: "eye right, turn right, eye to right",
    63: "eye turn up, turn up",
    64: "eye turn down, turn down",
    8: "lip toward each other, lip towards each other",
    21: "neck tighten",
    31: "jaw clench",
    33: "cheek blow",
    35: "cheek suck",
    37: "lip wipe",
    38: "nostril dilate, nostril flare, flare nostril",
    39: "nostril compress",
    42: "eye slit, slit",
    44: "squint, eye squint",
    45: "blink, eye blink",
    51: "head turn left, head left",
    52: "head turn right, head right",
    53: "head up, head raise",
    54: "head down, head lower",
    55: "head tilt left",
    56: "head tilt right, head tilt",
    57: "head forward",
    58: "head back",
    84: "head shake, shake head",
    85: "head nod, nod",
}
_ALSO: dict[str, tuple[int, ...]] = {  # names that lists give to more than one unit
    "cheek puff": (34, 13, 33),
    "eye wide": (5,),
    "lid tighten": (7, 44),
    "squint": (44, 7),
    "lower lip raise": (17,),
}

_WORD = re.compile(r"[a-z]++")


def _stem(word: str) -> str:
    if word in _STEM:
        return _STEM[word]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _stems(phrase: str) -> tuple[str, ...]:
    return tuple(_stem(word) for word in _WORD.findall(phrase))


def _build_names() -> dict[tuple[str, ...], tuple[int, ...]]:
    names = {_stems(unit.name): (unit.code,) for unit in ACTION_UNITS}
    for code, phrases in _VARIANTS.items():
        for phrase in filter(None, phrases.split(",")):
            names.setdefault(_stems(phrase), (code,))
    return names | {_stems(phrase): codes for phrase, codes in _ALSO.items()}


_NAMES = _build_names()
_LONGEST = max(map(len, _NAMES))
_FIRST_STEMS = frozenset(name[0] for name in _NAMES)
_FORMAL = frozenset(unit.name for unit in ACTION_UNITS if re.search("(er|or|pucker)$", unit.name))


@dataclass(frozen=True, slots=True)
class Name:
    """A name found in a text, from ``start`` to before ``end``.

    Attributes:
        codes: FACS codes that go by this name, the usual one first.
        formal: the name as FACS has it ("cheek raiser"), which no ordinary sentence says.
    """

    start: int
    end: int
    codes: tuple[int, ...]
    formal: bool


def find_names(text: str) -> Iterator[Name]:
    """Find names of units, also of units outside the 36, the longest first, in order."""
    text = text.casefold()
    words = [word for word in _WORD.finditer(text) if word[0] not in _FILLERS]
    stems = [_stem(word[0]) for word in words]
    at = 0
    while at < len(words):
        length = _match_name(stems, at)
        if length:
            start, end = words[at].start(), words[at + length - 1].end()
            codes = _NAMES[tuple(stems[at : at + length])]
            yield Name(start, end, codes, text[start:end].rstrip("s") in _FORMAL)
        at += length or 1


def _match_name(stems: list[str], at: int) -> int:
    """Return how many words from ``at`` on make the longest name, 0 if none."""
    if stems[at] not in _FIRST_STEMS:
        return 0
    for length in range(min(_LONGEST, len(stems) - at), 0, -1):
        if tuple(stems[at : at + length]) in _NAMES:
            return length
    return 0
