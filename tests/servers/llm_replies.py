"""What the stand-in language model answers: a pure function of the question."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

__all__ = [
    "KEYS",
    "SCENES",
    "completion",
    "count_prompt_tokens",
    "expected_reply",
    "question_key",
]

KEYS = ("emotions", "aus", "situations")

# Emotions, action units and situations that belong together; at least 5, 5 and 3 of each.
SCENES: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("joy", "delight", "gratitude", "relief", "warmth"),
        ("AU12", "AU6D", "AU25B", "AU1A", "AU2"),
        (
            "An old friend turns up at the door without warning.",
            "The letter says that the scholarship is theirs.",
            "A lost dog comes running back across the field.",
        ),
    ),
    (
        ("amusement", "mirth", "playfulness", "joy", "surprise"),
        ("AU6", "AU12E", "AU26C", "AU7", "AU19"),
        (
            "A toddler puts a colander on and salutes.",
            "The speaker mixes up two names and carries on.",
            "A cat misjudges its leap onto the fridge.",
        ),
    ),
    (
        ("sadness", "grief", "loneliness", "longing", "despair"),
        ("AU1", "AU15C", "AU4B", "AU17", "AU64"),
        (
            "The moving van leaves with the neighbour's furniture.",
            "They find a birthday card that was never sent.",
            "The phone rings out for the third evening.",
        ),
    ),
    (
        ("anger", "outrage", "frustration", "contempt", "hostility"),
        ("AU4E", "AU7", "AU24C", "AU5B", "AU29"),
        (
            "A driver cuts in and laughs.",
            "A colleague presents their work as his own.",
            "The refund is refused for the fourth time.",
        ),
    ),
    (
        ("fear", "dread", "panic", "alarm", "helplessness"),
        ("AU5D", "AU1", "AU4", "AU20C", "AU25"),
        (
            "Footsteps stop outside the tent at night.",
            "The lift drops half a floor and halts.",
            "Smoke is coming from under the door.",
        ),
    ),
    (
        ("surprise", "astonishment", "disbelief", "wonder", "confusion"),
        ("AU1D", "AU2D", "AU5", "AU27B", "AU63"),
        (
            "The lights go on and everyone shouts.",
            "A stranger knows their childhood nickname.",
            "The magician hands back the right watch.",
        ),
    ),
    (
        ("disgust", "revulsion", "aversion", "contempt", "unease"),
        ("AU9D", "AU10", "AU17B", "AU4", "AU61"),
        (
            "The milk pours out in lumps.",
            "Someone clips their nails on the bus.",
            "The drain cover is lifted in August.",
        ),
    ),
    (
        ("contempt", "smugness", "disdain", "superiority", "scorn"),
        ("R-AU14C", "AU43A", "AU12A", "AU17", "AU23"),
        (
            "A rival loses by the rule they wrote.",
            "An amateur explains the trade to them.",
            "The boaster fails the first question.",
        ),
    ),
    (
        ("embarrassment", "shame", "awkwardness", "shyness", "regret"),
        ("AU64C", "AU12A", "AU24", "AU4A", "AU6"),
        (
            "The message went to the whole office.",
            "They wave back at someone who meant another.",
            "The zip was open all through the talk.",
        ),
    ),
    (
        ("tiredness", "boredom", "apathy", "indifference", "resignation"),
        ("AU41D", "AU26B", "AU15A", "AU17", "AU64"),
        (
            "The fourth hour of slides begins.",
            "The night shift has two hours to go.",
            "The queue has not moved since noon.",
        ),
    ),
    (
        ("anxiety", "worry", "tension", "doubt", "impatience"),
        ("AU4", "AU1C", "AU32B", "AU7", "AU62"),
        (
            "The results were promised for this morning.",
            "The child is twenty minutes late from school.",
            "The engine makes a new noise on the bridge.",
        ),
    ),
    (
        ("tenderness", "love", "affection", "calm", "contentment"),
        ("AU12B", "AU6B", "AU43", "AU1A", "AU25A"),
        (
            "A newborn closes a hand on their finger.",
            "They find a note in the lunch box.",
            "Grandfather falls asleep in the middle of a story.",
        ),
    ),
)

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_NAMED_KEY = re.compile(r"[\"'`](emotions|aus|situations)[\"'`]")


# Faults of the model: what it says, given the right answer, and why it stopped.
_SAID: dict[str, Callable[[str], str | None]] = {
    "bad_json": lambda right: right.replace('": [', '": ', 1).rstrip("}") + ",}",
    "truncated": lambda right: right[: len(right) // 2],
    "white_space": lambda right: right[:14] + "\n \t" * 2000,
    "refusal": lambda right: None,
    "refusal_prose": lambda right: "I'm sorry, but I can't help with that.",
    "empty": lambda right: "",
    "no_tags": lambda right: '{"emotions": [], "aus": [], "situations": []}',
    "wrong_schema": lambda right: '{"answer": {"feeling": "joy", "units": 12}}',
}
_CUT_SHORT = ("truncated", "white_space")


def expected_reply(
    messages: Sequence[Mapping[str, Any]], response_format: Mapping[str, Any] | None = None
) -> dict[str, list[str]]:
    """Return the right answer to a conversation, as the server gives it without faults.

    It hangs on the last question, however often that is asked again. The keys are
    those of the JSON schema; without one, those that the messages name in quotes;
    else situations, or emotions and aus, by the words used.
    """
    digest = hashlib.sha256(_last_question(messages).encode()).digest()
    emotions, aus, situations = SCENES[digest[0] % len(SCENES)]
    reply = {
        "emotions": list(emotions[: 3 + digest[1] % 3]),
        "aus": list(aus[: 2 + digest[2] % 4]),
        "situations": list(situations[: 1 + digest[3] % 3]),
    }
    return {key: reply[key] for key in _wanted_keys(messages, response_format)}


def question_key(body: Mapping[str, Any]) -> str:
    """Return a hash of a request's body less its token limit: what is asked, not how long."""
    asked = {k: v for k, v in body.items() if k not in ("max_tokens", "max_completion_tokens")}
    return hashlib.sha256(_CANONICAL.encode(asked).encode()).hexdigest()


def count_prompt_tokens(body: Mapping[str, Any]) -> int:
    """Return about as many tokens as a real model would count: a quarter of the characters."""
    return sum(len(str(message.get("content"))) for message in body["messages"]) // 4 + 3


def completion(
    body: Mapping[str, Any], question: str, asked: int, fault: str | None, formats: str
) -> bytes:
    """Return the body of a chat completion."""
    in_use = body.get("response_format") if formats != "ignored" else None
    right = json.dumps(expected_reply(body["messages"], in_use))
    if formats == "ignored":
        right = f"Here is the annotation you asked for:\n\n```json\n{right}\n```"
    said = _SAID[fault](right) if fault in _SAID else right
    message = _message_json(said)
    finish = "length" if fault in _CUT_SHORT else "stop"
    prompt_tokens, tokens = count_prompt_tokens(body), len(said or "") // 4 + 1
    return (
        f'{{"id":"chatcmpl-{question[:20]}-{asked}","object":"chat.completion",'
        f'"created":{int(time.time())},"model":{json.dumps(body["model"])},'
        f'"system_fingerprint":"fp_standin","choices":[{{"index":0,"message":{message},'
        f'"logprobs":null,"finish_reason":"{finish}"}}],"usage":{{"prompt_tokens":{prompt_tokens},'
        f'"completion_tokens":{tokens},"total_tokens":{prompt_tokens + tokens}}}}}'
    ).encode()


@lru_cache(maxsize=8192)
def _message_json(content: str | None) -> str:
    refusal = "I'm sorry, I can't assist with that." if content is None else None
    return json.dumps({"role": "assistant", "content": content, "refusal": refusal})


def _last_question(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the last user's message that begins with the same word as the first.

    Worked examples begin as the question does ("Text: ..."); a complaint about an
    answer, which asks the same question again, does not.
    """
    texts = [_text(message) for message in messages if message.get("role") == "user"] or [""]
    opening = texts[0].split(maxsplit=1)[:1]
    return next(text for text in reversed(texts) if text.split(maxsplit=1)[:1] == opening)


def _wanted_keys(
    messages: Sequence[Mapping[str, Any]], response_format: Mapping[str, Any] | None
) -> tuple[str, ...]:
    schema = (response_format or {}).get("json_schema", {}).get("schema", {})
    named = tuple(key for key in schema.get("properties", ()) if key in KEYS)
    if named:
        return named
    return _keys_in_words("\n".join(_text(m) for m in messages if m.get("role") != "assistant"))


@lru_cache(maxsize=4096)
def _keys_in_words(words: str) -> tuple[str, ...]:
    named = set(_NAMED_KEY.findall(words))
    if named:
        return tuple(key for key in KEYS if key in named)
    words = words.lower()
    if "situation" not in words:
        return KEYS[:2]
    return KEYS if "action unit" in words else KEYS[2:]


def _text(message: Mapping[str, Any]) -> str:
    """Return a message's text, whether given as a string or in parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)
