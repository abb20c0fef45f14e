"""The figures of a data set, and the SVG they are made of."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.face import AU_INDEX
from expclip.face.errors import DataError
from expclip.face.svg import build_svg, draw_text
from expclip.tead.reports.figures import FIGURES, Tally, draw_figures

SVG = "{http://www.w3.org/2000/svg}"


def row(text: str, emotions: str, *codes: int) -> dict[str, Any]:
    aus = [0] * len(AU_INDEX)
    for code in codes:
        aus[AU_INDEX[code]] = 1
    return {"id": text[:16], "text": text, "emotions": emotions.split(), "aus": aus}


ROWS = [
    row("Four", "joy pride relief", 6, 12),
    row("A text of 20 letters", "joy calm relief", 12),
    row("Another of 20 letter", "grief sadness longing", 1, 4),
    row("The longest text of all of them", "fear joy dread", 1, 2, 4, 5),
]


def tallied(rows: list[dict[str, Any]]) -> Tally:
    tally = Tally()
    for one in rows:
        tally.add(one)
    return tally


def texts(svg: str) -> list[str]:
    """Return what is written in a picture; it is XML, or this fails."""
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_rows_are_counted() -> None:
    tally = tallied(ROWS)
    together = tally.together
    ones = [AU_INDEX[code] for code in (1, 4, 6, 12)]
    expected = [[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 1, 1], [0, 0, 1, 2]]
    np.testing.assert_array_equal(together[np.ix_(ones, ones)], expected)
    assert together.sum() == 4 + 1 + 4 + 16
    assert tally.emotions["joy"] == 3 and tally.first["joy"] == 2
    assert tally.lengths == {4: 1, 20: 2, 31: 1}


def test_the_figures_tell_the_counts() -> None:
    drawn = {name: texts(svg) for name, svg in draw_figures(tallied(ROWS), "model-a").items()}
    assert list(drawn) == list(FIGURES)
    for name, words in drawn.items():
        assert words[:2] == [FIGURES[name], "model-a"]
    units = drawn["units"]
    assert units[2] == "share of 4 texts whose face shows the unit; 2.25 units each"
    assert units[units.index("AU4 brow lowerer") + 1] == "50.0%"
    assert units[units.index("AU5 upper lid raiser") + 1] == "25.0%"
    assert units[units.index("AU46 wink") + 1] == "never"
    emotions = drawn["emotions"]
    assert emotions[3:7] == ["joy", "75.0%", "relief", "50.0%"]
    assert emotions[2].endswith("dark where it comes first")
    assert "AU12 lip corner puller" in drawn["together"]
    assert "AU46 wink" not in drawn["together"]
    assert drawn["lengths"][2] == "characters; half of the texts have up to 20, the longest 31"


def test_bars_are_as_long_as_their_shares() -> None:
    svg = draw_figures(tallied(ROWS), "a")["emotions"]
    bars = re.findall(r'width="([\d.]+)" height="11.0" rx="2" fill="(#\w+)"', svg)
    (joy, light), (first, dark), (relief, _) = bars[:3]
    assert light != dark
    assert float(first) / float(joy) == pytest.approx(2 / 3, abs=0.001)
    assert float(relief) / float(joy) == pytest.approx(2 / 3, abs=0.001)


def test_equal_rows_give_equal_bytes_in_any_order() -> None:
    drawn = draw_figures(tallied(ROWS), "a")
    assert draw_figures(tallied(ROWS[::-1]), "a") == drawn
    assert draw_figures(tallied(ROWS[1:]), "a") != drawn


def test_many_rows_are_counted_in_pieces() -> None:
    tally = tallied(ROWS * 8000)  # more than a piece of 2**20 bytes
    np.testing.assert_array_equal(tally.together, 8000 * tallied(ROWS).together)


def test_faces_without_a_unit_are_drawn_too() -> None:
    for svg in draw_figures(tallied([row("", "calm")]), "a").values():
        assert texts(svg)


def test_a_text_of_a_megabyte_leaves_the_others_readable() -> None:
    rows = [row("x" * (10 + number % 90), "joy") for number in range(400)]
    svg = draw_figures(tallied([*rows, row("x" * 2**20, "joy")]), "a")["lengths"]
    assert len(svg) < 5000
    assert "the longest 1,048,576" in texts(svg)[2]
    assert texts(svg)[-1] == "95+"


def test_a_row_with_other_units_is_refused() -> None:
    broken = row("text", "joy") | {"aus": [0, 1]}
    with pytest.raises(DataError, match="row text: 2 action units, expected 36"):
        Tally().add(broken)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5), st.text(max_size=60))
def test_no_tag_and_no_name_breaks_a_picture(tags: list[str], name: str) -> None:
    hostile = "</text><script>alert(1)</script>\x00\u202e"
    tally = tallied([row("a", "") | {"emotions": [*tags, hostile]}])
    for svg in draw_figures(tally, hostile[-20:] + name).values():
        texts(svg)
        assert "<script" not in svg
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", svg)


def test_a_picture_has_a_ground_of_its_own_for_dark_pages() -> None:
    svg = build_svg(20, 10, "a < b", [draw_text(1, 2, "a & b")])
    ground = ElementTree.fromstring(svg).find(f"{SVG}rect")
    assert ground is not None and ground.attrib["fill"] == "#fff"
    assert (ground.attrib["width"], ground.attrib["height"]) == ("20", "10")
    assert texts(svg) == ["a & b"]
