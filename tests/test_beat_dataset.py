import io
import pickle
import wave
from pathlib import Path

import numpy as np
import pytest
from beat_tree import Take, write_tree

from expclip.beat_loader import BeatDataset, BuildOptions, build
from expclip.face.errors import DataError

torch = pytest.importorskip("torch")
from torch.utils.data import ConcatDataset, DataLoader, Subset  # noqa: E402

TAKES = [
    Take("1_wayne_0_9_9", 20, 20),
    Take("2_scott_0_66_66", 10, 10),
    Take("2_scott_0_67_67", 4, 4),
    Take("5_stewart_0_65_65", 40, 40),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beat")
    build(write_tree(folder / "in", TAKES), folder / "out")
    return folder / "out"


def test_windows_lie_within_their_takes(built: Path) -> None:
    dataset = BeatDataset(built)  # 300, 150 and 60 frames: 4 + 2 + 0 windows
    assert len(dataset) == 6
    assert [dataset.describe(i)["take"] for i in range(6)] == ["1_wayne_0_9_9"] * 4 + [
        "2_scott_0_66_66"
    ] * 2
    assert dataset.describe(3)["start_s"] == pytest.approx(192 / 15)
    assert len(BeatDataset(built, stride=1)) == (300 - 63) + (150 - 63)
    assert len(BeatDataset(built, "test")) == 7  # 450 frames: the first 30 s
    assert len(BeatDataset(built, "val")) == 2
    assert len(BeatDataset(built, None)) == 15
    assert len(BeatDataset(built, length=60)) == 5 + 2 + 1


def test_a_window_is_a_stretch_of_the_stored_frames_and_their_speech(built: Path) -> None:
    frames, audio = np.load(built / "frames.npy"), np.load(built / "audio.npy")
    window = BeatDataset(built, audio=True)[5]
    start = 300 + 64
    np.testing.assert_array_equal(window["weights"], frames[start : start + 64])
    first = 20 * 16_000 + round(64 * 16_000 / 15)
    expected = audio[first : first + 68_266].astype(np.float32) / 32768
    np.testing.assert_array_equal(window["audio"], expected)
    assert (window["emotion"], window["speaker"], window["index"]) == (1, 2, 5)


def test_windows_are_chosen_by_speaker_and_emotion(built: Path) -> None:
    assert len(BeatDataset(built, speakers=[1])) == 4
    assert len(BeatDataset(built, None, emotions=["happiness"])) == 2 + 7 + 2
    with pytest.raises(ValueError, match="emotion 'joy', expected one of neutral"):
        BeatDataset(built, emotions=["joy"])
    with pytest.raises(ValueError, match="split is 'dev', expected one of train, val, test"):
        BeatDataset(built, "dev")
    with pytest.raises(ValueError, match="length and stride must be at least 1"):
        BeatDataset(built, stride=0)
    with pytest.raises(DataError, match="has no window of 64 frames in split 'val'"):
        BeatDataset(built, "val", speakers=[1])


def batches(loader: "DataLoader[object]") -> dict[str, "torch.Tensor"]:
    found = list(loader)
    return {name: torch.cat([batch[name] for batch in found]) for name in found[0]}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork beside threads
@pytest.mark.parametrize(("workers", "start"), [(0, None), (1, "fork"), (2, "fork"), (2, "spawn")])
def test_a_batch_holds_the_same_numbers_whatever_the_workers(
    built: Path, workers: int, start: str | None
) -> None:
    dataset = BeatDataset(built, None, stride=16, audio=True)
    expected = dataset.columns(np.arange(len(dataset)))
    loader = DataLoader(
        dataset,
        batch_size=7,
        num_workers=workers,
        multiprocessing_context=start,
    )
    found = batches(loader)
    assert set(found) == set(expected) == {"weights", "emotion", "speaker", "index", "audio"}
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), column)
    assert found["weights"].dtype == torch.float32
    assert found["weights"].shape[1:] == (64, 52)


def test_shuffling_gives_each_window_once(built: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    dataset = BeatDataset(built, None, stride=8)
    found = batches(DataLoader(dataset, batch_size=5, shuffle=True, generator=generator))
    assert sorted(found["index"].tolist()) == list(range(len(dataset)))
    for index, weights in zip(found["index"].tolist(), found["weights"], strict=True):
        assert torch.equal(dataset[index]["weights"], weights)


def test_subsets_and_chains_of_data_sets_work_as_with_any_other(built: Path) -> None:
    dataset = BeatDataset(built, None)
    part = batches(DataLoader(Subset(dataset, [3, 1]), batch_size=2))
    assert part["index"].tolist() == [3, 1]
    chain = ConcatDataset([dataset, BeatDataset(built, "val")])
    found = batches(DataLoader(chain, batch_size=17))
    assert found["weights"].shape == (17, 64, 52)
    own = next(iter(DataLoader(dataset, batch_size=3, collate_fn=list)))
    assert [int(window["index"]) for window in own] == [0, 1, 2]


def test_one_window_counts_from_either_end_and_no_farther(built: Path) -> None:
    dataset = BeatDataset(built)
    assert torch.equal(dataset[-1]["weights"], dataset[5]["weights"])
    for index in (6, -7):
        with pytest.raises(IndexError, match=f"window {index}, there are 6"):
            dataset[index]


def test_a_pickle_of_the_data_set_carries_no_frames(built: Path) -> None:
    dataset = BeatDataset(built, None, stride=4)
    text = pickle.dumps(dataset)
    assert len(text) < 64 * 52 * 4
    again = pickle.loads(text)
    assert torch.equal(again[2]["weights"], dataset[2]["weights"])


def test_the_hub_form_has_the_same_windows_and_speech_that_can_be_heard(
    built: Path, tmp_path: Path
) -> None:
    dataset = BeatDataset(built, None, audio=True)
    for hf in (dataset.to_hf(), dataset.to_hf(tmp_path / "windows.arrow")):
        assert len(hf) == 15
        weights = np.array(hf.with_format("numpy").select_columns(["weights"])[:]["weights"])
        columns = dataset.columns(np.arange(15))
        np.testing.assert_array_equal(weights, columns["weights"])
        emotions = hf.select_columns(["take", "emotion"])[:]
        happy = {hf.features["emotion"].int2str(code) for code in emotions["emotion"][4:]}
        assert happy == {"happiness"}
        assert hf.features["audio"].sampling_rate == 16_000
        heard = hf.data.column("audio")[3].as_py()["bytes"]
        with wave.open(io.BytesIO(heard)) as file:
            assert file.getframerate() == 16_000
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        np.testing.assert_array_equal(samples / np.float32(32768), columns["audio"][3])


def test_a_build_without_speech_has_none(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "in", TAKES[:1])
    build(root, tmp_path / "out", BuildOptions(audio=False))
    assert len(BeatDataset(tmp_path / "out")) == 4
    with pytest.raises(DataError, match="was built without speech"):
        BeatDataset(tmp_path / "out", audio=True)


def test_a_folder_that_is_no_build_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no manifest.json: not built"):
        BeatDataset(tmp_path)
    build(write_tree(tmp_path / "in", TAKES[:1]), tmp_path / "out")
    whole = (tmp_path / "out" / "frames.npy").read_bytes()
    np.save(tmp_path / "out" / "frames.npy", np.zeros((10, 52), np.float32))
    with pytest.raises(DataError, match="names frames that are not there"):
        BeatDataset(tmp_path / "out")
    for damaged in (whole[:100], b"", b"\x80\x04", whole[:5000]):
        (tmp_path / "out" / "frames.npy").write_bytes(damaged)
        with pytest.raises(DataError, match=r"frames.npy: (cannot be mapped|is not the array)"):
            BeatDataset(tmp_path / "out")
