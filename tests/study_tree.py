"""A small study: two models, three spoken items and a text-only one; and its answers."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from expclip.benchmarks.study import Key, PlanOptions, read_key, read_stimuli, write_study
from expclip.benchmarks.study.answers import COLUMNS
from expclip.face import BLENDSHAPE_INDEX
from expclip.face import Sequence as Face
from expclip.face.sequence import write_sequence

MODELS = ("quiet", "wild")
SPOKEN = {"a": "She has won, at last.", "b": "Nobody came to the party.", "c": "Do not touch it!"}
STILL = {"d": "I am so proud of you."}
FPS, FRAMES, RATE = 25.0, 4, 8000


def face(strength: float, frames: int = FRAMES) -> Face:
    weights = np.zeros((frames, 52), np.float32)
    weights[:, BLENDSHAPE_INDEX["mouthSmileLeft"]] = strength
    weights[:, BLENDSHAPE_INDEX["mouthSmileRight"]] = strength
    opening = strength * np.abs(np.sin(np.arange(frames)))
    weights[:, BLENDSHAPE_INDEX["jawOpen"]] = opening
    return Face(weights, FPS)


def write_sound(path: Path, pitch: float = 200.0, seconds: float = FRAMES / FPS) -> None:
    samples = 8000 * np.sin(2 * np.pi * pitch * np.arange(int(RATE * seconds)) / RATE)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def write_tree(folder: Path) -> Path:
    """Write what `expclip bench study make` reads, and return the folder."""
    for place in ("sound", "reference", *(f"models/{model}" for model in MODELS)):
        (folder / place).mkdir(parents=True)
    lines = ["item,text", *(f'{item},"{text}"' for item, text in (SPOKEN | STILL).items())]
    (folder / "prompts.csv").write_text("\n".join(lines) + "\n", "utf-8")
    for number, item in enumerate(SPOKEN | STILL):
        for model, strength in zip(MODELS, (0.2, 0.8), strict=True):
            frames = 1 if item in STILL else FRAMES
            clip = face(strength + 0.04 * number, frames)
            write_sequence(clip, folder / "models" / model / f"{item}.npz")
        if item in SPOKEN:
            write_sound(folder / "sound" / f"{item}.wav", 200.0 + 50 * number)
            write_sequence(face(0.6), folder / "reference" / f"{item}.npz")
    return folder


Answer = Callable[[str, str, str], int]
"""From model, item and question to 1..5."""


def rows(key: Key, rater: str, answer: Answer, *, attentive: bool = True) -> list[list[str]]:
    """Return the rows that the page would save."""
    found = []
    for trial, (code, asked) in enumerate(key.raters[rater], 1):
        clip = key.clips[code]
        for question in clip.questions:
            value = answer(clip.model, clip.item, question)
            if asked is not None and attentive:
                value = asked
            cells = (key.study, rater, trial, code, question, value, "4.5", 1)
            found.append(list(map(str, cells)))
    return found


def write_answers(path: Path, found: Sequence[Sequence[str]]) -> Path:
    """Write rows as the page saves them."""
    path.write_text("".join(",".join(row) + "\n" for row in (COLUMNS, *found)), "utf-8")
    return path


def write_returned(folder: Path, study: Path, scratch: Path) -> None:
    """Write what three of twenty raters of a study send back."""
    folder.mkdir()
    key = read_key(write_study(read_stimuli(study), scratch, PlanOptions(raters=20)).key)
    for number, rater in enumerate(list(key.raters)[:3]):
        found = rows(key, rater, lambda model, item, _, up=number: 1 + (ord(item[0]) + up) % 5)
        write_answers(folder / f"{rater}.csv", found)
