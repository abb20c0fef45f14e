import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES
from expclip.face.clock import Gap
from expclip.face.errors import DataError
from expclip.face.sequence import Sequence, read_sequence, write_sequence

DATA = Path(__file__).parent / "data"
REAL = Path(__file__).parents[2] / "shared" / "data"
SUFFIXES = (".json", ".csv", ".npz", ".parquet")
JAW = BLENDSHAPE_INDEX["jawOpen"]

IN_ONE_FOLDER = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FINITE = arrays.arrays(
    np.float32,
    st.tuples(st.integers(2, 4), st.just(52)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    fill=st.just(np.float32(0.1)),
)


def a_sequence(frames: int = 4, fps: float = 60.0, **rest: Any) -> Sequence:
    """Frame i has jawOpen i / 10, and mouthLeft -0.25."""
    weights = np.zeros((frames, 52), np.float32)
    weights[:, JAW] = np.arange(frames) / 10
    weights[:, BLENDSHAPE_INDEX["mouthLeft"]] = -0.25
    return Sequence(weights, fps, **rest)


def assert_same(found: Sequence, expected: Sequence) -> None:
    np.testing.assert_array_equal(found.weights, expected.weights)
    assert found.fps == expected.fps
    assert found.missing == expected.missing
    assert found.gaps == expected.gaps


def beat(frames: int = 3, names: tuple[str, ...] = BLENDSHAPES, **rest: Any) -> dict[str, Any]:
    """Return a document in BEAT's schema; channel k of frame i is i + k / 100."""
    rows = [[i + BLENDSHAPES.index(name) / 100 for name in names] for i in range(frames)]
    items = [{"weights": row, "time": i / 60, "rotation": []} for i, row in enumerate(rows)]
    return {"names": list(names), "frames": items, **rest}


def live_link(timecodes: list[str], extra: str = "") -> str:
    """Return a CSV in which jawOpen of frame i is i / 10."""
    names = [name[0].upper() + name[1:] for name in reversed(BLENDSHAPES)]
    rows = [",".join(["Timecode", "BlendShapeCount", *names, "HeadYaw"]) + extra]
    for frame, timecode in enumerate(timecodes):
        cells = [f"{frame / 10:.10f}" if name == "JawOpen" else "0.0000000000" for name in names]
        rows.append(",".join([timecode, "61", *cells, "-1.5"]) + ",9" * bool(extra))
    return "\r\n".join(rows) + "\r\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Sequence]:
    """Write a document, text or bytes to a file, and read it as a sequence."""

    def write_and_read(content: Any, suffix: str = ".json", **rest: Any) -> Sequence:
        if isinstance(content, dict):
            content = json.dumps(content)
        if isinstance(content, str):
            content = content.encode()
        path = tmp_path / f"face{suffix}"
        path.write_bytes(content)
        return read_sequence(path, **rest)

    return write_and_read


# The record.


def test_a_sequence_knows_its_length_names_and_times() -> None:
    sequence = a_sequence(frames=3, fps=30.0)
    assert len(sequence) == 3
    assert sequence.duration_s == pytest.approx(0.1)
    assert sequence.names == BLENDSHAPES
    np.testing.assert_allclose(sequence.times_s, [0, 1 / 30, 2 / 30])


def test_weights_are_copied_and_read_only() -> None:
    mine = np.zeros((2, 52), np.float32)
    sequence = Sequence(mine, 60.0)
    mine[0, 0] = 1
    assert sequence.weights[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        sequence.weights[0, 0] = 1


def test_clipping_is_explicit() -> None:
    weights = np.zeros((1, 52), np.float32)
    weights[0, :3] = [-0.1, 1.053, 0.5]
    sequence = Sequence(weights, 60.0)
    np.testing.assert_array_equal(sequence.weights, weights)
    np.testing.assert_array_equal(sequence.clipped().weights[0, :3], np.float32([0, 1, 0.5]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.zeros((0, 52), np.float32)}, r"\(0, 52\)"),
        ({"fps": 0.0}, "fps must be above 0, got 0"),
        ({"fps": float("inf")}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"weights": np.full((1, 52), np.nan, np.float32)}, "frame 0 has nan for browDownLeft"),
        ({"missing": ("jawOpen",)}, "'jawOpen' cannot be missing"),
        ({"missing": ("nose",)}, "'nose' cannot be missing"),
        ({"gaps": (Gap(2, 1),)}, "before frame 2"),
        ({"gaps": (Gap(1, 1), Gap(1, 1))}, "ascend"),
    ],
)
def test_a_sequence_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    weights = np.full((2, 52), 0.5, np.float32)
    with pytest.raises(ValueError, match=message):
        Sequence(**{"weights": weights, "fps": 60.0} | arguments)


def test_gaps_move_the_times_and_can_be_filled() -> None:
    sequence = a_sequence(frames=4, fps=10.0, gaps=(Gap(2, 1), Gap(3, -1)))
    np.testing.assert_array_equal(sequence.frame_numbers, [0, 1, 3, 3])
    np.testing.assert_allclose(sequence.times_s, [0, 0.1, 0.3, 0.3])
    assert sequence.duration_s == pytest.approx(0.4)
    filled = sequence.filled()
    assert filled.gaps == ()
    np.testing.assert_allclose(filled.weights[:, JAW], [0, 0.1, 0.15, 0.2], atol=1e-7)
    assert filled.filled() is filled


# Writing and reading back.


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 30.0, 60000 / 1001, 60.0])
def test_what_is_written_is_read_back(suffix: str, fps: float, tmp_path: Path) -> None:
    sequence = a_sequence(frames=200, fps=fps, gaps=(Gap(50, 2), Gap(120, 1)))
    write_sequence(sequence, tmp_path / f"face{suffix}")
    assert_same(read_sequence(tmp_path / f"face{suffix}"), sequence)


@pytest.mark.parametrize("suffix", SUFFIXES)
@IN_ONE_FOLDER
@given(weights=FINITE)
@example(weights=np.full((2, 52), np.finfo(np.float32).max))
@example(weights=np.full((2, 52), np.finfo(np.float32).smallest_subnormal))
@example(weights=np.full((2, 52), np.float32(-0.0)))
def test_any_finite_weights_come_back_exactly(
    suffix: str, weights: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / f"face{suffix}"
    write_sequence(Sequence(weights, 60.0), path)
    found = read_sequence(path)
    assert found.weights.tobytes() == weights.tobytes()
    assert found.fps == 60


@pytest.mark.parametrize("suffix", [".json", ".npz", ".parquet"])
def test_an_unusual_rate_and_a_missing_tongue_come_back(suffix: str, tmp_path: Path) -> None:
    sequence = a_sequence(frames=1, fps=59.9042, missing=("tongueOut",))
    write_sequence(sequence, tmp_path / f"face{suffix}")
    assert_same(read_sequence(tmp_path / f"face{suffix}"), sequence)


def test_a_csv_gives_an_unusual_rate_to_a_thousandth(tmp_path: Path) -> None:
    write_sequence(a_sequence(frames=600, fps=59.9042), tmp_path / "face.csv")
    assert read_sequence(tmp_path / "face.csv").fps == pytest.approx(59.9042, abs=1e-3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_sequence_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_sequence(a_sequence(), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_npz_members_bear_no_time(tmp_path: Path) -> None:
    write_sequence(a_sequence(), tmp_path / "face.npz")
    with zipfile.ZipFile(tmp_path / "face.npz") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_text_files_are_as_they_were(suffix: str, tmp_path: Path) -> None:
    write_sequence(a_sequence(frames=2), tmp_path / f"face{suffix}")
    assert (tmp_path / f"face{suffix}").read_bytes() == (DATA / f"two_frames{suffix}").read_bytes()


def test_csv_columns_are_in_the_order_of_live_link_face(tmp_path: Path) -> None:
    write_sequence(a_sequence(frames=2), tmp_path / "face.csv")
    header, *rows = (tmp_path / "face.csv").read_text().splitlines()
    names = header.split(",")
    assert len(names) == 63
    assert names[:3] == ["Timecode", "BlendshapeCount", "EyeBlinkLeft"]
    assert names[16:20] == ["JawForward", "JawRight", "JawLeft", "JawOpen"]
    assert names[23:25] == ["MouthRight", "MouthLeft"]
    assert names[53:55] == ["TongueOut", "HeadYaw"]
    assert rows[1].startswith("00:00:00:01.000,61,")
    assert rows[1].endswith(",0" * 9)


def test_an_unknown_suffix_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"suffix '.pkl', expected one of .json, .csv"):
        write_sequence(a_sequence(), tmp_path / "face.pkl")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/face.npz: cannot be written: there is no folder"):
        write_sequence(a_sequence(), tmp_path / "nowhere" / "face.npz")


# BEAT JSON.


def test_51_names_leave_the_tongue_missing_and_still(read: Callable[..., Sequence]) -> None:
    sequence = read(beat(names=BLENDSHAPES[:51]))
    assert sequence.missing == ("tongueOut",)
    assert not sequence.weights[:, 51].any()
    np.testing.assert_allclose(sequence.weights[2, :51], 2 + np.arange(51) / 100)
    assert sequence.fps == 60


def test_names_in_any_order_and_spelling_find_their_place(read: Callable[..., Sequence]) -> None:
    shuffled = beat(names=BLENDSHAPES[::-1])
    shuffled["names"] = [
        name.removesuffix("Left") + "_L" if name.endswith("SmileLeft") else name
        for name in shuffled["names"]
    ]
    np.testing.assert_array_equal(read(shuffled).weights, read(beat()).weights)


def test_mediapipe_is_known_by_its_neutral_not_by_its_count(read: Callable[..., Sequence]) -> None:
    document = beat(names=BLENDSHAPES[:51])
    document["names"].insert(0, "_neutral")
    for frame in document["frames"]:
        frame["weights"].insert(0, 0.99)
    assert len(document["names"]) == 52
    assert_same(read(document), read(beat(names=BLENDSHAPES[:51])))


def test_optional_channels_may_be_absent(read: Callable[..., Sequence]) -> None:
    few = beat(names=("jawOpen", "mouthPucker"))
    with pytest.raises(DataError, match=r"lacks the channel 'browDownLeft' and 48 more"):
        read(few)
    sequence = read(few, optional=BLENDSHAPES)
    assert len(sequence.missing) == 50
    assert sequence.weights[1, JAW] == np.float32(1.24)


def test_metadata_says_the_rate_if_the_times_agree(read: Callable[..., Sequence]) -> None:
    assert read(beat(metadata={"fps": 60.0})).fps == 60
    with pytest.raises(DataError, match=r"says 30 fps, but its times step by 0.0166667 s"):
        read(beat(frames=50, metadata={"fps": 30}))


def test_the_rate_of_one_frame_must_come_from_somewhere(read: Callable[..., Sequence]) -> None:
    with pytest.raises(DataError, match=r"does not say its frame rate: give fps="):
        read(beat(frames=1))
    assert read(beat(frames=1), fps=30.0).fps == 30
    assert read(beat(frames=1, metadata={"fps": 25})).fps == 25


def test_fps_given_goes_before_the_times(read: Callable[..., Sequence]) -> None:
    assert read(beat(), fps=15.0).fps == 15


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = beat()
    change(document)
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (broken(lambda d: d["frames"][1]["weights"].pop()), "frame 1 has 51 weights, expected 52"),
        (broken(lambda d: d["frames"][1].pop("weights")), "frame 1 has None weights"),
        (broken(lambda d: d["frames"][2]["weights"].__setitem__(3, "0.5")), "frame 2 has '0.5'"),
        (broken(lambda d: d["frames"][2]["weights"].__setitem__(3, True)), "frame 2 has True"),
        (broken(lambda d: d["frames"][2]["weights"].__setitem__(3, [1])), r"frame 2 has \[1\]"),
        (
            broken(lambda d: d["frames"][2]["weights"].__setitem__(JAW, float("nan"))),
            "frame 2 has nan for jawOpen",
        ),
        (broken(lambda d: d["frames"][2]["weights"].__setitem__(JAW, 1e300)), "has inf for jaw"),
        (broken(lambda d: d["frames"][2]["weights"].__setitem__(JAW, 10**400)), "too large"),
        (broken(lambda d: d["names"].__setitem__(3, "nose")), "has the channel 'nose'"),
        (broken(lambda d: d["names"].__setitem__(3, "jaw_Open")), "has the channel 'jaw_Open'"),
        (broken(lambda d: d["names"].__setitem__(3, "jawOpen")), "has the channel 'jawOpen' twice"),
        (broken(lambda d: d["names"].__setitem__(3, 7)), "expected {.names"),
        (broken(lambda d: d.pop("names")), "expected {.names"),
        (broken(lambda d: d.update(frames=[])), "has no frames"),
        (broken(lambda d: d.update(frames={"0": 1})), "expected {.names"),
        (broken(lambda d: d.update(frames=[1, 2])), "expected {.names"),
        (broken(lambda d: d["frames"][1].pop("time")), "frame 1 has None in its times"),
        (broken(lambda d: d["frames"][1].update(time="1")), "frame 1 has '1' in its times"),
        (broken(lambda d: d["frames"][1].update(time=float("inf"))), "frame 1 has time inf"),
        (broken(lambda d: d["frames"][1].update(time=-1)), "frame 1 is at -1 s"),
        (broken(lambda d: d.update(metadata={"fps": "60"})), "metadata.fps is '60'"),
        (broken(lambda d: [f.update(time=0) for f in d["frames"]]), "the times step by 0 s"),
        ("{" + '"a":[' * 1 + "[" * 200_000, "nested too deeply"),
        ('{"names": [', "is not JSON"),
        ("", "starts with b'', expected a json file"),
        ("[1, 2]", "expected a json file"),
        (json.dumps(beat()).encode("utf-16"), "expected a json file"),
        (json.dumps(beat()).replace("jawOpen", "jaw\xff").encode("latin-1"), "is not JSON"),
    ],
)
def test_a_broken_json_is_one_line_that_says_where(
    document: Any, message: str, read: Callable[..., Sequence]
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(document)
    assert "face.json: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# Live Link Face CSV.


def codes(count: int, step: float = 1.0, start: float = 0.0) -> list[str]:
    ticks = [start + i * step for i in range(count)]
    return [f"13:04:{int(t // 60):02}:{t % 60:06.3f}" for t in ticks]


def test_a_csv_is_read_by_its_header(read: Callable[..., Sequence]) -> None:
    sequence = read(live_link(codes(5)), ".csv")
    np.testing.assert_allclose(sequence.weights[:, JAW], np.arange(5) / 10)
    assert sequence.fps == 60
    assert sequence.gaps == ()
    assert_same(read(live_link(codes(5), extra=",Happy"), ".csv"), sequence)
    assert_same(read("\ufeff" + live_link(codes(5)) + "\r\n", ".csv"), sequence)


@pytest.mark.parametrize(
    ("step", "fps"),
    [(1, 60), (1.001, 60000 / 1001), (2, 30), (2.002, 30000 / 1001), (2.4, 25), (2.5, 24)],
)
def test_the_rate_is_that_of_the_timecodes(
    step: float, fps: float, read: Callable[..., Sequence]
) -> None:
    assert read(live_link(codes(300, step)), ".csv").fps == pytest.approx(fps, rel=1e-9)


def test_a_dropped_frame_is_reported_and_the_rate_stays(read: Callable[..., Sequence]) -> None:
    timecodes = codes(200, 2, start=31.652)
    del timecodes[150:152], timecodes[40]
    sequence = read(live_link(timecodes), ".csv")
    assert sequence.fps == 30
    assert sequence.gaps == (Gap(40, 1), Gap(149, 2))
    assert len(sequence.filled()) == 200


def test_a_repeated_frame_is_reported(read: Callable[..., Sequence]) -> None:
    timecodes = codes(100)
    timecodes.insert(50, timecodes[49])
    sequence = read(live_link(timecodes), ".csv")
    assert sequence.fps == 60
    assert sequence.gaps == (Gap(50, -1),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (live_link([]), "has no frames"),
        (live_link(codes(1)), "does not say its frame rate"),
        (live_link(codes(3)).replace("0.1000000000", "x"), "frame 1 has 'x' for JawOpen"),
        (live_link(codes(3)).replace("0.1000000000", ""), "frame 1 has '' for JawOpen"),
        (live_link(codes(3)).replace("0.1000000000", "nan"), "frame 1 has nan for jawOpen"),
        (live_link(codes(3)).replace("0.1000000000,", ""), "frame 1 has 54 columns, expected 55"),
        (live_link(codes(3)).replace("JawOpen", "JawLeft"), "has the channel 'jawLeft' twice"),
        (live_link(codes(3)).replace("JawOpen", "Jaw"), "lacks the channel 'jawOpen'"),
        (live_link(["1", "2"]), "frame 0 has timecode '1', expected HH:MM:SS:FF.fff"),
        (live_link(codes(3)[::-1]), "frame 1 is at"),
        (live_link(codes(3)).encode("utf-16"), "is not UTF-8 text"),
        ("Timecode,FrameNumber\r\n00:00:00:01.000,1\r\n", "expected a Live Link Face header"),
        ("", "expected a Live Link Face header"),
        ("\0\0\0", "expected a Live Link Face header"),
        ('"', "is not CSV"),
    ],
)
def test_a_broken_csv_is_one_line_that_says_where(
    text: Any, message: str, read: Callable[..., Sequence]
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(text, ".csv")
    assert "face.csv: " in str(caught.value)
    assert "\n" not in str(caught.value)


# npz and Parquet.


class Bomb:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("exploded",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "has no array 'weights'"),
        ({"names": None}, "has no array 'names'"),
        ({"fps": None}, "does not say its frame rate"),
        ({"fps": np.float64(-1)}, "fps must be above 0"),
        ({"names": np.array(BLENDSHAPES[:51])}, "has 52 channels and 51 names"),
        ({"weights": np.zeros(52, np.float32)}, "weights is float32 with 1 axes, expected 2"),
        ({"weights": np.array([["a"]])}, "weights is <U1"),
        ({"names": np.array([Bomb()] * 52)}, "expected plain numbers"),
        ({"weights": np.array([[Bomb()] * 52])}, "expected plain numbers"),
        ({"gaps": np.array([[9, 1]])}, "gaps must ascend"),
        ({"gaps": np.array([[1, 1, 1]])}, "expected pairs of frame and missing"),
    ],
)
def test_a_broken_npz_is_one_line_and_nothing_is_unpickled(
    change: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    content: dict[str, Any] = {
        "weights": np.zeros((2, 52), np.float32),
        "fps": np.float64(60),
        "names": np.array(BLENDSHAPES),
    }
    content = {name: array for name, array in (content | change).items() if array is not None}
    np.savez(tmp_path / "face.npz", **content)
    with pytest.raises(DataError, match=message) as caught:
        read_sequence(tmp_path / "face.npz")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "face.npz"
    np.savez_compressed(
        path, weights=np.zeros((100_000, 52), np.float32), fps=60, names=np.array(BLENDSHAPES)
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"weights.npy has 20800128 bytes, at most 100000"):
        read_sequence(path, max_bytes=100_000)
    assert len(read_sequence(path)) == 100_000


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["a", "b"]), "column jawOpen is string, expected float"),
        (pa.array([0.5, None]), "column jawOpen has 1 nulls"),
        (pa.array([0.5, float("nan")]), "frame 1 has nan for jawOpen"),
        (None, "lacks the channel 'jawOpen'"),
    ],
)
def test_a_broken_parquet_is_one_line(column: Any, message: str, tmp_path: Path) -> None:
    columns = {name: pa.array([0.0, 1.0]) for name in BLENDSHAPES} | {"jawOpen": column}
    table = pa.table({name: array for name, array in columns.items() if array is not None})
    pq.write_table(table.replace_schema_metadata({"fps": "60"}), tmp_path / "face.parquet")
    with pytest.raises(DataError, match=message):
        read_sequence(tmp_path / "face.parquet")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "does not say its frame rate"),
        ({"fps": "fast"}, "could not convert"),
        ({"fps": "60", "gaps": "[" * 100_000}, "recursion"),
        ({"fps": "60", "gaps": "[[1]]"}, r"gaps are \[\[1\]\], expected pairs"),
        ({"fps": "60", "gaps": "[[1, 0]]"}, "missing must be -1 or at least 1"),
    ],
)
def test_broken_metadata_of_a_parquet_is_one_line(
    metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    table = pa.table({name: pa.array([0.0, 1.0]) for name in BLENDSHAPES})
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "face.parquet")
    with pytest.raises(DataError, match=message):
        read_sequence(tmp_path / "face.parquet")


def test_a_parquet_of_others_needs_only_columns_by_name(tmp_path: Path) -> None:
    columns = {name.upper(): [0, 1] for name in reversed(BLENDSHAPES)} | {"speaker": ["a", "a"]}
    pq.write_table(pa.table(columns), tmp_path / "face.parquet")
    sequence = read_sequence(tmp_path / "face.parquet", fps=25.0)
    np.testing.assert_array_equal(sequence.weights, [[0] * 52, [1] * 52])


# Any file.


def test_the_content_says_what_a_file_is(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        write_sequence(a_sequence(), tmp_path / f"face{suffix}")
        (tmp_path / f"face{suffix}").rename(tmp_path / "face.download")
        assert_same(read_sequence(tmp_path / "face.download"), a_sequence())


def test_a_file_that_is_not_there_or_too_large_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.json: cannot be read: No such file"):
        read_sequence(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"is not a regular file"):
        read_sequence(tmp_path)
    (tmp_path / "face.json").write_text(" " * 1000)
    with pytest.raises(DataError, match=r"has 1000 bytes, expected at most 999"):
        read_sequence(tmp_path / "face.json", max_bytes=999)


def test_a_wrong_fps_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fps must be above 0, got 0"):
        read_sequence(tmp_path / "face.json", fps=0.0)


@pytest.mark.parametrize("suffix", SUFFIXES)
@IN_ONE_FOLDER
@given(data=st.data())
def test_mangled_bytes_are_a_sequence_or_a_data_error(
    suffix: str, data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / f"face{suffix}"
    write_sequence(a_sequence(), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = start + data.draw(st.integers(0, 8) | st.integers(0, len(content)))
        content[start:end] = data.draw(st.binary(max_size=8))
    path.write_bytes(content)
    try:
        assert isinstance(read_sequence(path), Sequence)
    except DataError as error:
        assert "\n" not in str(error)


@IN_ONE_FOLDER
@given(content=st.binary() | st.text().map(str.encode), suffix=st.sampled_from(SUFFIXES))
def test_any_bytes_are_a_data_error(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"face{suffix}"
    for start in (b"", b"{", b"PK\x03\x04", b"PAR1"):
        path.write_bytes(start + content)
        with pytest.raises(DataError):
            read_sequence(path)


# Real files, where there are any.

REAL_FILES = sorted((*REAL.glob("livelink/*.csv"), *REAL.glob("beat_schema/*.json")))


@pytest.mark.skipif(not REAL_FILES, reason="the real files are not here")
def test_real_captures_are_read_and_come_back(tmp_path: Path) -> None:
    for path in REAL_FILES:
        sequence = read_sequence(path)
        assert min(abs(sequence.fps - usual) for usual in (30, 60)) < 0.1, path.name
        assert -0.01 < sequence.weights.min() <= sequence.weights.max() < 1.1
        for suffix in SUFFIXES if len(sequence) < 500 else ():
            write_sequence(sequence, tmp_path / f"face{suffix}")
            assert_same(read_sequence(tmp_path / f"face{suffix}"), sequence)
