"""`expclip bench picture`: the space of a model, as a t-SNE map with ways between faces."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from expclip.benchmarks.task_data import TeadData

__all__ = ["picture"]

_TEAD = Path("out/tead")


def picture(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="module:factory of the current folder, a checkpoint's folder, or a Hub id.",
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="In place of a model: see `expclip bench list`.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A TEAD: folder or Hub id. Default: out/tead.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Config of the TEAD, where it has several.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The picture, an SVG.")] = Path("out/manifold.svg"),
    name: Annotated[
        str | None, typer.Option(help="Name in the picture. Default: the model's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every choice.")] = 0,
    points: Annotated[
        int, typer.Option(min=8, max=20_000, help="Faces and texts together, at most.")
    ] = 2000,
) -> None:
    """Draw the space of a model: t-SNE of faces and texts, and ways between faces, decoded."""
    from rich.console import Console

    from expclip.benchmarks.board.manifold_picture import draw_manifold
    from expclip.benchmarks.results.folder import make_folder
    from expclip.face.files import write_atomically

    if (model is None) == (baseline is None):
        raise ValueError("name a --model or a --baseline (see `expclip bench list`)")
    if out.suffix.lower() != ".svg":
        raise ValueError(f"--out {out}: expected a name that ends in .svg")
    make_folder(out.parent)  # before the work that it takes
    found = _read(data, config)
    subject = _load(model) if model else _make_baseline(str(baseline), found)
    with Console(stderr=True).status("the model is asked") as shown:
        drawn = draw_manifold(
            subject, found, name=name, seed=seed, points=points, progress=shown.update
        )
    with write_atomically(out) as temporary:
        temporary.write_text(drawn, "utf-8")
    print(f"wrote {out} ({len(drawn) / 1e6:.1f} MB)")
    named = ("--model", model) if model else ("--baseline", str(baseline))
    rest = [*named, *(["--data", data] if data else []), *(["--config", config] if config else [])]
    tasks = ["--task", "tead/neighbourhoods", "--task", "tead/paths"]
    print(f"next, the numbers: expclip bench run {shlex.join([*rest, *tasks])}")


def _read(data: str | None, config: str | None) -> TeadData:
    from expclip.benchmarks.task_data import read_tead_data
    from expclip.face.errors import DataError

    if data is None and not _TEAD.is_dir():
        raise DataError(f"{_TEAD}: no such folder; name a TEAD with --data")
    return read_tead_data(data or _TEAD, config=config)


def _load(model: str) -> object:
    from expclip.benchmarks.loading import load_model
    from expclip.cli.train import quiet_loading

    if ":" not in model:
        quiet_loading(missing_ok=True)
    return load_model(model)


def _make_baseline(name: str, data: TeadData) -> object:
    from expclip.benchmarks.baselines import WORDS, baseline

    return baseline(name, data, encoder=WORDS)
