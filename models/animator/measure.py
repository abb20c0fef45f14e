"""What a trained generator is measured by: does the mouth follow, does the face obey?

Arrays in, one number per recording or per prompt out; means are taken last. All animations
are clipped to 0..1, as whoever shows them does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from expclip.face import BLENDSHAPES
from expclip.models.animator.losses import LIPS
from expclip.models.animator.network import AnimatorNetwork, perturb_prompt
from expclip.models.animator.sampling import Windows
from expclip.models.speech import SpeechPairs

__all__ = ["UPPER", "Control", "measure_control", "measure_speech"]

UPPER = [i for i, name in enumerate(BLENDSHAPES) if i not in LIPS and name != "tongueOut"]
"""Brows, eyes, cheeks and nose: what speech leaves to the expression."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of a prompt, where its control is measured."""

_CHUNK = 64
_MOST_NEIGHBOURS = 4096
"""Windows of the training set that the nearest is looked for among."""

Prompts = Callable[[Float[Tensor, "batch frames 52"], Bool[Tensor, "batch frames"]], Tensor]


def measure_speech(
    network: AnimatorNetwork, train: SpeechPairs, test: SpeechPairs, frames: int
) -> dict[str, float]:
    """Return the figures of the test recordings, means over these.

    - `lip_rmse`, `upper_rmse`: root mean squared error of jaw and mouth, and of the upper
      face, where the prompt is that of the window itself, as in training.
    - `lip_rmse_resting`, ...: with the resting face as the prompt of all: speech alone.
    - `lip_rmse_mean_face`, ...: of one face for all, the mean of the training set.
    - `lip_rmse_nearest`, ...: of the training window whose speech features are nearest.
    - `lip_step_rmse`, ...: of the displacement between neighbouring frames.
    """
    windows = Windows.end_to_end(test.offsets, frames)
    rows, there = windows.rows(frames)
    truth = test.weights[rows]
    mean_face = train.weights.mean(axis=0)
    rest = network.resting
    found = {
        "": _animate(network, test, windows, frames, network.pool),
        "_resting": _animate(network, test, windows, frames, lambda w, _: rest.expand(len(w), -1)),
        "_mean_face": np.broadcast_to(mean_face, truth.shape),
        "_nearest": _nearest(train, test, windows, frames),
    }
    figures = {}
    for kind, animation in found.items():
        for region, channels in (("lip", LIPS), ("upper", UPPER)):
            away = (animation - truth)[..., channels]
            figures[f"{region}_rmse{kind}"] = _rms(away, there, windows).mean()
        steps = np.diff(animation - truth, axis=1)[..., LIPS]
        figures[f"lip_step_rmse{kind}"] = _rms(steps, there[:, 1:], windows).mean()
    return {name: float(value) for name, value in figures.items()}


@dataclass(frozen=True, eq=False)
class Control:
    """How a face obeys, one number per prompt (means over windows).

    With u the time mean of the upper face under the whole prompt e, and u_0 under none:

    Attributes:
        expressiveness: ||u|| / ||e||; 1 is as strong as asked.
        gain: of u - u_0 along e - e_0, e_0 the resting face: 1 is all that was asked, 0 nothing;
            unlike the first, blinks do not count.
        style_error: ||u - e||^2 / ||e||^2.
        style_cosine: between u - u_0 and e - e_0.
        slope: Spearman's correlation of share and projection on e, over five shares.
        lip_steps: mean squared difference of jaw and mouth's displacements to the truth's,
            equation (7) as a metric; times 1e3.
        lip_steps_own: the same, with the window's own prompt: what of it is no fault of e.
    """

    expressiveness: Float[np.ndarray, " prompts"]
    gain: Float[np.ndarray, " prompts"]
    style_error: Float[np.ndarray, " prompts"]
    style_cosine: Float[np.ndarray, " prompts"]
    slope: Float[np.ndarray, " prompts"]
    lip_steps: Float[np.ndarray, " prompts"]
    lip_steps_own: Float[np.ndarray, " prompts"]


def measure_control(
    network: AnimatorNetwork,
    clips: SpeechPairs,
    prompts: Float[np.ndarray, "prompts 52"],
    frames: int,
    *,
    most: int = 32,
) -> Control:
    """Return how recordings obey faces as prompts.

    Args:
        network: in evaluation.
        clips: recordings.
        prompts: faces that are not neutral above the mouth.
        frames: of a window.
        most: windows, spread evenly over the recordings.

    Raises:
        ValueError: a prompt is neutral above the mouth, or there is no whole window.
    """
    everywhere = Windows.end_to_end(clips.offsets, frames)
    whole = np.flatnonzero(everywhere.rows(frames)[1].all(axis=1))
    if not len(whole) or not prompts[:, UPPER].any(axis=1).all():
        raise ValueError("needs a whole window, and prompts that show something above the mouth")
    chosen = whole[np.unique(np.linspace(0, len(whole) - 1, most).astype(int))]
    windows = everywhere.of(chosen)
    truth = clips.weights[windows.rows(frames)[0]]
    own = _animate(network, clips, windows, frames, network.pool)
    rest = network.resting.cpu().numpy()
    rows = [
        _obey(
            [
                _animate(network, clips, windows, frames, _blended(network, prompt, share))
                for share in SHARES
            ],
            prompt,
            rest,
            truth,
        )
        for prompt in np.asarray(prompts, np.float32)
    ]
    columns = np.array(rows, np.float64).T
    return Control(*[*columns, np.full(len(rows), _lip_steps(own, truth))])


def _obey(
    animations: list[Float[np.ndarray, "windows frames 52"]],
    prompt: Float[np.ndarray, " 52"],
    rest: Float[np.ndarray, " 52"],
    truth: Float[np.ndarray, "windows frames 52"],
) -> tuple[float, ...]:
    """Return the numbers of one prompt, in the order of `Control`."""
    means = np.stack([a[..., UPPER].mean(axis=1) for a in animations])  # (shares, windows, upper)
    wanted, asked = prompt[UPPER], (prompt - rest)[UPPER]
    full, moved = means[-1], means[-1] - means[0]
    length = np.linalg.norm(wanted)
    cosines = (
        moved @ asked / np.maximum(np.linalg.norm(moved, axis=1) * np.linalg.norm(asked), 1e-9)
    )
    return (
        float(np.linalg.norm(full, axis=1).mean() / length),
        float((moved @ asked).mean() / np.square(asked).sum()),
        float(np.square(full - wanted).sum(axis=1).mean() / length**2),
        float(cosines.mean()),
        float(np.mean([_spearman(line) for line in (means @ wanted).T])),
        _lip_steps(animations[-1], truth),
    )


def _spearman(values: Float[np.ndarray, " shares"]) -> float:
    """Return the rank correlation with the shares; 0 where nothing moves."""
    ranks = (values[:, None] > values).sum(axis=1) + (values[:, None] == values).sum(axis=1) / 2
    return 0.0 if np.ptp(ranks) == 0 else float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


def _lip_steps(
    animation: Float[np.ndarray, "windows frames 52"],
    truth: Float[np.ndarray, "windows frames 52"],
) -> float:
    return float(1e3 * np.square(np.diff((animation - truth)[..., LIPS], axis=1)).mean())


def _blended(network: AnimatorNetwork, prompt: Float[np.ndarray, " 52"], share: float) -> Prompts:
    """Return what gives each window this share of a prompt."""
    rest = network.resting
    face = torch.from_numpy(prompt).to(rest)
    one = perturb_prompt(rest, face, torch.tensor(share).to(rest), network.config.blend)
    return lambda weights, _: one.expand(len(weights), -1)


def _animate(
    network: AnimatorNetwork, clips: SpeechPairs, windows: Windows, frames: int, prompts: Prompts
) -> Float[np.ndarray, "windows frames 52"]:
    """Return the animations of windows, with the prompts that a function gives of the truth."""
    made, device = [], network.resting.device
    with torch.inference_mode():
        for first in range(0, len(windows), _CHUNK):
            rows, there = windows.of(slice(first, first + _CHUNK)).rows(frames)
            speech, weights = (
                torch.from_numpy(table[rows]).to(device).float()
                for table in (clips.features, clips.weights)
            )
            mask = torch.from_numpy(there).to(device)
            style = network.style(prompts(weights, mask))
            made.append(network.generate(speech, style, mask).clamp(0, 1).cpu().numpy())
    return np.concatenate(made)


def _nearest(
    train: SpeechPairs, test: SpeechPairs, windows: Windows, frames: int
) -> Float[np.ndarray, "windows frames 52"]:
    """Return the faces of the training window with the nearest speech, for each window."""
    places = Windows.end_to_end(train.offsets, frames // 4)
    whole = places.of(np.flatnonzero(places.rows(frames)[1].all(axis=1)))
    if len(whole) > _MOST_NEIGHBOURS:
        whole = whole.of(np.linspace(0, len(whole) - 1, _MOST_NEIGHBOURS).astype(int))
    theirs = (whole if len(whole) else Windows.end_to_end(train.offsets, frames)).rows(frames)[0]
    asked = test.features[windows.rows(frames)[0]].astype(np.float32).reshape(len(windows), -1)
    distances = np.empty((len(theirs), len(windows)), np.float32)
    for first in range(0, len(theirs), _CHUNK):
        some = train.features[theirs[first : first + _CHUNK]].astype(np.float32)
        some = some.reshape(-1, asked.shape[1])
        distances[first : first + len(some)] = (
            np.square(some).sum(axis=1)[:, None] - 2 * some @ asked.T
        )
    return np.asarray(train.weights[theirs[distances.argmin(axis=0)]])


def _rms(
    away: Float[np.ndarray, "windows frames channels"],
    there: Bool[np.ndarray, "windows frames"],
    windows: Windows,
) -> Float[np.ndarray, " clips"]:
    """Return the root mean square of each recording."""
    squares = (np.square(away).mean(axis=2) * there).sum(axis=1)
    sums, counts = (np.bincount(windows.clips, values) for values in (squares, there.sum(axis=1)))
    return np.asarray(np.sqrt(sums / np.maximum(counts, 1)))
