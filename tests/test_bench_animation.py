"""Faces in motion: values by hand, what baselines score, and what is said where nothing moves."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.benchmarks.metrics.animation import animation_metrics, match_frames, stochastic_metrics
from expclip.benchmarks.metrics.animation_audio import (
    audio_metrics,
    beat_consistency,
    envelope,
    speech_lip_consistency,
)
from expclip.benchmarks.metrics.animation_lips import opening_sync
from expclip.benchmarks.metrics.animation_mesh import FaceRegions, find_regions, mesh_metrics
from expclip.benchmarks.metrics.channels import LIPS, UPPER, places_of
from expclip.benchmarks.metrics.style_control import StyleCase, style_metrics
from expclip.benchmarks.metrics.warping import align, count_matches, warp
from expclip.face import BLENDSHAPE_INDEX, Basis, read_basis

REAL = Path(__file__).parents[2] / "shared" / "data" / "meshes" / "ict_arkit_basis.npz"
FPS = 20.0
LIPS_AT, UPPER_AT = places_of(LIPS), places_of(UPPER)


def clip(frames: int = 1, **channels: object) -> np.ndarray:
    """Return a clip of zeros but for these channels: one value, or one a frame."""
    weights = np.zeros((frames, 52))
    for name, values in channels.items():
        weights[:, BLENDSHAPE_INDEX[name]] = values
    return weights


def talk(frames: int = 100, late: int = 0, period: int = 20) -> np.ndarray:
    """Return a mouth that opens and closes once a second, so many frames late."""
    turns = (np.arange(frames) - late) / period
    return clip(frames, jawOpen=0.5 - 0.5 * np.cos(2 * np.pi * turns))


def one(truth: np.ndarray, predicted: np.ndarray, fps: float = FPS) -> dict[str, float]:
    found = animation_metrics([truth], [predicted], fps)
    return {name: values.item() for name, values in found.items()}


PERFECT = {
    **dict.fromkeys(("opening_corr", "opening_corr_peak", "peak_f1", "closure_f1"), 1),
    **dict.fromkeys(("mtm_coverage", "length_ratio", "opening_moves"), 1),
}


def test_the_truth_has_no_error() -> None:
    found = one(talk(), talk())
    assert found == {name: pytest.approx(PERFECT.get(name, 0), abs=1e-7) for name in found}


def test_a_still_truth_is_met_by_a_still_face() -> None:
    for frames in (1, 2, 3, 40):
        found = one(clip(frames, jawOpen=0.3), clip(frames, jawOpen=0.3))
        expected = PERFECT | {"opening_moves": 0}
        assert found == {name: expected.get(name, 0) for name in found}


def test_what_the_mean_face_scores() -> None:
    truth = talk()
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    found = one(truth, mean)
    assert found["lip_mse"] == pytest.approx(0.125 / 27)  # half of the squared amplitude
    assert found["lip_unexplained"] == pytest.approx(1)
    assert found["peak_f1"] == found["closure_f1"] == found["mtm_coverage"] == 0
    assert (found["dtw_path_ms"], found["mtm_ms"], found["opening_lag_abs_ms"]) == (1000, 1000, 500)
    assert found["opening_corr"] == found["opening_lag_ms"] == found["opening_moves"] == 0
    assert found["jerk_log_ratio"] < -3


def test_lip_errors_by_hand() -> None:
    truth, found = clip(3), clip(3, jawOpen=[0, 0.3, 0.9], mouthPucker=[0, 0.4, 0])
    errors = one(truth, found)
    assert errors["lip_mse"] == pytest.approx((0.25 + 0.81) / 81)
    assert errors["lip_rmse"] == pytest.approx(np.sqrt(1.06 / 81))
    assert errors["lip_lve_weights"] == pytest.approx((0 + 0.5 + 0.9) / 3)
    # steps: 0.3 and 0.6 of the jaw, 0.4 and -0.4 of the lips; 20 a second
    assert errors["lip_velocity_rmse"] == pytest.approx(20 * np.sqrt((0.45 + 0.32) / 54))
    assert errors["upper_rmse"] == 0


def test_unexplained_is_pooled_so_that_a_still_clip_does_not_rule() -> None:
    truths = [talk(), clip(10)]
    found = animation_metrics(truths, [talk(), clip(10, jawOpen=0.1)], FPS)
    mean = (talk()[:, LIPS_AT].mean(axis=0) + 0) / 2
    spread = np.mean([((truth[:, LIPS_AT] - mean) ** 2).mean() for truth in truths])
    assert found["lip_unexplained"] == pytest.approx([0, 0.01 / 27 / spread])


def test_means_of_the_lips_leave_all_unexplained() -> None:
    truths = [talk(), talk(30, 3), clip(10)]
    centre = np.mean([truth.mean(axis=0) for truth in truths], axis=0)
    answers = [np.broadcast_to(centre, truth.shape) for truth in truths]
    assert animation_metrics(truths, answers, FPS)["lip_unexplained"].mean() == pytest.approx(1)


@pytest.mark.parametrize("late", [-4, 0, 3, 7])
def test_a_lag_is_found_in_milliseconds(late: int) -> None:
    rng = np.random.default_rng(1)
    course = np.convolve(rng.uniform(size=140), np.ones(5) / 5, "valid")
    truth, found = (clip(100, jawOpen=course[start : start + 100]) for start in (20, 20 - late))
    errors = one(truth, found)
    assert errors["opening_lag_ms"] == pytest.approx(1000 * late / FPS, abs=10)
    assert errors["opening_lag_abs_ms"] == abs(errors["opening_lag_ms"])
    assert errors["opening_corr_peak"] == pytest.approx(1)
    jaws = (weights[:, BLENDSHAPE_INDEX["jawOpen"]] for weights in (truth, found))
    assert errors["opening_corr"] == pytest.approx(np.corrcoef(*jaws)[0, 1])


def test_a_lag_between_frames_is_found() -> None:
    fit = align(np.sin(np.arange(60) / 5), np.sin((np.arange(60) - 1.4) / 5), 10)
    assert fit.lag == pytest.approx(1.4, abs=0.1)


def test_the_smaller_of_equal_lags_counts() -> None:
    fit = align(np.sin(np.arange(60) * np.pi / 4), np.sin((np.arange(60) - 1) * np.pi / 4), 15)
    assert fit.lag == pytest.approx(1, abs=0.05)


def test_an_opposite_course_has_no_lag() -> None:
    found = opening_sync(np.array([0.0, 0.5, 1]), np.array([1, 0.5, 0]), FPS)
    assert found["opening_corr"] == pytest.approx(-1)
    assert found["opening_lag_ms"] == 0
    assert found["opening_lag_abs_ms"] == 500


def test_peaks_and_closings_pair_off_within_100_ms() -> None:
    near, far = (one(talk(110), talk(110, late)) for late in (2, 5))
    assert near["peak_f1"] == near["closure_f1"] == 1
    assert far["peak_f1"] == far["closure_f1"] == 0


def test_a_mouth_that_never_quite_closes_has_no_closings() -> None:
    mumble = talk() * 0.5
    mumble[:, BLENDSHAPE_INDEX["jawOpen"]] += 0.3
    found = one(talk(), mumble)
    assert found["closure_f1"] == 0
    assert found["peak_f1"] == found["opening_corr"] == pytest.approx(1)


def test_a_mouth_that_is_always_shut_never_closes() -> None:
    assert one(talk(30), clip(30))["closure_f1"] == 0


def test_half_of_the_closings() -> None:
    half = talk(100)
    half[:50] = half[50]  # still at first, then as it should
    truth = one(talk(100), half)
    assert truth["closure_f1"] == pytest.approx(2 * 3 / (5 + 3))


def test_a_moving_mouth_where_the_truth_is_still() -> None:
    found = one(clip(100), talk())
    assert found["peak_f1"] == found["closure_f1"] == found["mtm_coverage"] == 0
    assert (found["mtm_ms"], found["dtw_path_ms"]) == (1000, 1000)


def slow_warp(first: np.ndarray, second: np.ndarray, band: int) -> float:
    """Return the least sum of costs, cell by cell."""
    count = len(first)
    total = np.full((count + 1, count + 1), np.inf)
    total[0, 0] = 0
    for i in range(count):
        for j in range(max(0, i - band), min(count, i + band + 1)):
            cost = np.sqrt(((first[i] - second[j]) ** 2).mean())
            total[i + 1, j + 1] = cost + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 99))
def test_warping_is_the_cheapest(count: int, band: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, 4, (2, count, 2)).astype(float)
    path, costs = warp(first, second, band)
    assert costs.sum() == pytest.approx(slow_warp(first, second, band))
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [count - 1, count - 1]
    assert np.isin(np.diff(path, axis=0), (0, 1)).all()
    assert (np.diff(path, axis=0).sum(axis=1) >= 1).all()
    assert (np.abs(path[:, 0] - path[:, 1]) <= band).all()


def test_warping_finds_the_same_movement_later() -> None:
    found = one(talk(), talk(late=2))
    assert found["dtw_cost"] < 0.1 * one(talk(), clip(100))["dtw_cost"]
    assert found["dtw_path_ms"] == pytest.approx(100, abs=10)
    assert found["mtm_ms"] == pytest.approx(100, abs=20)
    assert found["mtm_coverage"] == 1


def test_a_mouth_that_hardly_moves_is_not_covered() -> None:
    found = one(talk(), talk(late=2) * 0.05)
    assert found["mtm_coverage"] == 0
    assert found["mtm_ms"] == 1000


@settings(max_examples=50, deadline=None)
@given(*[st.lists(st.integers(0, 30), max_size=5, unique=True).map(sorted)] * 2)
def test_as_many_events_as_possible_pair_off(first: list[int], second: list[int]) -> None:
    def most(ones: list[int], others: list[int]) -> int:
        if not ones:
            return 0
        rest = [
            1 + most(ones[1:], [x for x in others if x != other])
            for other in others
            if abs(ones[0] - other) <= 3
        ]
        return max([most(ones[1:], others), *rest])

    found = count_matches(np.array(first, int), np.array(second, int), 3.0)
    assert found == most(first, second)


def test_dynamics_of_the_upper_face_by_hand() -> None:
    truth = clip(2, browInnerUp=[0, 1], noseSneerLeft=[1, 0], jawOpen=[0, 1])
    found = one(truth, clip(2))
    # the sum stays 1, so it has no deviation; each of the two of 24 has deviation 1/2
    assert found["fdd_sum_first"] == 0
    assert found["fdd_sum_last"] == pytest.approx(1 / 24)
    assert found["upper_rmse"] == pytest.approx(np.sqrt(2 / 48))


def test_too_much_and_too_little_movement_do_not_cancel() -> None:
    truths = [clip(2, browInnerUp=[0, 0.8])] * 2
    found = animation_metrics(truths, [clip(2, browInnerUp=[0, high]) for high in (0, 1)], FPS)
    assert found["fdd_sum_first"] == pytest.approx([0.32, 0.18])


def test_jerk_by_hand() -> None:
    truth, rough = clip(4, jawOpen=[0, 0, 0, 0.1]), clip(4, jawOpen=[0, 0, 0, 0.2])
    found = one(truth, rough)
    assert found["jerk_log_ratio"] == pytest.approx(np.log(0.2001 / 0.1001))
    assert one(rough, truth)["jerk_log_ratio"] == pytest.approx(-found["jerk_log_ratio"])
    assert one(rough, truth)["jerk_log_ratio_abs"] == pytest.approx(found["jerk_log_ratio"])
    assert one(clip(3, jawOpen=[0, 1, 0]), clip(3))["jerk_log_ratio"] == 0


def test_a_prediction_that_stops_early_is_held_and_told() -> None:
    assert match_frames(talk(3), 5).tolist() == talk(5)[[0, 1, 2, 2, 2]].tolist()
    assert match_frames(talk(5), 3).tolist() == talk(3).tolist()
    found = one(talk(100), talk(50))
    assert found["length_ratio"] == 0.5
    assert found["lip_mse"] > 0
    assert one(talk(100), talk(150))["length_ratio"] == 1.5
    assert one(talk(100), talk(150))["lip_mse"] == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.sampled_from([1e-9, 0.5]))
def test_no_clip_scores_anything_but_finite_numbers(
    frames: int, answered: int, seed: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    truth, found = size * rng.uniform(size=(frames, 52)), rng.uniform(size=(answered, 52))
    for pair in ((truth, found), (found, truth)):
        values = one(*pair)
        assert all(np.isfinite(value) for value in values.values()), values


def test_wrong_clips_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"prediction of clip 0 have shape \(0, 52\)"):
        animation_metrics([talk()], [np.zeros((0, 52))], FPS)
    with pytest.raises(ValueError, match="1 predictions for 2 clips"):
        animation_metrics([talk(), talk()], [talk()], FPS)
    with pytest.raises(ValueError, match="fps must be above 0"):
        animation_metrics([talk()], [talk()], 0)


def test_many_answers_by_hand() -> None:
    truth = clip(1)
    far = np.sqrt(1 / 52)
    answers = np.stack([clip(1), clip(1, jawOpen=1)])
    found = stochastic_metrics([truth], [answers], FPS)
    assert found["energy_score"] == pytest.approx([far / 2 - far / 4])
    assert found["diversity"] == pytest.approx([far])
    lips = np.sqrt(1 / 27)
    assert found["lip_rmse"] == pytest.approx([lips / 2])
    assert found["lip_rmse_best_of_2"] == [0]
    assert found["lip_rmse_of_mean"] == pytest.approx([lips / 2])


def test_one_answer_has_its_error_as_energy_score() -> None:
    found = stochastic_metrics([clip(1)], [clip(1, jawOpen=1)[None]], FPS)
    assert found["energy_score"] == pytest.approx([np.sqrt(1 / 52)])
    assert found["diversity"] == [0]
    with pytest.raises(ValueError, match=r"\[1, 2\] answers"):
        stochastic_metrics([clip(1)] * 2, [np.zeros((k, 1, 52)) for k in (1, 2)], FPS)


SPEECH = np.sin(np.arange(16_000 * 5) * 0.4) * (np.arange(16_000 * 5) % 16_000 < 4000)


def test_the_envelope_of_whole_numbers_does_not_overflow() -> None:
    loud = np.full(1600, 20_000, np.int16)
    assert envelope(loud, 16_000, FPS, 4) == pytest.approx([20_000 / 32_767] * 3 + [0])
    assert envelope(loud / 32_767, 16_000, FPS, 2) == pytest.approx(envelope(loud, 16_000, FPS, 2))


def test_a_mouth_that_opens_with_the_voice_is_in_time() -> None:
    opening = envelope(SPEECH, 16_000, FPS, 100)
    found = audio_metrics([clip(100, jawOpen=opening)], [SPEECH], 16_000, FPS)
    assert found["audio_opening_corr"] == pytest.approx([1])
    assert found["audio_opening_lag_ms"] == pytest.approx([0], abs=1)
    assert found["beat_coverage"] == [1]


def test_silence_and_still_faces_are_told_by_coverage() -> None:
    silent = audio_metrics([talk()], [np.zeros(80_000)], 16_000, FPS)
    still = audio_metrics([clip(100)], [SPEECH], 16_000, FPS)
    both = audio_metrics([clip(1)], [np.zeros(10)], 16_000, FPS)
    for found in (silent, still, both):
        covered = [
            found[name] for name in ("audio_opening_moves", "beat_coverage", "slcc_coverage")
        ]
        assert covered == [0, 0, 0]
        assert all(np.isfinite(values).all() for values in found.values())
    assert silent["audio_opening_lag_abs_ms"] == still["audio_opening_lag_abs_ms"] == [500]
    assert both["audio_opening_corr"] == [1]


def test_beats_far_from_onsets_count_less() -> None:
    # onsets at 1, 2, 3 and 4 s; the mouth stands still at the turns of each movement
    clicks = clip(100, jawOpen=np.abs(np.sin(np.pi * (np.arange(100) + 0.5) / 20)))
    near = beat_consistency(clicks, FPS, SPEECH, 16_000)["beat_consistency"]
    off = clip(100, jawOpen=np.repeat([0.0, 1, 0, 1, 0], 20))
    assert 0 < beat_consistency(off, FPS, SPEECH, 16_000)["beat_consistency"] <= 1
    assert 0 < near < 1


def test_louder_clips_with_larger_motion_correlate_as_in_scipy() -> None:
    from scipy.stats import pearsonr

    rng = np.random.default_rng(3)
    sizes = rng.uniform(0.1, 1, 8)
    audios = [SPEECH * size for size in sizes]
    strengths = sizes + rng.uniform(0, 0.5, 8)
    clips = [talk() * strength for strength in strengths]
    found = speech_lip_consistency(clips, audios, ["a"] * 8)
    assert found["slcc"].mean() == pytest.approx(pearsonr(sizes, strengths)[0])
    assert found["slcc_coverage"].tolist() == [1] * 8


def test_speakers_are_compared_with_themselves() -> None:
    audios = [SPEECH * size for size in (1, 0.5, 0.2, 0.1, 0.3)]
    clips = [talk() * size for size in (0.2, 0.1, 1, 0.5, 0.7)]
    found = speech_lip_consistency(clips, audios, ["a", "a", "b", "b", "c"])
    assert found["slcc"] == pytest.approx([1, 1, 1, 1, 0])
    assert found["slcc_coverage"].tolist() == [1, 1, 1, 1, 0]


def test_audio_must_be_mono() -> None:
    with pytest.raises(ValueError, match="mono"):
        envelope(np.zeros((10, 2)), 16_000, FPS, 1)


def small_basis() -> Basis:
    """Two lips 1 cm apart, a brow; the jaw takes the lower lip 2 cm down, in centimetres."""
    neutral = np.array([[0, 0, 0], [0, -1, 0], [0, 5, 0], [1, 5, 0], [-1, 5, 0]], np.float32)
    deltas = np.zeros((52, 5, 3), np.float32)
    deltas[BLENDSHAPE_INDEX["jawOpen"], 1] = (0, -2, 0)
    deltas[BLENDSHAPE_INDEX["mouthRollUpper"], 0] = (0, 0, -1)
    deltas[BLENDSHAPE_INDEX["mouthRollLower"], 1] = (0, 0, -1)
    deltas[BLENDSHAPE_INDEX["browInnerUp"], 2] = (0, 1, 0)
    return Basis(neutral, deltas, np.empty((0, 3), np.int32), "cm")


def on_mesh(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    found = mesh_metrics([truth], [predicted], small_basis())
    return {name: values.item() for name, values in found.items()}


def test_regions_are_found_from_what_shapes_move() -> None:
    found = find_regions(small_basis())
    assert found.lips.tolist() == [0, 1]
    assert found.upper.tolist() == [2]
    assert found.opening == (0, 1)


def test_vertex_errors_by_hand() -> None:
    found = on_mesh(clip(2), clip(2, jawOpen=[0.5, 1]))
    assert found == {
        "lve_m2": pytest.approx((0.01**2 + 0.02**2) / 2),
        "lve_mm": pytest.approx(15),
        "mve_mm": pytest.approx(15 / 5),
        "fve_m2": pytest.approx((0.01**2 + 0.02**2) / 2),
        "eve_m2": 0,
        "fdd_m2": 0,
        "mod_mm": pytest.approx(15),
    }


def test_vertices_of_the_upper_face_by_hand() -> None:
    found = on_mesh(clip(2, browInnerUp=[0, 1]), clip(2))
    assert found["eve_m2"] == found["fve_m2"] == pytest.approx(0.01**2 / 2)
    assert found["fdd_m2"] == pytest.approx(0.01**2 / 2)
    assert found["lve_m2"] == found["mod_mm"] == 0


def test_units_of_the_basis_do_not_matter_and_the_truth_has_no_error() -> None:
    rng = np.random.default_rng(0)
    truth, found = rng.uniform(size=(2, 4, 52))
    ours = mesh_metrics([truth], [found], small_basis())
    assert ours == {
        name: pytest.approx(values, rel=1e-5)
        for name, values in mesh_metrics([truth], [found], small_basis().to_unit("mm")).items()
    }
    assert not any(on_mesh(truth, truth).values())


def test_linear_errors_are_those_of_posed_meshes() -> None:
    rng = np.random.default_rng(1)
    truth, found = rng.uniform(size=(2, 6, 52))
    basis = small_basis().to_unit("m")
    posed = [basis.pose(weights) for weights in (truth, found)]
    errors = np.linalg.norm(posed[1] - posed[0], axis=2)
    gaps = [np.linalg.norm(face[:, 0] - face[:, 1], axis=1) for face in posed]
    ours = on_mesh(truth, found)
    assert ours["lve_m2"] == pytest.approx((errors[:, :2] ** 2).max(axis=1).mean(), rel=1e-5)
    assert ours["mve_mm"] == pytest.approx(1000 * errors.mean(), rel=1e-5)
    assert ours["mod_mm"] == pytest.approx(1000 * np.abs(gaps[0] - gaps[1]).mean(), rel=1e-5)
    way = [((face - basis.neutral)[:, 2] ** 2).sum(axis=1).std() for face in posed]
    assert ours["fdd_m2"] == pytest.approx(abs(way[0] - way[1]), rel=1e-5)


def test_a_basis_without_lips_asks_for_regions() -> None:
    basis = small_basis()
    basis.deltas[BLENDSHAPE_INDEX["jawOpen"]] = 0
    with pytest.raises(ValueError, match="no jawOpen: name the regions"):
        mesh_metrics([clip(1)], [clip(1)], basis)
    named = FaceRegions(np.array([0, 1]), np.array([2]), (0, 1))
    assert mesh_metrics([clip(1)], [clip(1)], basis, named)["lve_m2"] == [0]


@pytest.mark.skipif(not REAL.exists(), reason="no real mesh here")
def test_regions_of_a_real_face() -> None:
    basis = read_basis(REAL)
    found = find_regions(basis)
    width = np.ptp(basis.neutral[:, 0])
    upper, lower = basis.neutral[list(found.opening)]
    assert np.linalg.norm(upper - lower) < 0.02 * width  # the lips are closed
    assert upper[1] > lower[1]
    assert not set(found.lips) & set(found.upper)
    jaw = mesh_metrics([clip(1)], [clip(1, jawOpen=1)], basis, found)
    assert 10 < jaw["mod_mm"].item() < 60
    assert 10 < jaw["lve_mm"].item() < 60
    assert jaw["eve_m2"].item() < 0.1 * jaw["lve_m2"].item()


SMILE = clip(1, cheekSquintLeft=0.6, browInnerUp=0.8)[0]  # a length of 1


def style(prompted: list[np.ndarray], neutral: np.ndarray, **options: object) -> dict[str, float]:
    case = StyleCase(SMILE, neutral, neutral, prompted, **options)  # type: ignore[arg-type]
    return {name: values.item() for name, values in style_metrics([case]).items()}


def test_the_prompts_own_face_is_reached() -> None:
    neutral = clip(4)
    found = style([neutral + share * SMILE for share in (0, 0.25, 0.5, 0.75, 1)], neutral)
    expected = {"style_cosine": 1, "expressiveness": 1, "control_slope": 1}
    assert found == {name: pytest.approx(expected.get(name, 0)) for name in found}


def test_a_model_deaf_to_prompts() -> None:
    still = clip(4, browInnerUp=0.8)
    found = style([still] * 5, still)
    assert found["style_cosine"] == found["control_slope"] == found["lip_preservation"] == 0
    assert found["style_error"] == pytest.approx(0.36)
    assert found["expressiveness"] == pytest.approx(0.8)
    assert found["expressiveness_error"] == pytest.approx(-np.log(0.8))


def test_zeros_show_nothing_and_are_finite() -> None:
    found = style([clip(1)] * 5, clip(1))
    assert found["style_error"] == pytest.approx(1)
    assert found["expressiveness"] == 0
    assert found["expressiveness_error"] == pytest.approx(np.log(1000))


def test_slope_is_spearmans() -> None:
    shown = [0.1, 0.4, 0.2, 0.8, 0.9]
    found = style([clip(1, browInnerUp=value) for value in shown], clip(1))
    assert found["control_slope"] == pytest.approx(0.9)  # 1 - 6 * 2 / (5 * 24)
    assert style([clip(1)], clip(1), strengths=(1.0,))["control_slope"] == 0


def test_lips_are_kept_by_their_changes() -> None:
    neutral = clip(3, jawOpen=[0, 0.5, 0])
    held = neutral + clip(3, mouthSmileLeft=0.7)
    assert style([held] * 5, neutral)["lip_preservation"] == pytest.approx(0)
    assert style([clip(3)] * 5, neutral)["lip_preservation"] == pytest.approx(0.25)


def test_a_prompt_without_an_upper_face_is_no_case() -> None:
    with pytest.raises(ValueError, match="shows nothing above the mouth"):
        StyleCase(clip(1, jawOpen=1)[0], clip(1), clip(1), [clip(1)] * 5)
    with pytest.raises(ValueError, match="4 animations for 5 strengths"):
        StyleCase(SMILE, clip(1), clip(1), [clip(1)] * 4)
