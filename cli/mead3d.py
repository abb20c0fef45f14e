"""`expclip mead3d`: from MEAD's videos to pictures with blendshape weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from expclip.mead3d.fit import Method
    from expclip.mead3d.index import MeadIndex
    from expclip.mead3d.reconstruct import Reconstructor

__all__ = ["app"]

app = typer.Typer(help="Build MEAD-3D: frames of MEAD and their weights.", no_args_is_help=True)

_Root = Annotated[Path, typer.Argument(help="Folder of MEAD, with the actors' folders.")]
_List = Annotated[
    Path | None,
    typer.Option("--list", help="A list of MEAD's code, for pictures in its old naming."),
]
_Names = list[str] | None


@app.command()
def index(
    root: _Root,
    listed: _List = None,
    left_out: Annotated[
        Path | None, typer.Option(help="CSV to write, of every file left out and the reason.")
    ] = None,
    count: Annotated[
        bool, typer.Option("--count/--no-count", help="Read the videos' headers, for hours.")
    ] = True,
) -> None:
    """Say which clips there are, how long, and what is left out."""
    from expclip.cli.frames import FrameProgress, clip_tables, write_left_out
    from expclip.face.errors import MissingExtra
    from expclip.mead3d.video import count_frames

    found = _read_index(root, listed)
    note = ""
    if count:
        try:
            with FrameProgress() as progress:
                found = count_frames(
                    found, progress=lambda done, total: progress("counting", done, total)
                )
        except MissingExtra as error:
            note = f"hours are not known: {error}"
    for line in clip_tables(found):
        print(line)
    if note:
        print(note)
    _tell_left_out(found)
    if left_out:
        write_left_out(left_out, found)
        print(f"wrote {left_out}")
    print(f"next: expclip mead3d build {root} --out out/mead3d")


@app.command()
def fit(
    meshes: Annotated[Path, typer.Argument(help="npz or npy with vertices (frames, vertices, 3).")],
    basis: Annotated[
        Path, typer.Option(help="npz, folder of ICT-FaceKit OBJ files, or zip of ARKit OBJ files.")
    ],
    out: Annotated[Path, typer.Option(help="npz, csv (Live Link Face), json (BEAT) or parquet.")],
    neutral: Annotated[
        Path | None, typer.Option(help="npz with the same face at rest. Default: the basis'.")
    ] = None,
    method: Annotated[str, typer.Option(help="exact, or slsqp as in the paper.")] = "exact",
    ridge: Annotated[float, typer.Option(help="Pulls weights to 0.")] = 0.0,
    rigid: Annotated[bool, typer.Option("--rigid", help="Remove the head's motion first.")] = False,
    smooth: Annotated[float, typer.Option(help="Pulls frames to their neighbours.")] = 0.0,
    fps: Annotated[
        float | None, typer.Option(help="Of the meshes. Default: what the file says, else 30.")
    ] = None,
) -> None:
    """Fit the 52 weights to ready meshes."""
    from expclip.cli.frames import fit_file
    from expclip.mead3d.fit import FitOptions

    options = FitOptions(
        method=_method(method), positions=True, ridge=ridge, rigid=rigid, smooth=smooth
    )
    for line in fit_file(meshes, basis, out, options, neutral=neutral, fps=fps):
        print(line)
    print(f"wrote {out}")
    print(f"next: expclip render {out} --out weights.gif")


@app.command()
def build(
    root: _Root,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("out/mead3d"),
    frames: Annotated[int, typer.Option(min=1, help="Frames to sample.")] = 150_000,
    seed: Annotated[int, typer.Option(help="Of sample and split.")] = 0,
    split: Annotated[
        str, typer.Option(help="actor; frame, as the paper may have; emote, smirk or eat.")
    ] = "actor",
    listed: _List = None,
    view: Annotated[_Names, typer.Option(help="Only this camera. May be given again.")] = None,
    actor: Annotated[_Names, typer.Option(help="Only this actor. May be given again.")] = None,
    reconstructor: Annotated[
        str, typer.Option(help="mediapipe, meshes, or MODULE:NAME of your own.")
    ] = "mediapipe",
    model: Annotated[
        Path | None, typer.Option(help="MediaPipe's face_landmarker.task. Default: downloaded.")
    ] = None,
    meshes: Annotated[
        Path | None, typer.Option(help="Folder of ready meshes; takes the place of MediaPipe.")
    ] = None,
    basis: Annotated[Path | None, typer.Option(help="That the meshes are fitted with.")] = None,
    neutral: Annotated[
        str, typer.Option(help="Meshes are measured from: actor (at rest), or basis.")
    ] = "actor",
    method: Annotated[str, typer.Option(help="exact, or slsqp as in the paper.")] = "exact",
    ridge: Annotated[float, typer.Option(help="Pulls fitted weights to 0.")] = 0.0,
    rigid: Annotated[bool, typer.Option("--rigid", help="Remove the head's motion first.")] = False,
    size: Annotated[int, typer.Option(help="Longer side of pictures; 0 keeps them.")] = 512,
    crop: Annotated[
        bool, typer.Option("--crop/--no-crop", help="To the face, where its box is known.")
    ] = True,
    processes: Annotated[
        int | None, typer.Option(help="Processes, or Ray's workers. Default: one each core.")
    ] = None,
    executor: Annotated[str, typer.Option(help="pool, or ray.")] = "pool",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster. Default: Ray on this machine.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a data set built otherwise.")
    ] = False,
) -> None:
    """Sample frames, reconstruct faces, fit weights, write Parquet and card.

    Stopped at any moment, the same command goes on where it was.
    """
    from expclip.cli.frames import FrameProgress, load_reconstructor
    from expclip.face.mesh import read_basis
    from expclip.mead3d.build import BuildPlan
    from expclip.mead3d.build import build as build_mead3d
    from expclip.mead3d.executors import Processes, RayCluster
    from expclip.mead3d.fit import FitOptions
    from expclip.mead3d.rows import PictureOptions

    if executor not in ("pool", "ray"):
        raise ValueError(f"--executor {executor}, expected pool or ray")
    if address and executor != "ray":
        raise ValueError("--address is for --executor ray")
    faces: Reconstructor = load_reconstructor(reconstructor, model, meshes, basis, neutral)
    plan = BuildPlan(
        faces,
        frames=frames,
        seed=seed,
        split=split,
        picture=PictureOptions(size=size, crop=crop),
        basis=read_basis(basis) if basis else None,
        fit=FitOptions(method=_method(method), ridge=ridge, rigid=rigid),
    )
    found = _read_index(root, listed).only(views=view or (), actors=actor or ())
    runs = RayCluster(address, processes) if executor == "ray" else Processes(processes)
    with FrameProgress() as progress:
        manifest = build_mead3d(
            out, found, plan, executor=runs, overwrite=overwrite, progress=progress
        )
    _tell(out, manifest)


def _method(name: str) -> Method:
    if name not in ("exact", "slsqp"):
        raise ValueError(f"--method {name}, expected exact or slsqp")
    return "exact" if name == "exact" else "slsqp"


def _read_index(root: Path, listed: Path | None) -> MeadIndex:
    from expclip.mead3d.index import index_list, index_mead

    return index_list(listed, root) if listed else index_mead(root)


def _tell_left_out(found: MeadIndex) -> None:
    """Print how many files were left out, by reason, with an example of each."""
    examples = {item.reason: item for item in reversed(found.left_out)}
    for reason, number in found.reasons().items():
        item = examples[reason]
        print(f"left out: {reason} {number:,}, first {item.path}: {item.message}")


def _tell(out: Path, manifest: dict[str, Any]) -> None:
    """Print what was built, where it lies, and what to do next."""
    counts, sample = manifest["counts"], manifest["sample"]
    sides = ", ".join(f"{counts[s]:,} {s}" for s in ("train", "validation", "test") if s in counts)
    print(f"{counts['rows']:,} rows ({sides}) of {sample['frames']:,} frames")
    print(f"faces: {manifest['reconstructor']}; test actors: {_actors(manifest)}")
    for title in ("rejects", "left_out"):
        if counts[title]:
            told = ", ".join(f"{name} {number:,}" for name, number in counts[title].items())
            print(f"{title.replace('_', ' ')}: {told}")
    for path in (*manifest["files"], "rejects.parquet", "README.md", "manifest.json"):
        print(f"wrote {out / path}")
    print("MEAD may not be passed on: keep the folder, or a Hub repository of it, private")
    print(f'next: datasets.load_dataset("{out}")')


def _actors(manifest: dict[str, Any]) -> str:
    return ", ".join(manifest["split"]["test_actors"]) or "none"
