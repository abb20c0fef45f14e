"""MEAD-3D on Ray: the same bytes as in one process, also when a node is killed."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from mead_tree import write_tree

from expclip.face.errors import DataError, MissingExtra
from expclip.face.mesh import read_basis
from expclip.mead3d import executors
from expclip.mead3d.build import BuildPlan, build
from expclip.mead3d.executors import Processes, RayCluster
from expclip.mead3d.index import index_mead
from expclip.mead3d.meshes import ReadyMeshes
from expclip.mead3d.rows import Task

TESTS = Path(__file__).parent

needs_ray = pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed")


def run_apart(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own: Ray starts many, and warns a lot."""
    env = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_metrics_collection": "0",
    }
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)


@needs_ray
@pytest.mark.slow
def test_two_nodes_one_of_them_killed_give_the_same_bytes(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, actors=("M003", "W009"))
    done = run_apart(
        TESTS / "ray_build.py", tree.root, tree.meshes, tree.basis, tmp_path / "by_ray"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"killed a node after \d+ of 160 frames", done.stdout)
    plan = BuildPlan(ReadyMeshes(tree.meshes), frames=160, basis=read_basis(tree.basis))
    build(tmp_path / "here", index_mead(tree.root), plan, executor=Processes(1))
    for name in ("data/train-00000.parquet", "data/test-00000.parquet", "manifest.json"):
        here, there = (tmp_path / place / name for place in ("here", "by_ray"))
        assert here.read_bytes() == there.read_bytes(), name


def test_a_worker_sends_errors_back_as_text() -> None:
    def fail(task: Task) -> bytes:
        raise DataError("model.task: is no model") if task.number else ZeroDivisionError("oh")

    worker = executors._RayWorker(fail, [Task(0, ()), Task(1, ())])
    assert worker({"number": 1})["error"] == "model.task: is no model"
    assert worker({"number": 0})["trace"].endswith("ZeroDivisionError: oh\n")


def test_a_cluster_that_cannot_be_reached_is_one_line_at_once() -> None:
    if not find_spec("ray"):
        pytest.skip("Ray is not installed")
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from expclip.mead3d.executors import RayCluster\n"
        "from expclip.mead3d.rows import Task\n"
        "try: list(RayCluster('127.0.0.1:9').run(len, [Task(0, ())]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = run_apart("-c", code)
    assert done.stdout.startswith("ModelError Ray at 127.0.0.1:9: cannot be reached"), done.stderr


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'expclip\[distributed\]'"):
        list(RayCluster().run(lambda task: b"", [Task(0, ())]))


def test_the_number_of_processes_is_checked() -> None:
    with pytest.raises(ValueError, match="processes must be 0 to 1024"):
        Processes(-1)
