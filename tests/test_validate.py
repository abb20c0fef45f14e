"""What a finished data set is told about itself."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expclip.face.errors import DataError
from expclip.tead import (
    BuildPlan,
    CorpusOptions,
    FakeClient,
    LlmOptions,
    Validation,
    build,
    split_of,
    validate,
)
from expclip.tead.duplicates import find_near_duplicates
from expclip.tead.language import count_letters

SENTENCE = (
    "When the last train had left without me it began to snow and I walked home along the "
    "river, past the {} lights"
)
PLAIN = [
    "My sister called from the hospital, the baby is here",
    "They gave the part to somebody else again",
    "Nobody told me that the shop would close this week",
    "The dog waited for him at the gate every evening",
]


def twins() -> tuple[list[str], list[str]]:
    """Return variants of one sentence that fall to train, and to test."""
    texts = [SENTENCE.format(word) for word in ("green", "red", "blue", "pale", "dim", "old")]
    texts += [SENTENCE.format(f"number{number}") for number in range(60)]
    train = [text for text in texts if split_of(text) == "train"]
    return train, [text for text in texts if text not in train]


def make(folder: Path, texts: Iterable[str], said: Sequence[dict[str, Any]] = ()) -> Path:
    """Build a TEAD of some texts; ``said`` are the tags and units, in turn."""
    corpus, out = folder / "texts.txt", folder / "out"
    corpus.write_text("\n".join(texts) + "\n", "utf-8")
    answers = {
        text: json.dumps(said[number % len(said)])
        for number, text in enumerate(corpus.read_text("utf-8").splitlines())
        if said
    }
    if not said:
        build(out, BuildPlan((str(corpus),)))
        return out

    def reply(messages: Any) -> str:
        asked = messages[-1]["content"]
        if not asked.startswith("Text"):
            return json.dumps({"situations": ["A letter brings good news."]})
        return next(answer for text, answer in answers.items() if text in asked)

    build(out, BuildPlan((str(corpus),), llm=LlmOptions("m")), transport=FakeClient(reply))
    return out


# Near-duplicates


def test_texts_that_share_most_trigrams_are_found() -> None:
    texts = ["a b c d e f", "x y z", "A, b. c d e g!", "a b c d e f"]
    found = list(find_near_duplicates(texts, 0.6))
    # abc bcd cde def, and the same but deg: three of five
    assert found == [(0, 2, pytest.approx(0.6)), (0, 3, 1.0), (2, 3, pytest.approx(0.6))]
    assert list(find_near_duplicates(texts, 0.61)) == [(0, 3, 1.0)]


def test_near_duplicates_are_those_of_comparing_all_pairs() -> None:
    rng = np.random.default_rng(7)
    texts = [" ".join(rng.choice(list("abcde"), rng.integers(3, 12))) for _ in range(300)]
    grams = [set(zip(t.split(), t.split()[1:], t.split()[2:], strict=False)) for t in texts]
    for least in (0.3, 0.5, 0.9):
        expected = [
            (first, second, pytest.approx(len(one & two) / len(one | two)))
            for second, two in enumerate(grams)
            for first, one in enumerate(grams[:second])
            if len(one & two) / len(one | two) >= least
        ]
        assert list(find_near_duplicates(texts, least)) == expected
        assert least == 0.9 or len(expected) > 20


def test_short_empty_and_unspaced_texts_are_compared_too() -> None:
    assert list(find_near_duplicates([])) == []
    assert list(find_near_duplicates(["", "", "Oh no", "oh, NO!", "no"])) == [(2, 3, 1.0)]
    snow = ["終電が行ってしまって雪が降り出した", "終電が行ってしまって雪が降り始めた"]
    assert len(find_near_duplicates(snow, 0.5)) == 1


def test_a_sentence_repeated_without_end_is_compared_with_the_first_hundred() -> None:
    found = find_near_duplicates(["One and the same text"] * 1000)
    assert set(found.second.tolist()) == set(range(1, 1000))
    assert len(found) < 100 * 1000


@pytest.mark.parametrize("least", [0.0, 1.1])
def test_a_similarity_out_of_range_is_refused(least: float) -> None:
    with pytest.raises(ValueError, match="least must be above 0"):
        find_near_duplicates(["a"], least)


def test_near_duplicates_across_splits_are_a_warning_with_examples(tmp_path: Path) -> None:
    train, test = twins()
    found = validate(make(tmp_path, [*PLAIN, *train[:3], *test[:2]]))
    assert found.ok
    assert found.near_across == 2
    assert found.near_within == 3  # two later ones of train, one of test
    count, example = found.warnings["nearly the same text in another split"]
    rows = {
        row["id"]: row["split"]
        for path in (tmp_path / "out").glob("data/*/*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert count == 2 and rows[example] == "test"
    pair = found.near_examples[0]
    assert [rows[id] for id in pair.ids] == ["train", "test"]
    assert pair.texts[0] in train and pair.texts[1] in test
    assert 0.7 <= pair.similarity < 1


def test_different_texts_warn_of_nothing(tmp_path: Path) -> None:
    found = validate(make(tmp_path, [*PLAIN, twins()[0][0]]))
    assert (found.near_within, found.near_across, found.near_examples) == (0, 0, ())
    assert found.warnings == {}
    assert found.flagged is None


# Units and prototypes


def test_shares_of_units_and_prototypes_are_counted(tmp_path: Path) -> None:
    said = [
        {"emotions": ["joy", "pride", "relief"], "aus": ["AU6C", "AU12D"]},
        {"emotions": ["joy", "pride", "relief"], "aus": ["AU1C", "AU4D", "AU15C"]},
        {"emotions": ["sadness", "loss", "grief"], "aus": ["AU1C"]},
        {
            "emotions": ["fear", "panic", "dread"],
            "aus": [f"AU{code}C" for code in (1, 2, 4, 5, 7, 10, 20, 25, 26, 64)],
        },
    ]
    found = validate(make(tmp_path, PLAIN, said))
    assert found.ok, found.errors
    assert found.au1_share == 0.75
    assert found.unusual_share == 0.5  # one row of one unit, one of ten
    assert found.units_per_row == 4
    assert found.prototypes["joy"] == (1, 2)
    assert set(found.prototypes) == {"joy", "sadness", "fear"}


def test_an_empty_validation_divides_by_nothing() -> None:
    empty = Validation()
    assert (empty.au1_share, empty.ok, len(empty.empty_units)) == (0.0, True, 36)


# Language and plug-in


def test_letters_of_other_scripts_are_counted() -> None:
    assert count_letters("Café, naïve 12!") == (0, 9)
    assert count_letters("Да, yes") == (2, 5)
    assert count_letters("雪 😀 123") == (1, 1)
    assert count_letters("… 12 😀") == (0, 0)


def test_texts_in_other_scripts_are_a_warning(tmp_path: Path) -> None:
    found = validate(make(tmp_path, [*PLAIN, "Последний поезд ушёл без меня, пошёл снег"]))
    assert found.ok
    assert found.warnings["most letters are not Latin"][0] == 1
    letters = sum(count_letters(text)[1] for text in PLAIN)
    assert found.non_latin_share == pytest.approx(34 / (letters + 34))


def test_a_plug_in_flags_texts(tmp_path: Path) -> None:
    out = make(tmp_path, [*PLAIN, *(f"Some text with the number {n}" for n in range(600))])
    asked: list[int] = []

    def flag(texts: Sequence[str]) -> list[bool]:
        asked.append(len(texts))
        return ["hospital" in text or text.endswith("599") for text in texts]

    found = validate(out, flag=flag)
    assert found.flagged == 2
    assert found.warnings["flagged by the plug-in"][0] == 2
    assert sum(asked) == 604 and max(asked) <= 256
    assert found.ok


def test_a_plug_in_that_flags_nothing_is_told_from_none(tmp_path: Path) -> None:
    out = make(tmp_path, PLAIN)
    assert validate(out, flag=lambda texts: [False] * len(texts)).flagged == 0
    with pytest.raises(ValueError, match="0 answers for 4 texts, expected one for each"):
        validate(out, flag=lambda texts: [])


def test_a_vector_too_long_is_an_error_and_no_crash(tmp_path: Path) -> None:
    out = make(tmp_path, PLAIN)
    for path in out.glob("data/*/*.parquet"):
        table = pq.read_table(path)
        place = table.schema.get_field_index("aus")
        longer = pa.array([[1] * 40] * len(table), pa.list_(pa.int8()))
        pq.write_table(table.set_column(place, "aus", longer), path)
    assert "aus is not 36 zeros and ones" in validate(out).errors


def test_the_offline_build_has_its_figures(tmp_path: Path) -> None:
    build(tmp_path / "out", BuildPlan(("grammar",), CorpusOptions(limit=300)))
    found = validate(tmp_path / "out")
    assert found.ok and found.non_latin_share == 0
    assert 0 < found.au1_share < 1 and 0 <= found.unusual_share < 0.2
    hits, rows = map(sum, zip(*found.prototypes.values(), strict=True))
    assert 0 < hits <= rows <= 300


def test_a_row_without_a_text_is_one_line(tmp_path: Path) -> None:
    out = make(tmp_path, PLAIN)
    path = next((out / "data").rglob("train-*.parquet"))
    table = pq.read_table(path)
    texts = pa.array([None, *table["text"].to_pylist()[1:]], pa.string())
    pq.write_table(table.set_column(table.column_names.index("text"), "text", texts), path)
    with pytest.raises(DataError, match=r"train-.*: an empty value in column text"):
        validate(out)
