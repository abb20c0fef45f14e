"""What a speaking face is written to: recordings that come back, meshes that programs read."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expclip.face import BLENDSHAPE_INDEX, Basis, Sequence, read_sequence
from expclip.face.errors import DataError
from expclip.models.speech.glb import build_glb, vertex_normals
from expclip.models.speech.output import Spoken, check_outputs, write_output
from expclip.models.speech.usda import build_usda

JAW, BLINK = BLENDSHAPE_INDEX["jawOpen"], BLENDSHAPE_INDEX["eyeBlinkLeft"]


@pytest.fixture(scope="module")
def basis() -> Basis:
    """A square of 10 cm; the jaw moves one corner, a blink another."""
    neutral = np.array([[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0]], np.float32)
    deltas = np.zeros((52, 4, 3), np.float32)
    deltas[JAW, 0] = (0, -2, 0)
    deltas[BLINK, 3] = (0, 0, 1)
    return Basis(neutral, deltas, np.array([[0, 1, 2], [0, 2, 3]]), "cm")


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    weights = np.zeros((3, 52), np.float32)
    weights[:, JAW] = (0, 0.5, 1)
    weights[1, BLINK] = 0.25
    return Sequence(weights, 30.0)


@pytest.fixture(scope="module")
def spoken(sequence: Sequence) -> Spoken:
    return Spoken(sequence, ((0.0, "calm"),), np.zeros(1600, np.float32), 16_000)


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.npz", "a.parquet"])
def test_a_recording_comes_back(spoken: Spoken, tmp_path: Path, name: str) -> None:
    write_output(tmp_path / name, spoken)
    again = read_sequence(tmp_path / name)
    np.testing.assert_array_equal(again.weights, spoken.sequence.weights)
    assert again.fps == pytest.approx(30, abs=0.01)


def unwrapped(packed: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the document and the buffer of a .glb, its framing checked."""
    magic, edition, length, size, kind = struct.unpack_from("<4sIII4s", packed)
    assert (magic, edition, length, kind) == (b"glTF", 2, len(packed), b"JSON")
    assert size % 4 == 0
    rest, kind = struct.unpack_from("<I4s", packed, 20 + size)
    assert kind == b"BIN\0" and 28 + size + rest == length and rest % 4 == 0
    return json.loads(packed[20 : 20 + size]), packed[28 + size :]


def values(document: dict[str, Any], content: bytes, view: int, kind: str) -> np.ndarray:
    found = document["bufferViews"][view]
    assert found["byteOffset"] % 4 == 0
    part = content[found["byteOffset"] : found["byteOffset"] + found["byteLength"]]
    return np.frombuffer(part, kind)


def test_a_glb_poses_the_mesh_as_the_basis_does(basis: Basis, sequence: Sequence) -> None:
    document, content = unwrapped(build_glb(basis, sequence))
    mesh, accessors = document["meshes"][0], document["accessors"]
    assert mesh["extras"]["targetNames"] == ["eyeBlinkLeft", "jawOpen"]
    primitive = mesh["primitives"][0]
    place = accessors[primitive["attributes"]["POSITION"]]
    assert place["min"] == [0, 0, 0] and place["max"] == pytest.approx([0.1, 0.1, 0])
    sampler = document["animations"][0]["samplers"][0]
    times = values(document, content, accessors[sampler["input"]]["bufferView"], "<f4")
    np.testing.assert_allclose(times, [0, 1 / 30, 2 / 30], atol=1e-6)
    weights = values(document, content, accessors[sampler["output"]]["bufferView"], "<f4")
    posed = values(document, content, place["bufferView"], "<f4").reshape(-1, 3).copy()
    for target, weight in zip(primitive["targets"], weights.reshape(3, 2)[1], strict=True):
        sparse = accessors[target["POSITION"]]["sparse"]
        assert sparse["count"] == 1
        rows = values(document, content, sparse["indices"]["bufferView"], "<u4")
        moved = values(document, content, sparse["values"]["bufferView"], "<f4")
        posed[rows] += weight * moved.reshape(-1, 3)
    np.testing.assert_allclose(posed, basis.to_unit("m").pose(sequence.weights[1]), atol=1e-7)


def test_a_usda_names_shapes_frames_and_unit(basis: Basis, sequence: Sequence) -> None:
    text = build_usda(basis, sequence).decode()
    assert text.startswith("#usda 1.0\n") and text.count("{") == text.count("}")
    for part in (
        "timeCodesPerSecond = 30",
        "metersPerUnit = 0.01",
        "endTimeCode = 2",
        'uniform token[] blendShapes = ["eyeBlinkLeft", "jawOpen"]',
        "            1: [0.25, 0.5],",
        "</Face/Mesh/eyeBlinkLeft>, </Face/Mesh/jawOpen>",
        "uniform vector3f[] offsets = [(0, -2, 0)]",
        "int[] faceVertexIndices = [0, 1, 2, 0, 2, 3]",
    ):
        assert part in text, part


def test_meshes_are_written_and_the_same_each_time(
    basis: Basis, spoken: Spoken, tmp_path: Path
) -> None:
    for name in ("a.glb", "a.usda"):
        write_output(tmp_path / name, spoken, basis)
        first = (tmp_path / name).read_bytes()
        write_output(tmp_path / name, spoken, basis)
        assert (tmp_path / name).read_bytes() == first


def test_a_basis_that_moves_nothing_is_still_a_mesh(sequence: Sequence) -> None:
    still = Basis(np.eye(3), np.zeros((52, 3, 3)), np.array([[0, 1, 2]]), "m")
    document, _ = unwrapped(build_glb(still, sequence))
    assert "animations" not in document and "targets" not in document["meshes"][0]["primitives"][0]
    assert "blendShapes = []" in build_usda(still, sequence).decode()


def test_normals_look_where_the_triangles_do(basis: Basis) -> None:
    found = vertex_normals(basis.neutral, basis.triangles)
    np.testing.assert_allclose(found, [[0, 0, 1]] * 4)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.glb", "needs a basis"),
        ("a.usda", "needs a basis"),
        ("a.fbx", "suffix '.fbx', expected one of .csv"),
        ("absent/a.csv", "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, name: str, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        check_outputs([tmp_path / name], None)
