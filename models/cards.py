"""Sections that the cards of all models have."""

from collections.abc import Mapping
from typing import Any

from expclip.face.text import as_code

__all__ = ["data_section", "recipe_section"]


def data_section(data: Mapping[str, Any]) -> str:
    """Return what a model was trained on."""
    if not data:
        return ""
    lines = ["## Trained on\n"]
    for part in data.values():
        told = {
            "repository": part.get("repository"),
            "configuration": part.get("config"),
            "pictures": part.get("pictures"),
            "annotated by": part.get("annotator"),
            "texts": ", ".join(part.get("corpora", ())),
            "augmented texts": ", ".join(part.get("augmented", ())),
            "rows": ", ".join(f"{n:,} {split}" for split, n in part.get("rows", {}).items()),
            "content hash": part.get("content_sha256"),
        }
        lines += [f"- {name}: {as_code(str(value))}" for name, value in told.items() if value]
    return "\n".join([*lines, ""])


def recipe_section(training: Mapping[str, Any]) -> str:
    """Return how it was trained."""
    recipe = training.get("recipe")
    if not recipe:
        return ""
    lines = ["## Recipe\n", "| option | value |", "|---|---|"]
    for name, value in recipe.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        lines += [f"| {name}.{key} | {_cell(one)} |" for key, one in inner]
        lines += [] if inner else [f"| {name} | {_cell(value)} |"]
    ended = training.get("steps")
    told = f"\nEnded after {ended:,} steps; kept the network of step {training['best_step']:,}.\n"
    return "\n".join([*lines, told if ended else ""])


def _cell(value: Any) -> str:
    return as_code(str(value)).replace("|", "/")
