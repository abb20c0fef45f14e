"""The stand-in Hub, used by ``huggingface_hub`` and by ``datasets``."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from servers.hub import HubServer

# huggingface_hub 2.4 gives its LFS uploads to httpx2 in a way that httpx2 dislikes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "expclip/tead"
OF_DATASET = {"repo_id": REPO, "repo_type": "dataset"}
StartHub = Callable[..., HubServer]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """One Hub for all tests: three entries to a page, uploads in parts of 64 kB."""
    with HubServer(tmp_path_factory.mktemp("hub"), page_size=3, part_bytes=65536) as server:
        yield server


@pytest.fixture
def server(shared: HubServer) -> HubServer:
    """The Hub with one empty dataset, and with counts at 0."""
    api = api_of(shared)
    api.delete_repo(**OF_DATASET, missing_ok=True)
    api.create_repo(**OF_DATASET)
    shared.reset()
    return shared


@pytest.fixture
def api(server: HubServer) -> HfApi:
    return api_of(server)


def api_of(server: HubServer, token: str | bool | None = None) -> HfApi:
    return HfApi(endpoint=server.endpoint, token=server.token if token is None else token)


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def commit(api: HfApi, *operations: Any, **options: Any) -> str:
    made = api.create_commit(**OF_DATASET, operations=operations, commit_message="test", **options)
    return str(made.oid)


def status_of(error: HfHubHTTPError) -> int:
    return error.response.status_code


# Repositories, accounts, revisions


def test_a_new_repository_has_one_commit(api: HfApi) -> None:
    info = api.dataset_info(REPO)
    assert (info.id, info.author, info.private) == (REPO, "expclip", False)
    assert [c.commit_id for c in api.list_repo_commits(**OF_DATASET)] == [info.sha]
    assert api.list_repo_files(**OF_DATASET) == [".gitattributes"]
    assert api.whoami()["name"] == "tester"
    api.create_repo(**OF_DATASET, exist_ok=True)
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_repo(**OF_DATASET)
    assert status_of(caught.value) == 409
    api.delete_repo(**OF_DATASET)
    assert not api.repo_exists(**OF_DATASET)


def test_what_is_missing_is_named(api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("expclip/other")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(REPO, revision="v9")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(**OF_DATASET, path_in_repo="nowhere"))
    assert not api.file_exists(**OF_DATASET, filename="nothing.txt")


def test_writing_needs_a_token_that_may_write(server: HubServer) -> None:
    for token, repo_id, expected in (
        (False, REPO, 401),
        ("hf_wrong", REPO, 401),
        (server.read_token, REPO, 403),
        (server.token, "stranger/tead", 403),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            api_of(server, token).create_repo(repo_id, repo_type="dataset")
        assert status_of(caught.value) == expected
        with pytest.raises(HfHubHTTPError) as caught:
            api_of(server, token).upload_file(
                path_or_fileobj=b"x", path_in_repo="x", repo_id=repo_id, repo_type="dataset"
            )
        assert status_of(caught.value) == expected


def test_a_private_repository_is_not_seen_without_a_token(server: HubServer, api: HfApi) -> None:
    api.update_repo_settings(**OF_DATASET, visibility="private")
    assert api.dataset_info(REPO).private
    assert api_of(server, server.read_token).repo_exists(**OF_DATASET)
    assert not api_of(server, False).repo_exists(**OF_DATASET)


def test_branches_and_tags_name_commits(api: HfApi) -> None:
    first = commit(api, add("a.txt", b"1"))
    api.create_tag(**OF_DATASET, tag="v1.0")
    api.create_branch(**OF_DATASET, branch="dev/next")
    second = commit(api, add("a.txt", b"2"), revision="dev/next")
    refs = api.list_repo_refs(**OF_DATASET)
    assert {b.name: b.target_commit for b in refs.branches} == {"main": first, "dev/next": second}
    assert {t.name: t.target_commit for t in refs.tags} == {"v1.0": first}
    for revision, sha in (("v1.0", first), ("dev/next", second), (second[:10], second)):
        assert api.dataset_info(REPO, revision=revision).sha == sha
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_tag(**OF_DATASET, tag="v1.0")
    assert status_of(caught.value) == 409
    api.delete_tag(**OF_DATASET, tag="v1.0")
    api.delete_branch(**OF_DATASET, branch="dev/next")
    assert not api.list_repo_refs(**OF_DATASET).tags


# Commits


def test_files_come_back_as_they_were(api: HfApi, tmp_path: Path) -> None:
    contents = {
        "README.md": b"---\nlicense: cc0-1.0\n---\n# TEAD\n",
        "data/train-00000.parquet": b"PAR1" + bytes(range(256)) * 40,
        "data/large.parquet": bytes(range(256)) * 1000,  # in four parts
        "data/deep/er/a b.txt": b"regular",
        "empty.txt": b"",
    }
    sha = commit(api, *(add(path, content) for path, content in contents.items()))
    folder = Path(
        snapshot_download(
            **OF_DATASET, endpoint=api.endpoint, token=api.token, cache_dir=tmp_path / "cache"
        )
    )
    assert folder.name == sha
    assert {path: (folder / path).read_bytes() for path in contents} == contents
    files = {f.path: f for f in api.list_repo_tree(**OF_DATASET, recursive=True)}
    assert set(contents) < set(files)
    assert {"data", "data/deep", "data/deep/er"} < set(files)
    large = files["data/large.parquet"]
    assert large.lfs.sha256 == hashlib.sha256(contents["data/large.parquet"]).hexdigest()
    assert (large.size, files["README.md"].lfs) == (256000, None)
    assert api.dataset_info(REPO).card_data.license == "cc0-1.0"
    assert {f.path for f in api.list_repo_tree(**OF_DATASET, path_in_repo="data")} == {
        "data/train-00000.parquet",
        "data/large.parquet",
        "data/deep",
    }


def test_large_files_go_up_in_parts_and_only_once(server: HubServer, api: HfApi) -> None:
    commit(api, add("a.parquet", b"PAR1" * 50000), add("b.parquet", b"part" * 50))
    commit(api, add("again.parquet", b"PAR1" * 50000))
    routes = server.stats()["routes"]
    assert routes["lfs_put"] == 1
    assert routes["lfs_put_part"] == 4
    assert routes["lfs_complete"] == 1
    assert routes["lfs_batch"] == 2


def test_a_commit_can_delete_and_copy(api: HfApi) -> None:
    commit(api, add("a/1.txt", b"1"), add("a/2.txt", b"2"), add("b.parquet", b"PAR1"))
    commit(
        api,
        CommitOperationDelete("a/", is_folder=True),
        CommitOperationCopy("b.parquet", "c.parquet"),
        CommitOperationCopy("a/1.txt", "one.txt"),
    )
    left = [".gitattributes", "b.parquet", "c.parquet", "one.txt"]
    assert sorted(api.list_repo_files(**OF_DATASET)) == left
    with pytest.raises(EntryNotFoundError):
        commit(api, CommitOperationDelete("a/1.txt"))
    assert sorted(api.list_repo_files(**OF_DATASET)) == left


def test_a_commit_on_an_old_parent_is_refused(api: HfApi) -> None:
    first = commit(api, add("a.txt", b"1"))
    second = commit(api, add("a.txt", b"2"), parent_commit=first)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api, add("a.txt", b"3"), parent_commit=first)
    assert status_of(caught.value) == 412
    assert api.dataset_info(REPO).sha == second


def test_commits_at_the_same_time_are_all_kept(api: HfApi) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: commit(api, add(f"{i}.txt", b"%d" % i)), range(12)))
    assert len(api.list_repo_files(**OF_DATASET)) == 13
    assert len(api.list_repo_commits(**OF_DATASET)) == 13


def test_a_reader_never_sees_half_a_commit(api: HfApi) -> None:
    paths = [f"{i}.txt" for i in range(5)]

    def write(content: int) -> None:
        commit(api, *(add(path, b"%d" % content) for path in paths))

    def contents() -> set[str]:
        return {file.blob_id for file in api.get_paths_info(**OF_DATASET, paths=paths)}

    write(0)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [write(i) for i in range(1, 10)])
        seen = [contents()]
        while not writing.done():
            seen.append(contents())
        writing.result()
    assert {len(blobs) for blobs in seen} == {1}
    assert len(set(map(frozenset, seen))) > 1


def test_the_last_commit_of_each_file_is_known(api: HfApi) -> None:
    first = commit(api, add("a.txt", b"1"), add("b.txt", b"1"))
    second = commit(api, add("b.txt", b"2"))
    found = api.get_paths_info(**OF_DATASET, paths=["a.txt", "b.txt", "no.txt"], expand=True)
    assert {f.path: f.last_commit.oid for f in found} == {"a.txt": first, "b.txt": second}


def test_a_folder_goes_up_and_unchanged_files_do_not(
    server: HubServer, api: HfApi, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("# TEAD\n")
    (folder / "data" / "train.parquet").write_bytes(b"PAR1" * 10)
    first = api.upload_folder(**OF_DATASET, folder_path=folder).oid
    assert api.upload_folder(**OF_DATASET, folder_path=folder).oid == first
    assert server.stats()["routes"]["commit"] == 1
    assert not server.stats()["unknown"]


def test_a_card_with_broken_yaml_is_refused(api: HfApi) -> None:
    with pytest.raises(ValueError, match="Invalid metadata"):
        commit(api, add("README.md", b"---\nconfigs: [\n---\n"))


# Downloads


def test_part_of_a_file_can_be_fetched(server: HubServer, api: HfApi, tmp_path: Path) -> None:
    commit(api, add("a.parquet", b"0123456789"), add("a.txt", b"0123456789"))
    for name in ("a.parquet", "a.txt"):
        url = f"{server.endpoint}/datasets/{REPO}/resolve/main/{name}"
        request = urllib.request.Request(url, headers={"Range": "bytes=2-4"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
            assert (reply.status, reply.read()) == (206, b"234")
            assert reply.headers["Content-Range"] == "bytes 2-4/10"


def test_metadata_of_a_file_come_without_its_content(api: HfApi) -> None:
    sha = commit(api, add("a.parquet", b"PAR1" * 10), add("a.txt", b"text"))
    for name, size in (("a.parquet", 40), ("a.txt", 4)):
        url = f"{api.endpoint}/datasets/{REPO}/resolve/main/{name}"
        found = api.get_hf_file_metadata(url=url)
        assert (found.commit_hash, found.size, found.xet_file_data) == (sha, size, None)
        [info] = api.get_paths_info(**OF_DATASET, paths=name)
        assert found.etag == (info.lfs.sha256 if info.lfs else info.blob_id)


def test_a_model_lives_at_a_path_without_prefix(api: HfApi, tmp_path: Path) -> None:
    api.create_repo("expclip/model")
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="expclip/model")
    path = hf_hub_download(
        "expclip/model", "config.json", endpoint=api.endpoint, local_dir=tmp_path / "model"
    )
    assert Path(path).read_text() == "{}"


# Faults and state


def test_faults_come_at_the_route_and_time_ordered(server: HubServer, api: HfApi) -> None:
    server.fail("commit", "500", nth=1)
    commit(api, add("a.txt", b"1"))
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api, add("a.txt", b"2"))
    assert status_of(caught.value) == 500
    commit(api, add("a.txt", b"3"))
    server.fail("info", "429", retry_after_s=7)
    with pytest.raises(HfHubHTTPError) as caught:
        api.dataset_info(REPO)
    assert caught.value.response.headers["Retry-After"] == "7"


def test_a_cut_upload_is_taken_up_by_the_client(server: HubServer, api: HfApi) -> None:
    server.fail("lfs_put_part", "cut", nth=1)
    commit(api, add("a.parquet", b"part" * 50000))
    assert server.stats()["routes"]["lfs_put_part"] == 5


def test_a_commit_may_be_made_though_its_answer_is_lost(server: HubServer, api: HfApi) -> None:
    server.fail("commit", "cut_after")
    with pytest.raises(Exception, match=r"(?i)disconnect|closed|peer"):
        commit(api, add("a.txt", b"1"))
    assert api.file_exists(**OF_DATASET, filename="a.txt")
    server.fail("commit", "cut")
    with pytest.raises(Exception, match=r"(?i)disconnect|closed|peer"):
        commit(api, add("b.txt", b"1"))
    assert not api.file_exists(**OF_DATASET, filename="b.txt")


def test_a_new_server_goes_on_where_a_killed_one_was(hub: StartHub, tmp_path: Path) -> None:
    first = hub(tmp_path / "state")
    api_of(first).create_repo(**OF_DATASET)
    sha = commit(api_of(first), add("a.parquet", b"PAR1"))
    first.close()
    second = hub(tmp_path / "state")
    assert api_of(second).dataset_info(REPO).sha == sha


def test_unknown_routes_are_counted(server: HubServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            server.endpoint + "/api/no-such-thing"
        )
    caught.value.close()
    assert server.stats()["unknown"] == {"GET /api/no-such-thing": 1}


# The datasets library, in a clean process: it reads HF_ENDPOINT when imported

CARD = """\
---
configs:
- config_name: offline
  default: true
  data_files:
  - split: train
    path: offline/train-*
  - split: test
    path: offline/test-*
- config_name: other
  data_files:
  - split: train
    path: other/train-*
---
# TEAD
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a process saw that published and loaded data sets in each way."""
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "out").mkdir()
    (folder / "out" / "README.md").write_text(CARD)
    script = """
        import json, sys
        from datasets import Dataset, DatasetDict, load_dataset
        from huggingface_hub import HfApi, snapshot_download

        def rows(name, n):
            return Dataset.from_dict({"text": [f"{name} {i}" for i in range(n)]})

        for path, n in (("offline/train", 5), ("offline/test", 2), ("other/train", 3)):
            rows(path, n).to_parquet(f"out/{path}-00000-of-00001.parquet")
        api = HfApi()
        api.create_repo("expclip/tead", repo_type="dataset")
        api.upload_folder(folder_path="out", repo_id="expclip/tead", repo_type="dataset")

        def texts(*args, **options):
            data = load_dataset(*args, **options)
            return {split: [row["text"] for row in data[split]] for split in data}

        pushed = DatasetDict(train=rows("train", 4), test=rows("test", 2))
        pushed.push_to_hub("expclip/pushed")
        rows("extra", 3).push_to_hub("expclip/pushed", "extra", private=True)
        seen = {
            "default": texts("expclip/tead"),
            "config": texts("expclip/tead", "other"),
            "streamed": texts("expclip/tead", streaming=True),
            "revision": texts("expclip/tead", revision=api.dataset_info("expclip/tead").sha),
            "pushed": texts("expclip/pushed"),
            "extra": texts("expclip/pushed", "extra"),
            "local": texts(snapshot_download("expclip/tead", repo_type="dataset")),
        }
        json.dump(seen, open("seen.json", "w"))
    """
    with HubServer(folder / "hub") as hub:
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            cwd=folder,
            env=hub.env(folder / "home"),
            check=True,
        )
        seen: dict[str, Any] = json.loads((folder / "seen.json").read_text())
        yield seen | {"stats": hub.stats()}


def texts(name: str, n: int) -> list[str]:
    return [f"{name} {i}" for i in range(n)]


def test_load_dataset_takes_the_default_config_of_the_card(loaded: dict[str, Any]) -> None:
    expected = {"train": texts("offline/train", 5), "test": texts("offline/test", 2)}
    assert loaded["default"] == loaded["revision"] == loaded["local"] == expected


def test_load_dataset_takes_a_named_config(loaded: dict[str, Any]) -> None:
    assert loaded["config"] == {"train": texts("other/train", 3)}


def test_load_dataset_streams(loaded: dict[str, Any]) -> None:
    assert loaded["streamed"] == loaded["default"]


def test_push_to_hub_and_back(loaded: dict[str, Any]) -> None:
    assert loaded["pushed"] == {"train": texts("train", 4), "test": texts("test", 2)}
    assert loaded["extra"] == {"train": texts("extra", 3)}


def test_the_clients_ask_for_nothing_that_the_server_lacks(loaded: dict[str, Any]) -> None:
    assert loaded["stats"]["unknown"] == {}
