"""`expclip tead report`: a data set as one page for the browser."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of the data set.")] = Path("out/tead"),
    out: Annotated[
        Path | None, typer.Option(help="The page; by default <folder>-report.html beside it.")
    ] = None,
) -> None:
    """Write one HTML page with figures and every row, each with its drawn face.

    It needs no network, and nothing but a browser.
    """
    from expclip.tead.reports.report import write_report

    path = write_report(folder, out)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"open it in a browser: {path.resolve().as_uri()}")
