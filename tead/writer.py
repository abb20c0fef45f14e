"""Parquet files of a TEAD: rows by split, and rejects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from expclip.face.files import keep_files, write_atomically
from expclip.tead.annotate import Rejected
from expclip.tead.schema import SPLITS, content_hash, features, row_digest, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RejectsWriter", "RowsWriter"]

_SHARD_ROWS = 250_000
_GROUP_ROWS = 4096
_SAMPLE_ROWS = 8


class RowsWriter:
    """Writes rows to ``data/<config>/<split>-*.parquet``; all files appear at the end.

    Args:
        out: folder of the data set.
        config: name of its configuration.
        most_rows: at most so many rows will come.
    """

    def __init__(self, out: Path, config: str, most_rows: int) -> None:
        self.counts = dict.fromkeys(SPLITS, 0)
        self.sample: list[Mapping[str, Any]] = []
        self.files: dict[str, str] = {}
        self._out = out
        self._folder = out / "data" / config
        self._schema = features().arrow_schema
        self._digests: list[bytes] = []
        self._files = _ParquetFiles()
        shards = -(-most_rows // _SHARD_ROWS)
        self._names = {
            split: [f"{split}-{number:05}-of-{shards:05}.parquet" for number in range(shards)]
            for split in SPLITS
        }
        self._waiting: dict[str, list[Mapping[str, Any]]] = {split: [] for split in SPLITS}

    @property
    def total(self) -> int:
        """Number of rows so far."""
        return sum(self.counts.values())

    @property
    def content_sha256(self) -> str:
        """Hash of the rows so far, whatever their order."""
        return content_hash(self._digests)

    def __enter__(self) -> RowsWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._files.__enter__()
        for names in self._names.values():
            for name in names:
                self._files.open(self._folder / name, self._schema)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._files.__exit__(kind, error, trace)
            return
        with self._files:
            for split in SPLITS:
                self._flush(split)
        self._settle()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, each to the file of its split."""
        self._digests.extend(map(row_digest, rows))
        self.sample.extend(rows[: _SAMPLE_ROWS - len(self.sample)])
        for row in rows:
            self.counts[row["split"]] += 1
            self._waiting[row["split"]].append(row)
        for split, waiting in self._waiting.items():
            if len(waiting) >= _GROUP_ROWS:
                self._flush(split)

    def _flush(self, split: str) -> None:
        waiting, self._waiting[split] = self._waiting[split], []
        if not waiting:
            return
        shard = (self.counts[split] - 1) // _SHARD_ROWS
        self._files.write(self._folder / self._names[split][shard], to_arrow(waiting, self._schema))

    def _settle(self) -> None:
        """Remove files of an earlier build, and note the hashes of these."""
        mine = {name for names in self._names.values() for name in names}
        for path, digest in keep_files(self._folder, "*.parquet", mine).items():
            self.files[path.relative_to(self._out).as_posix()] = digest


class RejectsWriter:
    """Writes rows without a usable answer, with the reason and the last reply."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.reasons: Counter[str] = Counter()
        self._path = path
        names = ("id", "text", "source", "reason", "message", "reply")
        self._schema = pa.schema([(name, pa.string()) for name in names])
        self._files = _ParquetFiles()

    def __enter__(self) -> RejectsWriter:
        self._files.__enter__()
        self._files.open(self._path, self._schema)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.__exit__(kind, error, trace)

    def add(self, rejected: Sequence[Rejected]) -> None:
        """Add rejected rows."""
        self.reasons.update(item.reason for item in rejected)
        rows = [
            {
                "id": item.text.id,
                "text": item.text.text,
                "source": item.text.source,
                "reason": item.reason,
                "message": _storable(str(item)),
                "reply": _storable(item.reply),
            }
            for item in rejected
        ]
        if rows:
            self._files.write(self._path, to_arrow(rows, self._schema))


class _ParquetFiles(ExitStack):
    """Parquet files that are written side by side and appear together, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self._writers: dict[Path, Any] = {}

    def open(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        temporary = self.enter_context(write_atomically(path))
        writer = pq.ParquetWriter(temporary, schema, compression="zstd")
        self._writers[path] = self.enter_context(writer)

    def write(self, path: Path, table: pa.Table) -> None:
        self._writers[path].write_table(table, row_group_size=_GROUP_ROWS)


def _storable(text: str) -> str:
    """Return a text that UTF-8 can hold, at most 10,000 characters."""
    return text[:10_000].encode("utf-8", "replace").decode()
