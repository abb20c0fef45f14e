"""`expclip beat`: what a BEAT folder holds, and a folder of it for training."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from expclip.beat_loader import LeftOut, Selection, Summary

__all__ = ["app", "build", "index"]

_TABLES = ("language", "kind", "emotion", "split", "speaker")

Folder = Annotated[Path, typer.Argument(help="BEAT as it was unpacked, in any layout.")]
Select = Annotated[
    str,
    typer.Option(
        help="all, english (60 h), paper-35h (the ten speakers of four hours: a reconstruction "
        "of the paper's choice) or beat-16h (speakers 2, 4, 6, 8)."
    ),
]
Speakers = Annotated[
    str | None, typer.Option(help="Numbers such as 1,2,6-9, in the place of the selection's.")
]

app = typer.Typer(
    help="BEAT: speech with the speaker's face.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def index(
    folder: Folder,
    select: Select = "all",
    speakers: Speakers = None,
    files: Annotated[
        bool, typer.Option(help="Name every file that is left out, not only how many.")
    ] = True,
) -> None:
    """Print hours by language, emotion, split and speaker, and what is left out and why."""
    from expclip.beat_loader import BeatIndex, summarise

    summary = summarise(BeatIndex.scan(folder, _selection(select, speakers)))
    for what in _TABLES:
        _print_hours(what, summary)
    print(f"{len(summary.overlaps):,} takes, {summary.seconds / 3600:.2f} h of speech with a face")
    if summary.drifting:
        print(f"speech and face end apart in {len(summary.drifting):,} takes (the overlap counts):")
        for take, overlap in summary.drifting.items():
            print(f"  {take.name}: speech {overlap.drift_s:+.2f} s")
    _print_left_out(summary.left_out, folder, files)
    print(f"next: expclip beat build {folder} --out out/beat")


@app.command()
def build(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Folder of the built data.")] = Path("out/beat"),
    select: Select = "english",
    speakers: Speakers = None,
    fps: Annotated[float, typer.Option(help="Frames a second of the stored faces.")] = 15.0,
    method: Annotated[
        str, typer.Option(help="fir: filtered, no aliases; decimate: every fourth frame.")
    ] = "fir",
    audio: Annotated[bool, typer.Option(help="Store the speech too (16 kHz, 16 bits).")] = True,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one a core.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a folder built otherwise.")
    ] = False,
) -> None:
    """Read every take once; write frames, speech and labels for training.

    Stopped at any moment, the same command goes on where it was.
    """
    from expclip.beat_loader import BuildOptions
    from expclip.beat_loader import build as build_beat

    options = BuildOptions(_selection(select, speakers), fps, method, audio)
    manifest = build_beat(
        folder,
        out,
        options,
        workers=workers or os.cpu_count() or 1,
        overwrite=overwrite,
        progress=_Progress(),
    )
    counts, hours = manifest["counts"], manifest["hours"]
    told = ", ".join(
        f"{split} {hours[split]:.2f} h" for split in ("train", "val", "test") if split in hours
    )
    print(f"{counts['takes']:,} takes, {counts['frames']:,} frames: {told}")
    if manifest["drifting"]:
        print(f"cut to the overlap of speech and face: {len(manifest['drifting']):,} takes")
        for take, drift_s in manifest["drifting"].items():
            print(f"  {take}: speech {drift_s:+.2f} s")
    if counts["left_out"]:
        print(f"left out: {counts['left_out']:,} files, see {out / 'left_out.csv'}")
    for name in (*manifest["files"], "manifest.json"):
        print(f"wrote {out / name}")
    print(f'next: expclip.beat_loader.BeatDataset("{out}")')


def _selection(name: str, speakers: str | None) -> "Selection":
    from dataclasses import replace

    from expclip.beat_loader import SELECTIONS

    if name not in SELECTIONS:
        raise ValueError(f"--select is {name!r}, expected one of {', '.join(SELECTIONS)}")
    selection = SELECTIONS[name]
    return replace(selection, speakers=_numbers(speakers)) if speakers else selection


def _numbers(text: str) -> frozenset[int]:
    """Parse "1,2,6-9"."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        try:
            found = range(int(first), int(last or first) + 1)
        except ValueError:
            raise ValueError(f"--speakers has {part!r}, expected numbers such as 1,2,6-9") from None
        if not found or found[0] < 1 or found[-1] > 30:
            raise ValueError(f"--speakers has {part!r}, expected numbers from 1 to 30")
        numbers.update(found)
    return frozenset(numbers)


def _print_hours(what: str, summary: "Summary") -> None:
    hours = summary.hours(what)
    width = max(map(len, hours), default=0)
    print(what)
    for label, value in hours.items():
        print(f"  {label:{width}} {value:9.2f} h")


def _print_left_out(left_out: Iterable["LeftOut"], folder: Path, files: bool) -> None:
    reasons: dict[str, list[Path]] = {}
    for item in left_out:
        reasons.setdefault(item.reason, []).append(item.file)
    for reason, paths in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(f"left out, {len(paths):,} file{'s' * (len(paths) > 1)}: {reason}")
        for path in paths if files else ():
            print(f"  {path.relative_to(folder)}")


class _Progress:
    """Says how far a build is, on one line of a terminal, or every ten seconds."""

    def __init__(self) -> None:
        import time

        self._now = time.monotonic
        self._last = self._now()

    def __call__(self, done: int, total: int) -> None:
        """Take note of progress."""
        terminal = sys.stderr.isatty()
        if done < total and self._now() - self._last < (0.1 if terminal else 10.0):
            return
        self._last = self._now()
        end = "\n" if not terminal or done == total else ""
        print(
            f"{chr(13) * terminal}{done:,} of {total:,} takes", end=end, file=sys.stderr, flush=True
        )
