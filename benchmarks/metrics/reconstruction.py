"""Errors of faces: one number a face for what should have been and what came out.

For reconstruction (the paper's Table 1), and for faces made from texts, where one text has
several right answers.

Table 1 prints "MSE" without a definition. Here `mse` is the mean over the named weights of
one face; the sum over them, which others may have meant, is printed beside it as `sse`.
"""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from expclip.benchmarks.metrics.channels import REGIONS, check_weights, dice, places_of
from expclip.face.action_units import AU_CODES
from expclip.face.blendshapes import BLENDSHAPES
from expclip.face.mapping import blendshapes_from_aus

__all__ = [
    "NOISE_LEVELS",
    "add_noise",
    "face_variance",
    "reconstruction_errors",
    "text_face_errors",
    "units_of",
]

NOISE_LEVELS = (0.0, 0.01, 0.02, 0.05, 0.1)
"""Standard deviations of the noise curve: Table 1's ablation, told as a curve."""

ACTIVE = 0.1
"""A weight from here on is seen."""

UNIT = 0.05
"""An action unit from this strength on is shown; FACS' trace, A, is 0.1."""


def reconstruction_errors(
    truth: Float[np.ndarray, "n 52"],
    predicted: Float[np.ndarray, "n 52"],
    *,
    channels: Collection[str] = BLENDSHAPES,
    variance: float | None = None,
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return the errors of each face; e is predicted - truth, over the named channels.

    - `mse`: mean e². Main. Unit: squared weights.
    - `sse`: sum e², "MSE" where a paper sums over the weights: 52 times as much.
    - `mse_lips`, `mse_upper`, `mse_tongue`: mean e² of a region, where it has a channel.
    - `mae_active`: mean |e| over the weights that are at least 0.1 in the truth. Three
      quarters of TEAD's weights are 0, so that a face of zeros has a fine `mse`. A truth
      with no such weight is neutral: there it is the mean over all.
    - `support_f1`: F1 of the sets of weights of at least 0.1; two empty sets are equal: 1.
    - `r2`: 1 - mse / `variance`, if that is given (`face_variance` of all truths): the mean
      over faces, weighted as the variance was, is R² over all weights pooled. An R² of a
      single face has no meaning, and a mean of R² over channels is ruled by those that
      hardly move. Where the variance is 0, as in scikit-learn: 1 for no error, else 0.

    Baselines: the truth has 0 in all errors and 1 in `support_f1` and `r2`; the mean face
    of the truths has mean `mse` = `variance` and mean `r2` 0; zeros have the mean square.

    Args:
        truth: what should have been.
        predicted: what came out, as it is: clip it or not, but say so in the task.
        channels: those that the data has; 51 in BEAT. The others are left out of all
            means, and not counted as right.
        variance: see `r2`.

    Raises:
        ValueError: an array is not (n, 52) and finite, or they differ in length.
    """
    true, found = check_weights("truth", truth), check_weights("predicted", predicted)
    if len(true) != len(found):
        raise ValueError(f"{len(found)} predicted faces, expected {len(true)}")
    named = places_of(channels)
    squares = (found - true) ** 2  # (n, 52)
    errors = {"mse": squares[:, named].mean(axis=1), "sse": squares[:, named].sum(axis=1)}
    for region, names in REGIONS.items():
        inside = [name for name in names if name in channels]
        if inside:
            errors[f"mse_{region}"] = squares[:, places_of(inside)].mean(axis=1)
    seen, shown = true[:, named] >= ACTIVE, found[:, named] >= ACTIVE
    counted = seen | ~seen.any(axis=1, keepdims=True)
    absolute = np.sqrt(squares[:, named])
    errors["mae_active"] = (absolute * counted).sum(axis=1) / counted.sum(axis=1)
    errors["support_f1"] = dice((seen & shown).sum(axis=1), seen.sum(axis=1), shown.sum(axis=1))
    if variance is not None:
        errors["r2"] = _share_explained(errors["mse"], variance)
    return errors


def face_variance(
    truth: Float[np.ndarray, "n 52"],
    *,
    weights: Float[np.ndarray, " n"] | None = None,
    channels: Collection[str] = BLENDSHAPES,
) -> float:
    """Return the mean over channels of the variance of faces: the `mse` of their mean face."""
    faces = check_weights("truth", truth)[:, places_of(channels)]
    squares = (faces - np.average(faces, axis=0, weights=weights)) ** 2
    return float(np.average(squares.mean(axis=1), weights=weights))


def _share_explained(errors: Float[np.ndarray, " n"], total: float) -> Float[np.ndarray, " n"]:
    """Return 1 - errors / total; where there is nothing to explain, 1 for no error, else 0."""
    if total > 0:
        return np.asarray(1 - errors / total, np.float64)
    return np.asarray(errors == 0, np.float64)


def text_face_errors(
    truth: Float[np.ndarray, "rows 52"],
    query: Int[np.ndarray, " rows"],
    predicted: Float[np.ndarray, "queries 52"],
    *,
    mean_face: Float[np.ndarray, " 52"],
    weights: Float[np.ndarray, " queries"] | None = None,
) -> dict[str, Float[np.ndarray, " queries"]]:
    """Return the errors of one face a text, where the data may have several for a text.

    - all of `reconstruction_errors` but `r2`: means over the text's rows.
    - `floor`: variance of the truth within the text: no one face has a smaller `mse`. It
      is the same for all models. Read `mse` against it, not against 0.
    - `excess`: mse - floor = mean (predicted - mean of the text's faces)².
    - `skill`: 1 - excess / D, D the mean over texts of the excess of the mean face, so that
      the mean over texts is 1 - (MSE - floor) / (MSE of the mean face - floor). Main. The
      mean face has 0, the mean of each text's faces 1, worse than the mean face is below 0.
      Where D is 0 (all texts share one mean): 1 for no excess, else 0.
    - `best_mse`: `mse` to the nearest of the text's faces. It forgives a choice, and by it
      alone a guess at the commonest face is flattered: it is printed beside `mse`.
    - `au_f1`: F1 of the action units that both faces show, by `units_of`; mean over rows.

    Args:
        truth: a face a row.
        query: the place in ``predicted`` of each row's text; every text has a row.
        predicted: one face a text.
        mean_face: of the training rows, never of the tested ones.
        weights: of the texts, in D; their numbers of rows if not given.

    Raises:
        ValueError: an array has the wrong shape, is not finite, or a text has no row.
    """
    true, found = check_weights("truth", truth), check_weights("predicted", predicted)
    counts = _rows_of(query, len(true), len(found))

    def mean(values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " queries"]:
        return np.asarray(np.bincount(query, values, len(found)) / counts, np.float64)

    rows = reconstruction_errors(true, found[query])
    errors = {name: mean(values) for name, values in rows.items()}
    centres = np.stack([mean(channel) for channel in true.T], axis=1)  # (queries, 52)
    errors["floor"] = mean(((true - centres[query]) ** 2).mean(axis=1))
    errors["excess"] = ((found - centres) ** 2).mean(axis=1)
    start = ((check_weights("mean_face", mean_face[None]) - centres) ** 2).mean(axis=1)
    scale = float(np.average(start, weights=counts if weights is None else weights))
    errors["skill"] = _share_explained(errors["excess"], scale)
    best = np.full(len(found), np.inf)
    np.minimum.at(best, query, rows["mse"])
    errors["best_mse"] = best
    asked, shown = units_of(true), units_of(found)[query]
    shared = (asked & shown).sum(axis=1)
    errors["au_f1"] = mean(dice(shared, asked.sum(axis=1), shown.sum(axis=1)))
    return errors


def _rows_of(
    query: Int[np.ndarray, " rows"], rows: int, queries: int
) -> Int[np.ndarray, " queries"]:
    """Return how many rows each query has."""
    if query.shape != (rows,) or query.dtype.kind not in "iu":
        raise ValueError(f"query is {query.dtype} {query.shape}, expected whole numbers ({rows},)")
    if query.min() < 0 or query.max() >= queries:
        raise ValueError(f"query has {query.min()}..{query.max()}, expected 0..{queries - 1}")
    counts = np.bincount(query, minlength=queries)
    if not counts.all():
        raise ValueError(f"query {int(np.argmin(counts))} has no row of the truth")
    return counts


def units_of(weights: Float[np.ndarray, "n 52"], least: float = UNIT) -> Bool[np.ndarray, "n 36"]:
    """Return the action units that faces show, in the order of AU_CODES.

    The inverse of ``blendshapes_from_aus``: strengths s >= 0 that minimise ||s M - w||
    (Lawson & Hanson, exact), shown from ``least`` on. Six of the 36 rows of M lie in the
    span of others (a drooping lid is a third of a shut one: 41 is read as 43), and the
    mapping clips, so units are read from the truth in the same way and never compared with
    an annotation; then equal faces always have F1 1. Of the annotated units of TEAD's core
    97 % are read, and of those read 94 % are annotated.
    """
    from scipy.optimize import nnls

    faces = check_weights("weights", weights)
    table = blendshapes_from_aus(np.eye(len(AU_CODES))).astype(np.float64).T  # (52, units)
    distinct, back = np.unique(faces, axis=0, return_inverse=True)
    strengths = np.stack([nnls(table, face)[0] for face in distinct])
    shown: Bool[np.ndarray, "n 36"] = strengths[back.reshape(-1)] >= least
    return shown


def add_noise(
    weights: Float[np.ndarray, "n 52"], sigma: float, keys: Sequence[str], *, seed: int = 0
) -> Float[np.ndarray, "n 52"]:
    """Return faces with Gaussian noise on each weight, clipped to 0..1, float64.

    The noise of a face is that of its key and the seed alone, whatever its row, and at
    another sigma the same times another factor: the noise curve has no jitter of its own.
    It does not change with NumPy's version. Clipping, for a model's input is 0..1, makes
    the mean of a noisy 0 not 0 but 0.4 sigma.

    Raises:
        ValueError: there is not one key a face, or sigma is below 0.
    """
    faces = check_weights("weights", weights)
    if len(keys) != len(faces):
        raise ValueError(f"{len(keys)} keys for {len(faces)} faces")
    if not 0 <= sigma < np.inf:
        raise ValueError(f"sigma must be 0 or more, got {sigma}")
    from scipy.special import ndtri

    bits = b"".join(_bits(f"{seed}\0{key}") for key in keys)
    chance = np.frombuffer(bits, "<u8").reshape(faces.shape) >> np.uint64(12)
    noise = ndtri((chance + 0.5) * 2.0**-52)  # never 0 or 1
    return np.clip(faces + sigma * noise, 0, 1)


def _bits(name: str) -> bytes:
    digest = hashlib.shake_128(name.encode("utf-8", "surrogatepass"))
    return digest.digest(8 * len(BLENDSHAPES))
