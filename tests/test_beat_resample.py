import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.beat_loader import resample


def tone(hertz: float, fps: float = 60.0, seconds: float = 20.0) -> np.ndarray:
    times = np.arange(round(fps * seconds)) / fps
    return np.sin(2 * np.pi * hertz * times)[:, None].astype(np.float32)


def energy(weights: np.ndarray) -> float:
    return float(np.square(weights[15:-15]).mean())


def test_a_tone_of_20_hz_is_gone_at_15_fps_and_comes_out_as_5_when_decimated() -> None:
    before = energy(tone(20.0))
    assert energy(resample(tone(20.0), 60.0, 15.0)) < 0.01 * before
    decimated = resample(tone(20.0), 60.0, 15.0, "decimate")
    assert energy(decimated) == pytest.approx(before, rel=0.05)
    np.testing.assert_allclose(decimated, tone(5.0)[::4], atol=1e-4)


@pytest.mark.parametrize("hertz", [8.5, 10.0, 15.0, 25.0, 29.0])
def test_nothing_above_the_new_half_rate_folds_back(hertz: float) -> None:
    assert energy(resample(tone(hertz), 60.0, 15.0)) < 0.01 * energy(tone(hertz))


@pytest.mark.parametrize("hertz", [0.5, 2.0, 4.0, 5.0])
def test_what_the_new_rate_carries_stays(hertz: float) -> None:
    found = resample(tone(hertz), 60.0, 15.0)
    np.testing.assert_allclose(found[15:-15], tone(hertz)[::4][15:-15], atol=0.06)


@given(
    st.integers(1, 200),
    st.sampled_from([15.0, 24.0, 30.0, 59.904, 60.0]),
    st.sampled_from([15.0, 25.0, 30.0, 60.0]),
    st.sampled_from(["fir", "decimate"]),
)
def test_what_stands_still_stays_and_the_clip_grows_no_longer(
    frames: int, fps: float, to_fps: float, method: str
) -> None:
    found = resample(np.full((frames, 3), 0.7), fps, to_fps, method)
    np.testing.assert_allclose(found, 0.7, atol=1e-6)
    assert (len(found) - 1) / to_fps <= (frames - 1) / fps + 1e-6 < len(found) / to_fps
    assert found.dtype == np.float32


def test_decimation_keeps_every_fourth_frame_exactly() -> None:
    weights = np.arange(41, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(resample(weights, 60.0, 15.0, "decimate"), weights[::4])


def test_a_rate_that_is_no_multiple_keeps_its_time() -> None:
    ramp = (np.arange(600) / 59.904)[:, None]
    found = resample(ramp, 59.904, 15.0)
    np.testing.assert_allclose(found[10:-10, 0], np.arange(len(found))[10:-10] / 15, atol=1e-4)


@pytest.mark.parametrize(("fps", "to_fps"), [(0.0, 15.0), (60.0, -1.0), (float("nan"), 15.0)])
def test_rates_that_are_none_are_refused(fps: float, to_fps: float) -> None:
    with pytest.raises(ValueError, match="rates must be above 0"):
        resample(tone(1.0), fps, to_fps)
    with pytest.raises(ValueError, match="method is 'linear', expected one of fir, decimate"):
        resample(tone(1.0), 60.0, 15.0, "linear")
