"""The embedded corpus' grammar: counts, distinctness, stability, and clean English."""

import hashlib
import re
from collections import Counter

import pytest

from expclip.tead.corpora.grammar import CAPACITY, GRAMMAR_VERSION, grammar_texts
from expclip.tead.emotions import prototypes
from expclip.tead.schema import SourceText

# A change of the material or the engine changes this hash: then raise GRAMMAR_VERSION too.
GOLDEN = {"1": "a9e330ae0e1ea5135977fe1b2e2ee1ae64c8b1a69089cecda5edb7c557b2b8c6"}


@pytest.fixture(scope="module")
def corpus() -> list[SourceText]:
    return grammar_texts()


def digest(rows: list[SourceText]) -> str:
    lines = (f"{'+'.join(row.labels)}\t{row.text}\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_there_are_fifty_thousand_texts(corpus: list[SourceText]) -> None:
    assert len(corpus) == 50_000


def test_texts_differ_in_more_than_case_and_punctuation(corpus: list[SourceText]) -> None:
    assert len({re.sub(r"[\W_]", "", row.text.lower()) for row in corpus}) == len(corpus)


def test_texts_are_marked_as_made_by_the_grammar(corpus: list[SourceText]) -> None:
    assert {(row.source, row.synthetic) for row in corpus} == {("grammar", True)}


def test_fewer_texts_are_the_beginning_of_more(corpus: list[SourceText]) -> None:
    assert grammar_texts(1000) == corpus[:1000]
    assert grammar_texts(0) == []


def test_another_seed_gives_other_texts(corpus: list[SourceText]) -> None:
    other = {row.text for row in grammar_texts(2000, seed=1)}
    assert len(other & {row.text for row in corpus[:2000]}) < 100


def test_the_corpus_is_the_one_of_this_version(corpus: list[SourceText]) -> None:
    assert digest(corpus) == GOLDEN[GRAMMAR_VERSION]


def test_every_emotion_comes_first_at_least_150_times(corpus: list[SourceText]) -> None:
    counts = Counter(row.labels[0] for row in corpus)
    assert counts.keys() == prototypes().keys()
    assert min(counts.values()) >= 150


def test_about_a_tenth_is_neutral(corpus: list[SourceText]) -> None:
    assert 0.08 < sum(row.labels[0] == "neutral" for row in corpus) / len(corpus) < 0.12


def test_second_labels_are_other_known_emotions(corpus: list[SourceText]) -> None:
    mixed = [row.labels for row in corpus if len(row.labels) > 1]
    assert len(mixed) > 500
    assert all(second in prototypes() and second != first for first, second in mixed)


def test_texts_have_3_to_60_words(corpus: list[SourceText]) -> None:
    assert all(3 <= len(row.text.split()) <= 60 for row in corpus)


def test_the_language_is_varied(corpus: list[SourceText]) -> None:
    words = {word for row in corpus for word in re.findall(r"[a-z][a-z'-]*", row.text.lower())}
    openings = Counter(tuple(row.text.lower().split()[:5]) for row in corpus)
    assert len(words) >= 6000
    assert max(openings.values()) <= len(corpus) * 0.01


def test_every_character_is_printable(corpus: list[SourceText]) -> None:
    assert all(row.text.isprintable() for row in corpus)


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(r"[{}\[\]|@]", id="unfilled slot"),
        pytest.param(r"  |^\s|\s$| [,.!?]", id="stray space"),
        pytest.param(r"\.\.|[,;:]\.|[.!?…],|[!?…]\.", id="stray punctuation"),
        pytest.param(r"(?i)\ba (?!one|onesie|uni|use|usu|uku|eu)[aeiou]\w", id="a before a vowel"),
        pytest.param(r"(?i)\ban (?!hour|honest)[^aeiou\W]", id="an before a consonant"),
        pytest.param(
            r"(?i)\b(?!no\b|nyah\b|eww\b|night\b|had\b|that\b)(\w+) \1\b", id="doubled word"
        ),
        pytest.param(
            r"(?i)\b(he|she|they) (am|are are|is are)\b|(?<!and )\bI (is|are|has)\b", id="verb"
        ),
        pytest.param(r"(?i)\b(my|our|the|a|an|his) (my|our|the|a|an|his|her)\b", id="two articles"),
        pytest.param(r"\bi\b(?=.*[A-Z])", id="small I among capitals"),
    ],
)
def test_no_text_shows_this_mistake(corpus: list[SourceText], mistake: str) -> None:
    assert [row.text for row in corpus if re.search(mistake, row.text)][:5] == []


def test_texts_with_capitals_start_with_one(corpus: list[SourceText]) -> None:
    plain = (row.text for row in corpus if re.search(r"[A-Z]", re.sub(r"#\w+", "", row.text)))
    assert [text for text in plain if re.match(r'"?[a-z]', text)] == []


@pytest.mark.parametrize("count", [-1, CAPACITY + 1])
def test_more_than_the_capacity_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=str(CAPACITY)):
        grammar_texts(count)
