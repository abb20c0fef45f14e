"""Emotions read from faces by the nearest prototype: by hand, ties, floors and ceilings."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from expclip.benchmarks.baselines import Constant
from expclip.benchmarks.metrics.emotions import nearest_hits, prototype_faces
from expclip.benchmarks.metrics.style_control import StyleCase, emotion_hits
from expclip.benchmarks.outcome import Outcome
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.speech_data import smoke_speech
from expclip.benchmarks.task_data import TeadData, smoke_tead
from expclip.benchmarks.tasks.faces import TextRegression
from expclip.benchmarks.tasks.speech import STYLE_PROMPTS, StyleControl
from expclip.face import BLENDSHAPE_INDEX
from expclip.tead.emotions import prototypes

AXES = np.eye(3)


def face(**channels: float) -> np.ndarray:
    weights = np.zeros(52)
    for name, value in channels.items():
        weights[BLENDSHAPE_INDEX[name]] = value
    return weights


def mean(outcome: Outcome, metric: str) -> float:
    return float(np.average(outcome.values[metric], weights=outcome.weights))


def test_the_nearest_prototype_is_the_answer() -> None:
    shown = np.array([[0.1, 0.02, 0], [0, 0.9, 0.8], [0, 0.9, 0.8]])
    right = np.array([[True, False, False], [False, True, True], [True, False, True]])
    assert nearest_hits(shown, AXES, right, by_direction=True).tolist() == [1, 1, 0]


def test_prototypes_that_are_equally_near_share_the_answer() -> None:
    alike = np.stack([AXES[0], AXES[0], AXES[1]])
    right = np.eye(3, dtype=bool)
    assert nearest_hits(alike, alike, right, by_direction=True).tolist() == [0.5, 0.5, 1]
    still = np.zeros((3, 3))
    assert nearest_hits(still, AXES, right, by_direction=True) == pytest.approx([1 / 3] * 3)


def test_by_distance_a_weak_face_is_neutral() -> None:
    candidates = np.stack([np.zeros(3), AXES[0]])
    first, second = np.array([[True, False]]), np.array([[False, True]])
    for strength, neutral in ((0.4, 1), (0.6, 0)):
        shown = strength * AXES[:1]
        assert nearest_hits(shown, candidates, first, by_direction=False).tolist() == [neutral]
        assert nearest_hits(shown, candidates, second, by_direction=False).tolist() == [1 - neutral]


def test_a_prompt_is_read_from_what_it_changes_above_the_mouth() -> None:
    prompts = np.stack([face(browInnerUp=1), face(noseSneerLeft=1), face(noseSneerLeft=1)])
    frown = face(browDownLeft=0.9, noseSneerLeft=0.9)  # of this model, whatever is asked

    def case(place: int, shown: np.ndarray) -> StyleCase:
        neutral = np.stack([frown, frown])
        return StyleCase(prompts[place], neutral, neutral, [neutral + shown], (1.0,))

    cases = [
        case(0, face(browInnerUp=0.05, mouthSmileLeft=1)),  # weak, and lips do not count
        case(1, face(noseSneerLeft=0.2)),  # two prompts have this face
        case(0, face(noseSneerLeft=0.2)),
        case(2, face(mouthSmileLeft=1)),  # nothing above the mouth
    ]
    found = emotion_hits(cases, prompts, np.array([0, 1, 0, 2]))
    assert found == pytest.approx([1, 1 / 2, 0, 1 / 3])
    with pytest.raises(ValueError, match="asked must be a place in 3 faces"):
        emotion_hits(cases, prompts, np.array([0, 1, 0, 3]))


def test_a_perfect_speaker_is_at_the_ceiling_and_a_deaf_one_at_chance() -> None:
    speech = smoke_speech()
    task = StyleControl(replace(speech, clips=speech.clips[:1]))
    perfect = task.measure(Asked(task.perfect()))
    shown = [prompt for prompt in STYLE_PROMPTS if prompt != "contempt"]  # all in the mouth
    # above the mouth, surprise is awe and shock, and sadness is worry
    assert perfect.notes["emotion ceiling"] == pytest.approx((9 + 3 / 3 + 2 / 2) / len(shown))
    assert mean(perfect, "emotion_hit") == pytest.approx(perfect.notes["emotion ceiling"])
    deaf = task.measure(Asked(Constant()))
    assert mean(deaf, "emotion_hit") == pytest.approx(1 / len(shown))
    assert deaf.notes["emotion chance"] == 1 / len(shown)


def test_the_face_of_a_text_shows_one_of_its_tags() -> None:
    data = smoke_tead()
    joy, anger = prototype_faces(["joy", "anger"])
    rows = replace(
        data.test,
        texts=("a", "a", "b", "c"),
        tags=("joy, pride, hope", "anger, joy, rage", "neutral, calm", "rage, fury, anger"),
        situations=data.test.situations[:4],
        aus=data.test.aus[:4],
        faces=np.stack([0.9 * joy, anger, 0 * joy, 0 * joy]).astype(np.float32),
        natural=data.test.natural[:4],
    )
    task = TextRegression(TeadData("t", data.train, rows))

    class Says:
        def text_to_expression(self, texts: list[str]) -> np.ndarray:
            return np.array([{"a": anger, "b": 0 * joy, "c": joy}[text] for text in texts])

    outcome = task.measure(Asked(Says()))
    assert outcome.keys == ("a", "b", "c")
    assert outcome.values["emotion_hit"].tolist() == [0.5, 1, 0]
    assert outcome.notes["emotion ceiling"] == 0.75
    assert outcome.notes["emotion commonest"] == 0.5  # joy, or anger
    known = 3 + 3 + 1 + 3  # calm is none of the prototypes
    assert outcome.notes["emotion chance"] == pytest.approx(known / (4 * len(prototypes())))


def test_other_prototypes_are_another_version_of_the_task_that_reads_tags() -> None:
    """Their faces are no part of its data: raise `TextRegression`'s version with this hash."""
    names = [*prototypes()]
    steps = np.round(prototype_faces(names) * 1000).astype("<i4")
    digest = hashlib.sha256("\0".join(names).encode() + steps.tobytes()).hexdigest()
    task = TextRegression(smoke_tead())
    assert (task.info.version, digest[:12]) == (1, "4b4114502f1a")
