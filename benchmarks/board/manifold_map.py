"""Where faces and texts lie on a t-SNE map of a model's space, and the ways between faces."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.board.families import FAMILIES, family_of
from expclip.benchmarks.metrics.manifold import far_pairs, interpolate
from expclip.benchmarks.protocols import Asked, Skip
from expclip.benchmarks.task_data import Pairing, TeadData
from expclip.benchmarks.tasks.faces import faces_of_tead
from expclip.face.errors import DataError, MissingExtra, ModelError

__all__ = ["WAY_STEPS", "ManifoldMap", "Marks", "Way", "map_manifold"]

WAY_STEPS = 7
"""Points of a way, both ends included."""

_WAYS, _CANDIDATES = 3, 500
_FEWEST = 4
_PERPLEXITY = 30.0
_NOTHING = 1e-6
_PLAIN = FAMILIES[-1]  # neutral


@dataclass(frozen=True, eq=False)
class Marks:
    """Faces or texts on the map.

    Attributes:
        emotions: the leading one of each.
        places: of each; scale and axes mean nothing.
    """

    emotions: tuple[str, ...]
    places: Float[np.ndarray, "n 2"]


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
        perplexity: of the t-SNE; 0 where all embeddings have one direction, and none was run.
        seed: of every choice.
        tool: that placed them, with its version.
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
        """How many embeddings were placed together; the ends of ways are faces."""
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

    The map is scikit-learn's t-SNE (van der Maaten & Hinton 2008) by cosine distance, begun
    with the principal components. t-SNE cannot place a point later: what lies on a way is
    placed together with all the rest. Faces and texts are drawn by their keys, so that the
    order of the rows does not matter.

    Args:
        model: has `encode_expression`.
        data: whose test split is shown.
        seed: of what is drawn, of the ways, and of the t-SNE.
        points: at most so many faces and texts together.
        progress: told what is done next.

    Raises:
        ModelError: the model cannot encode expressions, or puts texts into another space.
        DataError: there are too few distinct faces.
        MissingExtra: scikit-learn is not installed.
    """
    tool = _find_tool()
    if points < 2 * _FEWEST:
        raise ValueError(f"points must be at least {2 * _FEWEST}, got {points}")
    if "encode_expression" not in model.can:
        raise ModelError(f"{_name(model)} has no encode_expression: there is no space to show")
    progress("faces are encoded")
    half = points // 2 if "encode_text" in model.can else points
    faces = _draw_faces(data, half, seed)
    codes = _encode(model, faces)
    progress("texts are encoded")
    left_out: list[str] = []
    texts = _draw_texts(data, points - half, seed)
    text_codes = _encode_texts(model, texts, codes.shape[1], left_out)
    first, last = codes[: 2 * faces.ways].reshape(faces.ways, 2, codes.shape[1]).swapaxes(0, 1)
    lines = interpolate(first, last, np.linspace(0, 1, WAY_STEPS)[None])
    decoded = _decode(model, lines, left_out)
    progress("the map is made")
    between = lines[:, 1:-1].reshape(-1, codes.shape[1])
    placed, perplexity = _place(np.concatenate([codes, text_codes, between]), seed)
    at_face, at_text, at_way = np.split(placed, np.cumsum([len(codes), len(text_codes)]))
    inner = at_way.reshape(faces.ways, WAY_STEPS - 2, 2)
    ways = tuple(
        Way(
            (faces.emotions[2 * way], faces.emotions[2 * way + 1]),
            np.vstack([at_face[2 * way], inner[way], at_face[2 * way + 1]]),
            None if decoded is None else decoded[way],
        )
        for way in range(faces.ways)
    )
    return ManifoldMap(
        Marks(faces.emotions, at_face),
        Marks(texts.emotions[: len(at_text)], at_text),
        ways,
        tuple(left_out),
        perplexity,
        seed,
        tool,
    )


@dataclass(frozen=True, eq=False)
class _Faces:
    """Faces that are shown: first the two ends of each way."""

    emotions: tuple[str, ...]
    weights: Float[np.ndarray, "faces 52"]
    ways: int


@dataclass(frozen=True, eq=False)
class _Texts:
    texts: tuple[str, ...]
    emotions: tuple[str, ...]


def _find_tool() -> str:
    """Return name and version of what makes the map, before anything is asked of a model."""
    try:
        import sklearn
    except ImportError:
        raise MissingExtra("scikit-learn", "bench") from None
    return f"scikit-learn {sklearn.__version__}"


def _draw_faces(data: TeadData, count: int, seed: int) -> _Faces:
    faces = faces_of_tead(data)
    if len(faces.keys) < _FEWEST:
        raise DataError(
            f"{data.name}: test has {len(faces.keys)} distinct faces, expected {_FEWEST} or more"
        )
    leading = _leading(data.test.expressions, data.test.tags)
    emotions = [leading[cluster] for cluster in faces.clusters]
    pairs = far_pairs(faces.faces, faces.keys, _CANDIDATES, seed=seed).tolist()
    ends = [place for pair in _choose_ways(pairs, emotions) for place in pair]
    others = [place for place in _draw(faces.keys, len(faces.keys), seed) if place not in ends]
    chosen = (ends + others)[: max(count, len(ends))]
    shown = tuple(emotions[place] for place in chosen)
    return _Faces(shown, faces.faces[chosen], len(ends) // 2)


def _choose_ways(pairs: Sequence[Sequence[int]], emotions: Sequence[str]) -> list[Sequence[int]]:
    """Return the first pairs of which, where possible, no family comes twice, and none neutral.

    Chance has ordered the pairs: none is chosen for its looks, and all models have the same.
    """
    found: list[Sequence[int]] = []
    for strict in (True, False):
        for pair in pairs:
            taken = {emotions[place] for ends in found for place in ends}
            families = {family_of(name) for name in taken} | {_PLAIN}
            named = {emotions[place] for place in pair}
            kinds = {family_of(name) for name in named}
            fits = len(named) == 2 and named.isdisjoint(taken)
            if strict:
                fits = fits and len(kinds) == 2 and kinds.isdisjoint(families)
            if fits and len(found) < _WAYS:
                found.append(pair)
    return found


def _draw_texts(data: TeadData, count: int, seed: int) -> _Texts:
    pairing = Pairing.of(data.test)
    leading = _leading(data.test.text_keys, data.test.tags)
    chosen = _draw(pairing.text_keys, count, seed)
    return _Texts(
        tuple(pairing.texts[place] for place in chosen),
        tuple(leading[pairing.text_keys[place]] for place in chosen),
    )


def _leading(keys: Sequence[str], tags: Sequence[str]) -> dict[str, str]:
    """Return, for each key, the emotion that comes first in most of its rows."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for key, tag in zip(keys, tags, strict=True):
        counts[key][tag.partition(", ")[0] or "untagged"] += 1
    return {
        key: min(found.items(), key=lambda item: (-item[1], item[0]))[0]
        for key, found in counts.items()
    }


def _draw(keys: Sequence[str], count: int, seed: int) -> list[int]:
    """Return the places of so many keys, in an order that the keys alone decide."""

    def mark(place: int) -> bytes:
        return hashlib.sha256(f"{seed}\0{keys[place]}".encode("utf-8", "surrogatepass")).digest()

    return sorted(range(len(keys)), key=mark)[:count]


# What the model says


def _encode(model: Asked, faces: _Faces) -> Float[np.ndarray, "faces dim"]:
    try:
        return model.encode_expression(faces.weights).astype(np.float64)
    except Skip as reason:
        raise ModelError(f"{_name(model)}: {reason}") from None


def _encode_texts(
    model: Asked, texts: _Texts, dim: int, left_out: list[str]
) -> Float[np.ndarray, "texts dim"]:
    """Return the embeddings of texts; none where the model has none."""
    try:
        model.require((("encode_text",),))
        found = model.encode_text(texts.texts).astype(np.float64)
    except Skip as reason:
        left_out.append(f"no texts: {reason}")
        return np.zeros((0, dim))
    if found.shape[1] != dim:
        raise ModelError(
            f"{_name(model)}: texts have {found.shape[1]} numbers, expressions {dim}: "
            "they lie in two spaces"
        )
    return found


def _decode(
    model: Asked, lines: Float[np.ndarray, "ways steps dim"], left_out: list[str]
) -> Float[np.ndarray, "ways steps 52"] | None:
    try:
        model.require((("decode",),))
        found = model.decode(lines.reshape(-1, lines.shape[2])) if len(lines) else None
    except Skip as reason:
        left_out.append(f"no decoded faces: {reason}")
        return None
    return None if found is None else found.reshape(*lines.shape[:2], -1)


def _name(model: Asked) -> str:
    return type(model.model).__name__


# The map


def _place(
    codes: Float[np.ndarray, "points dim"], seed: int
) -> tuple[Float[np.ndarray, "points 2"], float]:
    """Return the places of embeddings, and the perplexity.

    One thread: sums of several come in any order, and the same input is to give the same map.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    lengths = np.linalg.norm(codes, axis=1, keepdims=True)
    units = codes / np.maximum(lengths, np.finfo(np.float64).tiny)
    if np.abs(units - units[0]).max() < _NOTHING:
        return np.zeros((len(codes), 2)), 0.0
    if units.shape[1] == 1:  # principal components are to be two
        units = np.hstack([units, np.zeros_like(units)])
    perplexity = min(_PERPLEXITY, (len(codes) - 1) / 3)
    with threadpool_limits(1):
        tsne = TSNE(perplexity=perplexity, metric="cosine", init="pca", random_state=seed)
        return tsne.fit_transform(units).astype(np.float64), perplexity
