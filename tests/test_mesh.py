import io
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES
from expclip.face.errors import DataError
from expclip.face.mesh import Basis, read_basis, write_basis
from expclip.face.obj import parse_triangles, parse_vertices

REAL = Path(__file__).parents[2] / "shared" / "data" / "meshes"

NEUTRAL = "v 0 0 0\nv 0.1 0 0\nv 0 0.2 0\nv 0.1 0.2 0\nf 1 2 4 3\n"


def moved(x: float) -> str:
    """Return the neutral mesh with its first vertex at x."""
    return NEUTRAL.replace("v 0 0 0", f"v {x} 0 0", 1)


def a_basis() -> Basis:
    """jawOpen moves vertex 0 by 1 along y; nothing else moves."""
    deltas = np.zeros((52, 4, 3), np.float32)
    deltas[BLENDSHAPE_INDEX["jawOpen"], 0, 1] = 1
    triangles = np.array([[0, 1, 3], [0, 3, 2]], np.int32)
    return Basis(parse_vertices(NEUTRAL.encode()), deltas, triangles, "m")


def npz(**arrays: Any) -> bytes:
    """Return the arrays of a basis as npz, some of them replaced."""
    basis = a_basis()
    every = {
        "names": np.array(BLENDSHAPES),
        "neutral": basis.neutral,
        "deltas": basis.deltas,
        "triangles": basis.triangles,
    } | arrays
    stream = io.BytesIO()
    np.savez(stream, **{name: array for name, array in every.items() if array is not None})
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write files, and return their folder."""

    def write(**files: str) -> Path:
        root = tmp_path / "shapes"
        root.mkdir()
        for name, text in files.items():
            (root / f"{name}.obj").write_text(text)
        return root

    return write


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """Write a zip of files, and return its path."""

    def write(files: dict[str, str]) -> Path:
        path = tmp_path / "shapes.zip"
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as target:
            warnings.simplefilter("ignore")  # of names that come twice
            for name, text in files.items():
                target.writestr(name, text)
        return path

    return write


@pytest.mark.parametrize(
    "line",
    [
        "v 1 2 3",
        "v 1.0 2.0 3.0 1.0",
        "v 1 2 3 0.5 0.5 0.5",
        "  v\t1  2\t3\r",
        "v 1 2 3 # the nose",
        "v 10e-1 +2 3.",
    ],
)
def test_vertices_are_read_in_every_spelling(line: str) -> None:
    text = f"# made by hand\no face\nvn 0 0 1\nvt 0 0\n{line}\n{line}\nf 1 1 1\n"
    np.testing.assert_array_equal(parse_vertices(text.encode()), [[1, 2, 3], [1, 2, 3]])


def test_lines_of_different_lengths_are_read_too() -> None:
    text = b"v 1 2 3\nv 4 5 6 1\nv 7 8 9 # end"
    np.testing.assert_array_equal(parse_vertices(text), [[1, 2, 3], [4, 5, 6], [7, 8, 9]])


def test_polygons_become_fans_and_negative_places_count_from_the_end() -> None:
    text = b"f 1/1/1 2/2/2 3//3 4\nf -1 -2 -3\n"
    assert parse_triangles(text, 4).tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 1]]


@pytest.mark.parametrize("face", ["f 1 2", "f 0 1 2", "f 1 2 5", "f -5 1 2", "f a b c"])
def test_faces_of_vertices_that_are_not_there_are_refused(face: str) -> None:
    with pytest.raises(DataError, match=r"face 1 is .*expected places of 4"):
        parse_triangles(face.encode(), 4)


@pytest.mark.parametrize("line", ["v 1 2", "v 1 2 x", "v nan 0 0", "v 1e999 0 0"])
def test_vertices_that_are_not_three_numbers_are_refused(line: str) -> None:
    with pytest.raises(DataError, match=r"vertex [12] is"):
        parse_vertices(f"v 0 0 0\n{line}\n".encode())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_bytes_are_a_mesh_or_one_clear_line(lines: list[bytes]) -> None:
    text = b"\n".join(b"v " + line if len(line) % 2 else line for line in lines)
    try:
        assert parse_vertices(text).shape[1] == 3
    except DataError as error:
        assert "\n" not in str(error)


def test_a_folder_of_shapes_becomes_differences_by_name(folder: Callable[..., Path]) -> None:
    root = folder(Neutral=NEUTRAL, jawOpen=moved(0.5), eyeBlink_L=moved(-1), identity000="junk")
    (root / "readme.txt").write_text("no mesh")
    basis = read_basis(root)
    assert basis.deltas.shape == (52, 4, 3)
    assert basis.deltas[BLENDSHAPE_INDEX["jawOpen"], 0].tolist() == [0.5, 0, 0]
    assert basis.deltas[BLENDSHAPE_INDEX["eyeBlinkLeft"], 0].tolist() == [-1, 0, 0]
    assert len(basis.missing) == 50
    assert basis.names == BLENDSHAPES
    assert basis.unit == "m"
    assert basis.triangles.tolist() == [[0, 1, 3], [0, 3, 2]]


def test_halves_of_ict_facekit_are_added(folder: Callable[..., Path]) -> None:
    root = folder(generic_neutral_mesh=NEUTRAL, browInnerUp_L=moved(0.5), browInnerUp_R=moved(0.25))
    basis = read_basis(root)
    assert basis.deltas[BLENDSHAPE_INDEX["browInnerUp"], 0].tolist() == [0.75, 0, 0]


def test_a_zip_gives_what_its_folder_gives(archive: Callable[..., Path]) -> None:
    path = archive({"a/Neutral.obj": NEUTRAL, "a/jawOpen.obj": moved(2), "__MACOSX/._x.obj": "?"})
    assert read_basis(path).deltas[BLENDSHAPE_INDEX["jawOpen"], 0].tolist() == [2, 0, 0]


def test_npz_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_basis(tmp_path / "basis.npz", a_basis().to_unit("cm"))
    found = read_basis(tmp_path / "basis.npz")
    assert found.unit == "cm"
    np.testing.assert_array_equal(found.neutral, a_basis().to_unit("cm").neutral)
    np.testing.assert_array_equal(found.deltas, 100 * a_basis().deltas)
    np.testing.assert_array_equal(found.triangles, a_basis().triangles)


def test_npz_is_read_by_name_in_any_order_and_spelling(tmp_path: Path) -> None:
    deltas = np.arange(2 * 12, dtype=np.float32).reshape(2, 4, 3)
    (tmp_path / "b.npz").write_bytes(
        npz(names=np.array(["MouthSmile_R", "JawOpen"]), deltas=deltas, triangles=None)
    )
    found = read_basis(tmp_path / "b.npz")
    np.testing.assert_array_equal(found.deltas[BLENDSHAPE_INDEX["mouthSmileRight"]], deltas[0])
    np.testing.assert_array_equal(found.deltas[BLENDSHAPE_INDEX["jawOpen"]], deltas[1])
    assert found.triangles.shape == (0, 3)


def test_the_unit_is_what_is_said_or_what_the_size_tells(folder: Callable[..., Path]) -> None:
    big = NEUTRAL.replace("0.2", "20")
    root = folder(Neutral=big, jawOpen=big)
    assert read_basis(root).unit == "cm"
    assert read_basis(root, unit="mm").unit == "mm"


def test_a_region_keeps_its_vertices_and_the_triangles_among_them() -> None:
    part = a_basis().region(np.array([3, 1, 0]))
    np.testing.assert_array_equal(part.neutral, a_basis().neutral[[3, 1, 0]])
    assert part.triangles.tolist() == [[2, 1, 0]]
    assert part.deltas[BLENDSHAPE_INDEX["jawOpen"], 2, 1] == 1


def test_a_pose_is_the_neutral_and_the_weighted_shapes() -> None:
    weights = np.zeros((2, 52))
    weights[1, BLENDSHAPE_INDEX["jawOpen"]] = 0.25
    posed = a_basis().pose(weights)
    np.testing.assert_array_equal(posed[0], a_basis().neutral)
    assert posed[1, 0].tolist() == [0, 0.25, 0]


def test_a_basis_checks_itself() -> None:
    basis = a_basis()
    for bad in (
        {"deltas": basis.deltas[:51]},
        {"deltas": basis.deltas[:, :3]},
        {"triangles": basis.triangles + 2},
        {"neutral": basis.neutral * np.nan},
        {"unit": "inch"},
    ):
        values = {"neutral": basis.neutral, "deltas": basis.deltas} | {
            "triangles": basis.triangles,
            "unit": "m",
        }
        with pytest.raises(ValueError, match=next(iter(bad))):
            Basis(**(values | bad))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"jawOpen": NEUTRAL}, "0 neutral meshes"),
        ({"Neutral": NEUTRAL}, "no mesh of the 52 shapes"),
        ({"Neutral": NEUTRAL, "jawOpen": "v 1 2 3\n"}, "jawOpen.obj has 1 vertices, expected 4"),
        ({"Neutral": NEUTRAL, "jawOpen": "v 1 2\n"}, "jawOpen.obj: vertex 1 is '1 2'"),
        ({"Neutral": NEUTRAL, "jawOpen": "junk"}, "jawOpen.obj: has no vertices"),
        ({"Neutral": NEUTRAL, "jawOpen": NEUTRAL, "JawOpen": NEUTRAL}, "a second mesh of jawOpen"),
        (
            {"Neutral": NEUTRAL, "cheekPuff": NEUTRAL, "cheekPuff_L": NEUTRAL},
            "a second mesh of cheekPuff",
        ),
    ],
)
def test_meshes_that_make_no_basis_are_one_clear_line(
    files: dict[str, str], says: str, folder: Callable[..., Path]
) -> None:
    root = folder(**files)
    with pytest.raises(DataError, match=says) as caught:
        read_basis(root)
    assert str(caught.value).startswith(f"{root}: ")
    assert "\n" not in str(caught.value)


def test_links_that_lead_out_of_the_folder_are_refused(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = folder(Neutral=NEUTRAL)
    (tmp_path / "secret.obj").write_text(NEUTRAL)
    (root / "jawOpen.obj").symlink_to(tmp_path / "secret.obj")
    with pytest.raises(DataError, match="link that leads out"):
        read_basis(root)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_not_waited_for(folder: Callable[..., Path]) -> None:
    root = folder(Neutral=NEUTRAL)
    os.mkfifo(root / "jawOpen.obj")
    with pytest.raises(DataError, match="not a regular file"):
        read_basis(root)


def test_a_zip_writes_nowhere_and_its_names_lead_nowhere(archive: Callable[..., Path]) -> None:
    path = archive({"../../Neutral.obj": NEUTRAL, "/etc/jawOpen.obj": moved(1)})
    before = sorted(path.parent.rglob("*"))
    assert len(read_basis(path).missing) == 51
    assert sorted(path.parent.rglob("*")) == before


def test_a_zip_with_a_name_twice_is_refused(archive: Callable[..., Path]) -> None:
    path = archive({"a/Neutral.obj": NEUTRAL, "b/Neutral.obj": NEUTRAL})
    with pytest.raises(DataError, match=r"two files 'Neutral.obj'"):
        read_basis(path)


def test_sources_that_are_too_large_are_refused(
    archive: Callable[..., Path], folder: Callable[..., Path]
) -> None:
    path = archive({"Neutral.obj": NEUTRAL, "jawOpen.obj": NEUTRAL + "#" * 100_000})
    with pytest.raises(DataError, match="bytes unpacked, at most 50000"):
        read_basis(path, max_bytes=50_000)
    root = folder(Neutral=NEUTRAL, jawOpen=NEUTRAL + "#" * 100_000)
    with pytest.raises(DataError, match="more than 50000 bytes"):
        read_basis(root, max_bytes=50_000)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"neutral": np.zeros((4, 2))}, "deltas are"),
        ({"names": None}, "no array 'names'"),
        ({"names": np.array(["jawOpen"] * 52)}, "jawOpen twice"),
        ({"names": np.array([f"x{i}" for i in range(52)])}, "none of the 52"),
        ({"deltas": np.zeros((52, 4), np.float32)}, "expected 3"),
        ({"deltas": np.full((52, 4, 3), np.nan)}, "deltas has NaN"),
        ({"triangles": np.array([[0, 1, 9]])}, "triangles name vertices"),
        ({"unit": np.array("inch")}, "unit is 'inch'"),
        ({"names": np.array(list(BLENDSHAPES), dtype=object)}, "object"),
    ],
)
def test_npz_that_makes_no_basis_is_one_clear_line(
    arrays: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "b.npz"
    path.write_bytes(npz(**arrays))
    with pytest.raises(DataError, match=says) as caught:
        read_basis(path)
    assert "\n" not in str(caught.value)


def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)}
    )
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as target:
        for name in ("names", "neutral", "deltas"):
            target.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(DataError, match="expected plain numbers"):
        read_basis(tmp_path / "b.npz")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_broken_bytes_are_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    good = bytearray(npz())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("broken") / "b.npz"
    path.write_bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        read_basis(path)
    except DataError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip at all"])
def test_what_is_neither_is_one_clear_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="expected a folder or zip of OBJ, or npz"):
        read_basis(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_basis(tmp_path / "absent")


@pytest.mark.skipif(not REAL.is_dir(), reason="no real meshes here")
def test_real_bases_are_read() -> None:
    ict = read_basis(REAL / "ict_arkit_basis.npz")
    assert (ict.unit, ict.missing, len(ict.neutral)) == ("cm", ("tongueOut",), 6706)
    arkit = read_basis(REAL / "ARKit_reference_blendshapes.zip")
    assert (arkit.unit, arkit.missing, len(arkit.neutral)) == ("m", ("tongueOut",), 1220)
    assert len(arkit.triangles) == 2304
    left = arkit.deltas[BLENDSHAPE_INDEX["mouthSmileLeft"]]
    assert (np.linalg.norm(left, axis=1) @ arkit.neutral[:, 0]) > 0  # +x is the own left
