"""Publishing a TEAD to the stand-in Hub: what it sends, and what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from publishing import (
    MODELS,
    OF_DATASET,
    REPO,
    api_of,
    commits,
    metadata,
    remote,
    remote_files,
    send,
)
from servers.hub import HubServer

from expclip.face.errors import ModelError
from expclip.tead.reports.figures import FIGURES

pytest_plugins = ["publishing_fixtures"]


def test_the_repository_holds_all_and_nothing_private(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    found = send(server, folders["model-a"])
    expected = {
        "README.md",
        "croissant.json",
        "data/model-a/test-00000-of-00001.parquet",
        "data/model-a/train-00000-of-00001.parquet",
        "faces/model-a.png",
        *(f"figures/model-a/{name}.svg" for name in FIGURES),
        "manifests/model-a.json",
        "rejects/model-a.parquet",
    }
    assert set(found.files) == expected
    assert remote_files(server) == expected | {".gitattributes"}
    assert remote(server, "faces/model-a.png", tmp_path).startswith(b"\x89PNG")
    manifest = json.loads(remote(server, "manifests/model-a.json", tmp_path))
    built = json.loads((folders["model-a"] / "manifest.json").read_text())
    assert len(manifest.pop("sample")) == 8
    assert manifest.pop("figures") == list(FIGURES)
    assert manifest == built
    for path in (server.root / "blobs").iterdir():
        assert server.token.encode() not in path.read_bytes()
        assert b"SQLite format" not in path.read_bytes()


def test_the_first_configuration_stays_default_unless_told_otherwise(
    server: HubServer, folders: dict[str, Path]
) -> None:
    def defaults(card: str) -> list[tuple[str, bool]]:
        configs = metadata(card)["configs"]
        return [(c["config_name"], c.get("default", False)) for c in configs]

    assert defaults(send(server, folders["model-a"]).card) == [("model-a", True)]
    card = send(server, folders["model-b"]).card
    assert defaults(card) == [("model-a", True), ("model-b", False)]
    card = send(server, folders["model-b"], default=True).card
    assert defaults(card) == [("model-b", True), ("model-a", False)]
    assert defaults(send(server, folders["model-a"]).card) == [
        ("model-b", True),
        ("model-a", False),
    ]


def test_publishing_again_changes_nothing(server: HubServer, folders: dict[str, Path]) -> None:
    send(server, folders["model-a"])
    revision = send(server, folders["model-b"]).revision
    before = commits(server)
    for model in MODELS:
        found = send(server, folders[model])
        assert (found.files, found.deleted, found.revision) == ({}, (), revision)
        assert found.checked == 60
    assert commits(server) == before == 3


def test_a_publication_is_one_commit(server: HubServer, folders: dict[str, Path]) -> None:
    send(server, folders["model-a"])
    assert server.stats()["routes"]["commit"] == 1


def test_files_of_an_earlier_build_are_removed_in_the_same_commit(
    server: HubServer, folders: dict[str, Path]
) -> None:
    send(server, folders["model-a"])
    stale = "data/model-a/train-00001-of-00002.parquet"
    api_of(server).upload_file(**OF_DATASET, path_or_fileobj=b"PAR1", path_in_repo=stale)
    found = send(server, folders["model-a"])
    assert (found.deleted, dict(found.files)) == ((stale,), {})
    assert stale not in remote_files(server)


def test_a_dry_run_tells_all_and_writes_nothing(
    server: HubServer, folders: dict[str, Path]
) -> None:
    found = send(server, folders["model-a"], dry_run=True, token=None)
    assert found.revision == "" and found.files["README.md"] == len(found.card.encode())
    assert not api_of(server).repo_exists(**OF_DATASET)
    send(server, folders["model-a"])
    server.reset()
    found = send(server, folders["model-b"], dry_run=True)
    assert [c["config_name"] for c in metadata(found.card)["configs"]] == ["model-a", "model-b"]
    assert set(server.stats()["routes"]) <= {"info", "tree", "resolve"}


def test_a_private_repository_is_private_and_a_public_one_is_not_used_for_it(
    server: HubServer, folders: dict[str, Path]
) -> None:
    assert send(server, folders["model-a"], private=True).checked == 60
    assert api_of(server).dataset_info(REPO).private
    send(server, folders["model-b"], private=True)
    send(server, folders["model-b"], "expclip/open")
    with pytest.raises(ModelError, match="expclip/open: is public: make it private"):
        send(server, folders["model-a"], "expclip/open", private=True)


@pytest.fixture
def command(server: HubServer, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    code = (
        "import typer; from expclip.cli.publish import publish; from expclip.cli import main;"
        "main.app = typer.Typer(pretty_exceptions_enable=False);"
        "main.app.command()(publish); main.main()"
    )

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=tmp_path,  # so that no clone around this one is renewed
            env=server.env(tmp_path / "home") | environment,
            capture_output=True,
            text=True,
        )

    yield run


def test_the_command_tells_what_it_sent(
    command: Callable[..., Any], server: HubServer, folders: dict[str, Path]
) -> None:
    folder = folders["model-a"]
    dry = command(folder, "--repo", REPO, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would send data/model-a/train-00000-of-00001.parquet (" in dry.stdout
    assert "# TEAD: text, emotions" in dry.stdout
    assert not api_of(server).repo_exists(**OF_DATASET)
    done = command(folder, "--repo", REPO)
    assert done.returncode == 0, done.stderr
    assert "sent manifests/model-a.json (" in done.stdout
    assert "checked: 60 rows came back as they were built" in done.stdout
    assert "nothing to send" in command(folder, "--repo", REPO, "--no-check").stdout
    wrong = command(folder, "--repo", REPO, HF_TOKEN="hf_secret_but_wrong")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    for told in (dry, done, wrong):
        assert server.token not in told.stdout + told.stderr
        assert "hf_secret" not in told.stdout + told.stderr


def test_the_command_names_what_was_augmented_and_leaves_it_out_if_asked(
    command: Callable[..., Any], augmented: Path
) -> None:
    name = "model-a-augmented"
    dry = command(augmented, "--repo", REPO, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert f"would send data/{name}/train-00000-of-00001.parquet (" in dry.stdout
    assert f"configurations then: model-a, {name}\n" in dry.stdout
    without = command(augmented, "--repo", REPO, "--no-augmented")
    assert without.returncode == 0 and name not in without.stdout
    done = command(augmented, "--repo", REPO)
    assert f"configurations model-a, {name}\n" in done.stdout
    assert f'load it: datasets.load_dataset("{REPO}", "{name}")' in done.stdout
    (augmented / f"manifest-{name}.json").unlink()
    gone = command(augmented, "--repo", REPO, "--dry-run")
    assert f"would remove configuration {name}\n" in gone.stdout
    assert f"would delete manifests/{name}.json\n" in gone.stdout


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, expclip.tead.hub.publish, expclip.cli.publish;"
        "print([n for n in ('huggingface_hub', 'datasets', 'PIL', 'pyarrow') if n in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout.strip() == "[]"
