"""Text-to-motion models as models of faces: MotionCLIP, MDM, T2M-GPT and their like."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.adapters.files import find_file
from expclip.benchmarks.answers import text_id
from expclip.face import BLENDSHAPE_INDEX, BLENDSHAPES, canonical_name, read_sequence
from expclip.face.errors import ModelError

__all__ = ["MotionFolder", "TextToMotion"]

Pool = Literal["peak", "mean"]
"""The face of a motion: the frame with the largest weights, or the mean of all."""

Motions = Sequence[Float[np.ndarray, "frames channels"]]

_SUFFIXES = (".npz", ".json", ".csv", ".parquet")


class TextToMotion:
    """A face for each text, out of the motion that a model gives for it.

    Args:
        generate: returns a motion for each text, (frames, channels), of any lengths.
        channels: their names, ARKit's in any order and spelling ("eyeBlink_L"); others, such
            as Live Link's head and eye rotations, are passed over.
        pool: how a motion becomes a face.
        encode_text: the model's embeddings of texts, if it has a space that motions share.
        encode_motion: its embeddings of motions; a face is given to it held still.
        hold: for how many frames.
        name: in results.

    Raises:
        ValueError: no channel is one of ARKit's, or one stands there twice.
    """

    def __init__(
        self,
        generate: Callable[[list[str]], Motions],
        channels: Sequence[str] = BLENDSHAPES,
        *,
        pool: Pool = "peak",
        encode_text: Callable[[list[str]], Any] | None = None,
        encode_motion: Callable[[list[np.ndarray]], Any] | None = None,
        hold: int = 16,
        name: str = "text-to-motion",
    ) -> None:
        self.name = name
        self._generate, self._pool, self._hold = generate, pool, hold
        named = [canonical_name(channel) for channel in channels]
        self._columns = [column for column, known in enumerate(named) if known]
        self._places = [BLENDSHAPE_INDEX[known] for known in named if known]
        self._width = len(named)
        if not self._places or len(set(self._places)) != len(self._places):
            raise ValueError(f"channels {list(channels)[:5]}...: expected ARKit names, each once")
        if encode_text is not None and encode_motion is not None:
            self.encode_text = encode_text
            self._encode_motion = encode_motion
            self.encode_expression = self._encode_held

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return the face of each text's motion.

        Raises:
            ModelError: a motion has no frame, or another number of channels.
        """
        return np.stack([self._face(motion) for motion in self._generate(list(texts))])

    def _face(self, motion: Float[np.ndarray, "frames channels"]) -> Float[np.ndarray, " 52"]:
        rows = np.asarray(motion, np.float64)
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != self._width:
            raise ModelError(f"a motion of shape {rows.shape}, expected (frames, {self._width})")
        weights = np.zeros((len(rows), len(BLENDSHAPES)))
        weights[:, self._places] = rows[:, self._columns]
        if self._pool == "mean":
            return np.asarray(weights.mean(axis=0))
        return np.asarray(weights[np.square(weights).sum(axis=1).argmax()])

    def _encode_held(self, weights: Float[np.ndarray, "faces 52"]) -> Any:
        held = np.zeros((len(weights), self._hold, self._width), np.float32)
        held[:, :, self._columns] = np.asarray(weights)[:, None, self._places]
        return self._encode_motion(list(held))


class MotionFolder(TextToMotion):
    """The same, of motions that lie in files: FOLDER/ID.*, ID being the text's in `inputs.jsonl`.

    Files are in any layout of `expclip.face.read_sequence`: npz, BEAT JSON, Live Link CSV,
    Parquet.
    """

    def __init__(
        self, folder: str | Path, *, pool: Pool = "peak", name: str = "text-to-motion"
    ) -> None:
        place = Path(folder)

        def read(texts: list[str]) -> list[Float[np.ndarray, "frames 52"]]:
            paths = [find_file(place, text_id(text), _SUFFIXES) for text in texts]
            return [read_sequence(path).weights for path in paths]

        super().__init__(read, pool=pool, name=name)
