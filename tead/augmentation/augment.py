"""Augmented texts: by EDA or any nlpaug augmenter, for lists and for a whole TEAD.

What has not changed is never counted as augmented: it is left out of the data set, and
the manifest says how often.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip.face.files import write_atomically
from expclip.tead.augmentation.augmented import (
    AugmentedFiles,
    add_to_card,
    copy_tead,
    link_digests,
    text_key,
    variant_id,
)
from expclip.tead.augmentation.augmenters import Augmenter, NlpaugAugmenter
from expclip.tead.augmentation.eda import OPERATIONS, Eda, Variant
from expclip.tead.augmentation.synonyms import load_synonyms
from expclip.tead.folder import read_batches, read_manifest
from expclip.tead.schema import COLUMNS, SPLITS, content_hash

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OPERATIONS", "Augmenter", "Eda", "NlpaugAugmenter", "Variant", "augment",
           "augment_rows", "augment_tead"]  # fmt: skip

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
    places, items = [], []
    for n, item in enumerate(made):
        if item.outcome == "changed":
            places.append(n // variants)
            items.append(item)
    new = _new_columns(items)
    return [
        {**rows[place], **dict(zip(new, values, strict=True))}
        for place, values in zip(places, zip(*new.values(), strict=True), strict=True)
    ]


def augment_tead(
    folder: str | Path,
    augmenter: Augmenter | None = None,
    *,
    seed: int = 0,
    variants: int = 1,
    name: str | None = None,
    out: str | Path | None = None,
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
        out: another folder, which comes to hold the whole TEAD, originals and variants; the
            given one stays as it is then.
        batch: rows at a time; it does not decide the result.

    Raises:
        DataError: the folder is no TEAD, or cannot be written; `out` holds something else.
        ValueError: the name is none for a configuration.
    """
    folder, augmenter = Path(folder), augmenter or Eda()
    original = read_manifest(folder)
    config = name or f"{original['config']}-augmented"
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", config) or config == original["config"]:
        raise ValueError(
            f"{config!r} is no name for the new configuration: lower-case letters, digits "
            f"and '-' are, but not the original's name"
        )
    if out is not None and Path(out).resolve() != folder.resolve():
        copy_tead(folder, Path(out))
        folder = Path(out)
    counts: Counter[str] = Counter()
    seen: set[bytes] = set()
    for texts in read_batches(folder, ["text"], rows=batch):
        seen.update(map(text_key, texts.column("text").to_pylist()))
        counts["originals"] += texts.num_rows
    digests: list[bytes] = []
    with AugmentedFiles(folder / "data" / config) as files:
        for split in SPLITS:
            for rows in read_batches(folder, tuple(COLUMNS), splits=[split], rows=batch):
                new = _augment_batch(rows, augmenter, seed, variants, seen, counts)
                digests += link_digests(new)
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
    add_to_card(folder / "README.md", manifest)
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


def _augment_batch(
    rows: pa.RecordBatch,
    augmenter: Augmenter,
    seed: int,
    variants: int,
    seen: set[bytes],
    counts: Counter[str],
) -> pa.Table:
    """Return the table of the new rows; notes their texts as seen, and what was left out."""
    import pyarrow as pa

    texts, ids = (rows.column(name).to_pylist() for name in ("text", "id"))
    items: list[Variant] = []
    places: list[int] = []
    for n, item in enumerate(augmenter.augment(texts, ids, seed=seed, variants=variants)):
        outcome = item.outcome
        if outcome == "changed":
            key = text_key(item.text)
            if key not in seen:
                seen.add(key)
                items.append(item)
                places.append(n // variants)
                continue
            outcome = "repeated"
        counts[outcome] += 1
    taken = pa.Table.from_batches([rows]).take(pa.array(places, pa.int64()))
    for name, values in _new_columns(items).items():
        kind = pa.int32() if name == "variant" else pa.string()
        place = taken.schema.get_field_index(name)
        if place < 0:
            taken = taken.append_column(name, pa.array(values, kind))
        else:
            taken = taken.set_column(place, taken.schema.field(place), pa.array(values, kind))
    return taken


def _new_columns(items: Sequence[Variant]) -> dict[str, list[Any]]:
    """Return what differs from the original's row."""
    texts = [item.text.encode("utf-8", "replace").decode() for item in items]
    pairs = zip(items, texts, strict=True)
    return {
        "id": [variant_id(item.id, item.variant, text) for item, text in pairs],
        "text": texts,
        "augmented_from": [item.id for item in items],
        "operation": [item.operation for item in items],
        "variant": [item.variant for item in items],
    }
