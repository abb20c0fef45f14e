"""EDA: each operation, its independence of batching, and its bytes."""

import gc
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.tead import grammar_texts
from expclip.tead.augmentation.augment import OPERATIONS, Eda, augment
from expclip.tead.augmentation.synonyms import load_synonyms
from expclip.tead.augmentation.vocabulary import Vocabulary

OWN = load_synonyms(False)
EDA = Eda(synonyms=OWN)


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


def test_a_seed_gives_the_same_bytes_in_every_version() -> None:
    texts = [text.text for text in grammar_texts(500)]
    found = EDA.augment(texts, [str(n) for n in range(500)], seed=7, variants=12)
    told = "\n".join(f"{v.operation} {v.outcome} {v.text}" for v in found)
    assert hashlib.sha256(told.encode()).hexdigest() == GOLDEN


GOLDEN = "d335569faf4f39e6a1ccde1debec51b790f599be2efe50217ae35cdafec08450"


def test_half_a_surrogate_pair_is_carried_along() -> None:
    texts = ["\ud83d was furious here", "I was furious here"]
    found = Eda(["synonym"], synonyms=OWN).augment(texts, ["x", "y"])
    assert found[0].text.startswith("\ud83d was ") and found[1].text.startswith("I was ")
    assert [v.outcome for v in found] == ["changed", "changed"]


def test_an_interrupt_leaves_an_augmenter_as_new(monkeypatch: pytest.MonkeyPatch) -> None:
    eda = Eda(["swap"], synonyms=OWN)
    with monkeypatch.context() as patch:
        patch.setattr(Vocabulary, "_dress", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            eda.augment(["one two"], ["x"])
    assert gc.isenabled()  # put off during the work
    again = eda.augment(["one two", "three four"], ["x", "y"])
    assert again == Eda(["swap"], synonyms=OWN).augment(["one two", "three four"], ["x", "y"])


def test_a_vocabulary_that_is_full_is_emptied_and_no_byte_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [text.text for text in grammar_texts(5000)]
    ids = [str(n) for n in range(5000)]
    expected = EDA.augment(texts, ids)
    monkeypatch.setattr("expclip.tead.augmentation.vocabulary._MOST_WORDS", 100)
    assert Eda(synonyms=OWN).augment(texts, ids) == expected


def test_words_met_in_another_order_give_the_same_words() -> None:
    # "The" comes as a word of a text, and as what another word's capitals make of "the".
    one = Eda(["swap"], synonyms=OWN, alpha=1.0).augment(["Dog the", "The dog"], ["x", "y"])
    other = Eda(["swap"], synonyms=OWN, alpha=1.0).augment(["The dog", "Dog the"], ["y", "x"])
    assert one == other[::-1]
    # What a swap puts there is another number than the word of the text, but the same word.
    (same,) = Eda(["swap"], synonyms=OWN).augment(["dog dog"], ["x"])
    assert same.outcome == "unchanged"
