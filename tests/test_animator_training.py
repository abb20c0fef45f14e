"""Training of the speaking face: what resumes, what stays frozen, what is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from torch import Tensor
from typer.testing import CliRunner

from expclip.cli.train_animator import animator
from expclip.face import BLENDSHAPE_INDEX
from expclip.face.errors import DataError, ModelError
from expclip.models.animator.losses import LIPS
from expclip.models.animator.measure import UPPER, measure_control, measure_speech
from expclip.models.animator.network import AnimatorConfig, AnimatorNetwork
from expclip.models.animator.recipe import ANIMATOR_PRESETS, AnimatorPreset, AnimatorRecipe
from expclip.models.animator.sampling import AnimatorSampler, Windows
from expclip.models.animator.train import KIND, Expressions, read_expressions, train_animator
from expclip.models.checkpoint import build_network, read_checkpoint, write_checkpoint
from expclip.models.expclip.network import ExpClipConfig, ExpClipNetwork
from expclip.models.speech import SpeechPairs

torch.set_num_threads(1)  # networks this small only wait for one another

SPACE = ExpClipConfig(
    dim=8, width=8, layers=1, heads=2, feedforward=16, tokens="vector", projector_width=0,
    text_features=4, image_encoder=None,
)  # fmt: skip
SIZES = (
    *("width=8", "heads=2", "feedforward=16", "layers=1", "radius=2", "style_tokens=1"),
    *("hidden=8", "pool_width=8", "dropout=0.1"),  # so that a resumed run must get chances right
)


def tiny_preset(*settings: str) -> AnimatorPreset:
    few = ["steps=24", "batch=4", "validate_every=6", "frames=8", "warmup=2", "learning_rate=0.01"]
    sizes = [f"model.{size}" for size in SIZES]
    return ANIMATOR_PRESETS["small"].with_settings([*sizes, *few, *settings])


def tiny_pairs(lengths: tuple[int, ...] = (20, 5, 12, 16), seed: int = 0) -> SpeechPairs:
    """Return clips whose mouth opens with the first feature; the first two are to learn from."""
    rng, frames = np.random.default_rng(seed), sum(lengths)
    features = rng.normal(size=(frames, 6)).astype(np.float16)
    weights = rng.uniform(0, 0.1, (frames, 52)).astype(np.float32)
    weights[:, BLENDSHAPE_INDEX["jawOpen"]] = (features[:, 0] > 0) * 0.8
    splits = ("train", "train", "validation", "test")
    return SpeechPairs(
        names=("a", "b", "c", "d"),
        actors=("a", "b", "c", "d"),
        emotions=("", "", "", ""),
        splits=splits,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        features=features,
        weights=weights,
        fps=15.0,
        about={"source": "tiny", "speech_encoder": {"name": "log-mel", "sha256": ""}},
    )


FACES = np.random.default_rng(1).uniform(size=(9, 52)).astype(np.float32)
EXPRESSIONS = Expressions(FACES, {"corpora": ["tiny"], "content_sha256": "0"})


@pytest.fixture(scope="module")
def expclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an ExpCLIP; not to be changed."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("space") / "expclip"
    return write_checkpoint(folder, "ExpCLIP", ExpClipNetwork(SPACE), {}, "card")


def train(out: Path, expclip: Path, *settings: str, **options: Any) -> dict[str, Any]:
    options = {"expressions": EXPRESSIONS, **options}
    return train_animator(out, tiny_pairs(), tiny_preset(*settings), expclip=expclip, **options)


@pytest.fixture(scope="module")
def trained(expclip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; not to be changed."""
    out = tmp_path_factory.mktemp("trained") / "animator"
    train(out, expclip)
    return out


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def lines(folder: Path) -> list[dict[str, object]]:
    read = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read]


# What a run leaves


def test_a_run_writes_all_of_a_checkpoint(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        *("config.json", "model.safetensors", "training.json", "README.md"),
        *("log.jsonl", "curves.svg"),
    }
    assert [line["step"] for line in lines(trained)] == [6, 12, 18, 24]
    record = json.loads((trained / "training.json").read_text())
    assert record["data"]["speech"]["source"] == "tiny"
    assert record["figures"]["lip_rmse_mean_face"] > 0
    card = (trained / "README.md").read_text()
    assert f"{record['figures']['lip_rmse_nearest']:.4f}" in card
    assert "| losses.lip | `1.0` |" in card


def test_the_expclip_inside_stays_bit_for_bit(trained: Path, expclip: Path) -> None:
    before = read_checkpoint(expclip, "ExpCLIP", ExpClipConfig).state
    checkpoint = read_checkpoint(trained, KIND, AnimatorConfig)
    after = {
        name.removeprefix("space."): value
        for name, value in checkpoint.state.items()
        if name.startswith("space.")
    }
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert checkpoint.config.space == SPACE


def test_the_resting_face_is_the_mean_of_the_training_frames(trained: Path) -> None:
    checkpoint = read_checkpoint(trained, KIND, AnimatorConfig)
    wanted = tiny_pairs().of_split("train").weights.mean(axis=0)
    assert np.allclose(checkpoint.state["resting"], wanted, atol=1e-6)


# The same run again


def test_a_stopped_run_goes_on_to_the_same_bytes(
    trained: Path, expclip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"

    def stop(what: str, done: int, total: int, figures: object) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(out, expclip, progress=stop)
    assert not (out / "model.safetensors").exists()
    assert [line["step"] for line in lines(out)] == [6, 12, 18]
    train(out, expclip)
    assert weights(out) == weights(trained)
    assert lines(out) == lines(trained)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    trained: Path, expclip: Path, tmp_path: Path
) -> None:
    train(tmp_path / "again", expclip)
    assert weights(tmp_path / "again") == weights(trained)
    assert lines(tmp_path / "again") == lines(trained)
    train(tmp_path / "other", expclip, "seed=1")
    assert weights(tmp_path / "other") != weights(trained)


def test_a_finished_run_is_left_as_it_is(trained: Path, expclip: Path) -> None:
    before = (trained / "model.safetensors").stat().st_mtime_ns
    assert train(trained, expclip) == json.loads((trained / "training.json").read_text())
    assert (trained / "model.safetensors").stat().st_mtime_ns == before


def test_other_faces_or_another_recipe_are_another_run(trained: Path, expclip: Path) -> None:
    with pytest.raises(DataError, match="holds a run with"):
        train(trained, expclip, "epa=false")
    others = Expressions(FACES, {"content_sha256": "1"})
    with pytest.raises(DataError, match="expressions_sha256"):
        train(trained, expclip, expressions=others)


def test_a_loss_that_is_no_longer_finite_ends_the_run(expclip: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no longer finite: lower learning_rate"):
        train(tmp_path / "out", expclip, "learning_rate=1e30", "clip=0", "warmup=0")


def test_what_is_not_perturbed_has_no_loss_of_it(expclip: Path, tmp_path: Path) -> None:
    train(tmp_path / "out", expclip, "epa=false", "steps=2")
    (line,) = lines(tmp_path / "out")
    found: Any = line["train"]
    assert found["animation"] > 0 and found["lip"] == found["style"] == 0


# Expressions


def test_faces_of_the_core_corpus_need_no_file() -> None:
    found = read_expressions()
    assert found.faces.shape[1] == 52 and len(found.faces) > 1000
    assert found.faces.min() >= 0 and found.faces.max() <= 1
    with pytest.raises(DataError, match="no such folder"):
        read_expressions("./nowhere")


# Batches


def sampler(recipe: AnimatorRecipe, split: str = "train") -> AnimatorSampler:
    pairs = tiny_pairs().of_split(split)
    return AnimatorSampler(pairs, FACES, recipe, torch.device("cpu"))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    recipe = AnimatorRecipe(batch=4, frames=8)
    first, same = sampler(recipe).draw(3), sampler(recipe).draw(3)
    assert first.expressions is not None and same.expressions is not None
    assert torch.equal(first.weights, same.weights) and first.torch_seed == same.torch_seed
    assert torch.equal(first.expressions, same.expressions)
    for other in (sampler(recipe).draw(4), sampler(recipe).draw(3, process=1)):
        assert not torch.equal(first.weights, other.weights)
    assert len(sampler(recipe).draw(3, 1, 4).weights) == 1


def test_a_short_recording_is_padded_and_told() -> None:
    batch = sampler(AnimatorRecipe(batch=200, frames=8)).draw(0)
    assert batch.mask is not None
    counts = set(batch.mask.sum(1).tolist())
    assert counts == {5, 8}
    assert batch.shares is not None and 0 <= batch.shares.min() <= batch.shares.max() < 1


def test_every_place_of_every_recording_is_as_likely() -> None:
    pairs = tiny_pairs().of_split("train")
    batch = sampler(AnimatorRecipe(batch=3000, frames=8)).draw(0)
    firsts = [pairs.weights[i] for i in (*range(13), 20)]  # 13 places in one, one in the other
    table = {tuple(row.tolist()): place for place, row in enumerate(firsts)}
    found = np.bincount([table[tuple(row.tolist())] for row in batch.weights[:, 0]])
    assert len(found) == 14 and found.min() > 0.6 * 3000 / 14


def test_without_epa_nothing_is_drawn_to_perturb() -> None:
    assert sampler(AnimatorRecipe(batch=2, frames=8, epa=False)).draw(0).expressions is None


def test_validation_sees_every_frame_once_and_always_the_same_faces() -> None:
    recipe = AnimatorRecipe(batch=2, frames=8)
    first, again = (list(sampler(recipe).whole()) for _ in range(2))
    counts = [8 * len(b.weights) if b.mask is None else int(b.mask.sum()) for b in first]
    assert sum(counts) == 25
    for one, other in zip(first, again, strict=True):
        assert one.expressions is not None and other.expressions is not None
        assert torch.equal(one.expressions, other.expressions)


def test_windows_lie_end_to_end() -> None:
    windows = Windows.end_to_end(np.array([0, 20, 25]), 8)
    assert windows.clips.tolist() == [0, 0, 0, 1]
    assert windows.starts.tolist() == [0, 8, 16, 20]
    rows, there = windows.rows(8)
    assert rows[2].tolist() == [16, 17, 18, 19, 19, 19, 19, 19]
    assert there.sum(axis=1).tolist() == [8, 8, 4, 5]


# Figures


class Stub(AnimatorNetwork):
    """Shows its prompt, or a share of it, on a face that is the truth otherwise."""

    def __init__(self, share: float) -> None:
        sizes = {"width": 8, "hidden": 8, "feedforward": 8, "layers": 1, "pool_width": 8}
        super().__init__(AnimatorConfig(space=SPACE, speech_features=6, **sizes))
        self.share = share

    def pool(self, weights: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.zeros(len(weights), 52)

    def style(self, prompt: Tensor) -> Tensor:
        return prompt

    def generate(self, speech: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        found = (self.share * style[:, None]).expand(-1, speech.shape[1], -1).clone()
        found[..., BLENDSHAPE_INDEX["jawOpen"]] += (speech[..., 0] > 0) * 0.8
        return found


def still_pairs() -> SpeechPairs:
    """Return clips in which the jaw alone moves."""
    pairs = tiny_pairs()
    pairs.weights[:, [i for i in range(52) if i != BLENDSHAPE_INDEX["jawOpen"]]] = 0
    return pairs


def prompt_face() -> np.ndarray:
    face = np.zeros((1, 52), np.float32)
    face[0, [BLENDSHAPE_INDEX["browInnerUp"], BLENDSHAPE_INDEX["eyeWideLeft"]]] = 0.6, 0.3
    return face


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_control_of_a_face_that_shows_a_share_of_its_prompt(share: float) -> None:
    found = measure_control(Stub(share), still_pairs().of_split("test"), prompt_face(), 8)
    assert found.expressiveness[0] == pytest.approx(share, abs=1e-6)
    assert found.gain[0] == pytest.approx(share, abs=1e-6)
    assert found.style_error[0] == pytest.approx((1 - share) ** 2, abs=1e-6)
    assert found.slope[0] == pytest.approx(1.0 if share else 0.0)
    assert found.style_cosine[0] == pytest.approx(1.0 if share else 0.0)
    assert found.lip_steps[0] == pytest.approx(0, abs=1e-9)


def test_control_needs_prompts_that_show_something() -> None:
    with pytest.raises(ValueError, match="prompts that show something"):
        measure_control(Stub(1.0), tiny_pairs(), np.zeros((1, 52), np.float32), 8)


def test_errors_are_means_over_recordings() -> None:
    network, pairs = Stub(0.0), still_pairs()
    pairs.weights[:, LIPS[0]] += 0.27  # an offset that the network does not make
    both = [pairs.of_split(name) for name in ("train", "test")]
    found = measure_speech(network, *both, 8)
    assert found["lip_rmse"] == pytest.approx(0.27 / np.sqrt(len(LIPS)), rel=1e-3)
    assert found["lip_step_rmse"] == pytest.approx(0, abs=1e-6)
    assert found["upper_rmse"] == found["upper_rmse_mean_face"] == 0
    itself = measure_speech(network, both[0], both[0], 8)
    assert itself["lip_rmse_nearest"] < itself["lip_rmse_mean_face"]
    assert len(UPPER) + len(LIPS) == 51


# Recipes and the command


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("frames=1", "frames must be at least 2"),
        ("losses.lips=1", "no such field, expected one of animation, lip, style"),
        ("model.space=3", "no such field, expected one of speech_encoder"),
        ("losses.style=-1", "style must be 0 or more"),
        ("model.blend=mixed", "blend must be convex or additive"),
    ],
)
def test_a_wrong_setting_is_told(setting: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ANIMATOR_PRESETS["small"].with_settings([setting])


def run(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(animator)
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception:
        raise done.exception
    return done.output


def test_the_command_trains_and_tells_what_next(expclip: Path, tmp_path: Path) -> None:
    settings = [f"--set=model.{size}" for size in SIZES]
    told = run(
        *("--clips", "2", "--steps", 2, "--batch", 2, "--expclip", expclip),
        *("--out", tmp_path / "out", *settings),
    )
    assert "2 steps" in told and "lip_rmse" in told
    assert f"wrote {tmp_path / 'out' / 'model.safetensors'}" in told
    assert "next: expclip animate" in told
    checkpoint = read_checkpoint(tmp_path / "out", KIND, AnimatorConfig)
    network = build_network(AnimatorNetwork, checkpoint, tmp_path / "out")
    assert network.config.speech_features == 160 and network.config.width == 8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--preset", "huge"], "--preset huge, expected one of paper, small"),
        (["--expclip", "./nowhere"], "nowhere: no such folder"),
        (["--set", "stepz=1"], "no such field"),
        (["--data", "./nowhere"], "nowhere: is no folder"),
        (["--clips", "0"], "--clips must be at least 1"),
    ],
)
def test_a_mistake_of_the_user_is_one_line(expclip: Path, arguments: list[str], told: str) -> None:
    given = [] if "--expclip" in arguments else ["--expclip", expclip]
    with pytest.raises((ValueError, DataError), match=told):
        run(*given, *arguments)
