"""The second stage: the image projector learns from a MEAD-3D, all else stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from expclip_runs import Assets
from mead_tree import Painter, write_tree
from PIL import Image
from typer.testing import CliRunner

from expclip.cli import train as cli
from expclip.face.errors import DataError, ModelError
from expclip.mead3d.build import BuildPlan, build
from expclip.mead3d.executors import Processes
from expclip.mead3d.index import index_mead
from expclip.models import ExpCLIP, Recipe, train_images
from expclip.models.encoders import image_encoder
from expclip.models.expclip.images import read_mead3d

pytest_plugins = ["expclip_fixtures"]

RECIPE = Recipe(steps=20, batch=16, learning_rate=0.01, validate_every=5, faces="none", patience=0)


@pytest.fixture(scope="module")
def mead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mead")
    tree = write_tree(folder, actors=("M003", "M005", "W009"), frames=2)
    plan = BuildPlan(Painter(), frames=80)
    build(folder / "mead3d", index_mead(tree.root), plan, executor=Processes(0))
    return folder / "mead3d"


@pytest.fixture(scope="module")
def seeing(
    mead: Path, trained: Path, assets: Assets, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("seeing") / "expclip"
    train_images(out, trained, mead, RECIPE, encoder=str(assets.clip), cache=assets.cache)
    return out


def test_only_the_image_projector_learns(seeing: Path, trained: Path) -> None:
    before, after = (ExpCLIP.from_pretrained(folder).network for folder in (trained, seeing))
    assert after.image_projector is not None
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.state_dict()[name]), name
    new = after.state_dict().keys() - before.state_dict().keys()
    assert new and all(name.startswith("image_projector.") for name in new)
    log = [json.loads(line) for line in (seeing / "log.jsonl").read_text().splitlines()]
    assert log[-1]["validation"]["cross"] < log[0]["validation"]["cross"]
    assert log[-1]["validation"]["reconstruction"] == log[0]["validation"]["reconstruction"]


def test_a_picture_becomes_a_face(seeing: Path, mead: Path) -> None:
    model = ExpCLIP.from_pretrained(seeing)
    pictures = [Image.new("RGB", (40, 30), shade) for shade in ("red", "white", "black")]
    found = model.decode(model.encode_image(pictures))
    assert found.shape == (3, 52)
    alone = model.decode(model.encode_image(pictures[1:2]))
    assert np.allclose(found[1:2], alone, atol=1e-5)
    assert model.text_to_expression(["still here"]).shape == (1, 52)


def test_the_record_tells_both_stages(seeing: Path) -> None:
    record = json.loads((seeing / "training.json").read_text())
    assert record["data"].keys() == {"text", "image"}
    assert {"reconstruction_mse", "text_mse", "image_mse"} <= record["figures"].keys()
    card = (seeing / "README.md").read_text()
    assert "image → face, mean squared error" in card and "pictures: `MEAD-3D`" in card


def test_a_run_with_other_pictures_needs_another_folder(
    seeing: Path, trained: Path, mead: Path, assets: Assets
) -> None:
    options = {"encoder": str(assets.clip), "cache": assets.cache}
    before = (seeing / "model.safetensors").read_bytes()
    train_images(seeing, trained, mead, RECIPE, **options)
    assert (seeing / "model.safetensors").read_bytes() == before
    with pytest.raises(DataError, match="holds a run with"):
        train_images(seeing, trained, mead, Recipe(steps=3), **options)


def test_the_split_holds_out_an_actor(mead: Path, assets: Assets) -> None:
    encoder = image_encoder(str(assets.clip))
    found = read_mead3d(mead, encoder, assets.cache, validation=0.05, seed=0)
    rows = found.about["rows"]
    assert rows["train"] == len(found.train) > 0 and rows["test"] == len(found.test) > 0
    assert len(found.validation) > 0
    assert len(found.features) == sum(rows.values())
    assert found.train.faces.max() <= 1


def test_what_is_no_mead3d_is_told(tmp_path: Path, mead: Path, assets: Assets) -> None:
    encoder = image_encoder(str(assets.clip))

    def read(folder: Path) -> None:
        read_mead3d(folder, encoder, assets.cache, validation=0.05, seed=0)

    with pytest.raises(DataError, match="not a MEAD-3D"):
        read(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(mead, broken)
    path = next(broken.glob("data/train-*.parquet"))
    table = pq.read_table(path)
    for damaged, told in (
        (table.drop_columns(["weights"]), "no column weights"),
        (table.set_column(1, "image", [[None] * len(table)]), "no picture"),
    ):
        pq.write_table(damaged, path)
        with pytest.raises(DataError, match=told):
            read(broken)
    path.write_bytes(b"broken")
    with pytest.raises(DataError, match="not a sound Parquet file"):
        read(broken)


def test_an_encoder_without_eyes_is_refused(trained: Path, mead: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="only CLIPs encode images"):
        train_images(tmp_path / "out", trained, mead, RECIPE, encoder="minilm")


def test_the_command_trains_the_second_stage(
    trained: Path, mead: Path, assets: Assets, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = [
        *("expclip", "--images", mead, "--start", trained, "--image-encoder", assets.clip),
        *("--out", out, "--steps", 2, "--batch", 4, "--cache", assets.cache_folder),
    ]
    done = CliRunner().invoke(cli.app, list(map(str, arguments)))
    assert done.exception is None, done.exception
    assert "image_mse" in done.output
    assert ExpCLIP.from_pretrained(out).config.image_encoder == str(assets.clip)
