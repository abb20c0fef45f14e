"""Models that speak another language than ours, as models of the benchmarks."""

from typing import TYPE_CHECKING, Any

from expclip.benchmarks.adapters.motion import MotionFolder, TextToMotion
from expclip.benchmarks.adapters.nearest_face import NearestFace

if TYPE_CHECKING:
    from expclip.benchmarks.adapters.vertices import VertexMotions, weights_from_vertices
    from expclip.benchmarks.adapters.video import TalkingHeads

__all__ = [
    "MotionFolder",
    "NearestFace",
    "TalkingHeads",
    "TextToMotion",
    "VertexMotions",
    "weights_from_vertices",
]

_LATE = {
    "TalkingHeads": "expclip.benchmarks.adapters.video",
    "VertexMotions": "expclip.benchmarks.adapters.vertices",
    "weights_from_vertices": "expclip.benchmarks.adapters.vertices",
}
"""What needs more than NumPy, imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
