"""The rating page: one HTML file that needs no network, and beside it the key.

Clips travel under codes, as bytes, gzip and base64, so that nothing of a text is ever
markup; a Content-Security-Policy lets only the page's own script run, and nothing be
fetched. Faces are drawn by the report's script, frame by frame with the sound.
"""

import hashlib
import io
import json
import wave
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from expclip.beat_loader.audio import Audio
from expclip.benchmarks.results.folder import make_folder
from expclip.benchmarks.study.key import Key, encode_key, read_key
from expclip.benchmarks.study.key import Shown as KeyClip
from expclip.benchmarks.study.plan import (
    PlanOptions,
    Trial,
    name_raters,
    name_stimulus,
    plan_trials,
)
from expclip.benchmarks.study.stimuli import QUESTIONS, Media, Shown, Stimuli
from expclip.face import BLENDSHAPES
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.face.page import compress, fill_holes, hash_source

__all__ = ["SCALE", "StudyFiles", "write_study"]

SCALE = ("bad", "poor", "fair", "good", "excellent")
"""1 to 5, in the words of the opinion scale of ITU-T P.910."""

_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """What a study is: the page for raters, the key for whoever runs it."""

    page: Path
    key: Path


def write_study(
    stimuli: Stimuli,
    out: str | Path,
    options: PlanOptions | None = None,
    *,
    title: str = "Rating faces",
) -> StudyFiles:
    """Write ``study.html`` and ``key.json`` into a folder.

    The page holds no name of a model or item. The same stimuli and options give the same
    bytes; a study that was made there before is never overwritten by another.

    Args:
        stimuli: what is shown.
        out: the folder; it is made.
        options: who sees what.
        title: of the page.

    Raises:
        ValueError: the options do not fit the stimuli.
        DataError: there is too much for one page, another study lies there, or a file
            cannot be written.
    """
    options, out = options or PlanOptions(), Path(out)
    plan = plan_trials(list(stimuli.models), list(stimuli.items), options)
    packed = _Packed()
    data, key = _describe(stimuli, plan, options, packed, title)
    paths = StudyFiles(out / "study.html", out / "key.json")
    if paths.key.exists() and read_key(paths.key) != key:
        raise DataError(f"{paths.key}: is the key of another study, expected an unused folder")
    make_folder(out)
    page = _page(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(), packed)
    for path, text in ((paths.key, encode_key(key)), (paths.page, page)):
        with write_atomically(path) as temporary:
            temporary.write_text(text, "utf-8", newline="\n")
    return paths


class _Packed:
    """All pictures, faces and sounds in one row of bytes, each once."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.parts: list[dict[str, Any]] = []
        self._places: dict[bytes, int] = {}

    def add(self, kind: str, content: bytes, **more: float) -> int:
        """Take note of a part, and return its number."""
        sign = hashlib.sha256(repr((kind, more)).encode() + content).digest()
        if sign not in self._places:
            if len(self.content) + len(content) > _MOST_BYTES:
                raise DataError(
                    f"the clips have more than {_MOST_BYTES:,} bytes, too much for one page: "
                    "show fewer or shorter ones"
                )
            self._places[sign] = len(self.parts)
            span = {"start": len(self.content), "end": len(self.content) + len(content)}
            self.parts.append({"kind": kind, **more, **span})
            self.content += content
        return self._places[sign]

    def add_shown(self, shown: Shown) -> int:
        """Take note of what is seen; weights in 255ths."""
        if isinstance(shown, Media):
            return self.add(shown.kind, shown.content)
        weights = shown.filled().clipped().weights
        return self.add("face", np.rint(255 * weights).astype(np.uint8).tobytes(), fps=shown.fps)

    def add_sound(self, sound: Audio) -> int:
        """Take note of speech, as 16-bit WAV, with nothing else of its file."""
        samples = np.rint(32767 * sound.samples.clip(-1, 1)).astype("<i2")
        with io.BytesIO() as file:
            with wave.open(file, "wb") as writer:
                writer.setparams((1, 2, sound.sample_rate, len(samples), "NONE", ""))
                writer.writeframes(samples.tobytes())
            return self.add("audio/wav", file.getvalue())


def _describe(
    stimuli: Stimuli,
    plan: tuple[tuple[Trial, ...], ...],
    options: PlanOptions,
    packed: _Packed,
    title: str,
) -> tuple[dict[str, Any], Key]:
    """Return what the page reads, and the key; clips come in the order of their codes."""
    codes = {
        name_stimulus(options.seed, model, item): (model, item)
        for model in stimuli.models
        for item in stimuli.items
    }
    if len(codes) < len(stimuli.models) * len(stimuli.items):
        raise ValueError(f"two clips got one code, expected another seed than {options.seed}")
    of_clip = {clip: code for code, clip in codes.items()}
    clips = {code: _clip(stimuli, *codes[code], packed) for code in sorted(codes)}
    raters = {
        rater: tuple((of_clip[trial.model, trial.item], trial.asked) for trial in trials)
        for rater, trials in zip(name_raters(options), plan, strict=True)
    }
    data: dict[str, Any] = {
        "title": title,
        "questions": QUESTIONS,
        "scale": SCALE,
        "shapes": BLENDSHAPES,
        "parts": packed.parts,
        "clips": clips,
        "raters": raters,
    }
    shown = json.dumps(data, sort_keys=True).encode() + packed.content
    data["study"] = hashlib.sha256(shown).hexdigest()[:12]
    key_clips = {
        code: KeyClip(*codes[code], questions=tuple(clip["questions"]))
        for code, clip in clips.items()
    }
    return data, Key(data["study"], key_clips, raters)


def _clip(stimuli: Stimuli, model: str, item: str, packed: _Packed) -> dict[str, Any]:
    shown, about = stimuli.models[model][item], stimuli.items[item]
    silent = isinstance(shown, Media) or len(shown) == 1 or about.sound is None
    return {
        "shown": packed.add_shown(shown),
        "sound": None if silent or about.sound is None else packed.add_sound(about.sound),
        "reference": None if about.reference is None else packed.add_shown(about.reference),
        "text": about.text,
        "questions": stimuli.questions(item),
    }


def _page(data: bytes, packed: _Packed) -> str:
    """Return the page with everything in it."""
    report = files("expclip.tead").joinpath("data/report")
    own = files("expclip.benchmarks.study").joinpath("data")
    scripts = (report / "face.js", report / "pieces.js", own / "player.js", own / "study.js")
    script = "".join(source.read_text("utf-8") for source in scripts)
    style = (own / "study.css").read_text("utf-8")
    policy = [
        "default-src 'none'",
        f"script-src '{hash_source(script)}'",
        f"style-src '{hash_source(style)}'",
        "img-src data: blob:",
        "media-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    holes = {
        "policy": "; ".join(policy),
        "version": version("expclip"),
        "style": style,
        "script": script,
        "data": compress(data),
        "media": compress(bytes(packed.content)),
    }
    return fill_holes((own / "study.html").read_text("utf-8"), holes)
