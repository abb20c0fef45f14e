"""Prompts: files with named holes."""

import json
from pathlib import Path

import pytest

from expclip.face import AU_CODES, find_conflicts, parse_action
from expclip.face.errors import DataError
from expclip.tead import PROMPT_NAMES, Annotation, Prompts, prototypes
from expclip.tead.parsing import parse_reply
from expclip.tead.prompts import answer_schema
from expclip.tead.rules import check_situations, check_tags


def test_question_is_system_message_examples_and_text() -> None:
    messages = Prompts.load().messages("tags", {"text": "It rained {{all}} day."})
    roles = [message["role"] for message in messages]
    assert roles == ["system", *["user", "assistant"] * 8, "user"]
    assert messages[-1]["content"] == "Text: It rained {{all}} day."
    for code in AU_CODES:
        assert f"\nAU{code} " in messages[0]["content"]


def test_single_question_builds_on_the_tags_question() -> None:
    prompts = Prompts.load()
    tags, single = (
        prompts.messages(name, {"text": "x"})[0]["content"] for name in PROMPT_NAMES[::2]
    )
    assert single.startswith(tags) and '"situations"' in single[len(tags) :]


def test_situations_are_asked_from_the_tags_and_not_from_the_text() -> None:
    messages = Prompts.load().messages("situations", {"text": "SECRET", "emotions": "joy, pride"})
    assert messages[-1]["content"] == "Emotions: joy, pride"
    assert not any("SECRET" in message["content"] for message in messages)


@pytest.mark.parametrize("name", PROMPT_NAMES)
def test_worked_examples_are_good_answers(name: str) -> None:
    for message in Prompts.load().messages(name, {"text": "x", "emotions": "joy"}):
        if message["role"] != "assistant":
            continue
        answer = json.loads(message["content"])
        assert list(answer) == answer_schema(name)["required"]
        if "aus" in answer:
            actions = tuple(map(parse_action, answer["aus"]))
            check_tags(Annotation(tuple(answer["emotions"]), actions))
            assert parse_reply(message["content"]).actions == actions
            assert not find_conflicts(action.code for action in actions)
        if "situations" in answer:
            check_situations(tuple(answer["situations"]))


def test_examples_spread_over_joy_sadness_anger_fear_contempt_mixed_and_neutral() -> None:
    lines = Prompts.load().templates["examples.jsonl"].splitlines()
    first = {json.loads(line)["emotions"][0] for line in lines}
    assert {"grief", "anger", "fear", "contempt", "bittersweet", "neutral"} <= first
    assert first <= prototypes().keys()


def test_version_follows_every_template(tmp_path: Path) -> None:
    version = Prompts.load().version
    assert len(version) == 12
    (tmp_path / "again.txt").write_text("### user\nOnce more: {{problem}}\n")
    own = Prompts.load(tmp_path)
    assert own.version != version
    assert own.again("no tags")["content"] == "Once more: no tags"
    assert own.messages("tags", {"text": "x"}) == Prompts.load().messages("tags", {"text": "x"})


def test_exported_templates_load_as_the_same_version(tmp_path: Path) -> None:
    paths = Prompts.load().export(tmp_path / "mine")
    assert len(paths) == 5
    assert Prompts.load(tmp_path / "mine").version == Prompts.load().version
    with pytest.raises(DataError, match="exists already"):
        Prompts.load().export(tmp_path / "mine")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tags.txt", "### system\nhi\n### user\n{{txt}}\n", r"hole {{txt}} is not filled, known"),
        ("tags.txt", "### system\nhi\n", "tags.txt: no part '### user'"),
        ("situations.txt", "### user\n{{emotions}}\n", "no part '### system'"),
        ("again.txt", "### user\n{{what}}\n", r"again.txt: hole {{what}} is not filled"),
        ("examples.jsonl", '{"text": "x"}\n', "line 1 is not an object with text, emotions"),
        ("notes.md", "x", "no prompt found, expected one of tags.txt"),
    ],
)
def test_wrong_template_is_told(tmp_path: Path, file: str, content: str, message: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=message):
        Prompts.load(tmp_path)
