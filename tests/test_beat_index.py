from pathlib import Path

import pytest
from beat_tree import LAYOUTS, Take, face_text, speech, weights_of, write_audio, write_tree

from expclip.beat_loader import SELECTIONS, BeatIndex, summarise
from expclip.face.errors import DataError

SHORT = [Take("1_wayne_0_9_9", 2, 2), Take("13_lu_2_9_9", 2, 2), Take("5_stewart_0_65_65_a", 2, 2)]


def names(index: BeatIndex) -> list[str]:
    return [str(take.name) for take in index.takes]


def reasons(index: BeatIndex) -> dict[str, str]:
    return {item.file.relative_to(index.folder).as_posix(): item.reason for item in index.left_out}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_takes(layout: str, tmp_path: Path) -> None:
    index = BeatIndex.scan(write_tree(tmp_path, SHORT, layout))
    assert names(index) == ["1_wayne_0_9_9", "5_stewart_0_65_65_a", "13_lu_2_9_9"]
    assert index.left_out == ()
    streams = {"face", "audio", "words", "emotion", "gestures", "motion"}
    assert all(take.files.keys() == streams for take in index.takes)


def test_files_that_are_no_takes_are_left_out_each_with_its_reason(tmp_path: Path) -> None:
    write_tree(tmp_path, SHORT[:1], "by speaker")
    for name in ("README.md", "json_mean.npy", "1/1_wayne_0_9_9.npy", "1/1_wayne_0_9_9.mp4"):
        (tmp_path / name).write_text("x")
    (tmp_path / "1/._1_wayne_0_9_9.json").write_text("x")
    (tmp_path / "1/1_wayne_0_200_200.json").write_text("x")
    (tmp_path / "1/1_wayne_0_10_10.json").write_text("x")
    (tmp_path / "1/1_wayne_0_11_11.wav").write_text("x")
    (tmp_path / "1/2_scott_0_103_103_28s.wav").write_text("x")
    index = BeatIndex.scan(tmp_path)
    assert names(index) == ["1_wayne_0_9_9"]
    assert reasons(index) == {
        "README.md": "is not named <speaker>_<name>_<type>_<first>_<last>",
        "json_mean.npy": "is not named <speaker>_<name>_<type>_<first>_<last>",
        "1/1_wayne_0_9_9.npy": "is no stream of a take: .npy",
        "1/1_wayne_0_9_9.mp4": "is no stream of a take: .mp4",
        "1/._1_wayne_0_9_9.json": "is hidden",
        "1/1_wayne_0_200_200.json": "covers speech 200 to 200, expected numbers from 1 to 118",
        "1/1_wayne_0_10_10.json": "its take has no audio",
        "1/1_wayne_0_11_11.wav": "its take has no face",
        "1/2_scott_0_103_103_28s.wav": "is not named <speaker>_<name>_<type>_<first>_<last>",
    }
    assert names(BeatIndex.scan(tmp_path, need=("face",))) == ["1_wayne_0_9_9", "1_wayne_0_10_10"]


def test_a_second_copy_is_left_out_and_told_apart_from_another_file(tmp_path: Path) -> None:
    write_tree(tmp_path, SHORT[:1], "by speaker")
    (tmp_path / "z").mkdir()
    same = (tmp_path / "1/1_wayne_0_9_9.json").read_bytes()
    (tmp_path / "z/1_wayne_0_9_9.json").write_bytes(same)
    (tmp_path / "z/1_wayne_0_9_9.wav").write_bytes(b"other")
    used = "1/1_wayne_0_9_9"
    assert reasons(BeatIndex.scan(tmp_path)) == {
        "z/1_wayne_0_9_9.json": f"is a second face of the take: {used}.json is used",
        "z/1_wayne_0_9_9.wav": f"is a second audio of the take and differs: {used}.wav is used",
    }


def test_a_recording_that_is_there_twice_is_used_once(tmp_path: Path) -> None:
    takes = [Take(name, 2, 2) for name in ("5_stewart_0_65_65", "5_stewart_0_65_65_a")]
    takes += [Take(name, 2, 2) for name in ("1_wayne_0_1_8", "1_wayne_0_3_3", "1_wayne_0_9_16")]
    index = BeatIndex.scan(write_tree(tmp_path, takes, "flat"))
    assert names(index) == ["1_wayne_0_3_3", "1_wayne_0_9_16", "5_stewart_0_65_65"]
    told = reasons(index)
    assert told["5_stewart_0_65_65_a.wav"] == "is half of 5_stewart_0_65_65, which is here whole"
    assert told["1_wayne_0_1_8.json"] == "covers 1_wayne_0_3_3, which is here too"


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    write_tree(tmp_path / "elsewhere", SHORT[:1], "by speaker")
    root = tmp_path / "beat"
    root.mkdir()
    (root / "1").symlink_to(tmp_path / "elsewhere" / "1")
    (root / "1_wayne_0_9_9.json").symlink_to(tmp_path / "elsewhere/1/1_wayne_0_9_9.json")
    (root / "dangling.json").symlink_to(root / "nothing")
    (root / "loop").symlink_to(root)
    index = BeatIndex.scan(root)
    assert index.takes == ()
    assert reasons(index) == {
        "1": "is a link out of the folder",
        "1_wayne_0_9_9.json": "is a link out of the folder",
        "dangling.json": "is no regular file",
        "loop": "is a link to a folder",
    }
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert names(BeatIndex.scan(link)) == ["1_wayne_0_9_9"]


def test_a_selection_leaves_out_with_a_reason(tmp_path: Path) -> None:
    index = BeatIndex.scan(write_tree(tmp_path, SHORT, "flat"), SELECTIONS["paper-35h"])
    assert names(index) == ["1_wayne_0_9_9"]
    told = reasons(index)
    assert told["13_lu_2_9_9.json"] == "not selected: chinese"
    assert told["5_stewart_0_65_65_a.bvh"] == "not selected: speaker 5"


def test_suffixes_in_capitals_are_known(tmp_path: Path) -> None:
    (tmp_path / "1_wayne_0_9_9.JSON").write_text("x")
    (tmp_path / "1_wayne_0_9_9.WAV").write_text("x")
    assert names(BeatIndex.scan(tmp_path)) == ["1_wayne_0_9_9"]


def test_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: is no folder"):
        BeatIndex.scan(tmp_path / "nowhere")


def test_a_summary_has_hours_of_the_overlap_by_speaker_language_emotion_and_split(
    tmp_path: Path,
) -> None:
    takes = [
        Take("1_wayne_0_9_9", face_s=6, audio_s=9),
        Take("5_stewart_0_65_65", face_s=36, audio_s=36, subtype="FLOAT"),
        Take("13_lu_2_9_9", face_s=3, audio_s=2.9),
        Take("5_stewart_0_17_17", face_s=3, audio_s=3),
    ]
    summary = summarise(BeatIndex.scan(write_tree(tmp_path, takes)))

    def seconds(what: str) -> dict[str, float]:
        return {key: round(value * 3600, 3) for key, value in summary.hours(what).items()}

    assert seconds("speaker") == {"1 wayne": 6, "5 stewart": 39, "13 lu": 2.9}
    assert seconds("language") == {"english": 45, "chinese": 2.9}
    assert seconds("emotion") == {"neutral": 11.9, "happiness": 36}
    assert seconds("split") == {"train": 8.9, "val": 6, "test": 30, "no split": 3}
    assert [str(take.name) for take in summary.drifting] == ["1_wayne_0_9_9"]
    assert summary.overlaps[next(iter(summary.drifting))].drift_s == pytest.approx(3)


def test_broken_takes_are_counted_and_the_others_go_on(tmp_path: Path) -> None:
    write_tree(tmp_path, SHORT, "flat")
    (tmp_path / "1_wayne_0_9_9.json").write_text('{"names": [')
    (tmp_path / "13_lu_2_9_9.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
    summary = summarise(BeatIndex.scan(tmp_path))
    assert [str(take.name) for take in summary.overlaps] == ["5_stewart_0_65_65_a"]
    told = {item.file.name: item.reason for item in summary.left_out}
    assert told["1_wayne_0_9_9.json"].startswith("is not JSON")
    assert told["1_wayne_0_9_9.wav"].startswith(
        "its take is left out: 1_wayne_0_9_9.json is not JSON"
    )
    assert told["13_lu_2_9_9.wav"] == "is a wav without sound"
    assert len(told) == 12


def test_lengths_come_from_the_ends_of_a_file_or_from_all_of_it(tmp_path: Path) -> None:
    take = Take("1_wayne_0_9_9", 5, 5)
    for text in (face_text(weights_of(take)), face_text(weights_of(take), indent=2)):
        (tmp_path / "1_wayne_0_9_9.json").write_text(text)
        write_audio(tmp_path / "1_wayne_0_9_9.wav", speech(5))
        (overlap,) = summarise(BeatIndex.scan(tmp_path)).overlaps.values()
        assert overlap.seconds == pytest.approx(5, abs=1e-6)
