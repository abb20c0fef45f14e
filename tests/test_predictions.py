"""Saved answers: scored as the model would be, and refused in one line where they are hostile."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from expclip.benchmarks.answers import face_id, text_id
from expclip.benchmarks.baselines import Random
from expclip.benchmarks.predictions import read_predictions, write_inputs, write_predictions
from expclip.benchmarks.results.record import Statistics
from expclip.benchmarks.run import evaluate
from expclip.benchmarks.tasks import Sources, collect_tasks
from expclip.cli.bench import app
from expclip.face.errors import DataError

SMOKE = Sources(smoke=True)
FEW = Statistics(draws=50)
TASKS = ["tead/t2e-class", "tead/t2e-regression", "tead/reconstruction", "synthetic/animation"]


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("unpickled"),)


def inputs_of(folder: Path, kind: str) -> list[dict[str, object]]:
    lines = (folder / "inputs.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays, allow_pickle=True)
    return path


def good(**changed: np.ndarray) -> dict[str, np.ndarray]:
    arrays = {"encode_text.ids": np.array(["a", "b"]), "encode_text.values": np.ones((2, 3))}
    return {name: array for name, array in (arrays | changed).items() if array is not None}


def test_saved_answers_score_what_the_model_scores(tmp_path: Path) -> None:
    model = Random(SMOKE.tead_data.train.faces)
    tasks, _ = collect_tasks(SMOKE, TASKS)
    counts = write_inputs(tmp_path / "inputs", tasks)
    assert set(counts) == {"text", "face", "speech"} and counts["speech"] == 2
    texts = [str(line["text"]) for line in inputs_of(tmp_path / "inputs", "text")]
    faces = np.array([line["weights"] for line in inputs_of(tmp_path / "inputs", "face")], "f4")
    ids = [str(line["id"]) for line in inputs_of(tmp_path / "inputs", "face")]
    assert [face_id(row) for row in faces] == ids  # the text has all digits that count
    answers = {
        "text_to_expression": ([text_id(text) for text in texts], model.text_to_expression(texts)),
        "encode_text": ([text_id(text) for text in texts], model.encode_text(texts)),
        "encode_expression": (ids, model.encode_expression(faces)),
    }
    path = tmp_path / "random.npz"
    write_predictions(path, answers, name="random, saved")
    saved = evaluate(read_predictions(path), TASKS, data=SMOKE, statistics=FEW)
    alive = evaluate(model, TASKS, data=SMOKE, statistics=FEW)
    assert saved.model.name == "random, saved"
    assert saved.scores == {task: alive.scores[task] for task in TASKS[:2]}
    assert set(saved.skipped) == set(TASKS[2:])


def test_saved_motion_is_scored_and_the_command_says_what_is_missing(tmp_path: Path) -> None:
    tasks, _ = collect_tasks(SMOKE, ["synthetic/animation"])
    write_inputs(tmp_path / "inputs", tasks)
    asked = inputs_of(tmp_path / "inputs", "speech")
    assert all((tmp_path / "inputs" / str(line["file"])).is_file() for line in asked)
    clips = [np.full((22, 52), 0.1) for _ in asked]
    write_predictions(
        tmp_path / "p.npz", {}, motions=([str(line["id"]) for line in asked], clips, 15)
    )
    done = CliRunner().invoke(
        app, ["score", str(tmp_path / "p.npz"), "--smoke", "--out", str(tmp_path / "out"),
              "--draws", "20", "--task", "synthetic/*"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "synthetic/animation " in done.output
    assert "skipped synthetic/style" in done.output


def test_inputs_name_the_command_that_scores_them_on_the_same_data(tmp_path: Path) -> None:
    asked = ["--smoke", "--task", "tead/t2e-class", "--task", "tead/paths"]
    done = CliRunner().invoke(app, ["inputs", *asked, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "score answers.npz --task=tead/t2e-class --task=tead/paths --smoke\n" in done.output
    ids = np.array([line["id"] for line in inputs_of(tmp_path, "text")])
    path = tmp_path / "some.npz"
    rows = np.ones((len(ids) - 1, 52))
    np.savez(path, **{"text_to_expression.ids": ids[1:], "text_to_expression.values": rows})
    done = CliRunner().invoke(app, ["score", str(path), *asked[:3], "--out", str(tmp_path)])
    assert f" 1 of {len(ids)} inputs" in str(done.exception)


def test_answers_to_some_questions_only_are_refused(tmp_path: Path) -> None:
    texts = sorted(set(SMOKE.tead_data.test.texts))[:5]
    path = tmp_path / "p.npz"
    write_predictions(path, {"text_to_expression": ([text_id(t) for t in texts], np.ones((5, 52)))})
    with pytest.raises(
        DataError, match=r"text_to_expression has no answer for \w{16}, 67 of 72 inputs"
    ):
        evaluate(read_predictions(path), ["tead/t2e-class"], data=SMOKE, statistics=FEW)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (good(**{"encode_text.values": np.array([[Trap()]] * 2, object)}), "Python objects"),
        (good(**{"encode_text.ids": np.array([Trap(), Trap()], object)}),
         r"encode_text.ids has Python objects, .* expected np.array\(ids, str\)"),
        (good(**{"encode_text.values": np.full((2, 3), np.nan)}), "row 0 has NaN"),
        (good(**{"encode_text.values": np.full((2, 3), 1e300)}), "row 0 has NaN or infinite"),
        (good(**{"encode_text.values": np.ones(2)}), r"float64 \(2,\), expected real numbers"),
        (good(**{"encode_text.values": np.ones((3, 3))}), "2 ids and 3 rows"),
        (good(**{"encode_text.values": np.ones((2, 3), complex)}), "is complex128"),
        (good(**{"encode_text.values": None}), "has no encode_text.values beside it"),
        (good(**{"encode_text.ids": None}), "encode_text.values has no encode_text.ids beside it"),
        (good(**{"encode_text.ids": np.array([], str)}), r"<U1 \(0,\), expected \(n,\) .* from 1"),
        (good(name=np.array("\x1b[31m")), "name.* expected one line of visible text"),
        (good(**{"encode_text.ids": np.array(["a", "a"])}), "encode_text.ids has 'a' twice"),
        (good(**{"encode_text.ids": np.array([1, 2])}), r"int64 \(2,\), expected \(n,\) strings"),
        (good(**{"text_to_expression.ids": np.array(["a"]),
                 "text_to_expression.values": np.ones((1, 51))}), r"real numbers \(n, 52\)"),
        (good(**{"decode.ids": np.array(["a"])}), "array 'decode.ids', expected METHOD.ids"),
        (good(**{"animate.ids": np.array(["a"]), "animate.values": np.ones((3, 52))}),
         "animate.frames is missing"),
        (good(**{"animate.ids": np.array(["a"]), "animate.values": np.ones((3, 52)),
                 "animate.frames": np.array([4])}), "do not sum to the 3 frames"),
        (good(**{"animate.ids": np.array(["a"]), "animate.values": np.ones((3, 52)),
                 "animate.frames": np.array([3])}), "animate.fps is missing"),
        ({"name": np.array("me")}, "no METHOD.ids"),
    ],
)  # fmt: skip
def test_hostile_answers_are_one_line(
    arrays: dict[str, np.ndarray], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "p.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(DataError, match=told) as raised:
        read_predictions(path)
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)
    assert not (tmp_path / "unpickled").exists()


def header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x05\x06" + bytes(18),
        b"\x93NUMPY\x01\x00",
        pickle.dumps(Trap()),
        b"hello, this is no npz",
    ],
)
def test_what_is_no_npz_is_one_line(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_predictions(tmp_path / "p.npz")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "unpickled").exists()
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path / "none.npz")


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("encode_text.ids.npy", b"\0" * 20_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="20,000,000 bytes of arrays, expected at most 1,000,000"):
        read_predictions(path, max_bytes=1_000_000)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("encode_text.ids.npy", header((10**15, 52)))  # claims petabytes
    with pytest.raises(DataError, match="expected plain numbers in as many bytes"):
        read_predictions(path)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100):
            archive.writestr(f"x{number}.npy", b"")
    with pytest.raises(DataError, match="100 arrays"):
        read_predictions(path)
