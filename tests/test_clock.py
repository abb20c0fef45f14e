import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.face.clock import (
    Gap,
    find_gaps,
    measure_clock,
    seconds_from_timecodes,
    timecodes_from_seconds,
)


def test_a_timecode_counts_hours_minutes_seconds_and_sixtieths() -> None:
    times = seconds_from_timecodes(["00:00:01:30.000", "01:01:02:00.600"])
    np.testing.assert_allclose(times, [1.5, 3662.01])


def test_timecodes_that_count_thirty_are_known_where_the_second_changes() -> None:
    codes = [f"00:00:{i // 30:02}:{i % 30:02}" for i in range(90)]
    np.testing.assert_allclose(seconds_from_timecodes(codes), np.arange(90) / 30)


def test_a_capture_may_pass_midnight() -> None:
    times = seconds_from_timecodes(["23:59:59:59.000", "00:00:00:00.000", "00:00:00:01.000"])
    np.testing.assert_allclose(np.diff(times), 1 / 60)


@pytest.mark.parametrize("code", ["", "1:2:3", "a:b:c:d", "00:00:00:-1", "00:00:00:1e9", "nan"])
def test_what_is_no_timecode_is_named_with_its_frame(code: str) -> None:
    with pytest.raises(ValueError, match="frame 1 has timecode"):
        seconds_from_timecodes(["00:00:00:00.000", code])


def test_timecodes_are_written_as_live_link_face_writes_them() -> None:
    codes = timecodes_from_seconds(np.array([0, 0.5, 1.0 - 1e-9, 3661.25]))
    assert codes == ["00:00:00:00.000", "00:00:00:30.000", "00:00:01:00.000", "01:01:01:15.000"]


@given(st.integers(0, 80_000_000), st.integers(10, 2000), st.integers(200, 400))
def test_written_timecodes_are_read_back_to_their_thousandth(
    start: int, step: int, frames: int
) -> None:
    times = (start + step * np.arange(frames)) / 60_000
    found = seconds_from_timecodes(timecodes_from_seconds(times))
    np.testing.assert_allclose(found % (24 * 3600), times % (24 * 3600), atol=1e-8)


def test_rates_near_each_other_are_told_apart() -> None:
    for fps in (24000 / 1001, 24.0, 30000 / 1001, 30.0, 60000 / 1001, 60.0):
        assert measure_clock(np.arange(100) / fps, 1e-5) == (pytest.approx(fps, rel=1e-9), ())


def test_a_rate_that_is_none_of_the_usual_is_measured() -> None:
    assert measure_clock(np.arange(1000) / 59.904, 1e-5)[0] == 59.904


def test_jitter_is_no_gap() -> None:
    late = np.zeros(200)
    late[[50, 120]] = 0.9  # of a frame, made up for by the next
    late[80:83] = 0.7
    assert measure_clock((np.arange(200) + late) / 60, 1e-5) == (60, ())


@given(st.integers(0, 200), st.integers(1, 300), st.sampled_from([24.0, 30.0, 60.0]))
def test_a_gap_anywhere_is_found(place: int, missing: int, fps: float) -> None:
    numbers = np.arange(202)
    numbers[place + 1 :] += missing
    assert measure_clock(numbers / fps, 1e-5) == (fps, (Gap(place + 1, missing),))


def test_gaps_close_together_are_told_apart() -> None:
    numbers = np.array([0, 1, 3, 4, 7, 8, 9])
    assert find_gaps(numbers / 60, 1 / 60) == (Gap(2, 1), Gap(4, 2))


def test_times_that_make_no_sense_are_refused() -> None:
    for times, message in (
        ([0.0, 1.0, 0.5], "frame 2 is at 0.5 s"),
        ([0.0, float("nan")], "frame 1 has time nan"),
        ([0.0, 1e300], "frame 1 has time"),
        ([1.0, 1.0, 1.0], "step by 0 s"),
        ([0.0, 1000.0], "step by 1000 s"),
    ):
        with pytest.raises(ValueError, match=message):
            measure_clock(np.array(times), 1e-3)


@pytest.mark.parametrize(("frame", "missing"), [(0, 1), (1, 0), (1, -2)])
def test_an_impossible_gap_is_refused(frame: int, missing: int) -> None:
    with pytest.raises(ValueError, match=r"gap|missing"):
        Gap(frame, missing)
