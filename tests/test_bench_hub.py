"""Results on the Hub: what its own client reads of them, and sending them to a stand-in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench_results import RECONSTRUCTION, RETRIEVAL, write
from huggingface_hub import HfApi, hf_hub_download, parse_eval_result_entries
from servers.hub import HubServer
from typer.testing import CliRunner

from expclip.benchmarks.board.hub import (
    PublishedResults,
    build_eval_results,
    build_eval_yaml,
    hub_task_id,
    publish_benchmark,
    publish_results,
)
from expclip.benchmarks.results.record import read_result
from expclip.cli.bench import app
from expclip.face.errors import DataError, ModelError

MODEL, DATASET = "expclip/small", "expclip/tead"
EVAL_RESULTS = ".eval_results/expclip-tead.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    with HubServer(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token of the machine's user is seen."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def api(server: HubServer) -> HfApi:
    """The stand-in with an empty model and an empty data set."""
    api = HfApi(endpoint=server.endpoint, token=server.token)
    for repo, kind in ((MODEL, "model"), (DATASET, "dataset")):
        api.delete_repo(repo, repo_type=kind, missing_ok=True)
        api.create_repo(repo, repo_type=kind)
    server.reset()
    return api


@pytest.fixture
def results(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    write(out, MODEL, 0.5)
    write(out, MODEL, 0.02, RECONSTRUCTION)
    write(out, MODEL, 0.5, replace(RETRIEVAL, id="tead/t2e-diagonal", ranked=False))
    write(out, MODEL, 0.03, replace(RECONSTRUCTION, id="beat/reconstruction"))
    return out / "expclip--small"


def send(server: HubServer, folder: Path, **options: Any) -> PublishedResults:
    options = {"dataset": DATASET, "token": server.token, **options}
    return publish_results(folder, MODEL, endpoint=server.endpoint, **options)


def test_the_hubs_own_client_reads_the_results(tmp_path: Path) -> None:
    result = write(tmp_path, "mine", 0.5)
    content = build_eval_results([result], DATASET, revision="c" * 40)
    (entry,) = parse_eval_result_entries(yaml.safe_load(content))
    assert (entry.dataset_id, entry.task_id) == (DATASET, "tead_t2e_class_v1")
    assert entry.value == result.main.value and entry.dataset_revision == "c" * 40
    assert entry.notes and entry.notes.startswith("R@1; 95% interval 0.")
    assert f"40 queries; expclip {result.environment['expclip']}" in entry.notes


def test_what_is_not_ranked_is_not_told(tmp_path: Path) -> None:
    oracle = write(tmp_path, "perfect", 1.0, role="oracle")
    printed = write(tmp_path, "mine", 0.5, replace(RETRIEVAL, ranked=False))
    with pytest.raises(DataError, match="no ranked result"):
        build_eval_results([oracle, printed], DATASET)


def test_two_models_are_not_one(tmp_path: Path) -> None:
    both = [write(tmp_path, name, 0.5) for name in ("a", "b")]
    with pytest.raises(ValueError, match="of one model"):
        build_eval_results(both, DATASET)


def test_the_tasks_of_a_data_set_are_those_that_results_name(tmp_path: Path) -> None:
    tasks = [RETRIEVAL, RECONSTRUCTION, replace(RETRIEVAL, id="tead/x", ranked=False)]
    found = yaml.safe_load(build_eval_yaml(tasks, config="offline"))
    assert found["tasks"] == [
        {"id": "tead_reconstruction_v1", "config": "offline", "split": "test"},
        {"id": "tead_t2e_class_v1", "config": "offline", "split": "test"},
    ]
    assert found["name"] == "TEAD" and found["description"]
    told = yaml.safe_load(build_eval_results([write(tmp_path, "mine", 0.5)], DATASET))
    assert told[0]["dataset"]["task_id"] in [task["id"] for task in found["tasks"]]


def test_another_version_is_another_task() -> None:
    assert hub_task_id(RETRIEVAL) != hub_task_id(replace(RETRIEVAL, version=2))


def test_results_are_published_in_one_commit_and_twice_changes_nothing(
    server: HubServer, api: HfApi, results: Path, tmp_path: Path
) -> None:
    found = send(server, results)
    assert set(found.files) == {
        EVAL_RESULTS,
        "expclip_results/tead.t2e-class@1.json",
        "expclip_results/tead.t2e-diagonal@1.json",
        "expclip_results/tead.reconstruction@1.json",
    }
    assert found.revision == api.model_info(MODEL).sha and found.url.endswith(MODEL)
    assert found.files.keys() <= set(api.list_repo_files(MODEL))
    come = hf_hub_download(
        MODEL, EVAL_RESULTS, endpoint=server.endpoint, token=server.token, local_dir=tmp_path
    )
    entries = parse_eval_result_entries(yaml.safe_load(Path(come).read_bytes()))
    assert [entry.task_id for entry in entries] == ["tead_reconstruction_v1", "tead_t2e_class_v1"]
    again = send(server, results)
    assert (again.files, again.revision) == ({}, found.revision)
    assert len(again.unchanged) == 4 and len(api.list_repo_commits(MODEL)) == 2


def test_the_values_of_queries_are_sent_on_request_only_and_verify(
    server: HubServer, api: HfApi, results: Path, tmp_path: Path
) -> None:
    send(server, results, sidecars=True)
    folder = tmp_path / "come/expclip--small"
    folder.mkdir(parents=True)
    for path in api.list_repo_files(MODEL):
        if path.startswith("expclip_results/"):
            come = hf_hub_download(
                MODEL, path, endpoint=server.endpoint, token=server.token, local_dir=tmp_path
            )
            Path(come).rename(folder / Path(path).name)
    assert read_result(folder / "tead.t2e-class@1.json").outcome().keys


def test_a_dry_run_sends_nothing(server: HubServer, api: HfApi, results: Path) -> None:
    found = send(server, results, dry_run=True, token=server.read_token)
    assert found.revision == "" and EVAL_RESULTS in found.files
    assert "commit" not in server.stats()["routes"]


def test_a_dry_run_needs_no_hub_and_shows_what_the_hub_would(results: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    command = ["publish", str(results), "--repo", MODEL, "--dataset", DATASET]
    told = CliRunner().invoke(app, [*command, "--dry-run", "--endpoint", nowhere])
    assert told.exit_code == 0, told.output
    assert f"would send {EVAL_RESULTS}" in told.output
    assert "task_id: tead_t2e_class_v1" in told.output and "not reached" in told.output
    found = publish_benchmark(DATASET, [RETRIEVAL], config="c", dry_run=True, endpoint=nowhere)
    assert not found.reached and list(found.files) == ["eval.yaml"]
    with pytest.raises(ModelError, match="cannot be reached"):
        publish_results(results, MODEL, dataset=DATASET, token="hf_x", endpoint=nowhere)


def test_a_dry_run_of_a_model_that_is_not_there_says_so(
    server: HubServer, api: HfApi, results: Path
) -> None:
    api.delete_repo(MODEL)
    with pytest.raises(ModelError, match="it knows none of this name"):
        send(server, results, dry_run=True)


def test_a_changed_result_is_not_published(server: HubServer, api: HfApi, results: Path) -> None:
    path = results / "tead.t2e-class@1.json"
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.9"))
    with pytest.raises(DataError, match=r"nothing was published: .*was changed"):
        send(server, results)
    assert server.stats()["routes"] == {}


def test_a_folder_of_several_models_is_refused(
    server: HubServer, api: HfApi, results: Path
) -> None:
    write(results.parent, "other", 0.5)
    with pytest.raises(DataError, match="of several models"):
        send(server, results.parent)


@pytest.mark.parametrize("name", ["small", "a/b/c", "../x", "https://huggingface.co/a/b"])
def test_a_name_that_is_none_on_the_hub_is_refused(results: Path, name: str) -> None:
    with pytest.raises(ValueError, match="named OWNER/NAME"):
        publish_results(results, name, dataset=DATASET)
    with pytest.raises(ValueError, match="named OWNER/NAME"):
        publish_results(results, MODEL, dataset=name)


def test_no_token_is_told(results: Path) -> None:
    with pytest.raises(ModelError, match="no token of the Hub"):
        publish_results(results, MODEL, dataset=DATASET, endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize("token", ["hf_secret_unknown", "hf_secret\nwith a line", "hf_sécret"])
def test_a_token_is_never_told(
    server: HubServer,
    api: HfApi,
    results: Path,
    token: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises((ModelError, ValueError)) as caught:
        send(server, results, token=token)
    told = [str(caught.value), caplog.text, *capsys.readouterr()]
    assert not [text for text in told if "cret" in text]
    assert caught.value.__cause__ is None


def test_a_token_that_may_not_write_and_a_model_that_is_not_there_are_told(
    server: HubServer, api: HfApi, results: Path
) -> None:
    with pytest.raises(ModelError, match=r"expclip/small: .*may not do this there"):
        send(server, results, token=server.read_token)
    api.delete_repo(MODEL)
    with pytest.raises(ModelError, match=r"expclip/small: .*knows none of this name"):
        send(server, results)


def test_a_commit_of_someone_else_in_between_is_told(
    server: HubServer, api: HfApi, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = HfApi.create_commit

    def late(self: HfApi, *args: Any, **options: Any) -> Any:
        monkeypatch.setattr(HfApi, "create_commit", whole)
        self.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=MODEL)
        return whole(self, *args, **options)

    monkeypatch.setattr(HfApi, "create_commit", late)
    with pytest.raises(ModelError, match="someone else has changed it meanwhile"):
        send(server, results)
    assert send(server, results).files


def test_the_tasks_are_published_with_the_data_set(server: HubServer, api: HfApi) -> None:
    options: dict[str, Any] = {"config": "offline", "endpoint": server.endpoint}
    options["token"] = server.token
    found = publish_benchmark(DATASET, [RETRIEVAL], **options)
    assert found.revision == api.dataset_info(DATASET).sha
    assert "eval.yaml" in api.list_repo_files(DATASET, repo_type="dataset")
    assert publish_benchmark(DATASET, [RETRIEVAL], **options).unchanged == ("eval.yaml",)
    with pytest.raises(ModelError, match="no such data set"):
        publish_benchmark("expclip/none", [RETRIEVAL], **options)
