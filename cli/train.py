"""`expclip train`: from a data set to a checkpoint."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from expclip.cli.bars import WorkProgress

__all__ = ["TrainingProgress", "app", "quiet_loading", "tell_training"]

app = typer.Typer(help="Train models.", no_args_is_help=True)

_TEAD = "out/tead"


@app.callback()
def _group() -> None:
    """Keep the name of a command that is alone."""


@app.command()
def expclip(
    preset: Annotated[
        str, typer.Option(help="small: minutes on two CPU cores; paper: its sizes.")
    ] = "small",
    data: Annotated[
        str,
        typer.Option(help="A TEAD: folder or Hub id. The default is built if it is not there."),
    ] = _TEAD,
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")] = Path("out/expclip"),
    config: Annotated[
        str | None, typer.Option(help="Configuration of the TEAD, where it has several.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="A MEAD-3D folder: train the image projector of --start on it."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="A trained checkpoint: folder or Hub id. With --images.")
    ] = None,
    text_encoder: Annotated[
        str | None, typer.Option(help="minilm, a CLIP or sentence encoder: Hub id or folder.")
    ] = None,
    image_encoder: Annotated[
        str | None, typer.Option(help="A CLIP: Hub id or folder. With --images.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Most steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pairs in a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest, after the warm-up.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other field: losses.cross=5, faces=none, model.width=256, ... "
            "May be given again; a wrong name lists the right ones.",
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of frozen features. Default: the user's cache.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run of another recipe or data set.")
    ] = False,
) -> None:
    """Train ExpCLIP on a TEAD; then, with --images, its image projector on a MEAD-3D.

    Stopped at any moment, the same command goes on where it was.
    """
    from expclip.models import PRESETS, FeatureCache, train_expclip, train_images

    if preset not in PRESETS:
        raise ValueError(f"--preset {preset}, expected one of {', '.join(PRESETS)}")
    if (images is None) is not (start is None):
        raise ValueError("--images and --start need each other: a MEAD-3D, and a checkpoint")
    if image_encoder and images is None:
        raise ValueError("--image-encoder is for --images")
    named = {
        "steps": steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "model.text_encoder": text_encoder,
    }
    changes = [f"{name}={value}" for name, value in named.items() if value is not None]
    chosen = PRESETS[preset].with_settings([*changes, *(settings or ())])
    began = time.monotonic()
    quiet_loading()
    if images is None and data == _TEAD and not Path(data).is_dir():
        _build_tead(Path(data))
    with TrainingProgress() as progress:
        features = FeatureCache(cache)
        if images is not None and start is not None:
            record = train_images(
                out,
                start,
                images,
                chosen.recipe,
                encoder=image_encoder,
                cache=features,
                overwrite=overwrite,
                progress=progress,
            )
        else:
            record = train_expclip(
                out,
                data,
                chosen,
                config=config,
                cache=features,
                overwrite=overwrite,
                progress=progress,
            )
    where = "" if out == Path("out/expclip") else f" --model {out}"
    tell_training(
        out,
        record,
        time.monotonic() - began,
        measured_on="test split",
        following=f'expclip text2face "a smug grin" --out faces.png{where}',
    )


class TrainingProgress(WorkProgress):
    """Shows what is done, and the losses."""

    def __call__(self, what: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Take note of progress."""
        told = [f"{name} {value:.4g}" for name, value in figures.items() if value]
        self.show(what, done, total, lambda rate: ", ".join([f"{rate:,.1f}/s", *told]))


def quiet_loading(*, missing_ok: bool = False) -> None:
    """Turn off the bars of transformers for weights on this disk; downloads keep theirs.

    Raises:
        MissingExtra: the extra `models` is not installed, and that is not ok: where it is
            needed after all, the model says so better.
    """
    from expclip.face.errors import MissingExtra

    try:
        from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
        from transformers.utils import logging
    except ImportError as error:
        if missing_ok:
            return
        raise MissingExtra(error.name or "transformers", "models") from None
    were_on = not are_progress_bars_disabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if were_on:
        enable_progress_bars()


def _build_tead(folder: Path) -> None:
    """Build the embedded TEAD, for whoever has none yet."""
    from expclip.tead import BuildPlan
    from expclip.tead import build as build_tead

    print(f"no {folder} yet: building the embedded TEAD there", file=sys.stderr)
    build_tead(folder, BuildPlan())


def tell_training(
    out: Path, record: Mapping[str, Any], seconds: float, *, measured_on: str, following: str
) -> None:
    """Print what was trained, how good it is, where it lies, and what to do next."""
    print(f"{record['parameters']:,} parameters, {record['steps']:,} steps, {seconds:.0f} s")
    print(f"kept the network of step {record['best_step']:,}; on the {measured_on}:")
    for name, value in record["figures"].items():
        print(f"  {name} {value:.5f}")
    for name in ("model.safetensors", "config.json", "training.json", "README.md"):
        print(f"wrote {out / name}")
    print(f"wrote {out / 'curves.svg'}, {out / 'log.jsonl'}")
    print(f"next: {following}")
