"""The exact solver, given the Gram matrix and the projections; SLSQP beside it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize

from expclip.mead3d import solver as solver_module
from expclip.mead3d.slsqp import solve_slsqp
from expclip.mead3d.solver import kkt_residual, solve_gram

SOME = settings(max_examples=60, deadline=None)


def objective(gram: Any, projections: Any, weights: Any) -> Any:
    return np.einsum("fi,ij,fj->f", weights, gram, weights) / 2 - (projections * weights).sum(1)


def a_problem(seed: int, shapes: int, coordinates: int, frames: int = 5) -> tuple[Any, Any]:
    """Return (B, d) whose best weights lie inside, on and far beyond the bounds."""
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(coordinates, shapes))
    meshes = rng.uniform(-1, 2, (frames, shapes)) @ basis.T
    return basis, meshes + 0.3 * rng.normal(size=meshes.shape)


def test_one_shape_is_divided_and_clipped() -> None:
    found = solve_gram(np.array([[4.0]]), np.array([[1.0], [-1.0], [9.0]]))
    np.testing.assert_allclose(found.weights, [[0.25], [0.0], [1.0]])
    np.testing.assert_array_equal(found.kkt, [0, 0, 0])


def test_clipping_the_free_optimum_is_not_the_answer() -> None:
    # B = [[1, 1], [0, 1]], d = (0, 1): free optimum (-1, 1); with w0 = 0, w1 = 1/2
    gram, right = np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(solve_gram(gram, right).weights, [[0.0, 0.5]])


def test_kkt_is_what_the_worst_weight_would_still_move() -> None:
    # shapes of lengths 2 and 1: at w = 0 the second wants 0.5, which moves 0.5 of 2
    gram = np.diag([4.0, 1.0])
    assert kkt_residual(gram, np.array([[0.0, 0.5]]), np.zeros((1, 2))) == pytest.approx([0.25])
    assert kkt_residual(gram, np.array([[-3.0, 9.0]]), np.array([[0.0, 1.0]])) == [0.0]


def test_kkt_does_not_depend_on_the_unit() -> None:
    basis, meshes = a_problem(0, 6, 20)
    weights = np.full((5, 6), 0.5)
    metres = kkt_residual(basis.T @ basis, meshes @ basis, weights)
    basis, meshes = 1000 * basis, 1000 * meshes
    np.testing.assert_allclose(kkt_residual(basis.T @ basis, meshes @ basis, weights), metres)


@SOME
@given(seed=st.integers(0, 2**32), shapes=st.integers(1, 12), extra=st.integers(0, 8))
def test_it_is_the_optimum_that_lsq_linear_finds(seed: int, shapes: int, extra: int) -> None:
    basis, meshes = a_problem(seed, shapes, shapes + extra + 1)
    gram, right = basis.T @ basis, meshes @ basis
    found = solve_gram(gram, right)
    assert found.kkt.max() <= 1e-8
    assert ((found.weights >= 0) & (found.weights <= 1)).all()
    peer = np.stack([lsq_linear(basis, d, (0, 1), method="bvls", tol=1e-14).x for d in meshes])
    ours, theirs = objective(gram, right, found.weights), objective(gram, right, peer)
    assert (ours <= theirs + 1e-9 * (1 + np.abs(theirs))).all()


@SOME
@given(
    seed=st.integers(0, 2**32),
    near=st.sampled_from([0.0, 1e-12, 1e-8, 1e-6, 1e-3]),
    copies=st.integers(1, 3),
)
def test_alike_shapes_leave_the_optimum_exact(seed: int, near: float, copies: int) -> None:
    basis, meshes = a_problem(seed, 6, 15)
    noise = np.random.default_rng(seed).normal(size=(15, copies))
    basis = np.concatenate([basis, basis[:, :copies] + near * noise], axis=1)
    found = solve_gram(basis.T @ basis, meshes @ basis)
    assert found.kkt.max() <= 1e-8
    assert (found.rank == 6) if near <= 1e-6 else (found.rank == 6 + copies)


def test_equal_shapes_share_equally_and_lower_the_rank() -> None:
    gram = np.ones((2, 2))
    found = solve_gram(gram, np.array([[0.5, 0.5], [3.0, 3.0]]))
    np.testing.assert_allclose(found.weights, [[0.25, 0.25], [1.0, 1.0]], atol=1e-9)
    assert found.rank == 1


def test_shapes_that_move_nothing_get_0_and_are_named() -> None:
    basis, meshes = a_problem(3, 5, 12)
    whole = solve_gram(basis.T @ basis, meshes @ basis)
    basis = np.insert(basis, 2, 0.0, axis=1)
    found = solve_gram(basis.T @ basis, meshes @ basis)
    assert found.dead.tolist() == [False, False, True, False, False, False]
    np.testing.assert_array_equal(found.weights[:, 2], 0)
    np.testing.assert_allclose(np.delete(found.weights, 2, axis=1), whole.weights, atol=1e-12)
    nothing = solve_gram(np.zeros((2, 2)), np.ones((1, 2)))
    assert nothing.weights.tolist() == [[0, 0]]
    assert nothing.rank == 0


@SOME
@given(seed=st.integers(0, 2**32))
def test_shapes_of_very_different_sizes_are_all_fitted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    basis, _ = a_problem(seed, 8, 30)
    basis *= 10.0 ** rng.uniform(-4, 4, 8)
    truth = rng.uniform(0.1, 0.9, (4, 8))
    found = solve_gram(basis.T @ basis, truth @ basis.T @ basis)
    assert not found.dead.any()
    assert found.kkt.max() <= 1e-8


def test_frames_that_are_not_finite_trouble_no_other() -> None:
    basis, meshes = a_problem(4, 6, 20)
    gram, right = basis.T @ basis, meshes @ basis
    alone = solve_gram(gram, right)
    right[1, 3], right[2, 0] = np.nan, np.inf
    found = solve_gram(gram, right)
    assert np.isnan(found.kkt).tolist() == [False, True, True, False, False]
    assert np.isnan(found.weights[1:3]).all()
    kept = [0, 3, 4]
    np.testing.assert_allclose(found.weights[kept], alone.weights[kept], atol=1e-12)


def test_targets_far_out_of_reach_end_on_the_bounds() -> None:
    found = solve_gram(np.eye(3), np.array([[1e30, -1e30, 0.5]]))
    np.testing.assert_array_equal(found.weights, [[1.0, 0.0, 0.5]])


def test_more_frames_than_a_batch_and_none_at_all() -> None:
    basis, meshes = a_problem(5, 6, 20, frames=2 * solver_module._BATCH + 3)
    gram, right = basis.T @ basis, meshes @ basis
    found = solve_gram(gram, right)
    assert found.kkt.max() <= 1e-8
    one = solve_gram(gram, right[-1:])
    np.testing.assert_allclose(found.weights[-1:], one.weights, atol=1e-12)
    assert solve_gram(gram, right[:0]).weights.shape == (0, 6)


@pytest.mark.parametrize("rounds", [1, 2])
def test_frames_finished_alone_reach_the_same_optimum(
    rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    basis, meshes = a_problem(6, 10, 14, frames=40)
    gram, right = basis.T @ basis, meshes @ basis
    expected = solve_gram(gram, right)
    monkeypatch.setattr(solver_module, "_ROUNDS", rounds)
    monkeypatch.setattr(solver_module, "_GUESS_STEPS", 0)
    found = solve_gram(gram, right)
    assert found.kkt.max() <= 1e-12
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-10)


@pytest.mark.parametrize(
    ("gram", "says"),
    [
        (np.ones((2, 3)), "square"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "NaN"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "semi-definite"),
        (np.diag([1.0, -1.0]), "semi-definite"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(gram: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        solve_gram(gram, np.ones((1, 2)))


def test_projections_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(frames, 2\)"):
        solve_gram(np.eye(2), np.ones((1, 3)))


def test_plain_slsqp_in_metres_says_success_far_from_the_optimum_and_ours_does_not() -> None:
    rng = np.random.default_rng(7)
    basis = 1e-4 * rng.normal(size=(90, 8))  # a tenth of a millimetre
    truth = rng.uniform(0.2, 0.8, 8)
    mesh = basis @ truth
    plain = minimize(
        lambda w: float(((basis @ w - mesh) ** 2).sum() / 2),
        np.zeros(8),
        bounds=[(0, 1)] * 8,
        method="SLSQP",
    )
    assert plain.success
    assert np.abs(plain.x - truth).max() > 0.2
    found = solve_slsqp(basis.T @ basis, (mesh @ basis)[None])
    assert found.kkt.max() <= 1e-8
    np.testing.assert_allclose(found.weights[0], truth, atol=1e-6)


def test_slsqp_agrees_with_the_exact_solver_and_never_goes_lower() -> None:
    basis, meshes = a_problem(8, 10, 25)
    basis = np.concatenate([basis, np.zeros((25, 1))], axis=1)
    gram, right = basis.T @ basis, meshes @ basis
    exact, found = solve_gram(gram, right), solve_slsqp(gram, right)
    np.testing.assert_allclose(found.weights, exact.weights, atol=1e-5)
    ours, theirs = (objective(gram, right, result.weights) for result in (exact, found))
    assert (ours <= theirs + 1e-12 * np.abs(theirs)).all()
    right[0] = np.nan
    assert np.isnan(solve_slsqp(gram, right).weights[0]).all()
    assert solve_slsqp(gram, right[:0]).weights.shape == (0, 11)
