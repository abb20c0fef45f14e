"""What a good annotation and a good data set must fulfil.

`check_tags` and `check_situations` are asked of every reply; `validate` reads a
finished TEAD and checks all its rows again, whoever built it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from expclip.face import AU_CODES, AU_INDEX, BLENDSHAPES, find_conflicts, parse_action
from expclip.face.errors import DataError, ParseError
from expclip.tead.corpus import normalise
from expclip.tead.emotions import prototypes
from expclip.tead.schema import COLUMNS, SPLITS, Annotation, content_hash, row_digest

__all__ = ["Validation", "check_situations", "check_tags", "read_rows", "split_of", "validate"]

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
    import hashlib

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


@dataclass
class Validation:
    """What was found in a data set.

    Attributes:
        rows: number of rows by split.
        errors: what must not be, with the number of rows and a first example.
        units: number of rows that show each action unit.
        empty_units: units that no row shows.
        prototype_share: share of rows whose face agrees with the prototype of one of
            its tags (Jaccard at least 0.3, and at least half of the prototype's units).
        units_per_row: mean number of units.
        content_sha256: hash of the content.
    """

    rows: dict[str, int] = field(default_factory=dict)
    errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    units: dict[int, int] = field(default_factory=dict)
    prototype_share: float = 0.0
    units_per_row: float = 0.0
    content_sha256: str = ""

    @property
    def empty_units(self) -> tuple[int, ...]:
        """Units that no row shows."""
        return tuple(code for code in AU_CODES if not self.units.get(code))

    @property
    def ok(self) -> bool:
        """Whether no row breaks a rule."""
        return not self.errors


def validate(folder: str | Path) -> Validation:
    """Check every row of a TEAD folder.

    Raises:
        DataError: the folder is no TEAD, or one of its files is missing or broken.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    found = Validation(rows=Counter(), units=Counter())
    problems: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    agreeing = judged = 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal agreeing, judged
        for row in read_rows(folder):
            found.rows[row["split"]] += 1
            for problem in _problems(row, texts):
                problems.setdefault(problem, []).append(row["id"])
            codes = {AU_CODES[index] for index in np.flatnonzero(row["aus"])}
            for code in codes:
                found.units[code] += 1
            agreement = _agrees(row["emotions"], codes)
            judged += agreement is not None
            agreeing += agreement is True
            yield row

    found.content_sha256 = content_hash(map(row_digest, rows()))
    total = sum(found.rows.values())
    found.units_per_row = sum(found.units.values()) / total if total else 0.0
    found.prototype_share = agreeing / judged if judged else 0.0
    found.errors = {name: (len(ids), ids[0]) for name, ids in sorted(problems.items())}
    if found.content_sha256 != manifest["content_sha256"]:
        found.errors["content differs from the manifest's hash"] = (total, "manifest.json")
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a TEAD folder.

    Raises:
        DataError: there is none, or it is not one of ours.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder}: not a finished TEAD (no manifest.json)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(manifest, dict) or not {"config", "content_sha256"} <= manifest.keys():
        raise DataError(f"{path}: not a manifest of TEAD (no config or content hash)")
    return manifest


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a TEAD folder, train first.

    Raises:
        DataError: a file is missing or broken, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    config = read_manifest(folder)["config"]
    for split in SPLITS:
        paths = sorted((folder / "data" / str(config)).glob(f"{split}-*.parquet"))
        if not paths:
            raise DataError(f"{folder}/data/{config}: no {split}-*.parquet found")
        for path in paths:
            try:
                file = pq.ParquetFile(path)
                missing = COLUMNS.keys() - set(file.schema_arrow.names)
                if missing:
                    raise DataError(f"{path}: no column {', '.join(sorted(missing))}")
                for batch in file.iter_batches(2048, columns=list(COLUMNS)):
                    yield from batch.to_pylist()
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path}: not a sound Parquet file ({error})") from None


def _problems(row: Mapping[str, Any], texts: dict[str, str]) -> Iterator[str]:
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
    if {action.code for action in actions} != {AU_CODES[i] for i in np.flatnonzero(row["aus"])}:
        raise ParseError("au_codes and aus differ", row["id"])


def _check_vectors(row: Mapping[str, Any]) -> None:
    if len(row["aus"]) != len(AU_INDEX) or not set(row["aus"]) <= {0, 1}:
        raise ParseError("aus is not 36 zeros and ones", row["id"])
    weights = np.asarray(row["blendshapes"], np.float32)
    if weights.shape != (len(BLENDSHAPES),) or not ((weights >= 0) & (weights <= 1)).all():
        raise ParseError("blendshapes are not 52 weights in 0..1", row["id"])


def _agrees(emotions: Iterable[str], codes: set[int]) -> bool | None:
    """Return whether a face fits one of its tags' prototypes; None if none is known."""
    known = [prototypes()[tag] for tag in emotions if tag in prototypes()]
    known = [prototype for prototype in known if prototype.units]
    if not known:
        return None
    return any(
        len(codes & set(prototype.units)) * 2 >= len(prototype.units)
        and len(codes & face) >= 0.3 * len(codes | face)
        for prototype in known
        for face in [{*prototype.units, *prototype.optional}]
    )
