"""The baselines: floors that know nothing, and learners that know the training split."""

from __future__ import annotations

import numpy as np
import pytest

from expclip.benchmarks.baselines import (
    BASELINES,
    Bm25,
    Constant,
    HashedWords,
    MeanFace,
    Pca,
    Perfect,
    Random,
    Ridge,
    baseline,
)
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.task_data import smoke_tead
from expclip.benchmarks.tasks.faces import Reconstruction, TextRegression, faces_of_tead

DATA = smoke_tead()


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "perfect"])
def test_every_baseline_is_a_model(name: str) -> None:
    model = baseline(name, DATA, encoder="words")
    assert Asked(model).can
    assert str(model.name).startswith(name)


def test_an_unknown_baseline_lists_the_known() -> None:
    with pytest.raises(ValueError, match="baseline 'best', expected one of constant, random"):
        baseline("best", DATA)
    with pytest.raises(ValueError, match="k must be within 1 to 52, got 60"):
        baseline("pca-60", DATA)
    with pytest.raises(ValueError, match="baseline 'ridge' needs a TEAD"):
        baseline("ridge")
    assert isinstance(baseline("perfect"), Perfect)
    assert isinstance(baseline("constant"), Constant)


def test_the_mean_face_has_skill_zero_and_the_variance_of_the_training_split_as_error() -> None:
    outcome = TextRegression(DATA).measure(Asked(MeanFace(DATA.train.faces)))
    skill = np.average(outcome.values["skill"], weights=outcome.weights)
    assert skill == pytest.approx(0, abs=1e-6)


def test_all_directions_reconstruct_every_face_and_fewer_reconstruct_worse() -> None:
    task = Reconstruction(faces_of_tead(DATA))
    errors = [
        np.average((found := task.measure(Asked(Pca(DATA.train.faces, k)))).values["mse"],
                   weights=found.weights)
        for k in (1, 4, 52)
    ]  # fmt: skip
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] == pytest.approx(0, abs=1e-9)


def test_chance_answers_the_same_to_the_same_question_whatever_stands_beside_it() -> None:
    model = Random(DATA.train.faces)
    alone = model.encode_text(["b"])[0]
    np.testing.assert_array_equal(model.encode_text(["a", "b", "c"])[1], alone)
    assert not np.array_equal(model.encode_text(["a"])[0], alone)
    face = DATA.train.faces[:3]
    np.testing.assert_array_equal(
        model.encode_expression(face)[1], model.encode_expression(face[1:2])[0]
    )
    sound = np.zeros(16_000)
    assert model.animate(sound, 16_000).shape == Constant().animate(sound, 16_000).shape == (15, 52)


def test_bm25_takes_the_text_with_the_rarest_word_in_common() -> None:
    faces = np.eye(3, 52)
    model = Bm25(["the cat sat", "the dog sat", "the end"], faces)
    found = model.text_to_expression(["a dog", "the cat", "nothing known"])
    np.testing.assert_allclose(found[0], faces[1])
    np.testing.assert_allclose(found[1], faces[0])
    np.testing.assert_allclose(found[2], faces.mean(axis=0), atol=1e-7)


def test_ridge_finds_a_linear_rule() -> None:
    texts = [f"{a} {b}" for a in "abcdefgh" for b in "stuvwxyz"]
    faces = np.zeros((len(texts), 52))
    faces[:, 0] = [0.6 if text[0] in "abcd" else 0.2 for text in texts]
    model = Ridge(HashedWords(64), texts, faces)
    found = model.text_to_expression(["a q", "h q"])
    assert found[0, 0] > found[1, 0] + 0.05
    assert found.min() >= 0 and found.max() <= 1


def test_hashed_words_know_no_order_of_rows_and_no_case() -> None:
    words = HashedWords(32)
    np.testing.assert_array_equal(words(["So Happy", "x"])[0], words(["so  happy"])[0])
    assert words([""]).tolist() == [[0.0] * 32]
