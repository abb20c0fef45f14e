"""The picture of a model's space: what it shows, of whom, and what strangers can write into it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from expclip.benchmarks.baselines import Constant, Pca
from expclip.benchmarks.board.families import FAMILIES, OTHER, family_of
from expclip.benchmarks.board.labels import Labels, shorten, text_width
from expclip.benchmarks.board.manifold_map import WAY_STEPS, ManifoldMap, map_manifold
from expclip.benchmarks.board.manifold_picture import draw_manifold
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.task_data import Rows, TeadData
from expclip.cli import bench_picture
from expclip.cli.bench import app
from expclip.face import AU_CODES, blendshapes_from_aus
from expclip.face.errors import DataError, MissingExtra, ModelError
from expclip.face.shapes import CANVAS
from expclip.tead.emotions import prototypes


def tiny_tead() -> TeadData:
    """Every fourth emotion of the table, each with its own face and a text."""
    chosen = {one.units: one.emotion for one in list(prototypes().values())[::4] if one.units}
    aus = np.array([[code in units for code in AU_CODES] for units in chosen], np.int8)
    faces = np.array([blendshapes_from_aus(row, strength=0.8) for row in aus], np.float32)
    tags = tuple(f"{emotion}, awe" for emotion in chosen.values())
    texts = tuple(f"what {emotion} this is" for emotion in chosen.values())
    rows = Rows(texts, tags, tuple((text,) for text in texts), aus, faces, (True,) * len(texts))
    return TeadData("tiny", rows, rows)


DATA = tiny_tead()
COUNT = len(DATA.test)
HOSTILE = '</svg><script>alert(1)</script><image href="//evil.example"/>\0\x1b\u202e\ud800&amp;'


class Faces:
    """A space that is the faces themselves."""

    name = "faces"

    def encode_expression(self, weights: np.ndarray) -> np.ndarray:
        return weights

    def decode(self, embeddings: np.ndarray) -> np.ndarray:
        return embeddings


class Joint(Faces):
    """The same, and texts in it by their letters."""

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([np.bincount(np.frombuffer(t.encode(), np.uint8) % 52, minlength=52)
                         for t in texts])  # fmt: skip


class Encoder:
    """Encodes faces, by a function, and does nothing else."""

    def __init__(self, encode: Any) -> None:
        self.encode_expression = encode


def mapped(model: object, data: TeadData = DATA, **options: Any) -> ManifoldMap:
    return map_manifold(Asked(model), data, **{"points": 30} | options)


def drawn(model: object, data: TeadData = DATA, **options: Any) -> str:
    return draw_manifold(model, data, **{"points": 30} | options)


def permuted(rows: Rows) -> Rows:
    order = np.random.default_rng(3).permutation(len(rows))
    columns = (getattr(rows, one.name) for one in fields(rows))
    return Rows(*(col[order] if isinstance(col, np.ndarray) else tuple(col[i] for i in order)
                  for col in columns))  # fmt: skip


def retagged(tag: str) -> TeadData:
    test = replace(DATA.test, tags=tuple(f"{tag}{place}" for place in range(len(DATA.test))))
    return replace(DATA, test=test)


def words(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    return " ".join(part for one in root.iter() if (part := one.text or "").strip())


@pytest.fixture(scope="module")
def joint() -> str:
    return drawn(Joint())


# What it shows


def test_the_same_input_gives_the_same_bytes(joint: str) -> None:
    assert drawn(Joint()) == joint
    assert drawn(Joint(), seed=1) != joint


def test_the_order_of_the_rows_does_not_matter() -> None:
    one, other = mapped(Joint()), mapped(Joint(), replace(DATA, test=permuted(DATA.test)))
    for name in ("faces", "texts"):
        assert getattr(one, name).emotions == getattr(other, name).emotions
        np.testing.assert_array_equal(getattr(one, name).places, getattr(other, name).places)
    for here, there in zip(one.ways, other.ways, strict=True):
        assert here.ends == there.ends
        np.testing.assert_array_equal(here.places, there.places)


def test_the_picture_says_what_it_is_and_where_it_comes_from(joint: str) -> None:
    told = " ".join(words(joint).split())
    for part in ("Space of faces", "15 faces and 15 texts", "mean nothing", "tead/neighbourhoods",
                 "tead/paths", "data tiny", DATA.test.sha256[:12], "seed 0",
                 "45 points", "scikit-learn "):  # fmt: skip
        assert part in told, part
    assert "perplexity 14.7;" in told  # (45 - 1) / 3


def test_a_way_goes_straight_and_is_placed_with_all_others() -> None:
    found = mapped(Faces())
    assert found.points == len(found.faces.emotions) + 3 * (WAY_STEPS - 2)
    for number, way in enumerate(found.ways):
        assert way.faces is not None
        np.testing.assert_allclose(way.faces[3], (way.faces[0] + way.faces[6]) / 2, atol=1e-6)
        np.testing.assert_array_equal(way.places[0], found.faces.places[2 * number])
        np.testing.assert_array_equal(way.places[-1], found.faces.places[2 * number + 1])
        assert len(np.unique(way.places, axis=0)) == WAY_STEPS


def test_ways_join_different_families_and_are_the_same_for_all_models() -> None:
    ends = [way.ends for way in mapped(Faces()).ways]
    named = [family_of(emotion) for pair in ends for emotion in pair]
    assert len(set(named)) == len(named) == 6
    assert FAMILIES[-1] not in named
    assert [way.ends for way in mapped(Constant()).ways] == ends


def test_faces_of_one_emotion_have_no_ways() -> None:
    test = replace(DATA.test, tags=("joy",) * COUNT)
    svg = drawn(Faces(), replace(DATA, test=test))
    assert "straight lines" not in svg
    assert svg.count("<svg") == 1


def test_the_faces_of_three_ways_are_drawn(joint: str) -> None:
    sheets = [one for one in ElementTree.fromstring(joint).iter() if one.tag.endswith("}svg")][1:]
    assert len(sheets) == 3
    assert {one.get("viewBox", "").split()[2] for one in sheets} == {str(10 * CANVAS * WAY_STEPS)}


def test_every_emotion_of_the_table_has_one_family() -> None:
    assert OTHER not in {family_of(emotion) for emotion in prototypes()}
    assert {family_of(emotion) for emotion in prototypes()} == set(FAMILIES)
    assert family_of("hangry") == OTHER
    looks = {(one.corners, one.turn, one.waist) for one in FAMILIES}
    assert len(looks) == len(FAMILIES) - 1  # neutral is a grey disc, joy an orange one


# Of whom


def test_a_model_without_texts_and_decoder_has_faces_alone() -> None:
    svg = drawn(Encoder(lambda weights: weights[:, :8]))
    assert "No texts: the model has no encode_text." in words(svg)
    assert "No decoded faces: the model has no decode." in words(svg)
    assert "light: texts" not in svg
    assert svg.count("<svg") == 1


def test_texts_that_a_model_cannot_encode_after_all_are_left_out() -> None:
    class Half(Faces):
        def encode_text(self, texts: Sequence[str]) -> np.ndarray:
            raise NotImplementedError("no text encoder was saved")

    assert mapped(Half()).left_out == ("no texts: no text encoder was saved",)


def test_a_constant_model_is_one_place_and_said_to_be() -> None:
    svg = drawn(Constant())
    assert "all 45 embeddings in one place" in words(svg)
    assert "no t-SNE" in words(svg)
    assert "<polyline" not in svg


@pytest.mark.parametrize(
    "encode",
    [
        lambda w: w[:, :1] - w[:, :1].mean(),
        lambda w: np.where(w.sum(axis=1, keepdims=True) > 2, [[1.0, 0]], [[0, 1.0]]),
        lambda w: np.zeros((len(w), 3)),
        lambda w: w * 1e30,
    ],
    ids=["one number", "two places", "zeros", "huge"],
)
def test_poor_spaces_are_drawn_too(encode: Any) -> None:
    svg = drawn(Encoder(encode))
    ElementTree.fromstring(svg)
    assert not re.search(r"\b(nan|inf)\b", svg)


def test_principal_components_are_drawn() -> None:
    assert "Space of pca-8" in words(drawn(Pca(DATA.train.faces, 8)))


def test_at_most_so_many_points_are_shown() -> None:
    found = mapped(Joint(), points=24)
    assert (len(found.faces.emotions), len(found.texts.emotions)) == (12, 12)


# What goes wrong


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (type("Mute", (), {"encode_text": lambda s, t: np.ones((len(t), 2))})(),
         "Mute has no encode_expression: there is no space to show"),
        (type("Later", (), {"encode_expression": lambda s, w: exec("raise NotImplementedError")})(),
         "Later: Later.encode_expression is not implemented"),
        (type("Two", (Faces,), {"encode_text": lambda s, t: np.ones((len(t), 2))})(),
         "Two: texts have 2 numbers, expressions 52: they lie in two spaces"),
        (Encoder(lambda w: w * np.nan), "NaN or infinite"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_shown_is_refused_in_one_line(model: object, told: str) -> None:
    with pytest.raises(ModelError, match=re.escape(told)) as caught:
        drawn(model)
    assert "\n" not in str(caught.value)


def test_too_few_faces_or_points_are_refused() -> None:
    few = replace(DATA.test, faces=np.zeros_like(DATA.test.faces))
    with pytest.raises(DataError, match="tiny: test has 1 distinct faces, expected 4 or more"):
        mapped(Faces(), replace(DATA, test=few))
    with pytest.raises(ValueError, match="points must be at least 8, got 7"):
        mapped(Faces(), points=7)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'expclip[bench]'")):
        drawn(Faces())


# What strangers can write into it


def test_hostile_names_stay_words() -> None:
    svg = drawn(Joint(), retagged(HOSTILE), name=HOSTILE * 3)
    root = ElementTree.fromstring(svg.encode())
    kinds = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert kinds <= {"svg", "title", "rect", "g", "path", "circle", "ellipse", "polyline", "text"}
    for one in root.iter():
        assert not [name for name in one.attrib if name.startswith("on") or "href" in name]
    assert "url(" not in svg
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", svg)
    assert "other tags" in words(svg)


def test_the_picture_asks_for_nothing(joint: str) -> None:
    assert re.findall(r"\w+://[^\"' ]+", joint) == ["http://www.w3.org/2000/svg"] * 4


# Words on it


WORD = st.tuples(st.floats(0, 200), st.floats(0, 200), st.text("amw日", min_size=1, max_size=9))


@settings(max_examples=30)
@given(st.lists(WORD, max_size=9))
def test_no_word_covers_another_or_leaves_the_box(words: list[tuple[float, float, str]]) -> None:
    labels, boxes = Labels((0, 0, 200, 200)), []
    for x, y, text in words:
        if found := labels.place(x, y, text, 10, 40):
            half, middle = text_width(text, 10) / 2, found[1] - 3.6
            boxes.append((found[0] - half, middle - 5, found[0] + half, middle + 5))
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert top >= 0
        assert max(right, bottom) <= 200
        for other in boxes[:place]:
            beside = right <= other[0] or other[2] <= left
            assert beside or bottom <= other[1] or other[3] <= top


def test_a_word_stands_on_its_point_or_beside_what_is_kept_free() -> None:
    labels = Labels((0, 0, 100, 100))
    assert labels.place(50, 50, "a", 10, 0) == (50, 53.6)
    assert labels.place(50, 50, "a", 10, 0) is None
    assert labels.place(50, 50, "a", 10, 20) is not None


def test_long_names_are_cut() -> None:
    assert shorten("a  b\nc", 5) == "a b c"
    assert shorten("abcdef", 4) == "abc…"


# The command


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench_picture, "_read", lambda data, config: DATA)
    return tmp_path


def test_the_command_writes_a_picture_and_names_the_next(desk: Path) -> None:
    command = ["picture", "--baseline", "pca-2", "--points", "30", "--data", "my tead"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "wrote out/manifold.svg (0." in done.output
    assert "expclip bench run --baseline pca-2 --data 'my tead' --task tead/" in done.output
    ElementTree.parse(desk / "out" / "manifold.svg")


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ([], "name a --model or a --baseline"),
        (["--model", "a:b", "--baseline", "constant"], "name a --model or a --baseline"),
        (["--baseline", "constant", "--out", "a.png"], "expected a name that ends in .svg"),
        (["--baseline", "mean-face"], "MeanFace has no encode_expression"),
    ],
)
def test_a_mistake_is_one_line(desk: Path, rest: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["picture", *rest])
    assert told in str(done.exception)


def test_without_data_the_option_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["picture", "--baseline", "constant"])
    assert str(done.exception) == "out/tead: no such folder; name a TEAD with --data"
