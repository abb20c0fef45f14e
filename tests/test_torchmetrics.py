"""Our numbers beside those of torchmetrics, where the two mean the same."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.multimodal import lip_vertex_error
from torchmetrics.retrieval import (
    RetrievalHitRate,
    RetrievalMAP,
    RetrievalMRR,
    RetrievalNormalizedDCG,
    RetrievalPrecision,
    RetrievalRecall,
    RetrievalRPrecision,
)

from expclip.benchmarks import rank_queries
from expclip.benchmarks.metrics.animation_mesh import FaceRegions, mesh_metrics
from expclip.face import BLENDSHAPES, Basis

METRICS = {
    "R@1": RetrievalHitRate(top_k=1),
    "R@5": RetrievalHitRate(top_k=5),
    "Recall@5": RetrievalRecall(top_k=5),
    "P@5": RetrievalPrecision(top_k=5),
    "R-Precision": RetrievalRPrecision(),
    "mAP": RetrievalMAP(),
    "MRR": RetrievalMRR(),
    "nDCG@10": RetrievalNormalizedDCG(top_k=10),
}


@pytest.mark.parametrize("name", METRICS)
def test_retrieval_without_ties_is_that_of_torchmetrics(name: str) -> None:
    rng = np.random.default_rng(5)
    queries, gallery = rng.normal(size=(40, 16)), rng.normal(size=(60, 16))
    right = rng.random((40, 60)) < 0.05
    right[np.arange(40), np.arange(40)] = True
    found = rank_queries(
        queries, gallery, range(40), range(60), relevant=np.argwhere(right).tolist(), ks=(1, 5)
    )
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery))
    scores = 2 + one @ other.T  # its MRR and mAP take a score of 0 or less for "not found"
    asked = torch.arange(40)[:, None].expand(40, 60)
    theirs = METRICS[name](torch.tensor(scores), torch.tensor(right), asked)
    assert found.means()[name] == pytest.approx(theirs.item(), abs=1e-6)


def test_the_squared_lip_error_is_that_of_torchmetrics() -> None:
    rng = np.random.default_rng(6)
    deltas = rng.normal(size=(len(BLENDSHAPES), 9, 3)) / 100
    basis = Basis(rng.normal(size=(9, 3)), deltas, np.array([[0, 1, 2]]), "m")
    truth, given = rng.random((2, 7, len(BLENDSHAPES)))
    lips = FaceRegions(np.array([1, 4, 5]), np.array([7]), (1, 4))
    found = mesh_metrics([truth], [given], basis, lips)["lve_m2"]
    posed = [torch.tensor(basis.pose(weights)) for weights in (given, truth)]
    theirs = lip_vertex_error(*posed, [1, 4, 5])
    assert found == pytest.approx([theirs.item()], rel=1e-5)
