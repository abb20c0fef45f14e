"""`ExpCLIP`, to be used: texts, faces and pictures into one space, and back to faces."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from expclip.face import BLENDSHAPES
from expclip.face.errors import ModelError
from expclip.models.checkpoint import (
    build_network,
    push_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from expclip.models.encoders import ImageEncoder, TextEncoder, image_encoder, text_encoder
from expclip.models.expclip.card import build_card
from expclip.models.expclip.network import ExpClipConfig, ExpClipNetwork
from expclip.models.expclip.train import KIND

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ExpCLIP"]

_CHUNK = 1024

Way = Literal["linear", "spherical"]
"""From one embedding to another: straight, or on a sphere."""


class ExpCLIP:
    """A trained ExpCLIP.

        model = ExpCLIP.from_pretrained("out/expclip")
        weights = model.text_to_expression(["a smug grin"])  # (1, 52), 0..1

    Embeddings are as the networks give them, not of unit length: `decode` needs them so;
    compare them by cosine. The frozen encoders are loaded when first needed.

    Args:
        network: trained; put to evaluation.
        training: what it was trained on, for the card.
        name: what it is called in results; a checkpoint's folder or repository.
    """

    def __init__(
        self,
        network: ExpClipNetwork,
        training: Mapping[str, Any] | None = None,
        name: str = "expclip",
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.training = dict(training or {})
        self.name = name

    @classmethod
    def from_pretrained(
        cls, place: str | Path, *, revision: str | None = None, device: str = "cpu"
    ) -> "ExpCLIP":
        """Return the model of a folder or, where there is none, of a Hub repository.

        Raises:
            DataError: the folder lacks a file, or one is no such thing.
            ModelError: the Hub has no such repository, or cannot be reached.
        """
        checkpoint = read_checkpoint(place, KIND, ExpClipConfig, revision)
        network = build_network(ExpClipNetwork, checkpoint, place).to(device)
        return cls(network, checkpoint.training, Path(place).name)

    @property
    def config(self) -> ExpClipConfig:
        """Sizes, and names of the frozen encoders."""
        return self.network.config

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Return the embeddings of texts, float32.

        Raises:
            ModelError: the frozen encoder is not there, or not the one of the training.
            MissingExtra: a package that it needs is not installed.
            ValueError: one string was given in place of a list.
        """
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings, got one string")
        features = self._texts.encode_text(list(texts))
        return self._run(self.network.text_projector, features, self.config.dim)

    def encode_image(self, images: "Sequence[Image]") -> Float[np.ndarray, "images dim"]:
        """Return the embeddings of Pillow pictures of faces, float32.

        Raises:
            ModelError: the model has no image branch; else as `encode_text`.
        """
        if self.network.image_projector is None:
            raise ModelError(
                f"{self.name}: has no image branch: expclip train expclip --images makes one"
            )
        features = self._images.encode_image(list(images))
        return self._run(self.network.image_projector, features, self.config.dim)

    def encode_expression(
        self, weights: Shaped[np.ndarray, "faces 52"]
    ) -> Float[np.ndarray, "faces dim"]:
        """Return the embeddings of faces, float32.

        Raises:
            ValueError: not 52 finite weights each.
        """
        faces = _checked(weights, len(BLENDSHAPES), "weights")
        return self._run(self.network.encode_expression, faces, self.config.dim)

    def decode(
        self, embeddings: Shaped[np.ndarray, "embeddings dim"]
    ) -> Float[np.ndarray, "embeddings 52"]:
        """Return the faces of embeddings: weights clipped to 0..1, float32.

        Raises:
            ValueError: the embeddings are of another width, or not finite.
        """
        values = _checked(embeddings, self.config.dim, "embeddings")
        return self._run(self.network.decode, values, len(BLENDSHAPES)).clip(0, 1)

    def text_to_expression(
        self, texts: Sequence[str], *, sharpness: float | None = None
    ) -> Float[np.ndarray, "texts 52"]:
        """Return the face of each text: weights 0..1, in the order of BLENDSHAPES.

        Args:
            texts: to be expressed.
            sharpness: 0 decodes the embedding as it is: the least error on average, and
                weak faces. The higher, the more like the typical face of one emotion.
                By default the model's own.

        Raises:
            ModelError: as `encode_text`.
        """
        sharp = self.config.sharpness if sharpness is None else sharpness
        prompts = self.encode_text(texts)
        drawn = self._run(lambda part: self.network.sharpen(part, sharp), prompts, self.config.dim)
        return self.decode(drawn)

    def interpolate(
        self,
        first: Float[np.ndarray, " dim"],
        last: Float[np.ndarray, " dim"],
        steps: int,
        *,
        method: Way = "linear",
    ) -> Float[np.ndarray, "steps dim"]:
        """Return embeddings on the way from one to another, both ends included.

        Args:
            first: an embedding.
            last: another.
            steps: how many, at least 2.
            method: "spherical" turns at an even rate, and changes the length evenly;
                where the two are parallel or opposite it is "linear".

        Raises:
            ValueError: fewer than two steps, an unknown method, or another width.
        """
        if steps < 2:
            raise ValueError(f"steps must be at least 2, got {steps}")
        if method not in ("linear", "spherical"):
            raise ValueError(f"method must be linear or spherical, got {method!r}")
        ends = _checked(np.stack([first, last]), self.config.dim, "embeddings")
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        straight = np.asarray((1 - share) * ends[0] + share * ends[1])
        lengths = np.linalg.norm(ends, axis=1)
        if method == "linear" or not lengths.all():
            return straight
        units = ends / lengths[:, None]
        angle = np.arccos(np.clip(units[0] @ units[1], -1, 1))
        if np.sin(angle) < _PARALLEL:
            return straight
        turned = np.sin((1 - share) * angle) * units[0] + np.sin(share * angle) * units[1]
        length = (1 - share) * lengths[0] + share * lengths[1]
        return np.asarray(length * turned / np.sin(angle), np.float32)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config, weights (safetensors), training record and card.

        Raises:
            DataError: the folder cannot be written.
        """
        card = build_card(self.config, self.training)
        return write_checkpoint(folder, KIND, self.network, self.training, card)

    def push_to_hub(self, repo: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload to a Hub repository, made if need be; return its address.

        Raises:
            ModelError: the Hub refuses or cannot be reached.
        """
        with TemporaryDirectory(prefix="expclip-") as folder:
            self.save_pretrained(folder)
            return push_checkpoint(folder, repo, private=private, token=token)

    @cached_property
    def _texts(self) -> TextEncoder:
        encoder = text_encoder(self.config.text_encoder)
        self._check(encoder, self.config.text_sha256)
        return encoder

    @cached_property
    def _images(self) -> ImageEncoder:
        encoder = image_encoder(self.config.image_encoder or "")
        self._check(encoder, self.config.image_sha256)
        return encoder

    def _check(self, encoder: TextEncoder | ImageEncoder, sha256: str) -> None:
        """Refuse an encoder of this name that is not the one of the training."""
        if sha256 and encoder.sha256 != sha256:
            raise ModelError(
                f"{encoder.name}: its weights have SHA-256 {encoder.sha256[:16]}…, "
                f"{self.name} was trained with {sha256[:16]}…"
            )

    def _run(
        self, part: Any, rows: Float[np.ndarray, "rows columns"], width: int
    ) -> Float[np.ndarray, "rows width"]:
        """Pass rows through a part of the network, in chunks."""
        device = self.network.summary.device
        found = np.zeros((len(rows), width), np.float32)
        with torch.inference_mode():
            for start in range(0, len(rows), _CHUNK):
                chunk: Tensor = torch.from_numpy(rows[start : start + _CHUNK]).to(device)
                found[start : start + len(chunk)] = part(chunk).cpu().numpy()
        return found


_PARALLEL = 1e-4


def _checked(
    values: Shaped[np.ndarray, "rows width"], width: int, name: str
) -> Float[np.ndarray, "rows width"]:
    """Return rows as float32, if they are of this width and finite."""
    rows = np.ascontiguousarray(values, np.float32)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"{name} have shape {rows.shape}, expected (n, {width})")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} hold something else than finite numbers")
    return rows
