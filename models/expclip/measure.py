"""What a trained ExpCLIP is measured by at the end of its training, on the test split alone."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from expclip.models.expclip.data import Pairs
from expclip.models.expclip.network import ExpClipNetwork

__all__ = ["measure_pairs", "measure_reconstruction"]

_CHUNK = 1024


def measure_reconstruction(
    network: ExpClipNetwork, faces: Float[np.ndarray, "rows 52"]
) -> Float[np.ndarray, " rows"]:
    """Return the mean squared error of each face that is encoded and decoded.

    Over the 52 weights, decoded ones clipped to 0..1, as Table 1 of the paper measures.
    """
    found = [network.decode(network.encode_expression(part)) for part in _chunks(network, faces)]
    return _squared(torch.cat(found).clamp(0, 1).cpu().numpy(), faces)


def measure_pairs(
    network: ExpClipNetwork,
    pairs: Pairs,
    features: Float[np.ndarray, "items features"],
    mean_face: Float[np.ndarray, " 52"],
) -> dict[str, float]:
    """Return the figures of a split.

    - `reconstruction_mse`: of faces encoded and decoded.
    - `NAME_mse`, `NAME_cosine`: of the face decoded from the first prompt of each kind.
    - `mean_face_mse`: of one face for all, the mean of the training split; what the errors
      are to be read against.
    - each again with `natural_` in front, over rows whose text no grammar made.
    """
    values = {"reconstruction_mse": measure_reconstruction(network, pairs.faces)}
    for name, choices in pairs.prompts.items():
        decoded = _decode(network, features, choices.items[:, 0], image=name == "image")
        values[f"{name}_mse"] = _squared(decoded, pairs.faces)
        values[f"{name}_cosine"] = _cosine(decoded, pairs.faces)
    values["mean_face_mse"] = _squared(np.broadcast_to(mean_face, pairs.faces.shape), pairs.faces)
    figures = {name: float(np.nanmean(found)) for name, found in values.items()}
    if pairs.natural.any() and not pairs.natural.all():
        for name, found in values.items():
            figures[f"natural_{name}"] = float(np.nanmean(found[pairs.natural]))
    return figures


def _decode(
    network: ExpClipNetwork,
    features: Float[np.ndarray, "items features"],
    items: Int[np.ndarray, " rows"],
    *,
    image: bool,
) -> Float[np.ndarray, "rows 52"]:
    projector = network.image_projector if image else network.text_projector
    assert projector is not None
    with torch.inference_mode():
        found = [network.decode(projector(part)) for part in _chunks(network, features[items])]
    return np.asarray(torch.cat(found).clamp(0, 1).cpu().numpy())


def _chunks(network: ExpClipNetwork, rows: Float[np.ndarray, "rows columns"]) -> Iterator[Tensor]:
    device = network.summary.device
    with torch.inference_mode():
        for start in range(0, len(rows), _CHUNK):
            yield torch.from_numpy(rows[start : start + _CHUNK]).to(device)


def _squared(
    found: Float[np.ndarray, "rows 52"], faces: Float[np.ndarray, "rows 52"]
) -> Float[np.ndarray, " rows"]:
    return np.asarray(np.square(found - faces).mean(axis=1))


def _cosine(
    found: Float[np.ndarray, "rows 52"], faces: Float[np.ndarray, "rows 52"]
) -> Float[np.ndarray, " rows"]:
    """Return the cosine of each pair; NaN where the true face is neutral, and has no direction."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(faces, axis=1)
    products = (found * faces).sum(axis=1) / np.maximum(lengths, 1e-12)
    return np.where(faces.any(axis=1), products, np.nan)
