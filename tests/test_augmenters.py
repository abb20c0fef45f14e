"""Plug-in augmenters: what nlpaug's kind of object may do, and the real nlpaug."""

import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expclip.face.errors import MissingExtra
from expclip.tead.augmentation.augment import Augmenter, Eda, NlpaugAugmenter
from expclip.tead.augmentation.synonyms import load_synonyms


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
    assert isinstance(plug_in, Augmenter) and isinstance(
        Eda(synonyms=load_synonyms(False)), Augmenter
    )
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


# The real one


def flow(word: Any, char: Any) -> Any:
    from nlpaug.flow import Sequential

    return Sequential([word.RandomWordAug(), char.RandomCharAug()])


REAL: dict[str, Callable[[Any, Any], Any]] = {
    "deletion": lambda word, char: word.RandomWordAug(),
    "swap": lambda word, char: word.RandomWordAug(action="swap"),
    "crop": lambda word, char: word.RandomWordAug(action="crop"),
    "spelling": lambda word, char: word.SpellingAug(),
    "keyboard": lambda word, char: char.KeyboardAug(),
    "flow": flow,
}
TEXTS = [
    "The happy dog ran home to its owner, and slept!",
    "",
    "Oh",
    "\N{FACE WITH TEARS OF JOY} ok",
    "I was furious at https://a.b/c and @bob #tag.",
]
IDS = list("abcde")


def real(name: str) -> NlpaugAugmenter:
    word = pytest.importorskip("nlpaug.augmenter.word")
    char = pytest.importorskip("nlpaug.augmenter.char")
    return NlpaugAugmenter(REAL[name](word, char))


@pytest.mark.parametrize("name", REAL)
def test_a_row_of_nlpaug_is_the_same_alone_and_in_any_batch(name: str) -> None:
    plug_in = real(name)
    together = plug_in.augment(TEXTS, IDS, seed=3, variants=3)
    rows = [
        real(name).augment([text], [id_], seed=3, variants=3)
        for text, id_ in reversed(list(zip(TEXTS, IDS, strict=True)))
    ]
    assert [item for row in reversed(rows) for item in row] == together
    assert together[0].outcome == "changed"
    assert plug_in.augment(TEXTS, IDS, seed=4, variants=3) != together
    assert [item.id for item in together] == [id_ for id_ in IDS for _ in range(3)]


def test_nlpaug_fails_on_short_rows_and_loses_none_but_them() -> None:
    found = real("crop").augment(["Oh"] * 20 + TEXTS[:1], [str(n) for n in range(21)])
    outcomes = {item.outcome for item in found[:20]}
    assert "failed" in outcomes and outcomes <= {"failed", "unchanged"}
    assert {item.text for item in found[:20]} == {"Oh"}
    assert found[20].outcome == "changed"


def test_the_default_is_nlpaug_s_deletion() -> None:
    pytest.importorskip("nlpaug")
    plug_in = NlpaugAugmenter()
    assert plug_in.source == "nlpaug's RandomWord_Aug"
    (found,) = plug_in.augment(["one two three four five"], ["x"])
    assert set(found.text.lower().split()) < {"one", "two", "three", "four", "five"}
