"""Frames read with numba, against those read without."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beat_tree import NAMES, Take, face_text, weights_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_beat_decode import SPELLINGS, assert_as_json, broken, document, with_json

from expclip.face import even_json, fast_json
from expclip.face.errors import DataError
from expclip.face.recording import read_recording

FRAMES = 40
WEIGHTS = weights_of(Take("2_scott_0_1_1", FRAMES / 60))


@pytest.fixture(autouse=True, scope="module")
def compiled() -> Iterator[None]:
    pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_json, "_WORTH", 0)
        yield


def both_ways(data: bytes) -> tuple[even_json.EvenFrames | None, even_json.EvenFrames | None]:
    """Return what is read with numba, and without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(even_json, "worth_compiling", lambda size: False)
        slow = even_json.decode_even_frames(data)
    return even_json.decode_even_frames(data), slow


def assert_same_bits(data: bytes, *, read: bool = True) -> None:
    fast, slow = both_ways(data)
    assert (fast is not None) == read
    assert (slow is not None) == read
    if fast is None or slow is None:
        return
    assert fast.document["names"] == slow.document["names"]
    count = min(len(fast.weights), len(slow.weights))
    assert count >= FRAMES - 3
    assert fast.weights.dtype == slow.weights.dtype == np.float32
    assert fast.weights[:count].tobytes() == slow.weights[:count].tobytes()
    assert (fast.times_s is None) == (slow.times_s is None)
    if fast.times_s is not None and slow.times_s is not None:
        assert fast.times_s[:count].tobytes() == slow.times_s[:count].tobytes()


def face_of(weights: list[list[Any]], spelling: dict[str, Any] | None = None) -> bytes:
    rows = [{"weights": w, "time": i / 60, "rotation": []} for i, w in enumerate(weights)]
    return json.dumps({"names": list(NAMES), "frames": rows}, **(spelling or {})).encode()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_even_spelling_is_read_to_the_bit(spelling: dict[str, Any]) -> None:
    data = face_text(WEIGHTS, **spelling).encode()
    assert_same_bits(data)
    assert_as_json(data, fast=True)


@pytest.mark.parametrize("block", [8_000, 20_000, 1 << 22])
def test_long_files_are_read_in_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(even_json, "_BLOCK", block)
    for spelling in SPELLINGS:
        assert_as_json(face_text(WEIGHTS, **spelling).encode(), fast=True)


def test_keys_may_stand_in_another_order_and_rotations_have_numbers() -> None:
    for order in (("time", "rotation", "weights"), ("rotation", "weights", "time"), ("weights",)):
        whole = document()
        whole["frames"] = [{key: frame[key] for key in order} for frame in whole["frames"]]
        assert_as_json(json.dumps(whole).encode(), fast=True)
    turned = document()
    for i, frame in enumerate(turned["frames"]):
        frame["rotation"] = [i / 7, -1, 0.5]
    assert_as_json(json.dumps(turned).encode(), fast=True)


def midpoint(value: float) -> float:
    """Return the float64 half-way between a float32 and the next."""
    low = np.float32(value)
    return (float(low) + float(np.nextafter(low, np.float32(2)))) / 2


def test_numbers_of_every_kind_are_read_as_json_reads_them() -> None:
    values: list[Any] = [0, 1, -1, 0.1, -0.25, 1e-05, 7.3e-23, 2.5e-310, 1.7976931348623157e308]
    values += [123456789012345678, 18446744073709551615, 10**25, 1 / 3, 5e-324, -0.0, 1e22]
    values += [9007199254740993, 1e-45, 1.4e-45, 3.4028235677973366e38, 1e38, 1e50, -1e-60]
    values += [midpoint(x) for x in (0.1, 0.7, 1e-3)]
    values += [float(np.nextafter(midpoint(x), up)) for x in (0.1, 0.7, 1e-3) for up in (0, 1)]
    rows = np.resize(np.array(values, object), (FRAMES, 51)).tolist()
    fast = even_json.decode_even_frames(face_of(rows))
    assert fast is not None
    with np.errstate(over="ignore"):
        expected = np.array(rows[1:-1], np.float64).astype(np.float32)
    assert len(fast.weights) == FRAMES - 2
    assert fast.weights.tobytes() == expected.tobytes()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.from_regex(
            r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,2})?", fullmatch=True
        )
        | st.floats(-2, 2).map(repr)
        | st.floats(-2, 2, width=32).map(midpoint).map(repr),
        min_size=51,
        max_size=51,
    )
)
def test_any_spelling_of_a_number_is_the_float32_of_its_float64(numbers: list[str]) -> None:
    row = f'{{"weights":[{",".join(numbers)}],"time":0.5,"rotation":[]}}'
    data = f'{{"names":{json.dumps(NAMES)},"frames":[{",".join([row] * FRAMES)}]}}'.encode()
    fast = even_json.decode_even_frames(data)
    assert fast is not None
    with np.errstate(over="ignore"):
        expected = np.array([float(number) for number in numbers]).astype(np.float32)
    assert fast.weights.tobytes() == np.tile(expected, (len(fast.weights), 1)).tobytes()


def test_more_doubts_than_there_is_room_for_only_take_more_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fast_json, "_MOST_DOUBTS", 60)
    rows = np.full((FRAMES, 51), midpoint(0.1)).tolist()
    fast = even_json.decode_even_frames(face_of(rows))
    assert fast is not None
    assert (fast.weights == np.float32(midpoint(0.1))).all()
    assert len(fast.weights) == FRAMES - 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"time"', '"tome"'),
        ("[]", "["),
        (", ", ", , "),
        ('"weights": [', '"weights": [true, '),
        ('"weights": [', '"weights": [-, '),
        ('"weights": [', '"weights": ["0.5", '),
        ('"time": ', '"time": "'),
        ('"time": ', '"time": 1'),
        ('"rotation": []}', '"rotation": []'),
    ],
)
def test_what_json_refuses_is_refused_in_the_same_words(old: str, new: str) -> None:
    data = broken(face_text(WEIGHTS), old, new, 21)
    try:
        with_json(data)
    except DataError as slow:
        with pytest.raises(DataError) as fast:
            read_recording(data, ".json", 1 << 30)
        assert str(fast.value) == str(slow)
    else:
        assert_as_json(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    spelling=st.sampled_from(SPELLINGS),
    start=st.floats(0, 1),
    cut=st.integers(0, 30),
    patch=st.binary(max_size=3)
    | st.sampled_from([b",", b"]", b"}", b'"', b" ", b"-", b"e", b"1 2"]),
)
@example(spelling=SPELLINGS[0], start=0.5, cut=0, patch=b"[[")
@example(spelling=SPELLINGS[1], start=0.999, cut=30, patch=b"")
def test_damage_is_seen_just_as_json_sees_it(
    spelling: dict[str, Any], start: float, cut: int, patch: bytes
) -> None:
    data = face_text(WEIGHTS[:, :51], **spelling).encode()
    place = int(start * len(data))
    data = data[:place] + patch + data[place + cut :]
    try:
        with_json(data)
    except (DataError, ValueError) as slow:
        with pytest.raises(type(slow)) as fast:
            read_recording(data, ".json", 1 << 30)
        assert str(fast.value) == str(slow)
    else:
        assert_as_json(data)


def test_few_bytes_are_read_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_json, "_WORTH", 1000)
    monkeypatch.setattr(fast_json, "_seen", 0)
    assert [fast_json.worth_compiling(400) for _ in range(4)] == [False, False, True, True]


def test_without_numba_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    fast_json._compiled.cache_clear()
    try:
        assert not fast_json.worth_compiling(1 << 40)
        assert_as_json(face_text(WEIGHTS).encode(), fast=True)
    finally:
        fast_json._compiled.cache_clear()


REAL = sorted((Path(__file__).parents[2] / "shared" / "data" / "beat_schema").glob("*.json"))


@pytest.mark.skipif(not REAL, reason="the real files are not here")
def test_real_files_are_read_to_the_bit() -> None:
    for path in REAL:
        assert_same_bits(path.read_bytes())
        assert_as_json(path.read_bytes(), fast=True)
