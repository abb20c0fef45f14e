"""What tests of results share: small tasks, models that differ by known amounts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from expclip.benchmarks.outcome import Outcome, TaskInfo
from expclip.benchmarks.results.record import ModelInfo, Result, Statistics, write_result

FAST = Statistics(draws=200)
RETRIEVAL = TaskInfo(
    id="tead/t2e-class",
    version=1,
    title="Text to expression, by class",
    main="R@1",
    higher_is_better=True,
    needs=(("encode_text", "encode_expression"), ("text_to_expression",)),
    data_sha256="a" * 64,
)
RECONSTRUCTION = TaskInfo(
    id="tead/reconstruction",
    version=1,
    title="Faces given again",
    main="mse",
    higher_is_better=False,
    needs=(("reconstruct",),),
    data_sha256="b" * 64,
)


def outcome(
    mean: float, *, queries: int = 40, info: TaskInfo = RETRIEVAL, **notes: float | str
) -> Outcome:
    """Return values around a mean, the same around each, in clusters of two."""
    wave = np.sin(np.arange(queries) * 1.7)
    keys = tuple(f"text {number:03d} <é>" for number in range(queries))
    values = {info.main: mean + 0.05 * (wave - wave.mean()), "MRR": mean + 0.1 + 0 * wave}
    clusters = tuple(f"source {number // 2:03d}" for number in range(queries))
    return Outcome(keys, clusters, np.ones(queries), values, {"chance": 0.1, **notes})


def write(out: Path, name: str, mean: float, info: TaskInfo = RETRIEVAL, **more: Any) -> Result:
    options: Mapping[str, Any] = {"statistics": FAST, **more}
    role = options.get("role", "model")
    rest = {key: value for key, value in options.items() if key != "role"}
    return write_result(out, ModelInfo(name, role=role), info, outcome(mean, info=info), **rest)
