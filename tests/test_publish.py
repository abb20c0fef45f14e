"""Publishing a TEAD to the stand-in Hub: configurations, crashes, concurrent readers, errors."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, hf_hub_download
from servers.hub import HubServer

from expclip.face.errors import DataError, ModelError
from expclip.tead import BuildPlan, FakeClient, LlmOptions, build, read_rows
from expclip.tead.hub import HubRepo
from expclip.tead.publish import Published, publish
from expclip.tead.schema import content_hash, row_digest

REPO = "expclip/tead"
OF_DATASET = {"repo_id": REPO, "repo_type": "dataset"}
NASTY = "<script>alert(1)</script> | =cmd() `x` [link](y) \u202eevil, she said number"


def fake(tags: str, units: str) -> FakeClient:
    """Return a model that answers each text with the same tags and units."""
    first = json.dumps({"emotions": tags.split(), "aus": units.split()})
    second = '{"situations": ["A letter arrives after many weeks."]}'
    return FakeClient(lambda m: first if m[-1]["content"].startswith("Text") else second)


MODELS = {
    "model-a": fake("joy pride relief", "AU6C AU12D"),
    "model-b": fake("sadness grief longing", "AU1 AU4 AU15"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two data sets of 60 rows from the same texts, by two models; not to be changed."""
    root = tmp_path_factory.mktemp("teads")
    texts = root / "texts.txt"
    lines = [NASTY, *(f"Text number {number} of the corpus" for number in range(59))]
    texts.write_text("\n".join(lines), "utf-8")
    for model, client in MODELS.items():
        build(root / model, BuildPlan((str(texts),), llm=LlmOptions(model)), transport=client)
    return {model: root / model for model in MODELS}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """One Hub for all tests; its blobs go up in parts of 16 kB."""
    with HubServer(tmp_path_factory.mktemp("hub"), part_bytes=16384) as server:
        yield server


@pytest.fixture
def server(shared: HubServer) -> HubServer:
    """The Hub with nothing in it, and with counts at 0."""
    for repo in (REPO, "expclip/open"):
        api_of(shared).delete_repo(repo, repo_type="dataset", missing_ok=True)
    for blob in (shared.root / "blobs").iterdir():
        blob.unlink()
    shared.reset()
    return shared


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token of the machine's user is seen."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


def send(server: HubServer, folder: Path, repo: str = REPO, **options: Any) -> Published:
    options = {"token": server.token} | options
    return publish(folder, repo, endpoint=server.endpoint, **options)


def api_of(server: HubServer) -> HfApi:
    return HfApi(endpoint=server.endpoint, token=server.token)


def commits(server: HubServer) -> int:
    return len(api_of(server).list_repo_commits(**OF_DATASET))


def remote_files(server: HubServer) -> set[str]:
    return set(api_of(server).list_repo_files(**OF_DATASET))


def remote(server: HubServer, path: str, folder: Path) -> bytes:
    got = hf_hub_download(
        **OF_DATASET, filename=path, endpoint=server.endpoint, token=server.token, local_dir=folder
    )
    return Path(got).read_bytes()


def metadata(card: str) -> dict[str, Any]:
    from huggingface_hub import DatasetCard

    return dict(DatasetCard(card).data.to_dict())


def hashes(folder: Path) -> dict[str, str]:
    """Return the content hash of each split of a folder."""
    rows = list(read_rows(folder))
    return {
        split: content_hash(row_digest(row) for row in rows if row["split"] == split)
        for split in ("train", "test")
    }


LOAD = """
    import json, sys
    from datasets import load_dataset
    from expclip.tead.schema import content_hash, row_digest

    def hashes(*args, **options):
        data = load_dataset(*args, **options)
        return {split: content_hash(map(row_digest, data[split])) for split in data}

    name = sys.argv[1]
    print(json.dumps({
        "default": hashes(name),
        "other": hashes(name, "model-b"),
        "streamed": hashes(name, streaming=True),
    }))
"""


def load(server: HubServer, cwd: Path, home: Path, name: str = REPO) -> dict[str, Any]:
    """Return the hashes that a clean process finds."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOAD), name],
        cwd=cwd,
        env=server.env(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_two_models_are_loaded_as_they_were_built(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    first = send(server, folders["model-a"])
    second = send(server, folders["model-b"])
    assert (first.checked, second.checked) == (60, 60)
    expected = {name: hashes(folders[f"model-{key}"]) for name, key in NAMES.items()}
    empty, checkout = tmp_path / "empty", tmp_path / "checkout"
    empty.mkdir()
    shutil.copytree(Path(__file__).parents[1] / "tead", checkout / "tead")
    shutil.copytree(Path(__file__).parents[1] / "face", checkout / "face")
    assert load(server, empty, tmp_path / "home") == expected
    assert load(server, checkout, tmp_path / "home") == expected
    clone = tmp_path / "parent" / "expclip"
    shutil.copytree(checkout, clone)
    explicit = f"hf://datasets/{REPO}"
    assert load(server, clone.parent, tmp_path / "home", explicit) == expected
    assert server.stats()["unknown"] == {}


NAMES = {"default": "a", "other": "b", "streamed": "a"}


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
        "manifests/model-a.json",
        "rejects/model-a.parquet",
    }
    assert set(found.files) == expected
    assert remote_files(server) == expected | {".gitattributes"}
    assert remote(server, "faces/model-a.png", tmp_path).startswith(b"\x89PNG")
    manifest = json.loads(remote(server, "manifests/model-a.json", tmp_path))
    built = json.loads((folders["model-a"] / "manifest.json").read_text())
    assert len(manifest.pop("sample")) == 8 and manifest == built
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


def test_the_card_tells_of_all_configurations_and_survives_any_text(
    server: HubServer, folders: dict[str, Path]
) -> None:
    send(server, folders["model-a"])
    card = send(server, folders["model-b"]).card
    data = metadata(card)
    assert data["license"] == "other" and data["size_categories"] == ["n<1K"]
    for words in (
        'load_dataset("expclip/tead", "model-b")',
        "Annotated by the language model `model-b`",
        "| rows | `model-a` | `model-b` |",
        "faces/model-a.png",
        "sadness, grief, longing",
        "joy, pride, relief",
    ):
        assert words in card
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\| =cmd() \\`x\\`" in card
    assert "<script>" not in card and "\u202e" not in card


def test_metadata_added_by_hand_stays(server: HubServer, folders: dict[str, Path]) -> None:
    api = api_of(server)
    api.create_repo(**OF_DATASET)
    card = b"---\nextra_gated_prompt: Be kind.\nlicense: mit\ndataset_info: {}\n---\n# Soon\n"
    api.upload_file(**OF_DATASET, path_or_fileobj=card, path_in_repo="README.md")
    data = metadata(send(server, folders["model-a"]).card)
    assert data["extra_gated_prompt"] == "Be kind." and data["license"] == "other"
    assert "dataset_info" not in data
    assert not send(server, folders["model-a"]).files


def test_croissant_names_what_the_format_requires(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    send(server, folders["model-a"])
    send(server, folders["model-b"])
    found = json.loads(remote(server, "croissant.json", tmp_path))
    for name in ("@context", "@type", "conformsTo", "name", "description", "license", "url"):
        assert found[name], name
    assert found["creator"]["name"] == "expclip" and len(found["datePublished"]) == 10
    ids = {entry["@id"] for entry in found["distribution"]}
    assert ids == {"repository", "files-model-a", "files-model-b"}
    assert [records["@id"] for records in found["recordSet"]] == ["model-a", "model-b"]
    schema = pq.read_schema(next((folders["model-a"] / "data/model-a").iterdir()))
    for records in found["recordSet"]:
        columns = [field["source"]["extract"]["column"] for field in records["field"]]
        assert columns == schema.names
        assert {field["source"]["fileSet"]["@id"] for field in records["field"]} <= ids


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


# Faults


@pytest.mark.parametrize("kind", ["cut", "cut_after", "503"])
def test_a_commit_without_an_answer_is_made_once(
    server: HubServer, folders: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expclip.tead.hub._WAIT_S", 0.0)
    server.fail("commit", kind)  # type: ignore[arg-type]
    found = send(server, folders["model-a"])
    assert found.checked == 60 and commits(server) == 2
    assert server.stats()["routes"]["commit"] == (1 if kind == "cut_after" else 2)


def test_a_hub_that_keeps_failing_is_told_and_the_second_call_finishes(
    server: HubServer, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expclip.tead.hub._WAIT_S", 0.0)
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


PUBLISH = """
    import sys
    from expclip.tead.publish import publish
    publish(sys.argv[1], "expclip/tead")
"""


def publishing(server: HubServer, folder: Path, home: Path) -> subprocess.Popen[bytes]:
    code = textwrap.dedent(PUBLISH)
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], env=server.env(home))


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


def wait_for(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


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


# Mistakes


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
        with pytest.raises(DataError, match="not a whole manifest"):
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


# The command


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


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, expclip.tead.publish, expclip.cli.publish;"
        "print([n for n in ('huggingface_hub', 'datasets', 'PIL', 'pyarrow') if n in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout.strip() == "[]"
