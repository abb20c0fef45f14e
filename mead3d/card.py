"""The data set card of a MEAD-3D: README.md in the form that the Hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expclip.face.files import write_atomically
from expclip.mead3d.frames import SPLITS
from expclip.mead3d.rows import COLUMNS

__all__ = ["CITATION", "TERMS", "write_card"]

TERMS = (
    "MEAD is given for research that is not commercial; no part of it may be passed on, and\n"
    "the pictures here are part of it. Keep this folder to yourself, or to a private\n"
    "repository of people who are bound by the same terms."
)
"""What may be done with it."""

CITATION = (
    "Wang et al., MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face\n"
    "Generation, ECCV 2020."
)

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the card of a data set."""
    from huggingface_hub import DatasetCardData

    metadata = DatasetCardData(**_metadata(manifest)).to_yaml().strip()
    parts = [
        f"---\n{metadata}\n---\n",
        "# MEAD-3D: frames of emotional speech and their blendshape weights\n",
        _summary(manifest),
        '```python\nfrom datasets import load_dataset\n\nmead = load_dataset("PATH")\n```\n',
        "## Columns\n\n| column | holds |\n|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items()),
        _counts(manifest),
        f"## Terms\n\n{TERMS}\n\n{CITATION}\n",
        _limits(manifest),
    ]
    with write_atomically(path) as temporary:
        temporary.write_text("\n".join(parts), "utf-8")


def _metadata(manifest: Mapping[str, Any]) -> dict[str, Any]:
    rows = manifest["counts"]["rows"]
    return {
        "pretty_name": "MEAD-3D",
        "license": "other",
        "license_name": "mead-terms-of-use",
        "task_categories": ["image-to-3d"],
        "tags": ["facial expression", "ARKit", "blendshapes", "emotion"],
        "size_categories": [next((name for top, name in _SIZES if rows < top), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in SPLITS
                    if manifest["counts"].get(split)
                ],
            }
        ],
    }


def _summary(manifest: Mapping[str, Any]) -> str:
    sample, split = manifest["sample"], manifest["split"]
    fit = manifest["fit"]
    lines = [
        f"{sample['frames']:,} frames of {sample['clips']:,} clips of MEAD, balanced over "
        f"{sample['cells']:,} cells of actor,\nemotion, level and view (seed {sample['seed']}).",
        f"\n- Faces: {manifest['reconstructor']}.",
    ]
    if fit:
        lines.append(
            f"- Weights: fitted to the meshes ({fit['method']}), basis SHA-256 "
            f"`{fit['basis_sha256'][:16]}`."
        )
    lines += [
        f"- Split: by {split['by']}; test actors: {', '.join(split['test_actors']) or 'none'}.",
        f"- Made by expclip {manifest['expclip']}; `manifest.json` says with which parameters.",
        "",
    ]
    return "\n".join(lines)


def _counts(manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    lines = [f"| {split} | {counts[split]:,} |" for split in SPLITS if counts.get(split)]
    lines += [f"| no face: {name} | {n:,} |" for name, n in counts["rejects"].items()]
    lines += [f"| files left out: {name} | {n:,} |" for name, n in counts["left_out"].items()]
    return "\n".join(["\n## Counts\n\n| | |\n|---|---|", *lines, ""])


def _limits(manifest: Mapping[str, Any]) -> str:
    lines = [
        "## Limits\n",
        "- Sampling, picture crop and neutral face are reconstructions: the paper does not say.",
        "- Emotions are what actors were asked to show, for whole clips: a single frame may not",
        "  show it.",
    ]
    if not manifest["fit"]:
        lines.append("- The weights are a network's scores, not fitted; tongueOut is always 0.")
    if manifest["split"]["by"] == "frame":
        lines.append("- Split by frame: neighbouring frames and every actor are on both sides.")
    return "\n".join([*lines, ""])
