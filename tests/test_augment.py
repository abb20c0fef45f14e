"""An augmented configuration: its rows, its files, its folder, the command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from expclip.face.errors import DataError
from expclip.tead import BuildPlan, CorpusOptions, build, normalise, read_rows, validate
from expclip.tead.augmentation.augment import Eda, augment_rows, augment_tead
from expclip.tead.augmentation.synonyms import load_synonyms

OWN = load_synonyms(False)
EDA = Eda(synonyms=OWN)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An offline TEAD of 120 rows; not to be changed."""
    out = tmp_path_factory.mktemp("augment") / "tead"
    build(out, BuildPlan(("grammar",), CorpusOptions(limit=120)))
    return out


@pytest.fixture
def tead(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tead")


def test_rows_keep_all_but_id_and_text(original: Path) -> None:
    rows = list(read_rows(original))[:10]
    found = augment_rows(rows, Eda(["swap"], synonyms=OWN), variants=2)
    by_id = {row["id"]: row for row in rows}
    assert found and len({row["id"] for row in found} | by_id.keys()) == len(found) + 10
    for row in found:
        before = by_id[row["augmented_from"]]
        assert row["text"] != before["text"] and row["operation"] == "swap"
        assert {k for k in before if before[k] != row[k]} == {"id", "text"}


def test_a_configuration_is_written_beside_the_original(tead: Path) -> None:
    manifest = augment_tead(tead, EDA, seed=1, variants=6)
    counts = manifest["counts"]
    left_out = sum(counts.get(name, 0) for name in ("unchanged", "repeated", "failed"))
    assert counts["rows"] + left_out == 120 * 6 and counts["originals"] == 120
    assert manifest["parameters"]["synonyms"] == "embedded"
    rows = {row["id"]: row for row in read_rows(tead)}
    texts = {normalise(row["text"]) for row in rows.values()}
    for split in ("train", "test"):
        path = tead / "data" / manifest["config"] / f"{split}-00000-of-00001.parquet"
        found = pq.read_table(path).to_pylist()
        assert len(found) == counts[split]
        for row in found:
            before = rows[row["augmented_from"]]
            assert before["split"] == row["split"] == split
            assert row["blendshapes"] == before["blendshapes"]
            assert normalise(row["text"]) not in texts
            texts.add(normalise(row["text"]))
    assert validate(tead).ok


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_files_are_the_same_for_every_batch_size(
    original: Path, tead: Path, tmp_path: Path, size: int
) -> None:
    other = shutil.copytree(original, tmp_path / "other")
    augment_tead(tead, EDA, variants=20)
    augment_tead(other, EDA, variants=20, batch=size)
    files = sorted(path for path in tead.rglob("*") if path.is_file())
    assert len(files) == len([path for path in other.rglob("*") if path.is_file()])
    for path in files:
        assert path.read_bytes() == (other / path.relative_to(tead)).read_bytes(), path


def test_datasets_loads_both_configurations(tead: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    manifest = augment_tead(tead, EDA, variants=2)
    augment_tead(tead, EDA, variants=2)  # again: the card names it once
    assert (tead / "README.md").read_text().count(f"config_name: {manifest['config']}") == 1
    assert (tead / "README.md").read_text().count("## Configuration") == 1
    cache = str(tmp_path / "cache")
    first = load_dataset(str(tead), cache_dir=cache)
    second = load_dataset(str(tead), manifest["config"], cache_dir=cache)
    assert first["train"].num_rows + first["test"].num_rows == 120
    assert second["train"].num_rows == manifest["counts"]["train"]
    assert second["train"].column_names[-3:] == ["augmented_from", "operation", "variant"]


def test_a_failure_leaves_no_configuration(tead: Path) -> None:
    class Broken:
        source = "broken"

        def augment(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    before = {path for path in tead.rglob("*") if path.is_file()}
    with pytest.raises(KeyboardInterrupt):
        augment_tead(tead, Broken())
    assert {path for path in tead.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["../x", "A B", "offline"])
def test_a_bad_name_is_refused(tead: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name for the new configuration"):
        augment_tead(tead, EDA, name=name)


def test_a_folder_that_is_no_tead_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished TEAD"):
        augment_tead(tmp_path, EDA)


def test_the_command_says_where_synonyms_come_from_and_what_was_left_out(tead: Path) -> None:
    import typer

    from expclip.cli.augment import augment as command

    app = typer.Typer()
    app.command()(command)
    found = CliRunner().invoke(app, [str(tead), "--variants", "3", "--embedded-only"])
    assert found.exit_code == 0, found.output
    assert "no WordNet was used or found" in found.output
    assert "had nothing to change" in found.output
    config = json.loads(next(tead.glob("manifest-*.json")).read_text())["config"]
    assert f'"{config}")' in found.output


# Another folder


def test_another_folder_holds_originals_and_variants(tead: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    (tead / ".expclip").mkdir(exist_ok=True)
    (tead / ".expclip" / "secret").write_text("journal")
    before = {path: path.read_bytes() for path in tead.rglob("*") if path.is_file()}
    out = tmp_path / "new" / "place"
    manifest = augment_tead(tead, EDA, variants=3, out=out)
    assert {path: path.read_bytes() for path in tead.rglob("*") if path.is_file()} == before
    assert not (out / ".expclip").exists()
    shutil.rmtree(tead)
    found = validate(out)
    assert found.ok and list(found.augmented) == [manifest["config"]]
    cache = str(tmp_path / "cache")
    assert load_dataset(str(out), cache_dir=cache)["train"].num_rows == found.rows["train"]
    rows = load_dataset(str(out), manifest["config"], cache_dir=cache)
    assert rows["train"].num_rows == manifest["counts"]["train"]


def test_another_folder_has_the_bytes_that_are_written_beside(tead: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    augment_tead(tead, EDA, variants=2, out=out)
    augment_tead(tead, EDA, variants=2, out=out)  # again, onto itself
    augment_tead(tead, EDA, variants=2, out=tead)  # the same as no folder
    files = [path for path in out.rglob("*") if path.is_file()]
    assert files and all(
        path.read_bytes() == (tead / path.relative_to(out)).read_bytes() for path in files
    )


def test_a_folder_with_something_else_is_not_written_to(tead: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something else, expected an empty"):
        augment_tead(tead, EDA, out=out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    other = tmp_path / "other"
    build(other, BuildPlan(("grammar",), CorpusOptions(limit=20)))
    with pytest.raises(DataError, match="holds another data set than"):
        augment_tead(tead, EDA, out=other)
    with pytest.raises(ValueError, match="lie in one another"):
        augment_tead(tead, EDA, out=tead / "inside")


def test_the_command_writes_to_another_folder(tead: Path, tmp_path: Path) -> None:
    import typer

    from expclip.cli.augment import augment as command

    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "a b"
    found = CliRunner().invoke(app, [str(tead), "--embedded-only", "--out", str(out)])
    assert found.exit_code == 0, found.output
    assert f"wrote {out}/data/" in found.output
    assert f"next: expclip tead validate '{out}'" in found.output
    assert not list(tead.glob("manifest-*.json")) and len(list(out.glob("manifest-*.json"))) == 1
