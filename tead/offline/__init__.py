"""The offline annotator: a face and situations for a text, by rules, with no model.

It is a word-based reader and no more: it knows the words, phrases, emoji and facial
descriptions of ``data/lexicon`` (written by us from general knowledge of English),
and follows negation, degree, contrast, supposition, questions and some mockery. It
does not understand: irony without a cue, feelings that follow from knowledge of the
world, who in the text feels what, other languages. Texts it finds nothing in are
"neutral". ``benchmarks/offline_goemotions.py`` measures it against human labels.
"""

from __future__ import annotations

import hashlib
import random
from functools import cache
from importlib.resources import files

from expclip.face.action_units import Action, drop_conflicts, find_conflicts
from expclip.tead.emotions import prototypes
from expclip.tead.offline.reading import Reading, read_text, relations
from expclip.tead.schema import Annotation

__all__ = ["OFFLINE_VERSION", "annotate_offline", "situations"]

OFFLINE_VERSION = "1"
"""Changes whenever an annotation may change: rules, lexicon, relations or situations."""

# Judgement; only _LEAST was chosen with a look at the hit shares of GoEmotions' dev rows.
_LEAST = 0.65  # evidence below which a text is neutral
_FAINT = 1.1  # evidence below which "neutral" is named as well
_SHARE = 0.3  # of the first tag's evidence, to be a tag
_OPPOSED_SHARE = 0.5  # the same, for a feeling of the other valence
_MIXED = 0.7  # the same, to lend the face its main units
_EVIDENCED = 4  # tags by evidence at most; five in all
_MOST_UNITS = 7
_RARE = {"smugness": 13, "gloating": 13, "playfulness": 13, "awe": 22, "tenderness": 22}
"""Units that fit an emotion and stand in no prototype: sharp smile, lips in a ring."""
_LETTERS = "ABCDE"
_STEPS = (0.7, 1.7, 3.0)  # evidence at which the intensity goes from B to C, D, E


def annotate_offline(text: str, *, seed: int = 0) -> Annotation:
    """Annotate a text by its words.

    The answer depends on (seed, text) alone. It has 3 to 5 tags, strongest first; units
    with FACS intensity letters and no hard conflict, at least one unless the first tag is
    "neutral"; and 1 to 3 situations.
    """
    digest = hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()
    draw = random.Random(int.from_bytes(digest[:8]))
    reading = read_text(text)
    tags = _choose_tags(reading, draw)
    return Annotation(tags, _choose_actions(tags, reading, draw), _choose_situations(tags, draw))


def _choose_tags(reading: Reading, draw: random.Random) -> tuple[str, ...]:
    ranked = sorted(reading.scores.items(), key=lambda item: (-item[1], item[0]))
    if not ranked or ranked[0][1] < _LEAST or ranked[0][0] == "neutral":
        return _neutral_tags(reading, [emotion for emotion, _ in ranked], draw)
    table = relations()
    first, most = ranked[0]
    tags = [first]
    for emotion, weight in ranked[1:]:
        opposed = {table[first].valence, table[emotion].valence} == {"+", "-"}
        if weight >= most * (_OPPOSED_SHARE if opposed else _SHARE) and len(tags) < _EVIDENCED:
            tags.append(emotion)
    wanted = 3 + (draw.random() < 0.5) + (draw.random() < 0.15)
    relatives = [
        *table[first].neighbours,
        *(near for tag in tags for near in table[tag].neighbours),
    ]
    for near in relatives:
        if len(tags) >= wanted:
            break
        if near not in tags:
            tags.append(near)
    if most < _FAINT and "neutral" not in tags:
        tags.append("neutral")
    return tuple(tags[:5])


def _neutral_tags(reading: Reading, hints: list[str], draw: random.Random) -> tuple[str, ...]:
    """Return "neutral" and two mild companions, by the form of the text."""
    if reading.negations:
        by_form = ["disapproval", "thoughtfulness"]
    elif reading.addressed:
        by_form = ["interest", "approval"]
    else:
        by_form = ["approval", "interest"] if draw.random() < 0.5 else ["realization", "interest"]
    tags = ["neutral", *(hint for hint in hints[:2] if hint != "neutral")]
    tags += [tag for tag in [*by_form, "thoughtfulness"] if tag not in tags]
    return tuple(tags[:3])


def _choose_actions(
    tags: tuple[str, ...], reading: Reading, draw: random.Random
) -> tuple[Action, ...]:
    """Return the units the text describes, of the first tag, and some of the others."""
    table = prototypes()
    first = table[tags[0]]
    most = reading.scores.get(tags[0], 0.0)
    level = 1 + sum(most >= step for step in _STEPS)
    chosen = {action.code: action for action in reading.actions}

    described = tuple(chosen)

    def add(code: int, at: int) -> None:
        chance = draw.random()
        at += (chance > 0.85) - (chance < 0.15)
        if code not in chosen and not (described and find_conflicts((*described, code))):
            chosen[code] = Action(code, _LETTERS[min(max(at, 0), 4)])

    for code in first.units:
        add(code, level)
    for code in first.optional:
        if draw.random() < 0.3:
            add(code, level - 1)
    for rank, tag in enumerate(tags[1:]):
        mixed = reading.scores.get(tag, 0.0) >= _MIXED * most > 0
        for code in table[tag].units if mixed else ():
            if draw.random() < 0.5:
                add(code, level - 1)
        for code in table[tag].optional:
            if draw.random() < 0.5 - 0.1 * min(rank, 2):
                add(code, 0 if tags[0] == "neutral" else level - 1)
    for tag in tags[:2]:
        if tag in _RARE and draw.random() < 0.3:
            add(_RARE[tag], level - 1)
    kept = tuple(chosen.values())
    if find_conflicts(chosen):
        kept, _ = drop_conflicts(kept)
    if len(kept) > _MOST_UNITS:
        must = {*first.units, *(action.code for action in reading.actions)}
        spare = [action for action in kept if action.code not in must]
        room = max(_MOST_UNITS - (len(kept) - len(spare)), 0)
        strongest = sorted(spare, key=lambda action: -action.strength())[:room]
        kept = tuple(a for a in kept if a.code in must or a in strongest)[:_MOST_UNITS]
    return tuple(sorted(kept, key=lambda action: action.code))


def _choose_situations(tags: tuple[str, ...], draw: random.Random) -> tuple[str, ...]:
    """Return one to three situations: of the first tag, of the second, of the first again."""
    table = situations()
    count = 1 + (draw.random() < 0.5) + (draw.random() < 0.25)
    second = tags[1] if tags[0] != "neutral" else tags[0]
    found: list[str] = []
    for tag in (tags[0], second, tags[0])[:count]:
        rest = [sentence for sentence in table[tag] if sentence not in found]
        found.append(rest[int(draw.random() * len(rest))])
    return tuple(found)


@cache
def situations() -> dict[str, tuple[str, ...]]:
    """Return the situations of each emotion, at least three."""
    text = files("expclip.tead").joinpath("data/situations.txt").read_text("utf-8")
    table: dict[str, list[str]] = {}
    rows: list[str] = []
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            rows = table.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            rows.append(line)
    return {emotion: tuple(sentences) for emotion, sentences in table.items()}
