"""MEAD-3D from a tiny MEAD of our own: rows, resuming, workers that die, the commands."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from mead_tree import Deadly, Painter, Tree, write_tree
from PIL import Image
from typer.testing import CliRunner

from expclip.cli import mead3d
from expclip.face import BLENDSHAPES, read_sequence
from expclip.face.errors import DataError, ModelError
from expclip.face.mesh import read_basis
from expclip.mead3d.build import BuildPlan, build
from expclip.mead3d.executors import Processes
from expclip.mead3d.fit import FitOptions
from expclip.mead3d.index import index_mead
from expclip.mead3d.meshes import ReadyMeshes
from expclip.mead3d.reconstruct import Reconstructor
from expclip.mead3d.rows import COLUMNS, PictureOptions, features

HERE = Processes(0)
TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return write_tree(tmp_path_factory.mktemp("mead"))


def plan_of(tree: Tree, **changes: Any) -> BuildPlan:
    plan = BuildPlan(ReadyMeshes(tree.meshes), frames=100, basis=read_basis(tree.basis))
    return replace(plan, **changes)


def rows(out: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path, partitioning=None) for path in sorted(out.glob("data/*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def content(out: Path) -> dict[str, str]:
    """Return a hash of each file that belongs to the data set."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".expclip" not in path.parts
    }


@pytest.fixture(scope="module")
def built(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames, done in this process."""
    out = tmp_path_factory.mktemp("built") / "out"
    build(out, index_mead(tree.root), plan_of(tree), executor=HERE)
    return out


def test_known_weights_come_back_from_meshes(tree: Tree, built: Path) -> None:
    found = rows(built)
    assert len(found) == 100
    for row in found:
        known = tree.weights[row["clip"]][row["frame"]]
        np.testing.assert_allclose(row["weights"], known, atol=1e-6)
        assert row["residual"] < 1e-6
        picture = tree.root / row["source"] / f"{row['frame']:03}.png"
        assert row["image"]["bytes"] == picture.read_bytes()
        assert row["image"]["path"] == f"{row['id']}.png"


def test_rows_are_balanced_and_actors_are_on_one_side(built: Path) -> None:
    found = rows(built)
    cells = [(row["actor"], row["emotion"], row["level"], row["view"]) for row in found]
    assert {cells.count(cell) for cell in cells} == {2, 3} and len(set(cells)) == 40
    assert {row["actor"] for row in found if row["split"] == "test"} == {"W009"}
    assert len({row["id"] for row in found}) == 100


def test_the_folder_is_a_data_set_of_the_hub(built: Path, tmp_path: Path) -> None:
    from datasets import disable_progress_bars, enable_progress_bars, load_dataset

    disable_progress_bars()
    try:
        loaded = load_dataset(str(built), cache_dir=str(tmp_path))
    finally:
        enable_progress_bars()
    assert set(loaded) == {"train", "test"}
    assert loaded["train"].features == features()
    first = loaded["train"][0]
    assert list(first) == list(COLUMNS)
    assert isinstance(first["image"], Image.Image) and first["image"].size == (32, 32)
    assert len(first["weights"]) == len(BLENDSHAPES)


def test_manifest_and_card_say_what_it_is(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["counts"]["rows"] == 100
    assert manifest["counts"]["train"] + manifest["counts"]["test"] == 100
    assert manifest["split"] == {"by": "actor", "test_actors": ["W009"]}
    assert manifest["sample"]["cells"] == 40
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest
    card = (built / "README.md").read_text()
    assert "license: other" in card and "no part of it may be passed on" in card
    assert not (built / ".expclip" / "tasks").exists()


def test_worker_processes_give_the_same_bytes(tree: Tree, built: Path, tmp_path: Path) -> None:
    build(tmp_path / "out", index_mead(tree.root), plan_of(tree), executor=Processes(2))
    assert content(tmp_path / "out") == content(built)


def test_a_complete_folder_is_left_as_it_is(tree: Tree, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(built, out)
    before = content(out)
    deadly = Deadly(ReadyMeshes(tree.meshes), tmp_path / "mark", always=True)
    plan = plan_of(tree, reconstructor=deadly)
    manifest = build(out, index_mead(tree.root), plan, executor=HERE)
    assert manifest == json.loads((built / "manifest.json").read_text())
    assert content(out) == before and not (tmp_path / "mark").exists()


def test_another_plan_needs_overwrite(tree: Tree, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(built, out)
    index = index_mead(tree.root)
    with pytest.raises(DataError, match=r"frames 100, now it is 40: .*--overwrite"):
        build(out, index, plan_of(tree, frames=40), executor=HERE)
    with pytest.raises(DataError, match=r"ridge 0\.0, now it is 0\.1"):
        build(out, index, plan_of(tree, fit=FitOptions(ridge=0.1)), executor=HERE)
    build(out, index, plan_of(tree, frames=40, split="frame"), executor=HERE, overwrite=True)
    assert len(rows(out)) == 40


def test_a_tree_that_changed_needs_overwrite(built: Path, tmp_path: Path) -> None:
    tree = write_tree(tmp_path, actors=("M003", "W009"))
    out = tmp_path / "out"
    plan = plan_of(tree)
    build(out, index_mead(tree.root), plan, executor=HERE)
    shutil.rmtree(tree.root / "M003/video/front/happy/level_1/001")
    with pytest.raises(DataError, match="begun with sample_sha256"):
        build(out, index_mead(tree.root), plan, executor=HERE)


def test_a_folder_with_other_things_is_refused(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="not empty, and no build"):
        build(tmp_path, index_mead(tree.root), plan_of(tree), executor=HERE)


def test_a_folder_in_use_is_refused(tree: Tree, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    (out / ".expclip").mkdir(parents=True)
    (out / ".expclip" / "plan.json").write_text("{}")
    with (out / ".expclip" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="in use by another run"):
            build(out, index_mead(tree.root), plan_of(tree), executor=HERE)


def test_frames_without_a_face_have_a_reason(tree: Tree, tmp_path: Path) -> None:
    copy = tmp_path / "meshes"
    shutil.copytree(tree.meshes, copy)
    happy = copy / "M003" / "front" / "happy"
    (happy / "level_1" / "001.npz").unlink()
    (happy / "level_1" / "002.npz").write_bytes(b"no npz")
    lost = np.load(happy / "level_3" / "001.npz")["vertices"]
    lost[0] = np.nan
    np.savez(happy / "level_3" / "001.npz", vertices=lost)
    np.savez(happy / "level_3" / "002.npz", vertices=lost[:, :7])
    sad = np.load(copy / "M005/front/angry/level_1/001.npz")["vertices"]
    np.savez(copy / "M005/front/angry/level_1/001.npz", vertices=sad * 100)
    root = tmp_path / "MEAD"
    shutil.copytree(tree.root, root)
    (root / "W011/video/front/angry/level_1/001/000.png").write_bytes(b"no picture")

    plan = plan_of(tree, reconstructor=ReadyMeshes(copy), frames=1000)
    manifest = build(tmp_path / "out", index_mead(root), plan, executor=HERE)
    rejected = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert manifest["counts"]["rejects"] == {
        "mesh": 4 + 3 + 4,  # damaged, too few vertices, 100 times as large
        "no_face": 1 + 1,
        "no_mesh": 4,
        "picture": 1,
    }
    assert manifest["counts"]["rows"] == 320 - len(rejected)
    told = {row["message"] for row in rejected}
    assert any("times as large as the basis: another unit?" in message for message in told)
    assert any("000.png: no picture that can be read" in message for message in told)
    assert all(row["source"].startswith(row["clip"][:4]) for row in rejected)


def test_no_face_at_all_is_one_line_and_writes_no_rows(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    plan = plan_of(tree, reconstructor=ReadyMeshes(tmp_path / "meshes"), frames=9)
    with pytest.raises(DataError, match=r"no frame has a face \(no_mesh 9\)"):
        build(tmp_path / "out", index_mead(tree.root), plan, executor=HERE)
    assert not list((tmp_path / "out").rglob("data/*"))


def test_a_reconstructor_of_ones_own_gives_weights_and_crops(tree: Tree, tmp_path: Path) -> None:
    assert isinstance(Painter(), Reconstructor)
    plan = BuildPlan(Painter(), frames=1000, picture=PictureOptions(size=16, margin=0.0))
    manifest = build(tmp_path / "out", index_mead(tree.root), plan, executor=HERE)
    assert manifest["counts"]["rejects"] == {"no_face": 80}
    assert manifest["fit"] is None
    found = rows(tmp_path / "out")
    assert {row["residual"] for row in found} == {None}
    from io import BytesIO

    with Image.open(BytesIO(found[0]["image"]["bytes"])) as picture:
        assert (picture.format, picture.size) == ("JPEG", (16, 16))


def test_meshes_without_a_basis_are_one_line(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a basis is needed"):
        build(tmp_path / "o", index_mead(tree.root), plan_of(tree, basis=None), executor=HERE)


def test_smoothing_is_refused_for_single_frames(tree: Tree) -> None:
    with pytest.raises(ValueError, match="sampled frames are no neighbours"):
        plan_of(tree, fit=FitOptions(smooth=1.0))


def test_a_worker_that_dies_is_replaced(tree: Tree, built: Path, tmp_path: Path) -> None:
    deadly = Deadly(ReadyMeshes(tree.meshes), tmp_path / "mark")
    plan = plan_of(tree, reconstructor=deadly)
    build(tmp_path / "out", index_mead(tree.root), plan, executor=Processes(1))
    assert (tmp_path / "mark").exists()
    assert content(tmp_path / "out") == content(built)


def test_workers_that_always_die_are_one_line(tree: Tree, tmp_path: Path) -> None:
    deadly = Deadly(ReadyMeshes(tree.meshes), tmp_path / "mark", always=True)
    with pytest.raises(ModelError, match="worker processes died 3 times, last near M003/"):
        build(
            tmp_path / "out",
            index_mead(tree.root),
            plan_of(tree, reconstructor=deadly),
            executor=Processes(1),
        )


SCRIPT = """
import sys
from pathlib import Path
from mead_tree import Slow
from expclip.face.mesh import read_basis
from expclip.mead3d.build import BuildPlan, build
from expclip.mead3d.executors import Processes
from expclip.mead3d.index import index_mead
from expclip.mead3d.meshes import ReadyMeshes

if __name__ == "__main__":
    root, meshes, basis, out, processes = sys.argv[1:]
    plan = BuildPlan(Slow(ReadyMeshes(Path(meshes))), frames=100, basis=read_basis(basis))
    build(out, index_mead(root), plan, executor=Processes(int(processes)))
"""


def test_killed_at_any_moment_the_same_command_goes_on(
    tree: Tree, built: Path, tmp_path: Path
) -> None:
    script, out = tmp_path / "run.py", tmp_path / "out"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), *map(str, (tree.root, tree.meshes, tree.basis, out))]
    env = {"PYTHONPATH": str(TESTS)}
    tasks = out / ".expclip" / "tasks"
    done = 0
    for processes in ("2", "1"):
        with (tmp_path / "told.txt").open("w") as told:
            process = subprocess.Popen([*command, processes], env=env, stderr=told)
        while len(list(tasks.glob("*.parquet"))) <= done:
            assert process.poll() is None, (tmp_path / "told.txt").read_text()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = len(list(tasks.glob("*.parquet")))
    (tasks / ".expclip-left-behind.tmp").write_bytes(b"half")

    build(out, index_mead(tree.root), plan_of(tree), executor=HERE)
    assert content(out) == content(built)
    assert not tasks.exists()


def test_workers_do_not_outlive_a_killed_parent(tree: Tree, tmp_path: Path) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    script, pid = tmp_path / "run.py", tmp_path / "pid"
    slow = f"Slow(ReadyMeshes(Path(meshes)), 60.0, Path({str(pid)!r}))"
    script.write_text(SCRIPT.replace("Slow(ReadyMeshes(Path(meshes)))", slow))
    places = (tree.root, tree.meshes, tree.basis, tmp_path / "out", 1)
    process = subprocess.Popen(
        [sys.executable, str(script), *map(str, places)], env={"PYTHONPATH": str(TESTS)}
    )
    while not (pid.exists() and pid.read_text().endswith("\n")):
        assert process.poll() is None
        time.sleep(0.02)
    worker = Path("/proc", pid.read_text().strip(), "exe")
    assert worker.exists()
    process.kill()
    process.wait()
    end = time.monotonic() + 10
    while worker.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not worker.exists()


app = typer.Typer()
app.add_typer(mead3d.app, name="mead3d")


def run(*words: object) -> str:
    done = CliRunner().invoke(app, ["mead3d", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_index_tells_clips_and_what_is_left_out(tree: Tree, tmp_path: Path) -> None:
    root = tmp_path / "MEAD"
    shutil.copytree(tree.root, root)
    (root / "M003" / "notes.txt").write_text("x")
    told = run("index", root, "--left-out", tmp_path / "left.csv")
    assert f"{root}: 80 clips of 4 actors" in told
    assert ["M003", "10", "10", "20", "?"] in [line.split() for line in told.splitlines()]
    assert "left out: kind 1, first M003/notes.txt: .txt, expected a video or a picture" in told
    lines = (tmp_path / "left.csv").read_text().splitlines()
    assert lines[1].startswith("M003/notes.txt,kind,")


def test_fit_writes_weights_of_ready_meshes(tree: Tree, tmp_path: Path) -> None:
    clip = "M003/front/happy/level_1/001"
    values = np.load(tree.meshes / f"{clip}.npz")["vertices"]
    values[2] = np.nan
    np.savez(tmp_path / "m.npz", vertices=values, fps=25.0)
    rest = tree.meshes / "M003" / "neutral.npz"
    for suffix in ("npz", "csv", "parquet"):
        out = tmp_path / f"w.{suffix}"
        told = run(
            "fit", tmp_path / "m.npz", "--basis", tree.basis, "--neutral", rest, "--out", out
        )
        assert "3 of 4 frames fitted" in told and f"wrote {out}" in told
    sequence = read_sequence(tmp_path / "w.npz")
    assert sequence.fps == 25 and sequence.frame_numbers.tolist() == [0, 1, 3]
    np.testing.assert_allclose(sequence.weights, tree.weights[clip][[0, 1, 3]], atol=1e-6)


def test_build_writes_a_data_set(tree: Tree, tmp_path: Path) -> None:
    words = ["build", tree.root, "--out", tmp_path / "out", "--frames", 40, "--view", "front"]
    words += ["--meshes", tree.meshes, "--basis", tree.basis, "--processes", 1]
    told = run(*words)
    assert "40 rows (" in told and "test actors: W009" in told
    assert "MEAD may not be passed on" in told
    assert {row["view"] for row in rows(tmp_path / "out")} == {"front"}
    assert run(*words) == told  # nothing left to do


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--meshes", "MESHES"], "--meshes needs --basis"),
        (["--meshes", "MESHES", "--model", "m.task"], "stands alone"),
        (["--reconstructor", "nothing:here"], "expected mediapipe, meshes or MODULE:NAME"),
        (["--executor", "slurm"], "expected pool or ray"),
        (["--address", "auto"], "--address is for --executor ray"),
        (["--reconstructor", "mead_tree:Painter", "--split", "sentence"], "expected one of actor"),
        (["--reconstructor", "mead_tree:Painter", "--view", "top"], "there are front, left_30"),
        (["--reconstructor", "mead_tree:Painter", "--size", "3"], "size must be 0, or 16"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    tree: Tree, tmp_path: Path, words: list[str], message: str
) -> None:
    words = [str(tree.meshes) if word == "MESHES" else word for word in words]
    with pytest.raises((ValueError, DataError), match=message):
        run("build", tree.root, "--out", tmp_path / "out", *words)
