import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from PIL import Image, ImageChops
from typer.testing import CliRunner

from expclip.cli.render import render
from expclip.face import BLENDSHAPE_INDEX, BLENDSHAPES, blendshapes_from_aus
from expclip.face.errors import DataError, ParseError
from expclip.face.render import (
    render_contact_sheet,
    render_face,
    render_gif,
    render_png,
    render_svg_sheet,
)

DATA = Path(__file__).parent / "data"
NEUTRAL = np.zeros(52)
SMILE = blendshapes_from_aus(["AU6", "AU12"])
SIDED = [name for name in BLENDSHAPES if name.endswith(("Left", "Right"))]
SHIFTS = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
_SVG = "{http://www.w3.org/2000/svg}"


def weights(**values):
    face = np.zeros(52)
    for name, value in values.items():
        face[BLENDSHAPE_INDEX[name]] = value
    return face


def changed_columns(face, size=200):
    """Return, as a share of the width, where a picture differs from the neutral one."""
    before, after = (render_contact_sheet([w], size=size) for w in (NEUTRAL, face))
    difference = np.asarray(ImageChops.difference(before, after)).max(axis=2)  # (rows, columns)
    return np.flatnonzero((difference > 8).any(axis=0)) / size


def ellipses(svg, fill):
    return [
        int(item.get("cx"))
        for item in ElementTree.fromstring(svg).iter(_SVG + "ellipse")
        if item.get("fill") == fill
    ]


def text_of(svg):
    return [item.text for item in ElementTree.fromstring(svg).iter(_SVG + "text")]


@pytest.mark.parametrize("name", BLENDSHAPES)
def test_every_weight_moves_the_picture_and_half_of_it_moves_it_less(name):
    assert changed_columns(weights(**{name: 1.0})).size > 2
    assert changed_columns(weights(**{name: 0.5})).size > 2
    assert render_face(weights(**{name: 0.5})) != render_face(weights(**{name: 1.0}))


@pytest.mark.parametrize("name", [name for name in SIDED if name not in SHIFTS])
def test_one_sided_weight_changes_that_half_alone(name):
    # halves of the mouth blend near the midline; left is the picture's right
    columns = changed_columns(weights(**{name: 1.0}))
    margin = 0.01 if name.startswith(("brow", "cheek", "eye")) else 0.1
    if name.endswith("Left"):
        assert columns.min() >= 0.5 - margin
    else:
        assert columns.max() <= 0.5 + margin


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("eyeLookOutLeft", 1), ("eyeLookInLeft", -1), ("eyeLookOutRight", -1),
        ("eyeLookInRight", 1),
    ],
)  # fmt: skip
def test_gaze_goes_to_the_persons_own_side(name, direction):
    before, after = (
        sum(ellipses(render_face(w), "#1d2629")) for w in (NEUTRAL, weights(**{name: 1.0}))
    )
    assert np.sign(after - before) == direction


@pytest.mark.parametrize(("name", "direction"), list(zip(SHIFTS, (1, -1, 1, -1), strict=True)))
def test_jaw_and_lips_shift_to_the_persons_own_side(name, direction):
    gloss = "#e6aa9c"  # on the middle of the lower lip
    before, after = (ellipses(render_face(w), gloss)[0] for w in (NEUTRAL, weights(**{name: 1.0})))
    assert np.sign(after - before) == direction


@pytest.mark.parametrize("jaw", [0.15, 0.3, 1.0])
def test_lips_that_close_as_far_as_the_jaw_opens_show_no_teeth(jaw):
    teeth, cavity = "#fbf8f2", "#57222a"
    closed = render_face(weights(jawOpen=jaw, mouthClose=jaw))
    assert teeth not in closed and cavity not in closed
    assert cavity in render_face(weights(jawOpen=jaw))


def test_weights_outside_0_to_1_are_drawn_clipped():
    wild = weights(jawOpen=1.7, browInnerUp=-0.4, mouthSmileLeft=1.053)
    assert render_face(wild) == render_face(wild.clip(0, 1))
    assert render_png(wild, size=64) == render_png(wild.clip(0, 1), size=64)


def test_all_weights_at_once_and_random_ones_are_drawn():
    for face in [np.ones(52), *np.random.default_rng(0).uniform(-0.2, 1.2, (20, 52))]:
        ElementTree.fromstring(render_face(face))
    render_png(np.ones(52), size=64)


@pytest.mark.parametrize(("name", "face"), [("neutral", NEUTRAL), ("smile", SMILE)])
def test_face_looks_as_recorded(name, face):
    """Compare with a tolerance of a tenth of a unit; after a wanted change, rewrite the file."""
    number = re.compile(r"-?\d+(?:\.\d+)?")
    golden = (DATA / f"render_{name}.svg").read_text(encoding="utf-8")
    svg = render_face(face)
    skeletons = [re.sub(r"\s", "", number.sub("", text)) for text in (golden, svg)]
    assert skeletons[0] == skeletons[1]
    values = [[float(value) for value in number.findall(text)] for text in (golden, svg)]
    np.testing.assert_allclose(values[0], values[1], atol=1.01)


def test_face_is_small_and_free_of_ids_and_references():
    svg = render_face(blendshapes_from_aus(["AU1", "AU2", "AU4", "AU5", "AU20", "AU25"]))
    assert len(svg) < 12_000
    assert "id=" not in svg
    assert "href" not in svg


def test_same_weights_give_the_same_bytes():
    assert render_png(SMILE, size=64, caption="a") == render_png(SMILE, size=64, caption="a")
    assert render_gif([SMILE], 10, size=64) == render_gif([SMILE], 10, size=64)


@pytest.mark.parametrize(
    ("caption", "shown"),
    [
        ("<script>alert('&')</script>", ["<script>alert('&')</script>"]),
        ("a\x00b\x1b\ud800\ufffe", ["a\ufffdb\ufffd\ufffd\ufffd"]),
        ("\u202eevil", ["\ufffdevil"]),
        ("tab\tand\nline", ["tab and line"]),
        ("  ", []),
        ("smile \U0001f642", ["smile \U0001f642"]),
        ("\u05e9\u05dc\u05d5\u05dd", ["\u05e9\u05dc\u05d5\u05dd"]),
    ],
)
def test_any_caption_is_escaped_or_substituted(caption, shown):
    assert text_of(render_face(NEUTRAL, caption=caption)) == shown
    render_png(NEUTRAL, size=64, caption=caption)


@pytest.mark.parametrize(
    "caption", ["word " * 2000, "x" * 10_000, "\u4e2d" * 10_000, "e" + "\u0301" * 10_000]
)
def test_long_captions_wrap_and_end_in_an_ellipsis(caption):
    lines = text_of(render_face(NEUTRAL, caption=caption))
    assert len(lines) == 3
    assert lines[-1].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert max(map(len, lines)) <= 33
    render_png(NEUTRAL, size=64, caption=caption)


def test_png_has_the_asked_width_and_a_caption_adds_height():
    plain = Image.open(io.BytesIO(render_png(SMILE, size=128)))
    named = Image.open(io.BytesIO(render_png(SMILE, size=128, caption="smile")))
    assert plain.format == "PNG"
    assert plain.size == (128, 128)
    assert named.width == 128
    assert named.height > 128


def test_sheet_has_rows_and_columns():
    sheet = render_contact_sheet(np.zeros((5, 52)), columns=2, size=50)
    assert sheet.size == (100, 150)
    root = ElementTree.fromstring(render_svg_sheet(np.zeros((5, 52)), list("abcde"), columns=2))
    assert root.get("viewBox").startswith("0 0 8000 ")
    assert [item.text for item in root.iter(_SVG + "text")] == list("abcde")


def test_gif_has_all_frames_and_the_right_length():
    ramp = np.linspace(0, 1, 7)[:, None] * weights(jawOpen=1.0)
    gif = Image.open(io.BytesIO(render_gif(ramp, 30, size=48)))
    durations = []
    for frame in range(gif.n_frames):
        gif.seek(frame)
        durations.append(gif.info["duration"])
    assert gif.n_frames == 7
    assert gif.size == (48, 48)
    assert sum(durations) == 230  # 7 / 30 s in hundredths of a second


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: render_face(np.zeros(51)), "52 weights, got shape"),
        (lambda: render_face(weights(jawOpen=np.nan)), "jawOpen is nan"),
        (lambda: render_face(weights(tongueOut=np.inf)), "tongueOut is inf"),
        (lambda: render_png(NEUTRAL, size=3), "size"),
        (lambda: render_contact_sheet([], size=64), "at least one face"),
        (lambda: render_contact_sheet([NEUTRAL], ["a", "b"]), "got 2"),
        (lambda: render_contact_sheet([NEUTRAL], columns=0), "columns"),
        (lambda: render_gif([NEUTRAL], 60), "50 frames a second"),
        (lambda: render_gif([NEUTRAL], float("nan")), "frames a second"),
        (lambda: render_gif([], 10), "at least one frame"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


# the command


def open_image(path):
    return Image.open(io.BytesIO(path.read_bytes()))


def run(*arguments):
    app = typer.Typer()
    app.command()(render)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_command_draws_one_expression(tmp_path):
    out = tmp_path / "smile.svg"
    result = run("AU6+AU12", "--out", out, "--no-captions")
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == str(out)
    assert result.output.splitlines()[1].startswith("next: expclip render AU6+AU12 --out ")
    assert out.read_text(encoding="utf-8") == render_face(SMILE)
    assert [path.name for path in tmp_path.iterdir()] == ["smile.svg"]


def test_command_draws_a_sheet_and_a_moving_expression(tmp_path):
    sheet, gif = tmp_path / "sheet.png", tmp_path / "smile.GIF"
    assert run("neutral", "AU12", "R-AU14C", "--out", sheet, "--size", 40).exit_code == 0
    assert open_image(sheet).width == 120
    assert run("AU12", "--out", gif, "--size", 40, "--fps", 10).exit_code == 0
    assert 2 < open_image(gif).n_frames <= 32


def test_command_draws_a_recording(tmp_path):
    capture = DATA / "render_capture.csv"
    gif, strip = tmp_path / "clip.gif", tmp_path / "clip.svg"
    result = run(capture, "--out", gif, "--size", 40, "--fps", 15, "--max-frames", 3)
    assert result.exit_code == 0
    assert "(3 of 4 frames)" in result.output
    assert open_image(gif).n_frames == 3
    assert run(capture, "--out", strip).exit_code == 0
    assert text_of(strip.read_text(encoding="utf-8"))[:2] == ["0.00 s", "0.02 s"]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("AU12", "--out", "face.bmp"), DataError, "suffix '.bmp', expected one of"),
        (("AU12", "a.csv", "--out", "a.png"), DataError, "one recording at a time"),
        (("AU99", "--out", "a.png"), ParseError, "AU99"),
        (("AU12", "--out", "a.gif", "--fps", "0"), ValueError, "--fps"),
        (("missing.csv", "--out", "a.png"), DataError, "missing.csv"),
        (("AU12", "--out", "no/such/folder/a.png"), DataError, "no folder"),
    ],
)
def test_command_refuses_in_one_line(tmp_path, monkeypatch, arguments, kind, message):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert isinstance(result.exception, kind)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []
