"""Speech of our own making: sound and face that belong together, no data set needed.

A clip has random phones, spoken by one of 36 speakers, and the face that goes with them at
15 frames a second. It has what makes speech-driven faces hard: voices that training never
heard, coarticulation, noise, pauses, and BEAT's weak emotion. The training clips know four
emotions and show none of them strongly; clips of the split "unseen" show others, in full.
"""

from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

import numpy as np
from jaxtyping import Float

from expclip.beat_loader.audio import samples_of_frames
from expclip.face import blendshapes_from_aus
from expclip.face.action_units import AU_INDEX
from expclip.models.speech.motion import Manner, make_manner, move_face, show_expression
from expclip.models.speech.phones import Utterance, make_utterance
from expclip.models.speech.sound import Mood, Voice, make_sound, make_voice
from expclip.tead.emotions import prototypes

__all__ = [
    "FPS",
    "SEEN_EMOTIONS",
    "SYNTHETIC_SPLITS",
    "UNSEEN_EMOTIONS",
    "SpeechClip",
    "expression_of",
    "make_clip",
]

FPS = 15.0
"""Of the faces, as in ExpCLIP."""

SYNTHETIC_SPLITS = ("train", "validation", "test", "unseen")
SEEN_EMOTIONS = ("neutral", "happiness", "sadness", "anger")
UNSEEN_EMOTIONS = (
    "surprise", "fear", "disgust", "contempt", "awe", "pain", "worry", "triumph", "skepticism",
    "embarrassment", "boredom", "shock",
)  # fmt: skip
"""Emotions of no training clip, some of them of units that no training clip moves."""

_SPEAKERS = {"train": 24, "validation": 6, "test": 6, "unseen": 6}
_FRAMES = (60, 121)
_WEAK = (0.08, 0.3)
"""Strength of emotion where people are recorded, rather than act."""

_AROUSAL = {
    1: 0.1, 2: 0.3, 4: 0.15, 5: 0.45, 6: 0.15, 7: 0.15, 9: 0.1, 12: 0.15, 15: -0.4, 17: -0.15,
    20: 0.25, 23: 0.4, 24: 0.1, 26: 0.2, 27: 0.4, 41: -0.5, 43: -0.5, 64: -0.25,
}  # fmt: skip
"""What a unit of the face tells of the voice (reconstruction)."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechClip:
    """Speech and face of a sentence.

    Attributes:
        name: split and number.
        speaker: who; no speaker is in two splits, but those of "test" and "unseen".
        samples: mono, 16 kHz, -1..1.
        weights: the face, at FPS, emotion shown.
        speech: the same face without the emotion.
        emotion: of the prototypes of TEAD.
        expression: its face at full strength.
        strength: of the emotion, 0..1.
        said: the phones and their times.
    """

    name: str
    speaker: str
    samples: Float[np.ndarray, " samples"]
    weights: Float[np.ndarray, "frames 52"]
    speech: Float[np.ndarray, "frames 52"]
    emotion: str
    expression: Float[np.ndarray, " 52"]
    strength: float
    said: Utterance


def make_clip(index: int, split: str = "train", seed: int = 0) -> SpeechClip:
    """Return a clip of 4 to 8 s: a function of seed, split and index alone.

    Half of the clips are neutral, the others of SEEN_EMOTIONS, weakly; in the split "unseen"
    all show UNSEEN_EMOTIONS at full strength.

    Raises:
        ValueError: the index is below 0, or there is no such split.
    """
    if index < 0 or split not in SYNTHETIC_SPLITS:
        raise ValueError(f"clip {index} of {split!r}, expected one of {SYNTHETIC_SPLITS}")
    rng = _generator(seed, split, index)
    speaker = _speaker_name(split, int(rng.integers(_SPEAKERS[split])))
    voice, manner = _speaker(seed, speaker)
    emotion, strength = _emotion(rng, split, index)
    expression = _expression(emotion, rng)
    mood = _mood(emotion, expression, strength)

    frames = int(rng.integers(*_FRAMES))
    voice = replace(voice, rate=voice.rate * (1 + 0.15 * mood.arousal))
    said = make_utterance(rng, frames / FPS, voice.rate * float(rng.uniform(0.85, 1.15)))
    samples = make_sound(rng, said, voice, mood, samples_of_frames(frames, FPS))
    times = np.arange(frames) / FPS
    speech = move_face(rng, said, manner, times)
    swell = 1 - 0.25 * rng.random() * np.sin(2 * np.pi * (times / 5 + rng.random())) ** 2
    weights = show_expression(speech, expression, strength * swell.astype(np.float32))
    name = f"{split}-{index:05d}"
    return SpeechClip(name, speaker, samples, weights, speech, emotion, expression, strength, said)


def expression_of(emotion: str) -> Float[np.ndarray, " 52"]:
    """Return the face of an emotion of TEAD's prototypes, at full strength.

    Raises:
        ValueError: there is no prototype of it.
    """
    if emotion not in prototypes():
        raise ValueError(f"emotion {emotion!r} is none of expclip.tead.prototypes()")
    return _face(prototypes()[emotion].units)


def _expression(emotion: str, rng: np.random.Generator) -> Float[np.ndarray, " 52"]:
    """Return the face of an emotion as somebody shows it: some of its optional units, too."""
    prototype = prototypes()[emotion]
    chances = rng.random(len(prototype.optional))
    more = [unit for unit, chance in zip(prototype.optional, chances, strict=True) if chance < 0.3]
    return _face((*prototype.units, *more))


def _face(units: tuple[int, ...]) -> Float[np.ndarray, " 52"]:
    codes = np.zeros(len(AU_INDEX), np.float64)
    codes[[AU_INDEX[unit] for unit in units]] = 1
    return np.asarray(blendshapes_from_aus(codes), np.float32)


def _emotion(rng: np.random.Generator, split: str, index: int) -> tuple[str, float]:
    if split == "unseen":
        return UNSEEN_EMOTIONS[index % len(UNSEEN_EMOTIONS)], 1.0
    if rng.random() < 0.5:
        return "neutral", 0.0
    return SEEN_EMOTIONS[int(rng.integers(1, len(SEEN_EMOTIONS)))], float(rng.uniform(*_WEAK))


def _mood(emotion: str, expression: Float[np.ndarray, " 52"], strength: float) -> Mood:
    """Return what an emotion does to the voice; it is heard better than it is seen."""
    units = prototypes()[emotion].units
    arousal = float(np.tanh(sum(_AROUSAL.get(unit, 0.0) for unit in units)))
    heard = min(1.0, 2 * strength)
    return Mood(arousal * heard, heard if 12 in units else 0.0)


def _generator(*key: object) -> np.random.Generator:
    digest = sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))


def _speaker_name(split: str, number: int) -> str:
    return f"{'test' if split == 'unseen' else split}-{number:02d}"


@cache
def _speaker(seed: int, name: str) -> tuple[Voice, Manner]:
    rng = _generator(seed, "speaker", name)
    return make_voice(rng), make_manner(rng)
