"""Training of ExpCLIP: the same run, killed or not, gives the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from expclip_runs import Assets, tiny_preset, train
from typer.testing import CliRunner

from expclip.cli import train as cli
from expclip.face.errors import DataError, ModelError
from expclip.models import ExpCLIP, train_expclip
from expclip.models.curves import draw_curves
from expclip.models.encoders import text_encoder
from expclip.models.expclip.data import read_tead
from expclip.models.expclip.recipe import PRESETS, Recipe, recipe_from

pytest_plugins = ["expclip_fixtures"]


def lines(folder: Path) -> list[dict[str, object]]:
    read = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


# What a run leaves


def test_a_run_lowers_the_loss_and_writes_all_of_a_checkpoint(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        *("config.json", "model.safetensors", "training.json", "README.md"),
        *("log.jsonl", "curves.svg"),
    }
    log = lines(trained)
    assert [line["step"] for line in log] == [20, 40, 60]
    assert log[-1]["validation"]["total"] < log[0]["validation"]["total"]
    assert log[-1]["train"]["total"] < log[0]["train"]["total"]
    assert "<polyline" in (trained / "curves.svg").read_text()


def test_the_card_tells_data_recipe_and_measured_figures_alone(
    trained: Path, assets: Assets
) -> None:
    card = (trained / "README.md").read_text()
    record = json.loads((trained / "training.json").read_text())
    manifest = json.loads((assets.tead / "manifest.json").read_text())
    assert manifest["content_sha256"] in card and manifest["config"] in card
    told = record["figures"]
    row = f"{told['reconstruction_mse']:.4f} | {told['natural_reconstruction_mse']:.4f}"
    assert f"| face → face, mean squared error | {row} |" in card
    assert "image → face" not in card
    weight = record["recipe"]["losses"]["embedding"]
    assert f"| losses.embedding | `{weight}` |" in card
    assert str(assets.tead) not in card + (trained / "training.json").read_text()


def test_figures_are_those_of_the_test_split(trained: Path, assets: Assets, model: ExpCLIP) -> None:
    data = read_tead(assets.tead)
    decoded = model.decode(model.encode_expression(data.test.faces))
    told = json.loads((trained / "training.json").read_text())["figures"]
    error = np.square(decoded - data.test.faces).mean()
    assert told["reconstruction_mse"] == pytest.approx(error, rel=1e-4)
    texts = [data.strings[item] for item in data.test.prompts["text"].items[:, 0]]
    error = np.square(model.text_to_expression(texts, sharpness=0) - data.test.faces).mean()
    assert told["text_mse"] == pytest.approx(error, rel=2e-2)  # features are kept as float16


def test_the_frozen_encoder_stays_bit_for_bit(trained: Path, assets: Assets) -> None:
    config = json.loads((trained / "config.json").read_text())
    assert text_encoder(str(assets.clip)).sha256 == config["text_sha256"]


# The same run again


def test_a_run_gives_the_same_bytes_again(trained: Path, assets: Assets, tmp_path: Path) -> None:
    train(tmp_path / "again", assets)
    assert weights(tmp_path / "again") == weights(trained)
    assert lines(tmp_path / "again") == lines(trained)


def test_a_stopped_run_goes_on_to_the_same_bytes(
    trained: Path, assets: Assets, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"

    def stop(what: str, done: int, total: int, figures: object) -> None:
        if what == "training" and done >= 40 and not (out / "stopped").exists():
            (out / "stopped").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(out, assets, progress=stop)
    assert not (out / "model.safetensors").exists()
    with (out / "log.jsonl").open("a") as file:  # what a kill between log and state leaves
        file.write('{"step": 60, "train": {}}\n{"step": 6')
    train(out, assets, progress=stop)
    assert weights(out) == weights(trained)
    assert lines(out) == lines(trained)


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from expclip_runs import tiny_preset
from expclip.models import FeatureCache, train_expclip
out, tead, clip, cache = map(Path, sys.argv[2:])
train_expclip(out, tead, tiny_preset(clip), cache=FeatureCache(cache))
"""


def test_a_killed_run_goes_on_to_the_same_bytes(
    trained: Path, assets: Assets, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    places = (out, assets.tead, assets.clip, assets.cache_folder)
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), *map(str, places)]
    process = subprocess.Popen(command)
    state, end = out / ".expclip" / "state.safetensors", time.monotonic() + 120
    while not state.exists() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(out, assets)
    assert weights(out) == weights(trained)
    assert not (out / ".expclip").exists()


def test_a_finished_run_is_left_as_it_is(trained: Path, assets: Assets) -> None:
    before = (trained / "model.safetensors").stat().st_mtime_ns
    record = train(trained, assets)
    assert (trained / "model.safetensors").stat().st_mtime_ns == before
    assert record == json.loads((trained / "training.json").read_text())


def test_another_recipe_needs_another_folder(assets: Assets, tmp_path: Path) -> None:
    train(tmp_path / "out", assets, "steps=1")
    with pytest.raises(DataError, match="holds a run with steps 1, now it is 2"):
        train(tmp_path / "out", assets, "steps=2")
    record = train(tmp_path / "out", assets, "steps=2", overwrite=True)
    assert record["steps"] == 2
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("x")
    with pytest.raises(DataError, match="not empty, and no run of expclip"):
        train(tmp_path / "letters", assets)


def test_a_second_run_at_the_same_time_is_refused_and_removes_nothing(
    assets: Assets, tmp_path: Path
) -> None:
    fcntl = pytest.importorskip("fcntl")
    work = tmp_path / "run" / ".expclip"
    work.mkdir(parents=True)
    for name, content in (("plan.json", '{"steps": 3}'), ("state.safetensors", "the other's")):
        (work / name).write_text(content)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="run: in use by another run"):
            train(tmp_path / "run", assets, overwrite=True)
    assert (work / "state.safetensors").read_text() == "the other's"
    assert train(tmp_path / "run", assets, "steps=1", overwrite=True)["steps"] == 1
    assert not work.exists()


def test_a_broken_state_is_told_in_one_line(assets: Assets, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(what: str, done: int, total: int, figures: object) -> None:
        if done == 20 and what == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(out, assets, progress=stop)
    (out / ".expclip" / "state.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"state.safetensors: cannot be read .*: remove"):
        train(out, assets)


# Ends


def test_it_ends_early_when_nothing_gets_better(assets: Assets, tmp_path: Path) -> None:
    settings = ("learning_rate=0", "patience=2", "validate_every=1", "faces=none")
    record = train(tmp_path / "out", assets, *settings)
    assert (record["steps"], record["best_step"]) == (3, 1)


def test_a_loss_that_is_no_longer_finite_ends_the_run(assets: Assets, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no longer finite: lower learning_rate"):
        train(tmp_path / "out", assets, "learning_rate=1e30", "clip=0", "warmup=0")


def test_contrast_and_direction_are_options(assets: Assets, tmp_path: Path) -> None:
    settings = ("losses.contrastive=0.5", "losses.direction=1", "faces=paper", "steps=4")
    train(tmp_path / "out", assets, *settings, "natural=none")
    (line,) = lines(tmp_path / "out")
    assert line["train"]["contrastive"] > 0 and line["train"]["direction"] > 0


# Recipes


def test_settings_change_fields_by_name() -> None:
    preset = PRESETS["small"].with_settings(
        ["steps=7", "losses.cross=2.5", "model.dim=64", "natural=none", "augmented=false"]
    )
    assert (preset.recipe.steps, preset.recipe.losses.cross, preset.model.dim) == (7, 2.5, 64)
    assert preset.recipe.natural is None and preset.recipe.augmented is False


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("steps", "expected NAME=VALUE"),
        ("stepz=3", "no such field, expected one of steps, batch"),
        ("losses=3", "no such field"),
        ("losses.crass=3", "no such field, expected one of reconstruction"),
        ("model.size.x=3", "no such field"),
        ("steps=many", "'many' is not of its kind"),
        ("augmented=perhaps", "is not of its kind"),
        ("faces=huge", "faces must be one of none, paper, wide"),
        ("schedule=up", "schedule must be one of"),
        ("natural=2", "natural must lie in"),
        ("validation=0", "validation must lie"),
        ("learning_rate=nan", "learning_rate must be 0 or more"),
    ],
)
def test_a_wrong_setting_is_told(setting: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PRESETS["small"].with_settings([setting])


def test_the_learning_rate_warms_up_and_falls() -> None:
    recipe = Recipe(steps=110, learning_rate=1.0, warmup=10, schedule="cosine")
    assert recipe.rate_at(0) == pytest.approx(0.1) and recipe.rate_at(9) == 1
    assert recipe.rate_at(60) == pytest.approx(0.5)
    assert recipe.rate_at(109) < 0.001
    assert Recipe().rate_at(0) == Recipe().rate_at(19_999) == 1e-5


def test_a_recipe_comes_back_from_a_record(trained: Path, assets: Assets) -> None:
    record = json.loads((trained / "training.json").read_text())
    assert recipe_from(record["recipe"], "x") == tiny_preset(assets.clip).recipe
    with pytest.raises(DataError, match="x: not a recipe"):
        recipe_from({"losses": {}, "colour": 3}, "x")


def test_curves_of_an_empty_log_are_a_picture() -> None:
    assert draw_curves([], 0).startswith("<svg")


# The command


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli.app, ["expclip", *map(str, arguments)])
    if done.exception:
        raise done.exception
    return done.output


def test_the_command_trains_on_500_rows(assets: Assets, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = run(
        *("--preset", "small", "--data", assets.tead, "--out", out, "--steps", 60),
        *("--text-encoder", assets.clip, "--batch", 16, "--cache", assets.cache_folder),
        *("--set", "model.width=16", "--set", "model.heads=2"),
    )
    assert "60 steps" in told and "reconstruction_mse" in told
    assert f"wrote {out / 'model.safetensors'}" in told
    assert f'next: expclip text2face "a smug grin" --out faces.png --model {out}' in told
    assert ExpCLIP.from_pretrained(out).config.width == 16


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--preset", "huge"], "--preset huge, expected one of paper, small"),
        (["--images", "x"], "need each other"),
        (["--image-encoder", "x"], "is for --images"),
        (["--set", "stepz=1"], "no such field"),
        (["--data", "./nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_mistake_of_the_user_is_one_line(arguments: list[str], told: str) -> None:
    with pytest.raises((ValueError, DataError), match=told):
        run(*arguments)


def test_the_default_data_set_is_built_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_build_tead", built.append)
    with pytest.raises((DataError, ModelError)):
        run("--steps", 1)
    assert built == [Path("out/tead")]


def test_training_needs_no_network(assets: Assets, tmp_path: Path) -> None:
    record = train_expclip(
        tmp_path / "out", str(assets.tead), tiny_preset(assets.clip, "steps=1"), cache=assets.cache
    )
    assert record["data"]["text"]["rows"]["train"] > 400
