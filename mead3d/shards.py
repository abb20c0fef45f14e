"""The Parquet files of a MEAD-3D: finished tasks put together, by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from expclip.face.errors import DataError
from expclip.face.files import keep_files, write_atomically
from expclip.mead3d.frames import SPLITS
from expclip.mead3d.rows import COLUMNS, REJECT_COLUMNS, features, row_digest
from expclip.tead.schema import content_hash

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Shards", "join_tasks"]

_SHARD_BYTES = 400 << 20  # before compression, which pictures hardly feel
_GROUP_ROWS = 100  # pictures are large: viewers and streams read a group at a time


def join_tasks(out: Path, parts: Sequence[Path]) -> Shards:
    """Write the rows of finished tasks to ``data/<split>-*.parquet``, and the rejects.

    All files appear at the end, and those of an earlier build go.

    Raises:
        DataError: a part cannot be read, or no frame has a face.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with Shards(out) as shards:
        for path in parts:
            try:
                table = pq.read_table(path, partitioning=None)
                failed = pc.not_equal(table["reason"], "")
                shards.reject(table.filter(failed))
                shards.add(table.filter(pc.invert(failed)))
            except (pa.ArrowException, KeyError) as error:
                told = " ".join(str(error).split())
                raise DataError(
                    f"{path}: cannot be read ({told}): remove it and run the same command again"
                ) from None
        if not shards.total:
            told = ", ".join(f"{reason} {n:,}" for reason, n in shards.reasons.most_common())
            raise DataError(f"{out}: no frame has a face ({told}); e.g. {shards.example}")
    return shards


class Shards:
    """Rows on their way into files, and what is to be told of them."""

    def __init__(self, out: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.emotions: Counter[str] = Counter()
        self.test_actors: set[str] = set()
        self.example = ""
        self.files: dict[str, str] = {}
        self._out = out
        self._digests: list[bytes] = []
        self._schema = features().arrow_schema
        self._splits = {split: _Split(out / "data", split, self._schema) for split in SPLITS}
        self._rejects: list[pa.Table] = []
        self._stack = ExitStack()

    @property
    def total(self) -> int:
        """Number of rows."""
        return self.counts.total()

    @property
    def content_sha256(self) -> str:
        """Hash of the rows, whatever their order."""
        return content_hash(self._digests)

    def __enter__(self) -> Shards:
        (self._out / "data").mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is not None:  # the temporary files go
                self._stack.pop_all().__exit__(kind, error, trace)
                return
            for split in self._splits.values():
                split.flush(self._stack, whole=False)
            self._write_rejects()
        self._settle()

    def add(self, table: pa.Table) -> None:
        """Add rows, each to the files of its split."""
        import pyarrow.compute as pc

        for row in table.to_pylist():
            self._digests.append(row_digest(row))
            self.counts[row["split"]] += 1
            self.emotions[row["emotion"]] += 1
            if row["split"] == "test":
                self.test_actors.add(row["actor"])
        table = table.select(list(COLUMNS)).cast(self._schema)
        for name, split in self._splits.items():
            split.add(table.filter(pc.equal(table["split"], name)), self._stack)

    def reject(self, table: pa.Table) -> None:
        """Note frames without a face."""
        self.reasons.update(table["reason"].to_pylist())
        if table.num_rows and not self.example:
            first = table.slice(0, 1).to_pylist()[0]
            self.example = f"{first['clip']} frame {first['frame']}: {first['message']}"
        self._rejects.append(table.select(list(REJECT_COLUMNS)))

    def _write_rejects(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with write_atomically(self._out / "rejects.parquet") as temporary:
            table = pa.concat_tables(self._rejects).replace_schema_metadata(None)
            pq.write_table(table, temporary, compression="zstd")

    def _settle(self) -> None:
        """Remove files of an earlier build, and note the hashes of these."""
        mine = {name for split in self._splits.values() for name in split.names}
        for path, digest in keep_files(self._out / "data", "*.parquet", mine).items():
            self.files[path.relative_to(self._out).as_posix()] = digest


class _Split:
    """Files of one split: the next is begun when one is full."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        self.names: list[str] = []
        self._folder, self._name, self._schema = folder, name, schema
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._writer: Any = None

    def add(self, table: pa.Table, stack: ExitStack) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= _GROUP_ROWS:
            self.flush(stack, whole=True)

    def flush(self, stack: ExitStack, *, whole: bool) -> None:
        """Write groups of rows; those too few for a whole one wait, if there may be more."""
        import pyarrow as pa

        if not self._rows:
            return
        table = pa.concat_tables(self._waiting)
        end = len(table) - len(table) % _GROUP_ROWS if whole else len(table)
        for start in range(0, end, _GROUP_ROWS):
            group = table.slice(start, min(_GROUP_ROWS, end - start)).combine_chunks()
            if self._writer is None or self._bytes >= _SHARD_BYTES:
                self._begin(stack)
            self._writer.write_table(group)
            self._bytes += group.nbytes
        self._waiting, self._rows = [table.slice(end)], len(table) - end

    def _begin(self, stack: ExitStack) -> None:
        import pyarrow.parquet as pq

        name = f"{self._name}-{len(self.names):05}.parquet"
        temporary = stack.enter_context(write_atomically(self._folder / name))
        if self._writer is not None:
            self._writer.close()
        self._writer = stack.enter_context(
            pq.ParquetWriter(temporary, self._schema, compression="zstd")
        )
        self.names.append(name)
        self._bytes = 0
