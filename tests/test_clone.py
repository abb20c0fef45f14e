"""Loading what was published in clean processes, also where a clone of this repository lies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from publishing import REPO, hashes, send
from servers.hub import HubServer

from expclip.tead import BuildPlan, CorpusOptions, build
from expclip.tead.hub.checkout import CHECKOUT_FILE, build_checkout_yaml, renew_checkout

pytest_plugins = ["publishing_fixtures"]

ROOT = Path(__file__).parents[1]

LOAD = """
    import json, sys
    from datasets import load_dataset

    calls = json.loads(sys.argv[1])
    found = {key: load_dataset(*args, **options) for key, (args, options) in calls.items()}

    from expclip.tead.augmentation.augmented import LINK_COLUMNS
    from expclip.tead.schema import content_hash, row_digest

    def digest(row):
        links = [row[name] for name in LINK_COLUMNS if name in row]
        return row_digest(row) + str(links).encode()

    print(json.dumps({
        key: {split: content_hash(map(digest, data[split])) for split in data}
        for key, data in found.items()
    }))
"""

CALLS: dict[str, Any] = {
    "default": ((REPO,), {}),
    "other": ((REPO, "model-b"), {}),
    "streamed": ((REPO,), {"streaming": True}),
    "streamed other": ((REPO, "model-b"), {"streaming": True}),
}
NAMES = {"default": "model-a", "other": "model-b"}
NAMES |= {"streamed": "model-a", "streamed other": "model-b"}


@contextmanager
def loading(
    server: HubServer, cwd: Path, home: Path, calls: dict[str, Any]
) -> Iterator[subprocess.Popen[str]]:
    """Run the calls in a clean process in a folder."""
    code = [sys.executable, "-c", textwrap.dedent(LOAD), json.dumps(calls)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        code, cwd=cwd, env=server.env(home), stdout=pipe, stderr=pipe, text=True
    ) as process:
        yield process


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the hashes that a process found."""
    out, error = process.communicate()
    assert process.returncode == 0, error
    return dict(json.loads(out))


def cloned(parent: Path) -> Path:
    """Return a clone of this repository with its usual name; no other folder is looked at."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tead", parent / "expclip" / "tead", ignore=ignored)
    return parent / "expclip"


def test_two_models_are_loaded_as_they_were_built_also_beside_a_clone(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    first = send(server, folders["model-a"])
    second = send(server, folders["model-b"])
    assert (first.checked, second.checked) == (60, 60)
    assert (first.configs, second.configs) == (("model-a",), ("model-a", "model-b"))
    expected = {name: hashes(folders[model]) for name, model in NAMES.items()}
    assert expected["default"] != expected["other"]
    empty, clone = tmp_path / "empty", cloned(tmp_path / "parent")
    empty.mkdir()
    changed = renew_checkout(REPO, second.configs, clone / "tead" / "data")
    assert changed == clone / "tead" / CHECKOUT_FILE
    explicit = {"explicit": ((f"hf://datasets/{REPO}", "model-b"), {})}
    with (
        loading(server, empty, tmp_path / "home", CALLS) as anywhere,
        loading(server, clone.parent, tmp_path / "other", CALLS | explicit) as beside,
    ):
        assert told(anywhere) == expected
        assert told(beside) == expected | {"explicit": expected["other"]}
    assert server.stats()["unknown"] == {}


def test_augmented_texts_are_loaded_as_they_were_written_also_beside_a_clone(
    server: HubServer, folders: dict[str, Path], pristine: Path, tmp_path: Path
) -> None:
    send(server, pristine)
    configs = send(server, folders["model-b"]).configs
    assert configs == ("model-a", "model-a-augmented", "model-b")
    empty, clone = tmp_path / "empty", cloned(tmp_path / "parent")
    empty.mkdir()
    assert renew_checkout(REPO, configs, clone) == clone / "tead" / CHECKOUT_FILE
    calls = {
        "default": CALLS["default"],
        "augmented": ((REPO, "model-a-augmented"), {}),
        "streamed": ((REPO, "model-a-augmented"), {"streaming": True}),
    }
    expected = dict.fromkeys(calls, hashes(pristine, "model-a-augmented"))
    expected["default"] = hashes(pristine)
    assert expected["default"] != expected["augmented"]
    with (
        loading(server, empty, tmp_path / "home", calls) as anywhere,
        loading(server, clone.parent, tmp_path / "other", calls) as beside,
    ):
        assert told(anywhere) == told(beside) == expected


def test_a_fresh_clone_leads_to_what_make_tead_publishes_and_names_what_it_knows(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    out, clone = tmp_path / "out", cloned(tmp_path / "parent")
    build(out, BuildPlan(("core", "grammar"), CorpusOptions(limit=40)))
    assert send(server, out).config == "core-offline"
    send(server, folders["model-b"])
    calls = {"default": CALLS["default"], "streamed": CALLS["streamed"]}
    unlisted = {"other": CALLS["other"]}
    with (
        loading(server, clone.parent, tmp_path / "home", calls) as listed,
        loading(server, clone.parent, tmp_path / "other", unlisted) as refused,
    ):
        assert told(listed) == dict.fromkeys(calls, hashes(out))
        error = refused.communicate()[1].strip().splitlines()[-1]
    assert "'model-b' not found. Available: ['core-offline']" in error


def test_the_clones_list_is_as_it_is_written() -> None:
    path = ROOT / "tead" / CHECKOUT_FILE
    names = [config["config_name"] for config in yaml.safe_load(path.read_text("utf-8"))["configs"]]
    assert names[0] == BuildPlan(("core", "grammar")).config
    assert path.read_text("utf-8") == build_checkout_yaml(REPO, names)


@pytest.mark.parametrize("name", ["123", "1e3", "no", "null", "a.b-C_d", "2024-01-01", "é"])
def test_any_name_comes_back_from_the_list(name: str) -> None:
    first, second = yaml.safe_load(build_checkout_yaml("o/n", [name, "other"]))["configs"]
    assert (first["config_name"], first["default"]) == (name, True)
    assert "default" not in second
    assert [files["split"] for files in second["data_files"]] == ["train", "test"]
    assert first["data_files"][1]["path"] == f"hf://datasets/o/n/data/{name}/test-*.parquet"


def test_a_list_is_renewed_only_where_it_is_ours_and_is_not_right(tmp_path: Path) -> None:
    path = tmp_path / "o" / "n" / CHECKOUT_FILE
    assert renew_checkout("o/n", ["a"], tmp_path) is None
    path.parent.mkdir(parents=True)
    path.write_text("configs: []\n", "utf-8")
    assert renew_checkout("o/n", ["a"], tmp_path) is None
    assert path.read_text("utf-8") == "configs: []\n"
    path.write_text(build_checkout_yaml("o/n", ["a"]), "utf-8")
    assert renew_checkout("o/n", ["a"], tmp_path) is None
    assert renew_checkout("o/n", ["a", "b"], path.parent) == path
    assert path.read_text("utf-8") == build_checkout_yaml("o/n", ["a", "b"])
