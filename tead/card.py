"""The data set card: README.md of a TEAD, in the form the Hub reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expclip.face.files import write_atomically
from expclip.tead.schema import COLUMNS, SPLITS

__all__ = ["write_card"]

_EMBEDDED = frozenset({"grammar"})
"""Corpora that are ours, and thus openly licensed."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(
    path: Path, manifest: Mapping[str, Any], sample: Sequence[Mapping[str, Any]]
) -> None:
    """Write the card of a data set.

    Args:
        path: of the README.md.
        manifest: of the data set.
        sample: some of its rows, to be shown.
    """
    parts = [
        f"---\n{_metadata(manifest)}\n---\n",
        "# TEAD: text, emotions, action units, blendshapes\n",
        _summary(manifest),
        _loading(manifest),
        _columns(),
        _counts(manifest),
        _examples(sample),
        _limits(manifest),
    ]
    with write_atomically(path) as temporary:
        temporary.write_text("\n".join(parts), "utf-8")


def _metadata(manifest: Mapping[str, Any]) -> str:
    from huggingface_hub import DatasetCardData

    config, rows = manifest["config"], manifest["counts"]["rows"]
    embedded = set(manifest["corpus"]["names"]) <= _EMBEDDED
    data_files = [{"split": split, "path": f"data/{config}/{split}-*.parquet"} for split in SPLITS]
    card = DatasetCardData(
        pretty_name="TEAD",
        language=["en"],
        license="cc-by-4.0" if embedded else "other",
        task_categories=["text-classification", "text-to-3d"],
        tags=["facial expression", "FACS", "ARKit", "blendshapes", "emotion", "synthetic"],
        size_categories=[next((name for top, name in _SIZES if rows < top), "n>1M")],
        configs=[{"config_name": config, "default": True, "data_files": data_files}],
    )
    return card.to_yaml().strip()


def _summary(manifest: Mapping[str, Any]) -> str:
    annotator, corpora = manifest["annotator"]["llm"], ", ".join(manifest["corpus"]["names"])
    who = (
        "the offline annotator of expclip, a word-based reader with rules, no language model"
        if annotator == "offline"
        else f"the language model `{annotator}`"
    )
    return (
        "Each row is an emotional text with emotion tags, facial action units (FACS), 52 ARKit\n"
        "blendshape weights, and situations that could cause the emotions. It follows the data\n"
        "set described in *ExpCLIP: Bridging Text and Facial Expressions via Semantic\n"
        "Alignment* (arXiv 2308.14448), which was not released; where the paper is silent, this\n"
        "is a reconstruction.\n\n"
        f"Texts: {_escape(corpora)}. Annotated by {_escape(who)}. Made by expclip "
        f"{manifest['expclip']};\n`manifest.json` says with which parameters.\n"
    )


def _loading(manifest: Mapping[str, Any]) -> str:
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        f'tead = load_dataset("PATH_OR_REPOSITORY", "{manifest["config"]}")\n```\n'
    )


def _columns() -> str:
    lines = [f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items()]
    return "\n".join(["## Columns\n", "| column | holds |", "|---|---|", *lines, ""])


def _counts(manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    lines = [f"| {split} | {counts[split]:,} |" for split in SPLITS]
    lines += [f"| rejected: {_escape(name)} | {n:,} |" for name, n in counts["rejects"].items()]
    lines += [f"| left out: {_escape(name)} | {n:,} |" for name, n in counts["left_out"].items()]
    return "\n".join(["## Counts\n", "| rows | |", "|---|---|", *lines, ""])


def _examples(sample: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"| {_escape(row['text'][:200])} | {_escape(', '.join(row['emotions']))} "
        f"| {' '.join(row['au_codes'])} |"
        for row in sample
    ]
    return "\n".join(["## Some rows\n", "| text | emotions | units |", "|---|---|---|", *lines, ""])


def _limits(manifest: Mapping[str, Any]) -> str:
    lines = [
        "## Limits\n",
        "- The choice of 36 units and the rule from units to blendshapes are reconstructions.",
        "- The faces are what an annotator thinks a face would show, not measured faces.",
    ]
    if manifest["annotator"]["llm"] == "offline":
        lines.append("- The annotator knows words, not meaning: irony and context escape it.")
    if "grammar" in manifest["corpus"]["names"]:
        lines.append("- Rows with `synthetic` true were made by a grammar, not written.")
    if not set(manifest["corpus"]["names"]) <= _EMBEDDED:
        lines.append("- The texts keep the terms of the corpora they come from.")
    return "\n".join([*lines, ""])


def _escape(text: str) -> str:
    """Return a text that stays one cell of a Markdown table, and shows as it is."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(
            mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark]
        )
    return " ".join(text.split())
