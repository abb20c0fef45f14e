"""A checkout of this repository, where `load_dataset` takes it for the Hub's.

`datasets` takes a local folder OWNER/NAME before the Hub's repository of that name, and
a clone of this repository, called ``expclip``, has a folder ``tead``. It reads the
folder's ``.huggingface.yaml``: ours names each configuration, and where its rows lie on
the Hub. Nothing there can stand for names it does not list, so publishing renews it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from expclip.face.files import write_atomically
from expclip.tead.schema import SPLITS

__all__ = ["CHECKOUT_FILE", "build_checkout_yaml", "renew_checkout"]

CHECKOUT_FILE = ".huggingface.yaml"
"""What `datasets` reads of a local folder, beside its README.md."""


def build_checkout_yaml(repo: str, configs: Sequence[str]) -> str:
    """Return a ``.huggingface.yaml`` that leads to a repository of the Hub.

    Args:
        repo: OWNER/NAME.
        configs: all its configurations, the default one first.
    """
    lines = [
        _head(repo),
        "# takes a folder of this name before the Hub's repository, and finds here where the",
        f"# rows are. `expclip tead publish --repo {repo}` renews the list.",
        "configs:",
    ]
    for config in configs:
        lines.append(f"- config_name: {json.dumps(config)}")
        lines += ["  default: true"] if config == configs[0] else []
        lines.append("  data_files:")
        for split in SPLITS:
            path = f"hf://datasets/{repo}/data/{config}/{split}-*.parquet"
            lines += [f"  - split: {split}", f"    path: {json.dumps(path)}"]
    return "\n".join([*lines, ""])


def renew_checkout(repo: str, configs: Sequence[str], start: Path) -> Path | None:
    """List configurations in the checkout that would be taken for a repository.

    Looks for it in a folder, and in those around it; a file that this function or its
    like did not write is left alone.

    Args:
        repo: OWNER/NAME.
        configs: all its configurations, the default one first.
        start: where to look first.

    Returns:
        The file that was changed; None if there is none, or it was right.

    Raises:
        DataError: the file cannot be written.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        path = folder / repo / CHECKOUT_FILE
        found, text = _read(path), build_checkout_yaml(repo, configs)
        if found is None:
            continue
        if found == text or not found.startswith(_head(repo)):
            return None
        with write_atomically(path) as temporary:
            temporary.write_text(text, "utf-8", newline="\n")
        return path
    return None


def _read(path: Path) -> str | None:
    """Return what is in a file; None if there is none that may be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _head(repo: str) -> str:
    return f'# `load_dataset("{repo}")`, run where a clone of this repository lies beside it,'
