"""Tasks of speaking faces: the motion itself, and how a prompt governs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.answers import Answers, speech_id
from expclip.benchmarks.metrics.animation import animation_metrics
from expclip.benchmarks.metrics.animation_audio import audio_metrics
from expclip.benchmarks.metrics.animation_mesh import mesh_metrics
from expclip.benchmarks.metrics.channels import UPPER, places_of
from expclip.benchmarks.metrics.distribution import motion_distances, motion_floors
from expclip.benchmarks.metrics.emotions import nearest_hits, prototype_faces
from expclip.benchmarks.metrics.style_control import (
    STRENGTHS,
    StyleCase,
    emotion_hits,
    style_metrics,
)
from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.speech_data import FPS, SAMPLE_RATE, SpeechSet, Spoken
from expclip.benchmarks.task_data import hash_parts
from expclip.benchmarks.tasks.task import make_outcome
from expclip.face import Basis
from expclip.face.errors import DataError

__all__ = ["STYLE_PROMPTS", "Animation", "StyleControl"]

STYLE_PROMPTS = (
    "happiness", "sadness", "anger", "surprise", "fear", "disgust", "contempt", "awe", "pain",
    "worry", "triumph", "skepticism", "embarrassment", "boredom", "shock",
)  # fmt: skip
"""Prompts of style control: names of prototypes whose faces show something above the mouth."""

_NEUTRAL = "neutral"
_STYLE_CLIPS = 4
_LEAST_UPPER = 0.1


@dataclass(frozen=True, eq=False)
class Animation:
    """A face that speaks, against the recorded one, clip by clip; no prompt is given.

    Without a basis: metrics of the weights, and of motion and sound; main is `lip_rmse`.
    With one: distances of the vertices that the weights move; main is `lve_mm`.

    What comes at another rate is resampled to 15 frames a second; where it is shorter than
    the recording, its last frame is held. Each clip counts once. Of two clips or more there
    is `mmd2`, too: how near all motion together is to the recordings (see
    `expclip.benchmarks.metrics.distribution`); notes say what it is to be read against.
    """

    data: SpeechSet
    basis: Basis | None = None

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        arrays = [] if self.basis is None else [self.basis.neutral, self.basis.deltas]
        plain = [np.asarray(array, "<f8") for array in arrays]
        return TaskInfo(
            id=f"{self.data.source}/animation{'' if self.basis is None else '-mesh'}",
            version=1,
            title=f"Speech to motion{'' if self.basis is None else ', on a mesh'}",
            main="lip_rmse" if self.basis is None else "lve_mm",
            higher_is_better=False,
            needs=(("animate",),),
            data_sha256=hash_parts(self.data.sha256, *plain) if plain else self.data.sha256,
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the metrics of each clip."""
        model.require(self.info.needs)
        clips = self.data.clips
        names, speakers = [clip.name for clip in clips], [clip.speaker for clip in clips]
        truths = [clip.weights for clip in clips]
        seconds = round(sum(map(len, truths)) / FPS, 2)
        notes: dict[str, float | int | str] = {"clips": len(clips), "seconds": seconds}
        found = [animate(model, clip) for clip in clips]
        if self.basis is not None:
            values = mesh_metrics(truths, found, self.basis)
        else:
            values = dict(animation_metrics(truths, found, FPS))
            sounds = [clip.audio for clip in clips]
            values |= audio_metrics(found, sounds, SAMPLE_RATE, FPS, speakers)
            if len(clips) > 1:
                values |= motion_distances(truths, found, speakers)
                notes |= motion_floors(truths, names, speakers)
        return make_outcome(names, speakers, np.ones(len(clips)), values, notes)

    def perfect(self) -> object:
        """Return a model that gives the recorded faces."""
        table = {
            speech_id(clip.audio, SAMPLE_RATE, None, 1.0): clip.weights for clip in self.data.clips
        }
        return Answers({"animate": table}, name="perfect", fps=FPS)


@dataclass(frozen=True, eq=False)
class StyleControl:
    """How a prompt governs the upper face of speech, and leaves the lips alone.

    Four clips, each under fifteen prompts (names of emotions) at five strengths, and under
    "neutral". The aim is the emotion's prototypical face; no recording is needed for it. The
    paper shows its ablations of expression prompt augmentation in pictures only.

    Notes: `emotion ceiling`, the `emotion_hit` of the prompts' own faces (of surprise, awe and
    shock, say, the face above the mouth is one); `emotion chance`, that of a deaf model.
    """

    data: SpeechSet
    prompts: tuple[str, ...] = STYLE_PROMPTS

    @cached_property
    def info(self) -> TaskInfo:
        """What it measures, and on what."""
        faces = np.array(list(self._faces.values()), "<f4")
        return TaskInfo(
            id=f"{self.data.source}/style",
            version=1,
            title="A prompt's hold on the face of speech",
            main="style_error",
            higher_is_better=False,
            needs=(("animate",),),
            data_sha256=hash_parts(self.data.sha256, "\0".join(self._faces), faces),
        )

    def measure(self, model: Asked) -> Outcome:
        """Return the metrics of each clip under each prompt."""
        model.require(self.info.needs)
        keys, clusters, cases, places = [], [], [], []
        for clip in self._clips:
            neutral = animate(model, clip, _NEUTRAL, 1.0)
            for place, (prompt, face) in enumerate(self._faces.items()):
                prompted = [animate(model, clip, prompt, strength) for strength in STRENGTHS]
                cases.append(StyleCase(face, neutral, clip.weights, prompted))
                keys.append(f"{clip.name}|{prompt}")
                clusters.append(prompt)
                places.append(place)
        faces, asked = np.stack([*self._faces.values()]), np.array(places)
        values = style_metrics(cases)
        values["emotion_hit"] = emotion_hits(cases, faces, asked)
        notes = {
            f"style_error [{prompt}]": float(values["style_error"][asked == place].mean())
            for place, prompt in enumerate(self._faces)
        }
        notes["emotion ceiling"], notes["emotion chance"] = self._ceiling, 1 / len(faces)
        return make_outcome(keys, clusters, np.ones(len(keys)), values, notes)

    def perfect(self) -> object:
        """Return a model that puts the prompt's upper face over the recorded lips."""
        upper = places_of(UPPER)
        table = {}
        for clip in self._clips:
            asked = [(_NEUTRAL, 1.0), *((name, s) for name in self._faces for s in STRENGTHS)]
            for prompt, strength in asked:
                weights = clip.weights.copy()
                face = self._faces.get(prompt, np.zeros(weights.shape[1], np.float32))
                weights[:, upper] = strength * face[upper]
                table[speech_id(clip.audio, SAMPLE_RATE, prompt, strength)] = weights
        return Answers({"animate": table}, name="perfect", fps=FPS)

    @property
    def _clips(self) -> tuple[Spoken, ...]:
        return self.data.clips[:_STYLE_CLIPS]

    @property
    def _ceiling(self) -> float:
        """How often the prompts' own faces are taken for them; some are alike above the mouth."""
        upper = np.stack([*self._faces.values()])[:, places_of(UPPER)]
        own = np.eye(len(upper), dtype=bool)
        return float(nearest_hits(upper, upper, own, by_direction=True).mean())

    @cached_property
    def _faces(self) -> Mapping[str, Float[np.ndarray, " 52"]]:
        upper = places_of(UPPER)
        shown = zip(self.prompts, prototype_faces(self.prompts).astype(np.float32), strict=True)
        faces = {
            prompt: face for prompt, face in shown if np.linalg.norm(face[upper]) >= _LEAST_UPPER
        }
        if not faces:
            raise DataError("no prompt shows anything above the mouth")
        return faces


def animate(
    model: Asked, clip: Spoken, prompt: str | None = None, strength: float = 1.0
) -> Float[np.ndarray, "frames 52"]:
    """Return a model's motion for a clip at FPS, no longer than the recording."""
    weights, fps = model.animate(clip.audio, SAMPLE_RATE, prompt, strength)
    if fps != FPS and len(weights) > 1:
        from expclip.beat_loader import resample

        weights = resample(weights, fps, FPS)
    return weights
