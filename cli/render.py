"""``expclip render``: pictures of expressions and recordings."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float

from expclip.face.action_units import parse_action
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.face.mapping import blendshapes_from_actions
from expclip.face.render import (
    MAX_GIF_FPS,
    encode_png,
    render_contact_sheet,
    render_gif,
    render_svg_sheet,
)

__all__ = ["render"]

_RECORDINGS = (".csv", ".json", ".npz", ".parquet")
_PICTURES = (".svg", ".png", ".gif")
_STRIP = 12  # frames of a recording in a still picture
_MOVE_S, _HOLD_S = 0.4, 0.8  # of an expression in a GIF: on its way, and held


@dataclass(frozen=True, slots=True)
class _Take:
    """The faces of a picture, one by one or in time."""

    faces: Float[np.ndarray, "faces 52"]
    captions: list[str]
    total: int  # faces there would be without a limit


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
    suffix = out.suffix.lower()
    if suffix not in _PICTURES:
        raise DataError(f"{out}: suffix {suffix!r}, expected one of {', '.join(_PICTURES)}")
    if not 0 < fps <= MAX_GIF_FPS:
        raise ValueError(f"--fps must be above 0 and at most {MAX_GIF_FPS}, got {fps:g}")
    moving = suffix == ".gif"
    take = _take(inputs, fps if moving else None, max_frames)

    names = take.captions if captions else []
    if moving:
        picture = render_gif(take.faces, fps, size=size or 256)
    elif suffix == ".svg":
        picture = render_svg_sheet(take.faces, names, columns=columns).encode()
    else:
        wide = size or (512 if len(take.faces) == 1 else 256)
        sheet = render_contact_sheet(take.faces, names, columns=columns, size=wide)
        picture = encode_png(sheet)
    with write_atomically(out) as temporary:
        temporary.write_bytes(picture)

    cut = f" ({len(take.faces)} of {take.total} frames)" if len(take.faces) < take.total else ""
    again = [*map(shlex.quote, inputs), "--out", shlex.quote(str(_sibling(out)))]
    typer.echo(f"{out}{cut}")
    typer.echo(f"next: expclip render {' '.join(again)}")


def _sibling(out: Path) -> Path:
    """Return the name of another picture that is worth a look."""
    return out.with_suffix(".png" if out.suffix.lower() == ".gif" else ".gif")


def _take(inputs: list[str], fps: float | None, max_frames: int) -> _Take:
    """Return what to draw; ``fps`` is None for a still picture."""
    recordings = [name for name in inputs if Path(name).suffix.lower() in _RECORDINGS]
    if not recordings:
        return _poses(inputs) if fps is None else _play(inputs, fps, max_frames)
    if len(inputs) > 1:
        raise DataError(f"{recordings[0]}: one recording at a time, got {len(inputs)} inputs")
    return _recording(recordings[0], fps, max_frames)


def _poses(expressions: list[str]) -> _Take:
    """Return one face for each expression."""
    actions = [
        [parse_action(unit) for unit in re.split(r"[+,\s]+", text.strip()) if unit]
        if text.strip().lower() != "neutral"
        else []
        for text in expressions
    ]
    return _Take(blendshapes_from_actions(actions), expressions, len(expressions))


def _play(expressions: list[str], fps: float, max_frames: int) -> _Take:
    """Let the expressions come one after the other, from neutral back to neutral."""
    stops = np.vstack([np.zeros((1, 52)), _poses(expressions).faces, np.zeros((1, 52))])
    total = max(1, round(fps * ((len(stops) - 1) * _MOVE_S + len(stops) * _HOLD_S)))
    seconds = np.arange(min(total, max_frames)) / fps
    stop, into = np.divmod(seconds, _MOVE_S + _HOLD_S)
    way = ((into - _HOLD_S) / _MOVE_S).clip(0, 1)
    way = (way * way * (3 - 2 * way))[:, None]  # gentle start and end
    here = stop.astype(int)
    there = np.minimum(here + 1, len(stops) - 1)
    return _Take(stops[here] * (1 - way) + stops[there] * way, [], total)


def _recording(name: str, fps: float | None, max_frames: int) -> _Take:
    """Return frames of a recording: a dozen for a still picture, else all at ``fps``."""
    from expclip.face.sequence import read_sequence

    sequence = read_sequence(name).filled()
    count = len(sequence)
    if fps is None:
        picked = np.linspace(0, count - 1, min(count, _STRIP)).round().astype(int)
        captions = [f"{index / sequence.fps:.2f} s" for index in picked]
        return _Take(sequence.weights[picked], captions, len(picked))
    total = max(1, round(count * fps / sequence.fps))
    picked = (np.arange(min(total, max_frames)) * sequence.fps / fps).round().astype(int)
    return _Take(sequence.weights[picked.clip(max=count - 1)], [], total)
