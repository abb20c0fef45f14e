"""TEAD as a model learns from it: faces, and what may stand for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from expclip.face import ACTION_UNITS, AU_CODES, BLENDSHAPES
from expclip.face.errors import DataError
from expclip.models.places import fetch_dataset
from expclip.tead.corpora.corpus import normalise
from expclip.tead.folder import read_batches, read_manifest
from expclip.tead.hub.manifests import is_config_name, origin_of

__all__ = ["Choices", "Pairs", "TextData", "read_tead", "split_by_hash", "split_texts"]


@dataclass(frozen=True, eq=False)
class Choices:
    """For each row, the items of a table that may stand for it.

    Attributes:
        items: positions in the table; a row with fewer than the most repeats some.
        counts: how many of a row's are its own.
    """

    items: Int[np.ndarray, "rows most"]
    counts: Int[np.ndarray, " rows"]

    @classmethod
    def of(cls, items: Sequence[Sequence[int]]) -> "Choices":
        """Return the choices of rows that have one or more each."""
        counts = np.array([len(row) for row in items], np.int64)
        most = int(counts.max(initial=1))
        padded = [[*row, *[row[0]] * (most - len(row))] for row in items]
        return cls(np.array(padded, np.int64).reshape(len(items), most), counts)

    def draw(
        self, rows: Int[np.ndarray, " drawn"], chances: Float[np.ndarray, " drawn"]
    ) -> Int[np.ndarray, " drawn"]:
        """Return one item for each of some rows; a chance is uniform in 0..1."""
        which = (chances * self.counts[rows]).astype(np.int64)
        return np.asarray(self.items[rows, which])

    def of_rows(self, rows: Int[np.ndarray, " some"]) -> "Choices":
        """Return the choices of some rows."""
        return Choices(self.items[rows], self.counts[rows])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Faces, and the prompts that go with them.

    Attributes:
        faces: weights, 0..1.
        keys: equal for faces that count as one.
        natural: false where a grammar made the text.
        prompts: by kind ("text", "tags", "situation", "units"; "image"), items of a table.
        anchors: which each row belongs to, -1 for none; None where there are no anchors.
    """

    faces: Float[np.ndarray, "rows 52"]
    keys: Int[np.ndarray, " rows"]
    natural: Bool[np.ndarray, " rows"]
    prompts: Mapping[str, Choices]
    anchors: Int[np.ndarray, " rows"] | None = None

    def __len__(self) -> int:
        return len(self.faces)

    def of_rows(self, rows: Int[np.ndarray, " some"]) -> "Pairs":
        """Return some of the pairs."""
        prompts = {name: choices.of_rows(rows) for name, choices in self.prompts.items()}
        anchors = None if self.anchors is None else self.anchors[rows]
        return Pairs(self.faces[rows], self.keys[rows], self.natural[rows], prompts, anchors)


@dataclass(frozen=True, eq=False)
class TextData:
    """A TEAD: its pairs by split, the table of strings, and what it is."""

    train: Pairs
    test: Pairs
    texts: tuple[str, ...]  # of the training rows: what the validation split goes by
    strings: tuple[str, ...]  # distinct; what prompts point to
    about: dict[str, Any]


def read_tead(
    place: str | Path,
    *,
    config: str | None = None,
    augmented: bool = True,
    units: bool = False,
    revision: str | None = None,
) -> TextData:
    """Return a TEAD from a folder or, where there is none, from the Hub.

    Args:
        place: the folder, or OWNER/NAME on the Hub.
        config: which configuration; not needed where there is one annotator.
        augmented: take the augmented texts of the training rows too, where there are some.
        units: an account of the action units is a prompt too.
        revision: of the Hub's repository.

    Raises:
        DataError: the folder is no TEAD; there are several configurations, or not this one.
        ModelError: the Hub has no such data set, or cannot be reached.
    """
    folder = fetch_dataset(place, ["manifest*.json", "manifests/*.json"], revision)
    manifests = _manifests(folder)
    manifest = _choose(manifests, config, place)
    name = manifest["config"]
    extra = [m["config"] for m in manifests if augmented and origin_of(m) == name]
    fetch_dataset(place, [f"data/{one}/*.parquet" for one in (name, *extra)], revision)

    table = _Table()
    variants: dict[str, list[int]] = {}
    for one in extra:
        for batch in read_batches(folder, ("augmented_from", "text"), config=one, splits=["train"]):
            columns = (batch.column(column).to_pylist() for column in ("augmented_from", "text"))
            for origin, text in zip(*columns, strict=True):
                variants.setdefault(origin, []).append(table.place(text))
    train = _read_split(folder, name, "train", table, variants, units=units)
    test = _read_split(folder, name, "test", table, {}, units=units)
    _, keys = np.unique(np.concatenate([train.aus, test.aus]), axis=0, return_inverse=True)
    keys = keys.reshape(-1).astype(np.int64)
    about = {
        **({} if Path(place).is_dir() else {"repository": str(place)}),
        "config": name,
        "content_sha256": manifest["content_sha256"],
        "annotator": manifest.get("annotator", {}).get("llm", "unknown"),
        "corpora": manifest.get("corpus", {}).get("names", []),
        "augmented": extra,
        "rows": {"train": len(train.texts), "test": len(test.texts)},
    }
    cut = len(train.texts)
    return TextData(
        train.pairs(keys[:cut]),
        test.pairs(keys[cut:]),
        tuple(train.texts),
        tuple(table.strings),
        about,
    )


def split_by_hash(
    names: Sequence[str], share: float, seed: int
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " held"]]:
    """Return the rows to train on, and about this share to hold out; equal names stay together.

    Raises:
        DataError: one side would be empty.
    """
    digests = [sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")) for name in names]
    parts = np.array([int.from_bytes(digest.digest()[:8]) / 2**64 for digest in digests])
    kept, held = np.flatnonzero(parts >= share), np.flatnonzero(parts < share)
    if not len(kept) or not len(held):
        raise DataError(f"{len(names)} rows are too few to hold {share:.0%} of them out")
    return kept, held


def split_texts(data: TextData, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """Return the training pairs without, and those with, the held-out texts."""
    kept, held = split_by_hash([normalise(text) for text in data.texts], share, seed)
    return data.train.of_rows(kept), data.train.of_rows(held)


class _Table:
    """Distinct strings, and where each is."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        found = self._places.setdefault(text, len(self.strings))
        if found == len(self.strings):
            self.strings.append(text)
        return found


@dataclass
class _Split:
    """Rows of one split, as they are read."""

    faces: list[Any] = field(default_factory=list)
    units: list[Any] = field(default_factory=list)
    natural: list[bool] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    prompts: dict[str, list[list[int]]] = field(
        default_factory=lambda: {"text": [], "tags": [], "situation": [], "units": []}
    )

    @property
    def aus(self) -> Int[np.ndarray, "rows 36"]:
        return np.concatenate(self.units)

    def pairs(self, keys: Int[np.ndarray, " rows"]) -> Pairs:
        prompts = {name: Choices.of(items) for name, items in self.prompts.items() if items}
        return Pairs(np.concatenate(self.faces), keys, np.array(self.natural, bool), prompts)


def _read_split(
    folder: Path,
    config: str,
    split: str,
    table: _Table,
    variants: Mapping[str, list[int]],
    *,
    units: bool,
) -> _Split:
    found = _Split()
    columns = ("id", "text", "emotions", "situations", "synthetic", "aus", "blendshapes")
    for batch in read_batches(folder, columns, config=config, splits=[split]):
        where = f"{folder}: {config}, {split}"
        found.faces.append(_vectors(batch, "blendshapes", len(BLENDSHAPES), where))
        found.units.append(_vectors(batch, "aus", len(AU_CODES), where).astype(np.int8))
        found.natural += [not made for made in batch.column("synthetic").to_pylist()]
        for name, text, emotions, situations in _rows(batch, columns[:4]):
            found.texts.append(text)
            itself = table.place(text)
            found.prompts["text"].append([itself, *variants.get(name, [])])
            found.prompts["tags"].append([table.place(", ".join(emotions))])
            found.prompts["situation"].append([table.place(s) for s in situations] or [itself])
        if units:
            forms = map(_describe, found.units[-1])
            found.prompts["units"] += [[table.place(form) for form in row] for row in forms]
    if not found.texts:
        raise DataError(f"{folder}: {config}: no rows in {split}")
    return found


def _describe(aus: Int[np.ndarray, " 36"]) -> tuple[str, ...]:
    """Return the ways in which a face is told by its action units."""
    units = [unit for unit, shown in zip(ACTION_UNITS, aus, strict=True) if shown]
    if not units:
        return ("neutral", "no action unit")
    codes = "+".join(f"AU{unit.code}" for unit in units)
    return (codes, f"{codes} {', '.join(unit.name for unit in units)}")


def _rows(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _vectors(
    batch: pa.RecordBatch, column: str, length: int, where: str
) -> Float[np.ndarray, "rows length"]:
    """Return a column of vectors, 0..1."""
    flat = batch.column(column).flatten().to_numpy(zero_copy_only=False)
    if flat.size != len(batch) * length:
        raise DataError(f"{where}: {column} are not {length} numbers each")
    values = np.asarray(flat, np.float32).reshape(-1, length)
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{where}: {column} hold something else than numbers of 0 to 1")
    return values


def _manifests(folder: Path) -> list[dict[str, Any]]:
    """Return all manifests of a data set: of a build, and of a published one."""
    paths = [*folder.glob("manifest*.json"), *folder.glob("manifests/*.json")]
    found = {}
    for path in sorted(paths):
        manifest = read_manifest(path.parent, path.name)
        if not is_config_name(manifest["config"]):
            raise DataError(f"{path}: {manifest['config']!r} is no name of a configuration")
        found[manifest["config"]] = manifest
    if not found:
        raise DataError(f"{folder}: not a finished TEAD (no manifest.json)")
    return list(found.values())


def _choose(
    manifests: Sequence[dict[str, Any]], config: str | None, place: str | Path
) -> dict[str, Any]:
    """Return the manifest to train on."""
    originals = {m["config"]: m for m in manifests if origin_of(m) is None}
    known = ", ".join(originals)
    if config is None:
        if len(originals) != 1:
            raise DataError(f"{place}: has several configurations, name one of {known}")
        return next(iter(originals.values()))
    if config not in originals:
        raise DataError(f"{place}: no configuration {config!r}, expected one of {known}")
    return originals[config]
