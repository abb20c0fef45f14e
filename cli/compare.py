"""`expclip tead compare`: data sets of different annotators, side by side."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Two or more data sets of the same texts.", metavar="FOLDER FOLDER..."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the tables and pictures.")] = Path(
        "out/compare"
    ),
    draws: Annotated[int, typer.Option(min=1, help="Draws of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Compare TEADs made by different models or prompts, text by text.

    Kappa and prevalence of each action unit, Krippendorff's alpha of more than two, tags,
    blendshapes; as a table, as JSON and as pictures.
    """
    from expclip.tead.reports.compare import compare as compare_teads
    from expclip.tead.reports.comparison import comparison_markdown, write_comparison

    comparison = compare_teads(folders, draws=draws, seed=seed)
    paths = write_comparison(comparison, out)
    print(comparison_markdown(comparison))
    for path in paths:
        print(f"wrote {path}")
    print(f"next: expclip tead validate {shlex.quote(str(folders[0]))}")
