"""The grid that streams are cut on: how rows arrive, and where windows end, cannot be seen."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.beat_loader.resample import resample
from expclip.models.speech.windows import PieceStream, WindowGrid, WindowStream

PARTS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def smooth(rows: np.ndarray, reach: int) -> np.ndarray:
    """Return means over the rows that are there, at most so many around each."""
    return np.stack(
        [rows[max(0, i - reach) : i + reach + 1].mean(axis=0) for i in range(len(rows))]
    )


def in_parts(stream: PieceStream | WindowStream, rows: np.ndarray, parts: list[int]) -> np.ndarray:
    """Return all that comes out when rows come in parts, and then the rest."""
    found, at = [], 0
    for part in parts:
        found += stream.push(rows[at : at + part])
        at += part
    found += stream.push(rows[at:]) + stream.close()
    return np.concatenate(found)


@settings(max_examples=30, deadline=None)
@given(parts=PARTS, to_fps=st.sampled_from([5, 25, 30, 60]), frames=st.integers(1, 90))
def test_resampling_in_pieces_is_resampling_the_whole(
    parts: list[int], to_fps: int, frames: int
) -> None:
    rows = np.random.default_rng(frames).random((frames, 3)).astype(np.float32)
    stream = PieceStream(
        partial(resample, fps=15, to_fps=to_fps),
        15,
        to_fps,
        piece_s=0.2,
        context_s=9 / min(15, to_fps),
    )
    np.testing.assert_allclose(in_parts(stream, rows, parts), resample(rows, 15, to_fps), atol=1e-6)


def test_rates_that_hardly_ever_meet_are_refused() -> None:
    with pytest.raises(ValueError, match=r"29.97 and 15 a second do not meet"):
        PieceStream(lambda rows: rows, 15, 29.97, piece_s=0.2, context_s=0.2)


def test_nothing_that_comes_gives_nothing() -> None:
    assert PieceStream(lambda rows: rows, 15, 15, piece_s=1, context_s=1).close() == []
    assert WindowStream(lambda windows, _: windows, WindowGrid()).close() == []


@settings(max_examples=30, deadline=None)
@given(parts=PARTS, frames=st.integers(1, 150), fade=st.sampled_from([0, 2, 3]))
def test_a_window_that_sees_the_whole_reach_gives_what_the_whole_clip_gives(
    parts: list[int], frames: int, fade: int
) -> None:
    rows = np.random.default_rng(frames).random((frames, 2)).astype(np.float32)
    stream = WindowStream(
        lambda windows, _: np.stack([smooth(window, 4) for window in windows]),
        WindowGrid(before=4, hop=3, fade=fade, after=4),
    )
    np.testing.assert_allclose(in_parts(stream, rows, parts), smooth(rows, 4), atol=1e-6)


def test_windows_know_the_frame_they_begin_with() -> None:
    def generate(windows: np.ndarray, starts: list[int]) -> np.ndarray:
        frames = np.array(starts)[:, None] + np.arange(windows.shape[1])
        return frames[..., None].astype(np.float32)

    found = in_parts(WindowStream(generate, WindowGrid()), np.zeros((100, 1), np.float32), [31])
    np.testing.assert_allclose(found[:, 0], np.arange(100), atol=1e-5)


def jerk_at(found: np.ndarray, hop: int) -> tuple[float, float]:
    """Return the median jerk over the frames around borders, and over the others."""
    jerk = np.abs(np.diff(found[:, 0], n=3))
    near = np.isin((np.arange(len(jerk)) + 2) % hop, [0, 1])
    return float(np.median(jerk[near])), float(np.median(jerk[~near]))


def test_windows_that_disagree_are_faded_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    rows = np.cumsum(rng.normal(size=(600, 1)), axis=0).astype(np.float32) * 0.02
    offsets = rng.normal(size=600) * 0.1  # a window's own opinion of where zero is

    def generate(windows: np.ndarray, starts: list[int]) -> np.ndarray:
        return windows + offsets[starts][:, None, None].astype(np.float32)

    faded = in_parts(WindowStream(generate, WindowGrid()), rows, [])
    at, elsewhere = jerk_at(faded, 9)
    assert at <= 1.1 * elsewhere
    cut = in_parts(WindowStream(generate, WindowGrid(before=43, hop=9, fade=0, after=12)), rows, [])
    at, elsewhere = jerk_at(cut, 9)
    assert at > 2 * elsewhere  # the measure sees seams where there are some


def test_memory_and_latency_are_those_of_a_window() -> None:
    grid, longest, most = WindowGrid(), 0, 0

    def generate(windows: np.ndarray, starts: list[int]) -> np.ndarray:
        nonlocal longest
        longest = max(longest, windows.shape[1])
        return windows

    stream, done = WindowStream(generate, grid), 0
    for come in range(1, 301):
        done += sum(map(len, stream.push(np.zeros((1, 1), np.float32))))
        most = max(most, come - done)
    assert longest == grid.length == 64
    assert most == grid.latency - 1 == 20


def test_a_short_reach_needs_no_fading() -> None:
    assert WindowGrid.of_reach(9) == WindowGrid(before=9, hop=3, fade=0, after=9)
    assert WindowGrid.of_reach(500) == WindowGrid()


def test_a_clip_that_is_all_there_is_cut_into_longer_windows_where_that_changes_nothing() -> None:
    assert WindowGrid.of_reach(9).for_whole(9) == WindowGrid(before=9, hop=63, fade=0, after=9)
    assert WindowGrid().for_whole(500) == WindowGrid()


@pytest.mark.parametrize("wrong", [{"hop": 0}, {"fade": 10}, {"before": -1}])
def test_a_grid_without_meaning_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="hop must be 1 or more"):
        WindowGrid(**wrong)
