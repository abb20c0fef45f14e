"""The data set card: README.md of a TEAD, in the form the Hub reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expclip.face.files import write_atomically
from expclip.tead.corpus import CORE, GRAMMAR
from expclip.tead.schema import COLUMNS, SPLITS

__all__ = ["write_card"]

_EMBEDDED = frozenset({CORE, GRAMMAR})
"""Corpora that are ours, and thus openly licensed."""

_OFFLINE = frozenset({"core", "offline", "core-offline"})
"""Annotators that are no language model asked for this build."""

_MAKERS = {
    CORE: (
        "`core`: written and annotated row by row with a language model, for this data set, and\n"
        "  reviewed; no text is taken from anywhere. Its `llm` column says `core`."
    ),
    GRAMMAR: "`grammar`: made by a grammar; `synthetic` is true in these rows.",
    "offline": (
        "Annotated by the offline annotator of expclip where `llm` says `offline`: a word-based\n"
        "  reader with rules, no language model."
    ),
}

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
    annotator, corpora = manifest["annotator"]["llm"], manifest["corpus"]["names"]
    made = [
        "Each row is an emotional text with emotion tags, facial action units (FACS), 52 ARKit\n"
        "blendshape weights, and situations that could cause the emotions. It follows the data\n"
        "set described in *ExpCLIP: Bridging Text and Facial Expressions via Semantic\n"
        "Alignment* (arXiv 2308.14448), which was not released; where the paper is silent, this\n"
        "is a reconstruction.\n",
        f"Made by expclip {manifest['expclip']}; `manifest.json` says with which parameters.\n",
        f"- Texts: {_escape(', '.join(corpora))}.",
    ]
    made += [f"- {_MAKERS[name]}" for name in (CORE, GRAMMAR) if name in corpora]
    if annotator in _OFFLINE:
        made += [f"- {_MAKERS[name]}" for name in ["offline"] if name in annotator]
    else:
        made.append(f"- Annotated by the language model `{_escape(annotator)}`.")
    return "\n".join([*made, ""])


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
    if "offline" in manifest["annotator"]["llm"]:
        lines.append("- The annotator knows words, not meaning: irony and context escape it.")
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
