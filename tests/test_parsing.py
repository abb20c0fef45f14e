"""Replies of every kind: hand-made cases, then properties that hold for all text."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expclip.face import ACTION_UNITS, Action, ParseError
from expclip.tead.parsing import MAX_REPLY, parse_reply, parse_situations
from expclip.tead.schema import Annotation

_LINES = (Path(__file__).parent / "data" / "replies.jsonl").read_text("utf-8").splitlines()
CASES = [json.loads(line) for line in _LINES]
REASONS = {"blank", "empty", "nothing", "refusal", "too_long", "truncated"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_reply_is_read_as_meant(case: dict[str, object]) -> None:
    reply = str(case["reply"])
    if "error" in case:
        with pytest.raises(ParseError) as caught:
            parse_reply(reply)
        assert caught.value.reason == case["error"]
        return
    annotation = parse_reply(reply)
    assert list(annotation.emotions) == case["emotions"]
    assert list(annotation.au_codes) == case["au_codes"]
    assert list(annotation.situations) == case.get("situations", [])
    if "notes" in case:
        assert list(annotation.notes) == case["notes"]


def test_cases_have_names_of_their_own() -> None:
    assert len({case["case"] for case in CASES}) == len(CASES) >= 80


@pytest.mark.parametrize(
    ("reply", "sentences"),
    [
        ('{"situations": ["You win.", "A friend calls."]}', ("You win.", "A friend calls.")),
        ('["You win.", "A friend calls."]', ("You win.", "A friend calls.")),
        ('```json\n{"situations": ["You win."]}\n```', ("You win.",)),
        ('Sure, here it is: {"scenarios": [{"situation": "You win."}]}', ("You win.",)),
        ('{"sentences": ["You win."]}', ("You win.",)),
        ('{"1": "You win.", "2": "A friend calls."}', ("You win.", "A friend calls.")),
        ("1. You win.\n2. A friend calls.", ("You win.", "A friend calls.")),
        (
            "Here are 2:\n\n- You win.\n- A friend calls.\n\nHope this helps!",
            ("You win.", "A friend calls."),
        ),
        (
            '["I cannot provide for my family any more."]',
            ("I cannot provide for my family any more.",),
        ),
        ("**Situations:**\n1) You win.\n2) A friend calls.", ("You win.", "A friend calls.")),
        ("Situation: You win.", ("You win.",)),
        ("Situation 1: You win.\nSituation 2: A friend calls.", ("You win.", "A friend calls.")),
        ('"You win the race."', ("You win the race.",)),
        ("You win.\nA friend calls.", ("You win.", "A friend calls.")),
        ("<think>Hm.\nNo idea.</think>You win.", ("You win.",)),
        ('{"situations": ["You win.", "A fri', ("You win.",)),
        ('{"situations": "You  win\\u0000 twice."}', ("You win twice.",)),
        ("['You win.', 'It\\'s over.']", ("You win.", "It's over.")),
    ],
)
def test_situations_are_found(reply: str, sentences: tuple[str, ...]) -> None:
    assert parse_situations(reply) == sentences


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        (" " * 500, "blank"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ('{"situations": ["I cannot assist with this request."]}', "refusal"),
        ('{"situations": []}', "nothing"),
        ('{"situations": "You win a cup.", "A friend calls."],}', "nothing"),
        ('["Someone meets [name] at the door."]', "nothing"),
        ('{"situations": ["You w', "truncated"),
        ("<think>You win.", "truncated"),
        ("x" * (MAX_REPLY + 1), "too_long"),
    ],
)
def test_reply_without_situations_is_refused(reply: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_situations(reply)
    assert caught.value.reason == reason


def test_situations_are_limited_in_number_and_length() -> None:
    many = json.dumps({"situations": [f"Situation of {'very ' * 200}{i}" for i in range(12)]})
    assert len(parse_situations(many)) == 1  # all alike once cut
    annotation = parse_reply(json.dumps({"situations": [f"You win cup {i}." for i in range(12)]}))
    assert len(annotation.situations) == 10
    assert annotation.notes == ("situations: 2 beyond 10",)
    (long,) = parse_situations("word " * 500)
    assert 390 < len(long) <= 400


def test_too_long_a_reply_is_refused_unread() -> None:
    with pytest.raises(ParseError) as caught:
        parse_reply("x" * (MAX_REPLY + 1))
    assert caught.value.reason == "too_long"


# Properties

_ACTIONS = st.sampled_from(ACTION_UNITS).flatmap(
    lambda unit: st.builds(
        Action,
        st.just(unit.code),
        st.sampled_from([None, *"ABCDE"]),
        st.sampled_from([None, "L", "R"] if unit.sided else [None]),
    )
)
_WORD = st.text("abcdefghilmnoprstuvz", min_size=4, max_size=8).map(lambda word: "q" + word)
_TAG = st.lists(_WORD, min_size=1, max_size=3).map(" ".join)
_SENTENCE = st.lists(_WORD, min_size=1, max_size=9).map(
    lambda words: "You " + " ".join(words) + "."
)
_ANNOTATIONS = st.builds(
    Annotation,
    st.lists(_TAG, min_size=1, max_size=6, unique=True).map(tuple),
    st.lists(_ACTIONS, max_size=9, unique_by=lambda action: action.code).map(tuple),
    st.lists(_SENTENCE, max_size=3, unique=True).map(tuple),
)
_FRAGMENTS = (
    *"{}[]\":,+-|#\n '()\\0123456789%ABCDELR",
    *('"emotions"', '"aus"', '"situations"', "emotions:", "Action units:", "AUs", "AU", "AU6"),
    *("AU12C", "6+12", "R12", "cheek raiser", "head down", "joy", "no ", "without ", "and", "or"),
    *("```json", "```", "<think>", "</think>", "true", "None", "null", "// ", "/*", "*/", "0.5"),
    *("\u201c", "\u201d", "\uff1a", "\u3001", "\u0661", "\uff21\uff35\uff16", "\x00", "\ud800"),
    *("left", "(left)", "strong", "absent", "I'm sorry", "1. ", "- ", "\\u", "**", "situation: "),
)
_REPLY_LIKE = st.lists(st.sampled_from(_FRAGMENTS), max_size=60).map("".join)
_ANY = st.text(st.characters(codec=None), max_size=200)


def _canonical(annotation: Annotation) -> str:
    return json.dumps(
        {
            "emotions": annotation.emotions,
            "aus": annotation.au_codes,
            "situations": annotation.situations,
        }
    )


def _check(text: str) -> None:
    """Parse; whatever comes back must be sound and must survive being written down."""
    try:
        annotation = parse_reply(text)
    except ParseError as error:
        assert error.reason in REASONS
    else:
        assert annotation.emotions or annotation.actions or annotation.situations
        codes = [action.code for action in annotation.actions]
        assert len(set(codes)) == len(codes)
        assert all(0 < len(tag) <= 40 and tag == tag.strip() for tag in annotation.emotions)
        assert all(0 < len(line) <= 400 for line in annotation.situations)
        assert annotation.aus.sum() == len(codes)
        repr(annotation).encode()
    try:
        parse_situations(text).__repr__().encode()
    except ParseError as error:
        assert error.reason in REASONS


@given(_ANY)
@example("\ud800")
@example('"' * 50)
@settings(max_examples=200, deadline=None)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    _check(text)


@given(_REPLY_LIKE)
@settings(max_examples=600, deadline=None)
def test_text_like_a_reply_is_parsed_or_refused(text: str) -> None:
    _check(text)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_damaged_reply_is_parsed_or_refused(data: st.DataObject) -> None:
    reply = str(data.draw(st.sampled_from(CASES))["reply"])[:2000]
    at = data.draw(st.integers(0, len(reply)))
    end = data.draw(st.integers(at, min(len(reply), at + 5)))
    _check(reply[:at] + data.draw(st.sampled_from(("", *_FRAGMENTS))) + reply[end:])


@given(_ANNOTATIONS, st.data())
@settings(max_examples=300, deadline=None)
def test_cut_reply_never_passes_for_a_whole_one(
    annotation: Annotation, data: st.DataObject
) -> None:
    text = _canonical(annotation)
    at = data.draw(st.integers(0, text.index('"situations"') - 3))
    with pytest.raises(ParseError) as caught:
        parse_reply(text[:at])
    assert caught.value.reason == ("truncated" if at else "empty")


@given(_ANNOTATIONS)
@settings(max_examples=300, deadline=None)
def test_canonical_reply_comes_back_exactly(annotation: Annotation) -> None:
    assert parse_reply(_canonical(annotation)) == annotation


@pytest.mark.parametrize(
    "case", [case for case in CASES if "error" not in case], ids=lambda c: c["case"]
)
def test_parsing_what_was_parsed_changes_nothing(case: dict[str, object]) -> None:
    first = parse_reply(str(case["reply"]))
    again = parse_reply(_canonical(first))
    assert (again.emotions, again.actions, again.situations) == (
        first.emotions,
        first.actions,
        first.situations,
    )


_HOSTILE = {
    "braces": "{" * MAX_REPLY,
    "brackets": "[" * MAX_REPLY,
    "pairs": "{}" * (MAX_REPLY // 2),
    "quotes": '{"' * (MAX_REPLY // 2),
    "escapes": '{"emotions": ["' + "\\" * (MAX_REPLY - 20),
    "open strings": "{'a" * (MAX_REPLY // 3),
    "digits": "AU" + "9" * (MAX_REPLY - 3) + "x",
    "prefixes": "AU " * (MAX_REPLY // 3),
    "codes": "AU6 " * (MAX_REPLY // 4),
    "code lines": "AU6\n" * (MAX_REPLY // 4),
    "sums": "1 + " * (MAX_REPLY // 4 - 1) + "x",
    "tight sums": "1+" * (MAX_REPLY // 2 - 1) + "x",
    "commas": "AU1" + ", 1" * (MAX_REPLY // 3 - 1),
    "spaces": "AU6" + " " * (MAX_REPLY - 4) + "x",
    "space in json": '{"emotions": [' + " " * (MAX_REPLY - 20) + "x",
    "quote then space": '{"a": "' + '" ' * (MAX_REPLY // 2 - 10),
    "comments": "{/*" * (MAX_REPLY // 3),
    "slashes": "{" + "/" * (MAX_REPLY - 1),
    "tags": "<" * MAX_REPLY,
    "thoughts": "<think>" * (MAX_REPLY // 7),
    "thought ends": "</think>" * (MAX_REPLY // 8),
    "labels": "emotions: " * (MAX_REPLY // 10),
    "label lines": "emotions:\n" * (MAX_REPLY // 10),
    "label words": "emotion " * (MAX_REPLY // 8),
    "one word": "a" * MAX_REPLY,
    "words": "lip corner " * (MAX_REPLY // 11),
    "negations": "no " * (MAX_REPLY // 3),
    "negated": "no AU4 or " * (MAX_REPLY // 10),
    "parentheses": "AU6(" * (MAX_REPLY // 4),
    "hashes": "#a " * (MAX_REPLY // 3),
    "stars": "*" * MAX_REPLY,
    "tag list": "Emotions: " + "a," * (MAX_REPLY // 2 - 10),
    "long expansions": "\ufdfa" * MAX_REPLY,
    "fields": '{"emotions":"a"}' * (MAX_REPLY // 16),
    "wide": '{"aus":[' + "6," * (MAX_REPLY // 2 - 10) + "6]}",
    "nested units": '{"aus":' + "[" * 900 + "]" * 900 + "}",
    "newlines": "\n" * (MAX_REPLY - 1) + "x",
    "quotes in prose": "I'm " * (MAX_REPLY // 4),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_reply_takes_no_longer_than_a_second(name: str) -> None:
    text = _HOSTILE[name]
    assert len(text) <= MAX_REPLY
    started_s = time.process_time()
    _check(text)
    assert time.process_time() - started_s < 2  # both parsers, a second each
