"""Adapters: models that speak another language, measured as any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from expclip.benchmarks.adapters import (
    MotionFolder,
    NearestFace,
    TalkingHeads,
    TextToMotion,
    VertexMotions,
    weights_from_vertices,
)
from expclip.benchmarks.adapters.files import fill_missing
from expclip.benchmarks.adapters.video import read_talking_head
from expclip.benchmarks.answers import speech_id, text_id
from expclip.benchmarks.baselines import HashedWords
from expclip.benchmarks.protocols import Asked, Skip
from expclip.benchmarks.speech_data import SAMPLE_RATE, smoke_speech
from expclip.benchmarks.task_data import smoke_tead
from expclip.benchmarks.tasks.retrieval import TextRetrieval
from expclip.benchmarks.tasks.speech import Animation
from expclip.face import BLENDSHAPES, Basis, write_sequence
from expclip.face import Sequence as FaceSequence
from expclip.face.errors import DataError, ModelError
from expclip.mead3d import Reconstruction

JAW = BLENDSHAPES.index("jawOpen")


def small_basis() -> Basis:
    """Return 60 vertices on which every shape moves something of its own."""
    rng = np.random.default_rng(0)
    neutral = rng.normal(size=(60, 3))
    return Basis(neutral, rng.normal(size=(52, 60, 3)) * 0.1, np.array([[0, 1, 2]]), "m")


def test_a_text_gets_the_face_of_the_nearest_text() -> None:
    faces = np.zeros((3, 52))
    faces[[0, 1, 2], [0, 1, 2]] = 1
    model = NearestFace(HashedWords(), ["so happy", "so sad", "how odd"], faces)
    np.testing.assert_array_equal(model.text_to_expression(["very happy"])[0], faces[0])
    both = NearestFace(HashedWords(), ["a b", "a c", "x"], faces, neighbours=2)
    np.testing.assert_allclose(both.text_to_expression(["a"])[0], faces[:2].mean(axis=0))
    np.testing.assert_allclose(model.encode_expression(faces), model.encode_text(
        ["so happy", "so sad", "how odd"]), atol=1e-6)  # fmt: skip
    with pytest.raises(ValueError, match="4 neighbours of 3 texts"):
        NearestFace(HashedWords(), ["a", "b", "c"], faces, neighbours=4)


def test_a_sentence_encoder_with_nearest_faces_is_above_chance() -> None:
    data = smoke_tead()
    model = NearestFace(HashedWords(), data.train.texts, data.train.faces)
    outcome = TextRetrieval(data, "t2e").measure(Asked(model))
    assert np.average(outcome.values["R@1"], weights=outcome.weights) > 0.4
    assert outcome.notes["by"] == "embeddings"


def test_a_motion_becomes_the_face_of_its_peak_or_its_mean() -> None:
    def generate(texts: list[str]) -> list[np.ndarray]:
        return [np.array([[0.0, 9.0], [0.8, 9.0], [0.2, 9.0]])] * len(texts)

    channels = ["jawOpen", "headYaw"]  # the second is no blendshape
    peak = TextToMotion(generate, channels).text_to_expression(["a", "b"])
    assert peak.shape == (2, 52)
    assert peak[0, JAW] == 0.8 and peak[0].sum() == 0.8
    mean = TextToMotion(generate, channels, pool="mean").text_to_expression(["a"])
    assert mean[0, JAW] == pytest.approx(1 / 3)
    with pytest.raises(ModelError, match=r"expected \(frames, 1\)"):
        TextToMotion(generate, ["jawOpen"]).text_to_expression(["a"])
    with pytest.raises(ValueError, match="expected ARKit names, each once"):
        TextToMotion(generate, ["pose_1", "pose_2"])


def test_a_motion_encoder_is_given_faces_held_still() -> None:
    model = TextToMotion(
        lambda texts: [],
        encode_text=lambda texts: np.ones((len(texts), 2)),
        encode_motion=lambda motions: np.array([[len(m), m[0, JAW]] for m in motions]),
        hold=8,
    )
    faces = np.zeros((1, 52))
    faces[0, JAW] = 0.5
    assert model.encode_expression(faces).tolist() == [[8, 0.5]]
    assert {"encode_text", "encode_expression", "text_to_expression"} <= Asked(model).can


def test_motions_in_files_are_found_by_the_text(tmp_path: Path) -> None:
    weights = np.zeros((3, 52), np.float32)
    weights[1, JAW] = 1
    write_sequence(FaceSequence(weights, 20), tmp_path / f"{text_id('hello')}.csv")
    model = MotionFolder(tmp_path)
    assert model.text_to_expression(["hello"])[0, JAW] == 1
    with pytest.raises(Skip, match=r"no \w{16}\.npz"):
        Asked(model).text_to_expression(["other"])


def test_vertices_of_the_basis_own_face_give_its_weights_back(tmp_path: Path) -> None:
    basis, speech = small_basis(), smoke_speech()
    for clip in speech.clips:
        key = speech_id(clip.audio, SAMPLE_RATE, None, 1.0)
        np.savez(tmp_path / f"{key}.npz", vertices=basis.pose(clip.weights), fps=15.0)
    model = VertexMotions(tmp_path, basis, fps=15)
    outcome = Animation(speech).measure(Asked(model))
    assert outcome.values["lip_rmse"].max() < 1e-4
    with pytest.raises(DataError, match=r"expected \(frames, 60, 3\) as the basis"):
        weights_from_vertices(np.zeros((2, 61, 3)), basis)
    with pytest.raises(DataError, match="no such folder"):
        VertexMotions(tmp_path / "none", basis)


def test_another_person_s_mesh_is_measured_from_its_first_frame() -> None:
    basis = small_basis()
    weights = np.zeros((4, 52))
    weights[1:, JAW] = 0.5
    other = basis.pose(weights) + np.random.default_rng(1).normal(size=(60, 3)) * 0.05
    found = weights_from_vertices(other, basis, neutral="first", rigid=False)
    np.testing.assert_allclose(found, weights, atol=1e-5)


def test_frames_without_a_face_are_filled_from_their_neighbours() -> None:
    weights = np.zeros((5, 52))
    weights[:, 0] = [0, 0.2, 9, 0.6, 9]
    there = np.array([True, True, False, True, False])
    assert fill_missing(weights, there, "v")[:, 0] == pytest.approx([0, 0.2, 0.4, 0.6, 0.6])
    with pytest.raises(DataError, match="v: 3 of 5 frames have no face"):
        fill_missing(weights, np.array([True, False, False, True, False]), "v")


class Brightness:
    """Reads jawOpen off the picture; the third frame has no face."""

    name = "brightness"

    def reconstruct(self, shots: Sequence[object]) -> list[Reconstruction]:
        found = []
        for shot in shots:
            weights = np.zeros(52)
            weights[JAW] = shot.picture.mean() / 255
            lost = shot.number == 2
            found.append(Reconstruction(reason="no_face") if lost else Reconstruction(weights))
        return found


def test_a_talking_head_is_reconstructed_frame_by_frame(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    speech = smoke_speech()
    for clip in speech.clips:
        path = tmp_path / f"{speech_id(clip.audio, SAMPLE_RATE, None, 1.0)}.mp4"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=15)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for weights in clip.weights:
                shade = np.full((32, 32, 3), 255 * weights[JAW], np.uint8)
                for packet in stream.encode(av.VideoFrame.from_ndarray(shade, "rgb24")):
                    file.mux(packet)
            for packet in stream.encode():
                file.mux(packet)
    weights, fps = read_talking_head(path, Brightness())
    assert fps == 15 and weights.shape == clip.weights.shape
    assert np.abs(weights[:, JAW] - clip.weights[:, JAW])[3:].max() < 0.1
    outcome = Animation(speech).measure(Asked(TalkingHeads(tmp_path, Brightness(), fps=15)))
    assert outcome.values["opening_corr"].min() > 0.8
    path.write_bytes(b"no video")
    with pytest.raises(DataError):
        read_talking_head(path, Brightness())
