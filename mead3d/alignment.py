"""Rigid alignment while fitting: the rotation and translation of the head, taken out.

    minimise  Σ m |R p + t - n - Σ w b|²  over  R, t and 0 <= w <= 1, for every frame

with positions p, neutral n, shapes b and weights m of the vertices. Everything the frames
bring is summed once into 3 x 3 matrices, one a shape; then the best rotation for the
weights (Kabsch) and the best weights for the rotation follow from each other in turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from expclip.mead3d.projection import Group, Meshes, Shapes

__all__ = ["Alignment", "Moments", "rigid_moments"]

_ROUNDS = 500
_LEAP = 3  # rounds from one leap to the next
_SETTLED = 1e-9  # largest change of a weight in the last round

Solve = Callable[[Float[np.ndarray, "frames shapes"]], Float[np.ndarray, "frames shapes"]]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How each frame's positions come to lie on the neutral mesh: R p + t."""

    rotations: Float[np.ndarray, "frames 3 3"]
    translations: Float[np.ndarray, "frames 3"]

    @classmethod
    def empty(cls, frames: int) -> "Alignment":
        """Return NaN for every frame."""
        return cls(np.full((frames, 3, 3), np.nan), np.full((frames, 3), np.nan))

    def __getitem__(self, places: Shaped[np.ndarray, " some"] | slice) -> "Alignment":
        return Alignment(self.rotations[places], self.translations[places])

    def move(
        self, positions: Float[np.ndarray, "frames vertices 3"]
    ) -> Float[np.ndarray, "frames vertices 3"]:
        """Return the aligned positions, as precise as those given."""
        rotations = self.rotations.astype(positions.dtype).transpose(0, 2, 1)
        shifts = self.translations.astype(positions.dtype)[:, None]
        moved: Float[np.ndarray, "frames vertices 3"] = positions @ rotations + shifts
        return moved


@dataclass(frozen=True, slots=True)
class Moments:
    """All that an alignment needs of some frames."""

    crosses: Float[np.ndarray, "frames 3 stack 3"]
    """Σ m p bᵀ of the centred positions with the neutral mesh and every shape."""
    centres: Float[np.ndarray, "frames 3"]
    """Of the positions."""
    means: Float[np.ndarray, "frames stack 3"]
    """Of the neutral mesh and every shape, over the vertices that the frame has."""
    of_neutral: Float[np.ndarray, "frames shapes"]
    """Σ m n b, both centred."""

    @classmethod
    def join(cls, parts: Sequence["Moments"]) -> "Moments":
        """Return the frames of all parts."""
        return cls(
            np.concatenate([part.crosses for part in parts]),
            np.concatenate([part.centres for part in parts]),
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.of_neutral for part in parts]),
        )

    def align(
        self, solve: Solve, *, together: bool = False
    ) -> tuple[Float[np.ndarray, "frames shapes"], Alignment]:
        """Return the projections Bᵀd of the aligned frames, and their alignment.

        Args:
            solve: from projections to weights, for any of the frames.
            together: ``solve`` needs all frames, in order.
        """
        frames, shapes = self.of_neutral.shape
        weights, projections = np.zeros((frames, shapes)), np.empty((frames, shapes))
        rotations = np.empty((frames, 3, 3))
        last = np.zeros((frames, shapes))
        pending = np.arange(frames)
        for number in range(_ROUNDS):
            crosses, old = self.crosses[pending], weights[pending]
            rotations[pending] = _best_rotations(crosses, old)
            turned = np.einsum("fab,fbka->fk", rotations[pending], crosses[:, :, 1:], optimize=True)
            projections[pending] = turned - self.of_neutral[pending]
            weights[pending] = solve(projections[pending])
            change = weights[pending] - old
            moving = np.abs(change).max(axis=1) > _SETTLED
            if not moving.any():
                break
            if number % _LEAP == _LEAP - 1:
                weights[pending[moving]] = _leap(weights[pending], change, last[pending])[moving]
            last[pending] = change
            pending = pending if together else pending[moving]
        aims = self.means[:, 0] + np.einsum("fk,fka->fa", weights, self.means[:, 1:])
        shifts = aims - np.einsum("fab,fb->fa", rotations, self.centres)
        return projections, Alignment(rotations, shifts)


def rigid_moments(
    meshes: Meshes, shapes: Shapes, neutral: Float[np.ndarray, "vertices 3"], group: Group
) -> tuple[Moments, Float[np.ndarray, "shapes shapes"]]:
    """Return the moments of a group of frames, and the Gram matrix of its centred shapes.

    Args:
        meshes: positions, not displacements.
        shapes: over the vertices that count.
        neutral: the mesh the shapes move away from.
        group: frames that have the same vertices.
    """
    weights = shapes.roots**2 if group.present is None else shapes.roots**2 * group.present
    basis = shapes.flat.reshape(len(shapes.flat), -1, 3) / shapes.roots[:, None]
    kept = neutral if shapes.kept is None else neutral[shapes.kept]
    stack = np.concatenate([kept[None].astype(np.float64), basis])
    means = np.einsum("v,kva->ka", weights, stack) / weights.sum()
    stack -= means[:, None]
    columns = (stack * weights[:, None]).transpose(1, 0, 2).reshape(len(kept), -1)
    flat = (stack * np.sqrt(weights)[:, None]).reshape(len(stack), -1)
    gram = flat @ flat.T
    some = len(group.frames)
    crosses, centres = np.empty((some, 3, len(stack), 3)), np.empty((some, 3))
    for places, part in meshes.chunks(shapes, group.frames):
        positions = group.fill(part.astype(np.float64)).transpose(0, 2, 1)  # (some, 3, vertices)
        centres[places] = positions @ weights / weights.sum()
        centred = positions - centres[places][:, :, None]
        products = centred.reshape(-1, len(kept)) @ columns
        crosses[places] = products.reshape(len(part), 3, -1, 3)
    everyone = np.ones((some, 1))
    moments = Moments(crosses, centres, everyone[:, :, None] * means, everyone * gram[0, 1:])
    return moments, gram[1:, 1:]


def _leap(
    weights: Float[np.ndarray, "frames shapes"],
    change: Float[np.ndarray, "frames shapes"],
    last: Float[np.ndarray, "frames shapes"],
) -> Float[np.ndarray, "frames shapes"]:
    """Return where the weights would end if their changes went on shrinking as they do."""
    squares = np.einsum("fk,fk->f", last, last)
    shrink = np.einsum("fk,fk->f", change, last) / np.maximum(squares, 1e-300)
    shrink = np.clip(shrink, 0, 0.95)[:, None]
    ends: Float[np.ndarray, "frames shapes"] = weights + shrink / (1 - shrink) * change
    return ends.clip(0, 1)


def _best_rotations(
    crosses: Float[np.ndarray, "frames 3 stack 3"], weights: Float[np.ndarray, "frames shapes"]
) -> Float[np.ndarray, "frames 3 3"]:
    """Return the rotations that bring the positions nearest to the weighted model."""
    sums = crosses[:, :, 0] + np.einsum("fk,fbka->fba", weights, crosses[:, :, 1:], optimize=True)
    left, _, right = np.linalg.svd(sums)  # of Σ m p modelᵀ
    turned = np.sign(np.linalg.det(left @ right))
    right[:, 2] *= turned[:, None]
    found: Float[np.ndarray, "frames 3 3"] = (left @ right).transpose(0, 2, 1)
    return found
