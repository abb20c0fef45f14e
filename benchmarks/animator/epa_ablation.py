"""What expression prompt augmentation is for: faces that speech never showed.

Run: `python benchmarks/animator/epa_ablation.py --expclip out/expclip`

The generator is trained on the embedded synthetic speech, whose training clips show three
emotions, weakly, and then asked for faces at full strength: of emotions that it has seen, and
of others. Four ways, some seeds each:

- no EPA: equation (5) alone.
- EPA: prompts are perturbed, and equation (7) keeps the lips.
- EPA + style loss: equation (8), too: the paper's method.
- EPA + centred style loss: as `small` trains; (8) with angles measured from the mean face.

All else is the preset's. Columns are means over prompts (see `Control` and
`measure_speech`), then mean and standard deviation over seeds. Runs lie in --out and are
taken up where they were.
"""

import argparse
from pathlib import Path

import numpy as np

from expclip.models.animator.measure import UPPER, Control, measure_control
from expclip.models.animator.network import AnimatorConfig, AnimatorNetwork
from expclip.models.animator.recipe import ANIMATOR_PRESETS
from expclip.models.animator.train import KIND, read_expressions, train_animator
from expclip.models.checkpoint import build_network, read_checkpoint
from expclip.models.speech import (
    SEEN_EMOTIONS,
    UNSEEN_EMOTIONS,
    SpeechPairs,
    expression_of,
    read_synthetic,
    speech_encoder,
)

PLAIN = ("losses.centred=0", "losses.prompt=0")
WAYS: dict[str, tuple[str, ...]] = {
    "no EPA": ("epa=false",),
    "EPA": (*PLAIN, "losses.style=0"),
    "EPA + style loss": (*PLAIN, "losses.style=10"),
    "EPA + centred style loss": (),
}
LEAST = 0.1
"""Length of a prompt above the mouth: what shows less says nothing there."""


def prompts_of(emotions: tuple[str, ...]) -> np.ndarray:
    """Return the faces of emotions at full strength that show something above the mouth."""
    faces = np.array([expression_of(emotion) for emotion in emotions])
    return faces[np.linalg.norm(faces[:, UPPER], axis=1) > LEAST]


def control_of(folder: Path, test: SpeechPairs, windows: int) -> dict[str, Control]:
    """Return how a checkpoint obeys seen and unseen prompts."""
    checkpoint = read_checkpoint(folder, KIND, AnimatorConfig)
    network = build_network(AnimatorNetwork, checkpoint, folder).eval().requires_grad_(False)
    frames = checkpoint.training["recipe"]["frames"]
    return {
        name: measure_control(network, test, prompts_of(emotions), frames, most=windows)
        for name, emotions in (("seen", SEEN_EMOTIONS), ("unseen", UNSEEN_EMOTIONS))
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expclip", default="out/expclip", help="a trained ExpCLIP")
    parser.add_argument("--tead", help="TEAD whose faces perturb; default: the core corpus")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=32, help="measured on")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, default=Path("out/epa"))
    args = parser.parse_args()
    preset = ANIMATOR_PRESETS["small"].with_settings(args.set)
    pairs = read_synthetic(speech_encoder(preset.model.speech_encoder))
    expressions, test = read_expressions(args.tead), pairs.of_split("test")
    found: dict[str, list[list[float]]] = {way: [] for way in args.ways}
    for seed in range(args.seeds):
        for way in args.ways:
            out = args.out / f"{way.replace(' ', '-')}-{seed}"
            chosen = preset.with_settings([*WAYS[way], f"seed={seed}"])
            record = train_animator(
                out, pairs, chosen, expclip=args.expclip, expressions=expressions
            )
            told = [record["figures"]["lip_rmse_resting"]]
            for control in control_of(out, test, args.windows).values():
                told += [float(getattr(control, name).mean()) for name in COLUMNS]
            found[way].append([*told, float(control.lip_steps_own.mean())])
            print(f"{way}, seed {seed}: {' '.join(f'{value:.4f}' for value in told)}", flush=True)

    heads = [f"{kind}: {name}" for kind in ("seen", "unseen") for name in COLUMNS.values()]
    print(f"\n{args.seeds} seeds, mean and standard deviation\n")
    print(f"| trained with | lip RMSE | {' | '.join(heads)} | own prompt: lip steps |")
    print("|---" * (len(heads) + 3) + "|")
    for way, values in found.items():
        columns = np.array(values).T
        cells = [f"{c.mean():.3f} ± {c.std(ddof=len(c) > 1):.3f}" for c in columns]
        print(f"| {way} | {' | '.join(cells)} |")
    figures = record["figures"]
    named = ("mean_face", "nearest")
    told_lips = ", ".join(f"{name} {figures[f'lip_rmse_{name}']:.4f}" for name in named)
    print(f"\nlip RMSE of what knows no speech: {told_lips}")


COLUMNS = {
    "expressiveness": "expressiveness",
    "gain": "gain",
    "style_error": "style error",
    "slope": "control slope",
    "lip_steps": "lip steps",
}
"""Of `Control`, and what the table calls them."""


if __name__ == "__main__":
    main()
