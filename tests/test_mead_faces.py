"""Reconstructors: MediaPipe's scores and model file; ready meshes in a folder."""

import hashlib
import pickle
import random
import sys
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from expclip.face import BLENDSHAPES
from expclip.face.errors import DataError, MissingExtra, ModelError
from expclip.mead3d import landmarker
from expclip.mead3d.index import Clip
from expclip.mead3d.landmarker import FaceLandmarker, find_model, weights_from_scores
from expclip.mead3d.meshes import ReadyMeshes, read_meshes
from expclip.mead3d.naming import Label
from expclip.mead3d.reconstruct import Reconstruction, Reconstructor, Shot

SHARED = Path(__file__).parents[2] / "shared" / "data" / "faces"
PICTURE = np.zeros((100, 200, 3), np.uint8)
LABEL = Label("M003", "", "happy", 2, "front", 1)
CLIP = Clip(LABEL.id, "M003/video/front/happy/level_2/001.mp4", LABEL, frames=4, fps=30.0)


@dataclass
class Category:
    """As MediaPipe's: what it says of one score."""

    index: int | None = None
    score: float | None = None
    display_name: str | None = None
    category_name: str | None = None


def scores() -> list[Category]:
    """The 52 scores in MediaPipe's order: _neutral first, no tongueOut."""
    names = ["_neutral", *BLENDSHAPES[:-1]]
    return [Category(i, i / 100, "", name) for i, name in enumerate(names)]


def test_scores_are_put_in_order_by_name_without_neutral() -> None:
    shuffled = scores()
    random.Random(3).shuffle(shuffled)
    weights = weights_from_scores(shuffled)
    assert weights[:3].tolist() == pytest.approx([0.01, 0.02, 0.03])
    assert weights[BLENDSHAPES.index("noseSneerRight")] == pytest.approx(0.51)
    assert weights[BLENDSHAPES.index("tongueOut")] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found[:-1], "no score for noseSneerRight"),
        (lambda found: [*found, found[5]], "twice"),
        (lambda found: [*found, Category(category_name="smirk", score=0.5)], "no blendshape"),
        (lambda found: [replace(found[1], score=float("nan")), *found[2:]], "with nan"),
    ],
)
def test_scores_that_are_not_as_known_are_refused(change: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        weights_from_scores(change(scores()))


@pytest.fixture
def mediapipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A stand-in with the names, arguments and results of MediaPipe 1.2.2."""
    state = SimpleNamespace(faces=1, opened=[], failure=None, model=tmp_path / "model.task")
    state.model.write_bytes(b"model")

    class Landmarker:
        def detect(self, image: Any) -> Any:
            if state.failure:
                raise state.failure
            corners = [SimpleNamespace(x=0.25, y=0.2, z=0.0), SimpleNamespace(x=0.75, y=0.9, z=0.0)]
            return SimpleNamespace(
                face_landmarks=[corners] * state.faces,
                face_blendshapes=[scores()] * state.faces,
                facial_transformation_matrixes=[],
            )

    def create_from_options(options: Any) -> Landmarker:
        state.opened.append(options)
        if options.base_options.model_asset_path.endswith("broken.task"):
            raise RuntimeError("Unable to open zip archive.")
        return Landmarker()

    vision = SimpleNamespace(
        FaceLandmarkerOptions=SimpleNamespace,
        FaceLandmarker=SimpleNamespace(create_from_options=create_from_options),
        RunningMode=SimpleNamespace(IMAGE="image"),
    )
    modules = {
        "mediapipe": {
            "ImageFormat": SimpleNamespace(SRGB=1),
            "Image": lambda image_format, data: SimpleNamespace(format=image_format, data=data),
        },
        "mediapipe.tasks": {},
        "mediapipe.tasks.python": {"BaseOptions": SimpleNamespace, "vision": vision},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(landmarker, "version", lambda package: "1.2.2")
    return state


def test_a_face_gives_weights_and_its_box(mediapipe: SimpleNamespace) -> None:
    found = FaceLandmarker(mediapipe.model)
    first, second = found.reconstruct([Shot(CLIP, 0, PICTURE), Shot(CLIP, 1, PICTURE)])
    assert first.weights is not None and first.weights.shape == (52,)
    assert first.box == second.box == (50, 20, 150, 90)
    (options,) = mediapipe.opened  # once
    assert options.output_face_blendshapes and options.num_faces == 1


def test_no_face_and_a_failing_picture_are_reasons(mediapipe: SimpleNamespace) -> None:
    mediapipe.faces = 0
    found = FaceLandmarker(mediapipe.model)
    assert found.reconstruct([Shot(CLIP, 0, PICTURE)])[0].reason == "no_face"
    mediapipe.failure = RuntimeError("calculator failed\nin a graph")
    (failed,) = found.reconstruct([Shot(CLIP, 0, PICTURE)])
    assert (failed.reason, failed.message) == ("detector", "calculator failed in a graph")


def test_a_landmarker_goes_to_another_process_unopened(mediapipe: SimpleNamespace) -> None:
    found = FaceLandmarker(mediapipe.model)
    found.reconstruct([Shot(CLIP, 0, PICTURE)])
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found and isinstance(copy, Reconstructor)
    assert not copy._opened
    digest = hashlib.sha256(b"model").hexdigest()[:16]
    assert copy.name == f"mediapipe 1.2.2 model {digest} >= 0.5"


def test_a_broken_model_is_one_line(mediapipe: SimpleNamespace, tmp_path: Path) -> None:
    broken = tmp_path / "broken.task"
    broken.write_bytes(b"x")
    with pytest.raises(DataError, match=r"broken\.task: MediaPipe cannot open this model: Unable"):
        FaceLandmarker(broken).reconstruct([Shot(CLIP, 0, PICTURE)])


def test_without_mediapipe_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarker, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="mediapipe is not installed"):
        _ = FaceLandmarker().name
    with pytest.raises(MissingExtra, match="mediapipe is not installed"):
        FaceLandmarker().reconstruct([Shot(CLIP, 0, PICTURE)])


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the model's address leads to."""
    path = tmp_path / "served.task"
    path.write_bytes(b"the model")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(landmarker, "MODEL_URL", path.as_uri())
    monkeypatch.setattr(landmarker, "MODEL_SHA256", hashlib.sha256(b"the model").hexdigest())
    return path


def test_the_model_is_downloaded_once_and_checked(served: Path, tmp_path: Path) -> None:
    first = find_model()
    assert first == tmp_path / "cache" / "expclip" / "face_landmarker.task"
    served.unlink()
    assert find_model().read_bytes() == b"the model"


def test_a_damaged_download_is_fetched_again(served: Path) -> None:
    find_model().write_bytes(b"damaged")
    assert find_model().read_bytes() == b"the model"


def test_a_model_with_another_content_is_refused(served: Path, tmp_path: Path) -> None:
    served.write_bytes(b"another")
    with pytest.raises(DataError, match=r"another content.*--model"):
        find_model()
    assert not (tmp_path / "cache" / "expclip" / "face_landmarker.task").exists()


def test_where_nothing_can_be_downloaded_the_message_says_what_to_do(served: Path) -> None:
    served.unlink()
    with pytest.raises(DataError, match=r"cannot be downloaded.*--model.*--meshes") as error:
        find_model()
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="no such file"):
        find_model(served)


def test_the_real_mediapipe_refuses_what_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    broken = tmp_path / "broken.task"
    broken.write_bytes(b"nonsense" * 100)
    with pytest.raises(DataError, match="MediaPipe cannot open this model"):
        FaceLandmarker(broken).reconstruct([Shot(CLIP, 0, PICTURE)])


def test_a_portrait_has_a_smile_where_the_model_is_present() -> None:
    pytest.importorskip("mediapipe")
    model = landmarker._cache() / "face_landmarker.task"
    portrait = SHARED / "obama_official_portrait.jpg"
    if not (model.is_file() and portrait.is_file()):
        pytest.skip("no model, or no portrait")
    from PIL import Image

    with Image.open(portrait) as image:
        picture = np.asarray(image.convert("RGB"))
    (found,) = FaceLandmarker(model).reconstruct([Shot(CLIP, 0, picture)])
    assert found.weights is not None
    assert found.weights[BLENDSHAPES.index("mouthSmileLeft")] > 0.3


def test_a_reconstruction_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="weights, or vertices, or a reason"):
        Reconstruction()
    with pytest.raises(ValueError, match="weights, or vertices, or a reason"):
        Reconstruction(weights=np.zeros(52), reason="no_face")
    with pytest.raises(ValueError, match=r"expected \(52,\)"):
        Reconstruction(weights=np.zeros(51))


def meshes(count: int = 4, vertices: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, vertices, 3))


def one(found: ReadyMeshes, number: int = 0, clip: Clip = CLIP) -> Reconstruction:
    return found.reconstruct([Shot(clip, number, PICTURE)])[0]


@pytest.mark.parametrize("place", [CLIP.id, "M003/video/front/happy/level_2/001"])
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_meshes_of_a_clip_are_found_by_id_or_path(tmp_path: Path, place: str, suffix: str) -> None:
    path = tmp_path / (place + suffix)
    path.parent.mkdir(parents=True)
    if suffix == ".npz":
        np.savez(path, vertices=meshes())
    else:
        np.save(path, meshes())
    found = one(ReadyMeshes(tmp_path, "basis"), 2)
    assert np.array_equal(found.vertices, meshes()[2]) and found.neutral is None


def test_meshes_of_frames_are_found_by_number_or_picture(tmp_path: Path) -> None:
    folder = tmp_path / CLIP.id
    folder.mkdir(parents=True)
    np.savez(folder / "000003.npz", v=meshes()[3])
    ready = ReadyMeshes(tmp_path, "basis")
    assert np.array_equal(one(ready, 3).vertices, meshes()[3])
    np.save(folder / "img_b.npy", meshes()[1])
    drawn = replace(CLIP, path="M003/pictures", pictures=("img_a.jpg", "img_b.jpg"))
    assert np.array_equal(one(ready, 1, drawn).vertices, meshes()[1])
    assert one(ready, 0, drawn).reason == "no_mesh"


def write(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def test_frames_and_meshes_meet_by_number_by_time_or_not_at_all(tmp_path: Path) -> None:
    path, ready = tmp_path / f"{CLIP.id}.npz", ReadyMeshes(tmp_path, "basis")
    write(path, vertices=meshes(2), frames=np.array([3, 1]))
    assert np.array_equal(one(ready, 1).vertices, meshes(2)[1])
    assert one(ready, 0).reason == "no_mesh"

    other = replace(CLIP, id="M003/front/happy/level_2/002", frames=60)  # 2 s at 30 fps
    write(tmp_path / f"{other.id}.npz", vertices=meshes(50), fps=25)
    assert np.array_equal(one(ready, 30, other).vertices, meshes(50)[25])

    third = replace(CLIP, id="M003/front/happy/level_2/003", frames=60)
    write(tmp_path / f"{third.id}.npz", vertices=meshes(50))
    found = one(ready, 30, third)
    assert found.reason == "mesh" and "50 meshes for 60 frames" in found.message


def test_a_frame_without_a_face_is_nan(tmp_path: Path) -> None:
    values = meshes()
    values[1] = np.nan
    write(tmp_path / f"{CLIP.id}.npz", vertices=values)
    assert one(ReadyMeshes(tmp_path, "basis"), 1).reason == "no_face"


def test_the_neutral_face_is_the_actors_own(tmp_path: Path) -> None:
    write(tmp_path / f"{CLIP.id}.npz", vertices=meshes())
    ready = ReadyMeshes(tmp_path)
    found = one(ready)
    assert found.reason == "mesh" and "M003/neutral.npz" in found.message

    rest = meshes(1, 5)[0]
    for number in (1, 2, 3):
        name = f"M003/front/neutral/level_1/00{number}.npz"
        write(tmp_path / name, vertices=np.stack([rest, rest, rest + (number == 3)]))
    np.testing.assert_array_equal(one(ReadyMeshes(tmp_path)).neutral, rest)  # the median

    write(tmp_path / "M003" / "neutral.npz", vertices=rest + 1)
    np.testing.assert_array_equal(one(ReadyMeshes(tmp_path)).neutral, rest + 1)


def test_pickled_meshes_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.array({"verts": 1}, dtype=object), allow_pickle=True)
    np.savez(tmp_path / "m.npz", vertices=np.array([{}], dtype=object))
    for name in ("m.npy", "m.npz"):
        with pytest.raises(DataError, match=rf"{name}: is no npz or npy of plain numbers"):
            read_meshes(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vertices": np.zeros((2, 5, 2))}, "shape"),
        ({"vertices": np.zeros((2, 5, 3), int)}, "expected floating"),
        ({"vertices": np.zeros((0, 5, 3))}, "shape"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "no array 'vertices'"),
        ({"vertices": np.zeros((2, 5, 3)), "frames": np.zeros(3, int)}, "2 whole numbers"),
        ({"vertices": np.zeros((2, 5, 3)), "fps": np.zeros(())}, "above 0"),
    ],
)
def test_files_that_hold_no_meshes_are_one_line(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    write(tmp_path / "m.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_meshes(tmp_path / "m.npz")


def test_damaged_absent_and_oversized_files_are_one_line(tmp_path: Path) -> None:
    write(tmp_path / "m.npz", vertices=meshes())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:200])
    for name, message in (("cut.npz", "is no npz"), ("absent.npz", "cannot be read")):
        with pytest.raises(DataError, match=message):
            read_meshes(tmp_path / name)
    with pytest.raises(DataError, match="expected at most 100"):
        read_meshes(tmp_path / "m.npz", max_bytes=100)
    with pytest.raises(DataError, match="no folder"):
        ReadyMeshes(tmp_path / "absent")
