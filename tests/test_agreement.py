"""Kappa, alpha and their bootstrap, against hand computation and other programs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.tead.reports.agreement import (
    bootstrap,
    cohen_kappa,
    interval,
    jaccard,
    kappa_from_means,
    krippendorff_alpha,
    summable,
)


def column(text: str) -> np.ndarray:
    return np.array([int(digit) for digit in text], np.int8)[:, None]


def random_ratings() -> np.ndarray:
    """Return three annotators' answers (200 rows, 4 units) that agree in part."""
    rng = np.random.default_rng(42)
    free = (rng.random((3, 200, 4)) < [0.05, 0.3, 0.5, 0.9]).astype(np.int8)
    return np.where(rng.random((3, 200, 4)) < 0.6, free[:1], free)


def test_kappa_is_that_of_a_hand_computed_table() -> None:
    # both 4, first alone 2, second alone 2, neither 2: agreed 0.6, by chance 0.52
    kappa = cohen_kappa(column("1111110000"), column("1111001100"))
    assert kappa == pytest.approx([(0.6 - 0.52) / (1 - 0.52)])
    # Cohen's own kind of example: 20 both, 5, 10, 15 neither gives 0.4
    first, second = "1" * 25 + "0" * 25, "1" * 20 + "0" * 5 + "1" * 10 + "0" * 15
    assert cohen_kappa(column(first), column(second)) == pytest.approx([0.4])


def test_kappa_is_that_of_scikit_learn() -> None:
    ratings = random_ratings()
    # sklearn.metrics.cohen_kappa_score, unit by unit
    expected = [0.5791688584955287, 0.6325530756668482, 0.6189712223002106, 0.6143958868894601]
    assert cohen_kappa(ratings[0], ratings[1]) == pytest.approx(expected, abs=1e-12)


def test_alpha_is_that_of_a_hand_computed_table() -> None:
    # three annotators, four rows: 111, 110, 000, 000; five yes, seven no, two pairs split
    ratings = np.stack([column("1100"), column("1100"), column("1000")])
    # observed: (2 * 1) * 2 / 2 of 12; expected: 2 * 5 * 7 / (12 * 11)
    assert krippendorff_alpha(ratings) == pytest.approx([1 - (2 / 12) / (70 / 132)])


def test_alpha_is_that_of_the_krippendorff_package() -> None:
    expected = [0.5095906432748538, 0.5632226670039733, 0.5791850662384584, 0.5935211971856138]
    assert krippendorff_alpha(random_ratings()) == pytest.approx(expected, abs=1e-12)


def test_perfect_chance_and_opposite_agreement() -> None:
    half, other = column("1100"), column("1010")
    assert cohen_kappa(half, half) == cohen_kappa(half, half.copy()) == pytest.approx([1])
    assert cohen_kappa(half, other) == pytest.approx([0])
    assert cohen_kappa(half, 1 - half) == pytest.approx([-1])
    assert krippendorff_alpha(np.stack([half, half])) == pytest.approx([1])


def test_where_all_answers_are_the_same_nothing_is_defined() -> None:
    never = column("0000")
    assert np.isnan(cohen_kappa(never, never)).all()
    assert np.isnan(krippendorff_alpha(np.stack([never, never, never]))).all()
    assert cohen_kappa(never, column("1000")) == pytest.approx([0])


def test_two_matrices_of_different_shape_are_refused() -> None:
    with pytest.raises((ValueError, TypeError), match=r"of one shape|second"):
        cohen_kappa(column("10"), column("100"))  # a TypeError where shapes are run as checks
    with pytest.raises(ValueError, match="1 annotators"):
        krippendorff_alpha(column("10")[None])
    with pytest.raises(ValueError, match="with rows"):
        cohen_kappa(column(""), column(""))


def test_jaccard_of_sets() -> None:
    assert jaccard({"joy", "pride"}, {"pride", "relief"}) == pytest.approx(1 / 3)
    assert jaccard(set(), set()) == 1
    assert jaccard(set(), {"joy"}) == 0


def test_bootstrap_is_the_same_for_a_seed_and_right_in_width() -> None:
    values = np.arange(400.0)[:, None]
    means = bootstrap(values, lambda means: means, draws=2000, seed=3)
    assert means.shape == (2000, 1)
    np.testing.assert_array_equal(means, bootstrap(values, lambda m: m, draws=2000, seed=3))
    assert not np.array_equal(means, bootstrap(values, lambda m: m, draws=2000, seed=4))
    low, high = interval(means)
    error = values.std() / np.sqrt(400)  # of the mean, by theory
    assert (high - low) / 2 == pytest.approx([1.96 * error], rel=0.08)
    assert low < 199.5 < high


def test_bootstrap_of_kappa_is_kappa_of_rows_drawn() -> None:
    first, second = random_ratings()[:2, :, :1]
    columns = np.column_stack([first, second, first * second]).astype(np.float64)
    drawn = bootstrap(columns, lambda m: kappa_from_means(*m.T)[:, None], draws=5, seed=9)
    rng = np.random.default_rng(9)
    for value in drawn:
        rows = rng.integers(0, 200, 200)
        assert value == pytest.approx(cohen_kappa(first[rows], second[rows]), abs=1e-12)


@given(
    scale=st.sampled_from([1e-300, 1e-9, 1.0, 3e5, 1e290]),
    rows=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_means_of_a_bootstrap_are_exact_in_any_order_of_sums(
    scale: float, rows: int, seed: int
) -> None:
    values = scale * np.random.default_rng(seed).normal(size=(rows, 2)) * [1.0, 0.0]
    found = bootstrap(values, lambda means: means, draws=3, seed=seed)
    for order in (slice(None), slice(None, None, -1)):
        rng = np.random.default_rng(seed)
        for mean in found:
            drawn = summable(values)[rng.integers(0, rows, rows)][order]
            assert mean.tolist() == (np.add.accumulate(drawn)[-1] / rows).tolist()
    largest = np.abs(values).max(axis=0)
    assert np.all(np.abs(summable(values) - values) <= 1e-13 * rows * largest)


def test_undefined_draws_are_left_out_of_an_interval() -> None:
    low, high = interval(np.array([[np.nan, np.nan], [1.0, np.nan], [2.0, np.nan]]))
    assert (low[0], high[0]) == pytest.approx((1.025, 1.975))
    assert np.isnan([low[1], high[1]]).all()


def test_an_interval_holds_the_estimate_that_it_misses_by_rounding_alone() -> None:
    draws = np.array([[0.3, 0.5, 0.5, np.nan]] * 2)
    low, high = interval(draws, about=np.array([0.1 + 0.2, 0.5 - 1e-13, 0.49, 0.5]))
    assert (low[0], high[0]) == (0.3, 0.1 + 0.2)
    assert (low[1], high[1]) == (0.5 - 1e-13, 0.5)
    assert (low[2], high[2]) == (0.5, 0.5)
    assert np.isnan([low[3], high[3]]).all()


@pytest.mark.parametrize(("rows", "draws"), [(0, 10), (10, 0)])
def test_a_bootstrap_of_nothing_is_refused(rows: int, draws: int) -> None:
    with pytest.raises(ValueError, match="needs rows and draws"):
        bootstrap(np.zeros((rows, 1)), lambda means: means, draws=draws)
