"""What a model may be asked, how its answers are checked, and how one is found by name.

A model is any object with some of these methods, in NumPy; there is no base class, and
nothing to register. What it has decides which tasks it can do.

    class Mine:
        def text_to_expression(self, texts):  # list[str] -> (texts, 52) weights
            return np.zeros((len(texts), 52))

It may have attributes too: ``name``, shown in results; ``sha256`` of its weights, by which a
run that was stopped knows it again; ``revision`` of its repository on the Hub; ``fps`` of
what `animate` gives. Its methods are given arrays of their own and may write into them.
"""

import inspect
import math
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

from expclip.face import BLENDSHAPES
from expclip.face.errors import ExpclipError, ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "METHODS",
    "Animator",
    "Asked",
    "Decoder",
    "ExpressionEncoder",
    "ImageEncoder",
    "Reconstructor",
    "Skip",
    "TextEncoder",
    "TextToExpression",
    "failure_place",
]

_LENGTH_SLACK_S = 0.25
_LENGTH_SLACK = 0.05
_REMEMBERED = 64 << 20  # numbers: 256 MiB
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


@runtime_checkable
class TextToExpression(Protocol):
    """Gives a face for a text."""

    def text_to_expression(self, texts: list[str]) -> Float[np.ndarray, "texts 52"]:
        """Return ARKit weights, in the order of ``expclip.face.BLENDSHAPES``."""


@runtime_checkable
class TextEncoder(Protocol):
    """Puts texts into a space that is compared by cosine."""

    def encode_text(self, texts: list[str]) -> Float[np.ndarray, "texts dim"]:
        """Return an embedding a text, of any length."""


@runtime_checkable
class ExpressionEncoder(Protocol):
    """Puts faces into the same space."""

    def encode_expression(
        self, weights: Float[np.ndarray, "faces 52"]
    ) -> Float[np.ndarray, "faces dim"]:
        """Return an embedding a face."""


@runtime_checkable
class ImageEncoder(Protocol):
    """Puts pictures of faces into the same space."""

    def encode_image(self, images: "list[Image]") -> Float[np.ndarray, "images dim"]:
        """Return an embedding a picture; pictures are Pillow's."""


@runtime_checkable
class Decoder(Protocol):
    """Gives the face of an embedding."""

    def decode(self, embeddings: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n 52"]:
        """Return ARKit weights of embeddings as the encoders give them."""


@runtime_checkable
class Reconstructor(Protocol):
    """Gives a face again, through what it knows of faces."""

    def reconstruct(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 52"]:
        """Return ARKit weights; for models with `encode_expression` and `decode` not needed."""


@runtime_checkable
class Animator(Protocol):
    """Gives a face in motion for speech."""

    fps: float

    def animate(
        self,
        audio: Float[np.ndarray, " samples"],
        sample_rate: int,
        prompt: str | None = None,
        strength: float = 1.0,
    ) -> Float[np.ndarray, "frames 52"]:
        """Return weights at ``fps`` frames a second, from the start of the speech on.

        Args:
            audio: mono, float32, -1..1.
            sample_rate: in Hz; 16,000 in all tasks.
            prompt: the emotion in words; a model that takes none may lack the argument.
            strength: of the prompt, 0..1.
        """


METHODS = (
    "text_to_expression",
    "encode_text",
    "encode_expression",
    "encode_image",
    "decode",
    "reconstruct",
    "animate",
)


class Skip(Exception):
    """A task is left out; the message says why."""


class Asked:
    """A model, asked in portions, each answer checked.

    What comes back is float32 and finite; tensors are taken too, wherever they lie. What a
    model is given is its own: it may write into it. A method that raises NotImplementedError, or
    ModelError, cannot do the task: it is skipped, with what the method said. A text is asked
    once of a method: its answer is remembered, for many tasks ask the same texts.

    Args:
        model: any object with some of METHODS.
        batch: at most so many items are given to a method at once.

    Raises:
        ModelError: it has none of them.
    """

    def __init__(self, model: object, *, batch: int = 256) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        self.model = model
        self.can = frozenset(name for name in METHODS if callable(getattr(model, name, None)))
        self._batch = batch
        self._room = _REMEMBERED
        self._answers: dict[str, dict[str, Float[np.ndarray, " dim"]]] = {}
        if isinstance(model, type):
            raise ModelError(f"{model.__name__} is a class: give an instance, {model.__name__}()")
        if not self.can:
            raise ModelError(f"{type(model).__name__} has none of the methods {', '.join(METHODS)}")

    def require(self, needs: Sequence[Sequence[str]]) -> tuple[str, ...]:
        """Return the first set of methods that the model has.

        Raises:
            Skip: it has none of the sets whole.
        """
        for methods in needs:
            if self.can.issuperset(methods):
                return tuple(methods)
        ways = " or ".join(" and ".join(methods) for methods in needs)
        raise Skip(f"the model has no {ways}")

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "texts 52"]:
        """Return the faces of texts."""
        return self._texts("text_to_expression", texts, len(BLENDSHAPES))

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Return the embeddings of texts."""
        return self._texts("encode_text", texts)

    def encode_expression(
        self, weights: Float[np.ndarray, "faces 52"]
    ) -> Float[np.ndarray, "faces dim"]:
        """Return the embeddings of faces."""
        return self._rows("encode_expression", np.ascontiguousarray(weights, np.float32))

    def encode_image(self, images: "Sequence[Image]") -> Float[np.ndarray, "images dim"]:
        """Return the embeddings of pictures."""
        return self._rows("encode_image", list(images))

    def decode(self, embeddings: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n 52"]:
        """Return the faces of embeddings."""
        rows = np.ascontiguousarray(embeddings, np.float32)
        return self._rows("decode", rows, len(BLENDSHAPES))

    def reconstruct(self, weights: Float[np.ndarray, "faces 52"]) -> Float[np.ndarray, "faces 52"]:
        """Return faces as the model gives them again, encoded and decoded if need be."""
        if "reconstruct" not in self.can:
            return self.decode(self.encode_expression(weights))
        rows = np.ascontiguousarray(weights, np.float32)
        return self._rows("reconstruct", rows, len(BLENDSHAPES))

    def animate(
        self,
        audio: Float[np.ndarray, " samples"],
        sample_rate: int,
        prompt: str | None = None,
        strength: float = 1.0,
    ) -> tuple[Float[np.ndarray, "frames 52"], float]:
        """Return weights and their frames per second.

        Raises:
            ModelError: they are no frames of 52 finite numbers, or do not last as long as
                the speech, to 5 % or a quarter of a second.
            Skip: there is a prompt, and the model takes none.
        """
        rest = {} if prompt is None else {"prompt": prompt, "strength": strength}
        if rest and not self.takes_prompts:
            raise Skip(f"{self._where('animate')} takes no prompt")
        found = self._call("animate", np.array(audio, np.float32), sample_rate, **rest)
        frames = self._checked("animate", found, None, len(BLENDSHAPES))
        fps = getattr(self.model, "fps", None)
        if not isinstance(fps, int | float) or not (math.isfinite(fps) and fps > 0):
            raise ModelError(
                f"{type(self.model).__name__}.fps is {fps!r}, expected frames a second"
            )
        speech_s, motion_s = len(audio) / sample_rate, len(frames) / fps
        if abs(motion_s - speech_s) > max(_LENGTH_SLACK_S, _LENGTH_SLACK * speech_s):
            raise ModelError(
                f"{self._where('animate')} gave {len(frames)} frames at {fps:g} a second, "
                f"{motion_s:.2f} s, for {speech_s:.2f} s of speech"
            )
        return frames, float(fps)

    @property
    def takes_prompts(self) -> bool:
        """Whether `animate` has the argument ``prompt``."""
        try:
            known = inspect.signature(self._method("animate")).parameters
        except (TypeError, ValueError):  # of a function in C
            return True
        kinds = {parameter.kind for parameter in known.values()}
        return "prompt" in known or inspect.Parameter.VAR_KEYWORD in kinds

    def _texts(
        self, name: str, texts: Sequence[str], width: int | None = None
    ) -> Shaped[np.ndarray, "n d"]:
        """Return the answers to texts; those not yet known are asked, each once.

        Texts of like length go together, whatever the order of rows: little is padded, and a
        model whose answers depend on their neighbours still answers the same.
        """
        known = self._answers.get(name, {})
        new = sorted(set(texts).difference(known), key=lambda text: (len(text), text))
        if known:
            width = len(next(iter(known.values())))
        rows = self._rows(name, new, width)
        answers = known | dict(zip(new, rows, strict=True))
        if rows.size <= self._room:
            self._room -= rows.size
            self._answers[name] = answers
        return np.stack([answers[text] for text in texts]) if texts else rows

    def _rows(self, name: str, items: Any, width: int | None = None) -> Shaped[np.ndarray, "n d"]:
        """Return the answers to all items, asked in portions."""
        parts = []
        for start in range(0, len(items), self._batch):
            part = items[start : start + self._batch].copy()  # the model may write into it
            rows = len(part)
            parts.append(self._checked(name, self._call(name, part), rows, width))
            width = parts[0].shape[1]
        return np.concatenate(parts) if parts else np.zeros((0, width or 0), np.float32)

    def _checked(
        self, name: str, found: Any, rows: int | None, width: int | None
    ) -> Float[np.ndarray, "rows width"]:
        """Return an answer as float32, if it is a finite number each."""
        where = self._where(name)
        expected = f"({'frames' if rows is None else rows}, {'dim' if width is None else width})"
        try:
            values = np.asarray(_detached(found))
        except Exception as error:  # a ragged list
            raise ModelError(
                f"{where} returned a {type(found).__name__} that is no NumPy array "
                f"({_one_line(error)}), expected {expected}"
            ) from error
        if values.dtype.kind not in "fiu":
            told = type(found).__name__ if values.dtype.hasobject else values.dtype
            told = "None" if found is None else told
            raise ModelError(f"{where} returned {told}, expected numbers {expected}")
        fits = values.ndim == 2 and (rows is None or len(values) == rows) and values.size
        if not fits or (width is not None and values.shape[1] != width):
            raise ModelError(f"{where} returned shape {values.shape}, expected {expected}")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise ModelError(f"{where} returned NaN or infinite numbers, first in row {row}")
        return values

    def _call(self, name: str, *args: Any, **rest: Any) -> Any:
        try:
            return self._method(name)(*args, **rest)
        except (NotImplementedError, ModelError) as error:
            raise Skip(_one_line(error) or f"{self._where(name)} is not implemented") from error
        except ExpclipError:
            raise
        except (Exception, SystemExit) as error:
            raise ModelError(f"{self._where(name)} failed{failure_place(error)}: "
                             f"{type(error).__name__}: {_one_line(error)}") from error  # fmt: skip

    def _method(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self.model, name)
        return method

    def _where(self, name: str) -> str:
        return f"{type(self.model).__name__}.{name}"


def failure_place(error: BaseException) -> str:
    """Return the file and line that an error of a model's own code comes from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    own = [frame for frame in frames if not frame.filename.startswith((*_LIBRARIES, "<"))]
    last = (own or frames)[-1:]
    return "".join(f" ({frame.filename}, line {frame.lineno})" for frame in last)


def _detached(found: Any) -> Any:
    """Return a tensor as one that NumPy takes: without gradients, in memory, no bfloat16."""
    if not callable(getattr(found, "detach", None)):
        return found
    found = found.detach().cpu()
    return found.float() if found.is_floating_point() else found


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
