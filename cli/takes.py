"""What `expclip render` draws: poses, poses in motion, or frames of a recording."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.face.action_units import parse_action
from expclip.face.errors import DataError
from expclip.face.mapping import blendshapes_from_actions
from expclip.face.render import (
    MAX_GIF_FPS,
    encode_png,
    render_contact_sheet,
    render_gif,
    render_svg_sheet,
)
from expclip.face.sequence import read_sequence

__all__ = ["Take", "check_picture", "draw", "take_of"]

_RECORDINGS = (".csv", ".json", ".npz", ".parquet")
_PICTURES = (".svg", ".png", ".gif")
_STRIP = 12  # frames of a recording in a still picture
_MOVE_S, _HOLD_S = 0.4, 0.8  # of an expression in a GIF: on its way, and held


@dataclass(frozen=True, slots=True)
class Take:
    """The faces of a picture, one by one or in time."""

    faces: Float[np.ndarray, "faces 52"]
    captions: list[str]
    total: int  # faces there would be without a limit


def check_picture(out: Path, fps: float) -> None:
    """Check what is asked for, before any work is done.

    Raises:
        DataError: the suffix of ``out`` names no kind of picture.
        ValueError: ``fps`` cannot be kept by a GIF.
    """
    suffix = out.suffix.lower()
    if suffix not in _PICTURES:
        raise DataError(f"{out}: suffix {suffix!r}, expected one of {', '.join(_PICTURES)}")
    if not 0 < fps <= MAX_GIF_FPS:
        raise ValueError(f"--fps must be above 0 and at most {MAX_GIF_FPS}, got {fps:g}")


def draw(
    take: Take, suffix: str, *, size: int | None, columns: int | None, captions: bool, fps: float
) -> bytes:
    """Return the picture of a take: ".svg", ".png" or ".gif"."""
    names = take.captions if captions else []
    if suffix == ".gif":
        return render_gif(take.faces, fps, size=size or 256)
    if suffix == ".svg":
        return render_svg_sheet(take.faces, names, columns=columns).encode()
    wide = size or (512 if len(take.faces) == 1 else 256)
    return encode_png(render_contact_sheet(take.faces, names, columns=columns, size=wide))


def take_of(inputs: list[str], fps: float | None, max_frames: int) -> Take:
    """Return what to draw; ``fps`` is None for a still picture."""
    recordings = [name for name in inputs if Path(name).suffix.lower() in _RECORDINGS]
    if not recordings:
        return _poses(inputs) if fps is None else _play(inputs, fps, max_frames)
    if len(inputs) > 1:
        raise DataError(f"{recordings[0]}: one recording at a time, got {len(inputs)} inputs")
    return _recording(recordings[0], fps, max_frames)


def _poses(expressions: list[str]) -> Take:
    """Return one face for each expression."""
    actions = [
        [parse_action(unit) for unit in re.split(r"[+,\s]+", text.strip()) if unit]
        if text.strip().lower() != "neutral"
        else []
        for text in expressions
    ]
    return Take(blendshapes_from_actions(actions), expressions, len(expressions))


def _play(expressions: list[str], fps: float, max_frames: int) -> Take:
    """Let the expressions come one after the other, from neutral back to neutral."""
    stops = np.vstack([np.zeros((1, 52)), _poses(expressions).faces, np.zeros((1, 52))])
    total = max(1, round(fps * ((len(stops) - 1) * _MOVE_S + len(stops) * _HOLD_S)))
    seconds = np.arange(min(total, max_frames)) / fps
    stop, into = np.divmod(seconds, _MOVE_S + _HOLD_S)
    way = ((into - _HOLD_S) / _MOVE_S).clip(0, 1)
    way = (way * way * (3 - 2 * way))[:, None]  # gentle start and end
    here = stop.astype(int)
    there = np.minimum(here + 1, len(stops) - 1)
    return Take(stops[here] * (1 - way) + stops[there] * way, [], total)


def _recording(name: str, fps: float | None, max_frames: int) -> Take:
    """Return frames of a recording: a dozen for a still picture, else all at ``fps``."""
    sequence = read_sequence(name).filled()
    count = len(sequence)
    if fps is None:
        picked = np.linspace(0, count - 1, min(count, _STRIP)).round().astype(int)
        captions = [f"{index / sequence.fps:.2f} s" for index in picked]
        return Take(sequence.weights[picked], captions, len(picked))
    total = max(1, round(count * fps / sequence.fps))
    picked = (np.arange(min(total, max_frames)) * sequence.fps / fps).round().astype(int)
    return Take(sequence.weights[picked.clip(max=count - 1)], [], total)
