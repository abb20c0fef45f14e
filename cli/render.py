"""``expclip render``: pictures of expressions and recordings."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["render"]


def render(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="EXPRESSION... | RECORDING",
            help="Units such as AU6+AU12, R-AU14, AU1+AU4+AU15C, or neutral; "
            "or one recording (.csv, .json, .npz, .parquet).",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The picture: .svg, .png or .gif.")],
    size: Annotated[
        int | None, typer.Option(help="Width of a face in pixels, in PNG and GIF.")
    ] = None,
    columns: Annotated[int | None, typer.Option(help="Faces in a row of a sheet.")] = None,
    captions: Annotated[bool, typer.Option(help="Name the faces of a still picture.")] = True,
    fps: Annotated[float, typer.Option(help="Frames a second of a GIF, up to 50.")] = 15.0,
    max_frames: Annotated[int, typer.Option(min=1, help="Longest GIF, in frames.")] = 600,
) -> None:
    """Draw faces: one picture, a sheet of several, or a moving GIF."""
    from expclip.cli.takes import check_picture, draw, take_of
    from expclip.face.files import write_atomically

    check_picture(out, fps)
    suffix = out.suffix.lower()
    take = take_of(inputs, fps if suffix == ".gif" else None, max_frames)
    picture = draw(take, suffix, size=size, columns=columns, captions=captions, fps=fps)
    with write_atomically(out) as temporary:
        temporary.write_bytes(picture)

    cut = f" ({len(take.faces)} of {take.total} frames)" if len(take.faces) < take.total else ""
    again = [*map(shlex.quote, inputs), "--out", shlex.quote(str(_sibling(out)))]
    typer.echo(f"{out}{cut}")
    typer.echo(f"next: expclip render {' '.join(again)}")


def _sibling(out: Path) -> Path:
    """Return the name of another picture that is worth a look."""
    return out.with_suffix(".png" if out.suffix.lower() == ".gif" else ".gif")
