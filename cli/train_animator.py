"""`expclip train animator`: from speech and faces to a face that speaks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expclip.cli.train import TrainingProgress, quiet_loading, tell_training

if TYPE_CHECKING:
    from expclip.models.speech import SpeechEncoder, SpeechPairs

__all__ = ["animator"]

_SYNTHETIC, _EXPCLIP = "synthetic", "out/expclip"
_HELD_OUT = 10
"""Clips to learn from, for each that is held out to validate, and for each to test."""


def animator(
    preset: Annotated[
        str, typer.Option(help="small: minutes on two CPU cores; paper: its sizes.")
    ] = "small",
    data: Annotated[
        str,
        typer.Option(
            help="synthetic: speech of our own making; a folder of `expclip beat build`; or any "
            "folder of sounds and ARKit recordings of the same names."
        ),
    ] = _SYNTHETIC,
    clips: Annotated[int, typer.Option(help="Synthetic clips to learn from.")] = 400,
    expclip: Annotated[
        str, typer.Option(help="A trained ExpCLIP, frozen here: folder or Hub id.")
    ] = _EXPCLIP,
    tead: Annotated[
        str | None,
        typer.Option(
            help="The TEAD whose faces perturb prompts: folder or Hub id. "
            "Default: the core corpus, which needs no file."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")] = Path("out/animator"),
    speech_encoder: Annotated[
        str | None, typer.Option(help="log-mel, or a model like wav2vec 2.0: Hub id or folder.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Most steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Clips in a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest, after the warm-up.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other field: epa=false, losses.style=5, model.blend=additive, ... "
            "May be given again; a wrong name lists the right ones.",
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of speech features. Default: the user's cache.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run of another recipe or data set.")
    ] = False,
) -> None:
    """Train the speaking face: a prompt says what it shows while it speaks.

    Stopped at any moment, the same command goes on where it was.
    """
    from expclip.models.animator.recipe import ANIMATOR_PRESETS
    from expclip.models.animator.train import read_expressions, train_animator
    from expclip.models.speech import SpeechCache
    from expclip.models.speech import speech_encoder as find_encoder

    if preset not in ANIMATOR_PRESETS:
        raise ValueError(f"--preset {preset}, expected one of {', '.join(ANIMATOR_PRESETS)}")
    if clips < 1:
        raise ValueError(f"--clips must be at least 1, got {clips}")
    named = {
        "steps": steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "model.speech_encoder": speech_encoder,
    }
    changes = [f"{name}={value}" for name, value in named.items() if value is not None]
    chosen = ANIMATOR_PRESETS[preset].with_settings([*changes, *(settings or ())])
    _check_expclip(expclip)
    began = time.monotonic()
    quiet_loading()
    with TrainingProgress() as progress:
        encoder = find_encoder(chosen.model.speech_encoder)
        pairs = _read(data, encoder, clips, SpeechCache(cache), progress)
        record = train_animator(
            out,
            pairs,
            chosen,
            expclip=expclip,
            expressions=read_expressions(tead),
            overwrite=overwrite,
            progress=progress,
        )
    where = "" if out == Path("out/animator") else f" --model {out}"
    tell_training(
        out,
        record,
        time.monotonic() - began,
        measured_on="test recordings",
        following=f'expclip animate speech.wav --prompt "a smug grin"{where}',
    )


def _check_expclip(place: str) -> None:
    """Tell whoever has no ExpCLIP yet how to get one, before anything else is done."""
    from expclip.face.errors import DataError
    from expclip.models.places import fetch_file

    if place == _EXPCLIP and not Path(place).is_dir():
        raise DataError(f"{place}: no such folder: `expclip train expclip` makes it")
    fetch_file(place, "config.json")


def _read(
    data: str, encoder: SpeechEncoder, clips: int, cache: Any, progress: TrainingProgress
) -> SpeechPairs:
    """Return speech and faces, whichever kind of data it is."""
    from expclip.models.speech import read_built_beat, read_folder, read_synthetic

    if data == _SYNTHETIC:
        held = max(1, clips // _HELD_OUT)
        counts = {"train": clips, "validation": held, "test": held}
        return read_synthetic(encoder, clips=counts, cache=cache, progress=progress)
    read = read_built_beat if (Path(data) / "takes.parquet").is_file() else read_folder
    return read(data, encoder, cache=cache, progress=progress)
