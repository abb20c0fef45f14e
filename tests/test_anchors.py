"""Anchors: one typical face for each emotion that natural texts have often enough."""

import numpy as np
import pytest

from expclip.models.expclip.anchors import find_anchors
from expclip.models.expclip.data import Choices, Pairs

STRINGS = ("joy, pride", "sadness", "calm")


def pairs_of(tags: list[int], faces: list[list[float]], natural: list[bool]) -> Pairs:
    table = np.zeros((len(tags), 52), np.float32)
    table[:, :2] = faces
    choices = Choices.of([[tag] for tag in tags])
    return Pairs(table, np.arange(len(tags)), np.array(natural), {"tags": choices})


def test_the_typical_face_is_one_that_a_row_has_and_lies_nearest_to_the_others() -> None:
    pairs = pairs_of([0, 0, 0], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], [True] * 3)
    found = find_anchors(pairs, STRINGS, 1)
    assert found.emotions == ("joy",)
    assert found.faces[0, :2].tolist() == pytest.approx([0.9, 0.1])


def test_an_emotion_whose_faces_are_mostly_neutral_has_a_neutral_anchor() -> None:
    pairs = pairs_of([2, 2, 2], [[0.0, 0.0], [0.01, 0.0], [1.0, 0.0]], [True] * 3)
    assert not find_anchors(pairs, STRINGS, 1).faces.any()


def test_natural_rows_alone_decide_which_emotions_have_an_anchor() -> None:
    pairs = pairs_of([0, 0, 1, 1], [[1.0, 0.0]] * 4, [True, True, False, False])
    assert find_anchors(pairs, STRINGS, 2).emotions == ("joy",)
    assert find_anchors(pairs, STRINGS, 3).emotions == ()


def test_shares_are_those_of_the_draws() -> None:
    pairs = pairs_of([0, 1, 1, 0, 0, 0], [[1.0, 0.0]] * 6, [True, True, False, False, False, False])
    as_they_come = find_anchors(pairs, STRINGS, 1)
    assert as_they_come.shares.tolist() == pytest.approx([4 / 6, 2 / 6])
    half = find_anchors(pairs, STRINGS, 1, natural=0.5)
    # joy: half of the natural half, three quarters of the other
    assert half.shares.tolist() == pytest.approx([0.25 + 0.375, 0.25 + 0.125])


def test_rows_without_an_anchor_are_marked() -> None:
    pairs = pairs_of([0, 1, 0], [[1.0, 0.0]] * 3, [True] * 3)
    marked = find_anchors(pairs, STRINGS, 2).mark(pairs, STRINGS)
    assert marked.anchors is not None and marked.anchors.tolist() == [0, -1, 0]
