"""Prompts: what a face shall show while it speaks, as text, action units or a file, over time.

calm                      any text
AU6+AU12 strong           action units, an intensity for those before it
@smirk.json               a file: a face, a recording of one, or a picture of one
0:calm 2.5:furious        any of these, from a time on, in seconds
none                      no prompt: a neutral face
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError

from expclip.face import ParseError, Sequence, blendshapes_from_actions, parse_action, read_sequence
from expclip.face.errors import DataError
from expclip.tead.parsing.units import Mention, fold, grade, settle

__all__ = [
    "BLEND_S",
    "Prompt",
    "PromptTrack",
    "TimedPrompt",
    "check_times",
    "describe_prompt",
    "face_of_units",
    "is_nothing",
    "parse_prompts",
    "read_prompt",
]

Prompt = str | np.ndarray | Sequence | Image.Image | Path | None
"""A text or action units, a face, a face in motion, a picture, a file of these, or nothing."""

BLEND_S = 0.8
"""From one prompt to the next: about as long as a face takes to change its mood."""

_TIMED = re.compile(r"(?:^|(?<=\s))(\d{1,6}(?:\.\d{1,6})?)s?:(?=\D|$)")
_MOST_TEXT = 10_000
_MOST_PROMPTS = 1000
_NOTHING = ("", "none")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_MOST_FACE_BYTES = 64 << 20
_MOST_PIXELS = 50_000_000

_UNIT = re.compile(r"(?:\b(left|right)\s+)?\b((?:[LR]-?)?AU\s?\d{1,3}[A-E]?)\b", re.IGNORECASE)
_JOINT = re.compile(r"[\s+,;&()]+|\band\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class TimedPrompt:
    """A prompt, and when it begins."""

    start_s: float
    prompt: Prompt


def parse_prompts(text: str, *, files: bool = False) -> tuple[TimedPrompt, ...]:
    """Return the prompts of a text, one or several over time.

    It is read as several where it begins with a time: "0:calm 2.5:furious". A colon before a
    digit is none of these ("5:30 in the morning").

    Args:
        text: as in the head of this module.
        files: whether "@name" is a file. If not, it is a text like any other, so that a
            prompt from elsewhere reads nothing from the disk.

    Raises:
        ValueError: it is too long, or its times do not ascend.
    """
    if len(text) > _MOST_TEXT:
        raise ValueError(f"a prompt has {len(text):,} characters, expected at most {_MOST_TEXT:,}")
    text = text.strip()
    marks = list(_TIMED.finditer(text))
    if not marks or marks[0].start():
        return (TimedPrompt(0.0, _prompt(text, files)),)
    if len(marks) > _MOST_PROMPTS:
        raise ValueError(f"{len(marks):,} prompts over time, expected at most {_MOST_PROMPTS:,}")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return check_times(
        TimedPrompt(float(mark[1]), _prompt(text[mark.end() : end].strip(), files))
        for mark, end in zip(marks, ends, strict=True)
    )


def check_times(prompts: Iterable[TimedPrompt]) -> tuple[TimedPrompt, ...]:
    """Return prompts whose times ascend.

    Raises:
        ValueError: they do not, one is below 0, or there is none.
    """
    found = tuple(prompts)
    times = [one.start_s for one in found]
    if not times or not all(math.isfinite(time) and time >= 0 for time in times):
        raise ValueError(f"prompts need times of 0 or more, got {times}")
    if times != sorted(set(times)):
        raise ValueError(f"the times of prompts must ascend, got {times}")
    return found


def _prompt(text: str, files: bool) -> str | Path:
    return Path(text[1:]) if files and text.startswith("@") and text[1:] else text


def is_nothing(prompt: Prompt) -> bool:
    """Whether there is no prompt."""
    return prompt is None or (isinstance(prompt, str) and prompt.strip().lower() in _NOTHING)


def describe_prompt(prompt: Prompt) -> str:
    """Return what to call a prompt."""
    if is_nothing(prompt):
        return "no prompt"
    if isinstance(prompt, Path):
        return prompt.name
    return prompt if isinstance(prompt, str) else "a given face"


def face_of_units(text: str) -> Float[np.ndarray, " 52"] | None:
    """Return the face of a text that is action units and nothing else, or None.

    An intensity is for the units before it that have none: in "AU6+AU12 strong" for both. It
    is a word or a letter, as in `expclip.tead.parsing.units`; with none, a unit is at its peak.

    Raises:
        ValueError: a unit is not one of the 36, or none is left.
    """
    text = fold(text)
    found = list(_UNIT.finditer(text))
    if not found:
        return None
    gaps = [text[: found[0].start()]]
    for unit, after in zip(found, [*found[1:], None], strict=True):
        gaps.append(text[unit.end() : after.start() if after else len(text)])
    between = [_JOINT.sub(" ", gap).strip() for gap in gaps]
    said = [grade(words) if words else {} for words in between]
    if any(one is None for one in said):
        return None  # "AU12, as if in love": for the text encoder
    mentions: list[Mention] = []
    waiting = 0
    for unit, words in zip(found, said[1:], strict=True):
        mentions.append(_mention(unit))
        if words:
            mentions[waiting:] = [_graded(one, words) for one in mentions[waiting:]]
            waiting = len(mentions)
    if said[0]:
        mentions = [_graded(one, said[0]) for one in mentions]
    actions, _ = settle(mentions)
    if not actions:
        raise ValueError(f"{text!r}: no action unit is left")
    return np.asarray(blendshapes_from_actions([actions])[0])


def _mention(unit: re.Match[str]) -> Mention:
    try:
        action = parse_action(re.sub(r"(?i)AU\s", "AU", unit[2]))
    except ParseError as error:
        raise ValueError(str(error)) from None
    side = unit[1][0].upper() if unit[1] else action.side
    return Mention(action.code, f"AU{action.code}", letter=action.intensity, side=side)


def _graded(mention: Mention, said: dict[str, Any]) -> Mention:
    """Return a mention with what was said of it, where it says nothing itself."""
    if mention.letter or mention.number is not None:
        return mention
    return replace(mention, **said)


def read_prompt(path: Path) -> np.ndarray | Sequence | Image.Image:
    """Return what a file gives as a prompt: a face, a face in motion, or a picture.

    Raises:
        DataError: it is none of these, or cannot be read.
    """
    if path.suffix.lower() in _PICTURES:
        return _read_picture(path)
    try:
        sequence = read_sequence(path, fps=None, max_bytes=_MOST_FACE_BYTES)
    except DataError as error:
        if "does not say its frame rate" not in str(error):
            raise
        sequence = read_sequence(path, fps=1.0, max_bytes=_MOST_FACE_BYTES)
    sequence = sequence.filled().clipped()
    return sequence.weights[0] if len(sequence) == 1 else sequence


def _read_picture(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(f"{path}: has {image.width} x {image.height} pixels, too many")
            return image.convert("RGB")
    except UnidentifiedImageError:
        raise DataError(f"{path}: is no picture") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "is a broken picture"
        raise DataError(f"{path}: cannot be read: {reason}") from None


@dataclass(frozen=True, slots=True, eq=False)
class PromptTrack:
    """Style embeddings over time: each held, then turned into the next one smoothly.

    Attributes:
        starts_s: when each begins, ascending from 0.
        styles: their embeddings.
        names: what to call them.
        blend_s: how long a change takes, from the start of the new prompt on; less where the
            one after it begins sooner.
    """

    starts_s: tuple[float, ...]
    styles: Float[np.ndarray, "prompts dim"]
    names: tuple[str, ...]
    blend_s: float = BLEND_S

    def __post_init__(self) -> None:
        if not len(self.starts_s) == len(self.styles) == len(self.names) or self.starts_s[0]:
            raise ValueError("prompts need a start, a style and a name each, the first start 0")

    def at(self, times_s: Float[np.ndarray, " *frames"]) -> Float[np.ndarray, "*frames dim"]:
        """Return the style at each time."""
        starts, times = np.array(self.starts_s), np.asarray(times_s, np.float64)
        last = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
        until = np.append(starts[1:], np.inf)[last]
        length = np.minimum(max(self.blend_s, 1e-6), until - starts[last])
        done = np.clip((times - starts[last]) / length, 0, 1)
        share = np.where(last > 0, done * done * (3 - 2 * done), 1.0)[..., None]
        before = self.styles[np.maximum(last - 1, 0)]
        return np.asarray((1 - share) * before + share * self.styles[last], np.float32)
