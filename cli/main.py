"""The `expclip` command: its groups, and how failures are told."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from expclip.cli import animate, beat, bench, mead3d, render, tead, text2face, train, train_animator

__all__ = ["app", "main"]

_INTERRUPTED = 130

app = typer.Typer(
    name="expclip",
    help="Text and facial expression: data sets, models, benchmarks, drawn faces.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(tead.app, name="tead")
app.add_typer(mead3d.app, name="mead3d")
app.add_typer(beat.app, name="beat")
app.add_typer(train.app, name="train")
train.app.command()(train_animator.animator)
app.add_typer(bench.app, name="bench")
app.command(name="text2face")(text2face.text2face)
app.command(name="animate")(animate.animate)
app.command(name="render")(render.render)


@app.callback(invoke_without_command=True)
def _version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show:
        print(version("expclip"))
        raise typer.Exit()


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        app()
    except Exception as error:
        from expclip.face.errors import ExpclipError  # late: --help needs no numpy

        if not isinstance(error, ExpclipError | ValueError):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer has caught Ctrl-C
            print("stopped: run the same command to go on", file=sys.stderr)
        raise
