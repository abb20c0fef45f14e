"""What an augmented configuration says of its originals, checked row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expclip.face.errors import DataError
from expclip.tead.augmentation.augmented import LINK_COLUMNS, link_digests, text_key, variant_id
from expclip.tead.augmentation.eda import Eda
from expclip.tead.augmentation.synonyms import load_synonyms
from expclip.tead.folder import read_batches
from expclip.tead.schema import COLUMNS, SPLITS, content_hash, features

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Lineage", "Originals", "check_lineage"]

_INHERITED = tuple(name for name in COLUMNS if name not in ("id", "text", "split"))
_MOST_VARIANTS = 1000  # of a row, to be made again
_AT_ONCE = 20_000  # variants


@dataclass
class Lineage:
    """What was found in an augmented configuration.

    Attributes:
        rows: number of rows by split.
        errors: ids of the rows that break a rule, by its name.
        warnings: what could not be checked, likewise.
    """

    rows: Counter[str] = field(default_factory=Counter)
    errors: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def blame(self, rule: str, *ids: str) -> None:
        """Note rows that break a rule."""
        if ids:
            self.errors.setdefault(rule, []).extend(ids)


class Originals:
    """The rows of the original configuration, in memory.

    Args:
        folder: the data set.
        content_sha256: hash of the rows that lie there.
    """

    def __init__(self, folder: Path, content_sha256: str) -> None:
        import pyarrow as pa

        self.content_sha256 = content_sha256
        batches = list(read_batches(folder, tuple(COLUMNS)))
        schema = batches[0].schema if batches else features().arrow_schema
        self.table: pa.Table = pa.Table.from_batches(batches, schema)
        self.ids: list[str] = self.table.column("id").to_pylist()
        self.texts: list[str] = self.table.column("text").to_pylist()
        self.splits: list[str] = self.table.column("split").to_pylist()
        self.places = {id_: place for place, id_ in enumerate(self.ids)}
        self.keys = dict(zip(map(text_key, self.texts), self.splits, strict=True))


def check_lineage(folder: Path, manifest: Mapping[str, Any], originals: Originals) -> Lineage:
    """Check that augmented rows are what they say of their originals.

    Every row names a row of the original configuration, is in its split, has all its
    columns but id and text, and a text that no other row has, on whichever side. Where the
    manifest tells how (`Eda`), all variants are made again from seed and originals, and
    must be the same to the letter.

    Raises:
        DataError: a file is missing or broken, or the manifest is not whole.
    """
    config, found = str(manifest["config"]), Lineage()
    texts: dict[tuple[str, int], tuple[str, str, str]] = {}
    seen, digests = dict(originals.keys), list[bytes]()
    for split in SPLITS:
        columns = (*COLUMNS, *LINK_COLUMNS)
        for batch in read_batches(folder, columns, config=config, splits=[split]):
            found.rows[split] += batch.num_rows
            digests += link_digests(batch)
            _check_links(batch, split, originals, found)
            for row in _new_of(batch):
                pair = (row["augmented_from"], row["variant"])
                if pair in texts:
                    found.blame("variant twice", row["id"])
                texts[pair] = (row["id"], row["operation"], row["text"])
                if row["id"] != variant_id(*pair, row["text"]):
                    found.blame("id is not the hash of the row", row["id"])
                key = text_key(row["text"])
                if key in seen:
                    leaks = seen[key] != split
                    found.blame("text in both splits" if leaks else "text twice", row["id"])
                seen.setdefault(key, split)
    _check_manifest(manifest, content_hash(digests), originals, found)
    eda = _recall(manifest, found)
    if eda is not None:
        _make_again(eda, manifest["parameters"], originals, texts, seen.keys(), found)
    return found


def _new_of(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    yield from batch.select(["id", "text", *LINK_COLUMNS]).to_pylist()


def _check_links(batch: pa.RecordBatch, split: str, originals: Originals, found: Lineage) -> None:
    """Check that the originals are there, and all but the text is theirs."""
    import pyarrow as pa

    ids = batch.column("id").to_pylist()
    places = [originals.places.get(id_, -1) for id_ in batch.column("augmented_from").to_pylist()]
    linked = np.flatnonzero(np.array(places, np.int64) >= 0)
    found.blame("original is missing", *(i for i, at in zip(ids, places, strict=True) if at < 0))
    rows = pa.Table.from_batches([batch]).take(pa.array(linked))
    theirs = originals.table.take(pa.array([places[n] for n in linked], pa.int64()))
    wrong_split = {
        n
        for n, (mine, its) in enumerate(zip(*_lists("split", rows, theirs), strict=True))
        if not mine == its == split
    }
    relabelled: set[int] = set()
    for name in _INHERITED:
        if not rows.column(name).equals(theirs.column(name)):
            pairs = zip(*_lists(name, rows, theirs), strict=True)
            relabelled |= {n for n, (mine, its) in enumerate(pairs) if mine != its}
    for rule, wrong in (
        ("split is not the original's", wrong_split),
        ("labels are not the original's", relabelled),
    ):
        found.blame(rule, *(ids[linked[n]] for n in sorted(wrong)))


def _lists(name: str, *tables: pa.Table) -> list[list[Any]]:
    return [table.column(name).to_pylist() for table in tables]


def _check_manifest(
    manifest: Mapping[str, Any], content_sha256: str, originals: Originals, found: Lineage
) -> None:
    name = f"manifest-{manifest['config']}.json"
    if content_sha256 != manifest["content_sha256"]:
        found.blame("content differs from the manifest's hash", name)
    origin = manifest.get("augmented_from")
    if not isinstance(origin, dict) or origin.get("content_sha256") != originals.content_sha256:
        found.blame("made from other originals than these", name)


def _recall(manifest: Mapping[str, Any], found: Lineage) -> Eda | None:
    """Return the augmenter that a manifest names, if it can be had here."""
    name, told = f"manifest-{manifest['config']}.json", manifest.get("parameters")
    if not isinstance(told, dict):
        raise DataError(f"{name}: no parameters, augment again")
    if "operations" not in told:
        found.warnings["made by a plug-in, and not made again"] = [name]
        return None
    try:
        wordnet = False if told["synonyms"] == "embedded" else None
        synonyms = load_synonyms(wordnet, told["emotion_words"])
        eda = Eda(tuple(told["operations"]), alpha=float(told["alpha"]), synonyms=synonyms)
        if not (isinstance(told["seed"], int) and 1 <= int(told["variants"]) <= _MOST_VARIANTS):
            raise ValueError(f"variants {told['variants']!r} of seed {told['seed']!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{name}: parameters are not those of an augmentation ({error})") from None
    if synonyms.origin != told["synonyms"]:
        found.warnings["made with another WordNet than is here, and not made again"] = [name]
        return None
    return eda


def _make_again(
    eda: Eda,
    told: Mapping[str, Any],
    originals: Originals,
    texts: dict[tuple[str, int], tuple[str, str, str]],
    keys: Any,
    found: Lineage,
) -> None:
    """Compare every variant with what its seed gives; those left out repeat another text."""
    variants = int(told["variants"])
    step = max(1, _AT_ONCE // variants)
    for start in range(0, len(originals.ids), step):
        rows = slice(start, start + step)
        made = eda.augment(
            originals.texts[rows], originals.ids[rows], seed=told["seed"], variants=variants
        )
        for item in made:
            here = texts.pop((item.id, item.variant), None)
            if here is not None:
                if here[1:] != (item.operation, item.text) or item.outcome != "changed":
                    found.blame("text is not what the seed gives", here[0])
            elif item.outcome == "changed" and text_key(item.text) not in keys:
                found.blame("variant of the seed is missing", item.id)
    left = (here[0] for (origin, _), here in texts.items() if origin in originals.places)
    found.blame("text is not what the seed gives", *left)
