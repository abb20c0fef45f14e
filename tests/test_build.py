"""TEAD end to end: from texts to a folder that `load_dataset` takes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from servers.llm import LlmServer
from servers.llm_replies import expected_reply

from expclip.face import blendshapes_from_aus, find_conflicts, parse_action
from expclip.face.errors import DataError, ModelError
from expclip.tead import (
    COLUMNS,
    BudgetReached,
    BuildPlan,
    CorpusOptions,
    FakeClient,
    LlmOptions,
    Prices,
    Prompts,
    build,
    read_plan,
    read_rows,
    split_of,
    validate,
)

Start = Callable[..., LlmServer]
OFFLINE = BuildPlan(("grammar",), CorpusOptions(limit=300))
TAGS = '{"emotions": ["joy", "pride", "relief"], "aus": ["AU6C", "AU12D"]}'
SITUATIONS = '{"situations": ["A letter brings good news."]}'


def fake(messages: Any) -> str:
    return TAGS if messages[-1]["content"].startswith("Text") else SITUATIONS


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every published file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".expclip" not in path.parts
    }


@pytest.fixture(scope="module")
def tead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An offline TEAD of 300 rows; not to be changed."""
    out = tmp_path_factory.mktemp("tead") / "out"
    build(out, OFFLINE)
    return out


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"Text number {number} of the corpus\n" for number in range(40)))
    return path


def test_every_row_keeps_every_rule(tead: Path) -> None:
    rows = list(read_rows(tead))
    assert len(rows) == len({row["text"].lower() for row in rows}) == 300
    for row in rows:
        assert list(row) == list(COLUMNS)
        assert 3 <= len(row["emotions"]) <= 5
        assert 1 <= len(row["situations"]) <= 3
        assert row["au_codes"] or row["emotions"][0] == "neutral"
        assert not find_conflicts(parse_action(code).code for code in row["au_codes"])
        assert len(row["aus"]) == 36 and sum(row["aus"]) == len(row["au_codes"])
        assert len(row["blendshapes"]) == 52
        assert 0 <= min(row["blendshapes"]) <= max(row["blendshapes"]) <= 1
        np.testing.assert_array_equal(
            np.float32(row["blendshapes"]), blendshapes_from_aus(row["au_codes"])
        )
        assert row["split"] == split_of(row["text"])
        assert (row["source"], row["synthetic"], row["llm"]) == ("grammar", True, "offline")
    found = validate(tead)
    assert found.ok, found.errors
    assert found.rows["train"] + found.rows["test"] == 300


def test_same_plan_gives_same_bytes(tead: Path, tmp_path: Path) -> None:
    manifest = build(tmp_path / "again", OFFLINE)
    assert files(tmp_path / "again") == files(tead)
    assert manifest == json.loads((tead / "manifest.json").read_text())


def test_building_again_in_place_changes_nothing(tmp_path: Path) -> None:
    plan = BuildPlan(("grammar",), CorpusOptions(limit=20))
    build(tmp_path / "out", plan)
    before = files(tmp_path / "out")
    build(tmp_path / "out", plan)
    assert files(tmp_path / "out") == before


def test_adding_texts_moves_none_to_the_other_split(corpus: Path, tmp_path: Path) -> None:
    plan = BuildPlan((str(corpus),))
    build(tmp_path / "small", plan)
    corpus.write_text("A new first line\n" + corpus.read_text() + "And a last one\n")
    build(tmp_path / "large", plan)
    small, large = (
        {row["text"]: row for row in read_rows(tmp_path / name)} for name in ("small", "large")
    )
    assert len(large) == 42
    assert all(large[text] == row for text, row in small.items())


def test_split_is_nine_to_one_and_blind_to_case_and_punctuation() -> None:
    texts = [f"This is text {number}" for number in range(4000)]
    assert 0.88 < sum(split_of(text) == "train" for text in texts) / 4000 < 0.92
    assert all(split_of(text) == split_of(text.upper() + "!!") for text in texts[:100])


def test_load_dataset_takes_the_folder(tead: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys; from datasets import load_dataset; d = load_dataset(sys.argv[1]);"
        "print(json.dumps({'rows': {name: len(d[name]) for name in d},"
        " 'features': {n: repr(f) for n, f in d['train'].features.items()}, 'row': d['train'][0]}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tead)],
        capture_output=True,
        text=True,
        check=True,
        env={"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
    )
    loaded = json.loads(done.stdout)
    manifest = json.loads((tead / "manifest.json").read_text())
    assert loaded["rows"] == {split: manifest["counts"][split] for split in ("train", "test")}
    assert list(loaded["features"]) == list(COLUMNS)
    assert (
        "float32" in loaded["features"]["blendshapes"] and "52" in loaded["features"]["blendshapes"]
    )
    assert "int8" in loaded["features"]["aus"] and "36" in loaded["features"]["aus"]
    assert loaded["row"] == next(read_rows(tead))


def test_manifest_says_what_made_it(tead: Path) -> None:
    manifest = json.loads((tead / "manifest.json").read_text())
    assert manifest["annotator"]["llm"] == "offline"
    assert manifest["corpus"]["names"] == ["grammar"]
    assert manifest["counts"]["rows"] == 300
    assert set(manifest["files"]) == {
        "data/offline/train-00000-of-00001.parquet",
        "data/offline/test-00000-of-00001.parquet",
    }
    assert manifest["parameters"]["corpus"]["limit"] == 300


def test_card_names_configuration_splits_and_licence(tead: Path) -> None:
    from huggingface_hub import DatasetCard

    data = DatasetCard.load(tead / "README.md").data.to_dict()
    [config] = data["configs"]
    assert (config["config_name"], config["default"]) == ("offline", True)
    assert [entry["split"] for entry in config["data_files"]] == ["train", "test"]
    assert data["license"] == "cc-by-4.0" and data["size_categories"] == ["n<1K"]


def test_card_survives_any_text(tmp_path: Path) -> None:
    nasty = ["<script>alert(1)</script> | table", "---", "`code` *bold* [link](x)", "=cmd()|' !A1"]
    (tmp_path / "nasty.txt").write_text("\n".join(nasty * 2))
    build(tmp_path / "out", BuildPlan((str(tmp_path / "nasty.txt"),)))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "<script>" not in card
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\| table" in card


def test_an_llm_builds_all_rows_as_it_answered(
    llm_server: Start, corpus: Path, tmp_path: Path
) -> None:
    server = llm_server()
    plan = BuildPlan((str(corpus),), llm=LlmOptions("stand/in:7b", server.base_url))
    manifest = build(tmp_path / "out", plan)
    assert manifest["config"] == "stand-in-7b"
    assert manifest["counts"]["rows"] == 40 and manifest["counts"]["rejects"] == {}
    for row in read_rows(tmp_path / "out"):
        messages = Prompts.load().messages("tags", {"text": row["text"]})
        expected = expected_reply(list(messages), None)
        assert row["emotions"] == expected["emotions"]
        assert row["au_codes"] == expected["aus"]
        assert row["llm"] == "stand/in:7b" and row["attempts"] == 2
    assert validate(tmp_path / "out").ok


def test_replay_asks_nothing_and_gives_the_same_bytes(
    llm_server: Start, corpus: Path, tmp_path: Path
) -> None:
    server = llm_server(rate_bad_json=0.1, rate_no_tags=0.2)
    out = tmp_path / "out"
    build(out, BuildPlan((str(corpus),), llm=LlmOptions("m", server.base_url, attempts=2)))
    before, asked = files(out), server.stats()["requests"]
    build(out, read_plan(out), ask=False, overwrite=True)
    assert files(out) == before
    assert server.stats()["requests"] == asked
    rejects = pq.read_table(out / "rejects.parquet").to_pylist()
    assert rejects and {row["reason"] for row in rejects} <= {"nothing", "tags"}
    assert len(rejects) + json.loads(before["manifest.json"])["counts"]["rows"] == 40


def test_the_limit_of_cost_stops_before_it_is_passed_and_a_higher_one_goes_on(
    llm_server: Start, corpus: Path, tmp_path: Path
) -> None:
    server, out = llm_server(), tmp_path / "out"
    options = LlmOptions("m", server.base_url, max_tokens=200, prices=Prices(1, 10))
    plan = BuildPlan((str(corpus),), llm=options)
    whole = build(tmp_path / "whole", plan)["usage"]
    assert whole["cost"] == pytest.approx((whole["tokens_in"] + 10 * whole["tokens_out"]) / 1e6)
    limit = whole["cost"] * 0.7
    server.reset()

    half = replace(plan, llm=replace(options, max_cost=limit))
    with pytest.raises(BudgetReached) as caught:
        build(out, half)
    told = re.search(
        r"spent (\S+) of \S+; (\d+) of 40 rows are answered: the same command with a higher "
        rf"--max-cost goes on, expclip tead replay {out} builds what is there",
        str(caught.value),
    )
    assert told and 0.5 * limit < float(told[1]) <= limit
    manifest = build(out, read_plan(out), ask=False)
    assert manifest["counts"]["rows"] == int(told[2]) > 0
    assert manifest["usage"]["cost"] <= limit

    with pytest.raises(BudgetReached):  # what was spent is not forgotten
        build(out, half)
    assert build(out, read_plan(out), ask=False)["usage"]["cost"] <= limit
    assert build(out, plan)["usage"] == whole
    assert server.stats()["requests"] == whole["answers"], "an answer was paid twice"


def test_batches_give_the_same_data_set_as_single_calls(
    llm_server: Start, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expclip.tead.llm import batch

    quick = partial(batch.OpenAIBatches, limits=batch.BatchLimits(poll_s=0.02))
    monkeypatch.setattr(batch, "OpenAIBatches", quick)
    server = llm_server()
    options = LlmOptions("m", server.base_url, prices=Prices(1, 10))
    plan = BuildPlan((str(corpus),), llm=options)
    build(tmp_path / "single", plan)
    batched = replace(plan, llm=replace(options, backend="batch"))
    build(tmp_path / "batched", batched)
    assert files(tmp_path / "batched") == files(tmp_path / "single")
    build(tmp_path / "batched", plan)  # one way may finish what the other began
    assert files(tmp_path / "batched") == files(tmp_path / "single")


def test_a_local_model_is_asked_where_the_plan_says_so(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expclip.tead.llm.local.LocalModel", lambda options: FakeClient(fake))
    plan = BuildPlan((str(corpus),), llm=LlmOptions("some/folder", backend="local"))
    manifest = build(tmp_path / "out", plan)
    assert (manifest["config"], manifest["counts"]["rows"]) == ("some-folder", 40)


def test_manifest_says_what_the_answers_took_and_who_gave_them(
    llm_server: Start, corpus: Path, tmp_path: Path
) -> None:
    server, out = llm_server(), tmp_path / "out"
    manifest = build(out, BuildPlan((str(corpus),), llm=LlmOptions("m", server.base_url)))
    usage = manifest["usage"]
    assert (usage["answers"], usage["unmeasured"]) == (80, 0)
    assert usage["tokens_in"] > usage["tokens_out"] > 0
    assert usage["prices"] is None and usage["cost"] is None
    assert manifest["annotator"]["served_by"] == ["m"]
    # A server that counts nothing: unknown, and not 0.
    plan = BuildPlan((str(corpus),), llm=LlmOptions("m", prices=Prices(1, 10)))
    usage = build(tmp_path / "silent", plan, transport=FakeClient(fake))["usage"]
    assert (usage["answers"], usage["unmeasured"], usage["cost"]) == (80, 80, None)
    before = files(tmp_path / "silent")
    build(tmp_path / "silent", read_plan(tmp_path / "silent"), ask=False)
    assert files(tmp_path / "silent") == before


def test_a_mapping_can_be_changed_without_asking(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, BuildPlan((str(corpus),), llm=LlmOptions("m")), transport=FakeClient(fake))
    build(out, replace(read_plan(out), strength=0.5), ask=False, overwrite=True)
    row = next(read_rows(out))
    assert max(row["blendshapes"]) == pytest.approx(0.375)  # AU12D is 0.75


def test_another_plan_in_the_same_folder_is_refused(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = BuildPlan((str(corpus),))
    build(out, plan)
    other = replace(plan, strength=0.7)
    with pytest.raises(DataError, match=r"holds a build with strength 1.0, now it is 0.7: choose"):
        build(out, other)
    masked = replace(plan, corpus=CorpusOptions(mask=True))
    with pytest.raises(DataError, match="holds a build with mask False, now it is True"):
        build(out, masked)
    llm = replace(plan, llm=LlmOptions("m"))
    with pytest.raises(DataError, match="holds a build with llm 'offline', now it is 'm'"):
        build(out, llm, transport=FakeClient(fake))
    build(out, llm, transport=FakeClient(fake), overwrite=True)
    assert validate(out).ok
    assert [path.name for path in (out / "data").iterdir()] == ["m"]


def test_a_run_that_got_no_answer_holds_no_folder(corpus: Path, tmp_path: Path) -> None:
    plan = BuildPlan((str(corpus),), llm=LlmOptions("mistyped"))
    with pytest.raises(ModelError):
        build(tmp_path / "out", plan, transport=FakeClient([]))
    right = replace(plan, llm=LlmOptions("right"))
    assert build(tmp_path / "out", right, transport=FakeClient(fake))["counts"]["rows"] == 40
    with pytest.raises(DataError, match="holds a build with llm 'right'"):
        build(tmp_path / "out", plan, transport=FakeClient([]))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DataError, match="not empty, and no build of expclip"):
        build(tmp_path, OFFLINE)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be made"):
        build(tmp_path / "file" / "out", OFFLINE)


def test_nothing_is_written_when_no_row_was_annotated(corpus: Path, tmp_path: Path) -> None:
    client = FakeClient(lambda messages: "no idea")
    with pytest.raises(DataError, match=r"none of 40 texts was annotated \(nothing 40\)"):
        build(tmp_path / "out", BuildPlan((str(corpus),), llm=LlmOptions("m")), transport=client)
    assert files(tmp_path / "out") == {}


def test_a_server_that_dies_loses_no_answer(
    llm_server: Start, corpus: Path, tmp_path: Path
) -> None:
    server = llm_server(latency_s=0.02)
    options = LlmOptions("m", server.base_url, in_flight=2, patience_s=0.5, timeout_s=0.3)
    plan = BuildPlan((str(corpus),), llm=options)

    def stop_half_way(done: int, total: int, tally: object) -> None:
        if done == 20:
            server.configure(rate_hang=1.0)

    with pytest.raises(ModelError, match="run the same command to go on"):
        build(tmp_path / "out", plan, progress=stop_half_way)
    answered = server.stats()["distinct_answered"]
    assert 40 <= answered < 80
    server.configure(rate_hang=0.0)
    assert build(tmp_path / "out", plan)["counts"]["rows"] == 40
    stats = server.stats()
    assert all(count == 1 for count in stats["answered"].values()), "an answer was paid twice"


def test_human_labels_are_kept_and_compared(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,emotion\nI am so happy today,joy\nI hate this mess,joy\n")
    manifest = build(tmp_path / "out", BuildPlan((str(tmp_path / "t.csv"),)))
    assert manifest["label_agreement"] == {"rows": 2, "first_tag": 0.5, "any_tag": 0.5}
    assert {tuple(row["labels"]) for row in read_rows(tmp_path / "out")} == {("joy",)}


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda out: (out / "manifest.json").unlink(), "not a finished TEAD"),
        (lambda out: (out / "manifest.json").write_text("{"), "not readable as JSON"),
        (lambda out: (out / "manifest.json").write_text("{}"), "not a manifest of TEAD"),
        (lambda out: shutil.rmtree(out / "data"), r"no train-\*.parquet found"),
        (
            lambda out: next((out / "data/offline").glob("train*")).write_bytes(b"PAR1"),
            "not a sound Parquet file",
        ),
    ],
)
def test_a_broken_folder_is_told_by_validate(
    tead: Path, tmp_path: Path, break_it: Callable[[Path], None], message: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(tead, out)
    break_it(out)
    with pytest.raises(DataError, match=message):
        validate(out)


def test_validate_finds_every_broken_rule(tead: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(tead, out)
    path = next((out / "data/offline").glob("train*"))
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["emotions"] = ["joy"]
    rows[1]["blendshapes"][3] = 1.5
    rows[2]["au_codes"], rows[2]["aus"] = ["AU24", "AU25"], [0] * 36
    rows[3]["split"] = "test"
    rows[4]["text"] = rows[5]["text"].upper()
    rows[6]["situations"] = []
    rows[7]["au_codes"] = ["AU999"]
    pq.write_table(type(table).from_pylist(rows, table.schema), path)
    assert validate(out).errors.keys() >= {
        "tags",
        "blendshapes are not 52 weights in 0..1",
        "conflict",
        "split is not the one of the text's hash",
        "text twice",
        "situations",
        "notation",
        "content differs from the manifest's hash",
    }
