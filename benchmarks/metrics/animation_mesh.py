"""Faces in motion on a mesh: one number a clip, in metres and millimetres.

The M set. A basis is linear, so the error at a vertex is the difference of weights times
the shapes' displacements: no mesh is posed, and only the rows of a region are touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from expclip.benchmarks.metrics.animation import as_columns, match_frames
from expclip.benchmarks.metrics.channels import UPPER, check_weights, places_of
from expclip.face.blendshapes import BLENDSHAPE_INDEX, BLENDSHAPES
from expclip.face.mesh import Basis

__all__ = ["FaceRegions", "find_regions", "mesh_metrics"]

_LIP_SHAPES = ("mouthRollLower", "mouthRollUpper")
_LIP_SHARE = 0.5
_UPPER_SHARE = 0.2
_MIDLINE = 0.02  # of the width of the face
_STAYS, _GOES = 0.2, 0.8  # of what jawOpen moves most among the lips
_CHUNK_NUMBERS = 1 << 22

Clip = Float[np.ndarray, "_ 52"]  # of any length


@dataclass(frozen=True, slots=True, eq=False)
class FaceRegions:
    """Vertices of a basis, by which numbers are taken: they are part of a metric's meaning.

    Attributes:
        lips: both lips and the skin around them.
        upper: brows, forehead, lids, cheeks and nose.
        opening: a vertex of the upper lip and one of the lower that meet when the mouth
            is shut.
    """

    lips: Int[np.ndarray, " lips"]
    upper: Int[np.ndarray, " upper"]
    opening: tuple[int, int]


def find_regions(basis: Basis) -> FaceRegions:
    """Find the regions of any basis from what its shapes move.

    No lists of vertices, which papers choose by hand and seldom print. Lips: moved by
    mouthRollLower or mouthRollUpper at least half as far as their farthest vertex. Upper: no
    lips, and moved by a shape of brows, lids, nose or cheekSquint by a fifth of its farthest,
    and by none of jaw, mouth or cheekPuff by a larger share. Opening: of the lips within 2 %
    of the width from the midline, the nearest pair of one that jawOpen leaves and one that
    it takes along. A reconstruction, and one that depends on the basis: compare only numbers
    of one basis.

    Raises:
        ValueError: the basis lacks those shapes, or no such vertices are found.
    """
    reach = np.linalg.norm(basis.deltas.astype(np.float64), axis=2)  # (52, vertices)
    lacking = [name for name in (*_LIP_SHAPES, "jawOpen") if name in basis.missing]
    if lacking:
        raise ValueError(f"the basis has no {lacking[0]}: name the regions yourself")
    farthest = reach.max(axis=1, keepdims=True)
    shares = np.divide(reach, farthest, out=np.zeros_like(reach), where=farthest > 0)
    lips = (shares[places_of(_LIP_SHAPES)] >= _LIP_SHARE).any(axis=0)
    names = [name for name in UPPER if not name.startswith(("eyeLook", "cheekPuff"))]
    above = shares[places_of(names)].max(axis=0)
    others = [name for name in BLENDSHAPES if name.startswith(("jaw", "mouth", "cheekPuff"))]
    upper = (above >= _UPPER_SHARE) & (above > shares[places_of(others)].max(axis=0)) & ~lips
    if not upper.any():
        raise ValueError("no vertex belongs to the upper face: name the regions yourself")
    pair = _lip_pair(basis.neutral.astype(np.float64), lips, reach[BLENDSHAPE_INDEX["jawOpen"]])
    return FaceRegions(np.flatnonzero(lips), np.flatnonzero(upper), pair)


def _lip_pair(
    neutral: Float[np.ndarray, "vertices 3"],
    lips: Bool[np.ndarray, " vertices"],
    dropped: Float[np.ndarray, " vertices"],
) -> tuple[int, int]:
    """Return the nearest vertices of the upper and the lower lip, near the midline."""
    across = neutral[:, 0]
    middle = (across.min() + across.max()) / 2
    near = lips & (np.abs(across - middle) <= _MIDLINE * np.ptp(across))
    most = dropped[near].max(initial=0)
    stay = np.flatnonzero(near & (dropped <= _STAYS * most))
    go = np.flatnonzero(near & (dropped >= _GOES * most))
    if not (len(stay) and len(go) and most > 0):
        raise ValueError("no two vertices open the mouth: name the regions yourself")
    gaps = np.linalg.norm(neutral[stay][:, None] - neutral[go], axis=2)
    one, other = np.unravel_index(gaps.argmin(), gaps.shape)
    return int(stay[one]), int(go[other])


def mesh_metrics(
    truths: Sequence[Clip],
    predictions: Sequence[Clip],
    basis: Basis,
    regions: FaceRegions | None = None,
) -> dict[str, Float[np.ndarray, " clips"]]:
    """Return the M set of every clip; e is the error at a vertex, d its way from neutral.

    - `lve_m2`: mean_t max over lips of ||e||², m² (CodeTalker, FaceDiffuser, ProbTalk3D,
      torchmetrics). Main.
    - `lve_mm`: mean_t max over lips of ||e||, mm (MeshTalk's; LVD in UniTalker). Papers call
      both LVE: of one clip they, and three more by that name, spread from 1e-5 to 3.
    - `mve_mm`: mean over frames and all vertices of ||e||, mm.
    - `fve_m2`: mean_t max over all vertices of ||e||², m².
    - `eve_m2`: mean_t max over the upper face of ||e||², m².
    - `fdd_m2`: |F(truth) - F(predicted)|, F the mean over the upper face of the deviation over
      time of ||d||², m² (CodeTalker), absolute in each clip: signed ones cancel.
    - `mod_mm`: mean_t |o - o'|, o the distance between the lips, mm. A reconstruction: no
      published code defines it.

    The truth has 0 in all; the mean face and every other constant have F(truth) as `fdd_m2`.
    Predictions are brought to the truth's length by `match_frames`.

    Args:
        truths: of any lengths.
        predictions: clip by clip, at the same frame rate.
        basis: in any unit. Shapes that it lacks (tongueOut in most) have no error.
        regions: those of `find_regions`, if not given.

    Raises:
        ValueError: a clip is not (frames, 52) and finite, or the numbers of clips differ.
    """
    if not truths or len(truths) != len(predictions):
        raise ValueError(f"{len(predictions)} predictions for {len(truths)} clips")
    places = regions or find_regions(basis)
    deltas = basis.to_unit("m").deltas.astype(np.float64)
    neutral = basis.to_unit("m").neutral.astype(np.float64)
    up, low = places.opening
    gap = (deltas[:, up] - deltas[:, low], neutral[up] - neutral[low])
    rows: list[dict[str, float]] = []
    for clip, answer in zip(truths, predictions, strict=True):
        truth = check_weights("truth", clip)
        found = match_frames(check_weights("prediction", answer), len(truth))
        row = _vertex_errors(found - truth, deltas, places)
        dynamics = [_dynamics(weights, deltas[:, places.upper]) for weights in (truth, found)]
        openings = [np.linalg.norm(weights @ gap[0] + gap[1], axis=1) for weights in (truth, found)]
        row["fdd_m2"] = abs(dynamics[0] - dynamics[1])
        row["mod_mm"] = 1000 * float(np.abs(openings[0] - openings[1]).mean())
        rows.append(row)
    return as_columns(rows)


def _vertex_errors(
    error: Clip, deltas: Float[np.ndarray, "52 vertices 3"], regions: FaceRegions
) -> dict[str, float]:
    """Return what is made of the errors of the vertices, some frames at a time."""
    parts: list[Float[np.ndarray, "5 frames"]] = []
    for some in _frames(error, deltas):
        square = _squares(some, deltas)
        lips = square[:, regions.lips].max(axis=1)
        parts.append(
            np.stack(
                [
                    lips,
                    1000 * np.sqrt(lips),
                    1000 * np.sqrt(square).mean(axis=1),
                    square.max(axis=1),
                    square[:, regions.upper].max(axis=1),
                ]
            )
        )
    means = np.concatenate(parts, axis=1).mean(axis=1).tolist()
    return dict(zip(("lve_m2", "lve_mm", "mve_mm", "fve_m2", "eve_m2"), means, strict=True))


def _dynamics(weights: Clip, deltas: Float[np.ndarray, "52 vertices 3"]) -> float:
    """Return the mean over vertices of the deviation over time of the squared way."""
    squares = [_squares(some, deltas) for some in _frames(weights, deltas)]
    return float(np.concatenate(squares).std(axis=0).mean())


def _frames(weights: Clip, deltas: Float[np.ndarray, "52 vertices 3"]) -> list[Clip]:
    """Return the frames in parts whose vertices fit into 32 MB."""
    step = max(1, _CHUNK_NUMBERS // max(1, deltas.shape[1] * 3))
    return [weights[start : start + step] for start in range(0, len(weights), step)]


def _squares(
    weights: Clip, deltas: Float[np.ndarray, "52 vertices 3"]
) -> Float[np.ndarray, "frames vertices"]:
    """Return the squared lengths of what weights move each vertex by."""
    moved = np.tensordot(weights, deltas, 1)  # (frames, vertices, 3)
    squares: Float[np.ndarray, "frames vertices"] = np.einsum("tvx,tvx->tv", moved, moved)
    return squares
