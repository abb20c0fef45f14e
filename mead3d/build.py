"""From MEAD on a disk to a MEAD-3D folder: index, sample, reconstruct, fit, Parquet.

Frames are done in tasks of 32. A finished task is a file; after a kill at any moment the
same command does the others only, and the same sample gives the same bytes whatever ran
where.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from expclip.face.errors import DataError
from expclip.face.files import lock_folder, write_atomically
from expclip.face.mesh import Basis
from expclip.face.records import describe_difference, read_record
from expclip.mead3d.card import write_card
from expclip.mead3d.executors import Executor, Processes
from expclip.mead3d.fit import FitOptions
from expclip.mead3d.frames import FrameId, check_split, sample_frames
from expclip.mead3d.index import Clip, MeadIndex
from expclip.mead3d.reconstruct import Reconstructor
from expclip.mead3d.rows import Job, PictureOptions, Task
from expclip.mead3d.shards import Shards, join_tasks
from expclip.mead3d.video import count_frames, find_decoder

__all__ = ["BuildPlan", "build"]

_WORK = ".expclip"
"""Folder, inside the data set's, of what is not published."""

_TASK_FRAMES = 32

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BuildPlan:
    """What decides the content of a MEAD-3D.

    Attributes:
        reconstructor: finds the faces.
        frames: how many are sampled; the paper has 150,000.
        seed: of sample and split.
        split: "actor", "frame", or a name of PUBLISHED_SPLITS.
        picture: how pictures are kept.
        basis: that meshes are fitted with; not needed where weights come directly.
        fit: how meshes are fitted.
    """

    reconstructor: Reconstructor
    frames: int = 150_000
    seed: int = 0
    split: str = "actor"
    picture: PictureOptions = field(default_factory=PictureOptions)
    basis: Basis | None = None
    fit: FitOptions = field(default_factory=FitOptions)

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")
        if self.fit.smooth:
            raise ValueError("smooth is for sequences: sampled frames are no neighbours")

    def identity(self) -> dict[str, Any]:
        """Return what must not change when a build is taken up again, as JSON holds it."""
        identity = {
            "reconstructor": self.reconstructor.name,
            "frames": self.frames,
            "seed": self.seed,
            "split": self.split,
            "picture": asdict(self.picture),
            "fit": self._fit(),
        }
        return dict(json.loads(json.dumps(identity)))

    def _fit(self) -> dict[str, Any] | None:
        if self.basis is None:
            return None
        options = asdict(self.fit)
        del options["positions"]  # meshes always are
        return {**options, "basis_sha256": _basis_hash(self.basis)}


def build(
    out: str | Path,
    index: MeadIndex,
    plan: BuildPlan,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a MEAD-3D, or go on with one, and return its manifest.

    The folder is a data set repository of the Hub as it stands: ``load_dataset(out)``.
    A folder that is complete is left as it is.

    Args:
        out: folder of the data set; all but ``.expclip/`` belongs to it.
        index: the clips to choose from.
        plan: what to build.
        executor: where; one process each core by default.
        overwrite: replace a data set built otherwise.
        progress: called with what is done ("counting", "frames"), how much, of how much.

    Raises:
        DataError: the folder holds something else, is in use or cannot be written; no
            clip can be read; or no frame has a face.
        MissingExtra: a decoder or the reconstructor's package is not installed.
        ModelError: the reconstructor or the workers fail altogether.
    """
    out = Path(out)
    identity = plan.identity()
    with _claimed(out, identity, overwrite) as work:
        index = count_frames(
            index, cache=work / "counts.json", progress=progress and _named(progress, "counting")
        )
        clips = {clip.id: clip for clip in index.clips}
        sample = sample_frames(index.clips, plan.frames, seed=plan.seed)
        sources = {**_sources(sample, clips), "reader": _reader(sample, clips)}
        _check_sources(out, sources, overwrite)
        if done := _complete(out):
            return done
        job = Job(
            index.root,
            plan.reconstructor,
            plan.basis,
            plan.fit,
            plan.picture,
            plan.split,
            plan.seed,
        )
        parts = _run(work / "tasks", job, _tasks(sample, clips), executor or Processes(), progress)
        shards = join_tasks(out, parts)
        manifest = _manifest(plan, identity, sources, index, sample, shards)
        write_card(out / "README.md", manifest)
        _write_json(out / "manifest.json", manifest)
        shutil.rmtree(work / "tasks")
        return manifest


def _run(
    folder: Path, job: Job, tasks: Sequence[Task], executor: Executor, progress: Progress | None
) -> list[Path]:
    """Do the tasks that are not done, and return the files of all, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(".expclip-*.tmp"):  # of a run that was killed
        stale.unlink()
    paths = [folder / f"{task.number:06}.parquet" for task in tasks]
    todo = [task for task, path in zip(tasks, paths, strict=True) if not path.is_file()]
    sizes = {task.number: sum(len(numbers) for _, numbers in task.clips) for task in tasks}
    total = sum(sizes.values())
    done = total - sum(sizes[task.number] for task in todo)
    if progress:
        progress("frames", done, total)
    for number, result in executor.run(job, todo):
        with write_atomically(paths[number]) as temporary:
            temporary.write_bytes(result)
        done += sizes[number]
        if progress:
            progress("frames", done, total)
    return paths


def _tasks(sample: Sequence[FrameId], clips: dict[str, Clip]) -> list[Task]:
    """Cut a sorted sample into tasks; they do not depend on who will do them."""
    tasks: list[Task] = []
    for start in range(0, len(sample), _TASK_FRAMES):
        frames: dict[str, list[int]] = {}
        for frame in sample[start : start + _TASK_FRAMES]:
            frames.setdefault(frame.clip, []).append(frame.number)
        parts = tuple((clips[name], tuple(numbers)) for name, numbers in frames.items())
        tasks.append(Task(len(tasks), parts))
    return tasks


@contextmanager
def _claimed(out: Path, identity: dict[str, Any], overwrite: bool) -> Iterator[Path]:
    """Hold a folder for one run, or refuse if it holds something else."""
    work = out / _WORK
    plan = work / "plan.json"
    if not overwrite and not plan.is_file() and out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: not empty, and no build of expclip: choose another folder")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made: {error.strerror}") from None
    with lock_folder(work / "lock", out):
        before = read_record(plan)
        if before and before.get("identity") != identity:
            if not overwrite and _holds_work(out):
                changed = describe_difference(before.get("identity"), identity)
                raise DataError(
                    f"{out}: holds a build with {changed}: "
                    "choose another folder, or replace it with --overwrite"
                )
            _forget(out)
            before = {}
        _write_json(plan, {**before, "identity": identity})
        yield work


def _check_sources(out: Path, sources: dict[str, Any], overwrite: bool) -> None:
    """Refuse to go on where MEAD, or what reads it, is no longer what it was."""
    path = out / _WORK / "plan.json"
    document = read_record(path)
    before = document.get("sources", sources)
    if before != sources:
        if not overwrite and _holds_work(out):
            raise DataError(
                f"{out}: begun with {describe_difference(before, sources)}: "
                "choose another folder, or begin again with --overwrite"
            )
        _forget(out)
    _write_json(path, {**document, "sources": sources})


def _holds_work(out: Path) -> bool:
    """Return whether frames were done that would be lost."""
    return (out / "manifest.json").is_file() or any((out / _WORK / "tasks").glob("*.parquet"))


def _forget(out: Path) -> None:
    """Remove what an earlier build has finished."""
    (out / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(out / _WORK / "tasks", ignore_errors=True)


def _complete(out: Path) -> dict[str, Any] | None:
    """Return the manifest of a finished build, and remove what it no longer needs."""
    manifest = read_record(out / "manifest.json")
    if not manifest or not all((out / name).is_file() for name in manifest.get("files", [""])):
        return None
    shutil.rmtree(out / _WORK / "tasks", ignore_errors=True)
    return manifest


def _sources(sample: Sequence[FrameId], clips: dict[str, Clip]) -> dict[str, Any]:
    """Return hashes of the sample, and of where its frames lie."""
    frames = hashlib.sha256("\n".join(map(str, sample)).encode())
    places = hashlib.sha256()
    for name in sorted({frame.clip for frame in sample}):
        clip = clips[name]
        places.update(f"{name}\0{clip.path}\0{clip.offset}\0{clip.size}\0".encode())
        places.update("\0".join(clip.pictures).encode())
    return {"sample_sha256": frames.hexdigest(), "clips_sha256": places.hexdigest()}


def _reader(sample: Sequence[FrameId], clips: dict[str, Clip]) -> str:
    """Return what reads the clips of the sample, with its version."""
    videos = any(not clips[frame.clip].pictures for frame in sample)
    return find_decoder() if videos else "pictures"


def _manifest(
    plan: BuildPlan,
    identity: dict[str, Any],
    sources: dict[str, Any],
    index: MeadIndex,
    sample: Sequence[FrameId],
    shards: Shards,
) -> dict[str, Any]:
    cells = {clip.id: clip.cell for clip in index.clips}
    used = {frame.clip for frame in sample}
    return {
        "content_sha256": shards.content_sha256,
        "counts": {
            "rows": shards.total,
            **{split: shards.counts[split] for split in sorted(shards.counts)},
            "emotions": dict(sorted(shards.emotions.items())),
            "rejects": dict(sorted(shards.reasons.items())),
            "left_out": dict(sorted(Counter(index.reasons()).items())),
        },
        "sample": {
            "frames": len(sample),
            "asked": plan.frames,
            "clips": len(used),
            "cells": len({cells[name] for name in used}),
            "seed": plan.seed,
            **sources,
        },
        "reconstructor": identity["reconstructor"],
        "fit": identity["fit"],
        "picture": identity["picture"],
        "split": {"by": plan.split, "test_actors": sorted(shards.test_actors)},
        "expclip": version("expclip"),
        "files": shards.files,
    }


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)


def _basis_hash(basis: Basis) -> str:
    digest = hashlib.sha256()
    for array in (basis.neutral, basis.deltas):
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array, "<f8").tobytes())
    return digest.hexdigest()


def _write_json(path: Path, document: dict[str, Any]) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
