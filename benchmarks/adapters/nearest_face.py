"""A CLIP or a sentence encoder as a model of faces: the faces of the nearest known texts."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["NearestFace"]

Encode = Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]

_CHUNK = 512
_SHARPNESS = 20.0


class NearestFace:
    """Texts by an encoder, faces by what is known of some texts; nothing is trained.

    A text's face is the mean of the faces of its nearest texts. A face's embedding is that
    of the texts with the most similar faces, weighted by exp(-20 x mean squared difference),
    so that texts and faces can be compared.

    Args:
        encode: returns one vector for each text; any length, cosine is taken.
        texts: with known faces, of a training split.
        faces: theirs, weights 0..1.
        neighbours: how many texts, or faces, are nearest.
        name: in results.
    """

    def __init__(
        self,
        encode: Encode,
        texts: Sequence[str],
        faces: Float[np.ndarray, "texts 52"],
        *,
        neighbours: int = 1,
        name: str = "nearest-face",
    ) -> None:
        if not 1 <= neighbours <= len(texts) or len(faces) != len(texts):
            raise ValueError(
                f"{neighbours} neighbours of {len(texts)} texts and {len(faces)} faces: "
                "expected as many faces as texts, and at least as many as neighbours"
            )
        self.name = name
        self._encode = encode
        self._faces = np.asarray(faces, np.float32)
        self._features = self.encode_text(texts)
        self._neighbours = neighbours
        self._kinds, where = np.unique(self._faces, axis=0, return_inverse=True)
        self._means = _mean_rows(self._features, where.reshape(-1), len(self._kinds))

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Return the encoder's features, of unit length."""
        return _unit(np.asarray(self._encode(list(texts)), np.float32))

    def encode_expression(
        self, weights: Float[np.ndarray, "faces 52"]
    ) -> Float[np.ndarray, "faces dim"]:
        """Return the mean features of the texts whose faces are nearest."""
        most = min(self._neighbours, len(self._kinds))
        found = np.empty((len(weights), self._means.shape[1]), np.float32)
        squares = np.square(self._kinds).sum(axis=1)
        for start in range(0, len(weights), _CHUNK):
            part = np.asarray(weights[start : start + _CHUNK], np.float32)
            away = np.square(part).sum(axis=1)[:, None] - 2 * part @ self._kinds.T + squares
            nearest = np.argsort(away, axis=1, kind="stable")[:, :most]
            mean = np.maximum(np.take_along_axis(away, nearest, axis=1), 0) / part.shape[1]
            share = np.exp(-_SHARPNESS * (mean - mean.min(axis=1, keepdims=True)))
            share /= share.sum(axis=1, keepdims=True)
            found[start : start + len(part)] = np.einsum("nk,nkd->nd", share, self._means[nearest])
        return found

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return the mean face of the nearest texts."""
        features = self.encode_text(texts)
        found = np.empty((len(texts), self._faces.shape[1]), np.float32)
        for start in range(0, len(texts), _CHUNK):
            near = features[start : start + _CHUNK] @ self._features.T
            nearest = np.argsort(-near, axis=1, kind="stable")[:, : self._neighbours]
            found[start : start + len(near)] = self._faces[nearest].mean(axis=1)
        return found


def _unit(rows: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _mean_rows(
    rows: Float[np.ndarray, "rows dim"], where: np.ndarray, kinds: int
) -> Float[np.ndarray, "kinds dim"]:
    """Return the mean of the rows of each kind."""
    order = np.argsort(where, kind="stable")
    starts = np.searchsorted(where[order], np.arange(kinds))
    counts = np.bincount(where, minlength=kinds)
    return np.asarray(np.add.reduceat(rows[order], starts) / counts[:, None], np.float32)
