"""The core corpus: every rule of its guideline that a program can check."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from expclip.face import ACTION_UNITS, find_conflicts
from expclip.face.errors import DataError
from expclip.tead import (
    BuildPlan,
    CoreRow,
    Prompts,
    build,
    find_near_duplicates,
    prototypes,
    read_core,
    read_rows,
    validate,
)
from expclip.tead.corpora.core import TRAITS, emotion_words, words_of

ROW: dict[str, Any] = {
    "text": "The bus came early and I was earlier.",
    "register": "message",
    "traits": ["implicit"],
    "emotions": ["pride", "amusement", "relief"],
    "aus": ["AU6B", "AU12C"],
    "situations": ["A boy finds the gate still open."],
}


@pytest.fixture(scope="module")
def rows() -> tuple[CoreRow, ...]:
    return read_core()


def share(rows: tuple[CoreRow, ...], trait: str) -> float:
    return sum(trait in row.traits for row in rows) / len(rows)


def test_there_are_at_least_5000_rows_of_3_to_60_words(rows: tuple[CoreRow, ...]) -> None:
    assert len(rows) >= 5000
    assert {len(row.text.text.split()) for row in rows} <= set(range(3, 61))


def test_traits_have_their_shares(rows: tuple[CoreRow, ...]) -> None:
    assert share(rows, "implicit") >= 1 / 3
    assert share(rows, "mixed") >= 1 / 3
    assert share(rows, "misleading") >= 0.1
    assert share(rows, "neutral") >= 0.1


def test_implicit_texts_hold_no_emotion_word(rows: tuple[CoreRow, ...]) -> None:
    for row in rows:
        assert "implicit" not in row.traits or not emotion_words(row.text.text)


def test_every_emotion_is_first_tag_of_15_rows(rows: tuple[CoreRow, ...]) -> None:
    first = Counter(row.annotation.emotions[0] for row in rows)
    assert {name: first[name] for name in prototypes() if first[name] < 15} == {}


def test_every_unit_is_shown_in_20_rows_and_no_conflict(rows: tuple[CoreRow, ...]) -> None:
    shown: Counter[int] = Counter()
    for row in rows:
        codes = {action.code for action in row.annotation.actions}
        assert not find_conflicts(codes), row.text.text
        shown.update(codes)
    assert {unit.code: shown[unit.code] for unit in ACTION_UNITS if shown[unit.code] < 20} == {}


def test_no_two_texts_are_alike(rows: tuple[CoreRow, ...]) -> None:
    assert list(find_near_duplicates([row.text.text for row in rows], 0.7)) == []


def test_words_are_many_and_openings_differ(rows: tuple[CoreRow, ...]) -> None:
    words = [words_of(row.text.text) for row in rows]
    assert len({word for text in words for word in text}) >= 8000
    [(_, most)] = Counter(" ".join(text[:5]) for text in words).most_common(1)
    assert most <= 8


def test_texts_are_repaired_already(rows: tuple[CoreRow, ...]) -> None:
    from expclip.tead import repair

    assert [row.text.text for row in rows if repair(row.text.text) != row.text.text] == []


def test_build_takes_core_with_its_own_annotations(
    rows: tuple[CoreRow, ...], tmp_path: Path
) -> None:
    manifest = build(tmp_path / "out", BuildPlan(("core",)))
    assert (manifest["config"], manifest["counts"]["rows"]) == ("core", len(rows))
    built = {row["text"]: row for row in read_rows(tmp_path / "out")}
    for row in rows:
        one = built[row.text.text]
        assert (one["llm"], one["source"], one["synthetic"]) == ("core", "core", False)
        assert tuple(one["au_codes"]) == row.annotation.au_codes
        assert tuple(one["emotions"]) == row.annotation.emotions
        assert tuple(one["situations"]) == row.annotation.situations
    assert validate(tmp_path / "out").ok


def test_worked_examples_of_the_prompts_are_rows_of_core(rows: tuple[CoreRow, ...]) -> None:
    known = {row.text.text: row.annotation for row in rows}
    for line in Prompts.load().templates["examples.jsonl"].splitlines():
        example = json.loads(line)
        annotation = known[example["text"]]
        assert tuple(example["emotions"]) == annotation.emotions
        assert tuple(example["aus"]) == annotation.au_codes
        assert tuple(example["situations"]) == annotation.situations


def test_alike_texts_are_found() -> None:
    texts = ["one two three four five", "Other words here entirely", "One, two, three, four!"]
    assert list(find_near_duplicates(texts, 0.5)) == [(0, 2, pytest.approx(2 / 3))]
    assert list(find_near_duplicates(texts, 0.7)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "Too short"}, "2 words, expected 3 to 60"),
        ({"text": "Two  spaces in here"}, "on one line"),
        ({"register": "poem"}, "register 'poem', expected one of caption"),
        ({"traits": ["funny"]}, f"traits .*, expected some of {', '.join(TRAITS)}"),
        ({"emotions": ["pride"]}, "1 emotion tags, expected 3 to 5"),
        ({"aus": ["AU12"]}, "a unit without intensity letter"),
        ({"aus": ["AU12B", "AU12C"]}, "a unit twice"),
        ({"aus": ["AU24B", "AU25C"]}, "one face cannot show AU24 with AU25"),
        ({"aus": ["AU99B"]}, "AU99"),
        ({"aus": []}, "no action unit"),
        ({"situations": []}, "0 situations, expected 1 to 3"),
        ({"text": "I was so happy about it"}, "implicit, but has the emotion word 'happy'"),
    ],
)
def test_a_row_that_breaks_a_rule_is_told(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW | change) + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl: row 1: .*{message}|row 1: {message}"):
        read_core(tmp_path)


@pytest.mark.parametrize("line", ["[]", "{", '{"text": 5}', '"x"', json.dumps(ROW | {"aus": 12})])
def test_a_line_that_is_no_row_is_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl: row 1: not an object with text, register"):
        read_core(tmp_path)


def test_a_text_that_stands_there_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps(ROW | {"text": ROW["text"].upper()}) + "\n")
    with pytest.raises(DataError, match=r"b\.jsonl: row 1: the text stands already in a\.jsonl"):
        read_core(tmp_path)
    with pytest.raises(DataError, match="no row of core found"):
        read_core(_empty(tmp_path))


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
