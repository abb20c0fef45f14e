"""An augmented configuration on the disk: its links, its Parquet files, its lines in the card."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.tead.corpora.corpus import normalise
from expclip.tead.folder import read_manifest
from expclip.tead.schema import SPLITS, features

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LINK_COLUMNS", "AugmentedFiles", "add_to_card", "copy_tead", "link_digests",
           "text_key", "variant_id"]  # fmt: skip

LINK_COLUMNS = {
    "augmented_from": "id of the row in the original configuration; all else is that row's",
    "operation": "what was done to its text",
    "variant": "number of the variant, from 0",
}
"""What the columns hold that an augmented configuration has more."""

_GROUP_ROWS = 2048


def variant_id(origin: str, variant: int, text: str) -> str:
    """Return the id of an augmented row: 16 hexadecimal digits, a hash of what is new."""
    made = f"{origin}\0{variant}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(made).hexdigest()[:16]


def text_key(text: str) -> bytes:
    """Return what tells texts apart, as `normalise` does, in few bytes."""
    key = normalise(text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(key, digest_size=16).digest()


def link_digests(table: pa.Table | pa.RecordBatch) -> Iterator[bytes]:
    """Yield a hash of each row's id, text and links; its vectors are its original's."""
    names = ("id", "text", *LINK_COLUMNS)
    for values in zip(*(table.column(name).to_pylist() for name in names), strict=True):
        yield hashlib.sha256("\0".join(map(str, values)).encode()).digest()


def copy_tead(folder: Path, out: Path) -> None:
    """Copy a TEAD, all its configurations with it, but no journal; the manifest comes last.

    Raises:
        DataError: another data set, or something else, lies there; a file cannot be written.
        ValueError: one folder lies in the other.
    """
    source, target = folder.resolve(), out.resolve()
    if source in target.parents or target in source.parents:
        raise ValueError(f"{out} and {folder} lie in one another, expected folders apart")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / "manifest.json").is_file():
            raise DataError(f"{out}: holds something else, expected an empty or a new folder")
        if read_manifest(out)["content_sha256"] != read_manifest(folder)["content_sha256"]:
            raise DataError(f"{out}: holds another data set than {folder}")
        return
    inside = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = [name for name in inside if not any(part.startswith(".") for part in name.parts)]
    for name in sorted(names, key=lambda name: (name.name == "manifest.json", name)):
        try:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{out}: cannot be written: {error.strerror}") from None
        with write_atomically(out / name) as temporary:
            shutil.copyfile(folder / name, temporary)


class AugmentedFiles(ExitStack):
    """The Parquet files of the new configuration; they appear together, or not at all."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._writers: dict[str, Any] = {}
        self._waiting: dict[str, list[pa.Table]] = {split: [] for split in SPLITS}

    def __enter__(self) -> AugmentedFiles:
        import pyarrow.parquet as pq
        from datasets import Features, Value

        links = {name: Value("string") for name in LINK_COLUMNS} | {"variant": Value("int32")}
        self._schema: pa.Schema = Features({**features(), **links}).arrow_schema
        self._folder.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            path = self._folder / f"{split}-00000-of-00001.parquet"
            temporary = self.enter_context(write_atomically(path))
            writer = pq.ParquetWriter(temporary, self._schema, compression="zstd")
            self._writers[split] = self.enter_context(writer)
        return self

    def write(self, split: str, table: pa.Table) -> None:
        """Add rows; row groups are cut by number, whatever the tables' sizes."""
        self._waiting[split].append(table.select(self._schema.names).cast(self._schema))
        if sum(part.num_rows for part in self._waiting[split]) >= _GROUP_ROWS:
            self._flush(split, whole_groups=True)

    def __exit__(self, *failure: Any) -> bool | None:
        if failure[0] is None:
            for split in SPLITS:
                self._flush(split, whole_groups=False)
        return super().__exit__(*failure)

    def _flush(self, split: str, *, whole_groups: bool) -> None:
        import pyarrow as pa

        if not self._waiting[split]:
            return
        table = pa.concat_tables(self._waiting[split]).combine_chunks()
        end = table.num_rows - (table.num_rows % _GROUP_ROWS if whole_groups else 0)
        if end:
            self._writers[split].write_table(table.slice(0, end), row_group_size=_GROUP_ROWS)
        self._waiting[split] = [table.slice(end)]


def add_to_card(path: Path, manifest: Mapping[str, Any]) -> None:
    """Name the new configuration in the card of the data set, and say how it was made."""
    from huggingface_hub import DatasetCard, DatasetCardData

    config, counts = manifest["config"], manifest["counts"]
    if path.is_file():
        card = DatasetCard.load(path, ignore_metadata_errors=True)
        text, data = card.text, card.data
    else:
        text, data = "# TEAD\n", DatasetCardData()
    configs = [item for item in data.get("configs") or [] if item["config_name"] != config]
    files = [{"split": split, "path": f"data/{config}/{split}-*.parquet"} for split in SPLITS]
    data["configs"] = [*configs, {"config_name": config, "data_files": files}]
    begin, end = f"<!-- augmented {config} -->", f"<!-- end of {config} -->"
    text = re.sub(rf"\n*{re.escape(begin)}.*?{re.escape(end)}\n*", "\n", text, flags=re.DOTALL)
    lines = [
        begin,
        f"## Configuration `{config}`\n",
        f"Augmented texts of `{manifest['augmented_from']['config']}`: {counts['train']:,} train, "
        f"{counts['test']:,} test, each in its original's split. Only `id` and `text` are new;\n"
        "emotions, units and faces are the original's, and not annotated again.\n",
        "| column | holds |\n|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in LINK_COLUMNS.items()),
        f"\n`manifest-{config}.json` says how it was made, and what was left out.",
        end,
    ]
    body = text.strip("\n") + "\n\n" + "\n".join(lines) + "\n"
    with write_atomically(path) as temporary:
        temporary.write_text(f"---\n{data.to_yaml().strip()}\n---\n\n{body}", "utf-8")
