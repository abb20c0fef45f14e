"""Where faces and texts lie on a t-SNE map of a model's space, and the ways between faces."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from expclip.benchmarks.board.families import FAMILIES, family_of
from expclip.benchmarks.metrics.manifold import far_pairs, interpolate
from expclip.benchmarks.protocols import Asked, Skip
from expclip.benchmarks.task_data import Pairing, TeadData
from expclip.benchmarks.tasks.faces import faces_of_tead
from expclip.face.errors import DataError, MissingExtra, ModelError

__all__ = ["WAY_STEPS", "ManifoldMap", "Marks", "Way", "map_manifold"]

WAY_STEPS = 7
"""Points of a way, both ends included."""

_WAYS = 3
_FEWEST = 4
_PERPLEXITY = 30.0
_ONE_PLACE = 1e-6

Places = Float[np.ndarray, "n 2"]


@dataclass(frozen=True, eq=False)
class Marks:
    """Faces or texts on the map.

    Attributes:
        emotions: the leading one of each.
        places: of each; the scale means nothing.
    """

    emotions: tuple[str, ...]
    places: Places


@dataclass(frozen=True, eq=False)
class Way:
    """The straight line between the embeddings of two faces.

    Attributes:
        ends: the leading emotions of the two.
        places: of its points, on the map.
        faces: decoded, one a point; none where the model has no decoder.
    """

    ends: tuple[str, str]
    places: Float[np.ndarray, "steps 2"]
    faces: Float[np.ndarray, "steps 52"] | None


@dataclass(frozen=True, eq=False)
class ManifoldMap:
    """What lies where, and how it came there.

    Attributes:
        faces: of the test split.
        texts: of the test split; none where the model has no text encoder.
        ways: between faces that are far apart, of different families.
        left_out: why there are no texts, or no decoded faces.
        perplexity: of the t-SNE; 0 where all embeddings have one direction, and there is none.
        seed: of every choice.
        tool: that computed it, with its version.
    """

    faces: Marks
    texts: Marks
    ways: tuple[Way, ...]
    left_out: tuple[str, ...]
    perplexity: float
    seed: int
    tool: str

    @property
    def points(self) -> int:
        """How many embeddings were placed together."""
        inner = (WAY_STEPS - 2) * len(self.ways)
        return len(self.faces.places) + len(self.texts.places) + inner


def map_manifold(
    model: Asked,
    data: TeadData,
    *,
    seed: int = 0,
    points: int = 2000,
    progress: Callable[[str], None] = lambda stage: None,
) -> ManifoldMap:
    """Place faces, texts and the ways between faces on one map.

    t-SNE (van der Maaten & Hinton 2008) by cosine distance, begun with the principal
    components. It cannot place a point later: what lies on a way is placed with all others.
    Faces and texts are drawn by their keys; the order of the rows does not matter.

    Args:
        model: has `encode_expression`.
        data: its test split is shown.
        seed: of what is drawn, and of the t-SNE.
        points: at most so many faces and texts, half of them faces.
        progress: told what is done next.

    Raises:
        ModelError: the model cannot encode expressions, or puts texts into another space.
        DataError: there are too few distinct faces.
        MissingExtra: scikit-learn is not installed.
    """
    _require_tsne()
    if points < 2 * _FEWEST:
        raise ValueError(f"points must be at least {2 * _FEWEST}, got {points}")
    left_out: list[str] = []
    progress("texts")
    encodes_text = "encode_text" in model.can
    names, texts, text_codes = _texts(model, data, points // 2, seed, left_out)
    progress("faces")
    keys, emotions, faces = _faces(data, points - len(names), seed)
    codes = _encode_faces(model, faces)
    if encodes_text and len(text_codes) and text_codes.shape[1] != codes.shape[1]:
        raise ModelError(
            f"{type(model.model).__name__}: texts have {text_codes.shape[1]} numbers, "
            f"expressions {codes.shape[1]}: these are two spaces"
        )
    pairs = _far_ends(faces, keys, emotions, seed)
    ways = interpolate(
        codes[pairs[:, 0]], codes[pairs[:, 1]], np.linspace(0, 1, WAY_STEPS)[None]
    )  # (ways, steps, dim)
    decoded = _decode(model, ways, left_out)
    progress("map")
    inner = ways[:, 1:-1].reshape(-1, codes.shape[1])
    rows = [codes, *([text_codes] if len(text_codes) else []), inner]
    places, perplexity, tool = _tsne(np.concatenate(rows).astype(np.float64), seed)
