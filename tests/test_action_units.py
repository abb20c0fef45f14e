import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from expclip.face.action_units import (
    ACTION_UNITS,
    AU_CODES,
    AU_INDEX,
    HARD_PAIRS,
    INTENSITIES,
    Action,
    aus_from_codes,
    drop_conflicts,
    find_conflicts,
    parse_action,
)
from expclip.face.errors import ParseError

SIDED = [unit.code for unit in ACTION_UNITS if unit.sided]
LETTERS = st.sampled_from([None, *INTENSITIES])
ACTIONS = st.builds(Action, st.sampled_from(AU_CODES), LETTERS) | st.builds(
    Action, st.sampled_from(SIDED), LETTERS, st.sampled_from(["L", "R"])
)


def test_there_are_36_units_in_ascending_order() -> None:
    assert len(ACTION_UNITS) == 36
    assert list(AU_CODES) == sorted(set(AU_CODES))
    assert [AU_INDEX[code] for code in AU_CODES] == list(range(36))


def test_names_and_descriptions_are_all_different() -> None:
    assert len({unit.name for unit in ACTION_UNITS}) == 36
    assert len({unit.description for unit in ACTION_UNITS}) == 36
    assert {unit.region for unit in ACTION_UNITS} == {"upper", "lower", "jaw", "lids", "gaze"}


@given(ACTIONS)
def test_what_is_written_is_read_back(action: Action) -> None:
    assert parse_action(str(action)) == action


@pytest.mark.parametrize(
    ("notation", "action"),
    [
        ("AU12", Action(12)),
        ("12", Action(12)),
        ("au 12", Action(12)),
        (" AU12c\n", Action(12, "C")),
        ("AU06", Action(6)),
        ("L-AU14B", Action(14, "B", "L")),
        ("L14", Action(14, None, "L")),
        ("r12e", Action(12, "E", "R")),
        ("R-AU46", Action(46, None, "R")),
    ],
)
def test_notations(notation: str, action: Action) -> None:
    assert parse_action(notation) == action


@pytest.mark.parametrize(
    ("notation", "reason"),
    [
        ("", "notation"),
        ("smile", "notation"),
        ("AU12F", "notation"),
        ("AU12 C", "notation"),
        ("AU123", "notation"),
        ("AU-12", "notation"),
        ("AU1+2", "notation"),
        ("AU99", "unit"),
        ("AU0", "unit"),
        ("L-AU1", "unit"),  # the inner brows have no sides
        ("R-AU61", "unit"),
    ],
)
def test_what_is_no_unit_says_why_in_one_word(notation: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_action(notation)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


@given(st.text() | st.from_regex(r"([LRlr]-?)?(AU)? ?\d{1,2}[A-Fa-f]?", fullmatch=True))
@example("AU\uff11\uff12")  # digits, but not ours
@example("\u00b2")
@example("\u017f12")
@example("AU12\u2028")
def test_any_text_is_a_unit_or_a_parse_error(text: str) -> None:
    try:
        action = parse_action(text)
    except ParseError:
        return
    assert parse_action(str(action)) == action


@pytest.mark.parametrize(
    "arguments", [(3,), (12, "F"), (12, "c"), (12, None, "left"), (1, None, "L"), (63, "A", "R")]
)
def test_an_impossible_action_is_refused(arguments: tuple[int, str, str]) -> None:
    with pytest.raises(ValueError, match=r"AU|intensity|side"):
        Action(*arguments)


def test_sides_on_which_an_action_shows() -> None:
    assert Action(12).shown_sides == "LR"
    assert Action(12, side="R").shown_sides == "R"
    assert Action(30).shown_sides == "L"
    assert Action(46).shown_sides == "L"
    assert Action(46, side="R").shown_sides == "R"


def test_strength_is_the_letter_or_what_the_caller_says() -> None:
    assert [Action(12, letter).strength() for letter in "ABCDE"] == [0.1, 0.3, 0.5, 0.75, 1.0]
    assert Action(12).strength() == 1
    assert Action(12).strength(unmarked=0.7) == 0.7
    assert Action(12, "B").strength(unmarked=0.7) == 0.3


def test_codes_become_a_one_hot_vector() -> None:
    vector = aus_from_codes(["AU6", "AU12C", "L-AU14", "AU12"])
    assert vector.dtype == np.int8
    assert vector.shape == (36,)
    assert [AU_CODES[index] for index in np.flatnonzero(vector)] == [6, 12, 14]
    assert aus_from_codes([]).sum() == 0


def test_a_strange_code_makes_no_vector() -> None:
    with pytest.raises(ParseError, match="AU99"):
        aus_from_codes(["AU6", "AU99"])


def test_hard_pairs_are_pairs_of_known_units_lower_first() -> None:
    assert len(HARD_PAIRS) == 34
    assert all(first < second for first, second in HARD_PAIRS)
    assert {code for pair in HARD_PAIRS for code in pair} <= set(AU_CODES)


@pytest.mark.parametrize("pair", [(5, 43), (24, 25), (27, 34), (41, 43), (61, 62), (63, 64)])
def test_these_cannot_be_shown_together(pair: tuple[int, int]) -> None:
    assert find_conflicts([6, *reversed(pair), 12]) == [pair]


def test_a_smile_with_raised_cheeks_has_no_conflict() -> None:
    assert find_conflicts([6, 12, 25, 26]) == []
    assert find_conflicts([]) == []
    assert find_conflicts([12, 12]) == []


def test_of_a_hard_pair_the_weaker_goes() -> None:
    weak, strong = Action(61, "B"), Action(62, "D")
    assert drop_conflicts([weak, strong]) == ((strong,), (weak,))
    assert drop_conflicts([strong, weak]) == ((strong,), (weak,))


def test_of_equals_the_later_goes() -> None:
    assert drop_conflicts([Action(64), Action(63)]) == ((Action(64),), (Action(63),))
    assert drop_conflicts([Action(63), Action(64)]) == ((Action(63),), (Action(64),))


def test_what_is_dropped_drops_nothing_else() -> None:
    # 24 loses against 25; 32, in conflict with 24 alone, stays.
    actions = [Action(25), Action(24, "C"), Action(32, "B")]
    assert drop_conflicts(actions) == ((Action(25), Action(32, "B")), (Action(24, "C"),))


@given(st.lists(ACTIONS, max_size=12))
def test_what_is_kept_has_no_conflict_and_nothing_is_lost(actions: list[Action]) -> None:
    kept, dropped = drop_conflicts(actions)
    assert find_conflicts(action.code for action in kept) == []
    assert sorted(map(str, (*kept, *dropped))) == sorted(map(str, actions))
    assert [action for action in actions if action in kept] == list(kept)
    for loser in dropped:
        rivals = [action for action in kept if find_conflicts([action.code, loser.code])]
        assert any(rival.strength() >= loser.strength() for rival in rivals)
