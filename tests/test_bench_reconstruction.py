"""Errors of faces: values by hand, scikit-learn's, and what baselines score."""

import hashlib
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.benchmarks.metrics.channels import LIPS, REGIONS, UPPER, mouth_opening
from expclip.benchmarks.metrics.reconstruction import (
    NOISE_LEVELS,
    add_noise,
    face_variance,
    reconstruction_errors,
    text_face_errors,
    units_of,
)
from expclip.face import AU_CODES, BLENDSHAPE_INDEX, BLENDSHAPES, blendshapes_from_aus

RNG = np.random.default_rng(0)


def face(**weights: float) -> np.ndarray:
    """Return a face of zeros but for these weights."""
    row = np.zeros(52)
    for name, weight in weights.items():
        row[BLENDSHAPE_INDEX[name]] = weight
    return row


def faces(*rows: np.ndarray) -> np.ndarray:
    return np.stack(rows)


def test_every_channel_is_in_one_region() -> None:
    names = [name for region in REGIONS.values() for name in region]
    assert sorted(names) == sorted(BLENDSHAPES)
    assert (len(LIPS), len(UPPER)) == (27, 24)
    assert "jawOpen" in LIPS and "browInnerUp" in UPPER


def test_a_hum_is_not_open() -> None:
    hum = face(jawOpen=0.4, mouthClose=0.4)
    assert mouth_opening(faces(hum, face(jawOpen=0.4))).tolist() == [0, 0.4]


def test_a_constant_offset_of_a_quarter_scores_its_square() -> None:
    truth = RNG.uniform(size=(3, 52))
    found = reconstruction_errors(truth, truth + 0.25)
    for name in ("mse", "mse_lips", "mse_upper", "mse_tongue"):
        assert found[name] == pytest.approx([0.0625] * 3)
    assert found["sse"] == pytest.approx([3.25] * 3)
    assert found["mae_active"] == pytest.approx([0.25] * 3)


def test_regions_are_told_apart() -> None:
    found = reconstruction_errors(faces(face()), faces(face(jawOpen=0.5, browInnerUp=1)))
    assert found["mse"][0] == pytest.approx(1.25 / 52)
    assert found["mse_lips"][0] == pytest.approx(0.25 / 27)
    assert found["mse_upper"][0] == pytest.approx(1 / 24)
    assert found["mse_tongue"][0] == 0


def test_channels_that_the_data_lacks_do_not_count_as_right() -> None:
    names = [name for name in BLENDSHAPES if name != "tongueOut"]
    truth, found = faces(face()), faces(face(jawOpen=1, tongueOut=1))
    errors = reconstruction_errors(truth, found, channels=names)
    assert errors["mse"][0] == pytest.approx(1 / 51)
    assert errors["support_f1"][0] == 0
    assert "mse_tongue" not in errors


def test_active_error_looks_at_what_is_shown_and_at_all_of_a_neutral_face() -> None:
    truth = faces(face(jawOpen=0.5, mouthPucker=0.1, browInnerUp=0.05), face())
    errors = reconstruction_errors(truth, np.zeros((2, 52)))
    assert errors["mae_active"] == pytest.approx([0.3, 0])
    assert reconstruction_errors(np.zeros((1, 52)), faces(face(jawOpen=0.52)))[
        "mae_active"
    ] == pytest.approx([0.01])


def test_support_f1_by_hand() -> None:
    truth = faces(face(jawOpen=1, mouthPucker=0.2), face(), face(jawOpen=1))
    found = faces(face(jawOpen=0.1, browInnerUp=1, tongueOut=0.09), face(), face())
    assert reconstruction_errors(truth, found)["support_f1"] == pytest.approx([0.5, 1, 0])


def test_support_f1_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    truth, found = RNG.uniform(0, 0.2, (2, 40, 52))
    ours = reconstruction_errors(truth, found)["support_f1"]
    theirs = f1_score(truth >= 0.1, found >= 0.1, average="samples", zero_division=1.0)
    assert ours.mean() == pytest.approx(theirs)


def test_mean_of_r2_agrees_with_scikit_learn_weighted_too() -> None:
    from sklearn.metrics import r2_score

    truth = RNG.uniform(size=(30, 52))
    found, weights = truth + RNG.normal(size=(30, 52)), RNG.uniform(1, 5, 30)
    variance = face_variance(truth, weights=weights)
    ours = reconstruction_errors(truth, found, variance=variance)["r2"]
    theirs = r2_score(truth, found, sample_weight=weights, multioutput="variance_weighted")
    assert np.average(ours, weights=weights) == pytest.approx(theirs)


def test_baselines_score_what_the_docstring_says() -> None:
    truth = RNG.uniform(size=(30, 52))
    variance = face_variance(truth)
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    found = reconstruction_errors(truth, mean, variance=variance)
    assert found["mse"].mean() == pytest.approx(variance)
    assert found["r2"].mean() == pytest.approx(0)
    perfect = reconstruction_errors(truth, truth, variance=variance)
    assert {name: set(values) for name, values in perfect.items()} == {
        name: {1.0} if name in ("support_f1", "r2") else {0.0} for name in perfect
    }


def test_r2_of_equal_faces_is_that_of_scikit_learn() -> None:
    truth = np.ones((2, 52))
    assert face_variance(truth) == 0
    found = reconstruction_errors(truth, faces(truth[0], face()), variance=0.0)
    assert found["r2"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (np.zeros((2, 51)), r"shape \(2, 51\), expected \(n, 52\)"),
        (np.zeros((3, 52)), "3 predicted faces, expected 2"),
        (np.full((2, 52), np.nan), "row 0 has nan for browDownLeft"),
    ],
)
def test_wrong_predictions_are_one_line(found: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reconstruction_errors(np.zeros((2, 52)), found)


def test_an_unknown_channel_is_named() -> None:
    with pytest.raises(ValueError, match="'jaw'"):
        reconstruction_errors(np.zeros((2, 52)), np.zeros((2, 52)), channels=["jaw"])


TRUTH = faces(face(jawOpen=1), face(mouthPucker=1), face(browInnerUp=1))
QUERY = np.array([0, 0, 1])


def text_errors(predicted: np.ndarray, mean_face: np.ndarray | None = None) -> dict[str, list]:
    start = np.zeros(52) if mean_face is None else mean_face
    found = text_face_errors(TRUTH, QUERY, predicted, mean_face=start)
    return {name: values.tolist() for name, values in found.items()}


def test_a_text_with_two_faces_has_a_floor() -> None:
    perfect = faces(face(jawOpen=0.5, mouthPucker=0.5), face(browInnerUp=1))
    found = text_errors(perfect)
    assert found["floor"] == found["mse"] == pytest.approx([0.5 / 52, 0])
    assert found["excess"] == pytest.approx([0, 0])
    assert found["skill"] == pytest.approx([1, 1])
    assert found["best_mse"] == pytest.approx([0.5 / 52, 0])


def test_one_of_the_faces_is_best_but_not_least_in_the_mean() -> None:
    found = text_errors(faces(face(jawOpen=1), face(browInnerUp=1)))
    assert found["mse"] == pytest.approx([1 / 52, 0])  # 0 to one, 2 / 52 to the other
    assert found["best_mse"] == [0, 0]
    assert found["excess"] == pytest.approx([0.5 / 52, 0])
    # the start, zeros, has excess 0.5 / 52 and 1 / 52; two rows and one: mean (2 / 3) / 52
    assert found["skill"] == pytest.approx([0.25, 1])
    assert found["au_f1"] == pytest.approx([0.5, 1])


def test_the_mean_of_skill_is_the_ratio_of_means_and_of_the_mean_face_0() -> None:
    predicted = RNG.uniform(size=(2, 52))
    start = RNG.uniform(size=52)
    found = text_face_errors(TRUTH, QUERY, predicted, mean_face=start)
    base = text_face_errors(TRUTH, QUERY, np.stack([start, start]), mean_face=start)
    mse, floor, worst = (
        np.average(values, weights=[2, 1]) for values in (found["mse"], found["floor"], base["mse"])
    )
    skill = np.average(found["skill"], weights=[2, 1])
    assert skill == pytest.approx(1 - (mse - floor) / (worst - floor))
    assert np.average(base["skill"], weights=[2, 1]) == pytest.approx(0)
    assert found["excess"] == pytest.approx(found["mse"] - found["floor"])


def test_skill_is_defined_where_the_mean_face_is_perfect() -> None:
    found = text_face_errors(
        np.zeros((2, 52)),
        np.array([0, 1]),
        faces(face(), face(jawOpen=1)),
        mean_face=np.zeros(52),
    )
    assert found["skill"].tolist() == [1, 0]


def test_a_text_without_a_face_is_named() -> None:
    with pytest.raises(ValueError, match="query 1 has no row"):
        text_face_errors(TRUTH, np.zeros(3, int), np.zeros((2, 52)), mean_face=np.zeros(52))
    with pytest.raises(ValueError, match=r"query has 0..1, expected 0..0"):
        text_face_errors(TRUTH, QUERY, np.zeros((1, 52)), mean_face=np.zeros(52))


def test_single_units_are_read_back_but_those_that_others_make_up() -> None:
    read = units_of(blendshapes_from_aus(np.eye(36)))
    alone = [code for code, row in zip(AU_CODES, read, strict=True) if row.sum() == 1]
    right = [AU_CODES[int(row.argmax())] for row in read]
    assert [code for code in alone if code in right] == [
        code for code in AU_CODES if code not in (23, 41)
    ]


def test_a_neutral_face_shows_no_unit() -> None:
    assert not units_of(np.zeros((1, 52))).any()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(range(36)), max_size=6))
def test_equal_faces_have_equal_units(units: list[int]) -> None:
    vector = np.zeros(36)
    vector[units] = 1
    face_of = blendshapes_from_aus(vector)[None]
    found = text_face_errors(face_of, np.zeros(1, int), face_of, mean_face=np.zeros(52))
    assert found["au_f1"].tolist() == [1]


def test_noise_belongs_to_the_key_and_not_to_the_row() -> None:
    weights = RNG.uniform(0.4, 0.6, (3, 52))
    noisy = add_noise(weights, 0.02, ["a", "b", "c"])
    assert np.array_equal(noisy[::-1], add_noise(weights[::-1], 0.02, ["c", "b", "a"]))
    assert not np.array_equal(noisy, add_noise(weights, 0.02, ["a", "b", "c"], seed=1))
    assert np.array_equal(add_noise(weights, 0.0, ["a", "b", "c"]), weights)


def test_noise_grows_along_one_direction_and_has_its_deviation() -> None:
    weights = np.full((200, 52), 0.5)
    keys = [str(n) for n in range(200)]
    curve = [add_noise(weights, sigma, keys) - 0.5 for sigma in NOISE_LEVELS]
    assert np.allclose(curve[3], 5 * curve[1])
    assert curve[3].std() == pytest.approx(0.05, rel=0.02)
    assert abs(curve[3].mean()) < 0.002


def test_noise_is_the_same_on_every_machine() -> None:
    digest = hashlib.shake_128(b"0\0key").digest(24)
    numbers = [int.from_bytes(digest[8 * n : 8 * n + 8], "little") >> 12 for n in range(3)]
    expected = [0.1 * NormalDist().inv_cdf((number + 0.5) / 2**52) for number in numbers]
    noise = (add_noise(np.full((1, 52), 0.5), 0.1, ["key"]) - 0.5)[0, :3]
    assert noise == pytest.approx(expected, abs=1e-12)


def test_noise_asks_for_a_key_a_face() -> None:
    with pytest.raises(ValueError, match="1 keys for 2 faces"):
        add_noise(np.zeros((2, 52)), 0.1, ["a"])
    with pytest.raises(ValueError, match="sigma"):
        add_noise(np.zeros((1, 52)), -0.1, ["a"])
