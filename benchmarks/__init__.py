"""Shared benchmarks for anyone's model: tasks, metrics, statistics, results."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expclip.benchmarks.baselines import BASELINES, baseline
    from expclip.benchmarks.board.hub import publish_benchmark, publish_results
    from expclip.benchmarks.board.manifold_picture import draw_manifold
    from expclip.benchmarks.board.report import write_leaderboard
    from expclip.benchmarks.loading import load_model
    from expclip.benchmarks.metrics.retrieval import rank_queries, retrieval_metrics
    from expclip.benchmarks.predictions import read_predictions, write_predictions
    from expclip.benchmarks.results.compare import compare
    from expclip.benchmarks.results.record import read_result
    from expclip.benchmarks.results.verification import verify
    from expclip.benchmarks.run import evaluate
    from expclip.benchmarks.tasks import CATALOGUE, Sources

__all__ = [
    "BASELINES",
    "CATALOGUE",
    "Sources",
    "baseline",
    "compare",
    "draw_manifold",
    "evaluate",
    "load_model",
    "publish_benchmark",
    "publish_results",
    "rank_queries",
    "read_predictions",
    "read_result",
    "retrieval_metrics",
    "verify",
    "write_leaderboard",
    "write_predictions",
]

_PLACES = {
    "baselines": ("BASELINES", "baseline"),
    "board.hub": ("publish_benchmark", "publish_results"),
    "board.manifold_picture": ("draw_manifold",),
    "board.report": ("write_leaderboard",),
    "loading": ("load_model",),
    "metrics.retrieval": ("rank_queries", "retrieval_metrics"),
    "predictions": ("read_predictions", "write_predictions"),
    "results.compare": ("compare",),
    "results.record": ("read_result",),
    "results.verification": ("verify",),
    "run": ("evaluate",),
    "tasks": ("CATALOGUE", "Sources"),
}
"""Imported when they are asked for: scoring a file of answers needs no torch."""


def __getattr__(name: str) -> Any:
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{place}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
