"""The tasks: floors, ceilings, and what must not change a number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from expclip.benchmarks.baselines import Constant, Random
from expclip.benchmarks.outcome import Outcome
from expclip.benchmarks.protocols import Asked, Skip
from expclip.benchmarks.speech_data import beat_clips, paired_speech, read_clips, smoke_speech
from expclip.benchmarks.task_data import (
    Pairing,
    Rows,
    TeadData,
    au_key,
    read_tead_data,
    smoke_tead,
    text_key,
)
from expclip.benchmarks.tasks import CATALOGUE, Sources, Task, collect_tasks
from expclip.benchmarks.tasks.faces import (
    Reconstruction,
    TextRegression,
    faces_of_sequences,
    faces_of_tead,
)
from expclip.benchmarks.tasks.pictures import PictureRetrieval, read_pictures
from expclip.benchmarks.tasks.retrieval import DiagonalRetrieval, TextRetrieval
from expclip.benchmarks.tasks.speech import Animation
from expclip.benchmarks.tasks.texts import HumanLabels, LabelledTexts
from expclip.face import AU_CODES, BLENDSHAPES, Sequence, write_sequence
from expclip.face.errors import DataError
from expclip.tead import BuildPlan, CorpusOptions, build
from expclip.tead.corpora.readers import GO_EMOTIONS

TASKS, LEFT_OUT = collect_tasks(Sources(smoke=True))
SAYS_CHANCE = ("t2e-c", "e2t-", "t2e-g", "t2e-d", "t2e-b", "t2i", "robustness", "labels")
RETRIEVAL = [task for task in TASKS if task.info.id.split("/")[1].startswith(SAYS_CHANCE)]
ids = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.info.id)


def mean(outcome: Outcome, metric: str) -> float:
    return float(np.average(outcome.values[metric], weights=outcome.weights))


def rows(*found: tuple[str, str, int]) -> Rows:
    """Return rows of (text, "AU1+AU2", how many); the face has one weight a unit."""
    texts, aus, faces = [], [], []
    for text, units, count in found:
        shown = np.array([f"AU{code}" in units.split("+") for code in AU_CODES], np.int8)
        face = np.zeros(52, np.float32)
        face[: len(AU_CODES)] = 0.5 * shown
        texts += [text] * count
        aus += [shown] * count
        faces += [face] * count
    tags, situations = tuple("joy" for _ in texts), tuple(("s",) for _ in texts)
    natural = tuple(True for _ in texts)
    return Rows(tuple(texts), tags, situations, np.array(aus), np.array(faces), natural)


def test_smoke_data_serve_every_task_there_is() -> None:
    assert LEFT_OUT == {}
    assert [task.info.id for task in TASKS] == [entry.id for entry in CATALOGUE]


@ids
def test_the_perfect_model_has_the_best_there_is(task: Task) -> None:
    outcome = task.measure(Asked(task.perfect()))
    best = {"path_ratio": 1.0, "hit": outcome.notes.get("ceiling")}
    if task.info.ranked:
        aim = best.get(task.info.main, float(task.info.higher_is_better))
        assert mean(outcome, task.info.main) == pytest.approx(aim, abs=1e-4)
    else:
        assert mean(outcome, "R@1") == pytest.approx(outcome.notes["ceiling"])


@pytest.mark.parametrize("task", RETRIEVAL, ids=lambda task: task.info.id)
def test_the_constant_model_sits_at_chance(task: Task) -> None:
    outcome = task.measure(Asked(Constant()))
    metric = "clean" if task.info.id == "tead/robustness" else task.info.main
    assert mean(outcome, metric) == pytest.approx(outcome.notes["chance"], abs=1e-9)


@ids
def test_portions_change_no_number(task: Task) -> None:
    model = Random(np.random.default_rng(0).random((50, 52)))
    try:
        one, other = (task.measure(Asked(model, batch=batch)) for batch in (7, 1000))
    except Skip as reason:
        pytest.skip(str(reason))
    assert one.keys == other.keys
    for name, values in one.values.items():
        np.testing.assert_allclose(values, other.values[name], atol=1e-6)


def test_the_order_of_rows_changes_neither_hash_nor_number(tmp_path: Path) -> None:
    build(tmp_path / "tead", BuildPlan(("core",), CorpusOptions(limit=60)))
    data = read_tead_data(tmp_path / "tead")
    order = np.random.default_rng(1).permutation(len(data.test))
    mixed = Rows(
        *([getattr(data.test, name)[place] for place in order]
          for name in ("texts", "tags", "situations")),
        data.test.aus[order],
        data.test.faces[order],
        tuple(data.test.natural[place] for place in order),
    )  # fmt: skip
    other = TeadData(data.name, data.train, mixed)
    model = Asked(Random(data.train.faces))
    for make in (
        lambda data: TextRetrieval(data, "t2e"),
        lambda data: TextRetrieval(data, "e2t", "graded"),
        lambda data: Reconstruction(faces_of_tead(data)),
    ):
        one, two = make(data), make(other)
        assert one.info == two.info
        found, again = one.measure(model), two.measure(model)
        assert found.keys == again.keys
        for name, values in found.values.items():
            np.testing.assert_allclose(values, again.values[name], atol=1e-9)


def test_keys_say_when_texts_and_expressions_are_one() -> None:
    assert text_key("  \uff33\uff2f\tHappy ") == text_key("so happy")  # full width
    assert au_key(np.zeros(36, np.int8)) == "AU0"
    pairing = Pairing.of(rows(("so happy", "AU12", 2), ("So  Happy", "AU12", 1), ("oh", "AU1", 1)))
    assert pairing.text_keys == ("oh", "so happy")
    assert pairing.face_keys == ("AU1", "AU12")
    assert dict(pairing.links) == {(0, 0): 1, (1, 1): 3}


def test_a_query_counts_with_its_rows_and_any_of_its_expressions_is_right() -> None:
    test = rows(("a", "AU1", 3), ("a", "AU2", 1), ("b", "AU4", 1))
    task = TextRetrieval(TeadData("t", test, test), "t2e")

    class Sure:  # says AU2 to everything
        def encode_text(self, texts: list[str]) -> np.ndarray:
            return np.tile([1.0, 0.0], (len(texts), 1))

        def encode_expression(self, weights: np.ndarray) -> np.ndarray:
            return np.where(weights[:, [AU_CODES.index(2)]] > 0, [1.0, 0.0], [0.0, 1.0])

    outcome = task.measure(Asked(Sure()))
    assert outcome.keys == ("a", "b")
    assert outcome.weights.tolist() == [4, 1]
    assert outcome.values["R@1"].tolist() == [1, 0]
    assert outcome.notes["texts in training"] == 2  # the split leaks, and says so


def test_a_model_of_faces_alone_is_ranked_by_distance() -> None:
    data = smoke_tead()
    task = TextRetrieval(data, "t2e")
    faces = dict(zip(data.test.text_keys, data.test.faces, strict=True))

    class Faces:
        def text_to_expression(self, texts: list[str]) -> np.ndarray:
            return np.array([faces[text_key(text)] for text in texts])

    outcome = task.measure(Asked(Faces()))
    assert outcome.notes["by"] == "faces"
    assert mean(outcome, "R@1") == pytest.approx(1.0)


def test_row_against_row_the_perfect_model_shares_with_the_copies() -> None:
    test = rows(("a", "AU1", 4), ("b", "AU2", 1))
    task = DiagonalRetrieval(TeadData("t", test, test), "t2e")
    outcome = task.measure(Asked(task.perfect()))
    assert outcome.values["R@1"].tolist() == [0.25] * 4 + [1.0]
    assert outcome.notes["ceiling"] == pytest.approx(0.4)
    assert not task.info.ranked


def test_one_expression_may_have_several_faces_row_against_row() -> None:
    test = rows(("a", "AU1", 1), ("b", "AU1", 1))
    stronger = test.faces * np.array([[1.0], [1.5]], np.float32)
    task = DiagonalRetrieval(TeadData("t", test, replace(test, faces=stronger)), "e2t")
    assert task.measure(Asked(task.perfect())).values["R@1"].tolist() == [1.0, 1.0]


def test_a_text_with_two_faces_cannot_be_answered_without_error() -> None:
    test = rows(("a", "AU1", 1), ("a", "AU2", 1))
    task = TextRegression(TeadData("t", rows(("x", "AU4", 1)), test))
    outcome = task.measure(Asked(task.perfect()))
    floor = (0.25**2 * 2) / 52  # each face is 0.25 away from the mean, in two weights
    assert outcome.values["mse"].tolist() == pytest.approx([floor])
    assert outcome.values["skill"].tolist() == [1.0]


def test_a_constant_offset_is_its_own_reconstruction_error() -> None:
    clips = [
        ("one", "s", Sequence(np.full((4, 52), 0.25), 15)),
        ("two", "s", Sequence(np.full((2, 52), 0.5), 15)),
    ]
    task = Reconstruction(faces_of_sequences("sequences", clips))

    class Off:
        def reconstruct(self, weights: np.ndarray) -> np.ndarray:
            return weights + np.float32(0.25)

    outcome = task.measure(Asked(Off()))
    assert outcome.keys == ("one", "two")
    assert outcome.weights.tolist() == [4, 2]
    assert outcome.values["mse"].tolist() == pytest.approx([0.0625, 0.0625])


def test_channels_that_a_recording_lacks_are_left_out_of_the_mean() -> None:
    weights = np.full((2, 52), 0.5)
    weights[:, BLENDSHAPES.index("tongueOut")] = 0
    clip = Sequence(weights, 60, missing=("tongueOut",))
    task = Reconstruction(faces_of_sequences("sequences", [("one", "one", clip)]))

    class Tongue:
        def reconstruct(self, weights: np.ndarray) -> np.ndarray:
            found = weights.copy()
            found[:, BLENDSHAPES.index("tongueOut")] = 1
            return found

    assert task.measure(Asked(Tongue())).values["mse"].tolist() == [0]


def test_labels_are_right_where_the_nearest_prototype_is_one_of_them() -> None:
    labels = np.array(
        [[name in given for name in GO_EMOTIONS] for given in (["joy"], ["anger"], ["neutral"])]
    )
    texts = LabelledTexts(("a", "b", "c"), labels)
    joy = HumanLabels(texts).perfect().text_to_expression(["a"])[0]

    class Glad:
        def text_to_expression(self, texts: list[str]) -> np.ndarray:
            return np.tile(joy, (len(texts), 1))

    outcome = HumanLabels(texts).measure(Asked(Glad()))
    assert len(outcome.keys) == 2  # neutral is no feeling
    assert 0 in outcome.values["hit"].tolist()
    assert mean(
        HumanLabels(texts, with_feeling=False).measure(Asked(Constant())), "hit"
    ) == pytest.approx(1 / 3)


def test_motion_of_another_rate_is_brought_to_the_recording_s() -> None:
    task = Animation(smoke_speech())
    truth = {len(clip.audio): clip.weights for clip in smoke_speech().clips}

    class Fast:
        fps = 30.0

        def animate(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
            return np.repeat(truth[len(audio)], 2, axis=0)

    outcome = task.measure(Asked(Fast()))
    assert mean(outcome, "length_ratio") == pytest.approx(1)


def test_a_model_that_takes_no_prompt_is_left_out_of_style_control() -> None:
    class Deaf:
        fps = 15.0

        def animate(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
            return np.zeros((round(len(audio) / sample_rate * 15), 52))

    task = next(task for task in TASKS if task.info.id == "synthetic/style")
    with pytest.raises(Skip, match="takes no prompt"):
        task.measure(Asked(Deaf()))


def test_recordings_and_pairs_are_read_from_folders(tmp_path: Path) -> None:
    import wave

    for name in ("a", "b"):
        write_sequence(Sequence(np.full((30, 52), 0.5), 30), tmp_path / f"{name}.csv")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000))
    assert [name for name, _, _ in read_clips(tmp_path)] == ["a.csv", "b.csv"]
    pairs = paired_speech(tmp_path)
    assert [clip.name for clip in pairs.clips] == ["a"]
    assert pairs.clips[0].weights.shape == (15, 52)
    assert len(pairs.clips[0].audio) == 16_000
    with pytest.raises(DataError, match="no such folder"):
        read_clips(tmp_path / "none")
    (tmp_path / "sub").mkdir()
    with pytest.raises(DataError, match="has no sound and recording"):
        paired_speech(tmp_path / "sub")
    with pytest.raises(DataError):
        beat_clips(tmp_path)


def test_pictures_are_read_from_a_mead3d_folder(tmp_path: Path) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    Image.new("RGB", (4, 4), (9, 9, 9)).save(file, "PNG")
    table = [
        {"id": f"{number:016x}", "actor": "M1", "emotion": emotion, "level": 1,
         "weights": [0.1] * 52, "image": {"bytes": file.getvalue(), "path": "a.png"}}
        for number, emotion in enumerate(("angry", "happy", "angry"))
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "data" / "test-00000.parquet")
    task = PictureRetrieval(read_pictures(tmp_path))
    outcome = task.measure(Asked(task.perfect()))
    assert outcome.keys == ("M1|angry|1", "M1|happy|1")
    assert outcome.values["R-Precision"].tolist() == [1, 1]
    with pytest.raises(DataError, match="not a MEAD-3D"):
        read_pictures(tmp_path / "data")


def test_a_changed_row_is_another_task() -> None:
    data = smoke_tead()
    faces = data.test.faces.copy()
    faces[0, 0] += 0.01
    other = replace(data, test=replace(data.test, faces=faces))
    assert TextRegression(data).info.data_sha256 != TextRegression(other).info.data_sha256


def test_names_of_tasks_are_matched() -> None:
    chosen, left_out = collect_tasks(Sources(smoke=True), ["tead/t2e-*"])
    assert {task.info.id.split("-")[0] for task in chosen} == {"tead/t2e"} and not left_out
    with pytest.raises(ValueError, match="task 'tead/none', expected some of"):
        collect_tasks(Sources(), ["tead/none"])
    _, left_out = collect_tasks(Sources(), ["tead/*"])
    assert left_out["tead/t2e-class"] == "needs a TEAD (--data)"
