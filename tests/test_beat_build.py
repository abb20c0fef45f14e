import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from beat_tree import JAW, Take, speech, textgrid, weights_of, write_audio, write_tree
from typer.testing import CliRunner

from expclip.beat_loader import SELECTIONS, BuildOptions, build, resample
from expclip.cli.beat import app
from expclip.face import BLENDSHAPE_INDEX
from expclip.face.errors import DataError, MissingExtra

TAKES = [
    Take("1_wayne_0_1_1", 6, 9, "FLOAT"),
    Take("1_wayne_0_9_9", 6, 6),
    Take("2_scott_0_65_65", 5, 5.2, "PCM_24"),
    Take("5_stewart_0_65_65", 34, 34.1),
    Take("13_lu_2_9_9", 5, 5),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("beat"), TAKES)


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(out / "takes.parquet").to_pylist()}


def hashes(out: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())
    }


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "beat"
    build(tree, out)
    return out


def test_frames_and_samples_of_a_take_are_where_the_index_says(built: Path) -> None:
    frames, audio = np.load(built / "frames.npy"), np.load(built / "audio.npy")
    row = rows_of(built)["1_wayne_0_9_9"]
    own = frames[row["frame_start"] : row["frame_start"] + row["frames"]]
    expected = resample(weights_of(TAKES[1]), 60.0, 15.0)
    np.testing.assert_allclose(own[:, BLENDSHAPE_INDEX["jawOpen"]], expected[:, JAW], atol=1e-6)
    assert not own[:, BLENDSHAPE_INDEX["tongueOut"]].any()
    heard = audio[row["sample_start"] : row["sample_start"] + row["samples"]]
    np.testing.assert_allclose(heard / 32768, speech(6), atol=1 / 32000)
    assert frames.dtype == np.float32
    assert audio.dtype == np.int16


def test_a_take_whose_speech_is_3_s_longer_is_cut_and_reported(built: Path) -> None:
    row = rows_of(built)["1_wayne_0_1_1"]
    assert (row["frames"], row["samples"]) == (90, 96_000)
    assert (row["face_s"], row["audio_s"]) == (6, 9)
    assert row["drift_s"] == pytest.approx(3)
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["drifting"] == {"1_wayne_0_1_1": pytest.approx(3)}


def test_labels_splits_and_words_are_in_the_index(built: Path) -> None:
    rows = rows_of(built)
    assert {key: row["split"] for key, row in rows.items()} == {
        "1_wayne_0_1_1": "test",
        "1_wayne_0_9_9": "train",
        "2_scott_0_65_65": "test",
        "5_stewart_0_65_65@0": "test",
        "5_stewart_0_65_65@30": "val",
    }
    row = rows["1_wayne_0_9_9"]
    assert row["transcript"] == "so there"
    assert row["words"][0] == {"start_s": 0.5, "stop_s": 1.0, "text": "so"}
    assert row["gestures"][0]["type"] == "iconic_h"
    assert row["emotions"][0]["emotion"] == "neutral"
    assert (rows["2_scott_0_65_65"]["emotion"], rows["2_scott_0_65_65"]["emotion_code"]) == (
        "happiness",
        1,
    )


def test_a_take_in_two_splits_is_cut_at_30_seconds(built: Path) -> None:
    rows = rows_of(built)
    first, second = rows["5_stewart_0_65_65@0"], rows["5_stewart_0_65_65@30"]
    assert (first["frames"], second["frames"]) == (450, 60)
    assert second["frame_start"] == first["frame_start"] + 450
    assert second["sample_start"] == first["sample_start"] + 480_000
    assert (second["start_s"], second["transcript"]) == (30, "")


def test_left_out_files_are_written_down_with_their_reasons(built: Path) -> None:
    lines = (built / "left_out.csv").read_text().splitlines()
    assert lines[0] == "file,reason"
    assert len(lines) == 1 + 6
    assert all(line.endswith(",not selected: chinese") for line in lines[1:])


def test_the_manifest_has_the_hash_of_every_file(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    found = hashes(built)
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == {
        name: value for name, value in found.items() if name != "manifest.json"
    }
    assert manifest["counts"] == {"takes": 4, "parts": 5, "frames": 765, "left_out": 6}


def test_the_same_takes_give_the_same_bytes_whatever_the_workers(
    tree: Path, built: Path, tmp_path: Path
) -> None:
    build(tree, tmp_path / "out", workers=2)
    assert hashes(tmp_path / "out") == hashes(built)


class Stop(Exception):
    """What a crash is played by."""


def stop_at(count: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise Stop

    return progress


@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("damage", ["", "more", "torn"])
def test_a_build_that_was_stopped_goes_on_to_the_same_bytes(
    after: int,
    damage: str,
    tree: Path,
    built: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Stop):
        build(tree, out, progress=stop_at(after))
    assert not (out / "manifest.json").exists()
    if damage == "more":  # bytes of a take that the journal does not know
        with (out / ".frames.npy.part").open("ab") as stream:
            stream.write(b"\1" * 1000)
    if damage == "torn":  # a line that was not written to its end
        with (out / ".build.jsonl").open("ab") as stream:
            stream.write(b'{"take": {"na')
    steps: list[int] = []
    build(tree, out, progress=lambda done, total: steps.append(done))
    assert steps == list(range(after + 1, 5))
    assert hashes(out) == hashes(built)


def test_a_crash_while_the_files_get_their_names_is_no_loss(
    tree: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise Stop

    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr("expclip.beat_loader.store._write_csv", fail)
        build(tree, out)
    assert (out / "frames.npy").exists()
    build(tree, out)
    assert hashes(out) == hashes(built)


def test_a_finished_build_is_not_made_again_and_another_is_not_replaced(
    tree: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = build(tree, out)
    assert build(tree, out, progress=stop_at(1)) == first
    other = BuildOptions(SELECTIONS["beat-16h"], method="decimate", audio=False)
    with pytest.raises(DataError, match="holds a build of other takes or options"):
        build(tree, out, other)
    manifest = build(tree, out, other, overwrite=True)
    assert manifest["counts"]["takes"] == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "frames.npy", "left_out.csv", "manifest.json", "takes.parquet",
    ]  # fmt: skip
    np.testing.assert_allclose(
        np.load(out / "frames.npy")[:, BLENDSHAPE_INDEX["jawOpen"]],
        weights_of(TAKES[2])[::4, JAW],
        atol=1e-7,
    )


def test_an_unfinished_build_of_another_plan_is_not_gone_on_with(
    tree: Path, tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        build(tree, tmp_path / "out", progress=stop_at(1))
    with pytest.raises(DataError, match="unfinished build of other takes or options"):
        build(tree, tmp_path / "out", BuildOptions(fps=30.0))
    build(tree, tmp_path / "out", BuildOptions(fps=30.0), overwrite=True)


def test_two_builds_do_not_write_to_one_folder(tree: Path, tmp_path: Path) -> None:
    def progress(done: int, total: int) -> None:
        with pytest.raises(DataError, match="another build is writing here"):
            build(tree, tmp_path / "out")
        raise Stop

    with pytest.raises(Stop):
        build(tree, tmp_path / "out", progress=progress)
    build(tree, tmp_path / "out")


@pytest.mark.parametrize("damage", [b"{\n", b'{"plan": 1}\n', b'[]\n{"take": 1}\n'])
def test_a_damaged_journal_is_one_line(damage: bytes, tree: Path, tmp_path: Path) -> None:
    (tmp_path / ".build.jsonl").write_bytes(damage)
    with pytest.raises(DataError, match=r"is damaged|unfinished build of other takes"):
        build(tree, tmp_path)
    build(tree, tmp_path, overwrite=True)


def test_broken_takes_are_left_out_one_line_each_and_the_others_go_on(tmp_path: Path) -> None:
    names = [f"2_scott_0_{n}_{n}" for n in range(9, 16)]
    root = write_tree(tmp_path / "in", [Take(name, 5, 5) for name in names], "flat")
    (root / "2_scott_0_9_9.json").write_text('{"names": [')
    (root / "2_scott_0_10_10.TextGrid").write_text(textgrid(6, [(0, 1, "x")])[:80])
    (root / "2_scott_0_11_11.csv").write_text("what, is, this")
    whole = (root / "2_scott_0_12_12.wav").read_bytes()
    (root / "2_scott_0_12_12.wav").write_bytes(whole[:40] + b"\xf0\xff\xff\x7f" + whole[44:])
    text = (root / "2_scott_0_13_13.json").read_text()
    last = text.rindex('"time": ')
    (root / "2_scott_0_13_13.json").write_text(
        text[:last] + '"time": 90000000.0, "rotation": []}]}'
    )
    write_audio(root / "2_scott_0_14_14.wav", speech(0.01))
    manifest = build(root, tmp_path / "out")
    assert manifest["counts"]["takes"] == 1
    lines = (tmp_path / "out" / "left_out.csv").read_text().splitlines()
    assert len(lines) == 1 + 6 * 6
    own = [line for line in lines[1:] if "its take is left out" not in line]
    assert [line.split(",")[0] for line in own] == [
        "2_scott_0_10_10.TextGrid", "2_scott_0_11_11.csv", "2_scott_0_12_12.wav",
        "2_scott_0_13_13.json", "2_scott_0_14_14.json", "2_scott_0_9_9.json",
    ]  # fmt: skip
    assert str(tmp_path) not in "".join(lines)


def test_a_folder_without_takes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no take with face and speech"):
        build(tmp_path, tmp_path / "out")


def test_without_soundfile_a_build_says_so_at_once(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtra, match=r"pip install 'expclip\[models\]'"):
        build(tree, tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["[1]", "{", '{"beat_format": 99}'])
def test_a_folder_of_something_else_is_not_taken_over(
    content: str, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match="is no manifest"):
        build(tree, tmp_path)


@pytest.mark.parametrize("wrong", [{"fps": 0.5}, {"method": "nearest"}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be within|expected one of"):
        BuildOptions(**wrong)


# The commands.


def told(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    if result.exception:
        raise result.exception
    return result.output


def test_index_prints_hours_and_everything_left_out(tree: Path) -> None:
    text = told("index", str(tree), "--select", "english")
    assert "4 takes, 0.01 h of speech with a face" in text
    assert "1_wayne_0_1_1: speech +3.00 s" in text
    assert "left out, 6 files: not selected: chinese" in text
    assert "13_lu_2_9_9.TextGrid" in text
    assert [line for line in text.splitlines() if not line.startswith(" ")][:5] == [
        "language", "kind", "emotion", "split", "speaker",
    ]  # fmt: skip
    assert "13_lu_2_9_9" not in told("index", str(tree), "--select", "english", "--no-files")


def test_build_names_its_files_and_what_comes_next(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = told("build", str(tree), "--out", str(out), "--speakers", "1-2", "--workers", "1")
    assert "3 takes, 255 frames: train 0.00 h, test 0.00 h" in text
    assert f"wrote {out / 'frames.npy'}" in text
    assert f'next: expclip.beat_loader.BeatDataset("{out}")' in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--select", "some"), "--select is 'some', expected one of all, english"),
        (("--speakers", "1-x"), "--speakers has '1-x', expected numbers such as"),
        (("--speakers", "31"), "--speakers has '31', expected numbers from 1 to 30"),
    ],
)
def test_a_wrong_option_is_one_line(words: tuple[str, ...], message: str, tree: Path) -> None:
    with pytest.raises(ValueError, match=message):
        told("index", str(tree), *words)
