"""Answers kept in a table: a model that knows what it was asked before, and nothing else."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from expclip.face.errors import DataError, ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Answers", "face_id", "image_id", "name_image", "speech_id", "text_id"]

_DIGITS = 16
_NAMED = "expclip_id"


def text_id(text: str) -> str:
    """Return the id of a text: 16 hexadecimal digits of the SHA-256 of its UTF-8."""
    return _digits(text.encode("utf-8", "surrogatepass"))


def face_id(row: Shaped[np.ndarray, " width"]) -> str:
    """Return the id of weights, or of an embedding: of its little-endian float32."""
    return _digits(np.ascontiguousarray(row, "<f4").tobytes())


def image_id(image: "Image") -> str:
    """Return the id of a picture: its name from `name_image`, else that of its pixels."""
    named = image.info.get(_NAMED)
    if isinstance(named, str):
        return named
    return _digits(f"{image.size}".encode() + image.convert("RGB").tobytes())


def name_image(image: "Image", name: str) -> "Image":
    """Return the picture with an id that does not depend on who decodes it."""
    image.info[_NAMED] = _digits(name.encode())
    return image


def speech_id(
    audio: Float[np.ndarray, " samples"], sample_rate: int, prompt: str | None, strength: float
) -> str:
    """Return the id of speech: of rate, prompt (none is "") and strength, and the samples."""
    head = f"{sample_rate}\0{prompt or ''}\0{strength if prompt else 1.0:.6f}\0"
    return _digits(head.encode() + np.ascontiguousarray(audio, "<f4").tobytes())


class Answers:
    """Has a method for each table that is there, and answers from it by the id of the input.

    Args:
        tables: method -> id -> row; of `animate`, frames.
        name: in results.
        fps: of `animate`.
        sha256: of the file that they come from.

    Raises:
        ModelError: from the methods: there is no answer for any input.
        DataError: from the methods: there are answers for some inputs only.
    """

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Shaped[np.ndarray, "..."]]],
        *,
        name: str = "answers",
        fps: float = 15.0,
        sha256: str | None = None,
    ) -> None:
        self.name, self.fps, self.sha256 = name, fps, sha256
        self._tables = tables
        for method in tables:
            setattr(self, method, getattr(self, f"_{method}"))

    def _text_to_expression(self, texts: Sequence[str]) -> Any:
        return self._rows("text_to_expression", [text_id(text) for text in texts])

    def _encode_text(self, texts: Sequence[str]) -> Any:
        return self._rows("encode_text", [text_id(text) for text in texts])

    def _encode_expression(self, weights: Float[np.ndarray, "n 52"]) -> Any:
        return self._rows("encode_expression", [face_id(row) for row in weights])

    def _encode_image(self, images: "Sequence[Image]") -> Any:
        return self._rows("encode_image", [image_id(image) for image in images])

    def _decode(self, embeddings: Float[np.ndarray, "n dim"]) -> Any:
        return self._rows("decode", [face_id(row) for row in embeddings])

    def _reconstruct(self, weights: Float[np.ndarray, "n 52"]) -> Any:
        return self._rows("reconstruct", [face_id(row) for row in weights])

    def _animate(
        self,
        audio: Float[np.ndarray, " samples"],
        sample_rate: int,
        prompt: str | None = None,
        strength: float = 1.0,
    ) -> Any:
        return self._rows("animate", [speech_id(audio, sample_rate, prompt, strength)])[0]

    def _rows(self, method: str, ids: Sequence[str]) -> Shaped[np.ndarray, "n ..."]:
        table = self._tables[method]
        missing = [one for one in ids if one not in table]
        if missing:
            told = f"{self.name}: {method} has no answer for {missing[0]}"
            if len(missing) == len(ids):
                raise ModelError(f"{told}, nor for others of the task")
            raise DataError(f"{told}, {len(missing)} of {len(ids)} inputs")
        return np.stack([table[one] for one in ids])


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
