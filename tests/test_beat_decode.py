"""The fast decoder against json, on files of every spelling."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beat_tree import NAMES, Take, face_text, weights_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from expclip.face import even_json, read_sequence, recording
from expclip.face.errors import DataError
from expclip.face.recording import Recording, read_recording

FRAMES = 40
WEIGHTS = weights_of(Take("2_scott_0_1_1", FRAMES / 60))
SPELLINGS: list[dict[str, Any]] = [
    {"separators": (",", ":")},
    {},
    {"indent": 2},
    {"indent": 4, "separators": (" ,", " : ")},
]
SLOPPY = re.compile(rb"(?<![0-9])\.[0-9]|[0-9]\.(?![0-9])|\+|(?<![0-9.])0[0-9]")
"""Numbers that Arrow takes and JSON does not."""


def with_json(data: bytes) -> Recording:
    """Read without the fast path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "decode_even_frames", lambda data: None)
        return read_recording(data, ".json", 1 << 30)


def assert_as_json(data: bytes, *, fast: bool | None = None) -> None:
    even = even_json.decode_even_frames(data)
    if fast is not None:
        assert (even is not None) == fast
    found = read_recording(data, ".json", 1 << 30)
    expected = with_json(data)
    assert found.names == expected.names
    assert found.fps == expected.fps
    with np.errstate(over="ignore"):  # damage may have made an exponent of digits
        values = [recording.values.astype(np.float32) for recording in (found, expected)]
    np.testing.assert_array_equal(*values)
    assert (found.times_s is None) == (expected.times_s is None)
    if found.times_s is not None:
        np.testing.assert_array_equal(found.times_s, expected.times_s)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_even_spelling_is_decoded_at_once(spelling: dict[str, Any]) -> None:
    assert_as_json(face_text(WEIGHTS, **spelling).encode(), fast=True)


@pytest.mark.parametrize("block", [8_000, 20_000, 1 << 22])
def test_long_files_are_read_in_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(even_json, "_BLOCK", block)
    monkeypatch.setattr(even_json, "_PIECE", 1000)
    for spelling in SPELLINGS:
        assert_as_json(face_text(WEIGHTS, **spelling).encode(), fast=True)


def document(**rest: Any) -> dict[str, Any]:
    return {**json.loads(face_text(WEIGHTS)), **rest}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_other_keys_before_and_after_the_frames_change_nothing(spelling: dict[str, Any]) -> None:
    head = {"metadata": {"fps": 60.0, "note": "frames [ } ,"}, **document()}
    tail = {**document(), "head_pose": [[0, 1], [2, 3]], "more": {"a": [1, 2]}}
    for whole in (head, tail):
        assert_as_json(json.dumps(whole, **spelling).encode(), fast=True)


def test_numbers_of_every_kind_are_read_as_json_reads_them() -> None:
    values = [0, 1, -1, 0.1, -0.25, 1e-05, 2.5e-310, 1.7976931348623157e308, 123456789012345678]
    values += [0.30000000000000004, 1 / 3, 5e-324, -0.0, 1e22, 9007199254740993]
    weights = np.resize(np.array(values, object), (FRAMES, 51))
    frames = [
        {"weights": row, "time": i / 60, "rotation": []} for i, row in enumerate(weights.tolist())
    ]
    data = json.dumps({"names": list(NAMES), "frames": frames}).encode()
    even = even_json.decode_even_frames(data)
    assert even is not None
    with np.errstate(over="ignore"):
        expected = weights[1:-1].astype(np.float64).astype(np.float32)
    np.testing.assert_array_equal(even.weights, expected)


def test_keys_may_stand_in_another_order_and_rotations_have_numbers() -> None:
    for order in (("time", "rotation", "weights"), ("rotation", "weights", "time"), ("weights",)):
        whole = document()
        whole["frames"] = [{key: frame[key] for key in order} for frame in whole["frames"]]
        assert_as_json(json.dumps(whole).encode(), fast=True)
    turned = document()
    for i, frame in enumerate(turned["frames"]):
        frame["rotation"] = [i / 7, -1, 0.5]
    assert_as_json(json.dumps(turned).encode(), fast=True)


def test_frames_that_are_not_alike_are_read_by_json() -> None:
    late = document()
    late["frames"][20]["note"] = "cut here"
    assert_as_json(json.dumps(late).encode(), fast=True)  # the rest is small
    mixed = json.dumps(document()["frames"][3], indent=1)
    text = face_text(WEIGHTS).replace(json.dumps(document()["frames"][3]), mixed)
    assert_as_json(text.encode(), fast=False)
    few = {**document(), "frames": document()["frames"][:5]}
    assert_as_json(json.dumps(few).encode(), fast=False)
    nested = {"x": document(), **document()}
    assert_as_json(json.dumps(nested).encode(), fast=False)


def test_a_second_list_of_frames_counts_as_it_does_for_json() -> None:
    text = face_text(WEIGHTS)
    for second in ('"frames"', '"\\u0066rames"'):
        twice = text[:-1] + f", {second}: {json.dumps(document()['frames'][:2])}}}"
        assert_as_json(twice.encode(), fast=False)
        assert len(read_recording(twice.encode(), ".json", 1 << 20).values) == 2


def broken(text: str, old: str, new: str, place: int) -> bytes:
    """Replace the place-th occurrence."""
    parts = text.split(old)
    return (old.join(parts[:place]) + new + old.join(parts[place:])).encode()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"time"', '"tome"', "frame 20 has None in its times"),
        ("[]", "[", "is not JSON"),
        (", ", ", , ", "is not JSON"),
        ('"weights": [', '"weights": [true, ', "has 52 weights"),
        ('"weights": [', '"weights": ["0.5", ', "has 52 weights"),
        ('"time": ', '"time": "', "is not JSON"),
        ('"rotation": []}', '"rotation": []', "is not JSON"),
    ],
)
def test_what_json_refuses_is_refused_in_the_same_words(old: str, new: str, message: str) -> None:
    data = broken(face_text(WEIGHTS), old, new, 21)
    with pytest.raises(DataError, match=message) as fast:
        read_recording(data, ".json", 1 << 30)
    with pytest.raises(DataError) as slow:
        with_json(data)
    assert str(fast.value) == str(slow.value)


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
@example(spelling=SPELLINGS[1], start=0.5614802546434187, cut=3, patch=b"e")
def test_damage_never_makes_another_face_than_json_sees(
    spelling: dict[str, Any], start: float, cut: int, patch: bytes
) -> None:
    data = face_text(WEIGHTS[:, :51], **spelling).encode()
    place = int(start * len(data))
    data = data[:place] + patch + data[place + cut :]
    try:
        with_json(data)
    except (DataError, ValueError):
        try:
            read_recording(data, ".json", 1 << 30)
        except (DataError, ValueError):
            return
        assert SLOPPY.search(data[max(0, place - 30) : place + 40])
        return
    assert_as_json(data)


@pytest.mark.parametrize("number", ["1e39", "1e300", "1e4000"])
@pytest.mark.parametrize("frame", [0, 1, 20, FRAMES - 2, FRAMES - 1])
def test_a_weight_too_large_for_float32_is_refused_wherever_it_stands(
    frame: int, number: str, tmp_path: Path
) -> None:
    whole = document()
    whole["frames"][frame]["weights"][7] = math.inf
    path = tmp_path / "take.json"
    path.write_text(json.dumps(whole).replace("Infinity", number), encoding="utf-8")
    with pytest.raises(DataError, match=rf"take\.json: .*frame {frame} .*inf"):
        read_sequence(path)


REAL = sorted((Path(__file__).parents[2] / "shared" / "data" / "beat_schema").glob("*.json"))


@pytest.mark.skipif(not REAL, reason="the real files are not here")
def test_real_files_are_decoded_at_once_and_as_json_does() -> None:
    for path in REAL:
        assert_as_json(path.read_bytes(), fast=True)
