"""The network of the speaking face and its losses: by hand, against torch, and what never
may change a result."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from expclip.face import BLENDSHAPE_INDEX, BLENDSHAPES
from expclip.face.errors import DataError
from expclip.models.animator.losses import LIPS, LOSSES, AnimatorLossWeights, animator_losses
from expclip.models.animator.network import (
    AnimatorConfig,
    AnimatorNetwork,
    AnimatorOutput,
    Moved,
    perturb_prompt,
)
from expclip.models.animator.recipe import ANIMATOR_PRESETS
from expclip.models.attention import LocalAttention, StyleAttention
from expclip.models.checkpoint import build_network, read_checkpoint, write_checkpoint
from expclip.models.expclip.network import ExpClipConfig

JAW, BROW = BLENDSHAPE_INDEX["jawOpen"], BLENDSHAPE_INDEX["browInnerUp"]

SPACE = ExpClipConfig(
    dim=8, width=8, layers=1, heads=2, feedforward=16, tokens="vector", projector_width=0,
    text_features=4, image_encoder=None,
)  # fmt: skip
TINY = AnimatorConfig(
    space=SPACE, speech_encoder="log-mel", speech_features=6, width=16, heads=2, feedforward=32,
    layers=2, dropout=0.0, radius=2, style_tokens=3, hidden=16, pool_width=8, pool_layers=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def network() -> AnimatorNetwork:
    """Random in all that training changes; not to be changed."""
    torch.manual_seed(0)
    made = AnimatorNetwork(TINY)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "near" in name or "score" in name:
                value.normal_()
    return made.eval().requires_grad_(False)


def uniform(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


# Equation (6)


def test_a_prompt_is_blended_by_both_readings() -> None:
    prompt, expression = torch.full((1, 52), 0.4), torch.full((1, 52), 0.8)
    share = torch.tensor([0.25])
    assert close(perturb_prompt(prompt, expression, share), torch.full((1, 52), 0.5))
    added = perturb_prompt(prompt, expression, share, "additive")
    assert close(added, torch.full((1, 52), 0.6))
    assert perturb_prompt(prompt, expression, torch.ones(1), "additive").max() == 1


@pytest.mark.parametrize("blend", ["convex", "additive"])
def test_a_share_of_nothing_changes_nothing(blend: str) -> None:
    prompt = uniform(3, 52)
    assert torch.equal(
        perturb_prompt(prompt, uniform(3, 52, seed=2), torch.zeros(3), blend), prompt
    )


# Losses


def moved(animation: Tensor, **changes: Tensor) -> AnimatorOutput:
    """Return an output whose prompts are all met, but for some changes."""
    clips = len(animation)
    zeros, style = torch.zeros(clips, 52), torch.eye(8)[:clips]
    parts = Moved(zeros, animation, zeros, style, style, torch.zeros(8))
    return AnimatorOutput(zeros, animation, replace(parts, **changes))


def losses_of(output: AnimatorOutput, weights: Tensor, mask: Tensor | None = None, **scale: float):
    return animator_losses(output, weights, AnimatorLossWeights(**scale), mask)


def test_lips_are_jaw_and_mouth() -> None:
    assert len(LIPS) == 27
    assert {BLENDSHAPES[i][:3] for i in LIPS} == {"jaw", "mou"}


def test_a_constant_offset_costs_its_sum_and_no_lip_loss() -> None:
    weights = uniform(2, 5, 52)
    found = losses_of(moved(weights + 0.25), weights)
    assert found.animation.item() == pytest.approx(52 * 0.25, rel=1e-5)
    assert found.lip.item() == pytest.approx(0, abs=1e-5)


def test_lip_loss_is_the_displacement_of_the_mouth_alone() -> None:
    weights, animation = torch.zeros(1, 5, 52), torch.zeros(1, 5, 52)
    animation[0, :, BROW] = torch.arange(5.0)
    assert losses_of(moved(animation), weights).lip == 0
    animation[0, :, JAW] = 0.1 * torch.arange(5.0)
    assert losses_of(moved(animation), weights).lip.item() == pytest.approx(0.1)
    weights[0, :, JAW] = 0.3 * torch.arange(5.0)  # of the truth: 0.1 against 0.3 a frame
    assert losses_of(moved(animation), weights).lip.item() == pytest.approx(0.2)


def test_style_loss_is_the_angle_of_the_embeddings() -> None:
    animation, wanted = torch.zeros(2, 3, 52), torch.eye(8)[[0, 0]]
    found = torch.stack([torch.eye(8)[0] * 5, torch.eye(8)[1]])  # 0 and 90 degrees
    output = moved(animation, found_style=found, wanted_style=wanted)
    assert losses_of(output, animation).style.item() == pytest.approx(0.5)


def test_centred_angles_are_measured_from_the_mean_face() -> None:
    animation = torch.zeros(1, 3, 52)
    mean = torch.eye(8)[0] * 100
    output = moved(
        animation,
        found_style=mean + torch.eye(8)[[1]],
        wanted_style=mean - torch.eye(8)[[1]],
        mean_style=mean,
    )
    found = losses_of(output, animation)
    assert found.style.item() < 1e-3  # nearly all of it is common to both
    assert found.centred.item() == pytest.approx(2)


def test_prompt_loss_is_the_distance_of_the_pooled_animation() -> None:
    animation = torch.zeros(1, 3, 52)
    output = moved(animation, found=torch.full((1, 52), 0.5), prompt=torch.full((1, 52), 0.25))
    assert losses_of(output, animation).prompt.item() == pytest.approx(13)


def test_padding_costs_nothing() -> None:
    weights = uniform(2, 6, 52)
    animation = uniform(2, 6, 52, seed=2)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 3:] = False
    changed = animation.clone()
    changed[1, 3:] += 5
    one, other = (losses_of(moved(a), weights, mask) for a in (animation, changed))
    assert one == other
    steps = (animation - weights)[..., LIPS].diff(dim=1).abs().sum(2)
    wanted = (steps[0].sum() + steps[1, :2].sum()) / 7
    assert one.lip.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_total_is_the_weighted_sum() -> None:
    weights = uniform(2, 4, 52)
    changes = {
        "found_style": uniform(2, 8),
        "mean_style": uniform(8, seed=4),
        "found": uniform(2, 52),
    }
    scale = {"animation": 1.0, "lip": 2.0, "style": 3.0, "centred": 4.0, "prompt": 5.0}
    found = losses_of(moved(uniform(2, 4, 52, seed=3), **changes), weights, **scale)
    wanted = sum(scale[name] * getattr(found, name).item() for name in LOSSES)
    assert found.total.item() == pytest.approx(wanted, rel=1e-5)
    assert min(getattr(found, name).item() for name in LOSSES) > 0


def test_without_perturbation_only_the_animation_counts() -> None:
    weights = uniform(1, 4, 52)
    output = AnimatorOutput(torch.zeros(1, 52), weights + 1)
    found = losses_of(output, weights)
    assert found.total == found.animation and found.lip == found.style == 0


# Attention


def test_attention_to_all_frames_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours = LocalAttention(12, 3, None)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.into.weight,
            "in_proj_bias": ours.into.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    states, there = uniform(2, 7, 12), torch.ones(2, 7, dtype=torch.bool)
    there[1, 4:] = False
    wanted, _ = theirs(states, states, states, key_padding_mask=~there)
    assert close(ours(states, there)[there], wanted[there])


def test_one_token_of_a_style_gets_all_attention() -> None:
    torch.manual_seed(0)
    layer = StyleAttention(12, 3, 8, tokens=1)
    style = uniform(2, 1, 8)
    wanted = layer.out(layer.values(style)).expand(2, 5, 12)
    assert close(layer(uniform(2, 5, 12), style), wanted)


# Pooling


def test_an_untrained_pooling_is_the_mean_of_the_frames() -> None:
    torch.manual_seed(0)
    clip = uniform(2, 7, 52)
    assert close(AnimatorNetwork(TINY).pool(clip), clip.mean(1))


def test_a_pooled_face_lies_among_the_frames(network: AnimatorNetwork) -> None:
    clip = uniform(2, 7, 52)
    found = network.pool(clip)
    assert not close(found, clip.mean(1))
    assert (found >= clip.amin(1) - 1e-6).all() and (found <= clip.amax(1) + 1e-6).all()


def test_padding_does_not_change_a_pooled_face(network: AnimatorNetwork) -> None:
    clip = uniform(1, 9, 52)
    mask = torch.arange(9)[None] < 6
    clip[:, 6:] = 7.0
    assert close(network.pool(clip, mask), network.pool(clip[:, :6]))


# Generation


def test_padding_and_company_do_not_change_an_animation(network: AnimatorNetwork) -> None:
    speech, style = uniform(3, 12, 6), uniform(3, 8, seed=2)
    mask = torch.ones(3, 12, dtype=torch.bool)
    mask[1, 7:] = False
    together = network.generate(speech, style, mask)
    for row, frames in enumerate((12, 7, 12)):
        alone = network.generate(speech[[row], :frames], style[[row]])
        assert close(together[[row], :frames], alone)
    assert torch.isfinite(together).all()


def test_a_frame_is_the_same_in_any_window_that_reaches_around_it(network: AnimatorNetwork) -> None:
    speech, style = uniform(1, 40, 6), uniform(1, 8)
    whole = network.generate(speech, style)
    reach = network.config.reach
    assert reach == 4
    for first, last in ((10, 20), (0, 5), (33, 40)):
        start, stop = max(0, first - reach), min(40, last + reach)
        part = network.generate(speech[:, start:stop], style)
        assert close(part[:, first - start : last - start], whole[:, first:last])


def test_nothing_beyond_reach_has_an_effect(network: AnimatorNetwork) -> None:
    speech, style = uniform(1, 40, 6), uniform(1, 8)
    changed = speech.clone()
    changed[:, 20] += 1
    found = network.generate(changed, style) - network.generate(speech, style)
    moved_frames = found.abs().amax(2)[0].gt(1e-6).nonzero().flatten()
    assert moved_frames.min() == 16 and moved_frames.max() == 24


def test_a_style_for_each_frame_may_be_one_for_all(network: AnimatorNetwork) -> None:
    speech, style = uniform(2, 9, 6), uniform(2, 8)
    for_each = style[:, None].expand(2, 9, 8)
    assert close(network.generate(speech, for_each), network.generate(speech, style))
    turned = for_each.clone()
    turned[:, 5:] = uniform(2, 1, 8, seed=5)
    found = (network.generate(speech, turned) - network.generate(speech, style)).abs().amax((0, 2))
    assert found[5:].min() > 1e-5 and found[0] < 1e-6  # local, as all else


def test_one_pass_for_clean_and_perturbed_prompts_gives_what_two_give(
    network: AnimatorNetwork,
) -> None:
    weights, speech, others = uniform(2, 6, 52), uniform(2, 6, 6), uniform(2, 52, seed=3)
    shares = torch.tensor([0.3, 0.9])
    output = network(weights, speech, None, others, shares)
    assert output.moved is not None
    plain = network(weights, speech)
    assert plain.moved is None
    assert close(output.animation, plain.animation) and close(output.prompt, network.pool(weights))
    prompt = perturb_prompt(plain.prompt, others, shares)
    animation = network.generate(speech, network.style(prompt))
    assert close(output.moved.prompt, prompt) and close(output.moved.animation, animation)
    assert close(output.moved.found_style, network.style(network.pool(animation)))
    assert close(output.moved.wanted_style, network.style(prompt))


def test_the_style_of_an_embedding_is_that_of_its_face(network: AnimatorNetwork) -> None:
    embeddings = uniform(3, 8)
    faces = network.space.decode(embeddings).clamp(0, 1)
    assert close(network.restyle(embeddings), network.style(faces))


def test_scales_come_from_the_data() -> None:
    torch.manual_seed(0)
    network = AnimatorNetwork(TINY)
    faces, weights = uniform(50, 52), uniform(30, 52, seed=2)
    network.set_scales(3 + 2 * torch.randn(400, 6), weights, faces)
    assert close(network.resting, weights.mean(0))
    styles = network.centred(network.style(faces))
    assert close(styles.mean(0), torch.zeros(8))
    assert styles.square().mean().item() == pytest.approx(1, rel=1e-4)
    assert network.feature_scale[1][0].item() == pytest.approx(2, rel=0.1)


# What is frozen


def test_the_expclip_inside_is_frozen_and_never_drops_out() -> None:
    network = AnimatorNetwork(replace(TINY, space=replace(SPACE, dropout=0.5))).train()
    assert network.training and not network.space.training
    assert not any(value.requires_grad for value in network.space.parameters())
    output = network(uniform(2, 6, 52), uniform(2, 6, 6), None, uniform(2, 52), torch.rand(2))
    assert output.moved is not None
    (output.animation.sum() + output.moved.found_style.sum()).backward()
    assert all(value.grad is None for value in network.space.parameters())
    learning = [n for n, v in network.named_parameters() if v.requires_grad and v.grad is None]
    assert learning == []  # and the gradient passes through it, to the pooling too


def test_a_perturbed_prompt_teaches_its_clip_nothing() -> None:
    network = AnimatorNetwork(TINY)
    weights = uniform(2, 6, 52).requires_grad_()
    output = network(weights, uniform(2, 6, 6), None, uniform(2, 52), torch.rand(2))
    assert output.moved is not None
    assert not output.moved.prompt.requires_grad and not output.moved.wanted_style.requires_grad


# Configuration and disk


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"width": 0}, "width must be a number of 1"),
        ({"layers": 1000}, "layers must be a number of 1 to 128"),
        ({"heads": 5}, "width 16 must be a multiple of heads 5"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"blend": "mixed"}, "blend must be convex or additive"),
        ({"radius": True}, "radius must be a number"),
    ],
)
def test_a_wrong_size_is_told(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(TINY, **change)  # type: ignore[arg-type]


def test_a_network_comes_back_from_disk(network: AnimatorNetwork, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "SpeechAnimator", network, {}, "card")
    checkpoint = read_checkpoint(tmp_path, "SpeechAnimator", AnimatorConfig)
    assert checkpoint.config == TINY and checkpoint.config.space == SPACE
    again = build_network(AnimatorNetwork, checkpoint, tmp_path).eval().requires_grad_(False)
    speech, style = uniform(1, 9, 6), network.style(uniform(1, 52))
    assert torch.equal(again.generate(speech, style), network.generate(speech, style))


def test_a_config_of_another_expclip_is_told(network: AnimatorNetwork, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "SpeechAnimator", network, {}, "card")
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"tokens": "vector"', '"tokens": "pixels"'))
    with pytest.raises(DataError, match=r"config\.json: tokens must be one of"):
        read_checkpoint(tmp_path, "SpeechAnimator", AnimatorConfig)


def test_the_paper_preset_has_the_sizes_of_the_paper() -> None:
    model, recipe = ANIMATOR_PRESETS["paper"].model, ANIMATOR_PRESETS["paper"].recipe
    assert (model.layers, model.pool_layers, model.fps, recipe.frames) == (8, 4, 15, 64)
    assert model.radius == recipe.frames - 1 and model.style_tokens == 1
    assert recipe.epa and recipe.losses.centred == recipe.losses.prompt == 0
    assert asdict(model)["space"]["layers"] == 8


def test_one_batch_is_learnt_by_heart() -> None:
    torch.manual_seed(0)
    network = AnimatorNetwork(replace(TINY, width=32, hidden=32, radius=4)).train()
    weights, speech = uniform(2, 8, 52), torch.randn(2, 8, 6)
    adam = torch.optim.Adam([v for v in network.parameters() if v.requires_grad], 1e-2)
    scale = AnimatorLossWeights()
    found = []
    for _ in range(60):
        loss = animator_losses(network(weights, speech), weights, scale).total
        adam.zero_grad()
        loss.backward()
        adam.step()
        found.append(loss.item())
    assert found[-1] < 0.4 * found[0]
    assert np.isfinite(found).all()
