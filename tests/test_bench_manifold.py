"""Smoothness of a space: agreement with scikit-learn, values by hand, and ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.benchmarks.metrics.manifold import (
    PATH_STEPS,
    far_pairs,
    interpolate,
    neighbour_purity,
    neighbourhood_metrics,
    path_metrics,
    path_points,
    perceptual_path_length,
)

RNG = np.random.default_rng(0)


def means(found: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in found.items()}


@pytest.mark.parametrize("k", [1, 5, 15])
def test_trustworthiness_and_continuity_agree_with_scikit_learn(k: int) -> None:
    from sklearn.manifold import trustworthiness

    faces, embeddings = RNG.uniform(size=(60, 52)), RNG.normal(size=(60, 8))
    embeddings += faces[:, :8] * 3
    found = means(neighbourhood_metrics(faces, embeddings, k))
    assert found["trustworthiness"] == pytest.approx(
        trustworthiness(faces, embeddings, n_neighbors=k)
    )
    assert found["continuity"] == pytest.approx(trustworthiness(embeddings, faces, n_neighbors=k))


def test_trustworthiness_by_hand() -> None:
    # On a line 0, 1, 3, 7, 15; among the embeddings the first is beside the last.
    faces = np.array([[0.0], [1], [3], [7], [15]])
    embeddings = np.array([[14.5], [1], [3], [7], [15]])
    found = neighbourhood_metrics(faces, embeddings, 1)
    # scale 2 / (1 * (10 - 3 - 1)) = 1/3; the first's neighbour is its fourth: 1 - 3 / 3;
    # the second's is the third, its second: 1 - 1 / 3; the last's is the first: 1 - 3 / 3
    assert found["trustworthiness"] == pytest.approx([0, 2 / 3, 1, 1, 0])


def test_the_faces_themselves_have_1() -> None:
    faces = RNG.uniform(size=(40, 52))
    found = neighbourhood_metrics(faces, 3 * faces + 1, 7)
    assert found["trustworthiness"] == pytest.approx(np.ones(40))
    assert found["continuity"] == pytest.approx(np.ones(40))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e3])
def test_a_constant_space_has_chance_whatever_the_rows(value: float) -> None:
    n, k = 50, 15
    faces = RNG.uniform(size=(n, 52)).repeat(2, axis=0)[:n]
    chance = 1 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1))
    found = neighbourhood_metrics(faces, np.full((n, 8), value), k)
    assert found["trustworthiness"] == pytest.approx([chance] * n, abs=0.02)
    assert means(found)["continuity"] == pytest.approx(chance, abs=0.02)


def test_a_constant_space_has_exactly_chance_on_distinct_faces() -> None:
    found = neighbourhood_metrics(RNG.uniform(size=(41, 52)), np.ones((41, 3)), 10)
    assert found["trustworthiness"] == pytest.approx([1 - 30 * 31 / (40 * 51)] * 41)


def test_ties_are_the_mean_over_all_orders() -> None:
    faces = RNG.integers(0, 2, (24, 3)).astype(float)
    embeddings = RNG.integers(0, 2, (24, 3)).astype(float)
    found = means(neighbourhood_metrics(faces, embeddings, 4))
    drawn = [
        means(
            neighbourhood_metrics(
                faces + 1e-2 * RNG.normal(size=faces.shape),
                embeddings + 1e-2 * RNG.normal(size=faces.shape),
                4,
            )
        )
        for _ in range(300)
    ]
    for name, value in found.items():
        assert value == pytest.approx(np.mean([one[name] for one in drawn]), abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_order_of_rows_and_noise_of_floats_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    faces = rng.integers(0, 3, (30, 4)).astype(float)
    embeddings = rng.normal(size=(15, 5)).repeat(2, axis=0)
    order = rng.permutation(30)
    found = neighbourhood_metrics(faces, embeddings, 6)
    other = neighbourhood_metrics(faces[order], np.float32(embeddings[order]), 6)
    for name, values in found.items():
        assert other[name] == pytest.approx(values[order], abs=1e-6)


def test_k_must_leave_points_that_are_no_neighbours() -> None:
    with pytest.raises(ValueError, match=r"k must be in 1..4 for 10 points, got 5"):
        neighbourhood_metrics(np.zeros((10, 2)), np.zeros((10, 2)), 5)
    with pytest.raises(ValueError, match="9 embeddings for 10 faces"):
        neighbourhood_metrics(np.zeros((10, 2)), np.zeros((9, 2)), 2)


def test_purity_by_hand() -> None:
    units = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]], bool)
    found = neighbour_purity(np.array([[0.0], [1], [5], [6], [9]]), units, 1)
    assert found["au_purity"] == pytest.approx([0.5, 0.5, 1, 1, 0])
    assert found["au_purity_chance"] == pytest.approx([0.125, 0.125, 0.25, 0.25, 0])


def test_purity_of_a_constant_space_is_chance() -> None:
    found = neighbour_purity(np.ones((40, 4)), RNG.integers(0, 2, (40, 36)) > 0, 15)
    assert found["au_purity"] == pytest.approx(found["au_purity_chance"])


def paths(*corners: tuple[float, float]) -> np.ndarray:
    """Return one path of 52 weights, all but two of which are 0."""
    path = np.zeros((1, len(corners), 52))
    path[0, :, :2] = corners
    return path


def measure(path: np.ndarray) -> dict[str, float]:
    found = path_metrics(path, path[:, 0], path[:, -1])
    return {name: values.item() for name, values in found.items()}


STRAIGHT = {"path_ratio": 1, "max_step": 1, "curvature": 0, "monotone": 1}
REST = {"outside": 0, "endpoint_mse": 0, "path_moves": 1}


def test_a_straight_path() -> None:
    first, second = RNG.uniform(size=(2, 3, 52))
    decoded = interpolate(first, second, np.linspace(0, 1, PATH_STEPS + 1)[None])
    found = path_metrics(decoded, first, second)
    assert found == {
        name: pytest.approx([value] * 3, abs=1e-12) for name, value in (STRAIGHT | REST).items()
    }


def test_a_detour_by_hand() -> None:
    found = measure(paths((0, 0), (0, 0.3), (0.4, 0.3), (0.4, 0)))
    assert found == REST | {
        "path_ratio": pytest.approx(2.5),
        "max_step": pytest.approx(1.2),
        "curvature": pytest.approx(0.5),
        "monotone": pytest.approx(1 / 3),
        "path_moves": 1,
    }


def test_a_jump_is_the_largest_step() -> None:
    found = measure(paths((0, 0), (0, 0), (1, 0), (1, 0)))
    assert (found["path_ratio"], found["max_step"]) == (1, 3)
    assert found["monotone"] == pytest.approx(1 / 3)


def test_a_constant_decoder_does_not_look_smooth() -> None:
    first, second = np.zeros((1, 52)), np.ones((1, 52))
    found = path_metrics(np.full((1, 5, 52), 0.5), first, second)
    assert {name: values.item() for name, values in found.items()} == {
        "path_ratio": 4,
        "max_step": 4,
        "curvature": 0,
        "monotone": 0,
        "outside": 0,
        "endpoint_mse": 0.25,
        "path_moves": 0,
    }


def test_weights_outside_are_counted() -> None:
    path = paths((0, 0), (1.2, -0.1), (1, 0))
    assert measure(path)["outside"] == pytest.approx(2 / 156)


def test_wrong_paths_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"paths \(1, 2, 52\)"):
        path_metrics(np.zeros((1, 2, 52)), np.zeros((1, 52)), np.zeros((1, 52)))
    with pytest.raises(ValueError, match="NaN"):
        path_metrics(np.full((1, 3, 52), np.nan), np.zeros((1, 52)), np.zeros((1, 52)))


def test_slerp_turns_evenly_and_keeps_to_the_sphere() -> None:
    first, second = np.array([[1.0, 0]]), np.array([[0.0, 2]])
    found = interpolate(first, second, np.array([[0, 1 / 3, 1]]), "slerp")[0]
    third = 4 / 3 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    assert found == pytest.approx(np.array([[1, 0], third, [0, 2]]))


@pytest.mark.parametrize("second", [[1.0, 0], [-1.0, 0], [0.0, 0]])
def test_slerp_without_a_turn_goes_straight(second: list[float]) -> None:
    ends = np.array([[1.0, 0]]), np.array([second])
    shares = np.linspace(0, 1, 5)[None]
    assert interpolate(*ends, shares, "slerp") == pytest.approx(interpolate(*ends, shares))


def test_far_pairs_do_not_depend_on_the_rows() -> None:
    faces, keys = RNG.uniform(size=(60, 52)), [f"face {n}" for n in range(60)]
    found = far_pairs(faces, keys, 20)
    order = RNG.permutation(60)
    again = far_pairs(faces[order], [keys[n] for n in order], 20)
    assert found.tolist() == order[again].tolist()
    assert len({frozenset(pair) for pair in found.tolist()}) == 20
    apart = np.linalg.norm(faces[found[:, 0]] - faces[found[:, 1]], axis=1)
    every = np.linalg.norm(faces[:, None] - faces, axis=2)[np.triu_indices(60, 1)]
    assert np.median(apart) > np.quantile(every, 0.8)


def test_equal_faces_make_no_pair() -> None:
    assert far_pairs(np.zeros((5, 52)), list("abcde")).shape == (0, 2)
    with pytest.raises(ValueError, match="1 distinct keys for 2 faces"):
        far_pairs(np.zeros((2, 52)), ["a", "a"])


def test_path_length_of_a_straight_decoder_is_the_squared_distance() -> None:
    first, second = RNG.uniform(size=(2, 4, 52))
    here, there = path_points(first, second, list("abcd"))
    found = perceptual_path_length(here, there)["ppl"]
    assert found == pytest.approx(((first - second) ** 2).sum(axis=1))
    assert not perceptual_path_length(here, here)["ppl"].any()


def test_points_on_paths_belong_to_the_key() -> None:
    first, second = RNG.uniform(size=(2, 4, 52))
    here, there = path_points(first, second, list("abcd"), kind="slerp")
    again = path_points(first[::-1], second[::-1], list("dcba"), kind="slerp")
    assert np.allclose(here[::-1], again[0]) and np.allclose(there[::-1], again[1])
    with pytest.raises(ValueError, match="1 keys for 4 pairs"):
        path_points(first, second, ["a"])
