"""Intervals, tests and ranks: hand-computed cases, SciPy, and what must not matter."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from expclip.benchmarks.metrics.groups import group_letters, separate_models
from expclip.benchmarks.metrics.statistics import (
    bca_interval,
    benjamini_hochberg,
    cluster_bootstrap,
    holm,
    interval,
    mcnemar_test,
    minimum_detectable_effect,
    rank_intervals,
    sign_flip_pairs,
    sign_flip_test,
    sign_flip_tests,
    weighted_mean,
)


def queries(count: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return values of two metrics, weights, and clusters of three queries."""
    rng = np.random.default_rng(seed)
    clusters = [f"text {number // 3:03}" for number in range(count)]
    values = rng.random((count, 2)) ** 2 + 0.5 * rng.random((count // 3, 1)).repeat(3, axis=0)
    return values, rng.integers(1, 6, count).astype(float), clusters


def test_a_mean_counts_queries_by_their_rows() -> None:
    assert weighted_mean(np.array([1.0, 0.0]), np.array([3.0, 1.0])) == 0.75
    values = np.array([[1.0, 0.5], [0.0, 0.5]])
    assert weighted_mean(values, np.array([1.0, 1.0])).tolist() == [0.5, 0.5]


def test_draws_are_shared_by_models_metrics_and_orders() -> None:
    values, weights, clusters = queries()
    draws = cluster_bootstrap(values, weights, clusters, draws=50)
    assert draws.shape == (50, 2)
    alone = cluster_bootstrap(values[:, 1:], weights, clusters, draws=20)
    assert alone[:, 0] == pytest.approx(draws[:20, 1], abs=1e-12)
    order = np.random.default_rng(1).permutation(len(values))
    shuffled = cluster_bootstrap(
        values[order], weights[order], [clusters[row] for row in order], draws=50
    )
    assert shuffled == pytest.approx(draws, abs=1e-12)
    assert np.array_equal(draws, cluster_bootstrap(values, weights, clusters, draws=50))
    other = cluster_bootstrap(values, weights, clusters, draws=50, seed=1)
    assert not np.allclose(other, draws)


def test_a_constant_offset_is_certain() -> None:
    values, weights, clusters = queries()
    pair = np.stack([values[:, 0], values[:, 0] + 0.25], axis=1)
    draws = cluster_bootstrap(pair, weights, clusters, draws=200)
    low, high = interval((draws[:, 1] - draws[:, 0])[:, None])
    assert (low[0], high[0]) == pytest.approx((0.25, 0.25))


def test_intervals_are_those_of_scipy() -> None:
    values = queries()[0][:, :1]
    ones, each = np.ones(len(values)), list(range(len(values)))
    draws = cluster_bootstrap(values, ones, each, draws=20_000)
    for method, (low, high) in (
        ("percentile", interval(draws)),
        ("BCa", bca_interval(draws, values, ones, each)),
    ):
        expected = stats.bootstrap(
            (values[:, 0],), np.mean, n_resamples=20_000, method=method,
            rng=np.random.default_rng(5), vectorized=True, batch=500,
        )  # fmt: skip
        width = expected.confidence_interval.high - expected.confidence_interval.low
        assert low[0] == pytest.approx(expected.confidence_interval.low, abs=0.03 * width)
        assert high[0] == pytest.approx(expected.confidence_interval.high, abs=0.03 * width)
        assert draws.std() == pytest.approx(expected.standard_error, rel=0.03)


def test_bca_of_clusters_is_that_of_scipy_on_the_ratio() -> None:
    values, weights, clusters = queries(60)
    pairs = np.stack([(weights * values[:, 0]).reshape(-1, 3).sum(axis=1),
                      weights.reshape(-1, 3).sum(axis=1)])  # fmt: skip
    draws = cluster_bootstrap(values, weights, clusters, draws=20_000)
    expected = stats.bootstrap(
        tuple(pairs), lambda x, w, axis: x.sum(axis) / w.sum(axis), paired=True,
        n_resamples=20_000, method="BCa", rng=np.random.default_rng(6), batch=500,
    )  # fmt: skip
    low, high = bca_interval(draws, values, weights, clusters)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert low[0] == pytest.approx(expected.confidence_interval.low, abs=0.03 * width)
    assert high[0] == pytest.approx(expected.confidence_interval.high, abs=0.03 * width)


def test_bca_of_what_never_varies_is_a_point() -> None:
    values = np.ones((5, 1))
    draws = cluster_bootstrap(values, values[:, 0], range(5), draws=30)
    low, high = bca_interval(draws, values, values[:, 0], range(5))
    assert (low[0], high[0]) == (1, 1)
    assert bca_interval(draws, values, values[:, 0], [0] * 5)[0] == [1]


def test_clusters_widen_what_copies_would_narrow() -> None:
    values, weights, _ = queries()
    copies = np.repeat(values, 9, axis=0)
    owners = np.repeat(np.arange(len(values)), 9).tolist()
    once = cluster_bootstrap(values, weights, range(len(values)), draws=40)
    many = cluster_bootstrap(copies, np.repeat(weights, 9), owners, draws=40)
    assert many == pytest.approx(once)


def test_the_test_of_few_clusters_tries_all_signs() -> None:
    # differences 1, 2, 3 (by cluster): |sum| is 6 for two of eight signs
    a, b = np.array([1.0, 1, 1, 3]), np.zeros(4)
    found = sign_flip_test(a, b, np.ones(4), ["x", "y", "y", "z"])
    assert found == 2 / 8
    assert sign_flip_test(b, a, np.ones(4), ["x", "y", "y", "z"]) == 2 / 8
    assert sign_flip_test(a, a, np.ones(4), ["x", "y", "y", "z"]) == 1


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_exact_test_is_the_count_over_all_signs(differences: list[int]) -> None:
    a = np.array(differences, float)
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product([-1, 1], repeat=len(a))
    ]
    expected = np.mean([value >= abs(sum(differences)) for value in sums])
    assert sign_flip_test(a, 0 * a, a * 0 + 1, range(len(a))) == pytest.approx(expected)


def test_the_p_value_is_that_of_scipys_permutation_test() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.random((2, 45))
    a += 0.09
    expected = stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples",
        n_resamples=9_999, vectorized=True, rng=np.random.default_rng(8), batch=1000,
    ).pvalue  # fmt: skip
    found = sign_flip_test(a, b, np.ones(45), range(45))
    assert 0.005 < found < 0.5
    assert found == pytest.approx(expected, abs=0.015)
    assert found == sign_flip_test(a[::-1], b[::-1], np.ones(45), range(44, -1, -1))


@pytest.mark.parametrize("count", [12, 120])
def test_many_tests_at_once_are_the_tests_one_by_one(count: int) -> None:
    _, weights, clusters = queries(count)
    rng = np.random.default_rng(4)
    values = rng.random((count, 1)) + 0.2 * rng.random((count, 5))
    values[:, 4] = values[:, 3]
    values[3:, 2] = values[3:, 1]  # in one cluster only they differ
    one_by_one = np.array([
        [sign_flip_test(a, b, weights, clusters) for b in values.T] for a in values.T
    ])  # fmt: skip
    pairs = sign_flip_pairs(values, weights, clusters)
    assert pairs == pytest.approx(one_by_one, abs=1e-12)
    assert (pairs[3, 4], pairs[1, 2], pairs[2, 2]) == (1, 1, 1)
    gaps = values[:, :1] - values
    assert sign_flip_tests(gaps, weights, clusters) == pytest.approx(pairs[0], abs=1e-12)


def test_p_values_of_equal_models_are_uniform() -> None:
    rng = np.random.default_rng(9)
    ps = []
    for seed in range(200):
        a, b = rng.random((2, 40))
        ps.append(sign_flip_test(a, b, np.ones(40), range(40), draws=199, seed=seed))
    assert np.mean(np.array(ps) <= 0.05) == pytest.approx(0.05, abs=0.04)


def test_many_tests_are_adjusted_as_by_hand() -> None:
    ps = [0.01, 0.04, 0.03, 0.5]
    assert holm(ps) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert benjamini_hochberg(ps) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert benjamini_hochberg(ps) == pytest.approx(stats.false_discovery_control(ps))
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).tolist() == benjamini_hochberg([]).tolist() == []


def test_mcnemar_counts_the_queries_that_one_alone_has_right() -> None:
    # 1 of 7 against 6 of 7: both tails of C(7, 0) + C(7, 1) of 2^7
    a = np.array([1.0] + [0.0] * 6 + [1.0, 1.0, 0.0])
    b = np.array([0.0] + [1.0] * 6 + [1.0, 1.0, 0.0])
    assert mcnemar_test(a, b) == mcnemar_test(b, a) == pytest.approx(2 * (1 + 7) / 2**7)
    assert mcnemar_test(a, a) == 1
    assert mcnemar_test(np.array([1, 0]), np.array([0, 1])) == 1  # both tails hold the middle
    assert mcnemar_test(np.array([True]), np.array([False])) == 1


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_scipys_binomial_test_on_the_discordant(won: int, lost: int) -> None:
    a = np.repeat([1.0, 0.0, 1.0], [won, lost, 1])
    b = np.repeat([0.0, 1.0, 1.0], [won, lost, 1])
    expected = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar_test(a, b) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_is_the_sign_flip_test_of_queries_right_or_wrong() -> None:
    a, b = np.array([[1.0] * 7 + [0, 0, 1], [0.0] * 5 + [1, 1, 1, 0, 0]])
    assert mcnemar_test(a, b) == pytest.approx(sign_flip_test(a, b, np.ones(10), range(10)))


def matrix(count: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Return which pairs are separated, both ways."""
    found = np.zeros((count, count), bool)
    for one, other in pairs:
        found[one, other] = found[other, one] = True
    return found


@pytest.mark.parametrize(
    ("separated", "letters"),
    [
        ([(0, 1), (0, 2)], ("a", "b", "b")),  # one better than two equal
        ([(0, 2)], ("a", "ab", "b")),  # the chain
        ([], ("a", "a", "a")),
        ([(0, 1), (0, 2), (1, 2)], ("a", "b", "c")),
        ([(0, 1)], ("a", "b", "ab")),  # the worst is measured too coarsely to tell
    ],
)
def test_models_not_told_apart_share_a_letter(
    separated: list[tuple[int, int]], letters: tuple[str, ...]
) -> None:
    found = matrix(3, separated)
    assert group_letters(found, [0, 1, 2]) == letters
    for order in itertools.permutations(range(3)):  # in whatever order the models are given
        places = [order.index(model) for model in range(3)]
        shuffled = group_letters(found[np.ix_(order, order)], places)
        assert tuple(shuffled[place] for place in places) == letters


def test_a_letter_that_no_pair_needs_is_dropped() -> None:
    # 0-1-2 are all together, and each pair of them is with a fourth model too
    together = [(0, 1), (0, 2), (1, 2), (3, 0), (3, 1), (4, 0), (4, 2), (5, 1), (5, 2)]
    separated = ~matrix(6, together) & ~np.eye(6, dtype=bool)
    letters = group_letters(separated, range(6))
    assert letters == ("ab", "ac", "bc", "a", "b", "c")


def test_letters_of_one_model_of_none_and_of_very_many() -> None:
    assert group_letters(np.zeros((1, 1), bool), [0]) == ("a",)
    assert group_letters(np.zeros((0, 0), bool), []) == ()
    apart = group_letters(~np.eye(703, dtype=bool), range(703))
    assert (apart[0], apart[25], apart[26], apart[27]) == ("a", "z", "aa", "ab")
    assert (apart[701], apart[702]) == ("zz", "aaa")
    chain = np.abs(np.subtract.outer(np.arange(28), np.arange(28))) > 1
    assert group_letters(chain, range(28))[26:] == ("z aa", "aa")


@given(st.data())
def test_two_models_share_a_letter_if_and_only_if_they_are_not_separated(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 9))
    pairs = list(itertools.combinations(range(count), 2))
    separated = matrix(count, data.draw(st.lists(st.sampled_from(pairs)) if pairs else st.just([])))
    order = data.draw(st.permutations(range(count)))
    letters = group_letters(separated, order)
    assert all(letters) and letters[order[0]].startswith("a")
    for one, other in pairs:
        assert bool(set(letters[one]) & set(letters[other])) == (not separated[one, other])
    assert group_letters(separated[np.ix_(order, order)], range(count)) == tuple(
        letters[model] for model in order
    )
    for letter in set("".join(letters)):  # no model could join
        group = [model for model in range(count) if letter in letters[model]]
        assert all(separated[model, group].any() for model in set(range(count)) - set(group))


def test_models_are_separated_as_far_as_all_pairs_adjusted_allow() -> None:
    _, weights, clusters = queries()
    rng = np.random.default_rng(5)
    values = rng.random((120, 1)) + 0.1 * rng.random((120, 3))
    values[:, 2] -= 0.3
    separated = separate_models(values, weights, clusters)
    ps = sign_flip_pairs(values, weights, clusters)[[0, 0, 1], [1, 2, 2]]
    assert (separated[[0, 0, 1], [1, 2, 2]] == (benjamini_hochberg(ps) <= 0.05)).all()
    assert group_letters(separated, [0, 1, 2]) == ("a", "a", "b")
    # of two clusters no sign-flip test can separate anything
    assert not separate_models(values, weights, ["x", "y"] * 60).any()


def test_ranks_have_intervals() -> None:
    rng = np.random.default_rng(10)
    noise = rng.normal(0, 0.01, 1000)
    draws = {"worst": noise, "best": noise + 1, "same": noise + 0.5, "twin": noise + 0.5}
    assert rank_intervals(draws) == {
        "worst": (4, 4), "best": (1, 1), "same": (2, 3), "twin": (2, 3),
    }  # fmt: skip
    assert rank_intervals(draws, higher_is_better=False)["worst"] == (1, 1)
    apart = {"a": rng.normal(0, 1, 1000), "b": rng.normal(0, 1, 1000)}
    assert rank_intervals(apart) == {"a": (1, 2), "b": (1, 2)}
    with pytest.raises(ValueError, match="expected the same draws"):
        rank_intervals({"a": np.zeros(3), "b": np.zeros(4)})


def test_the_smallest_effect_that_can_be_found() -> None:
    # 100 differences of +-1 in even number: standard error sqrt(100 / 99) / 10
    values = np.tile([1.0, -1.0], 50)
    found = minimum_detectable_effect(values, np.ones(100), range(100))
    assert found == pytest.approx((1.959964 + 0.841621) * math.sqrt(1 / 99), abs=1e-6)
    pairs = minimum_detectable_effect(values, np.ones(100), np.arange(100) // 2)
    assert pairs == pytest.approx(0, abs=1e-12)
    assert minimum_detectable_effect(values, np.ones(100), ["one"] * 100) == math.inf
    # its error is that of the bootstrap
    some, weights, clusters = queries(600)
    draws = cluster_bootstrap(some, weights, clusters, draws=4000)
    expected = draws[:, 0].std() * (1.959964 + 0.841621)
    effect = minimum_detectable_effect(some[:, 0], weights, clusters)
    assert effect == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weighted_mean(np.array([np.nan]), np.ones(1)), "a value is not finite"),
        (lambda: weighted_mean(np.ones(2), np.array([1, 0])), "above 0"),
        (lambda: weighted_mean(np.ones(2), np.ones(3)), "expected one a query"),
        (lambda: weighted_mean(np.ones(0), np.ones(0)), "expected one a query"),
        (lambda: cluster_bootstrap(np.ones((2, 1)), np.ones(2), [1]), "1 clusters, expected 2"),
        (lambda: cluster_bootstrap(np.ones((2, 1)), np.ones(2), [1, 2], draws=0), "draws"),
        (lambda: sign_flip_test(np.ones(2), np.ones(3), np.ones(2), [1, 2]), "expected pairs"),
        (lambda: sign_flip_test(np.ones(2), np.ones(2), np.ones(2), [1, 2], draws=0), "0 draws"),
        (lambda: holm([1.5]), "p-values must be"),
        (lambda: mcnemar_test(np.array([0.5]), np.ones(1)), "neither 0 nor 1"),
        (lambda: mcnemar_test(np.array([np.nan]), np.ones(1)), "neither 0 nor 1"),
        (lambda: mcnemar_test(np.ones(2), np.ones(3)), "expected pairs"),
        (lambda: mcnemar_test(np.ones(0), np.ones(0)), "expected pairs"),
        (lambda: group_letters(np.zeros((2, 3), bool), [0, 1]), "expected bool, square"),
        (lambda: group_letters(np.zeros((2, 2)), [0, 1]), "expected bool, square"),
        (lambda: group_letters(np.ones((2, 2), bool), [0, 1]), "symmetric"),
        (lambda: group_letters(np.zeros((2, 2), bool), [0, 0]), "each of 2 models once"),
    ],
)
def test_wrong_arguments_are_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
