"""The card of a trained generator."""

from collections.abc import Mapping
from typing import Any

from expclip.face.text import as_code
from expclip.models.animator.network import AnimatorConfig
from expclip.models.cards import data_section, recipe_section

__all__ = ["build_animator_card"]

_KINDS = {
    "": "this model, prompt from the clip itself",
    "_resting": "this model, no prompt",
    "_mean_face": "for comparison: the mean face",
    "_nearest": "for comparison: the training clip with the nearest speech",
}


def build_animator_card(config: AnimatorConfig, training: Mapping[str, Any]) -> str:
    """Return the README.md of a checkpoint; what was not measured is not told.

    Args:
        config: of the network.
        training: the record that `train_animator` gives; may lack anything.
    """
    parts = [
        "---\nlibrary_name: expclip\ntags:\n- speech-driven animation\n- facial expression\n"
        "- blendshapes\n- ARKit\n---\n",
        "# SpeechAnimator\n",
        "Speech and an expression prompt to 52 ARKit blendshape weights a frame, after the\n"
        "paper *ExpCLIP: Bridging Text and Facial Expressions via Semantic Alignment*\n"
        "(arXiv 2308.14448). Not the authors' model: they published none.\n",
        '```sh\nexpclip animate speech.wav --model THIS_FOLDER --prompt "a smug grin"\n```\n',
        _sizes(config, training),
        data_section(training.get("data", {})),
        _figures(training.get("figures", {})),
        recipe_section(training),
        _LIMITS,
    ]
    return "\n".join(part for part in parts if part)


def _sizes(config: AnimatorConfig, training: Mapping[str, Any]) -> str:
    trained = training.get("parameters")
    lines = [
        "## Network\n",
        f"- pooling of {config.pool_layers}, decoder of {config.layers} layers of width "
        f"{config.width}; a frame, of {config.fps:g} a second, sees {config.reach} on either side",
        *([f"- {trained:,} parameters, without the frozen networks"] if trained else []),
        f"- frozen speech encoder: {as_code(config.speech_encoder)}",
        f"- frozen ExpCLIP, in these weights; its text encoder: "
        f"{as_code(config.space.text_encoder)}",
    ]
    return "\n".join([*lines, ""])


def _figures(figures: Mapping[str, float]) -> str:
    if not figures:
        return ""
    lines = ["## Measured on the test recordings\n", "| | lips | upper face | lip steps |"]
    lines.append("|---|---|---|---|")
    for kind, title in _KINDS.items():
        names = (f"lip_rmse{kind}", f"upper_rmse{kind}", f"lip_step_rmse{kind}")
        cells = [f"{figures[name]:.4f}" if name in figures else "" for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    note = "\nRoot mean squared errors of weights 0..1, a mean over recordings.\n"
    return "\n".join([*lines, note])


_LIMITS = """## Limits

- Errors against one recording are no measure of how good a face looks: many are right.
- A face that was trained on few speakers speaks like these.
- Not for making a person seem to say what they did not say.
"""
