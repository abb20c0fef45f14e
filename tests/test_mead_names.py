"""MEAD's names: what paths and lists say, and what an index leaves out."""

import io
import os
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.face.errors import DataError, ParseError
from expclip.mead3d.index import MeadIndex, index_list, index_mead
from expclip.mead3d.naming import (
    EMOTIONS,
    LIST_EMOTIONS,
    UNKNOWN,
    VIEWS,
    Label,
    find_actor,
    parse_label,
    parse_list_line,
)

LIST = Path(__file__).parents[2] / "shared" / "data" / "mead" / "video_list_test.txt"


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"some bytes")


def ids(index: MeadIndex) -> list[str]:
    return [clip.id for clip in index.clips]


def left_out(index: MeadIndex) -> dict[str, str]:
    return {item.path: item.reason for item in index.left_out}


@pytest.mark.parametrize(
    ("path", "label"),
    [
        (
            "M003/video/front/angry/level_1/001",
            Label("M003", "", "angry", 1, "front", 1),
        ),
        ("W040/1/left_30/sad/level_3/012", Label("W040", "", "sad", 3, "left_30", 12)),
        ("M003/M003/video/top/fear/level_2/7", Label("M003", "", "fear", 2, "top", 7)),
        ("M026-1/video/down/happy/level_1/001", Label("M026", "1", "happy", 1, "down", 1)),
        ("M003/video/right_60/neutral/040", Label("M003", "", "neutral", 1, "right_60", 40)),
        ("m003/Video/Front/Happy/Level_2/001", Label("M003", "", "happy", 2, "front", 1)),
        ("W011/happy/level_2/001", Label("W011", "", "happy", 2, UNKNOWN, 1)),
        ("M030_sad_3_001", Label("M030", "", "sad", 3, UNKNOWN, 1)),
        ("test/crop/M003_front_neu_1_017", Label("M003", "", "neutral", 1, "front", 17)),
        ("m03-neutral-level_1-010", Label("M003", "", "neutral", 1, UNKNOWN, 10)),
    ],
)
def test_a_path_is_understood_by_what_its_parts_look_like(path: str, label: Label) -> None:
    assert parse_label(path.split("/")) == label


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("video/front/angry/level_1/001", "actor"),
        ("M003/video/front/level_1/001", "emotion"),
        ("M003/video/front/angry/001", "level"),
        ("M003/video/front/angry/level_4/001", "level"),
        ("M003/video/front/angry/level_1/001 (1)", "name"),
        ("M003/video/front/angry/level_1/take", "name"),
        ("M003/W009/front/angry/level_1/001", "actor"),
        ("M003/front/top/angry/level_1/001", "view"),
        ("M003/angry/happy/level_1/001", "emotion"),
    ],
)
def test_a_path_that_lacks_something_says_what(path: str, reason: str) -> None:
    with pytest.raises(ParseError) as error:
        parse_label(path.split("/"))
    assert error.value.reason == reason


@given(
    st.sampled_from(["M003", "W040", "M026-2"]),
    st.sampled_from(VIEWS),
    st.sampled_from(EMOTIONS),
    st.integers(1, 3),
    st.integers(0, 999),
)
def test_an_id_read_as_a_path_gives_the_same_id(
    actor: str, view: str, emotion: str, level: int, number: int
) -> None:
    name = f"{actor}/{view}/{emotion}/level_{level}/{number:03}"
    assert parse_label(name.split("/")).id == name


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_any_path_is_read_or_refused(parts: list[str]) -> None:
    try:
        assert parse_label(parts).emotion in EMOTIONS
    except ParseError as error:
        assert error.reason in ("actor", "emotion", "level", "view", "name")


def test_an_actor_is_a_letter_and_a_number() -> None:
    assert find_actor("M026-1") == ("M026", "1")
    assert find_actor("W9") is None and find_actor("Mimi") is None and find_actor("X003") is None


def test_a_list_has_its_own_codes_for_emotions() -> None:
    line = parse_list_line("W003/W003_73_1_output_01/000.jpg 7 0 W003/W003_73_1_output_01/201.jpg")
    assert line.picture == PurePosixPath("W003/W003_73_1_output_01/000.jpg")
    assert line.label == Label("W003", "", "neutral", 1, UNKNOWN, 1)
    assert sorted(LIST_EMOTIONS) == sorted(EMOTIONS) and LIST_EMOTIONS != EMOTIONS
    assert parse_list_line("M003/M003_01_1_output_10/3.jpg 2 2").label.emotion == "contempt"


@given(st.text(max_size=80))
def test_any_line_of_a_list_is_read_or_refused(line: str) -> None:
    try:
        assert parse_list_line(line).label.level in (1, 2, 3)
    except ParseError as error:
        assert error.reason in ("line", "name", "label")


@pytest.mark.skipif(not LIST.exists(), reason="no shared data")
def test_the_authors_list_is_read_entirely(tmp_path: Path) -> None:
    index = index_list(LIST, tmp_path)
    assert {clip.id: clip.frames for clip in index.clips} == {
        "W003_73_1_output_01": 203,
        "W003_73_1_output_02": 126,
        "W003_73_1_output_03": 192,
    }
    assert index.left_out == ()
    assert {clip.label.emotion for clip in index.clips} == {"neutral"}
    assert index.clips[0].pictures[:2] == ("000.jpg", "001.jpg")


def test_bad_lines_of_a_list_are_left_out_by_number(tmp_path: Path) -> None:
    lines = tmp_path / "list.txt"
    lines.write_text(
        "M003/M003_01_1_output_01/000.jpg 0 0\n"
        "M003/M003_01_1_output_01/001.jpg 3 0\n"  # the same clip with another label
        "M003/M003_01_1_output_01/002.jpg 9 0\n"
        "../M003_01_1_output_01/003.jpg 0 0\n"
        "\n"
        "M003/M003_01_1_output_01/010.jpg 0 0\n"
        "M003/M003_01_1_output_01/9.jpg 0 0\n"
    )
    index = index_list(lines, tmp_path)
    assert index.clips[0].pictures == ("000.jpg", "9.jpg", "010.jpg")
    assert left_out(index) == {"list.txt:2": "label", "list.txt:3": "label", "list.txt:4": "name"}


def test_the_irregular_tree_is_indexed_and_the_rest_has_reasons(tmp_path: Path) -> None:
    root = tmp_path / "MEAD"
    touch(
        root,
        "M003/video/front/angry/level_1/001.mp4",
        "M003/1/left_30/neutral/002.mp4",
        "M026-1/video/front/sad/level_2/001.mp4",
        "M026-2/video/front/sad/level_2/001.mp4",
        "M003/audio/angry/level_1/001.m4a",
        "M003/extra/video/front/angry/level_1/001.mov",
        "M003/video/front/angry/level_1/._001.mp4",
        "M003/video/front/angry/level_1/copy.mp4",
        "M003/notes.pdf",
    )
    (root / "M003/video/front/angry/level_1/003.mp4").write_bytes(b"")
    index = index_mead(root)
    assert ids(index) == [
        "M003/front/angry/level_1/001",
        "M003/left_30/neutral/level_1/002",
        "M026-1/front/sad/level_2/001",
        "M026-2/front/sad/level_2/001",
    ]
    assert [clip.label.actor for clip in index.clips] == ["M003", "M003", "M026", "M026"]
    assert left_out(index) == {
        "M003/audio/angry/level_1/001.m4a": "audio",
        "M003/notes.pdf": "kind",
        "M003/video/front/angry/level_1/._001.mp4": "hidden",
        "M003/video/front/angry/level_1/001.mp4": "double",
        "M003/video/front/angry/level_1/003.mp4": "empty",
        "M003/video/front/angry/level_1/copy.mp4": "name",
    }


def test_the_folder_of_one_actor_is_enough(tmp_path: Path) -> None:
    touch(tmp_path / "M003", "video/front/angry/level_1/001.mp4")
    assert ids(index_mead(tmp_path / "M003")) == ["M003/front/angry/level_1/001"]


def test_pictures_are_clips_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"M003/front/happy/level_2/005/frame{n}.png" for n in (1, 10, 9)))
    (clip,) = index_mead(tmp_path).clips
    assert clip.pictures == ("frame1.png", "frame9.png", "frame10.png")
    assert (clip.id, clip.frames) == ("M003/front/happy/level_2/005", 3)


def test_pictures_of_the_old_naming_ask_for_their_list(tmp_path: Path) -> None:
    touch(tmp_path, "M003/M003_01_1_output_01/000.jpg", "M003/front/happy/level_1/001.mp4")
    (item,) = index_mead(tmp_path).left_out
    assert item.reason == "list" and "--list" in item.message


def test_links_out_of_the_folder_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "MEAD"
    touch(tmp_path, "secret/M005/video/front/happy/level_1/001.mp4", "other.mp4")
    touch(root, "M003/video/front/happy/level_1/001.mp4")
    (root / "M005").symlink_to(tmp_path / "secret" / "M005")
    folder = root / "M003/video/front/happy/level_1"
    (folder / "002.mp4").symlink_to(tmp_path / "other.mp4")
    (folder / "003.mp4").symlink_to(folder / "nothing.mp4")
    (folder / "004.mp4").symlink_to(folder / "001.mp4")
    index = index_mead(root)
    assert [clip.label.number for clip in index.clips] == [1, 4]
    assert set(left_out(index).values()) == {"link"} and len(index.left_out) == 3


def test_a_name_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "M003/front/happy/level_1/001.mp4")
    folder = os.fsencode(tmp_path / "M003/front/happy/level_1")
    with open(folder + b"/\xff.mp4", "wb") as file:  # noqa: PTH123
        file.write(b"x")
    assert [item.reason for item in index_mead(tmp_path).left_out] == ["name"]


def write_tar(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)


def test_videos_within_a_tar_file_are_found_where_they_lie(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "M003/video.tar",
        {"video/front/happy/level_1/001.mp4": b"one", "video/front/happy/level_1/readme": b""},
        links=("video/front/happy/level_1/002.mp4",),
    )
    write_tar(tmp_path / "M003/audio.tar", {"audio/happy/level_1/001.m4a": b"sound"})
    index = index_mead(tmp_path)
    (clip,) = index.clips
    data = (tmp_path / clip.path).read_bytes()
    assert data[clip.offset : clip.offset + clip.size] == b"one"
    assert left_out(index) == {
        "M003/audio.tar": "tar",
        "M003/video.tar!video/front/happy/level_1/002.mp4": "link",
    }


def test_a_tar_file_whose_clips_lie_unpacked_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "M003/video/front/happy/level_1/001.mp4")
    write_tar(tmp_path / "M003/video.tar", {"video/front/happy/level_1/002.mp4": b"two"})
    assert left_out(index_mead(tmp_path)) == {"M003/video.tar": "tar"}


def test_a_cut_tar_file_gives_what_is_whole_and_one_line(tmp_path: Path) -> None:
    path = tmp_path / "M003/video.tar"
    video = b"x" * 10_000
    write_tar(path, {f"video/front/happy/level_1/00{n}.mp4": video for n in (1, 2)})
    path.write_bytes(path.read_bytes()[:15_000])
    index = index_mead(tmp_path)
    assert ids(index) == ["M003/front/happy/level_1/001"]
    assert [item.reason for item in index.left_out] == ["unreadable", "empty"]
    assert all("\n" not in item.message for item in index.left_out)


def test_an_escaping_member_is_only_a_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "M003/video.tar", {"../../video/front/happy/level_1/001.mp4": b"one"})
    assert ids(index_mead(tmp_path)) == ["M003/front/happy/level_1/001"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["M003"]


def test_a_folder_without_clips_is_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "M003/readme.txt")
    with pytest.raises(DataError, match=r"no clip of MEAD \(kind 1\)"):
        index_mead(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        index_mead(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be read"):
        index_list(tmp_path / "absent.txt", tmp_path)


def test_an_index_is_narrowed_to_what_there_is(tmp_path: Path) -> None:
    touch(tmp_path, "M003/front/happy/level_1/001.mp4", "M005/top/sad/level_1/001.mp4")
    index = index_mead(tmp_path)
    assert ids(index.only(views=["top"])) == ["M005/top/sad/level_1/001"]
    assert ids(index.only(actors=["M003"], emotions=["happy"])) == ["M003/front/happy/level_1/001"]
    with pytest.raises(DataError, match="no clip of view down; there are front, top"):
        index.only(views=["down"])
