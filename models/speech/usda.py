"""A moving face as USD text: a mesh, its shapes, their weights in time (UsdSkel)."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from expclip.face import BLENDSHAPES, Basis, Sequence
from expclip.face.mesh import METRES
from expclip.models.speech.glb import vertex_normals

__all__ = ["build_usda"]

_SKIN = "(0.86, 0.57, 0.38)"
_IDENTITY = "((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))"


def build_usda(basis: Basis, sequence: Sequence) -> bytes:
    """Return a .usda: in the basis' unit, y up, a time code a frame, shapes named as by ARKit.

    Shapes that move nothing are left out; of the others only the points that they move are
    stored. The one joint moves nothing: without any, programs leave out the shapes.
    """
    shapes = [index for index, delta in enumerate(basis.deltas) if delta.any()]
    names = [BLENDSHAPES[index] for index in shapes]
    listed = ", ".join(f'"{name}"' for name in names)
    frames = sequence.frame_numbers.tolist()
    points = basis.neutral.astype(np.float32)
    corners = basis.triangles.ravel().tolist()
    lines = [
        "#usda 1.0",
        "(",
        '    defaultPrim = "Face"',
        f"    startTimeCode = {frames[0]}",
        f"    endTimeCode = {frames[-1]}",
        f"    timeCodesPerSecond = {sequence.fps:.9g}",
        f"    framesPerSecond = {sequence.fps:.9g}",
        f"    metersPerUnit = {METRES[basis.unit]:g}",
        '    upAxis = "Y"',
        ")",
        'def SkelRoot "Face"',
        "{",
        '    def Skeleton "Skeleton" (prepend apiSchemas = ["SkelBindingAPI"])',
        "    {",
        '        uniform token[] joints = ["root"]',
        f"        uniform matrix4d[] bindTransforms = [{_IDENTITY}]",
        f"        uniform matrix4d[] restTransforms = [{_IDENTITY}]",
        "        rel skel:animationSource = </Face/Speech>",
        "    }",
        '    def SkelAnimation "Speech"',
        "    {",
        f"        uniform token[] blendShapes = [{listed}]",
        "        float[] blendShapeWeights.timeSamples = {",
        *(
            f"            {frame}: [{_numbers(row)}],"
            for frame, row in zip(frames, sequence.weights[:, shapes], strict=True)
        ),
        "        }",
        "    }",
        '    def Mesh "Mesh" (prepend apiSchemas = ["SkelBindingAPI"])',
        "    {",
        '        uniform token subdivisionScheme = "none"',
        "        uniform bool doubleSided = 1",
        f"        color3f[] primvars:displayColor = [{_SKIN}]",
        f"        point3f[] points = [{_triples(points)}]",
        f"        normal3f[] normals = [{_triples(vertex_normals(points, basis.triangles))}] "
        '(interpolation = "vertex")',
        f"        int[] faceVertexCounts = [{', '.join(['3'] * len(basis.triangles))}]",
        f"        int[] faceVertexIndices = [{', '.join(map(str, corners))}]",
        "        rel skel:skeleton = </Face/Skeleton>",
        f"        uniform token[] skel:blendShapes = [{listed}]",
        "        rel skel:blendShapeTargets = ["
        + ", ".join(f"</Face/Mesh/{name}>" for name in names)
        + "]",
    ]
    for index, name in zip(shapes, names, strict=True):
        lines += _shape(name, basis.deltas[index])
    return "\n".join([*lines, "    }", "}", ""]).encode()


def _shape(name: str, delta: Float[np.ndarray, "vertices 3"]) -> list[str]:
    moved = np.flatnonzero(delta.any(axis=1))
    return [
        f'        def BlendShape "{name}"',
        "        {",
        f"            uniform int[] pointIndices = [{', '.join(map(str, moved.tolist()))}]",
        f"            uniform vector3f[] offsets = [{_triples(delta[moved])}]",
        "        }",
    ]


def _triples(rows: Float[np.ndarray, "rows 3"]) -> str:
    return ", ".join(f"({_numbers(row)})" for row in rows)


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
