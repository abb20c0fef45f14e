"""The key of a study: what its codes stand for. It stays with whoever runs the study."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expclip.benchmarks.study.stimuli import QUESTIONS
from expclip.face.errors import DataError

__all__ = ["Key", "Shown", "encode_key", "read_key"]

_VERSION = 1
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Shown:
    """One clip: whose it is, and what is asked about it."""

    model: str
    item: str
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """What the codes of a study stand for.

    Attributes:
        study: identifies the page: a hash of what it shows.
        clips: code -> clip.
        raters: code -> trials in order: the code of a clip, and the answer that is asked
            for if it is a check, else None.
    """

    study: str
    clips: Mapping[str, Shown]
    raters: Mapping[str, tuple[tuple[str, int | None], ...]]

    @property
    def models(self) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(sorted({clip.model for clip in self.clips.values()}))


def encode_key(key: Key) -> str:
    """Return the key as the JSON that `read_key` reads."""
    return json.dumps({"version": _VERSION, **asdict(key)}, indent=1, ensure_ascii=False) + "\n"


def read_key(path: str | Path) -> Key:
    """Read a key.

    Raises:
        DataError: it cannot be read, or is no key of a study.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than {_MOST_BYTES:,} bytes, is no key of a study")
        found = json.loads(path.read_text("utf-8"))
        return _key(found)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path}: is no key of a study: {told:.120}") from None


def _key(found: Any) -> Key:
    if found["version"] != _VERSION:
        raise ValueError(f"version {found['version']!r}, expected {_VERSION}")
    clips = {
        str(code): Shown(_word(clip["model"]), _word(clip["item"]), tuple(clip["questions"]))
        for code, clip in found["clips"].items()
    }
    raters = {
        str(rater): tuple((_word(code), asked) for code, asked in trials)
        for rater, trials in found["raters"].items()
    }
    for clip in clips.values():
        if not clip.questions or not set(clip.questions) <= set(QUESTIONS):
            raise ValueError(f"questions {clip.questions!r}")
    for trials in raters.values():
        for code, asked in trials:
            if code not in clips or asked not in (None, 1, 2, 3, 4, 5):
                raise ValueError(f"trial {(code, asked)!r}")
    return Key(_word(found["study"]), clips, raters)


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r}, expected a name")
    return value
