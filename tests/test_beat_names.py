import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.beat_loader.names import EMOTIONS, SPEAKERS, TakeName, parse_take_name
from expclip.beat_loader.splits import (
    FOUR_HOUR_SPEAKERS,
    SELECTIONS,
    Part,
    Selection,
    official_parts,
)


def splits(text: str) -> list[str]:
    return [part.split for part in official_parts(parse_take_name(text))]


def test_a_name_says_speaker_language_kind_and_sentences() -> None:
    name = parse_take_name("22_luqi_2_33_33")
    assert (name.speaker, name.person, name.language, name.kind) == (
        22,
        "luqi",
        "chinese",
        "speech",
    )
    assert list(name.sentences) == [33]
    assert parse_take_name("1_wayne_1_1_3").kind == "conversation"
    assert list(parse_take_name("12_zhao_0_9_16").sentences) == list(range(9, 17))
    assert parse_take_name("5_stewart_0_65_65_a").half == "a"


@given(st.integers(1, 30), st.integers(0, 7), st.integers(1, 12), st.sampled_from(["", "a", "b"]))
def test_a_name_comes_back_as_it_was(speaker: int, kind: int, number: int, half: str) -> None:
    text = f"{speaker}_{SPEAKERS[speaker - 1]}_{kind}_{number}_{number}" + (half and f"_{half}")
    assert str(parse_take_name(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2_scott_0_103_103_28s", "is not named"),
        ("json_mean", "is not named"),
        ("", "is not named"),
        ("2_scott_8_1_1", "is not named"),
        ("\u0662_scott_0_1_1", "is not named"),
        ("31_who_0_1_1", "names speaker 31, expected 1 to 30"),
        ("0_who_0_1_1", "names speaker 0"),
        ("2_scott_0_119_119", "covers speech 119 to 119, expected numbers from 1 to 118"),
        ("2_scott_1_13_13", "covers conversation 13 to 13"),
        ("2_scott_0_8_1", "covers speech 8 to 1"),
    ],
)
def test_what_is_no_name_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_take_name(text)


EMOTION_OF_SENTENCE = {
    1: "neutral", 64: "neutral", 65: "happiness", 72: "happiness", 73: "anger", 80: "anger",
    81: "sadness", 86: "sadness", 87: "contempt", 94: "contempt", 95: "surprise", 102: "surprise",
    103: "fear", 110: "fear", 111: "disgust", 118: "disgust",
}  # fmt: skip


@pytest.mark.parametrize(("sentence", "emotion"), EMOTION_OF_SENTENCE.items())
def test_first_and_last_sentence_of_an_emotion_are_both_of_it(sentence: int, emotion: str) -> None:
    assert parse_take_name(f"2_scott_0_{sentence}_{sentence}").emotion == emotion


def test_conversation_is_neutral_and_a_range_over_two_emotions_is_neither() -> None:
    assert parse_take_name("2_scott_1_12_12").emotion == "neutral"
    assert parse_take_name("2_scott_0_64_65").emotion is None
    assert len(set(EMOTION_OF_SENTENCE.values())) == len(EMOTIONS)


def test_four_hour_speakers_are_split_as_published() -> None:
    of = {n: official_parts(TakeName(2, 0, n, n, "", "scott"))[0].split for n in range(1, 119)}
    test = {*range(1, 9), 65, 73, 81, 87, 95, 103, 111}
    val = {*range(57, 65), 72, 80, 86, 94, 102, 110, 118}
    assert {n for n, split in of.items() if split == "test"} == test
    assert {n for n, split in of.items() if split == "val"} == val
    assert splits("2_scott_1_1_1") == ["test"]
    assert splits("2_scott_1_12_12") == ["val"]
    assert splits("2_scott_1_2_2") == ["train"]


def test_one_hour_speakers_are_split_as_published_some_takes_in_the_middle() -> None:
    assert splits("5_stewart_0_4_4") == ["test"]
    assert splits("5_stewart_0_8_8") == ["val"]
    assert splits("5_stewart_0_16_16") == ["train"]
    assert splits("5_stewart_0_118_118") == ["train"]
    cut = official_parts(parse_take_name("5_stewart_0_65_65"))
    assert cut == (Part("test", 0.0, 30.0), Part("val", 30.0, None))
    assert official_parts(parse_take_name("5_stewart_1_1_1"))[0].stop_s == 300.0
    assert splits("5_stewart_0_65_65_a") == ["test"]
    assert splits("5_stewart_0_65_65_b") == ["val"]
    assert splits("29_hanieh_1_0_0") == ["train"]
    assert splits("29_hanieh_1_4_4") == ["train"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5_stewart_0_17_17", "leaves out speech 17"),
        ("5_stewart_1_4_4", "leaves out conversation 4"),
        ("2_scott_1_0_0", "leaves out conversation 0"),
        ("12_zhao_0_1_8", "puts 1 to 8 in test and val: cut it first"),
    ],
)
def test_what_the_split_does_not_place_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        splits(text)


def test_a_range_of_one_split_needs_no_cutting() -> None:
    assert splits("1_wayne_0_1_8") == ["test"]
    assert splits("12_zhao_0_9_16") == ["train"]


def test_selections_go_by_language_and_speaker() -> None:
    native, chinese = parse_take_name("2_scott_0_9_9"), parse_take_name("13_lu_2_9_9")
    assert SELECTIONS["all"].reason_against(chinese) is None
    assert SELECTIONS["english"].reason_against(chinese) == "not selected: chinese"
    assert SELECTIONS["paper-35h"].reason_against(native) is None
    assert SELECTIONS["paper-35h"].speakers == FOUR_HOUR_SPEAKERS
    assert SELECTIONS["paper-35h"].reason_against(parse_take_name("5_stewart_0_9_9"))
    assert SELECTIONS["beat-16h"].reason_against(native) is None
    talk = Selection(kinds=frozenset({"conversation"}))
    assert talk.reason_against(native) == "not selected: speech"
