"""Publishing augmented configurations: with their original, and never as what they are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from publishing import (
    MODELS,
    NASTY,
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

from expclip.face.errors import DataError, ModelError
from expclip.tead import BuildPlan, LlmOptions, build, validate
from expclip.tead.augmentation.augment import Eda, NlpaugAugmenter, augment_tead
from expclip.tead.folder import read_rows
from expclip.tead.hub.manifests import check_manifest, group_manifests
from expclip.tead.hub.repository import HubRepo
from expclip.tead.schema import COLUMNS, content_hash, row_digest

pytest_plugins = ["publishing_fixtures"]

CONFIG = "model-a-augmented"
MANIFEST = f"manifest-{CONFIG}.json"
ROWS = {f"data/{CONFIG}/{split}-00000-of-00001.parquet" for split in ("train", "test")}


def names(card: str) -> list[tuple[str, bool]]:
    """Return the configurations that a card names, and whether each is the default."""
    return [(c["config_name"], c.get("default", False)) for c in metadata(card)["configs"]]


def change_manifest(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")


def change_rows(path: Path, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    edit(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def test_they_come_with_their_original_in_one_commit(
    server: HubServer, pristine: Path, tmp_path: Path
) -> None:
    found = send(server, pristine)
    rows = json.loads((pristine / MANIFEST).read_text())["counts"]["rows"]
    assert 60 < rows <= 120 and found.checked == 60 + rows
    assert (found.config, found.augmented) == ("model-a", (CONFIG,))
    assert commits(server) == 2 and server.stats()["routes"]["commit"] == 1
    mine = {path for path in remote_files(server) if CONFIG in path}
    assert mine == {*ROWS, f"manifests/{CONFIG}.json"} == {p for p in found.files if CONFIG in p}
    manifest = json.loads(remote(server, f"manifests/{CONFIG}.json", tmp_path))
    sample = manifest.pop("sample")
    assert {row["operation"] for row in sample} == {"swap", "deletion"}
    assert all(row["original"] != row["text"] for row in sample)
    assert manifest == json.loads((pristine / MANIFEST).read_text())
    again = send(server, pristine)
    assert (again.files, again.deleted, again.checked) == ({}, (), found.checked)
    assert commits(server) == 2


def test_the_card_tells_what_made_them(server: HubServer, pristine: Path) -> None:
    card = send(server, pristine).card
    assert names(card) == [("model-a", True), (CONFIG, False)]
    files = metadata(card)["configs"][1]["data_files"]
    assert files[0] == {"split": "train", "path": f"data/{CONFIG}/train-*.parquet"}
    for words in (
        f'load_dataset("expclip/tead", "{CONFIG}")',
        "- Variants of `model-a`: 2 of each text, seed 7, by expclip ",
        "an operation a variant in turn: `swap`, `deletion`; 10% of the words.",
        "- Word list: the table of emotion words in expclip alone; emotion words only give way",
        f"| rows | `model-a` | `{CONFIG}` |",
        "| `augmented_from` | id of the row in the original configuration",
        "measure on their originals",
    ):
        assert words in card
    assert "## Some rows\n" in card and "<script>" not in card and "\u202e" not in card


def test_croissant_links_them_to_their_originals(
    server: HubServer, pristine: Path, tmp_path: Path
) -> None:
    send(server, pristine)
    found = json.loads(remote(server, "croissant.json", tmp_path))
    original, augmented = found["recordSet"]
    assert (original["@id"], augmented["@id"]) == ("model-a", CONFIG)
    fields = {field["@id"].partition("/")[2]: field for field in augmented["field"]}
    assert list(fields) == pq.read_schema(pristine / sorted(ROWS)[0]).names
    assert fields["augmented_from"]["references"] == {"field": {"@id": "model-a/id"}}
    assert fields["variant"]["dataType"] == "sc:Integer"
    assert len(original["field"]) == len(COLUMNS)
    assert f"data/{CONFIG}/*.parquet" in [e.get("includes") for e in found["distribution"]]


def test_a_publication_of_another_model_leaves_them_alone(
    server: HubServer, folders: dict[str, Path], pristine: Path
) -> None:
    send(server, pristine)
    found = send(server, folders["model-b"])
    assert names(found.card) == [("model-a", True), (CONFIG, False), ("model-b", False)]
    assert (found.deleted, found.removed, found.augmented) == ((), (), ())
    found = send(server, folders["model-b"], default=True)
    assert names(found.card) == [("model-b", True), ("model-a", False), (CONFIG, False)]
    found = send(server, pristine, default=True)
    assert names(found.card) == [("model-a", True), (CONFIG, False), ("model-b", False)]


def test_one_that_somebody_made_the_default_does_not_stay_it(
    server: HubServer, pristine: Path
) -> None:
    card = send(server, pristine).card
    card = card.replace("  default: true\n", "")
    card = card.replace(f"config_name: {CONFIG}\n", f"config_name: {CONFIG}\n  default: true\n")
    assert names(card) == [("model-a", False), (CONFIG, True)]
    upload = {"path_or_fileobj": card.encode(), "path_in_repo": "README.md"}
    api_of(server).upload_file(**OF_DATASET, **upload)
    assert names(send(server, pristine).card) == [("model-a", True), (CONFIG, False)]


def test_left_out_they_are_not_sent_and_those_of_the_same_rows_stay(
    server: HubServer, pristine: Path
) -> None:
    found = send(server, pristine, augmented=False)
    assert (found.augmented, found.configs, found.checked) == ((), ("model-a",), 60)
    assert not any(CONFIG in path for path in remote_files(server))
    send(server, pristine)
    found = send(server, pristine, augmented=False)
    assert (found.files, found.deleted, found.removed) == ({}, (), ())
    assert found.configs == ("model-a", CONFIG) and commits(server) == 3


def test_those_of_rows_that_are_gone_are_removed(
    server: HubServer, pristine: Path, tmp_path: Path
) -> None:
    send(server, pristine)
    texts = tmp_path / "texts.txt"
    texts.write_text("A text of another build\nAnd one more text\n", "utf-8")
    plan = BuildPlan((str(texts),), llm=LlmOptions("model-a"))
    build(tmp_path / "new", plan, transport=MODELS["model-a"])
    found = send(server, tmp_path / "new", augmented=False)
    assert found.removed == (CONFIG,)
    assert {*ROWS, f"manifests/{CONFIG}.json"} <= set(found.deleted)
    assert found.configs == ("model-a",)


def test_one_that_the_folder_holds_no_longer_is_removed_in_the_same_commit(
    server: HubServer, folders: dict[str, Path], augmented: Path
) -> None:
    augment_tead(augmented, Eda(("swap",)), seed=3, name="model-a-swapped")
    send(server, augmented)
    send(server, folders["model-b"])
    shutil.rmtree(augmented / "data" / CONFIG)
    (augmented / MANIFEST).unlink()
    dry = send(server, augmented, dry_run=True)
    assert (dry.removed, commits(server)) == ((CONFIG,), 3)
    found = send(server, augmented)
    assert set(found.deleted) == {*ROWS, f"manifests/{CONFIG}.json"} == set(dry.deleted)
    assert set(found.files) == {"README.md", "croissant.json"}
    assert found.configs == ("model-a", "model-a-swapped", "model-b")
    assert commits(server) == 4 and not any(CONFIG in path for path in remote_files(server))


def test_files_of_an_earlier_augmentation_are_removed(server: HubServer, pristine: Path) -> None:
    send(server, pristine)
    stale = f"data/{CONFIG}/train-00001-of-00002.parquet"
    api_of(server).upload_file(**OF_DATASET, path_or_fileobj=b"PAR1", path_in_repo=stale)
    found = send(server, pristine)
    assert (found.deleted, dict(found.files)) == ((stale,), {})


def test_a_name_that_is_taken_is_refused(
    server: HubServer, folders: dict[str, Path], augmented: Path, tmp_path: Path
) -> None:
    send(server, folders["model-b"])
    augment_tead(augmented, Eda(("swap",)), seed=3, name="model-b")
    with pytest.raises(DataError, match="its configuration 'model-b' is no augmentation: choose"):
        send(server, augmented)
    other = shutil.copytree(folders["model-b"], tmp_path / "other")
    augment_tead(other, Eda(("swap",)), name=CONFIG)
    send(server, other)
    (augmented / "manifest-model-b.json").unlink()
    with pytest.raises(DataError, match=f"'{CONFIG}' is an augmentation of 'model-b': choose"):
        send(server, augmented)
    assert commits(server) == 3


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(config="../x"), "is no name of a configuration"),
        (lambda m: m.update(config="model-a"), "is of configuration 'model-a'"),
        (lambda m: m.update(config="other"), "is of configuration 'other'"),
        (lambda m: m.update(config="é è"), "not a whole manifest of TEAD: augment again"),
        (lambda m: m.update(augmented_from=3), "not a whole manifest"),
        (lambda m: m["augmented_from"].update(config="b"), "not of an augmentation of 'model-a'"),
        (lambda m: m["augmented_from"].update(content_sha256="0"), "other originals than these"),
        (lambda m: m.pop("augmented_from"), "not a whole manifest"),
        (lambda m: m.update(content_sha256="0" * 64), "content differs from the manifest's hash"),
        (lambda m: m["counts"].update(train=1), "numbers of rows are not the manifest's"),
        (lambda m: m["counts"].update(rows=1), "numbers of rows are not the manifest's"),
        (lambda m: m["counts"].update(failed="1"), "not a whole manifest"),
        (lambda m: m["parameters"].update(seed=8), "text is not what the seed gives"),
        (lambda m: m["parameters"].update(seed=10**4000), "text is not what the seed gives"),
        (lambda m: m["parameters"].update(variants=True), "not a whole manifest"),
        (lambda m: m["parameters"].update(variants=10**9), "parameters are not those of an augm"),
        (lambda m: m["parameters"].update(alpha=float("nan")), "not a whole manifest"),
        (lambda m: m["parameters"].update(operations="swap"), "not a whole manifest"),
        (lambda m: m["parameters"].update(operations=["x"]), "no operation 'x'"),
        (lambda m: m["parameters"].clear(), "not a whole manifest"),
        (lambda m: m.update(parameters=None), "not a whole manifest"),
    ],
)
def test_a_manifest_that_is_not_true_is_refused(
    server: HubServer, augmented: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    change_manifest(augmented, edit)
    with pytest.raises(DataError, match=message) as caught:
        send(server, augmented)
    assert "\n" not in str(caught.value) and MANIFEST in str(caught.value)
    assert not api_of(server).repo_exists(**OF_DATASET)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "null", "{}", "\udc80"])
def test_a_manifest_that_is_none_is_refused(server: HubServer, augmented: Path, text: str) -> None:
    (augmented / MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=MANIFEST):
        send(server, augmented)
    assert send(server, augmented, augmented=False).checked == 60


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: rows[0].update(text="Something else"), "content differs from"),
        (lambda rows: rows[0].update(situations=["Other things."]), "labels are not the orig"),
        (lambda rows: rows[0].update(text=None), "an empty value in column text"),
        (lambda rows: rows[0].update(variant=None), "an empty value in column variant"),
        (lambda rows: rows[0].update(emotions=["joy", None]), "an empty value in column emotions"),
    ],
)
def test_rows_that_are_not_their_originals_are_refused(
    server: HubServer,
    augmented: Path,
    edit: Callable[[list[dict[str, Any]]], object],
    message: str,
) -> None:
    change_rows(augmented / sorted(ROWS)[1], edit)
    with pytest.raises(DataError, match=message):
        send(server, augmented)


def test_a_column_more_is_refused_and_not_published(server: HubServer, augmented: Path) -> None:
    for path in (
        augmented / sorted(ROWS)[0],
        augmented / "data/model-a/test-00000-of-00001.parquet",
    ):
        table = pq.read_table(path)
        pq.write_table(table.append_column("notes", pa.array(["private"] * len(table))), path)
        with pytest.raises(DataError, match="columns are not those that TEAD has") as caught:
            send(server, augmented)
        assert str(path) in str(caught.value)


def test_what_validate_calls_an_error_is_not_published(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    out = shutil.copytree(folders["model-a"], tmp_path / "out")
    path = out / "data/model-a/test-00000-of-00001.parquet"
    change_rows(path, lambda rows: rows[0].update(au_codes=["AU6C"]))
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["content_sha256"] = content_hash(map(row_digest, read_rows(out)))
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert list(validate(out).errors) == ["au_codes and aus differ"]
    with pytest.raises(DataError, match=r"au_codes and aus differ \(first [0-9a-f]{16}\)"):
        send(server, out)


@pytest.mark.parametrize("column", ["text", "labels", "operation"])
def test_rows_that_come_back_otherwise_are_told(
    server: HubServer, pristine: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    original = HubRepo.download

    def spoil(self: HubRepo, revision: str, paths: Any, folder: Path) -> None:
        original(self, revision, paths, folder)
        other = ["other"] if column == "labels" else "other"
        for path in folder.glob(f"data/{CONFIG}/test-*"):
            change_rows(path, lambda rows: rows[0].update({column: other}))

    monkeypatch.setattr(HubRepo, "download", spoil)
    with pytest.raises(ModelError, match=f"{CONFIG} came back from revision [0-9a-f]+ other than"):
        send(server, pristine)
    assert send(server, pristine, check=False).checked == 0


def test_a_plug_ins_name_and_texts_are_shown_as_they_are(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    class Shout:
        name = NASTY

        def augment(self, text: str) -> str:
            return f"{text} | <b>loud</b>"

    out = shutil.copytree(folders["model-a"], tmp_path / "out")
    augment_tead(out, NlpaugAugmenter(Shout()), name="model-a-loud")
    card = send(server, out).card
    assert "- Made with `nlpaug's <script>alert(1)</script> | =cmd() 'x' [link](y)" in card
    assert "\\| &lt;b&gt;loud&lt;/b&gt;" in card
    assert "\u202e" not in card and "<b>" not in card


def test_a_repository_whose_manifest_is_not_whole_is_left_alone(
    server: HubServer, folders: dict[str, Path], pristine: Path
) -> None:
    send(server, pristine)
    path = f"manifests/{CONFIG}.json"
    api_of(server).upload_file(
        **OF_DATASET, path_or_fileobj=b'{"augmented_from": {"config": "../x"}}', path_in_repo=path
    )
    with pytest.raises(DataError, match=f"{REPO}/{path}: not a whole manifest of TEAD: augment"):
        send(server, folders["model-b"])


def test_manifests_stand_behind_that_of_their_original() -> None:
    def augmented(config: str, origin: str) -> dict[str, Any]:
        return {"config": config, "augmented_from": {"config": origin}}

    b, a = {"config": "b"}, {"config": "a"}
    of_a, of_b, orphan = augmented("0", "a"), augmented("z", "b"), augmented("00", "gone")
    assert group_manifests([orphan, of_a, b, of_b, a]) == [b, of_b, a, of_a, orphan]


def test_a_checked_manifest_is_the_manifest(pristine: Path) -> None:
    manifest = json.loads((pristine / MANIFEST).read_text())
    assert check_manifest(manifest, "here") == manifest
