"""Every command and example of the READMEs is run as it is shown."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import beat_tree
import mead_tree
import pytest
import study_tree
from servers.hub import HubServer
from servers.llm import LlmServer

from expclip.tead import BuildPlan, CorpusOptions, build

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in ROOT.rglob("README.md")
    if not {".venv", "out", "build", ".types"} & set(path.relative_to(ROOT).parts)
)
BEAT_TAKES = [
    beat_tree.Take("2_scott_0_9_9", 5, 5.1),
    beat_tree.Take("5_stewart_0_1_1", 5, 8),
]
OLLAMA = "http://127.0.0.1:11434/v1"


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)


def of_pages(language: str) -> list[pytest.param]:
    return [
        pytest.param(block, id=f"{path.parent.relative_to(ROOT)}-{number}")
        for path in PAGES
        for number, block in enumerate(blocks(path, language))
    ]


@pytest.fixture(scope="module")
def small_tead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "tead"
    build(out, BuildPlan(("core",), CorpusOptions(limit=60)))
    return out


@pytest.fixture
def desk(tmp_path: Path, small_tead: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples take for granted."""
    (tmp_path / "my_texts.txt").write_text("What a day.\nI passed, I passed!\nNobody came.\n")
    shutil.copy(ROOT / "tests" / "data" / "render_capture.csv", tmp_path / "clip.csv")
    shutil.copytree(small_tead, tmp_path / "out" / "tead")
    mead_tree.write_tree(tmp_path / "my_mead")
    beat_tree.write_tree(tmp_path / "my_beat", BEAT_TAKES)
    study = study_tree.write_tree(tmp_path / "my_study")
    study_tree.write_sound(tmp_path / "my_speech.wav")
    study_tree.write_returned(tmp_path / "my_answers", study, tmp_path / "scratch")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def absolute(word: str) -> str:
    return str(ROOT / word) if (ROOT / word).is_file() else word


def run(command: list[str], folder: Path) -> str:
    env = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"} | os.environ
    env["XDG_CACHE_HOME"] = str(folder / "cache")
    env["OMP_NUM_THREADS"] = "1"  # two tests run at once: threads would wait for each other
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", of_pages("sh"))
def test_commands_run(
    block: str,
    desk: Path,
    llm_server: Callable[..., LlmServer],
    hub: Callable[..., HubServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = llm_server() if OLLAMA in block else None
    if "publish" in block:
        for name, value in hub().env(desk / "hf").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    if "build" not in block:  # what an earlier block has built
        shutil.copytree(desk / "out" / "tead", desk / "out" / "mine")
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            run(["make", "--dry-run", "--directory", str(ROOT), *words[1:]], desk)
            continue
        if words[0] == "python":  # a measurement: what needs data or weights is only asked for help
            needs = [word for word in words if word.startswith("goemotions")]
            rest = ["--help"] if needs else [absolute(word) for word in words[2:]]
            run([sys.executable, absolute(words[1]), *rest], desk)
            continue
        assert words[0] == "expclip", line
        words = [server.base_url if server and word == OLLAMA else word for word in words]
        code = "from expclip.cli.main import main; main()"
        run([sys.executable, "-c", code, *words[1:]], desk)


@pytest.mark.parametrize("block", of_pages("python"))
def test_examples_run(block: str, desk: Path) -> None:
    run([sys.executable, "-W", "error::UserWarning", "-c", block], desk)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_links_and_named_files_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert "://" in link or (path.parent / link).exists(), link
    for name in re.findall(r"`([\w./]+\.(?:py|csv|txt|jsonl))`", text):
        if "my_" in name or name.startswith("."):
            continue
        assert list(ROOT.glob(f"**/{name}")), f"{path} names {name}"


def test_no_page_names_a_machine_path() -> None:
    for path in [*PAGES, ROOT / "CHANGELOG.md", ROOT / "Makefile"]:
        assert not re.search(r"/(?:work|root|home|tmp)/", path.read_text("utf-8")), path
