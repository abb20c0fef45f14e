"""Texts said otherwise: the variants, and what is lost by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.benchmarks.metrics.robustness import (
    VARIANTS,
    face_shift,
    flip_rate,
    robustness_metrics,
    vary_texts,
)

TEXT = "I was petrified when the lights went out. Nobody answered."


def variants(text: str, **options: int) -> dict[str, str]:
    return dict(zip(VARIANTS, vary_texts([text], **options).texts[0], strict=True))


def test_each_variant_of_a_text() -> None:
    found = variants(TEXT)
    assert found["stop_words"] == "petrified lights went Nobody answered."
    assert found["synonym"].startswith("I was terrified when")
    assert found["sentences"] == "Nobody answered. I was petrified when the lights went out."
    assert found["lower"] == TEXT.lower()
    assert found["upper"] == TEXT.upper()
    assert found["frame_1"] == f"A face that says: {TEXT}"
    changed = [n for n, (a, b) in enumerate(zip(found["typo"], TEXT, strict=True)) if a != b]
    assert len(changed) == 2 and changed[1] == changed[0] + 1
    assert TEXT.find("petrified") < changed[0]
    assert changed[1] < TEXT.find("petrified") + 8  # the last letter stays as well
    assert sorted(found["typo"]) == sorted(TEXT)


def test_what_did_not_change_is_told() -> None:
    found = vary_texts(["ok", TEXT])
    told = dict(zip(found.names, found.changed[0].tolist(), strict=True))
    assert [name for name, changed in told.items() if not changed] == [
        *("stop_words", "synonym", "sentences", "typo", "lower")
    ]
    assert found.changed[1].all()


def test_braces_in_a_text_stay() -> None:
    assert variants("{0} {x} {}")["frame_2"] == "Someone who would say this: {0} {x} {}"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=4))
def test_variants_belong_to_the_text_alone(texts: list[str]) -> None:
    found = vary_texts([*texts, TEXT])
    assert found.texts[-1] == vary_texts([TEXT]).texts[0]
    assert found.changed.shape == (len(texts) + 1, len(VARIANTS))
    for text, own, changed in zip([*texts, TEXT], found.texts, found.changed, strict=True):
        assert [other != text for other in own] == changed.tolist()


def test_another_seed_may_give_another_typo() -> None:
    assert len({variants(TEXT, seed=seed)["typo"] for seed in range(8)}) > 1


def test_no_texts_have_no_variants() -> None:
    found = vary_texts([])
    assert found.texts == () and found.changed.shape == (0, len(VARIANTS))


CHANGED = np.array([[True, True, False], [False, False, False]])


@pytest.mark.parametrize(("higher", "worst", "drop"), [(True, 0.2, 0.4), (False, 0.6, -0.4)])
def test_scores_by_hand(higher: bool, worst: float, drop: float) -> None:
    varied = np.array([[0.2, 0.6, 9.0], [1, 2, np.nan]])
    found = robustness_metrics(np.array([0.8, 0.5]), varied, CHANGED, higher_is_better=higher)
    assert {name: values.tolist() for name, values in found.items()} == {
        "clean": [0.8, 0.5],
        "mean": [pytest.approx(0.4), 0.5],
        "worst": [worst, 0.5],
        "drop": [pytest.approx(drop), 0],
        "worst_drop": [pytest.approx(0.6 if higher else -0.2), 0],
        "changed_share": [pytest.approx(2 / 3), 0],
    }


def test_answers_that_flip_by_hand() -> None:
    first = np.array(["joy", "fear"])
    varied = np.array([["joy", "fear", "fear"], ["joy", "joy", "joy"]])
    assert flip_rate(first, varied, CHANGED)["flip_rate"].tolist() == [0.5, 0]


def test_faces_that_move_by_hand() -> None:
    varied = np.zeros((2, 3, 52))
    varied[0, 0, :2] = 0.3, 0.4
    varied[0, 2] = varied[1] = np.inf  # of texts that did not change: not looked at
    found = face_shift(np.zeros((2, 52)), varied, CHANGED)
    assert found["face_shift"] == pytest.approx([0.25, 0])
    assert found["face_shift_worst"] == pytest.approx([0.5, 0])


def test_a_model_that_reads_nothing_drops_nothing() -> None:
    same = np.full((2, 3), 0.3)
    found = robustness_metrics(same[:, 0], same, CHANGED, higher_is_better=True)
    assert found["drop"] == pytest.approx([0, 0])
    assert not flip_rate(same[:, 0], same, CHANGED)["flip_rate"].any()


def test_wrong_arrays_are_one_line() -> None:
    with pytest.raises(ValueError, match="changed is bool"):
        robustness_metrics(np.zeros(3), np.zeros((3, 3)), CHANGED, higher_is_better=True)
    with pytest.raises(ValueError, match="scores have NaN"):
        robustness_metrics(np.zeros(2), np.full((2, 3), np.nan), CHANGED, higher_is_better=True)
    with pytest.raises(ValueError, match=r"varied have shape \(2, 3\)"):
        face_shift(np.zeros((2, 52)), np.zeros((2, 3)), CHANGED)
