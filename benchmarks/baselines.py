"""Models that say what a number is worth: floors, ceilings, and simple learners.

    baseline("mean-face", read_tead_data("out/tead"))

`constant` sits at chance in every retrieval task, `perfect` at 100 %. The learners see the
training split alone.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.task_data import TeadData, text_key
from expclip.face import BLENDSHAPES

if TYPE_CHECKING:
    from PIL.Image import Image

    from expclip.benchmarks.adapters.nearest_face import NearestFace

__all__ = [
    "BASELINES",
    "Bm25",
    "Constant",
    "HashedWords",
    "MeanFace",
    "Pca",
    "Perfect",
    "Random",
    "Ridge",
    "baseline",
]

WORDS = "words"
"""Name of the text features that need no weights: hashed words."""

_WIDTH = len(BLENDSHAPES)
_FPS = 15.0
_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

Features = Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]


class Constant:
    """Says the same to everything: a still face, one embedding."""

    name, fps = "constant", _FPS

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return still faces."""
        return np.zeros((len(texts), _WIDTH))

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 4"]:
        """Return one embedding for all."""
        return np.ones((len(texts), 4))

    def encode_expression(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 4"]:
        """Return one embedding for all."""
        return np.ones((len(weights), 4))

    def encode_image(self, images: "Sequence[Image]") -> Float[np.ndarray, "n 4"]:
        """Return one embedding for all."""
        return np.ones((len(images), 4))

    def decode(self, embeddings: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 52"]:
        """Return still faces."""
        return np.zeros((len(embeddings), _WIDTH))

    def animate(
        self,
        audio: Float[np.ndarray, " samples"],
        sample_rate: int,
        prompt: str | None = None,
        strength: float = 1.0,
    ) -> Float[np.ndarray, "frames 52"]:
        """Return a still face for as long as the speech."""
        return np.zeros((_frames(audio, sample_rate), _WIDTH))


class MeanFace:
    """Gives everything the mean face of the training split; a mean-squared error's own floor."""

    name, fps = "mean-face", _FPS

    def __init__(self, faces: Float[np.ndarray, "rows 52"]) -> None:
        self._mean = np.asarray(faces, np.float64).mean(axis=0)

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return the mean face for each."""
        return np.tile(self._mean, (len(texts), 1))

    def reconstruct(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 52"]:
        """Return the mean face for each."""
        return np.tile(self._mean, (len(weights), 1))

    def animate(
        self, audio: Float[np.ndarray, " samples"], sample_rate: int
    ) -> Float[np.ndarray, "frames 52"]:
        """Return the mean face for as long as the speech."""
        return np.tile(self._mean, (_frames(audio, sample_rate), 1))


class Random:
    """Answers by chance, the same to the same question, whatever stands beside it."""

    name, fps = "random", _FPS

    def __init__(self, faces: Float[np.ndarray, "rows 52"], dim: int = 64) -> None:
        self._faces, self._dim = np.asarray(faces, np.float32), dim

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return the face of some training row for each."""
        rows = [_dice(text.encode()).integers(len(self._faces)) for text in texts]
        return self._faces[rows].reshape(-1, _WIDTH)

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Return normal noise."""
        return self._noise([text.encode() for text in texts])

    def encode_expression(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n dim"]:
        """Return normal noise."""
        return self._noise([row.tobytes() for row in np.asarray(weights, "<f4")])

    def encode_image(self, images: "Sequence[Image]") -> Float[np.ndarray, "n dim"]:
        """Return normal noise."""
        return self._noise([image.convert("RGB").tobytes() for image in images])

    def decode(self, embeddings: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n 52"]:
        """Return the face of some training row for each."""
        rows = [
            _dice(row.tobytes()).integers(len(self._faces)) for row in np.asarray(embeddings, "<f4")
        ]
        return self._faces[rows].reshape(-1, _WIDTH)

    def animate(
        self,
        audio: Float[np.ndarray, " samples"],
        sample_rate: int,
        prompt: str | None = None,
        strength: float = 1.0,
    ) -> Float[np.ndarray, "frames 52"]:
        """Return the face of another training row in each frame."""
        seed = np.asarray(audio, "<f4").tobytes() + f"\0{prompt}\0{strength}".encode()
        rows = _dice(seed).integers(len(self._faces), size=_frames(audio, sample_rate))
        return self._faces[rows]

    def _noise(self, items: Sequence[bytes]) -> Float[np.ndarray, "n dim"]:
        rows = [_dice(item).standard_normal(self._dim) for item in items]
        return np.array(rows).reshape(-1, self._dim)


class Perfect:
    """Stands for the model that knows each task's answers: `evaluate` asks the task for it."""

    name = "perfect"


class Pca:
    """The k directions in which training faces differ most: the linear autoencoder's ceiling."""

    def __init__(self, faces: Float[np.ndarray, "rows 52"], k: int) -> None:
        if not 1 <= k <= _WIDTH:
            raise ValueError(f"k must be within 1 to {_WIDTH}, got {k}")
        self.name = f"pca-{k}"
        self._mean = np.asarray(faces, np.float64).mean(axis=0)
        centred = faces - self._mean
        values, vectors = np.linalg.eigh(centred.T @ centred)
        self._axes = vectors[:, np.argsort(-values, kind="stable")[:k]]

    def encode_expression(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n k"]:
        """Return the coordinates of faces."""
        return np.asarray((weights - self._mean) @ self._axes)

    def decode(self, embeddings: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n 52"]:
        """Return the faces of coordinates, not clipped."""
        return np.asarray(embeddings @ self._axes.T + self._mean)


class Ridge:
    """Linear regression from text features to the weights.

    The strength of the penalty is the best of seven on a held-out fifth of the rows.
    """

    def __init__(
        self, features: Features, texts: Sequence[str], faces: Float[np.ndarray, "texts 52"]
    ) -> None:
        self.name = "ridge"
        self._features = features
        inputs = np.asarray(features(texts), np.float64)
        targets = np.asarray(faces, np.float64)
        marks = [_dice(text.encode()).random() for text in texts]
        held = np.array(marks) < 0.2
        strength = _STRENGTHS[3]
        if held.any() and not held.all():
            errors = {
                one: np.square(
                    _apply(_solve(inputs[~held], targets[~held], one), inputs[held]) - targets[held]
                ).mean()
                for one in _STRENGTHS
            }
            strength = min(errors, key=errors.__getitem__)
        self._map = _solve(inputs, targets, strength)

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return what the regression gives, clipped to 0..1."""
        return _apply(self._map, np.asarray(self._features(texts), np.float64)).clip(0, 1)


class Bm25:
    """The face of the training text with the best BM25 (k1 1.2, b 0.75); words in common."""

    name = "bm25"

    def __init__(self, texts: Sequence[str], faces: Float[np.ndarray, "texts 52"]) -> None:
        from scipy.sparse import csr_array

        self._faces = np.asarray(faces, np.float32)
        split = [text_key(text).split() for text in texts]
        self._words: dict[str, int] = {}
        for word in sorted({word for words in split for word in words}):
            self._words[word] = len(self._words)
        counts = [Counter(words) for words in split]
        rows = np.repeat(np.arange(len(split)), [len(count) for count in counts])
        columns = np.array([self._words[word] for count in counts for word in count], np.int64)
        often = np.array([times for count in counts for times in count.values()], np.float64)
        lengths = np.array([len(words) for words in split], np.float64)
        relative = lengths[rows] / max(lengths.mean(), 1)
        weights = often * 2.2 / (often + 1.2 * (0.25 + 0.75 * relative))
        seen = np.bincount(columns, minlength=len(self._words))
        rarity = np.log1p((len(split) - seen + 0.5) / (seen + 0.5))
        shape = (len(self._words), len(split))
        self._table = csr_array((weights * rarity[columns], (columns, rows)), shape)
        self._mean = self._faces.mean(axis=0)

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return the best text's face; the mean face where no word is known."""
        found = np.tile(self._mean, (len(texts), 1))
        for number, text in enumerate(texts):
            known = [self._words[word] for word in text_key(text).split() if word in self._words]
            if known:
                scores = np.asarray(self._table[known].sum(axis=0)).reshape(-1)
                found[number] = self._faces[int(scores.argmax())]
        return found


class HashedWords:
    """Text features that need no weights: words and their pairs, hashed to 512 numbers."""

    def __init__(self, dim: int = 512) -> None:
        self._dim = dim

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Return unit vectors; of a text without words, zeros."""
        found = np.zeros((len(texts), self._dim), np.float32)
        for row, text in enumerate(texts):
            words = text_key(text).split()
            for item in (*words, *map(" ".join, pairwise(words))):
                number = int.from_bytes(hashlib.blake2b(item.encode(), digest_size=8).digest())
                found[row, number % self._dim] += 1 if number >> 63 else -1
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


BASELINES = ("constant", "random", "perfect", "mean-face", "pca-8", "nearest", "bm25", "ridge")
"""Their names; pca-K has any K of 1 to 52."""


UNTAUGHT: dict[str, Callable[[], object]] = {"constant": Constant, "perfect": Perfect}
"""Those that see no data."""


def baseline(name: str, data: TeadData | None = None, *, encoder: str = "minilm") -> object:
    """Return a baseline, taught with the training split where it learns.

    Args:
        name: of BASELINES.
        data: a TEAD; all but UNTAUGHT need one.
        encoder: of `nearest` and `ridge`: "words" (needs no weights), `minilm`, or any
            text encoder of `expclip.models`.

    Raises:
        ValueError: there is no such baseline, or it needs a TEAD.
        MissingExtra: the encoder's package is not installed.
        ModelError: there is no such encoder.
    """
    if name in UNTAUGHT:
        return UNTAUGHT[name]()
    kind, _, number = name.partition("-")
    pca = kind == "pca" and number.isdecimal()
    if name not in BASELINES and not pca:
        raise ValueError(f"baseline {name!r}, expected one of {', '.join(BASELINES)}")
    if data is None:
        raise ValueError(f"baseline {name!r} needs a TEAD")
    faces, texts = data.train.faces, data.train.texts
    if pca:
        return Pca(faces, int(number))
    makers: dict[str, Callable[[], object]] = {
        "random": lambda: Random(faces),
        "mean-face": lambda: MeanFace(faces),
        "nearest": lambda: _nearest(data, encoder),
        "bm25": lambda: Bm25(texts, faces),
        "ridge": lambda: Ridge(_features(encoder), texts, faces),
    }
    return makers[name]()


def _nearest(data: TeadData, encoder: str) -> "NearestFace":
    from expclip.benchmarks.adapters.nearest_face import NearestFace

    return NearestFace(
        _features(encoder), data.train.texts, data.train.faces, name=f"nearest-{encoder}"
    )


def _features(encoder: str) -> Features:
    """Return text features by name; what was once encoded comes from the user's cache."""
    if encoder == WORDS:
        return HashedWords()
    from expclip.models import FeatureCache
    from expclip.models.encoders import text_encoder

    frozen, cache = text_encoder(encoder), FeatureCache()
    return lambda texts: cache.encode_texts(frozen, list(texts))


def _frames(audio: Float[np.ndarray, " samples"], sample_rate: int) -> int:
    return max(1, round(len(audio) / sample_rate * _FPS))


def _dice(content: bytes) -> np.random.Generator:
    """Return chance that depends on the content alone."""
    seed = int.from_bytes(hashlib.blake2b(content, digest_size=16).digest())
    return np.random.Generator(np.random.PCG64(seed))


def _solve(
    inputs: Float[np.ndarray, "rows dim"], targets: Float[np.ndarray, "rows 52"], strength: float
) -> Float[np.ndarray, "dim+1 52"]:
    """Return weights, and offsets, which are not penalised."""
    rows = np.hstack([inputs, np.ones((len(inputs), 1))])
    penalty = strength * np.eye(rows.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(rows.T @ rows + penalty, rows.T @ targets)


def _apply(
    weights: Float[np.ndarray, "dim+1 52"], inputs: Float[np.ndarray, "rows dim"]
) -> Float[np.ndarray, "rows 52"]:
    return np.asarray(inputs @ weights[:-1] + weights[-1])
