"""What ExpCLIP learns from: a TEAD as tensors, and batches that are a function of the step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from expclip_runs import Assets

from expclip.face import ACTION_UNITS
from expclip.face.errors import DataError
from expclip.models.expclip.data import Pairs, read_tead, split_by_hash, split_texts
from expclip.models.expclip.recipe import Recipe
from expclip.models.expclip.sampling import Sampler

pytest_plugins = ["expclip_fixtures"]


# Batches


def sampler(pairs: Pairs, recipe: Recipe) -> Sampler:
    features = torch.arange(2000.0)[:, None]
    return Sampler(pairs, features, recipe, recipe.chances, torch.device("cpu"))


@pytest.fixture(scope="module")
def pairs(assets: Assets) -> Pairs:
    return read_tead(assets.tead).train


def test_a_batch_is_a_function_of_seed_and_step(pairs: Pairs) -> None:
    recipe = Recipe(batch=8, faces="wide")
    first, same = sampler(pairs, recipe).draw(5), sampler(pairs, recipe).draw(5)
    assert torch.equal(first.features, same.features) and torch.equal(first.faces, same.faces)
    assert first.varied is not None and torch.equal(first.varied, same.varied)
    assert first.torch_seed == same.torch_seed
    for other in (sampler(pairs, recipe).draw(6), sampler(pairs, recipe).draw(5, process=1)):
        assert not torch.equal(first.features, other.features)


def test_processes_share_a_batch(pairs: Pairs) -> None:
    assert len(sampler(pairs, Recipe(batch=8)).draw(0, 1, 4).faces) == 2


@pytest.mark.parametrize("share", [0.0, 0.8, 1.0])
def test_natural_rows_have_their_share(pairs: Pairs, share: float) -> None:
    recipe = Recipe(batch=2000, natural=share, faces="none", tags=0.0, situation=0.0)
    drawn = sampler(pairs, recipe).draw(0).features[:, 0].long()
    items = set(pairs.prompts["text"].items[pairs.natural].ravel().tolist())
    found = np.mean([item.item() in items for item in drawn])
    assert found == pytest.approx(share, abs=0.03)


def test_kinds_of_prompt_have_their_chances(pairs: Pairs) -> None:
    recipe = Recipe(batch=3000, text=2.0, tags=1.0, situation=0.0)
    drawn = sampler(pairs, recipe).draw(0).features[:, 0].long().tolist()
    tags = set(pairs.prompts["tags"].items.ravel().tolist())
    assert np.mean([item in tags for item in drawn]) == pytest.approx(1 / 3, abs=0.03)


def test_validation_sees_every_row_once_and_always_the_same_prompt(pairs: Pairs) -> None:
    first, again = (list(sampler(pairs, Recipe()).whole()) for _ in range(2))
    assert sum(len(batch.faces) for batch in first) == len(pairs)
    assert torch.equal(first[0].features, again[0].features)
    assert first[0].varied is None


# The data


def test_prompts_of_a_row_are_its_own(assets: Assets) -> None:
    from expclip.tead import read_rows

    data = read_tead(assets.tead, units=True)
    rows = [row for row in read_rows(assets.tead) if row["split"] == "train"]
    assert len(data.train) == len(rows) == len(data.texts)
    for place in (0, 100, 300):
        named = {
            kind: {data.strings[item] for item in choices.items[place]}
            for kind, choices in data.train.prompts.items()
        }
        assert named["text"] == {rows[place]["text"]}
        assert named["tags"] == {", ".join(rows[place]["emotions"])}
        assert named["situation"] == set(rows[place]["situations"])
        shown = [unit for unit, one in zip(ACTION_UNITS, rows[place]["aus"], strict=True) if one]
        codes = "+".join(f"AU{unit.code}" for unit in shown)
        names = ", ".join(unit.name for unit in shown)
        assert named["units"] == {codes, f"{codes} {names}"}
        assert np.allclose(data.train.faces[place], rows[place]["blendshapes"])
        assert data.train.natural[place] != rows[place]["synthetic"]
    assert len(set(data.strings)) == len(data.strings)


def test_action_units_are_a_prompt_where_the_recipe_says_so(assets: Assets) -> None:
    assert "units" not in read_tead(assets.tead).train.prompts
    assert Recipe(units=1.0).chances == dict.fromkeys(("text", "tags", "situation", "units"), 0.25)
    assert "units" not in Recipe().chances


def test_faces_of_equal_units_have_one_key(assets: Assets) -> None:
    from expclip.tead import read_rows

    data = read_tead(assets.tead)
    rows = [tuple(row["aus"]) for row in read_rows(assets.tead)]
    keys = [*data.train.keys.tolist(), *data.test.keys.tolist()]
    assert len(set(rows)) == len(set(keys)) == len(set(zip(rows, keys, strict=True)))


def test_augmented_texts_stand_beside_the_originals(assets: Assets, tmp_path: Path) -> None:
    from expclip.tead.augmentation.augment import Eda, augment_tead
    from expclip.tead.augmentation.augmented import copy_tead

    folder = tmp_path / "tead"
    copy_tead(assets.tead, folder)
    augment_tead(folder, Eda(), seed=0, variants=2)
    plain, more = read_tead(folder, augmented=False), read_tead(folder)
    assert plain.train.prompts["text"].items.shape[1] == 1
    assert more.train.prompts["text"].counts.max() > 1
    assert len(more.train) == len(plain.train) and len(more.strings) > len(plain.strings)
    assert more.about["augmented"] and not plain.about["augmented"]
    assert more.test.prompts["text"].items.shape[1] == 1  # measured on what people wrote


def test_validation_holds_whole_texts_out(assets: Assets) -> None:
    data = read_tead(assets.tead)
    kept, held = split_texts(data, 0.1, 0)
    assert len(kept) + len(held) == len(data.train) and 20 < len(held) < 80
    one = split_by_hash(["a", "b", "a", "c"] * 20, 0.5, 3)
    assert set(one[0]) | set(one[1]) == set(range(80))
    assert {i % 4 in (0, 2) for i in one[1] if i % 4 in (0, 2)} in (set(), {True})
    with pytest.raises(DataError, match="too few"):
        split_by_hash(["a"], 0.5, 0)


def test_what_is_no_tead_is_told(tmp_path: Path, assets: Assets) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_tead(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a finished TEAD"):
        read_tead(tmp_path)
    with pytest.raises(DataError, match="no configuration 'other', expected one of"):
        read_tead(assets.tead, config="other")
