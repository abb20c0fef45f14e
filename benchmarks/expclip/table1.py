"""Table 1 of the paper: reconstruction with and without augmentation of faces.

Run: `python benchmarks/expclip/table1.py --data out/tead CAPTURE.csv ...`

A preset is trained twice for each seed, once with its own augmentation of faces and once
with none; all else is the same. Errors are of faces encoded and decoded: of TEAD's test
split, and of captures that nothing was trained on (each recording is one number; the
table shows their mean). Runs lie in --out and are taken up where they were.
"""

import argparse
from pathlib import Path

import numpy as np

from expclip.face import read_sequence
from expclip.models import PRESETS, ExpCLIP, train_expclip
from expclip.models.expclip.measure import measure_reconstruction

PAPER = {"augmented": (0.012, 0.021), "plain": (0.051, 0.069)}
"""Its own TEAD, and BEAT."""


def capture_error(model: ExpCLIP, path: Path) -> float:
    """Return the mean squared error of a recording's frames, weights clipped to 0..1."""
    weights = read_sequence(path).filled().weights.clip(0, 1)
    return float(measure_reconstruction(model.network, weights).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captures", nargs="*", type=Path, help="recordings of real faces")
    parser.add_argument("--data", default="out/tead")
    parser.add_argument("--preset", default="small", choices=PRESETS)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/table1"))
    args = parser.parse_args()
    preset = PRESETS[args.preset].with_settings(args.set)
    kinds = {"augmented": preset.recipe.faces, "plain": "none"}
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for seed in range(args.seeds):
        for kind, faces in kinds.items():
            out = args.out / f"{kind}-{seed}"
            recipe = preset.with_settings([f"faces={faces}", f"seed={seed}"])
            record = train_expclip(out, args.data, recipe)
            model = ExpCLIP.from_pretrained(out)
            errors = [capture_error(model, path) for path in args.captures]
            captured = float(np.mean(errors)) if errors else float("nan")
            found[kind].append((record["figures"]["reconstruction_mse"], captured))
            print(f"{kind}, seed {seed}: {found[kind][-1][0]:.5f}, {captured:.5f}", flush=True)

    print(f"\npreset {args.preset}, {args.seeds} seeds, mean and standard deviation")
    print("\n| faces | TEAD test | captures | paper: TEAD | paper: BEAT |\n|---|---|---|---|---|")
    for kind, values in found.items():
        columns = np.array(values)
        ours = [f"{c.mean():.5f} ± {c.std(ddof=len(c) > 1):.5f}" for c in columns.T]
        theirs = [f"{value:.3f}" for value in PAPER[kind]]
        print(f"| {kind} ({kinds[kind]}) | {' | '.join([*ours, *theirs])} |")


if __name__ == "__main__":
    main()
