"""What a finished data set is told about itself.

`validate` reads a TEAD and checks all its rows again, whoever built it, and with them the
augmented configurations beside. What breaks a rule is an error; what a user should know of
before trusting a score is a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from expclip.face import AU_CODES
from expclip.tead.duplicates import find_near_duplicates
from expclip.tead.emotions import Prototype, prototypes
from expclip.tead.folder import read_manifest, read_rows
from expclip.tead.language import count_letters
from expclip.tead.rules import codes_of, find_problems
from expclip.tead.schema import content_hash, row_digest

__all__ = ["Flag", "NearPair", "Validation", "validate"]

Flag = Callable[[Sequence[str]], Iterable[bool]]
"""A plug-in that tells of each of some texts whether it is, say, toxic."""

_USUAL_UNITS = range(2, 10)
_EXAMPLES = 5
_FLAG_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two rows whose texts are nearly the same, with the similarity (0..1)."""

    ids: tuple[str, str]
    texts: tuple[str, str]
    similarity: float


@dataclass
class Validation:
    """What was found in a data set.

    Attributes:
        rows: number of rows by split.
        errors: what must not be, with the number of rows and a first example.
        warnings: what a user should know of, likewise.
        units: number of rows that show each action unit.
        prototype_share: share of rows whose face agrees with the prototype of one of
            its tags (Jaccard at least 0.3, and at least half of the prototype's units).
        prototypes: by first tag, the rows that agree with that tag's own prototype, and
            all rows with that first tag.
        units_per_row: mean number of units.
        unusual_share: share of rows with fewer than 2 units or more than 9.
        near_within: rows nearly the same as an earlier one of their split.
        near_across: rows of a later split nearly the same as one of an earlier split.
        near_examples: the most similar pairs, those across splits first.
        near_rows: all rows nearly the same as another, by place in the order of `read_rows`.
        non_latin_share: share of letters that are not Latin.
        flagged: rows that the plug-in flags; None without a plug-in.
        augmented: by name of an augmented configuration, its number of rows by split. What
            is found there has the name in front; `rows` and all figures are without them.
        content_sha256: hash of the content.
    """

    rows: dict[str, int] = field(default_factory=dict)
    errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    warnings: dict[str, tuple[int, str]] = field(default_factory=dict)
    units: dict[int, int] = field(default_factory=dict)
    prototype_share: float = 0.0
    prototypes: dict[str, tuple[int, int]] = field(default_factory=dict)
    units_per_row: float = 0.0
    unusual_share: float = 0.0
    near_within: int = 0
    near_across: int = 0
    near_examples: tuple[NearPair, ...] = ()
    near_rows: tuple[int, ...] = ()
    non_latin_share: float = 0.0
    flagged: int | None = None
    augmented: dict[str, dict[str, int]] = field(default_factory=dict)
    content_sha256: str = ""

    @property
    def empty_units(self) -> tuple[int, ...]:
        """Units that no row shows."""
        return tuple(code for code in AU_CODES if not self.units.get(code))

    @property
    def au1_share(self) -> float:
        """Share of rows that show AU1, which language models are fond of."""
        return self.units.get(1, 0) / max(sum(self.rows.values()), 1)

    @property
    def ok(self) -> bool:
        """Whether no row breaks a rule."""
        return not self.errors


def validate(folder: str | Path, *, flag: Flag | None = None) -> Validation:
    """Check every row of a TEAD folder.

    Args:
        folder: the data set.
        flag: a plug-in, asked of all texts, some hundred at a time.

    Raises:
        DataError: the folder is no TEAD, or one of its files is missing or broken.
        ValueError: the plug-in does not answer with one value for each text.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    tally = _Tally()

    def rows() -> Iterator[Mapping[str, Any]]:
        for row in read_rows(folder):
            tally.add(row)
            yield row

    digest = content_hash(map(row_digest, rows()))
    found = tally.finish(flag)
    found.content_sha256 = digest
    if digest != manifest["content_sha256"]:
        total = sum(found.rows.values())
        found.errors["content differs from the manifest's hash"] = (total, "manifest.json")
    _check_augmented(folder, digest, found)
    return found


def _check_augmented(folder: Path, content_sha256: str, found: Validation) -> None:
    """Check the augmented configurations beside the original, whose hash is given."""
    from expclip.tead.augmentation.lineage import Originals, check_lineage

    manifests = [
        read_manifest(folder, path.name) for path in sorted(folder.glob("manifest-*.json"))
    ]
    originals = Originals(folder, content_sha256) if manifests else None
    for manifest in manifests:
        assert originals is not None
        lineage = check_lineage(folder, manifest, originals)
        config = manifest["config"]
        found.augmented[config] = dict(lineage.rows)
        for names, told in ((lineage.errors, found.errors), (lineage.warnings, found.warnings)):
            told.update({f"{config}: {name}": (len(i), i[0]) for name, i in sorted(names.items())})


class _Tally:
    """Counts what is found row by row, then what only all rows together show."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._units: Counter[int] = Counter()
        self._agreement: Counter[bool | None] = Counter()
        self._first_tags: dict[str, list[bool]] = {}
        self._unusual = 0
        self._letters = np.zeros(2, np.int64)  # not Latin, all
        self._problems: dict[str, list[str]] = {}
        self._notable: dict[str, list[str]] = {}
        self._seen: dict[str, str] = {}
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._splits: list[str] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at a row by itself."""
        self._rows[row["split"]] += 1
        self._ids.append(row["id"])
        self._texts.append(row["text"])
        self._splits.append(row["split"])
        for problem in find_problems(row, self._seen):
            self._problems.setdefault(problem, []).append(row["id"])
        codes = codes_of(row)
        self._units.update(codes)
        self._unusual += len(codes) not in _USUAL_UNITS
        self._agreement[_agrees(row["emotions"], codes)] += 1
        first = prototypes().get(row["emotions"][0]) if row["emotions"] else None
        if first and first.units:
            self._first_tags.setdefault(first.emotion, []).append(_fits(first, codes))
        foreign, letters = count_letters(row["text"])
        self._letters += (foreign, letters)
        if foreign * 2 > letters:
            self._note("most letters are not Latin", row["id"])

    def finish(self, flag: Flag | None) -> Validation:
        """Return what was found."""
        total = max(sum(self._rows.values()), 1)
        found = Validation(
            rows=self._rows,
            units=self._units,
            units_per_row=sum(self._units.values()) / total,
            unusual_share=self._unusual / total,
            prototype_share=self._agreement[True]
            / max(self._agreement[True] + self._agreement[False], 1),
            prototypes={tag: (sum(hits), len(hits)) for tag, hits in self._first_tags.items()},
            non_latin_share=float(self._letters[0] / max(self._letters[1], 1)),
        )
        self._compare_texts(found)
        if flag is not None:
            found.flagged = self._ask(flag)
        found.errors, found.warnings = (
            {name: (len(ids), ids[0]) for name, ids in sorted(names.items())}
            for names in (self._problems, self._notable)
        )
        return found

    def _note(self, name: str, id: str) -> None:
        self._notable.setdefault(name, []).append(id)

    def _compare_texts(self, found: Validation) -> None:
        """Find texts that are nearly the same, within a split and across."""
        pairs = find_near_duplicates(self._texts)
        found.near_rows = tuple(np.union1d(pairs.first, pairs.second).tolist())
        splits = np.array(self._splits)
        across = splits[pairs.first] != splits[pairs.second]
        leaks = np.unique(pairs.second[across])
        found.near_across = len(leaks)
        found.near_within = len(np.unique(pairs.second[~across]))
        for row in leaks.tolist():
            self._note("nearly the same text in another split", self._ids[row])
        order = np.lexsort((pairs.second, -pairs.similarity, ~across))[:_EXAMPLES]
        found.near_examples = tuple(
            NearPair(
                (self._ids[first], self._ids[second]),
                (self._texts[first], self._texts[second]),
                float(similarity),
            )
            for first, second, similarity in zip(
                pairs.first[order], pairs.second[order], pairs.similarity[order], strict=True
            )
        )

    def _ask(self, flag: Flag) -> int:
        """Return how many texts a plug-in flags."""
        count = 0
        for start in range(0, len(self._texts), _FLAG_AT_ONCE):
            texts = self._texts[start : start + _FLAG_AT_ONCE]
            answers = list(flag(texts))
            if len(answers) != len(texts):
                raise ValueError(
                    f"the plug-in gave {len(answers)} answers for {len(texts)} texts, "
                    "expected one for each"
                )
            for offset in np.flatnonzero(np.asarray(answers, bool)).tolist():
                self._note("flagged by the plug-in", self._ids[start + offset])
                count += 1
        return count


def _agrees(emotions: Iterable[str], codes: set[int]) -> bool | None:
    """Return whether a face fits one of its tags' prototypes; None if none is known."""
    known = [prototypes()[tag] for tag in emotions if tag in prototypes()]
    known = [prototype for prototype in known if prototype.units]
    return any(_fits(prototype, codes) for prototype in known) if known else None


def _fits(prototype: Prototype, codes: set[int]) -> bool:
    face = {*prototype.units, *prototype.optional}
    half = len(codes & set(prototype.units)) * 2 >= len(prototype.units)
    return half and len(codes & face) >= 0.3 * len(codes | face)
