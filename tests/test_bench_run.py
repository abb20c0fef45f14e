"""Measuring anyone's model: found by name, checked, resumed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from expclip.benchmarks.baselines import Constant
from expclip.benchmarks.loading import load_model
from expclip.benchmarks.protocols import METHODS, Asked, Skip
from expclip.benchmarks.results.record import Statistics, read_result
from expclip.benchmarks.run import evaluate, fingerprint
from expclip.benchmarks.tasks import Sources, collect_tasks
from expclip.cli.bench import app
from expclip.face.errors import DataError, MissingExtra, ModelError

SMOKE = Sources(smoke=True)
FEW = Statistics(draws=50)
TASK = "tead/t2e-class"

MODEL = """
import numpy as np
from models.net import WIDTH            # the folder's own package
from benchmarks import NAME
import datasets

class Mine:
    name = NAME
    def text_to_expression(self, texts):
        return np.zeros((len(texts), WIDTH)) + datasets.SMALL
"""


class Faces:
    name = "faces"

    def __init__(self, answer: Callable[[list[str]], object]) -> None:
        self.text_to_expression = answer


def faces(texts: list[str]) -> np.ndarray:
    return np.zeros((len(texts), 52))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A research checkout whose own packages are called as ours, and as our dependencies."""
    for name, content in (
        ("models/__init__.py", ""),
        ("models/net.py", "WIDTH = 52\n"),
        ("benchmarks/__init__.py", "NAME = 'theirs'\n"),
        ("datasets.py", "SMALL = 0.01\n"),
        ("mine.py", MODEL),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_a_model_in_a_folder_with_its_own_models_and_benchmarks_is_measured(folder: Path) -> None:
    code = "import sys; sys.path.pop(0); from expclip.cli.bench import app; app()"
    command = [sys.executable, "-c", code, "run", "--smoke", "--model", "mine:Mine"]
    done = subprocess.run(
        [*command, "--task", TASK, "--task", "goemotions/*", "--draws", "50"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "theirs:" in done.stdout
    result = read_result(folder / "out/results/smoke/theirs/tead.t2e-class@1.json")
    assert result.notes["by"] == "faces"


def test_a_module_that_hides_a_package_of_a_baseline_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchthing.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        __import__("torchthing")
        raise MissingExtra("torchthing", "models")

    monkeypatch.setattr("expclip.benchmarks.baselines.baseline", refuse)
    done = CliRunner().invoke(app, ["run", "--smoke", "--baseline", "nearest"])
    assert f"{tmp_path / 'torchthing.py'} hides a package" in str(done.exception)


def test_a_name_that_cannot_be_shown_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(DataError, match=r"name.* expected one line of visible text"):
        evaluate(Faces(faces), [TASK], data=SMOKE, name="\x1b[31m", statistics=FEW)


def test_the_commands_stand_in_the_order_of_their_use() -> None:
    told = CliRunner().invoke(app, ["--help"]).output
    order = ("list ", "run ", "inputs ", "score ", "compare ", "verify ", "report ", "publish ")
    places = [told.index(f"│ {name}") for name in order]
    assert places == sorted(places)


def test_a_file_and_an_object_name_a_model_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (folder / "plain_one.py").write_text("class A:\n    x = 1\n\nthing = 3\nclass B:\n    pass\n")
    found = load_model(f"{folder / 'plain_one.py'}:A")
    assert type(found).__name__ == "A"
    assert load_model(f"{folder / 'plain_one.py'}:thing") == 3
    assert load_model(f"{folder / 'plain_one.py'}:A.x") == 1


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        ("x = 1", "bad_a:Mine", "has no 'Mine'"),
        ("import nothing_of_this_name", "bad_b:Mine", "no module 'nothing_of_this_name'"),
        ("def Mine(size): pass", "bad_c:Mine", "cannot be called with nothing"),
        ("1 / 0", "bad_d:Mine", r"cannot be imported \(.*bad_d.py, line 1\): ZeroDivisionError"),
        (
            "\ndef x(:",
            "bad_e:Mine",
            r"imported \(.*bad_e.py, line 2\): SyntaxError: invalid syntax$",
        ),
        ("import sys; sys.exit(3)", "bad_f:Mine", r"\(.*bad_f.py, line 1\): SystemExit: 3"),
        ("class Mine:\n def __init__(self, a, *, b): pass", "bad_g:Mine", r"it takes \(a, \*, b\)"),
        ("def Mine(): pass", "bad_h:Mine", "returned None, expected a model"),
        ("", "no/bad_i.py:Mine", r"no such file"),
        ("", "", "no folder here"),
    ],
)
def test_a_broken_module_is_one_line(
    content: str, name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    if content:
        (tmp_path / f"{name.split(':')[0]}.py").write_text(content)
    with pytest.raises(ModelError, match=told) as raised:
        load_model(name)
    assert "\n" not in str(raised.value)


def test_an_object_that_can_be_called_is_taken_as_it_is_if_it_has_a_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "a_network.py").write_text(
        "class Net:\n    def __call__(self, x): return x\n"
        "    def encode_text(self, texts): return texts\n\nnet = Net()\n"
    )
    assert type(load_model(f"{tmp_path / 'a_network.py'}:net")).__name__ == "Net"


def test_files_of_one_name_and_of_the_name_of_a_package_are_each_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for place, value in (("a/net_of_two.py", 1), ("b/net_of_two.py", 2), ("b/json.py", 3)):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(f"what = {value}\n")
        assert load_model(f"{tmp_path / place}:what") == value


def test_two_models_of_one_name_are_refused_before_one_takes_the_others_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    text = "class Net:\n    def text_to_expression(self, texts): return [[{}] * 52] * len(texts)"
    for name, value in (("old_net", 0.25), ("new_net", 0.5)):
        (tmp_path / f"{name}.py").write_text(text.format(value))
    few = ["run", "--smoke", "--task", TASK, "--draws", "20", "--model", "old_net:Net"]
    told = CliRunner().invoke(app, [*few, "--model", "new_net:Net"])
    assert "2 models are called 'Net'" in str(told.exception)
    assert not (tmp_path / "out").exists()
    assert "replaced" not in CliRunner().invoke(app, few).output
    again = CliRunner().invoke(app, [*few[:-1], "new_net:Net"])
    assert "replaced 1 of another model of this name" in again.output


def test_a_name_that_is_nothing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder here; expected module:factory"):
        load_model("nothing")
    (tmp_path / "config.json").write_text('{"model": "Other"}')
    with pytest.raises(DataError, match="is of 'Other'"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(DataError, match="not the config of a model"):
        load_model(str(tmp_path))


def test_what_a_model_lacks_is_skipped_with_its_reason() -> None:
    found = evaluate(Faces(faces), [TASK, "tead/paths"], data=SMOKE, statistics=FEW)
    assert list(found.scores) == [TASK]
    assert found.skipped == {"tead/paths": "the model has no encode_expression and decode"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda texts: np.zeros((len(texts), 51)), r"returned shape \(.*51\), expected \(.*52\)"),
        (lambda texts: np.zeros((1, 52)), r"returned shape \(1, 52\)"),
        (lambda texts: np.zeros(52), r"returned shape \(52,\)"),
        (lambda texts: np.full((len(texts), 52), np.nan), "returned NaN or infinite"),
        (lambda texts: np.full((len(texts), 52), 1e300), "returned NaN or infinite"),
        (lambda texts: np.array([["a"] * 52] * len(texts)), "returned <U1, expected numbers"),
        (lambda texts: [[0.0] * (n % 2 + 1) for n in range(len(texts))], "is no NumPy array"),
        (lambda texts: None, r"returned None, expected numbers \(\d+, 52\)"),
        (lambda texts: sys.exit(3), r"failed \(.*test_bench_run.py, line \d+\): SystemExit: 3"),
        (lambda texts: texts[10_000], r"failed \(.*test_bench_run.py, line \d+\): IndexError"),
    ],
)
def test_an_answer_that_is_none_names_the_method(answer: Callable[..., object], told: str) -> None:
    with pytest.raises(ModelError, match=told) as raised:
        evaluate(Faces(answer), [TASK], data=SMOKE, statistics=FEW)
    assert "Faces.text_to_expression" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_tensors_with_gradients_and_of_half_width_are_taken() -> None:
    torch = pytest.importorskip("torch")
    rows = torch.arange(104.0).reshape(2, 52).div(128)
    for given in (rows.clone().requires_grad_(), rows.bfloat16(), rows.half()):
        found = Asked(Faces(lambda texts, given=given: given)).text_to_expression(["a", "b"])
        assert found.dtype == np.float32
        assert np.array_equal(found, rows.numpy())


def test_a_model_that_writes_into_what_it_is_given_changes_nothing_of_a_task() -> None:
    class Writes:
        fps = 1.0

        def text_to_expression(self, texts: list[str]) -> np.ndarray:
            found = faces(texts)
            texts.clear()
            return found

        def reconstruct(self, weights: np.ndarray) -> np.ndarray:
            weights[:] = 0.25
            return weights

        def animate(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
            audio[:] = 0
            return np.zeros((1, 52))

    asked = Asked(Writes())
    given, sound = np.ones((3, 52), np.float32), np.ones(4, np.float32)
    assert asked.reconstruct(given).tolist() == np.full((3, 52), 0.25).tolist()
    asked.animate(sound, 4)
    assert given.min() == sound.min() == 1
    assert asked.text_to_expression(["a", "b"]).shape == (2, 52)
    found = evaluate(Writes(), ["tead/reconstruction"], data=SMOKE, statistics=FEW)
    assert found.scores["tead/reconstruction"] > 0.01


def test_a_folder_that_cannot_be_made_is_told_before_the_model_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def ask(texts: list[str]) -> np.ndarray:
        raise AssertionError("asked")

    with pytest.raises(DataError, match=r"file.out: cannot be made"):
        evaluate(Faces(ask), [TASK], data=SMOKE, out=tmp_path / "file" / "out")


def test_not_implemented_is_a_reason_to_skip() -> None:
    def refuse(texts: list[str]) -> None:
        raise NotImplementedError("images only")

    found = evaluate(Faces(refuse), [TASK], data=SMOKE, statistics=FEW)
    assert found.skipped == {TASK: "images only"}


def test_embeddings_of_two_lengths_are_refused() -> None:
    class Two:
        def encode_text(self, texts: list[str]) -> np.ndarray:
            return np.ones((len(texts), 3))

        def encode_expression(self, weights: np.ndarray) -> np.ndarray:
            return np.ones((len(weights), 4))

    with pytest.raises(ModelError, match="expected embeddings of one length"):
        evaluate(Two(), [TASK], data=SMOKE, statistics=FEW)


def test_an_object_without_methods_is_refused_and_a_class_too() -> None:
    with pytest.raises(ModelError, match=f"none of the methods {METHODS[0]}"):
        Asked(object())
    with pytest.raises(ModelError, match=r"Constant is a class: give an instance, Constant\(\)"):
        Asked(Constant)


def test_a_text_is_asked_once_of_a_method_whatever_task_asks_it_and_like_lengths_together() -> None:
    heard: list[str] = []

    def told(texts: list[str]) -> np.ndarray:
        heard.extend(texts)
        return np.array([[len(text), ord(text[0])] + [0.0] * 50 for text in texts])

    asked = Asked(Faces(told), batch=2)
    first = asked.text_to_expression(["ccc", "a", "bb", "a"])
    again = asked.text_to_expression(["bb", "dddd", "ccc"])
    assert heard == ["a", "bb", "ccc", "dddd"]
    assert first[:, 0].tolist() == [3, 1, 2, 1]
    assert again[:, 1].tolist() == [ord("b"), ord("d"), ord("c")]
    assert asked.text_to_expression([]).shape == (0, 52)


def test_all_tasks_of_a_run_share_the_answers_to_texts() -> None:
    heard: list[str] = []
    model = Faces(lambda texts: heard.extend(texts) or faces(texts))
    model.sha256 = "0" * 64  # else it is told apart by its answers to other texts
    evaluate(model, ["tead/t2e-*"], data=SMOKE, statistics=FEW)
    assert len(heard) == len(set(heard)) > 0


@pytest.mark.parametrize(("frames", "fps", "told"), [(30, 15.0, "2.00 s, for 1.00 s"),
                                                     (15, None, "fps is None")])  # fmt: skip
def test_motion_must_last_as_long_as_the_speech(frames: int, fps: float, told: str) -> None:
    class Slow:
        def animate(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
            return np.zeros((frames, 52))

    model = Slow()
    model.fps = fps
    with pytest.raises(ModelError, match=told):
        Asked(model).animate(np.zeros(16_000), 16_000)
    with pytest.raises(Skip, match="takes no prompt"):
        Asked(model).animate(np.zeros(16_000), 16_000, "joy")


def test_finished_tasks_are_resumed_and_another_model_or_code_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        return np.zeros((len(texts), 52))

    def run(model: object, **more: object) -> bool:
        return (
            evaluate(model, [TASK], data=SMOKE, out=tmp_path, statistics=FEW, **more)
            .measured[0]
            .resumed
        )

    assert not run(Faces(counted))
    path = tmp_path / "faces" / "tead.t2e-class@1.json"
    content = path.read_bytes()
    calls.clear()
    assert run(Faces(counted))
    assert calls == [3]  # the fixed questions alone
    assert not run(Faces(lambda texts: np.ones((len(texts), 52))))
    assert not run(Faces(counted))
    assert path.read_bytes() == content  # the same bytes again
    assert not run(Faces(counted), overwrite=True)
    path.with_suffix(".npz").write_bytes(b"broken")
    assert not run(Faces(counted))
    monkeypatch.setattr("expclip.benchmarks.run.hash_code", lambda: "of a later version")
    assert not run(Faces(counted))


def test_tasks_are_made_once_for_all_models() -> None:
    sources = Sources(smoke=True)
    (first, *_), _ = collect_tasks(sources)
    (again,), _ = collect_tasks(sources, [first.info.id])
    assert again is first
    missing = Sources()
    assert collect_tasks(missing, [TASK])[1] == collect_tasks(missing, [TASK])[1] != {}


def test_a_fingerprint_is_the_model_s_own_or_that_of_its_answers() -> None:
    assert fingerprint(Faces(faces)) == fingerprint(Faces(faces))
    assert fingerprint(Faces(faces)) != fingerprint(Faces(lambda texts: np.ones((len(texts), 52))))
    named = Faces(faces)
    named.sha256 = "ab" * 32
    assert fingerprint(named) == "ab" * 32


def test_neither_threads_nor_hashes_of_words_change_a_byte(tmp_path: Path) -> None:
    code = "from expclip.cli.bench import app; app()"
    command = [sys.executable, "-c", code, "run", "--smoke", "--baseline", "constant"]
    command += ["--baseline", "random", "--draws", "50", "--out", "results"]
    written = []
    for number in ("1", "2"):
        folder = tmp_path / number
        folder.mkdir()
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), number)
        environment = {**os.environ, **threads, "PYTHONHASHSEED": number}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        files = {path.relative_to(folder): path for path in folder.rglob("*@*")}
        written.append({k: v.read_bytes() for k, v in files.items() if ".log." not in k.name})
    assert len(written[0]) > 60
    assert written[0] == written[1]


def test_a_smoke_run_writes_below_its_folder_and_is_verified_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["run", "--smoke", "--baseline", "constant", "--draws", "20", "--task", "tead/t2e-c*"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "skipped" not in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert "from an earlier run" in CliRunner().invoke(app, command).output
    checked = CliRunner().invoke(app, ["verify", "out/results/smoke"])
    assert checked.exit_code == 0, checked.output
    same = CliRunner().invoke(app, ["compare", *["out/results/smoke/constant"] * 2])
    assert "+0.0000" in same.output


def test_a_run_without_data_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert "name a --model or a --baseline" in str(run(app, ["run"]).exception)
    assert "needs a TEAD" in str(run(app, ["run", "--baseline", "mean-face"]).exception)
    gone = run(app, ["run", "--baseline", "constant", "--beat", "nowhere"])
    assert "nowhere: no such file or folder" in str(gone.exception)
    assert "tead/t2e-class" in run(app, ["list"]).output
