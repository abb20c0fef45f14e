"""Whether made motion is distributed as recorded motion is, whichever frame pairs with which.

A Fréchet distance does not say: two samples of one distribution are the further apart the
smaller they are. The squared maximum mean discrepancy here has no bias at any size.
"""

import hashlib
from collections.abc import Collection, Hashable, Sequence
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

from expclip.benchmarks.metrics.animation import match_frames
from expclip.benchmarks.metrics.channels import LIPS, UPPER, check_weights, places_of
from expclip.face.blendshapes import BLENDSHAPES

__all__ = ["SPLITS", "mmd2", "mmd2_floor", "motion_distances", "motion_floors"]

SPLITS = 32
"""Ways in which the recorded clips are halved for the floor."""

_KINDS = {"mmd2": BLENDSHAPES, "mmd2_lips": LIPS, "mmd2_upper": UPPER}

Clip = Float[np.ndarray, "_ 52"]  # of any length


def motion_distances(
    truths: Sequence[Clip], predictions: Sequence[Clip], speakers: Sequence[Hashable]
) -> dict[str, Float[np.ndarray, " clips"]]:
    """Return `mmd2`, and the same of the lips and the upper face alone; lower is better.

    Read it against `motion_floors`. A model that moves the lips well and never blinks has a
    small `mmd2_lips` and a large `mmd2_upper`. Frames have no order in it: motion played
    backwards, or trembling, is for the other metrics of animation.

    Raises:
        ValueError: as `mmd2`.
    """
    return {
        name: mmd2(truths, predictions, speakers, channels=channels)
        for name, channels in _KINDS.items()
    }


def motion_floors(
    truths: Sequence[Clip], names: Sequence[str], speakers: Sequence[Hashable]
) -> dict[str, float]:
    """Return what `mmd2` is to be read against, and likewise `mmd2_lips` and `mmd2_upper`.

    - `mmd2 of the mean face`: of the recorded clips' own mean face, held still. It has their
      mean, which no model is told, and nothing else.
    - `mmd2 floor`: see `mmd2_floor`; of four clips or more.
    """
    mean = np.mean([truth.mean(axis=0) for truth in truths], axis=0, dtype=np.float64)
    still = [np.broadcast_to(mean, truth.shape) for truth in truths]
    found = {
        f"{name} of the mean face": float(values.mean())
        for name, values in motion_distances(truths, still, speakers).items()
    }
    if len(truths) >= 4:
        for name, channels in _KINDS.items():
            found[f"{name} floor"] = mmd2_floor(truths, names, channels=channels)
    return found


def mmd2(
    truths: Sequence[Clip],
    predictions: Sequence[Clip],
    speakers: Sequence[Hashable] | None = None,
    *,
    channels: Collection[str] = BLENDSHAPES,
) -> Float[np.ndarray, " clips"]:
    """Return numbers whose mean is the squared MMD of made and recorded faces, without bias.

    Gretton et al. 2012, section 3, with a cubic kernel; of Inception features it is known as KID
    (kernel inception distance; Bińkowski et al. 2018). k(x, y) = (x·y + 1)³, x and y the
    weights of two frames: it is 0 only where means, second and third moments of all channels
    agree. KID divides x·y by the number of channels. A face has |w|² of the order of 1, and so
    divided hardly more than the means would be compared: a still mean face would pass.

    Each clip counts the same, whatever its length. For clips i and j, h is the mean over
    frames a of i and b of j of

        k(x_a, x_b) + k(y_a, y_b) - k(x_a, y_b) - k(y_a, x_b),

    x made, y recorded, and the estimate is the mean of h over pairs of clips of different
    speakers; of all pairs of different clips, where one speaker has them all. Frames of a
    clip are alike, clips of a speaker too, and x_i was made from the speech of y_i: a pair
    of them would bring back the bias that the estimate is to be free of (as would frames,
    taken for independent). Being free of it, it may come out below 0.

    The number of clip i is U + 2 (u_i - U): U the estimate, u_i the mean of h over the pairs
    of clip i; twice, for a clip is in pairs on either side. Their mean is U and their
    spread that of the jackknife, so that a bootstrap over clips or speakers is as wide as it
    should be. The u_i themselves have the same mean, and half the spread.

    The recordings have 0, and so has any model that is as good as more of them, but for
    chance; see `mmd2_floor`. A still face has more, and so have channels that move as
    much as they should, but not together.

    Args:
        truths: recorded, of any lengths.
        predictions: made, clip by clip; brought to the truths' lengths (`match_frames`).
        speakers: of the clips; each its own if not given.
        channels: those that are compared.

    Raises:
        ValueError: there are fewer than two clips, or a clip is not (frames, 52) and finite.
    """
    count = len(truths)
    groups = list(range(count)) if speakers is None or len({*speakers}) == 1 else list(speakers)
    if count < 2 or len(predictions) != count or len(groups) != count:
        found = f"{len(predictions)} predictions, {len(groups)} speakers, {count} clips"
        raise ValueError(f"{found}, expected one for each of two clips or more")
    checked = [check_weights(f"truth of clip {place}", one) for place, one in enumerate(truths)]
    made = [
        match_frames(check_weights(f"prediction of clip {place}", one), len(truth))
        for place, (one, truth) in enumerate(zip(predictions, checked, strict=True))
    ]
    apart = _moments(made, channels)
    apart -= _moments(checked, channels)
    return _u_statistic(apart, groups)


def mmd2_floor(
    truths: Sequence[Clip],
    names: Sequence[str],
    *,
    channels: Collection[str] = BLENDSHAPES,
    splits: int = SPLITS,
) -> float:
    """Return how far apart chance puts halves of the recorded clips, as `mmd2` measures.

    The root mean square over halvings by a hash of the names. The mean over all halvings is
    about 0, for the estimate has no bias. A model below it is as near to the recordings as
    other clips of the same speakers would be: this data cannot tell more.

    Raises:
        ValueError: there are fewer than four clips, or not a name for each.
    """
    count = len(truths)
    if count < 4 or len(names) != count:
        raise ValueError(f"{len(names)} names for {count} clips, expected four clips or more")
    moments = _moments([check_weights("truth", truth) for truth in truths], channels)
    alike = moments @ moments.T  # (clips, clips)
    found = [_halves_apart(alike, _half(names, split)) for split in range(splits)]
    return float(np.sqrt(np.mean(np.square(found))))


def _u_statistic(
    apart: Float[np.ndarray, "clips moments"], groups: Sequence[Hashable]
) -> Float[np.ndarray, " clips"]:
    """Return U + 2 (u_i - U) of h(i, j) = apart_i · apart_j over pairs of different groups."""
    count, total = len(groups), apart.sum(axis=0)
    members: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    sums, pairs = np.zeros(count), np.zeros(count)
    for places in members.values():
        others = total - apart[places].sum(axis=0)
        sums[places] = np.einsum("ij,j->i", apart[places], others)  # BLAS: by threads, other bits
        pairs[places] = count - len(places)
    estimate = sums.sum() / pairs.sum()
    return np.asarray(estimate + 2 * count * (sums - estimate * pairs) / pairs.sum())


def _halves_apart(
    alike: Float[np.ndarray, "clips clips"], first: Bool[np.ndarray, " clips"]
) -> float:
    """Return the unbiased squared MMD of two halves, given the mean kernel of all pairs."""
    within = 0.0
    for half in (first, ~first):
        own, size = alike[np.ix_(half, half)], int(half.sum())
        within += float(own.sum() - np.trace(own)) / (size * (size - 1))
    return within - 2 * float(alike[np.ix_(first, ~first)].mean())


def _half(names: Sequence[str], split: int) -> Bool[np.ndarray, " clips"]:
    def mark(name: str) -> bytes:
        return hashlib.sha256(f"{split}\0{name}".encode("utf-8", "surrogatepass")).digest()

    first = set(sorted(names, key=mark)[: len(names) // 2])
    return np.array([name in first for name in names])


def _moments(
    clips: Sequence[Clip], channels: Collection[str]
) -> Float[np.ndarray, "clips moments"]:
    """Return the first three moments of each clip, so scaled that products are mean kernels.

    (x·y + 1)³ - 1 = 3 x·y + 3 (x·y)² + (x·y)³, and (x·y)² is the product of all x_a x_b with
    all y_a y_b: the mean over all pairs of frames costs one pass over the frames of each.
    What is symmetric stands there once, times the root of how often it would: 26,234
    numbers a clip for 52 channels. The 1 cancels.
    """
    places = places_of(channels)
    pairs, roots, later, thirds = _symmetric(len(places))
    width = len(places)
    found = np.empty((len(clips), width + len(roots) + len(thirds)))
    for row, clip in zip(found, clips, strict=True):
        faces = clip[:, places]
        products = faces[:, pairs[0]] * faces[:, pairs[1]]  # (frames, pairs)
        row[:width] = np.sqrt(3) * faces.mean(axis=0)
        row[width : width + len(roots)] = roots * products.mean(axis=0)
        row[width + len(roots) :] = thirds * (products.T @ faces / len(faces))[later]
    return found


@cache
def _symmetric(
    width: int,
) -> tuple[
    Int[np.ndarray, "2 pairs"],
    Float[np.ndarray, " pairs"],
    Bool[np.ndarray, "pairs width"],
    Float[np.ndarray, " triples"],
]:
    """Return the pairs a <= b, which c >= b, and the scales of both kinds of products."""
    a, b = np.triu_indices(width)
    c = np.arange(width)
    later = c >= b[:, None]
    equal = (a == b)[:, None].astype(int) + (c == b[:, None])
    often = np.array([6, 3, 1])[equal]  # orders of three that are distinct, two alike, all alike
    roots = np.sqrt(np.where(a == b, 3.0, 6.0))
    return np.stack([a, b]), roots, later, np.sqrt(often[later].astype(np.float64))
