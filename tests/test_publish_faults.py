"""Publishing when the Hub fails, when it is killed, when others read and write, and mistakes."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi
from publishing import OF_DATASET, REPO, api_of, commits, publishing, remote_files, send, wait_for
from servers.hub import HubServer

from expclip.face.errors import DataError, ModelError
from expclip.tead.hub.publish import publish
from expclip.tead.hub.repository import HubRepo

pytest_plugins = ["publishing_fixtures"]


@pytest.mark.parametrize("kind", ["cut", "cut_after", "503"])
def test_a_commit_without_an_answer_is_made_once(
    server: HubServer, folders: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expclip.tead.hub.repository._WAIT_S", 0.0)
    server.fail("commit", kind)  # type: ignore[arg-type]
    found = send(server, folders["model-a"])
    assert found.checked == 60 and commits(server) == 2
    assert server.stats()["routes"]["commit"] == (1 if kind == "cut_after" else 2)


def test_a_hub_that_keeps_failing_is_told_and_the_second_call_finishes(
    server: HubServer, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expclip.tead.hub.repository._WAIT_S", 0.0)
    server.fail("commit", "500", times=3)
    with pytest.raises(ModelError, match="expclip/tead: the Hub answered 500: run the same"):
        send(server, folders["model-a"])
    assert remote_files(server) == {".gitattributes"}
    sent = server.stats()["routes"]["lfs_put"]
    assert sent >= 3
    assert send(server, folders["model-a"]).checked == 60
    assert server.stats()["routes"]["lfs_put"] == sent, "a file was sent twice"


def test_an_upload_that_keeps_failing_is_told(
    server: HubServer, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    server.fail("lfs_put", "500", times=1000)
    with pytest.raises(ModelError, match="the Hub answered 500") as caught:
        send(server, folders["model-a"])
    assert "\n" not in str(caught.value)
    assert "commit" not in server.stats()["routes"]


@pytest.mark.parametrize("route", ["lfs_put", "lfs_verify", "commit"])
def test_a_killed_publication_is_finished_by_a_second_call(
    server: HubServer, folders: dict[str, Path], tmp_path: Path, route: str
) -> None:
    """Killed when the first request to a route has come; readers see the old state whole."""
    send(server, folders["model-a"])
    before, revision = remote_files(server), api_of(server).dataset_info(REPO).sha
    server.reset()
    server.fail(route, "503", times=100)  # so that it cannot get further
    process = publishing(server, folders["model-b"], tmp_path / "home")
    wait_for(lambda: route in server.stats()["routes"])
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (remote_files(server), api_of(server).dataset_info(REPO).sha) == (before, revision)
    server.reset()
    assert send(server, folders["model-b"]).checked == 60
    assert commits(server) == 3
    if route == "commit":
        assert "lfs_put" not in server.stats()["routes"], "a file was sent twice"


def test_a_reader_sees_the_old_state_or_the_new_one_whole(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    send(server, folders["model-a"])
    states: set[tuple[bool, ...]] = set()
    process = publishing(server, folders["model-b"], tmp_path / "home")
    paths = ["data/model-b/train-00000-of-00001.parquet", "faces/model-b.png"]
    while process.poll() is None:
        sha = api_of(server).dataset_info(REPO).sha
        files = api_of(server).list_repo_files(**OF_DATASET, revision=sha)
        names = [c["config_name"] for c in api_of(server).dataset_info(REPO).card_data.configs]
        states.add((*(path in files for path in paths),))
        assert names in (["model-a"], ["model-a", "model-b"])
    assert process.returncode == 0
    assert states <= {(False, False), (True, True)} and (False, False) in states
    assert set(paths) <= remote_files(server)


def test_a_writer_that_came_in_between_is_told(
    server: HubServer, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(server, folders["model-a"])
    original = HfApi.preupload_lfs_files

    def meanwhile(self: HfApi, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        monkeypatch.setattr(HfApi, "preupload_lfs_files", original)
        api_of(server).upload_file(**OF_DATASET, path_or_fileobj=b"1", path_in_repo="notes.txt")

    monkeypatch.setattr(HfApi, "preupload_lfs_files", meanwhile)
    with pytest.raises(ModelError, match="someone else has changed it meanwhile, nothing was"):
        send(server, folders["model-b"])
    assert "manifests/model-b.json" not in remote_files(server)
    send(server, folders["model-b"])
    assert {"notes.txt", "manifests/model-b.json"} <= remote_files(server)


def test_rows_that_come_back_otherwise_are_told(
    server: HubServer, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(server, folders["model-a"])
    original, changed = HubRepo.download, []

    def spoil(self: HubRepo, revision: str, paths: Any, folder: Path) -> None:
        original(self, revision, paths, folder)
        for path in folder.glob("data/*/test-*"):
            table = pq.read_table(path)
            rows = table.to_pylist()
            rows[1]["situations"] = ["It came back otherwise."]
            changed.append(rows[1]["id"])
            pq.write_table(type(table).from_pylist(rows, table.schema), path)

    monkeypatch.setattr(HubRepo, "download", spoil)
    with pytest.raises(ModelError, match="1 of 60 rows came back from revision") as caught:
        send(server, folders["model-a"])
    assert str(caught.value).endswith(f"other than they were sent, first {changed[0]}")
    assert send(server, folders["model-a"], check=False).checked == 0


def test_a_file_that_comes_back_short_is_told(server: HubServer, folders: dict[str, Path]) -> None:
    path = folders["model-a"] / "data/model-a/test-00000-of-00001.parquet"
    send(server, folders["model-a"])
    stored = server.root / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
    stored.write_bytes(b"PAR1")
    with pytest.raises(ModelError, match="a file came broken from the Hub"):
        send(server, folders["model-a"])


def test_mistakes_are_told_in_one_line_without_the_token(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = folders["model-a"]
    bad, repo = "hf_secret_but_wrong", "expclip/tead"
    cases: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (ModelError, "no token of the Hub: log in", lambda: send(server, folder, token="")),
        (ModelError, "does not accept the token", lambda: send(server, folder, token=bad)),
        (ModelError, "may not write below 'stranger'", lambda: send(server, folder, "stranger/t")),
        (
            ModelError,
            "may not write below 'expclip'",
            lambda: send(server, folder, token=server.read_token),
        ),
        (ValueError, "characters that no token has", lambda: send(server, folder, token=bad + "é")),
        (ValueError, "named OWNER/NAME, got 'tead'", lambda: send(server, folder, "tead")),
        (DataError, "not a finished TEAD", lambda: send(server, tmp_path)),
        (
            ModelError,
            r"cannot be reached \(ConnectError\)",
            lambda: publish(folder, repo, token=bad, endpoint="http://127.0.0.1:9"),
        ),
    ]
    for kind, message, call in cases:
        with pytest.raises(kind, match=message) as caught:
            call()
        told = str(caught.value)
        assert "\n" not in told and bad not in told and server.token not in told
        assert caught.value.__cause__ is None


def test_rows_that_the_manifest_does_not_vouch_for_are_refused(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders["model-a"], tmp_path / "out")
    path = tmp_path / "out/data/model-a/test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(DataError, match=r"rows are not those of manifest\.json"):
        send(server, tmp_path / "out")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    for broken in ({"config": "../x"}, {"counts": {"rows": 1}}, {"corpus": {"names": [3]}}):
        (tmp_path / "out/manifest.json").write_text(json.dumps(manifest | broken))
        with pytest.raises(DataError, match=r"manifest\.json: "):
            send(server, tmp_path / "out")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("---\nconfigs:\n- config_name: theirs\n  data_files: x\n---\n", "'theirs' was not publ"),
        ("---\nconfigs: 3\n---\n", "metadata of its README.md cannot be read"),
        ("---\nconfigs:\n- config_name: ../x\n---\n", "was not published by expclip"),
    ],
)
def test_a_repository_of_another_data_set_is_left_alone(
    server: HubServer, folders: dict[str, Path], card: str, message: str
) -> None:
    api = api_of(server)
    api.create_repo(**OF_DATASET)
    api.upload_file(**OF_DATASET, path_or_fileobj=card.encode(), path_in_repo="README.md")
    with pytest.raises(DataError, match=message):
        send(server, folders["model-a"])
    assert commits(server) == 2
