"""Answers that lie in files, one for each question, named by the id that it has."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from expclip.benchmarks.answers import speech_id
from expclip.face.errors import DataError, ModelError

__all__ = ["SpeechFiles", "fill_missing", "find_file"]

Read = Callable[[Path], tuple[Float[np.ndarray, "frames 52"], float]]


class SpeechFiles:
    """Has `animate`: reads FOLDER/ID.*, ID being that of the speech in `inputs.jsonl`.

    Args:
        folder: of the files.
        suffixes: that they may have.
        read: returns weights and frames a second of one file.
        fps: that all are brought to.
        name: in results.
    """

    def __init__(
        self, folder: str | Path, suffixes: Sequence[str], read: Read, *, fps: float, name: str
    ) -> None:
        self.fps, self.name = fps, name
        self._folder, self._suffixes, self._read = Path(folder), tuple(suffixes), read
        if not self._folder.is_dir():
            raise DataError(f"{folder}: no such folder")

    def animate(
        self,
        audio: Float[np.ndarray, " samples"],
        sample_rate: int,
        prompt: str | None = None,
        strength: float = 1.0,
    ) -> Float[np.ndarray, "frames 52"]:
        """Return the weights of the file for this speech, prompt and strength.

        Raises:
            ModelError: there is no such file.
            DataError: it is broken.
        """
        from expclip.beat_loader import resample

        key = speech_id(audio, sample_rate, prompt, strength)
        weights, fps = self._read(find_file(self._folder, key, self._suffixes))
        return weights if fps == self.fps or len(weights) < 2 else resample(weights, fps, self.fps)


def find_file(folder: Path, key: str, suffixes: Sequence[str]) -> Path:
    """Return the file of an id.

    Raises:
        ModelError: there is none.
    """
    for suffix in suffixes:
        path = folder / f"{key}{suffix}"
        if path.is_file():
            return path
    raise ModelError(f"{folder}: no {key}{'|'.join(suffixes)} in it")


def fill_missing(
    weights: Float[np.ndarray, "frames 52"], there: Bool[np.ndarray, " frames"], name: str
) -> Float[np.ndarray, "frames 52"]:
    """Return frames without a face filled: on the line between neighbours, held at the ends.

    Raises:
        DataError: most frames have no face.
    """
    if there.mean() <= 0.5:
        raise DataError(f"{name}: {int((~there).sum())} of {len(there)} frames have no face")
    places = np.arange(len(weights))
    found = [np.interp(places, places[there], channel[there]) for channel in weights.T]
    return np.stack(found, axis=1)
