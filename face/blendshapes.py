"""The 52 ARKit blendshapes: names, order, and the spellings found in files."""

__all__ = ["BLENDSHAPES", "BLENDSHAPE_INDEX", "canonical_name"]

_SIDED = ("Left", "Right")

BLENDSHAPES: tuple[str, ...] = (
    *(f"browDown{side}" for side in _SIDED),
    "browInnerUp",
    *(f"browOuterUp{side}" for side in _SIDED),
    "cheekPuff",
    *(f"cheekSquint{side}" for side in _SIDED),
    *(
        f"eye{action}{side}"
        for action in (
            "Blink",
            "LookDown",
            "LookIn",
            "LookOut",
            "LookUp",
            "Squint",
            "Wide",
        )
        for side in _SIDED
    ),
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    *(f"mouthDimple{side}" for side in _SIDED),
    *(f"mouthFrown{side}" for side in _SIDED),
    "mouthFunnel",
    "mouthLeft",
    *(f"mouthLowerDown{side}" for side in _SIDED),
    *(f"mouthPress{side}" for side in _SIDED),
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    *(f"mouthSmile{side}" for side in _SIDED),
    *(f"mouthStretch{side}" for side in _SIDED),
    *(f"mouthUpperUp{side}" for side in _SIDED),
    *(f"noseSneer{side}" for side in _SIDED),
    "tongueOut",
)
"""Apple's 52 names, alphabetical with tongueOut last: the order of every weight vector.

Left and right are the person's own.
"""

BLENDSHAPE_INDEX: dict[str, int] = {name: index for index, name in enumerate(BLENDSHAPES)}
"""From name to position in a weight vector."""

_CANONICAL = {name.lower(): name for name in BLENDSHAPES} | {
    name.lower().replace("left", "_l").replace("right", "_r"): name
    for name in BLENDSHAPES
    if name.endswith(_SIDED)
}


def canonical_name(name: str) -> str | None:
    """Return the ARKit name for a spelling found in a file, or None if it is none.

    Understands "eyeBlinkLeft", "EyeBlinkLeft" (Live Link) and "eyeBlink_L" (the raw
    strings of ARKit, ICT-FaceKit).
    """
    return _CANONICAL.get(name.strip().lower())
