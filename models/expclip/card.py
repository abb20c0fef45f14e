"""The card of a trained ExpCLIP: what it was made of, what was measured, what it cannot do."""

from collections.abc import Mapping
from typing import Any

from expclip.face.text import as_code
from expclip.models.cards import data_section, recipe_section
from expclip.models.expclip.network import ExpClipConfig

__all__ = ["build_card"]

_ROWS = {
    "reconstruction_mse": "face → face, mean squared error",
    "text_mse": "text → face, mean squared error",
    "text_cosine": "text → face, cosine",
    "tags_mse": "tags → face, mean squared error",
    "tags_cosine": "tags → face, cosine",
    "situation_mse": "situation → face, mean squared error",
    "situation_cosine": "situation → face, cosine",
    "units_mse": "action units → face, mean squared error",
    "units_cosine": "action units → face, cosine",
    "image_mse": "image → face, mean squared error",
    "image_cosine": "image → face, cosine",
    "mean_face_mse": "for comparison: one mean face for all texts, mean squared error",
    "image_mean_face_mse": "for comparison: one mean face for all images, mean squared error",
}


def build_card(config: ExpClipConfig, training: Mapping[str, Any]) -> str:
    """Return the README.md of a checkpoint; what was not measured is not told.

    Args:
        config: of the network.
        training: the record that `train_expclip` gives; may lack anything.
    """
    parts = [
        "---\nlibrary_name: expclip\ntags:\n- facial expression\n- blendshapes\n- ARKit\n"
        "- FACS\n---\n",
        "# ExpCLIP\n",
        "Texts and facial expressions (52 ARKit blendshape weights) in one space, after the\n"
        "paper *ExpCLIP: Bridging Text and Facial Expressions via Semantic Alignment*\n"
        "(arXiv 2308.14448). Not the authors' model: they published none.\n",
        "```python\nfrom expclip.models import ExpCLIP\n\n"
        'model = ExpCLIP.from_pretrained("THIS_FOLDER_OR_REPOSITORY")\n'
        'weights = model.text_to_expression(["a smug grin"])  # (1, 52), 0..1\n```\n',
        _sizes(config, training),
        data_section(training.get("data", {})),
        _figures(training.get("figures", {})),
        recipe_section(training),
        _LIMITS,
    ]
    return "\n".join(part for part in parts if part)


def _sizes(config: ExpClipConfig, training: Mapping[str, Any]) -> str:
    trained = training.get("parameters")
    lines = [
        "## Network\n",
        f"- {config.layers} + {config.layers} transformer layers of width {config.width}, "
        f"tokens by {config.tokens}, space of {config.dim} dimensions",
        *([f"- {trained:,} parameters, without the frozen encoders"] if trained else []),
        f"- frozen text encoder: {as_code(config.text_encoder)}",
    ]
    if config.image_encoder:
        lines.append(f"- frozen image encoder: {as_code(config.image_encoder)}")
    return "\n".join([*lines, ""])


def _figures(figures: Mapping[str, float]) -> str:
    if not figures:
        return ""
    natural = any(name.startswith("natural_") for name in figures)
    head = "| | all rows |" + (" rows that no grammar made |" if natural else "")
    lines = ["## Measured on the test split\n", head, "|---" * (3 if natural else 2) + "|"]
    for name, title in _ROWS.items():
        if name in figures:
            names = [name, f"natural_{name}"] if natural else [name]
            cells = [f"{figures[one]:.4f}" if one in figures else "" for one in names]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    note = "\nWeights are 0..1. Measured once, after training; the test split chose nothing.\n"
    return "\n".join([*lines, note])


_LIMITS = """## Limits

- Faces are what an annotator thinks a text would show, through a reconstructed rule from action
  units to blendshapes: not measured faces.
- A text that leaves several faces open gives their mean, which is weaker than any of them.
- English; a sentence or two; what the frozen encoder does not tell apart, the face does not.
- Not meant for reading what real people feel, or judging them.
"""
