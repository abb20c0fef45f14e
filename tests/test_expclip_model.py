"""`ExpCLIP` in use: the same answers whatever the batch, from disk, from the Hub; text2face."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from expclip_runs import Assets
from PIL import Image
from publishing import send
from servers.hub import HubServer
from tiny_models import make_clip
from typer import Typer
from typer.testing import CliRunner

from expclip.cli.text2face import text2face
from expclip.face import BLENDSHAPES, read_sequence
from expclip.face.errors import DataError, ModelError
from expclip.models import ExpCLIP
from expclip.models.expclip.data import read_tead
from expclip.models.expclip.network import ExpClipNetwork

pytest_plugins = ["expclip_fixtures"]

TEXTS = ["a smug grin", "on the verge of tears", "He sat down and said nothing at all."]


def faces(rows: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(rows, 52)).astype(np.float32)


# Answers


def test_a_text_becomes_weights(model: ExpCLIP) -> None:
    found = model.text_to_expression(TEXTS)
    assert found.shape == (3, 52) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    plain = model.text_to_expression(TEXTS, sharpness=0)
    assert np.array_equal(plain, model.decode(model.encode_text(TEXTS)))


def test_batch_composition_does_not_change_the_answer(model: ExpCLIP) -> None:
    together = model.encode_text(TEXTS)
    alone = np.concatenate([model.encode_text([text]) for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    some = faces(5)
    one_by_one = np.concatenate([model.encode_expression(row[None]) for row in some])
    assert np.allclose(model.encode_expression(some), one_by_one, atol=1e-5)


def test_more_than_a_chunk_goes_through(model: ExpCLIP) -> None:
    some = faces(1030)
    assert np.allclose(
        model.encode_expression(some)[-1], model.encode_expression(some[-1:])[0], atol=1e-5
    )


def test_nothing_gives_nothing(model: ExpCLIP) -> None:
    assert model.text_to_expression([]).shape == (0, 52)
    assert model.encode_expression(np.zeros((0, 52))).shape == (0, model.config.dim)


def test_a_way_between_two_texts_has_both_ends(model: ExpCLIP) -> None:
    first, last = model.encode_text(TEXTS[:2])
    for method in ("linear", "spherical"):
        way = model.interpolate(first, last, 5, method=method)
        assert way.shape == (5, model.config.dim) and way.dtype == np.float32
        assert np.allclose(way[[0, -1]], [first, last], atol=1e-5)
    assert np.allclose(model.interpolate(first, last, 3)[1], (first + last) / 2, atol=1e-6)


def test_a_spherical_way_turns_evenly(model: ExpCLIP) -> None:
    first, last = np.eye(model.config.dim, dtype=np.float32)[:2] * [[1], [3]]
    middle = model.interpolate(first, last, 3, method="spherical")[1]
    assert np.allclose(middle[:2], [np.sqrt(2), np.sqrt(2)], atol=1e-6)  # 45 degrees, length 2
    same = model.interpolate(first, first, 3, method="spherical")
    assert np.allclose(same, first)


def test_wrong_arguments_are_told(model: ExpCLIP) -> None:
    one = np.zeros(model.config.dim)
    for call, told in (
        (lambda: model.encode_text("one string"), "list of strings"),
        (
            lambda: model.encode_expression(np.zeros((2, 51))),
            r"shape \(2, 51\), expected \(n, 52\)",
        ),
        (lambda: model.encode_expression(np.full((1, 52), np.nan)), "finite"),
        (lambda: model.decode(np.zeros((1, 3))), r"expected \(n, 16\)"),
        (lambda: model.interpolate(one, one, 1), "at least 2"),
        (lambda: model.interpolate(one, one, 2, method="round"), "linear or spherical"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=told):
            call()
    with pytest.raises(ModelError, match="no image branch"):
        model.encode_image([Image.new("RGB", (8, 8))])


# On disk


def test_save_and_load_give_equal_outputs(model: ExpCLIP, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "copy")
    again = ExpCLIP.from_pretrained(tmp_path / "copy")
    assert np.array_equal(again.text_to_expression(TEXTS), model.text_to_expression(TEXTS))
    assert again.config == model.config and again.training == model.training
    assert (tmp_path / "copy" / "README.md").read_text().count("mean squared error") > 3


def test_a_checkpoint_has_no_pickle(trained: Path) -> None:
    suffixes = {path.suffix for path in trained.iterdir()}
    assert suffixes == {".json", ".jsonl", ".md", ".safetensors", ".svg"}


def test_an_untrained_model_can_be_saved(tmp_path: Path, model: ExpCLIP) -> None:
    ExpCLIP(ExpClipNetwork(model.config)).save_pretrained(tmp_path / "new")
    card = (tmp_path / "new" / "README.md").read_text()
    assert "Measured" not in card and "Trained on" not in card
    ExpCLIP.from_pretrained(tmp_path / "new")


def test_another_encoder_of_the_same_name_is_refused(
    trained: Path, assets: Assets, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    make_clip(tmp_path / "clip", seed=1)
    config = json.loads((folder / "config.json").read_text())
    config["text_encoder"] = str(tmp_path / "clip")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="was trained with"):
        ExpCLIP.from_pretrained(folder).encode_text(["x"])


# On the Hub


@pytest.fixture
def server(
    hub: Callable[..., HubServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> HubServer:
    """A Hub that the client talks to without being told so."""
    made = hub()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", made.endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        made.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setenv("HF_TOKEN", made.token)
    return made


def test_a_model_comes_back_from_the_hub(server: HubServer, model: ExpCLIP) -> None:
    address = model.push_to_hub("expclip/small")
    assert address == f"{server.endpoint}/expclip/small"
    again = ExpCLIP.from_pretrained("expclip/small")
    assert np.array_equal(again.text_to_expression(TEXTS), model.text_to_expression(TEXTS))
    assert server.stats()["unknown"] == {}


def test_failures_of_the_hub_are_one_line(
    server: HubServer, model: ExpCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="nobody/nothing: no folder here") as caught:
        ExpCLIP.from_pretrained("nobody/nothing")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="stranger/small: not uploaded: the Hub: the token may"):
        model.push_to_hub("stranger/small")
    with pytest.raises(ModelError, match="not uploaded"):
        model.push_to_hub("not a name")


def test_a_published_tead_is_read_like_its_folder(server: HubServer, assets: Assets) -> None:
    send(server, assets.tead)
    here, there = read_tead(assets.tead), read_tead("expclip/tead")
    assert there.about == here.about | {"repository": "expclip/tead"}
    assert there.strings == here.strings and there.texts == here.texts
    assert np.array_equal(there.train.faces, here.train.faces)
    with pytest.raises(ModelError, match="no such data set on the Hub: it knows none"):
        read_tead("expclip/nothing")


# text2face


def run(*arguments: object) -> str:
    app = Typer()
    app.command()(text2face)
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if done.exception:
        raise done.exception
    return done.output


def test_text2face_draws_a_sheet_and_tells_the_strongest_weights(
    trained: Path, tmp_path: Path
) -> None:
    told = run(*TEXTS, "--model", trained, "--out", tmp_path / "faces.png", "--size", 64)
    with Image.open(tmp_path / "faces.png") as picture:
        assert picture.size[0] == 3 * 64
    assert "a smug grin: " in told and f"wrote {tmp_path / 'faces.png'}" in told
    run(*TEXTS, "--model", trained, "--out", tmp_path / "faces.svg", "--columns", 1)
    assert (tmp_path / "faces.svg").read_text().count("on the verge of tears") == 1


def test_weights_are_written_as_their_file_says(
    trained: Path, tmp_path: Path, model: ExpCLIP
) -> None:
    expected = model.text_to_expression(TEXTS)
    for name in ("faces.json", "faces.csv", "faces.livelink.csv"):
        path = tmp_path / name
        run(*TEXTS, "--model", trained, "--out", tmp_path / "f.svg", "--weights", path)
    rows = json.loads((tmp_path / "faces.json").read_text())
    assert [row["text"] for row in rows] == TEXTS
    assert np.allclose([list(row["weights"].values()) for row in rows], expected, atol=1e-6)
    with (tmp_path / "faces.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["text", *BLENDSHAPES] and table[2][0] == TEXTS[1]
    assert np.allclose(np.array(table[1:])[:, 1:].astype(float), expected, atol=1e-6)
    recording = read_sequence(tmp_path / "faces.livelink.csv")
    assert np.allclose(recording.weights, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["x"], "expclip train expclip --preset small --data out/tead --out out/expclip"),
        (["x", "--out", "faces.gif"], "suffix '.gif', expected one of .png, .svg"),
        (["x", "--weights", "w.xlsx"], "suffix '.xlsx', expected .json or .csv"),
        ([" "], "a text is empty"),
    ],
)
def test_a_mistake_of_the_user_is_one_line(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((DataError, ValueError), match=told):
        run(*arguments)


# Damage


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", "{", "config.json: not JSON"),
        ("config.json", "[]", "holds a list, expected an object"),
        ("config.json", '{"model": "Animator"}', "not the config of ExpCLIP"),
        ("model.safetensors", "broken", "not a safetensors file"),
        ("training.json", "nonsense", "training.json: not JSON"),
    ],
)
def test_a_damaged_checkpoint_is_told_in_one_line(
    trained: Path, tmp_path: Path, name: str, content: str, told: str
) -> None:
    shutil.copytree(trained, tmp_path / "model")
    (tmp_path / "model" / name).write_text(content)
    with pytest.raises(DataError, match=told) as caught:
        ExpCLIP.from_pretrained(tmp_path / "model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("colour", "red", "unknown field 'colour'"),
        ("dim", 32, "does not fit config.json"),
        ("dim", -1, "dim must be"),
        ("dim", "wide", "dim must be"),
        ("layers", 100, "does not fit config.json: .* is not there, expected"),
        ("width", 65536, "does not fit config.json"),
        ("dropout", "much", "config.json"),
    ],
)
def test_a_config_at_odds_with_the_weights_costs_no_memory(
    trained: Path, tmp_path: Path, field: str, value: object, told: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(DataError, match=told):
        ExpCLIP.from_pretrained(folder)


def test_a_folder_without_a_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no checkpoint: config\.json is not there"):
        ExpCLIP.from_pretrained(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        ExpCLIP.from_pretrained(tmp_path / "nowhere")


def test_the_model_leaves_its_network_frozen(model: ExpCLIP) -> None:
    assert not model.network.training
    assert not any(value.requires_grad for value in model.network.parameters())
    assert replace(model.config) == model.config
    assert model.name == "expclip" and torch.is_tensor(model.network.summary)


def test_without_torch_the_extra_is_named() -> None:
    code = "import sys; sys.modules['torch'] = None; import expclip.models"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "torch is not installed: pip install 'expclip[models]'" in done.stderr
