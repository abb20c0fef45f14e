"""`expclip bench study`: a page for raters, and what their answers say."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="A user study: make its page, read its answers.", no_args_is_help=True)

_OUT = Path("out/study")


class _Each(StrEnum):
    ALL = "all"
    ONCE = "once"


@app.command()
def make(
    folder: Annotated[
        Path,
        typer.Argument(
            help="models/NAME/ITEM.* (recordings, videos or pictures); and, where there are "
            "some, prompts.csv (item,text), sound/ITEM.wav, reference/ITEM.*"
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the page and the key.")] = _OUT,
    raters: Annotated[int, typer.Option(min=1, help="How many are expected.")] = 20,
    each: Annotated[
        _Each, typer.Option(help="all: a rater sees an item by every model; once: by one.")
    ] = _Each.ALL,
    items: Annotated[
        int | None, typer.Option(min=1, help="Items a rater sees. Default: all.")
    ] = None,
    checks: Annotated[int, typer.Option(min=0, help="Attention checks a rater.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of every choice, and of the codes.")] = 0,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Rating faces",
) -> None:
    """Make one page for all raters, without the models' names, and the key.

    The page needs no network; each rater enters a code and sends back a CSV.
    """
    from expclip.benchmarks.study import PlanOptions, read_key, read_stimuli, write_study

    options = PlanOptions(raters, each.value, items, checks, seed)
    files = write_study(read_stimuli(folder), out, options, title=title)
    codes = read_key(files.key).raters
    size = files.page.stat().st_size / 1e6
    print(f"wrote {files.page} ({size:.1f} MB): for the raters")
    print(f"wrote {files.key}: keep it, it says which clip is whose")
    print(f"{max(map(len, codes.values()))} clips a rater, who enters one of these codes:")
    print(" ".join(codes))
    key = "" if out == _OUT else f" --key {shlex.quote(str(files.key))}"
    print(f"next: expclip bench study analyse FOLDER_OF_ANSWERS{key}")


@app.command()
def analyse(
    answers: Annotated[
        list[Path],
        typer.Argument(metavar="ANSWERS", help="What raters sent back: CSV files, or folders."),
    ],
    key: Annotated[Path, typer.Option(help="key.json of the study.")] = _OUT / "key.json",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the tables. Default: that of the key.")
    ] = None,
    failed_checks: Annotated[
        float, typer.Option(min=0, help="Leave out who fails this share of the checks, or more.")
    ] = 0.5,
    same_answer: Annotated[
        float,
        typer.Option(min=0, help="Leave out who gives one answer in this share of cases, or more."),
    ] = 0.95,
    answered: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Leave out who answers less than this share of the questions."
        ),
    ] = 0.5,
    draws: Annotated[
        int, typer.Option(min=1, help="Draws of the bootstrap and the tests.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and the tests.")] = 0,
) -> None:
    """Tell means with intervals, agreement, and which differences of models hold.

    Who is left out, and why, is told too; so is every file that cannot be used.
    """
    from expclip.benchmarks.study import (
        ScreeningRule,
        analyse_study,
        analysis_markdown,
        read_key,
        write_analysis,
    )
    from expclip.face.errors import DataError

    files = [
        file
        for path in answers
        for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])
    ]
    if not files:
        raise DataError(f"{', '.join(map(str, answers))}: no CSV of answers in it")
    rule = ScreeningRule(failed_checks, same_answer, answered)
    found = analyse_study(files, read_key(key), rule=rule, draws=draws, seed=seed)
    print(analysis_markdown(found))
    for path in write_analysis(found, out or key.parent):
        print(f"wrote {path}")
