"""Corpora: repair, shapes of tables, what is left out, and mistakes."""

# ruff: noqa: RUF001  (damaged and full-width characters are what is tested)

import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.hub import HubServer

from expclip.face.errors import DataError
from expclip.tead import CorpusOptions, normalise, read_corpus, repair
from expclip.tead.corpora.corpus import Corpus

SHARED = Path(__file__).parents[2] / "shared" / "data" / "corpora"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data here")


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_bytes(text.encode(encoding))
    return str(path)


def texts(corpus: Corpus) -> list[str]:
    return [item.text for item in corpus.texts]


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("so happy ðŸ˜Š", "so happy 😊"),
        ("Itâ€™s over", "It’s over"),
        ("salt &amp; pepper &lt;3", "salt & pepper <3"),
        ("  two\tlines\n here ", "two lines here"),
        ("written\\nout", "written out"),
        ("nul\x00 bell\x07", "nul bell"),
        ("right \u202eto left", "right to left"),
        ("lone \ud83d half", "lone half"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
        ("Ｆｕｌｌ width stays", "Ｆｕｌｌ width stays"),
    ],
)
def test_repair_undoes_damage(broken: str, whole: str) -> None:
    assert repair(broken) == whole


def test_mentions_and_urls_are_masked_on_request() -> None:
    text = "@ann_b look: https://example.org/x?y=1 and www.example.org, mail a@b.org"
    assert repair(text, mask=True) == "@user look: http and http mail a@b.org"
    assert repair(text) == text


@given(st.text(max_size=200))
def test_repair_gives_one_printable_line_and_is_stable(text: str) -> None:
    once = repair(text)
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(character) for character in once}
    assert once == once.strip()
    once.encode("utf-8")


def test_texts_are_the_same_whatever_their_case_spacing_and_punctuation() -> None:
    assert normalise("Oh, NO!!") == normalise("oh no") != normalise("oh know")
    assert normalise("fine 😊") != normalise("fine 😡")


def test_text_file_has_one_text_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.txt", "first one\n\nsecond one\nFirst one!\n...\n")
    corpus = read_corpus([path])
    assert texts(corpus) == ["first one", "second one"]
    assert corpus.left_out == {"empty": 2, "duplicate": 1}
    assert {item.source for item in corpus.texts} == {"mine"}


def test_csv_is_read_by_its_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,Text,emotion\n1,"one, two",joy\n2,three,"fear,anger"\n')
    corpus = read_corpus([path])
    assert [(item.text, item.labels) for item in corpus.texts] == [
        ("one, two", ("joy",)),
        ("three", ("fear", "anger")),
    ]


def test_column_is_named_or_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,body,emotion\n1,hello there,joy\n")
    assert texts(read_corpus([path], CorpusOptions(text_column="Body"))) == ["hello there"]
    assert texts(read_corpus([path], CorpusOptions(text_column="2"))) == ["hello there"]
    with pytest.raises(DataError, match="no text column among id, body, emotion"):
        read_corpus([path])
    with pytest.raises(DataError, match="column 'tweet' not found, expected one of id, body"):
        read_corpus([path], CorpusOptions(text_column="tweet"))


def test_go_emotions_shape_is_known(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.tsv", 'so kind of "you\t15,0\tabc123\nwhat?\t7\tdef456\n')
    corpus = read_corpus([path])
    assert [(item.text, item.labels) for item in corpus.texts] == [
        ('so kind of "you', ("gratitude", "admiration")),
        ("what?", ("curiosity",)),
    ]


def test_emoint_shape_is_known(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "10000\tI am fuming\tanger\t0.9\n10001\tno!!\tanger\t0.5\n")
    assert [item.labels for item in read_corpus([path]).texts] == [("anger",), ("anger",)]


def test_no_row_of_a_table_without_header_is_lost(tmp_path: Path) -> None:
    lines = "".join(f"{n}\tit is day number {n}\n" for n in range(450))
    corpus = read_corpus([write(tmp_path / "days.tsv", lines)])
    assert texts(corpus) == [f"it is day number {n}" for n in range(450)]


def test_jsonl_and_parquet_are_read(tmp_path: Path) -> None:
    lines = '{"sentence": "one thing", "labels": ["Joy"]}\n\n{"sentence": "two", "labels": null}\n'
    corpus = read_corpus([write(tmp_path / "a.jsonl", lines)])
    assert [(item.text, item.labels) for item in corpus.texts] == [
        ("one thing", ("joy",)),
        ("two", ()),
    ]
    pq.write_table(pa.table({"comment": ["x y", "z"], "n": [1, 2]}), tmp_path / "b.parquet")
    assert texts(read_corpus([str(tmp_path / "b.parquet")])) == ["x y", "z"]


def test_several_corpora_become_one_without_duplicates(tmp_path: Path) -> None:
    first = write(tmp_path / "a.txt", "one\ntwo\n")
    second = write(tmp_path / "b.txt", "Two.\nthree\n")
    corpus = read_corpus([first, second])
    assert [(item.text, item.source) for item in corpus.texts] == [
        ("one", "a"),
        ("two", "a"),
        ("three", "b"),
    ]
    assert corpus.left_out == {"duplicate": 1}


def test_long_texts_are_left_out_and_the_limit_counts_usable_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x" * 1_000_000 + "\none\ntwo\nthree\n")
    corpus = read_corpus([path], CorpusOptions(limit=2))
    assert texts(corpus) == ["one", "two"]
    assert corpus.left_out == {"too long": 1}


def test_other_encodings_are_read_when_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "déjà vu\n", "cp1252")
    assert texts(read_corpus([path], CorpusOptions(encoding="cp1252"))) == ["déjà vu"]
    with pytest.raises(DataError, match=r"a\.txt: not utf-8 \(found byte 0xe9\), name its encod"):
        read_corpus([path])
    with pytest.raises(DataError, match="unknown encoding 'cp9999'"):
        read_corpus([path], CorpusOptions(encoding="cp9999"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "no such file"),
        ("empty.txt", "", "no usable text found"),
        ("empty.csv", "", "the file is empty"),
        ("blank.txt", "\n \n...\n", "no usable text found"),
        ("broken.jsonl", '{"text": "a"}\n{"text"\n', "line 2 is not JSON"),
        ("list.jsonl", "[1]\n", r"line 1 is \[1\], expected an object"),
        ("fake.parquet", "not parquet at all", "not a Parquet file"),
        ("short.csv", "id,text\n1,a\n2\n", "row 2 has 1 columns, expected at least 2"),
        ("mine.docx", "x", "cannot read '.docx', expected one of .txt .csv"),
    ],
)
def test_mistakes_are_told_in_one_line(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as caught:
        read_corpus([str(tmp_path / name)])
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_nothing_known_is_told() -> None:
    with pytest.raises(DataError, match="neither a file, a known corpus"):
        read_corpus(["what is this?"])


def test_grammar_texts_are_marked_synthetic() -> None:
    corpus = read_corpus(["grammar"], CorpusOptions(limit=20))
    assert len(corpus.texts) == 20
    assert all(item.synthetic and item.source == "grammar" for item in corpus.texts)


@pytest.mark.parametrize("option", [{"max_chars": 0}, {"limit": 0}])
def test_wrong_options_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        CorpusOptions(**option)


@needs_shared
def test_real_go_emotions_file_is_read_whole() -> None:
    corpus = read_corpus([str(SHARED / "goemotions_dev.tsv")])
    assert len(corpus.texts) + sum(corpus.left_out.values()) == 5426
    assert corpus.left_out.keys() <= {"duplicate", "empty"}
    assert all(item.labels for item in corpus.texts)


@needs_shared
def test_real_emoint_files_are_repaired() -> None:
    corpus = read_corpus([str(path) for path in sorted(SHARED.glob("emoint_*"))])
    assert len(corpus.texts) > 3500
    damaged = [item.text for item in corpus.texts if "ðŸ" in item.text or "â€" in item.text]
    assert damaged == []
    assert sum("😂" in item.text for item in corpus.texts) > 20


def test_hub_data_set_is_read_with_the_names_of_its_labels(
    hub: Callable[..., HubServer], tmp_path: Path
) -> None:
    server = hub()
    code = """
import sys
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from expclip.tead import CorpusOptions, read_corpus
from expclip.face.errors import DataError

features = Features({"text": Value("string"), "label": ClassLabel(names=["anger", "joy"])})
train = Dataset.from_dict({"text": ["I won!", "Go away."], "label": [1, 0]}, features)
test = Dataset.from_dict({"text": ["Lovely day."], "label": [1]}, features)
DatasetDict(train=train, test=test).push_to_hub("expclip/moods", "plain")
corpus = read_corpus(["expclip/moods:plain"])
print([(item.text, item.labels, item.source) for item in corpus.texts])
print(len(read_corpus(["expclip/moods:plain"], CorpusOptions(split="test")).texts))
for name, options in (
    ("expclip/moods:plain", CorpusOptions(split="dev")),
    ("expclip/nowhere", CorpusOptions()),
):
    try:
        read_corpus([name], options)
    except DataError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=server.env(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows, few, split, missing = done.stdout.splitlines()
    assert rows == str(
        [
            ("I won!", ("joy",), "expclip/moods:plain"),
            ("Go away.", ("anger",), "expclip/moods:plain"),
            ("Lovely day.", ("joy",), "expclip/moods:plain"),
        ]
    )
    assert few == "1"
    assert split == "expclip/moods:plain: no split 'dev', expected one of train, test"
    assert missing.startswith("expclip/nowhere: not a file here, and not loaded from the Hub: ")
