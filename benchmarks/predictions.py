"""Saved answers, scored without the model: what was asked, and the file of what came out.

    expclip bench inputs --data out/tead --out out/inputs     # what the tasks ask
    expclip bench score answers.npz --data out/tead           # no model needed

`inputs.jsonl` has a line for each thing that is asked: its kind, its id, and the thing. The
npz has two arrays a method, and nothing in it is ever unpickled:

METHOD.ids       (n,) strings: ids of the inputs
METHOD.values    (n, width) numbers; of `animate`, the frames of all clips, one after the other
animate.frames   (n,) whole numbers: how many frames each clip has
animate.fps      one number
name             one string: what the model is called; may be missing

text    ->  encode_text, text_to_expression        face    ->  encode_expression, reconstruct
image   ->  encode_image                           speech  ->  animate

All that a task asks must be answered; what no task asks may be there. `write_predictions`
writes such a file, and so does NumPy:

    np.savez(
        "answers.npz",
        **{"text_to_expression.ids": np.array(ids), "text_to_expression.values": weights},
    )
"""

import io
import json
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from expclip.benchmarks.answers import Answers, face_id, image_id, speech_id, text_id
from expclip.benchmarks.protocols import Asked, Skip
from expclip.benchmarks.results.fields import check_words
from expclip.benchmarks.results.folder import make_folder, write_file
from expclip.benchmarks.tasks.task import Task
from expclip.face import BLENDSHAPES
from expclip.face.arrays import decode_array
from expclip.face.errors import DataError
from expclip.face.files import hash_file, write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SAVED_METHODS", "read_predictions", "write_inputs", "write_predictions"]

SAVED_METHODS = (
    "text_to_expression",
    "encode_text",
    "encode_expression",
    "encode_image",
    "reconstruct",
    "animate",
)
"""Methods whose answers can be saved: `decode` is asked of embeddings that nobody foresees."""

_FACES = ("text_to_expression", "reconstruct", "animate")
_MOST_BYTES = 2 << 30
_MOST_ROWS = 5_000_000
_LONGEST_ID = 64
_HEADER = 128  # bytes, where NumPy names the type


def read_predictions(path: str | Path, *, max_bytes: int = _MOST_BYTES) -> Answers:
    """Return saved answers, as a model that has them.

    Args:
        path: the npz.
        max_bytes: what all arrays may have, unpacked.

    Raises:
        DataError: the file is no such npz: objects, wrong shapes, NaN, doubled ids, more
            than max_bytes, or than there is memory; the message is one line.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _arrays(archive, max_bytes)
        tables = {name: _table(arrays, name) for name in SAVED_METHODS if f"{name}.ids" in arrays}
        _check_known(arrays, tables)
        name = arrays.get("name", np.array(path.stem))
        if name.dtype.kind != "U" or name.ndim or not 0 < len(str(name)) <= _LONGEST_ID:
            raise DataError(f"name is {name.dtype} {name.shape}, expected one short string")
        shown = check_words(str(name), "name")
        return Answers(tables, name=shown, fps=_fps(arrays), sha256=hash_file(path))
    except (DataError, ValueError) as error:
        raise DataError(f"{path}: {_one_line(error)}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise DataError(f"{path}: its arrays need more memory than there is") from None
    except Exception as error:  # zipfile and numpy raise anything on broken bytes
        told = _one_line(error) or type(error).__name__
        raise DataError(f"{path}: {told}; expected an npz of saved answers") from None


def write_predictions(
    path: str | Path,
    answers: Mapping[str, tuple[Sequence[str], Shaped[np.ndarray, "n width"]]],
    *,
    name: str | None = None,
    motions: tuple[Sequence[str], Sequence[Float[np.ndarray, "frames 52"]], float] | None = None,
) -> None:
    """Write answers as `read_predictions` reads them.

    Args:
        path: the npz.
        answers: method -> ids and rows.
        name: what the model is called.
        motions: ids, frames of each clip, and frames a second, of `animate`.

    Raises:
        DataError: the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    for method, (ids, rows) in answers.items():
        arrays |= {f"{method}.ids": np.array(list(ids)), f"{method}.values": np.asarray(rows)}
    if motions is not None:
        ids, clips, fps = motions
        arrays["animate.ids"] = np.array(list(ids))
        arrays["animate.values"] = np.concatenate(list(clips))
        arrays["animate.frames"] = np.array([len(clip) for clip in clips], np.int64)
        arrays["animate.fps"] = np.array(float(fps))
    if name is not None:
        arrays["name"] = np.array(name)
    with write_atomically(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def _arrays(archive: zipfile.ZipFile, max_bytes: int) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the arrays of an npz; sizes are known before anything is unpacked."""
    members = archive.infolist()
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) != len(names) or len(names) > 4 * len(SAVED_METHODS):
        raise DataError(f"{len(names)} arrays, expected two a method, each once")
    if (total := sum(member.file_size for member in members)) > max_bytes:
        raise DataError(f"{total:,} bytes of arrays, expected at most {max_bytes:,}")
    arrays = {}
    for name, member in zip(names, members, strict=True):
        with archive.open(member) as stream:
            packed = stream.read(member.file_size + 1)
        if b"'descr': '|O'" in packed[:_HEADER]:
            raise DataError(
                f"{name[:_LONGEST_ID]} has Python objects, which are never unpickled: "
                "expected np.array(ids, str), or numbers"
            )
        arrays[name] = decode_array(packed, name)
    return arrays


def _table(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], method: str
) -> Mapping[str, Shaped[np.ndarray, "..."]]:
    """Return the answers of a method by id."""
    ids, values = arrays[f"{method}.ids"], arrays.get(f"{method}.values")
    if values is None:
        raise DataError(f"{method}.ids has no {method}.values beside it")
    if ids.dtype.kind != "U" or ids.ndim != 1 or not 0 < len(ids) <= _MOST_ROWS:
        raise DataError(f"{method}.ids is {ids.dtype} {ids.shape}, expected (n,) strings, n from 1")
    names = [str(one) for one in ids]
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(f"{method}.ids has {twice[:_LONGEST_ID]!r} twice")
    expected = f"real numbers {'(n, 52)' if method in _FACES else '(n, width)'}"
    if values.dtype.kind not in "fiu" or values.ndim != 2 or not values.shape[1]:
        raise DataError(f"{method}.values is {values.dtype} {values.shape}, expected {expected}")
    if method in _FACES and values.shape[1] != len(BLENDSHAPES):
        raise DataError(f"{method}.values is {values.dtype} {values.shape}, expected {expected}")
    with np.errstate(over="ignore"):
        rows = values.astype(np.float32)
    if not np.isfinite(rows).all():
        row = int(np.argwhere(~np.isfinite(rows))[0, 0])
        raise DataError(f"{method}.values: row {row} has NaN or infinite numbers")
    if method == "animate":
        return dict(zip(names, _clips(arrays, rows, len(names)), strict=True))
    if len(rows) != len(names):
        raise DataError(f"{method}: {len(names)} ids and {len(rows)} rows, expected as many")
    return dict(zip(names, rows, strict=True))


def _clips(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    rows: Float[np.ndarray, "frames 52"],
    count: int,
) -> list[Float[np.ndarray, "frames 52"]]:
    frames = arrays.get("animate.frames")
    if frames is None or frames.dtype.kind not in "iu" or frames.shape != (count,):
        raise DataError(f"animate.frames is missing, or not ({count},) whole numbers")
    if (frames < 1).any() or sum(frames.tolist()) != len(rows):
        raise DataError(f"animate.frames do not sum to the {len(rows)} frames of animate.values")
    return np.split(rows, np.cumsum(frames)[:-1])


def _check_known(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    tables: Mapping[str, Mapping[str, Shaped[np.ndarray, "..."]]],
) -> None:
    known = {"name", "animate.frames", "animate.fps"}
    known |= {f"{method}.{part}" for method in tables for part in ("ids", "values")}
    strange = sorted(set(arrays) - known)
    method, _, part = strange[0].partition(".") if strange else ("", "", "")
    if part == "values" and method in SAVED_METHODS:
        raise DataError(f"{method}.values has no {method}.ids beside it")
    if strange:
        raise DataError(
            f"array {strange[0][:_LONGEST_ID]!r}, expected METHOD.ids and METHOD.values, METHOD "
            f"one of {', '.join(SAVED_METHODS)}"
        )
    if not tables:
        raise DataError("no METHOD.ids in it")


def _fps(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> float:
    if "animate.ids" not in arrays:
        return 15.0
    fps = arrays.get("animate.fps")
    if fps is None or fps.dtype.kind not in "fiu" or fps.size != 1:
        raise DataError("animate.fps is missing, or not one number")
    rate = float(fps.reshape(-1)[0])
    if not 1 <= rate <= 1000:
        raise DataError(f"animate.fps is {rate:g}, expected 1 to 1000")
    return rate


def write_inputs(folder: str | Path, tasks: Sequence[Task]) -> dict[str, int]:
    """Write all that some tasks ask, and return how many of each kind.

    Writes ``inputs.jsonl``, and beside it pictures (PNG) and speech (WAV of float32).

    Raises:
        DataError: the folder cannot be written.
    """
    folder, asked = Path(folder), _Recorder()
    for task in tasks:
        try:
            task.measure(Asked(asked))
        except Skip:
            continue
    lines: list[dict[str, Any]] = []
    lines += [{"kind": "text", "id": key, "text": text} for key, text in asked.texts.items()]
    lines += [
        {"kind": "face", "id": key, "weights": [float(str(value)) for value in row]}
        for key, row in asked.faces.items()
    ]
    lines += _write_images(folder, asked)
    lines += _write_speech(folder, asked)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    _write(folder / "inputs.jsonl", text.encode())
    return dict(Counter(line["kind"] for line in lines))


def _write_images(folder: Path, asked: "_Recorder") -> Iterator[dict[str, Any]]:
    for key, image in asked.images.items():
        with io.BytesIO() as content:
            image.save(content, "PNG")
            _write(folder / "images" / f"{key}.png", content.getvalue())
        yield {"kind": "image", "id": key, "file": f"images/{key}.png"}


def _write_speech(folder: Path, asked: "_Recorder") -> Iterator[dict[str, Any]]:
    for key, (audio, rate, prompt, strength) in asked.speech.items():
        sound = f"speech/{face_id(audio)}.wav"
        if not (folder / sound).exists():
            _write(folder / sound, _wav(audio, rate))
        more = {} if prompt is None else {"prompt": prompt, "strength": strength}
        yield {"kind": "speech", "id": key, "file": sound, "sample_rate": rate} | more


def _write(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    write_file(path, content)


class _Recorder:
    """Notes what it is asked; its answers are of the right shape."""

    fps = 15.0

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.faces: dict[str, Float[np.ndarray, " 52"]] = {}
        self.images: dict[str, Image] = {}
        self.speech: dict[str, tuple[Float[np.ndarray, " n"], int, str | None, float]] = {}

    def text_to_expression(self, texts: Sequence[str]) -> Float[np.ndarray, "n 52"]:
        self.texts |= {text_id(text): text for text in texts}
        return np.zeros((len(texts), len(BLENDSHAPES)))

    def encode_text(self, texts: Sequence[str]) -> Float[np.ndarray, "n 1"]:
        self.texts |= {text_id(text): text for text in texts}
        return np.ones((len(texts), 1))

    def encode_expression(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 1"]:
        self.faces |= {face_id(row): row for row in weights}
        return np.ones((len(weights), 1))

    def reconstruct(self, weights: Float[np.ndarray, "n 52"]) -> Float[np.ndarray, "n 52"]:
        self.faces |= {face_id(row): row for row in weights}
        return weights

    def encode_image(self, images: "Sequence[Image]") -> Float[np.ndarray, "n 1"]:
        self.images |= {image_id(image): image for image in images}
        return np.ones((len(images), 1))

    def animate(
        self,
        audio: Float[np.ndarray, " samples"],
        sample_rate: int,
        prompt: str | None = None,
        strength: float = 1.0,
    ) -> Float[np.ndarray, "frames 52"]:
        key = speech_id(audio, sample_rate, prompt, strength)
        self.speech[key] = (audio, sample_rate, prompt, strength)
        return np.zeros((max(1, round(len(audio) / sample_rate * self.fps)), len(BLENDSHAPES)))


def _wav(audio: Float[np.ndarray, " samples"], rate: int) -> bytes:
    """Return a WAV file of float32: the samples exactly as the tasks have them."""
    data = np.ascontiguousarray(audio, "<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, rate, rate * 4, 4, 32)
    head = (
        b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data))
    )
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
