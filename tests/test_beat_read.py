import os
import struct
from pathlib import Path

import numpy as np
import pytest
from beat_tree import JAW, NAMES, Take, face_text, speech, textgrid, weights_of, write_audio
from hypothesis import given
from hypothesis import strategies as st

from expclip.beat_loader import (
    audio_seconds,
    parse_textgrid,
    read_audio,
    read_emotions,
    read_face,
    read_gestures,
    read_textgrid,
)
from expclip.face import BLENDSHAPE_INDEX, read_sequence, write_sequence
from expclip.face.errors import DataError, MissingExtra

REAL = Path(__file__).parents[2] / "shared" / "data"
TAKE = Take("2_scott_0_1_1", 1.0)


@pytest.fixture
def face(tmp_path: Path) -> Path:
    path = tmp_path / "2_scott_0_1_1.json"
    path.write_text(face_text(weights_of(TAKE)))
    return path


# Faces, and their cache.


def test_a_face_has_52_channels_by_name_the_tongue_still(face: Path) -> None:
    sequence = read_face(face)
    assert sequence.weights.shape == (60, 52)
    assert sequence.fps == 60
    assert sequence.missing == ("tongueOut",)
    column = sequence.weights[:, BLENDSHAPE_INDEX["jawOpen"]]
    np.testing.assert_array_equal(column, weights_of(TAKE)[:, JAW].astype(np.float32))


def test_names_in_another_order_give_the_same_face(face: Path) -> None:
    expected = read_face(face).weights
    face.write_text(face_text(weights_of(TAKE)[:, ::-1], names=NAMES[::-1]))
    np.testing.assert_array_equal(read_face(face).weights, expected)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (NAMES[:50], "lacks the channel 'noseSneerRight'"),
        ((*NAMES[:50], NAMES[0]), "has the channel 'browDownLeft' twice"),
    ],
)
def test_50_names_or_one_twice_are_refused(
    names: tuple[str, ...], message: str, face: Path
) -> None:
    face.write_text(face_text(weights_of(TAKE)[:, : len(names)], names=names))
    with pytest.raises(DataError, match=message):
        read_face(face)


def test_the_cache_is_a_plain_float32_array_beside_a_note(face: Path, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache"
    first = read_face(face, cache=cache)
    array, note = sorted(cache.iterdir(), key=lambda path: path.suffix, reverse=True)
    assert note.suffix == ".json"
    kept = np.load(array, allow_pickle=False)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept, first.weights)


def test_the_cache_is_used_and_a_changed_file_is_read_anew(face: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = read_face(face, cache=cache)
    stat = face.stat()
    face.write_bytes(b" " * stat.st_size)
    os.utime(face, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = read_face(face, cache=cache)
    np.testing.assert_array_equal(again.weights, first.weights)
    assert (again.fps, again.missing, again.gaps) == (first.fps, first.missing, first.gaps)
    face.write_text(face_text(weights_of(TAKE) / 2))
    assert read_face(face, cache=cache).weights.max() <= 0.45 + 1e-6
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", [b"", b"\x80\x04cos\nsystem\n", b"[]", b'{"key": 1}'])
def test_a_damaged_cache_is_made_anew(
    suffix: str, damage: bytes, face: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = read_face(face, cache=cache)
    (file,) = cache.glob(f"*{suffix}")
    file.write_bytes(damage)
    np.testing.assert_array_equal(read_face(face, cache=cache).weights, first.weights)
    assert len(list(cache.iterdir())) == 2
    np.testing.assert_array_equal(read_face(face, cache=cache).weights, first.weights)


# Speech.

SUBTYPES = ["FLOAT", "PCM_16", "PCM_24", "PCM_U8", "MPEG_LAYER_III"]


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_a_wav_of_any_encoding_is_the_same_speech(subtype: str, tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", speech(1), subtype)
    audio = read_audio(tmp_path / "a.wav")
    assert audio.sample_rate == 16_000
    assert audio.samples.dtype == np.float32
    assert audio.seconds == pytest.approx(1, abs=0.1 if subtype == "MPEG_LAYER_III" else 0)
    assert audio_seconds(tmp_path / "a.wav") == audio.seconds
    if subtype != "MPEG_LAYER_III":
        np.testing.assert_allclose(audio.samples, speech(1), atol=1 / 100)


def test_channels_are_averaged_and_the_rate_is_changed(tmp_path: Path) -> None:
    two = np.stack([speech(1, 48_000), np.zeros(48_000, np.float32)], axis=1)
    write_audio(tmp_path / "a.wav", two, "FLOAT", 48_000)
    audio = read_audio(tmp_path / "a.wav")
    assert len(audio.samples) == 16_000
    np.testing.assert_allclose(audio.samples[200:-200], speech(1)[200:-200] / 2, atol=2e-3)
    assert read_audio(tmp_path / "a.wav", None).sample_rate == 48_000


def test_samples_of_the_official_cache_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", speech(1))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.npy").samples, speech(1))
    assert audio_seconds(tmp_path / "a.npy") == 1


def wav(data: bytes, claimed: int | None = None, rate: int = 16_000, block: int = 2) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, block, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data) if claimed is None else claimed)
    return struct.pack("<4sI", b"RIFF", len(body) + len(data)) + body + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav(b"\0" * 64, claimed=4_000_000_000), "says 4,000,000,000 bytes of sound, it holds 64"),
        (wav(b"\0" * 64, rate=0), "says 1 channels at 0 Hz"),
        (wav(b"\0" * 64, block=0), "block 0"),
        (wav(b""), "has no samples"),
        (wav(b"\0" * 64)[:40], "is a wav without sound"),
        (b"RIFF", "cannot be read as sound"),
        (b"", "cannot be read as sound"),
        (b"{" * 100, "cannot be read as sound"),
    ],
)
def test_a_wav_that_lies_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_audio(tmp_path / "a.wav")
    assert str(caught.value).startswith(str(tmp_path / "a.wav"))
    assert "\n" not in str(caught.value)


def test_a_streamed_wav_is_as_long_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(b"\0\1" * 16_000, claimed=0xFFFFFFFF))
    assert audio_seconds(tmp_path / "a.wav") == 1


def test_samples_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    samples = speech(1)
    samples[7] = np.nan
    write_audio(tmp_path / "a.wav", samples, "FLOAT")
    with pytest.raises(DataError, match="sample 7 is nan"):
        read_audio(tmp_path / "a.wav")
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match="no array of samples"):
        read_audio(tmp_path / "a.npy")


def test_without_soundfile_the_pip_line_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_audio(tmp_path / "a.wav", speech(1))
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    assert audio_seconds(tmp_path / "a.wav") == 1  # the header is enough
    with pytest.raises(MissingExtra, match=r"pip install 'expclip\[models\]'"):
        read_audio(tmp_path / "a.wav")


# Labels.

WORDS = [(0.0, 0.5, ""), (0.5, 0.75, 'a "word"'), (0.75, 2.0, "caf\u00e9")]


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_textgrid_of_either_form_and_encoding_is_the_same(
    short: bool, encoding: str, tmp_path: Path
) -> None:
    text = textgrid(2.0, [(a, b, t.replace('"', '""')) for a, b, t in WORDS], short)
    bom = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "a.TextGrid").write_bytes((bom + text).encode(encoding))
    grid = read_textgrid(tmp_path / "a.TextGrid")
    assert (grid.start_s, grid.stop_s, list(grid.tiers)) == (0, 2, ["words", "phones"])
    found = [(item.start_s, item.stop_s, item.text) for item in grid.tiers["words"]]
    assert found == WORDS


def test_points_comments_and_a_grid_without_tiers_are_understood() -> None:
    head = '"ooTextFile"\n"TextGrid"\n0 3 <exists> 1 ! a comment with "quotes" and 7\n'
    grid = parse_textgrid(head + '"TextTier" "clicks" 0 3 1 1.5 "x"')
    assert [(item.start_s, item.stop_s) for item in grid.tiers["clicks"]] == [(1.5, 1.5)]
    assert parse_textgrid('"ooTextFile" "TextGrid" 0 3 <absent>').tiers == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends too early"),
        ('"ooTextFile" "Pitch"', "is no TextGrid"),
        ('"ooTextFile" "TextGrid" 0 x', "ends too early"),
        ('"ooTextFile" "TextGrid" 0 1 <exists> 9999', "says that it has 9999 items"),
        ('"ooTextFile" "TextGrid" 0 1 <exists> 1 "Tier" "a"', "a tier of class 'Tier'"),
        ('"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" "a" 0 1 1 0.5 0.2 "b"', "interval"),
        ('"ooTextFile" "TextGrid" 0 1e30', "has the time 1e"),
        (textgrid(2, WORDS[:1])[:-60], "ends too early|expected"),
    ],
)
def test_a_broken_textgrid_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(text)
    with pytest.raises(DataError, match=message):
        read_textgrid(tmp_path / "a.TextGrid")


@given(st.text(alphabet='"0123456789.<>exists\n !ooTextFileGrid', max_size=80))
def test_any_text_is_a_textgrid_or_a_value_error(text: str) -> None:
    try:
        parse_textgrid('"ooTextFile" "TextGrid" 0 1 ' + text)
    except ValueError as error:
        assert "\n" not in str(error)


def test_emotions_are_read_by_their_code_whatever_the_spelling(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("00_netural, 0, 30.5, 30.5, 0\n\n02_angry,30.5,63.9,33.4,2\n")
    first, second = read_emotions(path)
    assert (first.emotion, first.start_s, first.stop_s) == ("neutral", 0, 30.5)
    assert second.emotion == "anger"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("00_netural, 0, 1, 1", "line 1 has 4 fields, expected 5"),
        ("00_netural, 0, 1, 1, 8", "line 1 has the code '8', expected 0 to 7"),
        ("00_netural, 0, 1, 1, 0.5", "has the code '0.5'"),
        ("00_netural, 0, 1, 1, 2", "says 'netural' with the code 2, which is anger"),
        ("00_netural, 0, x, 1, 0", "line 1 has 'x', expected a number"),
        ("00_netural, 0, nan, 1, 0", "has 'nan', expected a number of seconds"),
        ("00_netural, 2, 1, 1, 0", "goes from 2 to 1 s"),
    ],
)
def test_a_broken_emotion_is_named_by_its_line(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(line)
    with pytest.raises(DataError, match=message):
        read_emotions(tmp_path / "a.csv")


def test_gestures_are_apart_by_tabs_or_spaces(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "07_iconic_h\t3.119\t4.785\t1.666\t0.7\trelaxing on it\n"
        "01_beat_align 0 68.0 68.0 0.1\nneed_cut\t1\t2\t1\t0\n"
    )
    first, second, third = read_gestures(path)
    assert (first.type, first.words, first.score) == ("iconic_h", "relaxing on it", 0.7)
    assert (second.type, second.stop_s, second.words) == ("beat_align", 68.0, "")
    assert third.type == "need_cut"
    path.write_text("07_iconic_h\t3.1\n")
    with pytest.raises(DataError, match="line 1 has 2 fields, expected 5 or 6"):
        read_gestures(path)


# Real files, where there are any.

FACES = {
    "beat_schema/lam_james_bsData.json": (240, 30),
    "beat_schema/lam_status_bsData.json": (184, 30),
    "beat_schema/lam_test_expression_1s.json": (973, 30),
    "beat_schema/lam_vfhq_case1_bsData.json": (240, 30),
    "livelink/alexdjulin_alex_rom_3.csv": (4030, 30),
    "livelink/jmtechart_MySlate_3_Jason_Millers_iPhone.csv": (328, 59.964),
    "livelink/neurosync_MySlate_161_iPhone_cal_fearful.csv": (1846, 59.904),
    "livelink/neurosync_MySlate_162_iPhone_cal_fearful.csv": (1830, 59.904),
    "livelink/neurosync_MySlate_163_iPhone_cal_fearful.csv": (1866, 59.904),
    "livelink/neurosync_MySlate_164_iPhone_cal_angry.csv": (1895, 59.904),
    "livelink/neurosync_generated_1_shapes.csv": (610, 59.985),
}
SPEECH = {
    "beat_audio/22_luqi_2_33_33.wav": 64.0,
    "beat_audio/2_scott_0_103_103_28s.wav": 28.68,
    "beat_audio/2_scott_0_1_1.wav": 64.097375,
    "beat_audio/2_scott_0_2_2.wav": 62.0,
    "beat_schema/lam_BarackObama_english.wav": 7.9953125,
    "livelink/neurosync_generated_1_audio.wav": 10.16163,
}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
@pytest.mark.parametrize("name", FACES)
def test_a_real_face_has_its_frames_rate_and_range(name: str) -> None:
    sequence = read_face(REAL / name)
    assert (len(sequence), sequence.fps) == FACES[name]
    assert -0.005 <= sequence.weights.min() <= sequence.weights.max() <= 1.06


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
@pytest.mark.parametrize("name", SPEECH)
def test_real_speech_is_read_whatever_its_encoding(name: str) -> None:
    audio = read_audio(REAL / name)
    assert audio.sample_rate == 16_000
    assert audio.seconds == pytest.approx(SPEECH[name], abs=0.03)
    assert 0.01 < np.abs(audio.samples).max() <= 1.1
    assert audio_seconds(REAL / name) == pytest.approx(audio.seconds, abs=0.03)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
def test_real_statistics_of_faces_are_those_of_51_channels_in_our_order() -> None:
    mean = np.load(REAL / "beat_audio" / "beat_facial52_json_mean.npy", allow_pickle=False)
    assert mean.shape[-1] == 51
    jaw = float(mean.reshape(-1, 51)[0, BLENDSHAPE_INDEX["jawOpen"]])
    assert jaw == pytest.approx(0.176, abs=2e-3)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
def test_real_captures_saved_as_beat_json_come_back_bit_for_bit(tmp_path: Path) -> None:
    captures = sorted((REAL / "livelink").glob("*.csv"))
    assert captures
    for path in captures:
        capture = read_sequence(path)
        write_sequence(capture, tmp_path / "take.json")
        for _ in range(2):
            again = read_face(tmp_path / "take.json", cache=tmp_path / "cache")
            assert again.weights.tobytes() == capture.weights.tobytes(), path.name
            assert (again.fps, again.gaps) == (capture.fps, capture.gaps)
