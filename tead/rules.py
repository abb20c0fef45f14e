"""The rules that every reply and every row must keep.

`check_tags` and `check_situations` are asked of every reply, `find_problems` of every row
of a finished data set, whoever built it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from expclip.face import AU_CODES, AU_INDEX, BLENDSHAPES, find_conflicts, parse_action
from expclip.face.errors import ParseError
from expclip.tead.corpora.corpus import normalise
from expclip.tead.schema import SPLITS, Annotation

__all__ = ["NEUTRAL", "check_situations", "check_tags", "codes_of", "find_problems", "split_of"]

NEUTRAL = frozenset({"neutral", "neutrality", "calm", "indifference", "none"})
"""First tags whose face may show no action unit."""

_TAGS = range(3, 6)
_SITUATIONS = range(1, 4)
_SHORTEST_SITUATION = 8  # characters; some scripts say much in few
_TRAIN_SHARE = 0.9


def split_of(text: str) -> str:
    """Return "train" (90 %) or "test" by hash of the normalised text.

    The same text is thus never on both sides, and adding rows moves none.
    """
    digest = hashlib.sha256(normalise(text).encode()).digest()
    return SPLITS[0] if int.from_bytes(digest[:8]) / 2**64 < _TRAIN_SHARE else SPLITS[1]


def check_tags(annotation: Annotation) -> None:
    """Check tags and action units of a reply.

    Raises:
        ParseError: too few or too many tags ("tags"), no action unit though the face is
            not neutral ("no_units"), or units that no face shows together ("conflict").
    """
    count = len(annotation.emotions)
    if count not in _TAGS:
        raise ParseError("tags", f"{count} emotion tags, expected {_TAGS[0]} to {_TAGS[-1]}")
    if not annotation.actions and annotation.emotions[0] not in NEUTRAL:
        aside = f" ({'; '.join(annotation.notes[:3])})" if annotation.notes else ""
        raise ParseError("no_units", f"no action unit of the list{aside}")
    conflicts = find_conflicts(action.code for action in annotation.actions)
    if conflicts:
        pairs = ", ".join(f"AU{first} with AU{second}" for first, second in conflicts)
        raise ParseError("conflict", f"one face cannot show {pairs}")


def check_situations(situations: tuple[str, ...]) -> None:
    """Check the situations of a reply.

    Raises:
        ParseError: there are none, too many, or one is no sentence ("situations").
    """
    if len(situations) not in _SITUATIONS:
        raise ParseError(
            "situations",
            f"{len(situations)} situations, expected {_SITUATIONS[0]} to {_SITUATIONS[-1]}",
        )
    for situation in situations:
        if len(situation) < _SHORTEST_SITUATION:
            raise ParseError("situations", f"{situation!r} is no sentence")


def find_problems(row: Mapping[str, Any], texts: dict[str, str]) -> Iterator[str]:
    """Yield the names of the rules that a row breaks; remembers the texts it has seen."""
    yield from filter(None, (_problem(check, row) for check in (_check_row, _check_vectors)))
    key = normalise(row["text"])
    if key in texts:
        yield "text in both splits" if texts[key] != row["split"] else "text twice"
    texts[key] = row["split"]
    if row["split"] != split_of(row["text"]):
        yield "split is not the one of the text's hash"


def _problem(check: Callable[[Mapping[str, Any]], None], row: Mapping[str, Any]) -> str | None:
    try:
        check(row)
    except ParseError as error:
        return error.reason
    return None


def _check_row(row: Mapping[str, Any]) -> None:
    actions = tuple(map(parse_action, row["au_codes"]))
    check_tags(Annotation(tuple(row["emotions"]), actions))
    check_situations(tuple(row["situations"]))
    if {action.code for action in actions} != codes_of(row):
        raise ParseError("au_codes and aus differ", row["id"])


def _check_vectors(row: Mapping[str, Any]) -> None:
    if len(row["aus"]) != len(AU_INDEX) or not set(row["aus"]) <= {0, 1}:
        raise ParseError("aus is not 36 zeros and ones", row["id"])
    weights = np.asarray(row["blendshapes"], np.float32)
    if weights.shape != (len(BLENDSHAPES),) or not ((weights >= 0) & (weights <= 1)).all():
        raise ParseError("blendshapes are not 52 weights in 0..1", row["id"])


def codes_of(row: Mapping[str, Any]) -> set[int]:
    """Return the codes of a row's vector of units; numbers beyond the 36 are another rule's."""
    return {AU_CODES[index] for index in np.flatnonzero(row["aus"][: len(AU_CODES)])}
