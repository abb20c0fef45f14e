"""What a finished TEAD folder sends to the Hub, once its rows are what its manifests say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expclip.face.errors import DataError
from expclip.face.render import encode_png, render_contact_sheet
from expclip.tead.augmentation.augmented import LINK_COLUMNS
from expclip.tead.augmentation.lineage import Originals, check_lineage
from expclip.tead.folder import read_batches, read_manifest, read_rows
from expclip.tead.hub.manifests import check_manifest, origin_of
from expclip.tead.hub.repository import Content
from expclip.tead.reports.figures import Tally, draw_figures
from expclip.tead.rules import find_problems
from expclip.tead.schema import SPLITS, content_hash, features, row_digest

if TYPE_CHECKING:
    pass

__all__ = ["Parcel", "encode_json", "find_fault", "read_parcel"]

_SAMPLE, _FACES, _FACES_FROM = 8, 12, 2000
_SHOWN = ("text", "emotions", "au_codes")
_LONGEST = 200  # characters of a text in the card


@dataclass(frozen=True)
class Parcel:
    """What is published of a finished folder.

    Attributes:
        manifest: of the original configuration, with some rows under "sample".
        augmented: manifests of the augmented ones, likewise.
        files: what is sent, by path in the repository.
        rows: id and digest of each row of the original, train first.
    """

    manifest: Mapping[str, Any]
    augmented: Sequence[Mapping[str, Any]]
    files: Mapping[str, Content]
    rows: Sequence[tuple[str, bytes]]

    @property
    def manifests(self) -> dict[str, Mapping[str, Any]]:
        """All manifests by configuration, the original's first."""
        return {str(told["config"]): told for told in (self.manifest, *self.augmented)}

    @property
    def config(self) -> str:
        """Name of the original configuration."""
        return str(self.manifest["config"])


def read_parcel(folder: Path, *, augmented: bool) -> Parcel:
    """Read a folder, and make sure that all rows are those its manifests vouch for.

    Args:
        folder: a finished TEAD.
        augmented: take its augmented configurations along.

    Raises:
        DataError: a manifest is not whole, or rows are not those it was written for, or
            they break a rule of `validate`.
    """
    parcel = _read_original(folder)
    manifests, files = [], dict(parcel.files)
    paths = sorted(folder.glob("manifest-*.json")) if augmented else []
    originals = Originals(folder, parcel.manifest["content_sha256"]) if paths else None
    for path in paths:
        assert originals is not None
        manifest = _read_augmented(folder, path.name, parcel.config, originals)
        manifests.append(manifest)
        files |= _rows_of(folder, manifest["config"])
        files[f"manifests/{manifest['config']}.json"] = encode_json(manifest)
    return Parcel(parcel.manifest, manifests, files, parcel.rows)


def find_fault(folder: Path, manifest: Mapping[str, Any], originals: Originals) -> str:
    """Return the first thing wrong with augmented rows, in words; "" if there is nothing.

    Raises:
        DataError: a file is missing or broken.
    """
    _check_columns(folder, manifest["config"], tuple(LINK_COLUMNS))
    lineage = check_lineage(folder, manifest, originals)
    for rule, ids in sorted(lineage.errors.items()):
        return f"{rule} ({len(ids):,}, first {ids[0]})"
    found = {**lineage.rows, "rows": lineage.rows.total()}
    if any(found.get(key, 0) != manifest["counts"][key] for key in ("rows", *SPLITS)):
        return "the numbers of rows are not the manifest's"
    return ""


def encode_json(document: Mapping[str, Any]) -> bytes:
    """Return a document as readable JSON."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


# The original


def _read_original(folder: Path) -> Parcel:
    manifest = check_manifest(read_manifest(folder), f"{folder}/manifest.json")
    config = str(manifest["config"])
    if origin_of(manifest) is not None:
        raise DataError(f"{folder}/manifest.json: is of an augmented configuration")
    _check_columns(folder, config)
    rows: list[tuple[str, bytes]] = []
    broken: list[str] = []
    sample: list[dict[str, Any]] = []
    faces: dict[str, dict[str, Any]] = {}
    tally, texts = Tally(), dict[str, str]()
    for row in read_rows(folder):
        rows.append((row["id"], row_digest(row)))
        broken += (f"{problem} (first {row['id']})" for problem in find_problems(row, texts))
        tally.add(row)
        if len(sample) < _SAMPLE:
            sample.append({name: row[name] for name in _SHOWN} | {"text": row["text"][:_LONGEST]})
        if len(rows) <= _FACES_FROM and len(faces) < _FACES:
            faces.setdefault("".join(row["emotions"][:1]), row)  # one of each emotion
    if content_hash(digest for _, digest in rows) != manifest["content_sha256"]:
        raise DataError(f"{folder}: rows are not those of manifest.json: build it again")
    if broken:
        raise DataError(f"{folder}: {broken[0]}: `expclip tead validate` tells of all")
    files: dict[str, Content] = {**_rows_of(folder, config)}
    if (folder / "rejects.parquet").is_file():
        files[f"rejects/{config}.parquet"] = folder / "rejects.parquet"
    figures = draw_figures(tally, config)
    files |= {f"figures/{config}/{name}.svg": svg.encode() for name, svg in figures.items()}
    manifest = {**manifest, "figures": list(figures), "sample": sample}
    files[f"manifests/{config}.json"] = encode_json(manifest)
    files[f"faces/{config}.png"] = _draw(list(faces.values()))
    return Parcel(manifest, (), files, rows)


def _draw(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a contact sheet of some rows, as PNG."""
    faces = [np.asarray(row["blendshapes"], np.float32) for row in rows]
    captions = [f"{', '.join(row['emotions'][:2])}: {row['text'][:_LONGEST]}" for row in rows]
    return encode_png(render_contact_sheet(faces, captions, columns=4))


# What was made from it


def _read_augmented(
    folder: Path, name: str, config: str, originals: Originals
) -> Mapping[str, Any]:
    """Return a manifest that holds for the rows beside the original's, with a sample."""
    manifest = check_manifest(read_manifest(folder, name), f"{folder}/{name}")
    if name != f"manifest-{manifest['config']}.json" or manifest["config"] == config:
        raise DataError(f"{folder}/{name}: is of configuration {manifest['config']!r}")
    if origin_of(manifest) != config:
        raise DataError(f"{folder}/{name}: is not of an augmentation of {config!r}: augment again")
    if fault := find_fault(folder, manifest, originals):
        raise DataError(f"{folder}/{name}: {fault}: augment again")
    return {**manifest, "sample": list(_sample(folder, manifest["config"], originals))}


def _sample(folder: Path, config: str, originals: Originals) -> Iterator[dict[str, str]]:
    """Yield a row for each operation, with the text it was made from."""
    columns = ("operation", "augmented_from", "text")
    told: set[str] = set()
    for batch in read_batches(folder, columns, config=config):
        for operation, origin, text in zip(*(batch[n].to_pylist() for n in columns), strict=True):
            if operation not in told and len(told) < _SAMPLE:
                told.add(operation)
                original = originals.texts[originals.places[origin]]
                yield {
                    "operation": operation[:_LONGEST],
                    "original": original[:_LONGEST],
                    "text": text[:_LONGEST],
                }
        return


# Files


def _rows_of(folder: Path, config: str) -> dict[str, Path]:
    """Return the files with the rows of a configuration, by path."""
    paths = (
        path
        for split in SPLITS
        for path in sorted((folder / "data" / config).glob(f"{split}-*.parquet"))
    )
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _check_columns(folder: Path, config: str, links: Sequence[str] = ()) -> None:
    """Check that the files have the columns of TEAD, of its types, and a value in each row.

    Raises:
        DataError: they have not.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = features().arrow_schema
    for name in links:
        expected = expected.append(pa.field(name, pa.int32() if name == "variant" else pa.string()))
    for path in _rows_of(folder, config).values():
        try:
            found = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a sound Parquet file ({error})") from None
        if found.names != expected.names or found.types != expected.types:
            raise DataError(f"{path}: columns are not those that TEAD has: build it again")
