"""The per-query values of a result, as a file of plain arrays beside it."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped, UInt8

from expclip.benchmarks.outcome import Outcome
from expclip.face.arrays import decode_array
from expclip.face.errors import DataError

__all__ = ["pack_outcome", "parse_outcome"]

_WORDS = ("clusters", "keys", "metrics")
_NUMBERS = ("values", "weights")


def pack_outcome(outcome: Outcome) -> bytes:
    """Return an outcome without its notes as an uncompressed .npz; equal ones, equal bytes.

    It holds ``weights`` (queries,), ``values`` (metrics, queries), and as UTF-8 the JSON lists
    of ``keys``, ``clusters`` and the names of the ``metrics``.

    Raises:
        ValueError: a key, cluster or name is no valid Unicode.
    """
    names = sorted(outcome.values)
    arrays: dict[str, Shaped[np.ndarray, "..."]] = {  # noqa: UP037
        "clusters": _encode_words(outcome.clusters),
        "keys": _encode_words(outcome.keys),
        "metrics": _encode_words(names),
        "values": np.array([outcome.values[name] for name in names], np.float64),
        "weights": np.asarray(outcome.weights, np.float64),
    }
    with io.BytesIO() as stream:
        np.savez(stream, allow_pickle=False, **arrays)
        return stream.getvalue()


def parse_outcome(packed: bytes, name: str, notes: Mapping[str, float | int | str]) -> Outcome:
    """Return the outcome that was packed; nothing is unpickled, nothing unpacked to more bytes.

    Args:
        packed: of the file.
        name: of the file, for messages.
        notes: of the outcome, which stand elsewhere.

    Raises:
        DataError: these are not the arrays of an outcome.
    """
    try:
        arrays = _read_arrays(packed)
        keys, clusters, names = (
            _decode_words(arrays[word]) for word in ("keys", "clusters", "metrics")
        )
        values = arrays["values"]
        if values.shape != (len(names), len(keys)) or len(set(names)) != len(names):
            raise DataError(
                f"values are {values.shape}, expected ({len(names)} metrics, {len(keys)} queries)"
            )
        by_name = dict(zip(names, values, strict=True))
        return Outcome(keys, clusters, arrays["weights"], by_name, dict(notes))
    except (DataError, ValueError, KeyError, OSError, EOFError, RecursionError) as error:
        raise DataError(f"{name}: {_one_line(error)}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{name}: is no .npz of a result") from error


def _read_arrays(packed: bytes) -> dict[str, Shaped[np.ndarray, "..."]]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
        names = sorted(member.filename for member in members)
        expected = [f"{name}.npy" for name in sorted(_WORDS + _NUMBERS)]
        if names != expected:
            raise DataError(f"holds {', '.join(names[:8])[:200]}, expected {', '.join(expected)}")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise DataError("is compressed, expected arrays as they are")
        if sum(member.file_size for member in members) > len(packed):
            raise DataError("holds less bytes than it says")
        return {
            member.filename.removesuffix(".npy"): decode_array(
                archive.read(member), member.filename
            )
            for member in members
        }


def _encode_words(words: Sequence[str]) -> UInt8[np.ndarray, " bytes"]:
    plain = json.dumps(list(words), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return np.frombuffer(plain, np.uint8)


def _decode_words(packed: Shaped[np.ndarray, "..."]) -> tuple[str, ...]:
    if packed.dtype != np.uint8 or packed.ndim != 1:
        raise DataError(f"words are {packed.dtype} {packed.shape}, expected UTF-8 bytes")
    words = json.loads(packed.tobytes().decode("utf-8"))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError("words are no JSON list of strings")
    return tuple(words)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
