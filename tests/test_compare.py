"""Data sets side by side: what two annotators of the same texts agree on."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from expclip.cli.compare import compare as compare_command
from expclip.face import blendshapes_from_aus
from expclip.face.errors import DataError
from expclip.tead import BuildPlan, CorpusOptions, FakeClient, LlmOptions, build
from expclip.tead.reports.compare import Comparison, compare
from expclip.tead.reports.comparison import comparison_markdown, write_comparison

SMILES_A = {0, 1, 2, 3, 4, 5}
SMILES_B = {0, 1, 2, 3, 6, 7}
MORE = 40  # texts that only the first data set holds


def annotator(smiles: set[int], tags: list[str], intensity: str = "C") -> Callable[[Any], str]:
    """Return a model that sees AU12 in some texts, AU1 in all, and always the same tags."""

    def reply(messages: Any) -> str:
        asked = messages[-1]["content"]
        if not asked.startswith("Text"):
            return json.dumps({"situations": ["A letter brings good news."]})
        found = re.search(r"number (\d+)", asked)
        assert found, asked
        smile = [f"AU12{intensity}"] * (int(found[1]) in smiles)
        return json.dumps({"emotions": tags, "aus": ["AU1C", *smile]})

    return reply


def make(folder: Path, llm: str, reply: Callable[[Any], str], rows: int = 10) -> Path:
    texts = folder / "texts.txt"
    folder.mkdir(exist_ok=True)
    texts.write_text("".join(f"Text with the number {n} of the corpus\n" for n in range(rows)))
    out = folder / llm
    build(out, BuildPlan((str(texts),), llm=LlmOptions(llm)), transport=FakeClient(reply))
    return out


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three TEADs of the same ten texts; the first has 40 more. Not to be changed."""
    place = tmp_path_factory.mktemp("teads")
    return [
        make(place, "alpha", annotator(SMILES_A, ["joy", "pride", "relief"]), 10 + MORE),
        make(place, "beta", annotator(SMILES_B, ["joy", "hope", "relief"])),
        make(place, "gamma", annotator(SMILES_A, ["hope", "awe", "joy"], "E")),
    ]


@pytest.fixture(scope="module")
def three(folders: list[Path]) -> Comparison:
    return compare(folders, draws=200)


def test_kappa_of_two_annotators_is_the_one_computed_by_hand(folders: list[Path]) -> None:
    found = compare(folders[:2], draws=200)
    assert found.rows == 10 and found.alpha is found.mean_alpha is None
    [pair] = found.pairs
    smile = pair.kappa[9]  # AU12: both 4, one alone 2, the other alone 2, neither 2
    assert smile.value == pytest.approx((0.6 - 0.52) / (1 - 0.52))
    assert smile.low < smile.value < smile.high
    assert math.isnan(pair.kappa[0].value), "AU1 is in every row of both"
    assert pair.measures["mean_kappa"].value == pytest.approx(smile.value)


def test_sets_are_described_over_the_shared_rows(three: Comparison) -> None:
    alpha, beta, _ = three.sets
    assert (alpha.name, alpha.rows, beta.rows) == ("alpha", 50, 10)
    assert (alpha.prevalence[0], alpha.prevalence[9]) == (1.0, 0.6)
    assert alpha.units_per_row == pytest.approx(1.6)
    assert len(alpha.empty_units) == 34 and 12 not in alpha.empty_units
    assert alpha.conflicts == 0


def test_tags_and_units_agree_as_counted(three: Comparison) -> None:
    near, far, other = (pair.measures for pair in three.pairs)
    assert near["tag_jaccard"].value == pytest.approx(2 / 4)
    assert near["same_first_tag"].value == 1 and far["same_first_tag"].value == 0
    assert far["tag_jaccard"].value == pytest.approx(1 / 5)
    assert far["first_tag_among"].value == pytest.approx(0.5)  # joy is, hope is not
    assert other["first_tag_among"].value == 1
    # units: 6 rows the same, in 4 rows one of two
    assert near["unit_jaccard"].value == pytest.approx((6 + 4 / 2) / 10)
    assert far["unit_jaccard"].value == far["mean_kappa"].value == 1


def test_distance_of_blendshapes_is_that_of_the_rows_that_differ(three: Comparison) -> None:
    calm, broad = (blendshapes_from_aus(["AU1C", f"AU12{letter}"]) for letter in "CE")
    away = np.abs(broad - calm, dtype=np.float64)
    measures = three.pairs[1].measures
    assert measures["blendshape_mae"].value == pytest.approx(0.6 * away.mean())
    assert measures["blendshape_rms"].value == pytest.approx(np.sqrt(0.6 * (away**2).mean()))
    assert away.max() == pytest.approx(0.5)


def test_alpha_of_three_counts_every_split_row(three: Comparison) -> None:
    assert three.alpha is not None and three.mean_alpha is not None
    # 30 answers: 18 yes, 12 no; four rows split two to one
    expected = 1 - (4 * 2 / 2 * 2 / 30) / (2 * 18 * 12 / (30 * 29))
    assert three.alpha[9].value == pytest.approx(expected)
    assert three.mean_alpha.value == pytest.approx(expected)


def test_the_same_seed_gives_the_same_files(folders: list[Path], tmp_path: Path) -> None:
    texts = []
    for seed in (1, 1, 2):
        paths = write_comparison(compare(folders, draws=50, seed=seed), tmp_path / "out")
        texts.append([path.read_text("utf-8") for path in paths])
    assert texts[0] == texts[1] != texts[2]
    names = ["compare.md", "compare.json", *(f"compare-{n}.svg" for n in ("1-2", "1-3", "2-3"))]
    assert [path.name for path in paths] == names


def test_json_holds_numbers_and_none_for_undefined(folders: list[Path], tmp_path: Path) -> None:
    write_comparison(compare(folders[:2], draws=50), tmp_path)
    text = (tmp_path / "compare.json").read_text("utf-8")
    assert "NaN" not in text
    document = json.loads(text)
    [pair] = document["pairs"]
    assert (pair["first"], pair["second"]) == ("alpha", "beta")
    assert pair["kappa"]["AU12"]["value"] == pytest.approx(1 / 6)
    assert pair["kappa"]["AU1"] == {"value": None, "low": None, "high": None}
    assert document["sets"][0]["prevalence"]["AU12"] == 0.6


def test_table_shows_kappa_shares_and_intervals(three: Comparison) -> None:
    text = comparison_markdown(three)
    assert "10 texts annotated by each" in text
    assert "| same first tag | 100.0% [100.0%, 100.0%] | 0.0% [0.0%, 0.0%] |" in text
    [smile] = [line for line in text.splitlines() if line.startswith("| AU12 ")]
    assert "0.167 [" in smile and smile.endswith("| 60.0% | 60.0% | 60.0% |")
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| AU")}
    assert widths == {9}
    assert "Krippendorff's alpha of all 3" in text


def test_picture_has_a_row_for_each_unit_and_sound_xml(folders: list[Path], tmp_path: Path) -> None:
    paths = write_comparison(compare(folders[:2], draws=50), tmp_path)
    root = ElementTree.parse(paths[-1]).getroot()
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"AU1", "AU12", "AU64", "alpha", "beta"} <= set(words)
    assert words.count("never shown") == 34


def rename(folder: Path, config: str) -> None:
    """Give a data set another configuration, data folder included."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    (folder / "data" / manifest["config"]).rename(folder / "data" / config)
    path.write_text(json.dumps({**manifest, "config": config}))


def test_names_with_signs_break_neither_table_nor_picture(tmp_path: Path) -> None:
    reply = annotator(SMILES_A, ["joy", "pride", "relief"])
    nasty, plain = make(tmp_path, "one", reply), make(tmp_path, "two", reply)
    rename(nasty, "<script>|\x07`a` & \u202eb")
    paths = write_comparison(compare([nasty, plain], draws=10), tmp_path / "out")
    table, picture = paths[0].read_text("utf-8"), paths[-1].read_text("utf-8")
    assert "<script>" not in table + picture and "\x07" not in table and "\u202e" not in table
    assert {line.count("|") for line in table.splitlines() if line.startswith("| AU")} == {5}
    ElementTree.fromstring(picture)


def test_sets_of_one_configuration_go_by_their_folders(folders: list[Path]) -> None:
    found = compare([folders[0], folders[0]], draws=10)
    assert [one.name for one in found.sets] == ["alpha (1)", "alpha (2)"]
    assert found.rows == 50 and found.pairs[0].measures["unit_jaccard"].value == 1


def change(folder: Path, column: str, value: Any, kind: pa.DataType | None = None) -> None:
    """Set a column of the train rows to one value."""
    path = next(folder.glob("data/*/train*"))
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    values = pa.array([value] * len(table), kind or table.schema.field(column).type)
    pq.write_table(table.set_column(place, column, values), path)


def test_conflicts_are_counted(tmp_path: Path) -> None:
    reply = annotator(SMILES_A, ["joy", "pride", "relief"])
    one, two = make(tmp_path, "one", reply), make(tmp_path, "two", reply)
    aus = [0] * 36
    aus[20] = aus[21] = 1  # AU24 and AU25: lips pressed and parted
    change(two, "aus", aus)
    train = len(pq.read_table(next(two.glob("data/*/train*"))))
    assert [each.conflicts for each in compare([one, two], draws=10).sets] == [0, train]


def test_broken_vectors_are_refused(tmp_path: Path) -> None:
    reply = annotator(SMILES_A, ["joy", "pride", "relief"])
    one, two = make(tmp_path, "one", reply), make(tmp_path, "two", reply)
    change(two, "aus", [0] * 35, pa.list_(pa.int8()))
    with pytest.raises(DataError, match=r"numbers in \d+ rows of aus, expected 36 a row"):
        compare([one, two], draws=10)


def test_sets_without_a_common_text_are_refused(folders: list[Path], tmp_path: Path) -> None:
    build(tmp_path / "other", BuildPlan(("grammar",), CorpusOptions(limit=20)))
    with pytest.raises(DataError, match="no text in common, expected data sets built from the"):
        compare([folders[0], tmp_path / "other"])
    with pytest.raises(ValueError, match="1 folders and 1000 draws, expected two folders"):
        compare(folders[:1])
    with pytest.raises(DataError, match="not a finished TEAD"):
        compare([folders[0], tmp_path])


def test_command_prints_the_table_and_names_its_files(folders: list[Path], tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(compare_command)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [*map(str, folders[:2]), "--out", str(out), "--draws", "20"])
    assert done.exit_code == 0, done.output
    assert "| AU12 lip corner puller | 0.167 [" in done.stdout
    assert f"wrote {out / 'compare.svg'}" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("next: expclip tead validate")
