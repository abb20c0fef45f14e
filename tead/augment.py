"""Augmented texts: by EDA or any nlpaug augmenter, for lists and for a whole TEAD.

What has not changed is never counted as augmented: it is left out of the data set, and
the manifest says how often.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.tead.augmenters import Augmenter, NlpaugAugmenter
from expclip.tead.corpus import normalise
from expclip.tead.eda import OPERATIONS, Eda, Variant
from expclip.tead.schema import SPLITS, content_hash, features
from expclip.tead.synonyms import load_synonyms
from expclip.tead.validate import read_manifest

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OPERATIONS", "Augmenter", "Eda", "NlpaugAugmenter", "Variant", "augment",
           "augment_rows", "augment_tead"]  # fmt: skip

LINK_COLUMNS = {
    "augmented_from": "id of the row in the original configuration; all else is that row's",
    "operation": "what was done to its text",
    "variant": "number of the variant, from 0",
}
"""What the columns hold that an augmented configuration has more."""

_READ_ROWS = 2048


def augment(
    texts: Sequence[str],
    ids: Sequence[str],
    *,
    seed: int = 0,
    variants: int = 1,
    operations: Sequence[str] = (),
    alpha: float = 0.1,
    wordnet: str | Path | bool | None = None,
    emotion_words: str = "same",
) -> list[Variant]:
    """Return the variants of every text by EDA, row by row; see `Eda` and `load_synonyms`."""
    synonyms = load_synonyms(wordnet, emotion_words)
    eda = Eda(operations, alpha=alpha, synonyms=synonyms)
    return eda.augment(texts, ids, seed=seed, variants=variants)


def augment_rows(
    rows: Sequence[Mapping[str, Any]],
    augmenter: Augmenter,
    *,
    seed: int = 0,
    variants: int = 1,
) -> list[dict[str, Any]]:
    """Return new rows with changed texts; all else is the original's, its split too.

    `augmented_from` has the original's id. Texts that did not change give no row.
    """
    texts, ids = [row["text"] for row in rows], [row["id"] for row in rows]
    made = augmenter.augment(texts, ids, seed=seed, variants=variants)
    return [
        {**rows[n // variants], "id": _id_of(item), "text": item.text, **_links(item)}
        for n, item in enumerate(made)
        if item.outcome == "changed"
    ]


def augment_tead(
    folder: str | Path,
    augmenter: Augmenter | None = None,
    *,
    seed: int = 0,
    variants: int = 1,
    name: str | None = None,
    batch: int = _READ_ROWS,
) -> dict[str, Any]:
    """Write an augmented configuration beside the original of a TEAD; return its manifest.

    Every variant stays in its original's split. Left out, and counted, are texts that did
    not change and texts that are in the data set already, in whatever split.

    Args:
        folder: of the TEAD; its card comes to name the new configuration.
        augmenter: EDA with all operations, if not given.
        seed: of every random choice.
        variants: of each row.
        name: of the configuration; the original's with "-augmented", if not given.
        batch: rows at a time; it does not decide the result.

    Raises:
        DataError: the folder is no TEAD, or cannot be written.
    """
    folder, augmenter = Path(folder), augmenter or Eda()
    original = read_manifest(folder)
    config = name or f"{original['config']}-augmented"
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", config) or config == original["config"]:
        raise ValueError(
            f"{config!r} is no name for the new configuration: lower-case letters, digits "
            f"and '-' are, but not the original's name"
        )
    counts: Counter[str] = Counter()
    seen: set[bytes] = set()
    for split in SPLITS:
        for table in _tables(folder, original["config"], split, batch, ["text"]):
            seen.update(map(_key, table.column("text").to_pylist()))
            counts["originals"] += table.num_rows
    digests: list[bytes] = []
    with _Files(folder / "data" / config) as files:
        for split in SPLITS:
            for table in _tables(folder, original["config"], split, batch, None):
                new = _augment_table(table, augmenter, seed, variants, seen, counts)
                digests += _digests(new)
                counts[split] += new.num_rows
                files.write(split, new)
    manifest = {
        "config": config,
        "augmented_from": {key: original[key] for key in ("config", "content_sha256")},
        "content_sha256": content_hash(digests),
        "counts": {"rows": sum(counts[split] for split in SPLITS), **dict(sorted(counts.items()))},
        "parameters": {"seed": seed, "variants": variants, **_parameters(augmenter)},
        "expclip": version("expclip"),
    }
    with write_atomically(folder / f"manifest-{config}.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    _add_to_card(folder / "README.md", manifest)
    return manifest


def _parameters(augmenter: Augmenter) -> dict[str, Any]:
    if isinstance(augmenter, Eda):
        synonyms = augmenter.synonyms
        return {
            "operations": list(augmenter.operations),
            "alpha": augmenter.alpha,
            "emotion_words": synonyms.emotion_words,
            "synonyms": synonyms.origin,
        }
    return {"augmenter": augmenter.source}


def _augment_table(
    table: pa.Table,
    augmenter: Augmenter,
    seed: int,
    variants: int,
    seen: set[bytes],
    counts: Counter[str],
) -> pa.Table:
    """Return the table of the new rows; notes their texts as seen, and what was left out."""
    import pyarrow as pa

    texts, ids = (table.column(name).to_pylist() for name in ("text", "id"))
    items: list[Variant] = []
    places: list[int] = []
    for n, item in enumerate(augmenter.augment(texts, ids, seed=seed, variants=variants)):
        outcome = item.outcome
        if outcome == "changed":
            key = _key(item.text)
            if key not in seen:
                seen.add(key)
                items.append(item)
                places.append(n // variants)
                continue
            outcome = "repeated"
        counts[outcome] += 1
    taken = table.take(pa.array(places, pa.int64()))
    new = {"id": list(map(_id_of, items)), "text": [_storable(item.text) for item in items]}
    for name, values in new.items():
        place = taken.schema.get_field_index(name)
        taken = taken.set_column(place, taken.schema.field(place), pa.array(values, pa.string()))
    taken = taken.append_column("augmented_from", pa.array([i.id for i in items], pa.string()))
    taken = taken.append_column("operation", pa.array([i.operation for i in items], pa.string()))
    return taken.append_column("variant", pa.array([i.variant for i in items], pa.int32()))


def _tables(
    folder: Path, config: str, split: str, rows: int, columns: list[str] | None
) -> Iterator[pa.Table]:
    """Yield a split of the original, some rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = sorted((folder / "data" / config).glob(f"{split}-*.parquet"))
    if not paths:
        raise DataError(f"{folder}/data/{config}: no {split}-*.parquet found")
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(rows, columns=columns):
                    yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a sound Parquet file ({error})") from None


class _Files(ExitStack):
    """The Parquet files of the new configuration; they appear together, or not at all."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._writers: dict[str, Any] = {}
        self._waiting: dict[str, list[pa.Table]] = {split: [] for split in SPLITS}

    def __enter__(self) -> _Files:
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
        if sum(part.num_rows for part in self._waiting[split]) >= _READ_ROWS:
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
        end = table.num_rows - (table.num_rows % _READ_ROWS if whole_groups else 0)
        if end:
            self._writers[split].write_table(table.slice(0, end), row_group_size=_READ_ROWS)
        self._waiting[split] = [table.slice(end)]


def _add_to_card(path: Path, manifest: Mapping[str, Any]) -> None:
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


def _id_of(item: Variant) -> str:
    made = f"{item.id}\0{item.variant}\0{item.text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(made).hexdigest()[:16]


def _links(item: Variant) -> dict[str, Any]:
    values: tuple[str | int, ...] = (item.id, item.operation, item.variant)
    return dict(zip(LINK_COLUMNS, values, strict=True))


def _key(text: str) -> bytes:
    """Return what tells texts apart, as `validate` does, in few bytes."""
    key = normalise(text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(key, digest_size=16).digest()


def _digests(table: pa.Table) -> Iterator[bytes]:
    """Yield a hash of each row's id, text and links; its vectors are its original's."""
    names = ("id", "text", *LINK_COLUMNS)
    for values in zip(*(table.column(name).to_pylist() for name in names), strict=True):
        yield hashlib.sha256("\0".join(map(str, values)).encode()).digest()


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
