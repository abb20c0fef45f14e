"""Results: written the same each time, read as a stranger's, verified, compared."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_results import FAST, RECONSTRUCTION, RETRIEVAL, outcome, write
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from expclip.benchmarks.outcome import Outcome
from expclip.benchmarks.results.compare import compare
from expclip.benchmarks.results.folder import write_alone
from expclip.benchmarks.results.record import (
    ModelInfo,
    Statistics,
    compute_metrics,
    find_results,
    read_result,
    read_skipped,
    result_path,
    write_result,
    write_skipped,
)
from expclip.benchmarks.results.sidecar import pack_outcome, parse_outcome
from expclip.benchmarks.results.verification import verify
from expclip.cli.bench import app
from expclip.face.errors import DataError

MAKERS = "evil\u202emodel", "two\nlines", "", " ", "\x1b[31m", "m" * 201


def sign(record: dict[str, Any]) -> bytes:
    """Return a record as a forger writes it: with a hash that fits."""
    plain = {key: value for key, value in record.items() if key != "sha256"}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    plain["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return (json.dumps(plain, sort_keys=True, ensure_ascii=False, indent=2) + "\n").encode()


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write(tmp_path, "mine", 0.5, inputs={"data/test.parquet": "c" * 64}, seed=7)
    assert written.path == tmp_path / "mine/tead.t2e-class@1.json"
    read = read_result(written.path)
    assert read.task == RETRIEVAL and read.model == ModelInfo("mine")
    assert (read.seed, read.queries, read.inputs) == (7, 40, {"data/test.parquet": "c" * 64})
    assert read.main.value == pytest.approx(0.5) and read.notes == {"chance": 0.1}
    assert read.metrics == written.metrics
    values = read.outcome()
    assert values.keys == outcome(0.5).keys and values.clusters == outcome(0.5).clusters
    assert np.array_equal(values.values["R@1"], outcome(0.5).values["R@1"])


def test_the_same_run_gives_the_same_bytes_and_times_lie_apart(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "mine", 0.5, log={"seconds": 1.5})
    other = write(tmp_path / "other", "mine", 0.5, log={"seconds": 99.0})
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.sidecar.read_bytes() == other.sidecar.read_bytes()
    log = json.loads((one.path.parent / "tead.t2e-class@1.log.json").read_text("utf-8"))
    assert log["seconds"] == 1.5 and "finished" in log
    assert len(list(one.path.parent.iterdir())) == 3


def test_means_are_weighted_and_a_cluster_is_drawn_whole() -> None:
    found = Outcome(
        ("a", "b", "c"), ("x", "x", "y"), np.array([1.0, 2.0, 1.0]),
        {"hit": np.array([0.0, 1.0, 1.0])}, {},
    )  # fmt: skip
    metric = compute_metrics(found, Statistics(draws=2000))["hit"]
    # Means of the three pairs of clusters: xx 2/3, xy 3/4, yy 1.
    assert (metric.value, metric.low, metric.high) == pytest.approx((0.75, 2 / 3, 1.0))


def test_nothing_measured_is_refused(tmp_path: Path) -> None:
    empty = Outcome((), (), np.zeros(0), {"R@1": np.zeros(0)}, {})
    with pytest.raises(ValueError, match="without queries"):
        write_result(tmp_path, ModelInfo("mine"), RETRIEVAL, empty)
    with pytest.raises(ValueError, match="lacks its main metric 'mse'"):
        write_result(tmp_path, ModelInfo("mine"), RECONSTRUCTION, outcome(0.5))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", MAKERS)
def test_a_name_that_does_not_show_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="'name' is "):
        write(tmp_path, name, 0.5)
    assert not list(tmp_path.iterdir())


@given(name=st.text(min_size=1, max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_name_of_a_model_leads_out_of_the_folder(name: str) -> None:
    path = result_path("/results", name, RETRIEVAL)
    assert Path(os.path.normpath(path)) == path and path.parent.parent == Path("/results")
    assert path.parent.name.isascii() and len(path.parent.name) <= 100


def test_names_that_look_alike_as_folders_stay_apart() -> None:
    names = "owner/name", "owner--name", "../owner", "owner", "..", "a b", "a  b", "a/b/c", "a-b/c"
    folders = {result_path("out", name, RETRIEVAL).parent.name for name in names}
    assert len(folders) == len(names) - 1  # the first two: OWNER--NAME is no name of the Hub
    assert result_path("out", "owner/name", RETRIEVAL).parent.name == "owner--name"


@pytest.mark.parametrize("note", [float("nan"), float("inf"), 10**400, True, "x" * 2001])
def test_a_note_that_is_no_finite_number_or_short_text_is_refused(
    tmp_path: Path, note: Any
) -> None:
    with pytest.raises(ValueError, match="chance"):
        write_result(
            tmp_path, ModelInfo("m"), RETRIEVAL, outcome(0.5, chance=note), statistics=FAST
        )


# Verification


def test_what_was_written_is_verified(tmp_path: Path) -> None:
    write(tmp_path, "mine", 0.5)
    write(tmp_path, "owner/other", 0.1, RECONSTRUCTION)
    write_skipped(tmp_path, ModelInfo("mine"), RECONSTRUCTION, "the model has no reconstruct")
    found = verify(tmp_path)
    assert (found.checked, found.problems) == (2, ()) and found.ok
    assert found.unseen == (
        "data of tead/reconstruction version 1", "data of tead/t2e-class version 1",
    )  # fmt: skip
    assert verify(tmp_path, tasks=[RETRIEVAL, RECONSTRUCTION]).unseen == ()


def test_every_changed_byte_of_a_json_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", 0.5).path
    content = path.read_bytes()
    for place in range(0, len(content), 29):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DataError, match=r"tead\.t2e-class@1\.json: ") as caught:
            read_result(path)
        assert "\n" not in str(caught.value)
    for changed in (content + b" ", content[:-1], content.replace(b"\n", b"\r\n"), b""):
        path.write_bytes(changed)
        assert [str(path) in line for line in verify(path).problems] == [True]


def test_a_changed_byte_of_a_sidecar_is_found_and_so_is_one_that_is_gone(tmp_path: Path) -> None:
    result = write(tmp_path, "mine", 0.5)
    packed = result.sidecar.read_bytes()
    for place in (0, 100, len(packed) // 2, len(packed) - 1):
        result.sidecar.write_bytes(
            packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]
        )
        assert f"{result.sidecar}: its SHA-256 is" in verify(tmp_path).problems[0]
    result.sidecar.unlink()
    assert verify(tmp_path).problems == (f"{result.sidecar}: there is no such file",)


def test_every_changed_byte_of_a_log_is_found_and_a_log_may_be_gone(tmp_path: Path) -> None:
    log = write(tmp_path, "mine", 0.5, log={"seconds": 1.5}).log
    content = log.read_bytes()
    for place in range(len(content)):
        log.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert [str(log) in line for line in verify(tmp_path).problems] == [True]
    log.unlink()
    assert verify(tmp_path).ok


def test_a_write_waits_for_that_of_another_run(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", 0.5).path
    with ThreadPoolExecutor(1) as pool:
        with write_alone(tmp_path):
            other = pool.submit(write, tmp_path, "mine", 0.25)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.1)
            assert read_result(path).main.value == pytest.approx(0.5)
        assert other.result().path == path
    assert read_result(path).main.value == pytest.approx(0.25)
    assert verify(tmp_path).ok


def test_a_sidecar_without_a_result_is_named(tmp_path: Path) -> None:
    result = write(tmp_path, "mine", 0.5)
    result.path.unlink()
    assert verify(tmp_path).problems == (f"{result.sidecar}: there is no result beside it",)


@pytest.mark.parametrize("part", ["value", "low", "high"])
def test_a_forged_number_with_a_hash_that_fits_is_found(tmp_path: Path, part: str) -> None:
    path = write(tmp_path, "mine", 0.5).path
    record = json.loads(path.read_bytes())
    record["metrics"]["R@1"][part] += 0.001
    path.write_bytes(sign(record))
    (line,) = verify(path).problems
    assert line.startswith(f"{path}: R@1 is stated as") and part in line


def test_a_changed_file_that_was_measured_on_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "predictions.npz").write_bytes(b"faces")
    digest = hashlib.sha256(b"faces").hexdigest()
    write(tmp_path / "out", "mine", 0.5, inputs={"predictions.npz": digest})
    assert "predictions.npz" in verify(tmp_path / "out").unseen
    assert verify(tmp_path / "out", inputs=[data]).ok
    (data / "predictions.npz").write_bytes(b"Faces")
    (line,) = verify(tmp_path / "out", inputs=[data]).problems
    assert f"measured on {data / 'predictions.npz'} of SHA-256 {digest[:12]}" in line


def test_changed_data_of_a_task_are_named(tmp_path: Path) -> None:
    write(tmp_path, "mine", 0.5)
    now = replace(RETRIEVAL, data_sha256="c" * 64)
    (line,) = verify(tmp_path, tasks=[now]).problems
    assert "data of tead/t2e-class were aaaaaaaaaaaa…, now they are cccccccccccc…" in line
    assert verify(tmp_path, tasks=[replace(now, version=2)]).unseen


def test_a_path_with_nothing_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no results"):
        verify(tmp_path)
    with pytest.raises(DataError, match="there is no such result"):
        verify(tmp_path / "none.json")


# Strangers


def forge(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], bytes]:
    def made(record: dict[str, Any]) -> bytes:
        change(record)
        return sign(record)

    return made


STRANGE: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "no object": lambda record: b"[1]\n",
    "deep": lambda record: b"[" * 100_000,
    "not UTF-8": lambda record: b"\xff\xfe{}",
    "NaN": lambda record: sign(record).replace(b'"seed": 0', b'"seed": NaN'),
    "infinite": lambda record: sign(record).replace(b'"seed": 0', b'"seed": 1e999'),
    "surrogate": lambda record: sign(record).replace(b'"mine"', b'"\\ud800"'),
    "doubled": lambda record: sign(record).replace(b'"seed": 0,', b'"seed": 0,\n  "seed": 0,'),
    "large": lambda record: b" " * (5 * 2**20),
    "a list of metrics": forge(lambda r: r.update(metrics=[1])),
    "no main metric": forge(lambda r: r["metrics"].pop("R@1")),
    "a metric of words": forge(lambda r: r["metrics"]["R@1"].update(value="0.5")),
    "a metric too large": forge(lambda r: r["metrics"]["R@1"].update(value=10**400)),
    "an odd field": forge(lambda r: r.update(more=1)),
    "a field of the model": forge(lambda r: r["model"].update(admin=True)),
    "a role": forge(lambda r: r["model"].update(role="winner")),
    "true as a version": forge(lambda r: r["task"].update(version=True)),
    "a task that escapes": forge(lambda r: r["task"].update(id="../../etc/passwd")),
    "another task": forge(lambda r: r["task"].update(id="tead/other")),
    "another model": forge(lambda r: r["model"].update(name="theirs")),
    "an input that escapes": forge(lambda r: r.update(inputs={"../../etc/passwd": "a" * 64})),
    "an absolute input": forge(lambda r: r.update(inputs={"/etc/passwd": "a" * 64})),
    "a hash that is none": forge(lambda r: r.update(inputs={"x": "a"})),
    "endless draws": forge(lambda r: r["statistics"].update(draws=10**12)),
    "a level": forge(lambda r: r["statistics"].update(level=1.0)),
    "needs": forge(lambda r: r["task"].update(needs="encode_text")),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_result_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, "mine", 0.5).path
    path.write_bytes(STRANGE[kind](json.loads(path.read_bytes())))
    with pytest.raises(DataError) as caught:
        read_result(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert find_results(tmp_path).problems == (str(caught.value),)


def archive(**members: bytes) -> bytes:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as packed:
            for name, content in members.items():
                packed.writestr(f"{name}.npy", content)
        return stream.getvalue()


def npy(array: Any) -> bytes:
    with io.BytesIO() as stream:
        np.save(stream, array, allow_pickle=True)
        return stream.getvalue()


GOOD = {
    "keys": npy(np.frombuffer(b'["a","b"]', np.uint8)),
    "clusters": npy(np.frombuffer(b'["a","b"]', np.uint8)),
    "metrics": npy(np.frombuffer(b'["R@1"]', np.uint8)),
    "weights": npy(np.ones(2)),
    "values": npy(np.ones((1, 2))),
}
HEAVY = npy(np.zeros(3)).replace(b"(3,)", b"(9,)")


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("values", npy(np.array([{"a": 1}], dtype=object))),
        ("values", npy(np.ones((2, 2)))),
        ("values", npy(np.full((1, 2), np.nan))),
        ("values", npy(np.ones((1, 2), np.float32))),
        ("values", HEAVY),
        ("values", b"\x93NUMPY"),
        ("values", b""),
        ("weights", npy(np.array([1.0, -1.0]))),
        ("keys", npy(np.frombuffer(b'["b","a"]', np.uint8))),
        ("keys", npy(np.frombuffer(b'["a","a"]', np.uint8))),
        ("keys", npy(np.frombuffer(b"[1,2]", np.uint8))),
        ("keys", npy(np.frombuffer(b"[" * 100_000, np.uint8))),
        ("keys", npy(np.frombuffer(b"\xff", np.uint8))),
        ("clusters", npy(np.frombuffer(b'["a"]', np.uint8))),
        ("metrics", npy(np.ones(3))),
        ("more", npy(np.ones(3))),
    ],
)
def test_a_strange_sidecar_is_refused_in_one_line(member: str, content: bytes) -> None:
    assert parse_outcome(archive(**GOOD), "x.npz", {}).keys == ("a", "b")
    with pytest.raises(DataError, match=r"x\.npz: ") as caught:
        parse_outcome(archive(**GOOD | {member: content}), "x.npz", {})
    assert "\n" not in str(caught.value)


def test_a_sidecar_that_unpacks_to_more_is_refused() -> None:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in GOOD.items():
                packed.writestr(f"{name}.npy", content)
        with pytest.raises(DataError, match=r"x\.npz: is compressed"):
            parse_outcome(stream.getvalue(), "x.npz", {})


@given(content=st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_bytes_as_a_sidecar_are_refused(content: bytes) -> None:
    with pytest.raises(DataError):
        parse_outcome(content, "x.npz", {})


@given(keys=st.sets(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_any_keys_come_back(keys: set[str]) -> None:
    order = tuple(sorted(keys))
    one = Outcome(
        order, order, np.ones(len(order)), {"R@1": np.arange(len(order), dtype=float)}, {}
    )
    again = parse_outcome(pack_outcome(one), "x.npz", {})
    assert again.keys == again.clusters == order
    assert np.array_equal(again.values["R@1"], one.values["R@1"])


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "theirs", "mine", 0.5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").symlink_to(tmp_path / "theirs/mine")
    assert find_results(tmp_path / "out").results == ()


# Skips


def test_a_skip_takes_the_place_of_a_result_and_a_result_that_of_a_skip(tmp_path: Path) -> None:
    result = write(tmp_path, "mine", 0.5)
    skipped = write_skipped(tmp_path, ModelInfo("mine"), RETRIEVAL, "no\nencode_text")
    assert find_results(tmp_path).results == ()
    assert read_skipped(skipped.path).reason == "no encode_text"
    assert [path.name for path in skipped.path.parent.iterdir()] == ["tead.t2e-class@1.skip.json"]
    assert write(tmp_path, "mine", 0.5).sha256 == result.sha256
    assert find_results(tmp_path).skipped == ()


# Comparison


def test_a_constant_gap_is_found_with_its_sign_and_certainty(tmp_path: Path) -> None:
    a, b = write(tmp_path, "better", 0.6), write(tmp_path, "worse", 0.5)
    found = compare(a.path, b.path)
    main, other = found.differences
    assert (found.a, found.b, main.metric, main.main) == ("better", "worse", "R@1", True)
    assert (main.value, main.low, main.high) == pytest.approx((0.1, 0.1, 0.1))
    assert main.p == main.p_holm == pytest.approx(1e-4) and main.queries == 40
    assert main.detectable == pytest.approx(0, abs=1e-9)
    assert other.p_holm is None and main.p_mcnemar is None
    assert (main.higher_is_better, other.higher_is_better, main.level) == (True, None, 0.95)
    assert compare(b.path, a.path).differences[0].value == pytest.approx(-0.1)


def right_or_wrong(hits: str, clusters: str, weights: tuple[float, ...] = (1.0,) * 10) -> Outcome:
    """Return a query for each 0 or 1, with an error that is 0 everywhere."""
    values = np.array([float(hit) for hit in hits])
    keys = tuple(f"text {number:02}" for number in range(len(hits)))
    found = {"R@1": values, "error": 0 * values, "MRR": (1 + values) / 2}
    return Outcome(keys, tuple(clusters), np.array(weights), found, {})


def p_mcnemar(folder: Path, *more: Any) -> dict[str, float | None]:
    paths = [
        write_result(
            folder, ModelInfo(name), RETRIEVAL, right_or_wrong(hits, *more), statistics=FAST
        ).path
        for name, hits in (("a", "1000000110"), ("b", "0111111110"))
    ]
    return {one.metric: one.p_mcnemar for one in compare(*paths).differences}


def test_mcnemar_is_told_where_queries_are_right_or_wrong_and_stand_alone(tmp_path: Path) -> None:
    # one query that a alone has right, six that b alone has
    assert p_mcnemar(tmp_path, "abcdefghij") == {
        "R@1": pytest.approx(2 * (1 + 7) / 2**7), "MRR": None, "error": None,
    }  # fmt: skip
    assert set(p_mcnemar(tmp_path, "aacdefghij").values()) == {None}
    uneven = (2.0, *[1.0] * 9)
    assert set(p_mcnemar(tmp_path, "abcdefghij", uneven).values()) == {None}


def test_a_comparison_is_printed_so_that_it_can_be_read(tmp_path: Path) -> None:
    p_mcnemar(tmp_path, "abcdefghij")
    for name, mean in (("a", 0.06), ("b", 0.02)):
        write(tmp_path, name, mean, RECONSTRUCTION)
    folders = [str(tmp_path / name) for name in ("a", "b")]
    done = CliRunner().invoke(app, ["compare", *folders])
    lines = done.output.splitlines()
    assert lines[:2] == ["a: a", "b: b"] and done.output.isascii()
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")
    ]
    assert table[0] == [
        "task", "metric", "better", "a", "b", "a - b [95%]", "p", "p (Holm)", "p (McNemar)",
        "detectable",
    ]  # fmt: skip
    error, hits = table[2:]
    assert error == [
        "tead/reconstruction", "mse", "lower", "0.0600", "0.0200", "+0.0400 [+0.0400, +0.0400]",
        "0.0001", "0.0002", "", "",
    ]  # fmt: skip
    assert hits[:5] == ["tead/t2e-class", "R@1", "higher", "0.300", "0.800"]
    assert hits[5].startswith("-0.500 [-0.") and hits[6:9] == ["0.1250", "0.1250", "0.1250"]
    assert len({len(line) for line in lines if line.startswith("|")}) == 1
    assert "McNemar: exact" in done.output and "mae" not in done.output
    every = CliRunner().invoke(app, ["compare", "--all", *folders]).output
    assert "| MRR " in every and "| error " in every


def test_no_column_stands_empty(tmp_path: Path) -> None:
    paths = [str(write(tmp_path, name, 0.5).path) for name in ("a", "b")]
    output = CliRunner().invoke(app, ["compare", *paths]).output
    assert "McNemar" not in output and "p (Holm)" in output and "| detectable" not in output


def test_equal_models_differ_by_nothing(tmp_path: Path) -> None:
    found = compare(write(tmp_path, "a", 0.5).path, write(tmp_path, "b", 0.5).path)
    assert {(d.value, d.low, d.high, d.p) for d in found.differences} == {(0.0, 0.0, 0.0, 1.0)}


def test_folders_are_compared_in_what_both_have_with_holm_over_tasks(tmp_path: Path) -> None:
    for name, mean in (("a", 0.6), ("b", 0.5)):
        write(tmp_path, name, mean)
        write(tmp_path, name, mean, RECONSTRUCTION)
    write(tmp_path, "b", 0.5, replace(RETRIEVAL, id="tead/e2t-class"))
    found = compare(tmp_path / "a", tmp_path / "b")
    mains = [(d.task, d.p, d.p_holm) for d in found.differences if d.main]
    assert mains == [
        ("tead/reconstruction", pytest.approx(1e-4), pytest.approx(2e-4)),
        ("tead/t2e-class", pytest.approx(1e-4), pytest.approx(2e-4)),
    ]
    assert found.alone == ("tead/e2t-class",)
    with pytest.raises(DataError, match=r"has results of 2 models \('a', 'b'\), expected one"):
        compare(tmp_path, tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "version of tead/t2e-class is 1 there, 2 here"),
        ({"data_sha256": "c" * 64}, "data of tead/t2e-class is 'aaaaaaaaaaaa' there"),
        ({"higher_is_better": False}, "higher_is_better of tead/t2e-class is True there"),
        ({"id": "tead/other"}, "no task in common"),
    ],
)
def test_what_means_something_else_is_not_compared(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    a = write(tmp_path, "a", 0.6)
    b = write(tmp_path, "b", 0.5, replace(RETRIEVAL, **change))
    with pytest.raises(DataError, match=told) as caught:
        compare(a.path, b.path)
    assert "\n" not in str(caught.value)


def test_other_queries_are_not_compared(tmp_path: Path) -> None:
    a = write(tmp_path, "a", 0.6)
    fewer = outcome(0.5, queries=38)
    b = write_result(tmp_path, ModelInfo("b"), RETRIEVAL, fewer, statistics=FAST)
    with pytest.raises(DataError, match="they have other queries"):
        compare(a.path, b.path)
