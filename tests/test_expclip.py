"""The networks of ExpCLIP, their losses, and the augmentation of faces."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from expclip.face import BLENDSHAPES
from expclip.models.expclip.augmentation import AUGMENTATIONS, FaceAugmentation, augment_faces
from expclip.models.expclip.network import (
    REGIONS,
    AnchorOutput,
    ExpClipConfig,
    ExpClipNetwork,
    ExpClipOutput,
    LossWeights,
    expclip_losses,
    loss_parts,
)
from expclip.models.expclip.recipe import PRESETS

pytest_plugins = ["expclip_fixtures"]

SMALL = replace(
    PRESETS["small"].model, dim=16, width=16, layers=1, heads=2, feedforward=32, text_features=8
)


def network(**changes: object) -> ExpClipNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ExpClipNetwork(replace(SMALL, **changes)).eval()


def faces(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((rows, 52), generator=torch.Generator().manual_seed(seed))


def face(**weights: float) -> torch.Tensor:
    return torch.tensor([[weights.get(name, 0.0) for name in BLENDSHAPES]])


# Losses


def output_of(
    expression: list[float],
    prompt: list[float],
    reconstruction: torch.Tensor,
    decoded: torch.Tensor,
) -> ExpClipOutput:
    return ExpClipOutput(
        torch.tensor([expression]), reconstruction, torch.tensor([prompt]), decoded
    )


def test_losses_equal_those_by_hand() -> None:
    target = face(jawOpen=1.0)
    made = output_of([1.0, 0.0], [1.0, 1.0], target + 0.1, face(jawOpen=0.5, tongueOut=0.5))
    found = expclip_losses(made, target, LossWeights(1.0, 10.0, 10.0, direction=2.0))
    assert float(found.reconstruction) == pytest.approx(52 * 0.01)
    assert float(found.embedding) == pytest.approx(1 - math.sqrt(0.5))
    assert float(found.cross) == pytest.approx(0.25 + 0.25)
    assert float(found.direction) == pytest.approx(1 - math.sqrt(0.5))
    total = 0.52 + 10 * (1 - math.sqrt(0.5)) + 10 * 0.5 + 2 * (1 - math.sqrt(0.5))
    assert float(found.total) == pytest.approx(total)
    assert float(found.contrastive) == 0


def test_reconstruction_is_measured_against_the_face_and_the_varied_one() -> None:
    target, varied = face(jawOpen=1.0), face(jawOpen=0.5)
    made = output_of([1.0], [1.0], torch.cat([target, varied]), target)
    found = expclip_losses(made, target, LossWeights(), varied=varied)
    assert float(found.total) == pytest.approx(0, abs=1e-6)
    away = output_of([1.0], [1.0], torch.cat([target + 0.1, varied]), target)
    found = expclip_losses(away, target, LossWeights(), varied=varied)
    assert float(found.reconstruction) == pytest.approx(52 * 0.01 / 2)


def test_direction_leaves_out_faces_that_have_none() -> None:
    target = torch.cat([face(), face(jawOpen=1.0)])
    made = ExpClipOutput(torch.ones(2, 2), target, torch.ones(2, 2), 0.3 * target)
    found = expclip_losses(made, target, LossWeights(direction=1.0))
    assert float(found.direction) == pytest.approx(0, abs=1e-6)
    only = expclip_losses(
        output_of([1.0], [1.0], face(), face(jawOpen=1.0)), face(), LossWeights(direction=1.0)
    )
    assert float(only.direction) == 0


def test_a_prompt_is_held_to_its_anchor_and_anchors_to_their_faces() -> None:
    places = torch.eye(2)
    shares = torch.tensor([0.8, 0.2])
    anchors = AnchorOutput(places, face(jawOpen=0.5).repeat(2, 1), face().repeat(2, 1), shares)
    prompts = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    made = ExpClipOutput(prompts, faces(3), prompts, faces(3), anchors)
    scale = LossWeights(0.0, 0.0, 0.0, anchor=1.0, temperature=1.0)
    found = expclip_losses(made, faces(3), scale, anchors=torch.tensor([0, 0, -1]))
    right, wrong = -math.log(math.e / (math.e + 1)), -math.log(1 / (math.e + 1))
    assert float(found.anchor) == pytest.approx((right + wrong) / 2 + 0.25)
    scale = LossWeights(0.0, 0.0, 0.0, anchor=1.0, prior=1.0, temperature=1.0)
    found = expclip_losses(made, faces(3), scale, anchors=torch.tensor([0, 1, -1]))
    frequent = -math.log(0.8 * math.e / (0.8 * math.e + 0.2))
    rare = -math.log(0.2 * math.e / (0.2 * math.e + 0.8))
    assert float(found.anchor) == pytest.approx((frequent + rare) / 2 + 0.25)


def test_sharp_prompts_become_their_anchor_and_plain_ones_stay() -> None:
    model = network(anchors=2)
    with torch.no_grad():
        model.anchors.copy_(3 * torch.eye(2, SMALL.dim))
    prompts = torch.eye(2, SMALL.dim)[:1] + 0.1
    assert torch.equal(model.sharpen(prompts, 0.0), prompts)
    assert torch.allclose(model.sharpen(prompts, 1e4), model.anchors[:1])


def test_contrast_takes_rows_of_one_face_as_right() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    target = faces(3)
    made = ExpClipOutput(embeddings, target, embeddings, target)
    scale = LossWeights(0.0, 0.0, 0.0, contrastive=1.0, temperature=1.0)
    found = expclip_losses(made, target, scale, keys=torch.tensor([7, 7, 9]))
    two = -math.log(math.e / (2 * math.e + 1))  # either of two right answers
    one = -math.log(math.e / (math.e + 2))
    assert float(found.contrastive) == pytest.approx((2 * two + one) / 3)
    with pytest.raises(ValueError, match="needs the keys"):
        expclip_losses(made, target, scale)


def test_losses_and_their_names_agree() -> None:
    target = face(jawOpen=1.0)
    found = expclip_losses(output_of([1.0], [1.0], target, target), target, LossWeights())
    assert list(loss_parts(found))[-1] == "total" and len(loss_parts(found)) == 7


# The network


@pytest.mark.parametrize("tokens", ["channels", "regions", "vector"])
def test_every_channel_has_one_token(tokens: str) -> None:
    groups = network(tokens=tokens).tokeniser.groups
    assert (groups.sum(dim=0) == 1).all()
    assert (groups.sum(dim=1) > 0).all()


def test_regions_are_named_and_none_is_empty() -> None:
    assert len(REGIONS) == 8


@pytest.mark.parametrize("tokens", ["channels", "regions", "vector"])
def test_it_overfits_one_batch(tokens: str) -> None:
    made = network(tokens=tokens, dim=32, width=32, projector_dropout=0.0).train()
    target = faces(8) * (faces(8, 1) < 0.2)
    features = torch.randn((8, 8), generator=torch.Generator().manual_seed(2))
    adam = torch.optim.Adam(made.parameters(), lr=3e-3)
    first = None
    for _ in range(300):
        adam.zero_grad()
        losses = expclip_losses(made(target, features), target, LossWeights())
        losses.total.backward()
        adam.step()
        first = first or losses.total.item()
    assert losses.total.item() < 0.02 * first
    assert losses.reconstruction.item() / 52 < 1e-3


def test_batch_composition_does_not_change_an_embedding() -> None:
    made, some = network(tokens="channels"), faces(5)
    with torch.no_grad():
        together = made.encode_expression(some)
        alone = torch.cat([made.encode_expression(row[None]) for row in some])
        assert torch.allclose(together, alone, atol=1e-6)
        assert torch.allclose(made.decode(together), made.decode(alone), atol=1e-5)


def test_varied_faces_are_reconstructed_beside_the_others_and_change_nothing_else() -> None:
    made, some, features = network(), faces(3), torch.randn(3, 8)
    with torch.no_grad():
        plain, varied = made(some, features), made(some, features, faces(3, 5))
        assert torch.allclose(plain.expression, varied.expression, atol=1e-6)
        assert torch.allclose(plain.decoded, varied.decoded, atol=1e-6)
        again = made(faces(3, 5), features)
        both = torch.cat([plain.reconstruction, again.reconstruction])
        assert torch.allclose(varied.reconstruction, both, atol=1e-6)


def test_a_model_without_an_image_branch_says_so() -> None:
    with pytest.raises(ValueError, match="no image branch"):
        network()(faces(1), torch.zeros(1, 8), image=True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dim": 0}, "dim must be"),
        ({"dim": 10**9}, "dim must be"),
        ({"layers": 1000}, "layers must be at most"),
        ({"width": 30, "heads": 4}, "multiple of heads"),
        ({"tokens": "pixels"}, "tokens must be one of"),
        ({"dropout": 1.0}, "dropout must be"),
    ],
)
def test_a_config_out_of_range_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(ExpClipConfig(), **changes)


def test_negative_weights_of_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="cross must be 0 or more"):
        LossWeights(cross=-1.0)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        LossWeights(temperature=0.0)


def test_the_paper_preset_takes_a_step_downhill() -> None:
    """8 + 8 layers, one token a channel: two steps on one batch, the second starts lower."""
    made = ExpClipNetwork(PRESETS["paper"].model)
    assert (made.config.layers, len(made.tokeniser.groups)) == (8, 52)
    assert sum(value.numel() for value in made.parameters()) == 53_172_788
    made.eval()  # no dropout: the two losses are of the same function
    target, features = faces(2), torch.randn(2, 512, generator=torch.Generator().manual_seed(0))
    adam = torch.optim.Adam(made.parameters(), lr=1e-5)
    found = []
    for _ in range(2):
        adam.zero_grad()
        losses = expclip_losses(made(target, features), target, PRESETS["paper"].recipe.losses)
        losses.total.backward()
        adam.step()
        found.append(losses.total.item())
    assert math.isfinite(found[0]) and found[1] < found[0]


# Augmentation of faces


def augmented(options: FaceAugmentation, some: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return augment_faces(some, options, torch.Generator().manual_seed(seed))


def test_no_augmentation_changes_nothing() -> None:
    some = faces(4)
    assert torch.equal(augmented(AUGMENTATIONS["none"], some), some)
    assert not AUGMENTATIONS["none"].varies


def test_the_papers_perturbation_only_adds_up_to_its_scale() -> None:
    some = 0.5 * faces(64)
    change = augmented(AUGMENTATIONS["paper"], some) - some
    assert change.min() >= 0 and 0.14 < change.max() <= 0.15 + 1e-6


def test_a_symmetric_perturbation_has_no_bias() -> None:
    some = torch.full((256, 52), 0.5)
    change = augmented(FaceAugmentation(0.1, symmetric=True), some) - some
    assert abs(float(change.mean())) < 2e-3
    assert change.abs().max() <= 0.1 + 1e-6


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_varied_faces_stay_weights_and_come_again(name: str) -> None:
    some = faces(32)
    found = augmented(AUGMENTATIONS[name], some)
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(found, augmented(AUGMENTATIONS[name], some))


def test_a_blend_lies_between_two_faces() -> None:
    some = torch.stack([torch.zeros(52), torch.ones(52)] * 16)
    found = augmented(FaceAugmentation(0.0, blend=1.0), some)
    assert ((found > 0) & (found < 1)).any()


def test_scatter_gives_channels_that_no_face_had() -> None:
    found = augmented(FaceAugmentation(0.0, scatter=1.0), torch.zeros(64, 52))
    share = float((found > 0).float().mean())
    assert 0.1 < share < 0.2  # a mean of half the most, 0.3


def test_an_augmentation_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="blend must lie in"):
        FaceAugmentation(blend=1.5)
