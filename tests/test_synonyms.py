"""Synonyms: the embedded table of emotion words, and WordNet read from its database files."""

import zipfile
from pathlib import Path

import pytest

from expclip.face.errors import DataError
from expclip.tead import prototypes
from expclip.tead.augmentation.synonyms import emotion_table, is_emotional, load_synonyms
from expclip.tead.augmentation.wordnet import find_wordnet, load_wordnet

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
    assert "no WordNet was used or found" in load_synonyms(False).source


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
