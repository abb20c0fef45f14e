"""Frames of clips: pictures, and videos where a decoder is installed."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from expclip.face import render_png
from expclip.face.errors import DataError, MissingExtra
from expclip.mead3d import video
from expclip.mead3d.index import index_mead
from expclip.mead3d.video import count_frames, find_decoder, read_pictures

REAL = Path(__file__).parents[2] / "shared" / "data" / "faces" / "WolfgangLanger_Pexels.mp4"
PLACE = "M003/video/front/happy/level_1"
ENDS = "the video ends before this frame"

needs_video = pytest.mark.skipif(not REAL.exists(), reason="no shared data")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / PLACE / "001"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.png").write_bytes(render_png(np.full(52, number / 3), size=32))
    return folder


def test_pictures_are_read_as_rgb_by_number(pictures: Path, tmp_path: Path) -> None:
    (clip,) = index_mead(tmp_path).clips
    found = read_pictures(tmp_path, clip, [0, 2, 7])
    with Image.open(pictures / "2.png") as image:
        assert np.array_equal(found[2], np.asarray(image.convert("RGB")))
    assert found[7] == "there are 3 pictures"


def test_a_broken_picture_is_one_line_and_the_others_are_read(
    pictures: Path, tmp_path: Path
) -> None:
    (pictures / "0.png").write_bytes(b"no picture")
    whole = (pictures / "1.png").read_bytes()
    (pictures / "1.png").write_bytes(whole[: len(whole) // 2])
    (clip,) = index_mead(tmp_path).clips
    found = read_pictures(tmp_path, clip, [0, 1, 2])
    assert found[0] == "0.png: no picture that can be read"
    assert isinstance(found[1], str) and found[1].startswith("1.png: ")
    assert isinstance(found[2], np.ndarray)


def test_a_picture_that_claims_to_be_huge_is_refused(pictures: Path, tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(pictures / "0.png")
    (clip,) = index_mead(tmp_path).clips
    assert "0.png" in str(read_pictures(tmp_path, clip, [0])[0])


def test_a_picture_that_becomes_a_link_outwards_is_refused(pictures: Path, tmp_path: Path) -> None:
    root = tmp_path / "M003"
    (clip,) = index_mead(root).clips
    shutil.move(pictures / "0.png", tmp_path / "outside.png")
    (pictures / "0.png").symlink_to(tmp_path / "outside.png")
    assert read_pictures(root, clip, [0])[0] == "0.png: leads out of the folder"


def test_without_a_decoder_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / PLACE).mkdir(parents=True)
    (tmp_path / PLACE / "001.mp4").write_bytes(b"x")
    monkeypatch.setattr(video, "_DECODERS", ())
    with pytest.raises(MissingExtra, match=r"pip install 'expclip\[mead3d\]'"):
        count_frames(index_mead(tmp_path))


def test_pictures_need_no_decoder(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_DECODERS", ())
    assert count_frames(index_mead(tmp_path)).clips[0].frames == 3


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A real video, half of it, garbage, and the same video within a tar file."""
    root = tmp_path / "MEAD"
    (root / PLACE).mkdir(parents=True)
    shutil.copy(REAL, root / PLACE / "001.mp4")
    (root / PLACE / "002.mp4").write_bytes(b"garbage" * 100)
    (root / PLACE / "003.mp4").write_bytes(REAL.read_bytes()[:800_000])
    (root / "W009").mkdir()
    with tarfile.open(root / "W009" / "video.tar", "w") as archive:
        archive.add(REAL, "video/left_30/sad/level_2/007.mp4")
    return root


@needs_video
def test_videos_are_counted_and_read_frame_by_frame(videos: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    cache = tmp_path / "work" / "counts.json"
    index = count_frames(index_mead(videos), cache=cache)
    assert {clip.id: (clip.frames, clip.fps) for clip in index.clips} == {
        "M003/front/happy/level_1/001": (472, 23.976),
        "M003/front/happy/level_1/003": (472, 23.976),  # what its header says
        "W009/left_30/sad/level_2/007": (472, 23.976),
    }
    (item,) = index.left_out
    assert (item.path, item.reason) == (f"{PLACE}/002.mp4", "unreadable")
    assert str(videos) not in item.message
    assert count_frames(index_mead(videos), cache=cache).clips == index.clips

    with av.open(str(REAL)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    whole, half, packed = index.clips
    wanted = [0, 1, 100, 101, 300, 471, 472]
    for clip in (whole, packed):
        found = read_pictures(videos, clip, wanted)
        assert all(np.array_equal(found[number], frames[number]) for number in wanted[:-1])
        assert found[472] == ENDS
    found = read_pictures(videos, half, [100, 471])
    assert np.array_equal(found[100], frames[100]) and found[471] == ENDS


@needs_video
def test_opencv_reads_the_same_pictures(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    av = pytest.importorskip("av")
    monkeypatch.setattr(video, "_DECODERS", video._DECODERS[1:])
    assert find_decoder().startswith("opencv")
    index = count_frames(index_mead(videos))
    clip = index.clips[0]
    assert (clip.frames, clip.fps) == (472, 23.976)
    assert "unpack it" in {item.path: item.message for item in index.left_out}["W009/video.tar"]
    with av.open(str(REAL)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    found = read_pictures(videos, clip, [0, 100, 472])
    assert all(np.abs(found[n].astype(int) - frames[n]).mean() < 2 for n in (0, 100))
    assert found[472] == ENDS


@needs_video
def test_only_unreadable_videos_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / PLACE).mkdir(parents=True)
    (tmp_path / PLACE / "001.mp4").write_bytes(b"garbage" * 100)
    with pytest.raises(DataError, match="no clip can be read"):
        count_frames(index_mead(tmp_path))
