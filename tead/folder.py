"""A TEAD folder as it lies on the disk: its manifest, its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip.face.errors import DataError
from expclip.tead.schema import COLUMNS, SPLITS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_batches", "read_manifest", "read_rows"]


def read_manifest(folder: Path, name: str = "manifest.json") -> dict[str, Any]:
    """Return the manifest of a TEAD folder.

    Raises:
        DataError: there is none, or it is not one of ours.
    """
    path = folder / name
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder}: not a finished TEAD (no {name})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(manifest, dict) or not {"config", "content_sha256"} <= manifest.keys():
        raise DataError(f"{path}: not a manifest of TEAD (no config or content hash)")
    config = manifest["config"]
    if not isinstance(config, str) or config in ("", ".", "..") or set(config) & {"/", "\\", "\0"}:
        raise DataError(f"{path}: {config!r} is no name of a configuration")
    return manifest


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a TEAD folder, train first.

    Raises:
        DataError: a file is missing or broken, or lacks a column.
    """
    for batch in read_batches(folder, tuple(COLUMNS)):
        yield from batch.to_pylist()


def read_batches(
    folder: Path,
    columns: Sequence[str],
    *,
    config: str | None = None,
    splits: Sequence[str] = SPLITS,
    rows: int = 2048,
) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a TEAD folder as Arrow batches, train first.

    Args:
        folder: the data set.
        columns: their names.
        config: name of the configuration; the manifest's, if not given.
        splits: to read.
        rows: at most, in a batch.

    Raises:
        DataError: a file is missing or broken, lacks a column, or has no value somewhere.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    config = config or read_manifest(folder)["config"]
    for split in splits:
        paths = sorted((folder / "data" / config).glob(f"{split}-*.parquet"))
        if not paths:
            raise DataError(f"{folder}/data/{config}: no {split}-*.parquet found")
        for path in paths:
            try:
                with pq.ParquetFile(path) as file:
                    missing = {*COLUMNS, *columns} - set(file.schema_arrow.names)
                    if missing:
                        raise DataError(f"{path}: no column {', '.join(sorted(missing))}")
                    for batch in file.iter_batches(rows, columns=list(columns)):
                        _check_values(path, batch)
                        yield batch
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path}: not a sound Parquet file ({error})") from None


def _check_values(path: Path, batch: pa.RecordBatch) -> None:
    """Check that there is a value in every place, those of lists included."""
    import pyarrow as pa

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        nested = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
        if column.null_count or (nested and column.flatten().null_count):
            raise DataError(f"{path}: an empty value in column {name}")
