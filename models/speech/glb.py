"""A moving face as binary glTF 2.0: a mesh, its shapes as morph targets, their weights in time."""

import json
import struct
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from expclip.face import BLENDSHAPES, Basis, Sequence

__all__ = ["build_glb", "vertex_normals"]

_FLOAT, _UINT = 5126, 5125
_ARRAY, _ELEMENTS = 34962, 34963
_SKIN = [0.86, 0.57, 0.38, 1.0]
_MATERIAL = {
    "name": "Skin",
    "doubleSided": True,
    "pbrMetallicRoughness": {
        "baseColorFactor": _SKIN,
        "metallicFactor": 0.0,
        "roughnessFactor": 0.7,
    },
}


def build_glb(basis: Basis, sequence: Sequence) -> bytes:
    """Return a .glb: in metres, y up, the shapes named as ARKit does.

    Shapes that move nothing are left out; of the others only the vertices that they move
    are stored. Viewers interpolate between frames linearly.
    """
    basis = basis.to_unit("m")
    shapes = [index for index, delta in enumerate(basis.deltas) if delta.any()]
    packed = _Packed()
    points = basis.neutral.astype(np.float32)
    attributes = {
        "POSITION": packed.array(points, "VEC3", _ARRAY, ranged=True),
        "NORMAL": packed.array(vertex_normals(points, basis.triangles), "VEC3", _ARRAY),
    }
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "material": 0,
        "mode": 4 if len(basis.triangles) else 0,
    }
    if len(basis.triangles):
        indices = basis.triangles.astype(np.uint32).ravel()
        primitive["indices"] = packed.array(indices, "SCALAR", _ELEMENTS)
    mesh: dict[str, Any] = {"name": "Face", "primitives": [primitive]}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "expclip"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "Face"}],
        "meshes": [mesh],
        "materials": [_MATERIAL],
    }
    if shapes:
        primitive["targets"] = [{"POSITION": packed.sparse(basis.deltas[i])} for i in shapes]
        mesh["weights"] = [0.0] * len(shapes)
        mesh["extras"] = {"targetNames": [BLENDSHAPES[i] for i in shapes]}
        document["animations"] = [_animation(packed, sequence, shapes)]
    document["accessors"] = packed.accessors
    document["bufferViews"] = packed.views
    document["buffers"] = [{"byteLength": len(packed.content)}]
    return _wrap(document, bytes(packed.content))


def _animation(packed: "_Packed", sequence: Sequence, shapes: list[int]) -> dict[str, Any]:
    sampler = {
        "input": packed.array(sequence.times_s.astype(np.float32), "SCALAR", ranged=True),
        "output": packed.array(sequence.weights[:, shapes].ravel(), "SCALAR"),
        "interpolation": "LINEAR",
    }
    channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
    return {"name": "Speech", "channels": [channel], "samplers": [sampler]}


def vertex_normals(
    points: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Return unit normals, the mean of those of the triangles around by area; z where none is."""
    normals = np.zeros((len(points), 3))
    corners = points.astype(np.float64)[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for corner in triangles.T:
        np.add.at(normals, corner, across)
    lengths = np.linalg.norm(normals, axis=1)
    normals[lengths == 0] = (0, 0, 1)
    lengths[lengths == 0] = 1
    return np.asarray(normals / lengths[:, None], np.float32)


class _Packed:
    """The one buffer of a file, and what lies where in it."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []

    def array(
        self,
        values: Shaped[np.ndarray, " rows *columns"],
        kind: str,
        target: int | None = None,
        *,
        ranged: bool = False,
    ) -> int:
        """Add an array and return its number."""
        accessor: dict[str, Any] = {
            "bufferView": self._view(values, target),
            "componentType": _UINT if values.dtype.kind == "u" else _FLOAT,
            "count": len(values),
            "type": kind,
        }
        if ranged:
            accessor |= _range(values)
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def sparse(self, values: Float[np.ndarray, "vertices 3"]) -> int:
        """Add rows of which most are 0, and return their number."""
        moved = np.flatnonzero(values.any(axis=1)).astype(np.uint32)
        self.accessors.append(
            {
                "componentType": _FLOAT,
                "count": len(values),
                "type": "VEC3",
                **_range(values.astype(np.float32)),
                "sparse": {
                    "count": len(moved),
                    "indices": {"bufferView": self._view(moved), "componentType": _UINT},
                    "values": {"bufferView": self._view(values[moved].astype(np.float32))},
                },
            }
        )
        return len(self.accessors) - 1

    def _view(self, values: Shaped[np.ndarray, " rows *columns"], target: int | None = None) -> int:
        packed = np.ascontiguousarray(values).tobytes()  # of 4-byte numbers: always aligned
        view = {"buffer": 0, "byteOffset": len(self.content), "byteLength": len(packed)}
        self.views.append(view | ({"target": target} if target else {}))
        self.content += packed
        return len(self.views) - 1


def _range(values: Shaped[np.ndarray, " rows *columns"]) -> dict[str, list[float]]:
    rows = values.reshape(len(values), -1)
    return {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}


def _wrap(document: dict[str, Any], content: bytes) -> bytes:
    """Return the two chunks of a .glb, each a multiple of four bytes."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    content += b"\0" * (-len(content) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(content), 0x004E4942) + content
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
