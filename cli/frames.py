"""What `expclip mead3d` reads and tells: meshes, reconstructors, tables of clips, progress."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from expclip.cli.bars import WorkProgress

if TYPE_CHECKING:
    import numpy as np

    from expclip.face import Sequence as FaceSequence
    from expclip.mead3d.fit import FitOptions
    from expclip.mead3d.index import Clip, MeadIndex
    from expclip.mead3d.reconstruct import Reconstructor

__all__ = ["FrameProgress", "clip_tables", "fit_file", "load_reconstructor", "write_left_out"]

_FPS = 30.0


class FrameProgress(WorkProgress):
    """Shows how many clips or frames are done."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take note of progress."""
        self.show(what, done, total, lambda rate: f"{rate:,.1f}/s")


def clip_tables(found: MeadIndex) -> Iterator[str]:
    """Yield lines: clips and hours, of each actor by view, of each emotion by level."""
    clips = found.clips
    actors = {clip.label.actor for clip in clips}
    hours = _hours(clips)
    told = f", {hours:,.2f} hours" if hours else ""
    yield f"{found.root}: {len(clips):,} clips of {len(actors)} actors{told}"
    for row, column in (("actor", "view"), ("emotion", "level")):
        yield ""
        yield from _table(clips, row, column)
    yield ""


def write_left_out(path: Path, found: MeadIndex) -> None:
    """Write every file left out as CSV: path, reason, message."""
    from expclip.face.files import write_atomically

    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(("path", "reason", "message"))
        table.writerows((item.path, item.reason, item.message) for item in found.left_out)


def fit_file(
    meshes: Path,
    basis: Path,
    out: Path,
    options: FitOptions,
    *,
    neutral: Path | None,
    fps: float | None,
) -> Iterator[str]:
    """Fit weights to the meshes of a file, write them, and yield what is to be told."""
    import numpy as np

    from expclip.face import DataError, write_sequence
    from expclip.face.mesh import read_basis
    from expclip.mead3d.fit import fit_meshes
    from expclip.mead3d.meshes import read_meshes

    shapes = read_basis(basis)
    file = read_meshes(meshes)
    rest = read_meshes(neutral).vertices[0] if neutral else shapes.neutral
    for path, found in ((meshes, file.vertices[0]), (neutral, rest)):
        if found.shape != shapes.neutral.shape:
            expected = f"the basis {basis} has {len(shapes.neutral)}"
            raise DataError(f"{path}: {len(found)} vertices, {expected}")
    fit = fit_meshes(file.vertices, shapes.deltas, options, neutral=rest)
    good = ~fit.failed
    if not good.any():
        raise DataError(f"{meshes}: no frame can be fitted, all vertices are NaN")
    yield (
        f"{good.sum():,} of {len(good):,} frames fitted, "
        f"{np.median(fit.rms[good]):.3g} {shapes.unit} from the meshes (median)"
    )
    if not (fps or file.fps):
        yield f"{meshes} does not say its rate: {_FPS:g} frames per second taken (--fps)"
    write_sequence(_sequence(fit.weights, good, fps or file.fps or _FPS), out)


def _sequence(weights: np.ndarray, good: np.ndarray, fps: float) -> FaceSequence:
    """Return the frames that were fitted; gaps stand for those between that were not."""
    import numpy as np

    from expclip.face import Gap, Sequence

    places = np.flatnonzero(good)
    lost = np.diff(places) - 1
    gaps = [Gap(int(at) + 1, int(lost[at])) for at in np.flatnonzero(lost)]
    return Sequence(weights[good], fps, gaps=tuple(gaps))


def load_reconstructor(
    name: str, model: Path | None, meshes: Path | None, basis: Path | None, neutral: str
) -> Reconstructor:
    """Return what finds faces, and refuse options that have no meaning for it."""
    from expclip.mead3d.landmarker import FaceLandmarker
    from expclip.mead3d.meshes import ReadyMeshes
    from expclip.mead3d.reconstruct import Reconstructor

    if meshes or name == "meshes":
        if not meshes or name not in ("meshes", "mediapipe") or model:
            raise ValueError("--meshes FOLDER stands alone: without --model, --reconstructor")
        if not basis:
            raise ValueError("--meshes needs --basis: what they are fitted with")
        return ReadyMeshes(meshes, neutral)
    if name == "mediapipe":
        return FaceLandmarker(model)
    module, _, attribute = name.partition(":")
    try:
        made = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        told = f"{error}, expected mediapipe, meshes or MODULE:NAME"
        raise ValueError(f"--reconstructor {name}: {told}") from None
    if not isinstance(made, Reconstructor):
        raise ValueError(f"--reconstructor {name}: has no name and reconstruct()")
    return made


def _table(clips: Sequence[Clip], row: str, column: str) -> Iterator[str]:
    counts = Counter((getattr(c.label, row), getattr(c.label, column)) for c in clips)
    names = sorted({key for key, _ in counts})
    columns = sorted({key for _, key in counts})
    groups: dict[str, list[Clip]] = {name: [] for name in names}
    for clip in clips:
        groups[getattr(clip.label, row)].append(clip)
    heads = [f"{column} {key}" if isinstance(key, int) else key for key in columns]
    lines = [[row, *heads, "clips", "hours"]]
    for name in names:
        found = [f"{counts[name, key]:,}" if counts[name, key] else "-" for key in columns]
        hours = _hours(groups[name])
        lines.append([name, *found, f"{len(groups[name]):,}", f"{hours:.2f}" if hours else "?"])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for first, *rest in lines:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *cells])


def _hours(clips: Sequence[Clip]) -> float:
    """Return the hours of the clips whose rate is known."""
    return sum(clip.frames / clip.fps for clip in clips if clip.fps) / 3600
