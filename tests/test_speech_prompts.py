"""Prompts: as texts, units and files, and what holds when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from expclip.face import BLENDSHAPE_INDEX, Sequence, blendshapes_from_aus, write_sequence
from expclip.face.errors import DataError
from expclip.models.speech.prompts import (
    PromptTrack,
    describe_prompt,
    face_of_units,
    parse_prompts,
    read_prompt,
)


def parsed(text: str, *, files: bool = False) -> list[tuple[float, object]]:
    return [(one.start_s, one.prompt) for one in parse_prompts(text, files=files)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a smug grin", [(0, "a smug grin")]),
        ("0:calm 2.5:furious", [(0, "calm"), (2.5, "furious")]),
        ("0s:calm  7s: AU6+AU12 strong", [(0, "calm"), (7, "AU6+AU12 strong")]),
        ("3:none", [(3, "none")]),
        ("5:30 in the morning", [(0, "5:30 in the morning")]),
        ("note 2:this", [(0, "note 2:this")]),
        ("0:tea at 5:30 4:sad", [(0, "tea at 5:30"), (4, "sad")]),
        ("", [(0, "")]),
    ],
)
def test_prompts_are_read_with_their_times(text: str, expected: object) -> None:
    assert parsed(text) == expected


def test_a_file_is_one_only_where_files_are_allowed() -> None:
    assert parsed("0:@smirk.json 1:x", files=True) == [(0, Path("smirk.json")), (1, "x")]
    assert parsed("@/etc/passwd") == [(0, "@/etc/passwd")]


def test_times_must_ascend() -> None:
    with pytest.raises(ValueError, match=r"must ascend, got \[3.0, 1.0\]"):
        parse_prompts("3:calm 1:sad")


def test_a_prompt_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="10,001 characters"):
        parse_prompts("a" * 10_001)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_prompt_or_a_clear_mistake(text: str) -> None:
    try:
        for one in parse_prompts(text):
            face_of_units(str(one.prompt))
    except ValueError as error:
        assert "\n" not in str(error) or "\n" in text


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("AU6+AU12", ["AU6", "AU12"]),
        ("AU6+AU12 strong", ["AU6D", "AU12D"]),
        ("au1 weak, AU4E", ["AU1B", "AU4E"]),
        ("strong AU12", ["AU12D"]),
        ("left AU12 and AU6", ["L-AU12", "AU6"]),
        ("R-AU14B", ["R-AU14B"]),
        ("AU12 0.5", ["AU12C"]),
    ],
)
def test_units_are_a_face(text: str, units: list[str]) -> None:
    face = face_of_units(text)
    assert face is not None
    np.testing.assert_allclose(face, blendshapes_from_aus(units), atol=1e-6)


@pytest.mark.parametrize("text", ["AU12, as if in love", "a smile", "AUGUST 12", "6 and 12", ""])
def test_other_texts_are_left_to_the_text_encoder(text: str) -> None:
    assert face_of_units(text) is None


@pytest.mark.parametrize("text", ["AU99", "AU6+AU8", "AU12 absent"])
def test_units_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"AU(99|8|12)"):
        face_of_units(text)


def test_a_file_of_one_frame_is_a_face_and_of_more_a_recording(tmp_path: Path) -> None:
    face = np.zeros((1, 52), np.float32)
    face[0, BLENDSHAPE_INDEX["jawOpen"]] = 0.5
    write_sequence(Sequence(face, 1.0), tmp_path / "one.csv")
    np.testing.assert_array_equal(read_prompt(tmp_path / "one.csv"), face[0])
    write_sequence(Sequence(np.repeat(face, 9, axis=0), 30.0), tmp_path / "more.json")
    found = read_prompt(tmp_path / "more.json")
    assert isinstance(found, Sequence) and (len(found), found.fps) == (9, 30)


def test_a_picture_is_read_and_a_broken_one_is_one_line(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "face.png")
    assert read_prompt(tmp_path / "face.png").size == (8, 8)  # type: ignore[union-attr]
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png", "absent.json"):
        with pytest.raises(DataError, match=name) as caught:
            read_prompt(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_prompts_have_names() -> None:
    assert [describe_prompt(one) for one in (None, "none", "sad", Path("a/b.png"), np.zeros(52))] \
        == ["no prompt", "no prompt", "sad", "b.png", "a given face"]  # fmt: skip


TRACK = PromptTrack(
    (0.0, 2.0, 2.5), np.array([[0.0], [1.0], [3.0]], np.float32), ("a", "b", "c"), 1.0
)


def test_a_style_holds_and_turns_smoothly_into_the_next() -> None:
    times = np.array([0.0, 1.99, 2.0, 2.25, 2.5, 3.0, 3.5, 99.0])
    expected = [0, 0, 0, 0.5, 1, 2, 3, 3]  # the second has but half a second to come
    np.testing.assert_allclose(TRACK.at(times)[:, 0], expected, atol=1e-6)
    fine = TRACK.at(np.linspace(0, 5, 5001))[:, 0]
    assert np.abs(np.diff(fine)).max() < 0.005  # nowhere a jump


def test_styles_of_windows_keep_their_axes() -> None:
    assert TRACK.at(np.zeros((3, 4))).shape == (3, 4, 1)


def test_a_track_begins_at_0() -> None:
    with pytest.raises(ValueError, match="the first start 0"):
        PromptTrack((1.0,), np.zeros((1, 8), np.float32), ("late",))
