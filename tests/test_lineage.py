"""What `validate` finds in an augmented configuration that is not what it says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expclip.face.errors import DataError
from expclip.tead import BuildPlan, CorpusOptions, build, read_rows, validate
from expclip.tead.augmentation.augment import Eda, NlpaugAugmenter, augment_tead
from expclip.tead.augmentation.augmented import variant_id
from expclip.tead.augmentation.synonyms import load_synonyms

CONFIG = "offline-augmented"
MANIFEST = f"manifest-{CONFIG}.json"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An offline TEAD of 120 rows and their variants; not to be changed."""
    out = tmp_path_factory.mktemp("lineage") / "tead"
    build(out, BuildPlan(("grammar",), CorpusOptions(limit=120)))
    augment_tead(out, Eda(synonyms=load_synonyms(False)), seed=1, variants=3)
    return out


@pytest.fixture
def tead(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tead")


def change(folder: Path, split: str, edit: Callable[[Rows], object]) -> None:
    """Change the rows of a file as somebody else would."""
    (path,) = (folder / "data" / CONFIG).glob(f"{split}-*.parquet")
    table = pq.read_table(path)
    rows = table.to_pylist()
    edit(rows)
    for row in rows:
        if "keep_id" not in row:
            row["id"] = variant_id(row["augmented_from"], row["variant"], row["text"])
        row.pop("keep_id", None)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def errors(folder: Path) -> set[str]:
    """Return the rules broken, without those that any change breaks."""
    found = validate(folder)
    assert all(name.startswith(f"{CONFIG}: ") for name in found.errors)
    names = {name.removeprefix(f"{CONFIG}: ") for name in found.errors}
    return names - {"content differs from the manifest's hash"}


def test_what_augment_writes_keeps_every_rule(original: Path) -> None:
    found = validate(original)
    manifest = json.loads((original / MANIFEST).read_text())
    assert found.ok and not any(CONFIG in name for name in found.warnings)
    counts = manifest["counts"]
    assert found.augmented == {CONFIG: {"train": counts["train"], "test": counts["test"]}}
    assert sum(found.rows.values()) == 120


def test_a_changed_text_is_not_what_the_seed_gives(tead: Path) -> None:
    change(tead, "train", lambda rows: rows[0].update(text="Something else entirely"))
    assert errors(tead) == {"text is not what the seed gives"}
    assert f"{CONFIG}: content differs from the manifest's hash" in validate(tead).errors


def test_a_row_left_out_is_missed(tead: Path) -> None:
    change(tead, "train", lambda rows: rows.pop(3))
    assert errors(tead) == {"variant of the seed is missing"}


def test_a_row_twice_is_told(tead: Path) -> None:
    change(tead, "train", lambda rows: rows.append(dict(rows[0])))
    assert errors(tead) == {"variant twice", "text twice"}


def test_an_original_that_is_not_there_is_told(tead: Path) -> None:
    change(tead, "train", lambda rows: rows[0].update(augmented_from="0" * 16))
    assert errors(tead) == {"original is missing"}


def test_another_s_labels_are_told(tead: Path) -> None:
    change(tead, "test", lambda rows: rows[0].update(emotions=["rage", "fury", "anger"]))
    assert errors(tead) == {"labels are not the original's"}
    (count, example) = validate(tead).errors[f"{CONFIG}: labels are not the original's"]
    (path,) = (tead / "data" / CONFIG).glob("test-*.parquet")
    assert (count, example) == (1, pq.read_table(path).to_pylist()[0]["id"])


def test_a_changed_face_is_told(tead: Path) -> None:
    change(tead, "test", lambda rows: rows[-1]["blendshapes"].__setitem__(0, 0.123))
    assert errors(tead) == {"labels are not the original's"}


def test_a_variant_in_the_other_split_is_told(tead: Path) -> None:
    moved: Rows = []
    change(tead, "test", lambda rows: moved.append(rows.pop(0)))
    change(tead, "train", lambda rows: rows.extend({**row, "split": "train"} for row in moved))
    assert errors(tead) == {"split is not the original's"}


def test_a_text_of_the_test_split_in_train_is_a_leak(tead: Path) -> None:
    test_text = next(row["text"] for row in read_rows(tead) if row["split"] == "test")
    change(tead, "train", lambda rows: rows[0].update(text=test_text.upper() + "!"))
    assert "text in both splits" in errors(tead)


def test_an_id_that_is_not_the_row_s_is_told(tead: Path) -> None:
    change(tead, "train", lambda rows: rows[0].update(id="f" * 16, keep_id=True))
    assert errors(tead) == {"id is not the hash of the row"}


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_other_originals_are_told(tead: Path) -> None:
    edit_manifest(tead, augmented_from={"config": "offline", "content_sha256": "0" * 64})
    assert errors(tead) == {"made from other originals than these"}


def test_another_seed_is_told(tead: Path) -> None:
    told = json.loads((tead / MANIFEST).read_text())["parameters"]
    edit_manifest(tead, parameters={**told, "seed": 2})
    assert "text is not what the seed gives" in errors(tead)


@pytest.mark.parametrize(
    "wrong",
    [
        {"variants": 10**9},
        {"variants": "many"},
        {"seed": None},
        {"alpha": [1]},
        {"operations": [[]]},
        {"emotion_words": {}},
        {"operations": 3},
    ],
)
def test_parameters_that_cannot_be_are_told_in_a_line(tead: Path, wrong: dict[str, Any]) -> None:
    told = json.loads((tead / MANIFEST).read_text())["parameters"]
    edit_manifest(tead, parameters={**told, **wrong})
    with pytest.raises(DataError, match=f"{MANIFEST}: parameters are not those"):
        validate(tead)
    edit_manifest(tead, parameters=[])
    with pytest.raises(DataError, match=f"{MANIFEST}: no parameters"):
        validate(tead)


def test_a_manifest_that_leads_elsewhere_is_refused(tead: Path) -> None:
    edit_manifest(tead, config="../../elsewhere")
    with pytest.raises(DataError, match="is no name of a configuration"):
        validate(tead)


def test_what_cannot_be_made_again_here_is_a_warning(tead: Path) -> None:
    told = json.loads((tead / MANIFEST).read_text())["parameters"]
    edit_manifest(tead, parameters={**told, "synonyms": "wordnet-0123456789abcdef+embedded"})
    found = validate(tead)
    assert found.ok
    name = f"{CONFIG}: made with another WordNet than is here, and not made again"
    assert found.warnings[name] == (1, MANIFEST)


def test_a_plug_in_s_variants_are_checked_too(tead: Path) -> None:
    class Shouting:
        name = "Shouting"

        def augment(self, text: str) -> str:
            return f"Oh, {text}"

    manifest = augment_tead(tead, NlpaugAugmenter(Shouting()), name="shouted")
    found = validate(tead)
    assert found.ok and found.augmented["shouted"]["train"] == manifest["counts"]["train"]
    assert "shouted: made by a plug-in, and not made again" in found.warnings


def test_a_missing_file_of_variants_is_told(tead: Path) -> None:
    shutil.rmtree(tead / "data" / CONFIG)
    with pytest.raises(DataError, match=f"data/{CONFIG}: no train-"):
        validate(tead)
