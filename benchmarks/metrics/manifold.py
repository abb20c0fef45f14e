"""Is a space of embeddings smooth: numbers beside the paper's t-SNE, which is but a picture.

Neighbourhoods: one number a point. Interpolation: one number a pair of points.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = [
    "PATH_STEPS",
    "far_pairs",
    "interpolate",
    "neighbour_purity",
    "neighbourhood_metrics",
    "path_metrics",
    "path_points",
    "perceptual_path_length",
]

PATH_STEPS = 33
"""Steps from one end of a path to the other."""

Kind = Literal["lerp", "slerp"]

_CANDIDATES = 16
_CHUNK_NUMBERS = 1 << 20
_TIED = 3e-7  # of the largest squared length: what changes with the shape of a batch
_NOTHING = 1e-6

Points = Float[np.ndarray, "n dim"]


def neighbourhood_metrics(
    faces: Float[np.ndarray, "n weights"], embeddings: Points, k: int = 15
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return how well the k nearest neighbours of each point are kept.

    - `trustworthiness`: 1 - 2 / (k (2n - 3k - 1)) * sum over the k neighbours j among the
      embeddings of max(0, r(j) - k), r(j) the rank of j among the faces (Venna & Kaski 2001;
      the mean over points is scikit-learn's). Low: what looks near is not.
    - `continuity`: the same with the two spaces exchanged. Low: what is near was torn apart.

    Distances are Euclidean; for cosine give unit vectors. Faces come many times, and points at
    one distance stand in any order: the value is the mean over all orders. Where sorting
    decides, a constant space takes its neighbours by their rows and may score anything.
    Here it has 1 - (n-1-k)(n-k) / ((n-1)(2n-3k-1)), about 1/2, and so has a random one; the
    faces themselves have 1.

    Raises:
        ValueError: the arrays do not fit, are not finite, or k is not in 1..(n-1)/2.
    """
    spaces = [
        _points(name, array) for name, array in (("faces", faces), ("embeddings", embeddings))
    ]
    count = len(spaces[0])
    if len(spaces[1]) != count:
        raise ValueError(f"{len(spaces[1])} embeddings for {count} faces")
    _check_k(k, count)
    scale = 2 / (k * (2 * count - 3 * k - 1))
    trust, kept = np.empty(count), np.empty(count)
    for rows in _chunks(count):
        ranked = [_ranked(space, rows, k) for space in spaces]
        trust[rows] = 1 - scale * (ranked[1][0] * ranked[0][1]).sum(axis=1)
        kept[rows] = 1 - scale * (ranked[0][0] * ranked[1][1]).sum(axis=1)
    return {"trustworthiness": trust, "continuity": kept}


def neighbour_purity(
    embeddings: Points, units: Bool[np.ndarray, "n units"], k: int = 15
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return how alike the action units of each point and of its k neighbours are.

    - `au_purity`: mean over the neighbours of |a & b| / |a | b| (1 where both are empty);
      over all orders of those at one distance.
    - `au_purity_chance`: the same over all other points: what constants and random spaces
      have. It depends on the data alone.

    Raises:
        ValueError: the arrays do not fit, are not finite, or k is not in 1..(n-1)/2.
    """
    points, shown = _points("embeddings", embeddings), np.asarray(units, np.float64)
    count = len(points)
    if shown.ndim != 2 or len(shown) != count:
        raise ValueError(f"units have shape {shown.shape}, expected ({count}, units)")
    _check_k(k, count)
    sizes, purity, chance = shown.sum(axis=1), np.empty(count), np.empty(count)
    for rows in _chunks(count):
        shared = shown[rows] @ shown.T
        either = sizes[rows, None] + sizes - shared
        alike = np.divide(shared, either, out=np.ones_like(either), where=either > 0)
        purity[rows] = (_ranked(points, rows, k)[0] * alike).sum(axis=1) / k
        chance[rows] = (alike.sum(axis=1) - 1) / (count - 1)  # without itself
    return {"au_purity": purity, "au_purity_chance": chance}


def _points(name: str, points: Points) -> Points:
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"{name} have shape {array.shape}, expected (n, dim), all finite")
    return array


def _check_k(k: int, count: int) -> None:
    if not 1 <= k <= (count - 1) / 2:
        raise ValueError(f"k must be in 1..{(count - 1) // 2} for {count} points, got {k}")


def _chunks(count: int) -> Iterator[Int[np.ndarray, " rows"]]:
    step = max(1, _CHUNK_NUMBERS // count)
    for start in range(0, count, step):
        yield np.arange(start, min(start + step, count))


def _ranked(
    points: Points, rows: Int[np.ndarray, " rows"], k: int
) -> tuple[Float[np.ndarray, "rows n"], Float[np.ndarray, "rows n"]]:
    """Return the chance to be one of the k nearest, and the mean of max(0, rank - k).

    Both over all orders of points at one distance.
    """
    tied = _TIED * float((points**2).sum(axis=1).max(initial=0))
    centred = points - points.mean(axis=0)
    lengths = (centred**2).sum(axis=1)
    squares = lengths[rows, None] + lengths - 2 * (centred[rows] @ centred.T)
    squares[np.arange(len(rows)), rows] = np.inf  # itself comes last
    order = squares.argsort(axis=1, kind="stable")
    ascending = np.take_along_axis(squares, order, axis=1)
    starts = np.ones(squares.shape, bool)
    starts[:, 1:] = np.diff(ascending, axis=1) > tied
    place = np.arange(squares.shape[1])
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    ends = np.ones(squares.shape, bool)
    ends[:, :-1] = starts[:, 1:]
    after = np.where(ends, place + 1, len(place))
    after = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
    size = after - first
    chance = np.clip((k - first) / size, 0, 1)
    beyond = np.minimum(after - np.maximum(first, k), size).clip(0)  # ranks above k in a block
    excess = beyond * (np.maximum(first, k) + 1 + after - 2 * k) / (2 * size)
    found = np.empty((2, *squares.shape))
    np.put_along_axis(found[0], order, chance, axis=1)
    np.put_along_axis(found[1], order, excess, axis=1)
    return found[0], found[1]


def far_pairs(
    faces: Points, keys: Sequence[str], count: int = 500, *, seed: int = 0
) -> Int[np.ndarray, "pairs 2"]:
    """Return fixed pairs of faces that are far apart, as places.

    Each face takes the farthest of 16 others that its key draws; pairs come in an order
    that the keys give, none twice, until there are ``count`` or no more. The order of the
    rows does not matter. Faces that are the same make no pair.

    Raises:
        ValueError: keys are not distinct, or not one a face.
    """
    points = _points("faces", faces)
    if len(set(keys)) != len(points) or len(keys) != len(points):
        raise ValueError(f"{len(set(keys))} distinct keys for {len(points)} faces")
    ordered = sorted(range(len(keys)), key=keys.__getitem__)
    drawn = [_draw(f"{seed}\0{keys[place]}", _CANDIDATES + 1) for place in ordered]
    found: dict[tuple[int, int], None] = {}
    for turn in sorted(range(len(ordered)), key=lambda turn: (int(drawn[turn][0]), turn)):
        place = ordered[turn]
        others = np.array([ordered[int(number) % len(ordered)] for number in drawn[turn][1:]])
        apart = ((points[others] - points[place]) ** 2).sum(axis=1)
        pair = (place, int(others[apart.argmax()]))
        if apart.max() > _NOTHING**2 and pair[::-1] not in found:
            found[pair] = None
        if len(found) >= count:
            break
    return np.array(list(found), np.int64).reshape(-1, 2)


def _draw(name: str, count: int) -> Int[np.ndarray, " count"]:
    """Return numbers of 52 bits that the name alone decides."""
    digest = hashlib.shake_128(name.encode("utf-8", "surrogatepass")).digest(8 * count)
    return (np.frombuffer(digest, "<u8") >> np.uint64(12)).astype(np.int64)


def interpolate(
    first: Points, second: Points, shares: Float[np.ndarray, "pairs steps"], kind: Kind = "lerp"
) -> Float[np.ndarray, "n steps dim"]:
    """Return the points between two, at shares of the way.

    ``lerp`` goes straight; ``slerp`` turns the direction evenly and the length linearly.
    Where the direction of the turn is open (opposite points, one at 0) or the turn is none,
    slerp goes straight too.

    Args:
        first: where a share of 0 is.
        second: where a share of 1 is.
        shares: of each pair; shape (1, steps) for the same in all.
        kind: one of the two.

    Raises:
        ValueError: the arrays do not fit or are not finite, or kind is neither.
    """
    one, other = _points("first", first), _points("second", second)
    share = np.broadcast_to(shares, (len(one), np.shape(shares)[1]))[:, :, None]
    straight = np.asarray((1 - share) * one[:, None] + share * other[:, None])
    if kind == "lerp":
        return straight
    if kind != "slerp":
        raise ValueError(f"kind must be lerp or slerp, got {kind!r}")
    ends = np.stack([one, other])[:, :, None]  # (2, n, 1, dim)
    lengths = np.linalg.norm(ends, axis=3, keepdims=True)
    units = ends / np.maximum(lengths, _NOTHING)
    angle = np.arccos((units[0] * units[1]).sum(axis=2, keepdims=True).clip(-1, 1))
    sine = np.sin(angle)
    turns = (lengths.min(axis=0) > _NOTHING) & (sine > _NOTHING)
    turned = np.sin((1 - share) * angle) * units[0] + np.sin(share * angle) * units[1]
    length = (1 - share) * lengths[0] + share * lengths[1]
    return np.where(turns, length * turned / np.where(turns, sine, 1.0), straight)


def path_metrics(
    paths: Float[np.ndarray, "n points 52"], first: Points, second: Points
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return how a decoded path x_0..x_K goes from one face to another.

    - `path_ratio`: sum ||x_i+1 - x_i|| / ||x_K - x_0||, at least 1. Main.
    - `max_step`: the largest step * K / the path's length: 1 is even, K one jump.
    - `curvature`: sum ||x_i+1 - 2 x_i + x_i-1||². A decoder that gives the mean face
      everywhere has the best there is, 0: never read it alone.
    - `monotone`: share of the steps that go towards x_K.
    - `outside`: share of the weights that are below 0 or above 1 (by more than 1e-6).
    - `endpoint_mse`: mean squared error of x_0 and x_K against the two faces.
    - `path_moves`: 1, or 0 where x_0 and x_K are the same (to 1e-6): the coverage.

    A path whose ends are the same goes nowhere: ratio and largest step are then K, the
    worst of a path without a detour, and no step goes towards an end: 0. So the constant decoder
    has K, K, 0, 0, outside as it is, and the faces' own distance as `endpoint_mse`.
    Straight lines between the faces have 1, 1, 0, 1, 0, 0.

    Raises:
        ValueError: the arrays do not fit, or are not finite.
    """
    decoded = np.asarray(paths, np.float64)
    ends = np.stack([_points("first", first), _points("second", second)], axis=1)
    if decoded.ndim != 3 or decoded.shape[1] < 3 or ends.shape != decoded[:, :2].shape:
        found = f"paths {decoded.shape} with ends {ends.shape}"
        raise ValueError(f"{found}, expected (n, points, 52) of 3 points at least and (n, 2, 52)")
    if not np.isfinite(decoded).all():
        raise ValueError("paths have NaN or infinite entries")
    steps = np.diff(decoded, axis=1)
    count = steps.shape[1]
    lengths = np.linalg.norm(steps, axis=2)
    way = decoded[:, -1] - decoded[:, 0]
    distance, total = np.linalg.norm(way, axis=1), lengths.sum(axis=1)
    moves = distance > _NOTHING
    worst = np.full(len(decoded), float(count))
    progress = np.einsum("nsw,nw->ns", steps, way)
    far = (decoded < -_NOTHING) | (decoded > 1 + _NOTHING)
    bends = np.diff(steps, axis=1)
    return {
        "path_ratio": np.divide(total, distance, out=worst.copy(), where=moves),
        "max_step": np.divide(lengths.max(axis=1) * count, total, out=worst.copy(), where=moves),
        "curvature": (bends**2).sum(axis=(1, 2)),
        "monotone": np.where(moves, (progress > 0).mean(axis=1), 0.0),
        "outside": far.mean(axis=(1, 2)),
        "endpoint_mse": ((decoded[:, [0, -1]] - ends) ** 2).mean(axis=(1, 2)),
        "path_moves": moves.astype(np.float64),
    }


def path_points(
    first: Points,
    second: Points,
    keys: Sequence[str],
    *,
    kind: Kind = "lerp",
    epsilon: float = 1e-3,
) -> tuple[Points, Points]:
    """Return a point on each path, at a share that the pair's key draws, and one a little on.

    The step is ``epsilon`` of the way. Both are to be decoded for `perceptual_path_length`.

    Raises:
        ValueError: there is not one key a pair, or epsilon is not in 0..1.
    """
    if len(keys) != len(first) or not 0 < epsilon < 1:
        raise ValueError(f"{len(keys)} keys for {len(first)} pairs, epsilon {epsilon}")
    drawn = np.concatenate([_draw(f"path\0{key}", 1) for key in keys]) * 2.0**-52
    shares = np.stack([drawn, drawn + epsilon], axis=1)
    points = interpolate(first, second, shares, kind)
    return points[:, 0], points[:, 1]


def perceptual_path_length(
    here: Float[np.ndarray, "n 52"], there: Float[np.ndarray, "n 52"], epsilon: float = 1e-3
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return ||D(z_t+e) - D(z_t)||² / e² of each path; StyleGAN's (Karras et al. 2019).

    `ppl`: the mean over paths is the expectation; the distance is that of weights, no
    network's. A straight path between faces has their squared distance, which a jumping
    decoder exceeds; a constant one has 0: read it beside `endpoint_mse`. Decoders in
    float32 want a step no smaller than 1e-3, or rounding is what gets measured.
    """
    change = _points("there", there) - _points("here", here)
    return {"ppl": (change**2).sum(axis=1) / epsilon**2}
