"""Augmentation: each operation, its independence of batching, and the configuration it writes."""

import json
import random
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from expclip.face.errors import DataError, MissingExtra
from expclip.tead import BuildPlan, CorpusOptions, build, normalise, prototypes, read_rows, validate
from expclip.tead.augment import (
    OPERATIONS,
    Augmenter,
    Eda,
    NlpaugAugmenter,
    augment,
    augment_rows,
    augment_tead,
)
from expclip.tead.synonyms import emotion_table, is_emotional, load_synonyms
from expclip.tead.wordnet import find_wordnet, load_wordnet

OWN = load_synonyms(False)
EDA = Eda(synonyms=OWN)

# A database of three synsets, in the format of wndb(5WN), with a licence line as it has.
DATA = {
    "data.noun": "  1 licence\n00000001 06 n 03 car 0 auto 0 motor_car 0 000 | a vehicle\n"
    "00000002 05 n 01 goose 0 000 | a bird\n00000003 05 n 02 goose 0 Gander 0 000 | a bird\n",
    "data.verb": "00000001 38 v 02 run 0 bolt 0 000 01 + 02 00 | go fast\n",
    "data.adj": "00000001 00 s 03 big(a) 0 large 0 jealous 0 000 | great\n",
    "data.adv": "",
    "noun.exc": "geese goose\n",
    "verb.exc": "ran run\n",
    "adj.exc": "bigger big\n",
    "adv.exc": "",
}


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a WordNet of three synsets, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "dict"
    folder.mkdir()
    for name, text in DATA.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An offline TEAD of 120 rows; not to be changed."""
    out = tmp_path_factory.mktemp("augment") / "tead"
    build(out, BuildPlan(("grammar",), CorpusOptions(limit=120)))
    return out


@pytest.fixture
def tead(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tead")


def one(text: str, operation: str, **options: Any) -> str:
    eda = Eda([operation], **({"synonyms": OWN} | options))
    return eda.augment([text], ["row"])[0].text


def words(text: str) -> list[str]:
    return text.lower().split()


def test_an_emotion_word_is_replaced_within_its_emotion_and_form() -> None:
    assert one("I was petrified.", "synonym") == "I was terrified."
    assert one("JEALOUS and Petrified!", "synonym") == "JEALOUS and Terrified!"
    assert one("(She LOATHES it)", "synonym") in {
        f"(She {word} it)" for word in ("HATES", "DETESTS", "DESPISES")
    }


def test_protected_emotion_words_stay() -> None:
    synonyms = load_synonyms(False, "protect")
    assert one("I was petrified.", "synonym", synonyms=synonyms) == "I was petrified."


def test_insertion_adds_one_synonym_and_moves_nothing() -> None:
    found = one("I was petrified.", "insertion")
    assert words(found).count("terrified") == 1
    assert found.replace("terrified ", "") == "I was petrified."


def test_swap_keeps_punctuation_and_capitals_in_their_places() -> None:
    assert one("Up, down!", "swap") == "Down, up!" or one("Up, down!", "swap") == "Down, Up!"
    assert one("alone", "swap") == "alone"


def test_stop_words_go_but_negations_and_feelings_stay() -> None:
    found = one("I am not happy with the way that it was", "stop_words")
    assert found == "not happy way"
    assert one("I am with you", "stop_words") == "I am with you"  # nothing else would be left


def test_deletion_takes_all_but_what_matters() -> None:
    found = one("never go there @bob #tag http://x.y sad 😂 42", "deletion", alpha=1.0)
    assert found == "never @bob #tag http://x.y sad 😂 42"
    assert one("table chair", "deletion", alpha=1.0) == "table chair"


def test_sentences_are_shuffled_whole_and_never_to_the_same_order() -> None:
    assert one("It rains. I stay!", "sentences") == "I stay! It rains."
    found = {v.text for v in Eda(["sentences"], synonyms=OWN).augment(
        ["A b. C d? E f"], ["x"], variants=40)}  # fmt: skip
    assert found == {"A b. E f C d?", "C d? A b. E f", "C d? E f A b.", "E f A b. C d?",
                     "E f C d? A b."}  # fmt: skip


def test_the_share_of_words_is_alpha_and_at_least_one() -> None:
    text = "furious " * 20
    for alpha, expected in ((0.1, 2), (0.5, 10), (0.01, 1), (1.0, 20)):
        assert words(one(text, "synonym", alpha=alpha)).count("furious") == 20 - expected


def test_deletion_takes_the_share_it_says() -> None:
    found = one("table " * 20_000, "deletion", alpha=0.1)
    assert len(words(found)) == pytest.approx(18_000, abs=170)  # four standard deviations


def test_every_synonym_is_drawn_equally_often() -> None:
    eda = Eda(["synonym"], synonyms=OWN)
    found = [v.text for v in eda.augment(["hate"] * 3000, list(map(str, range(3000))))]
    counts = [found.count(word) for word in ("loathe", "detest", "despise")]
    assert sum(counts) == 3000 and min(counts) > 890 and max(counts) < 1110


def test_variants_take_the_operations_in_turn() -> None:
    found = EDA.augment(["a b", "c d"], ["x", "y"], variants=8)
    assert [v.id for v in found] == ["x"] * 8 + ["y"] * 8
    assert [v.variant for v in found] == [*range(8)] * 2
    assert [v.operation for v in found[:8]] == [*OPERATIONS, "synonym", "insertion"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batching_changes_no_byte(size: int) -> None:
    texts = [f"Row {n} was a happy day. The dog, number {n}, ran home!" for n in range(300)]
    ids = [f"id{n}" for n in range(300)]
    together = Eda(synonyms=OWN).augment(texts, ids, seed=3, variants=7)
    eda, apart = Eda(synonyms=OWN), []
    for start in reversed(range(0, 300, size)):
        end = start + size
        apart.append(eda.augment(texts[start:end], ids[start:end], seed=3, variants=7))
    assert [v for part in reversed(apart) for v in part] == together


def test_seed_id_and_variant_each_change_the_result() -> None:
    text = "The furious dog ran home and the happy cat sat near the old wooden door"
    eda = Eda(["swap"], synonyms=OWN, alpha=0.5)

    def made(id_: str, seed: int) -> list[str]:
        return [v.text for v in eda.augment([text], [id_], seed=seed, variants=3)]

    assert len({*made("a", 0), *made("b", 0), *made("a", 1), *made("a", -1)}) == 12
    assert made("a", 2**70) == made("a", 2**70)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(), max_size=4), st.integers(), st.sampled_from(OPERATIONS))
def test_any_text_gives_only_its_own_words_and_synonyms(
    texts: list[str], seed: int, operation: str
) -> None:
    eda = Eda([operation], synonyms=OWN, alpha=0.5)
    found = eda.augment(texts, [str(n) for n in range(len(texts))], seed=seed, variants=2)
    assert len(found) == 2 * len(texts)
    for n, variant in enumerate(found):
        text = texts[n // 2]
        assert (variant.text == text) == (variant.outcome == "unchanged")
        if text.isprintable():
            assert variant.text.isprintable()
        if variant.outcome == "unchanged":
            continue
        if operation in ("deletion", "stop_words", "sentences"):
            rest = variant.text.split()
            assert all(rest.count(word) <= text.split().count(word) for word in rest)
        letters = {c for c in text.lower() if c.isalnum()}
        if operation == "swap":
            assert {c for c in variant.text.lower() if c.isalnum()} <= letters | set(
                text.upper().lower()
            )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["happy", "Furious,", "not", "dog", "the", "😂", "@me", "I"])))
def test_emoji_links_and_negations_survive_every_operation(chunks: list[str]) -> None:
    for variant in EDA.augment([" ".join(chunks)], ["x"], variants=len(OPERATIONS)):
        for sign in ("😂", "@me"):
            assert variant.text.split().count(sign) == chunks.count(sign)
        assert variant.text.lower().replace(",", "").split().count("not") >= chunks.count("not")


@pytest.mark.parametrize("text", ["", "   ", "😂😂", "!!!", "a" * 100_000 + "!" * 100_000 + "b"])
def test_a_text_with_nothing_to_do_comes_back_to_the_letter(text: str) -> None:
    found = EDA.augment([text], ["x"], variants=6)
    assert {(v.text, v.outcome) for v in found} == {(text, "unchanged")}


def test_a_long_text_is_no_trouble() -> None:
    text = " ".join(f"The dog was happy {n} times." for n in range(20_000))
    found = EDA.augment([text, "I hate it"], ["x", "y"], variants=6)
    assert [v.outcome for v in found[:6]] == ["changed"] * 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operations": ["shout"]}, "no operation 'shout', expected synonym, "),
        ({"alpha": 0.0}, "alpha must be above 0 and at most 1, got 0.0"),
        ({"variants": 0}, "variants must be at least 1, got 0"),
        ({"ids": []}, "1 texts with 0 ids"),
        ({"emotion_words": "maybe"}, "emotion_words is 'maybe', expected same, protect, free"),
    ],
)
def test_a_wrong_argument_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augment(["text"], **({"ids": ["x"], "wordnet": False} | options))


def test_the_table_names_known_emotions_and_each_word_once() -> None:
    path = Path(__file__).parents[1] / "tead" / "data" / "synonyms.csv"
    rows = [line.split(",") for line in path.read_text("utf-8").splitlines()[1:]]
    assert {emotion for emotion, _, _ in rows} <= prototypes().keys()
    listed = [word for _, _, group in rows for word in group.split()]
    assert len(listed) == len(set(listed)) == len(emotion_table())
    assert all(word.isascii() and word.isalpha() and word.islower() for word in listed)
    assert all(map(is_emotional, listed))


def test_wordnet_is_read_with_its_morphology(wordnet: Path) -> None:
    table = load_wordnet(wordnet)
    assert table.of("car") == ("auto", "motor car")
    assert table.of("cars") == ("auto", "motor car")
    assert table.of("geese") == ("gander",)
    assert table.of("ran") == ("bolt",)
    assert table.of("running") == ()  # morphy doubles no consonants
    assert table.of("bigger") == ("jealous", "large")
    assert table.of("unknown") == ()


def test_no_emotion_word_comes_from_wordnet(wordnet: Path) -> None:
    assert load_synonyms(wordnet).of("big") == ("large",)
    assert load_synonyms(wordnet, "free").of("big") == ("jealous", "large")
    assert "WordNet in" in load_synonyms(wordnet).source
    assert "no WordNet was used or found" in OWN.source


def test_the_compiled_table_is_cached_and_a_broken_one_made_again(
    wordnet: Path, tmp_path: Path
) -> None:
    before = load_wordnet(wordnet).of("car")
    (cached,) = (tmp_path / "cache" / "expclip").iterdir()
    stamp = cached.stat().st_mtime_ns
    assert load_wordnet(wordnet).of("car") == before
    assert cached.stat().st_mtime_ns == stamp
    cached.write_bytes(cached.read_bytes()[:100])
    assert load_wordnet(wordnet).of("car") == before
    (wordnet / "adv.exc").write_text("better well\n")
    load_wordnet(wordnet)
    assert len(list(cached.parent.iterdir())) == 2


def test_a_wordnet_of_nltk_is_found_and_read_from_its_archive(
    wordnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "nltk_data" / "corpora" / "wordnet.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        for name in DATA:
            file.write(wordnet / name, f"wordnet/{name}")
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk_data"))
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "none"))
    assert find_wordnet() == archive
    assert load_wordnet(archive).of("car") == ("auto", "motor car")


def test_a_folder_without_wordnet_is_told(wordnet: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no WordNet database"):
        load_wordnet(tmp_path)
    (wordnet / "data.verb").write_text("00000001 38 v zz run\n")
    with pytest.raises(DataError, match=r"data.verb: line 1 is no synset"):
        load_wordnet(wordnet)


class Moody:
    """As nlpaug's: answers lists, [] for "", draws from the global generators, may fail."""

    name = "Moody"

    def augment(self, text: str) -> list[str]:
        if "bad" in text:
            raise IndexError("no such word")
        if not text:
            return []
        return [f"{text} {random.random()} {np.random.random()}"]  # noqa: NPY002


def test_one_bad_row_never_loses_the_batch() -> None:
    found = NlpaugAugmenter(Moody()).augment(["fine", "bad", ""], ["a", "b", "c"])
    assert [v.outcome for v in found] == ["changed", "failed", "unchanged"]
    assert [v.text for v in found[1:]] == ["bad", ""]


def test_a_plug_in_is_seeded_per_row_and_leaves_the_generators_alone() -> None:
    plug_in = NlpaugAugmenter(Moody())
    assert isinstance(plug_in, Augmenter) and isinstance(EDA, Augmenter)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    together = plug_in.augment(["one", "two"], ["a", "b"], seed=1, variants=2)
    assert random.random() == expected
    assert plug_in.augment(["two"], ["b"], seed=1, variants=2) == together[2:]
    assert len({v.text for v in together}) == 4
    with pytest.raises(ValueError, match="has no method augment"):
        NlpaugAugmenter(3)


def test_missing_nlpaug_names_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nlpaug.augmenter.word", None)
    monkeypatch.setitem(sys.modules, "nlpaug", None)
    with pytest.raises(MissingExtra, match=r"pip install 'expclip\[augment\]'"):
        NlpaugAugmenter()


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
