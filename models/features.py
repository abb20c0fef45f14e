"""Features of frozen encoders on disk: computed once, so that an epoch costs the heads alone."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float16

from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.models.encoders import ImageEncoder, TextEncoder

if TYPE_CHECKING:
    from PIL.Image import Image as PictureFile

__all__ = ["FeatureCache", "Progress"]

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Called with what is done, how much of it, of how much, and figures to show."""

_SEGMENT = 1024
"""Items that are encoded, and written, in one go: what a kill may cost."""

_KEY_BYTES = 16


class FeatureCache:
    """Features by the content of encoder and item: the same text is encoded once, ever.

    Kept as float16, a relative error of 5e-4; what comes from the disk and what was just
    encoded are the same numbers.

    Args:
        folder: where they are kept; by default in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._folder = folder or home / "expclip" / "features"

    def encode_texts(
        self, encoder: TextEncoder, texts: Sequence[str], progress: Progress | None = None
    ) -> Float[np.ndarray, "texts features"]:
        """Return the features of texts; the short ones are encoded first, with their like.

        Raises:
            DataError: the folder cannot be written.
        """
        store = _Store(self._folder / f"text-{encoder.sha256[:32]}", encoder.features)
        keys = [_key(text.encode("utf-8", "surrogatepass")) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in store}
        todo = sorted(missing.items(), key=lambda item: (len(item[1]), item[1]))
        total = len(set(keys))
        for start in range(0, len(todo), _SEGMENT):
            part = todo[start : start + _SEGMENT]
            _tell(progress, "encoding texts", total - len(todo) + start, total)
            store.add([key for key, _ in part], encoder.encode_text([text for _, text in part]))
        _tell(progress, "encoding texts", total, total)
        return store.take(keys)

    def encode_images(
        self,
        encoder: ImageEncoder,
        batches: Iterable[Sequence[bytes]],
        total: int,
        progress: Progress | None = None,
    ) -> Float[np.ndarray, "images features"]:
        """Return the features of picture files, read batch by batch.

        Raises:
            DataError: a picture cannot be read; the folder cannot be written.
        """
        store = _Store(self._folder / f"image-{encoder.sha256[:32]}", encoder.features)
        keys: list[bytes] = []
        for batch in batches:
            _tell(progress, "encoding images", len(keys), total)
            named = {_key(content): content for content in batch}
            new = {key: content for key, content in named.items() if key not in store}
            if new:
                pictures = [_open(content) for content in new.values()]
                store.add(list(new), encoder.encode_image(pictures))
            keys += map(_key, batch)
        _tell(progress, "encoding images", len(keys), total)
        return store.take(keys)


class _Store:
    """Segments of one encoder: keys and features, each a file that never changes."""

    def __init__(self, folder: Path, features: int) -> None:
        self._folder, self._features = folder, features
        self._rows: dict[bytes, int] = {}
        self._blocks: list[Float16[np.ndarray, "items features"]] = []
        for path in sorted(folder.glob("*.safetensors")):
            found = _read_segment(path, features)
            if found:
                self._note(*found)

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def add(self, keys: Sequence[bytes], features: Float[np.ndarray, "items features"]) -> None:
        from safetensors.numpy import save

        block = features.astype(np.float16)
        names = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY_BYTES)
        path = self._folder / f"{_key(names.tobytes()).hex()}.safetensors"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self._folder}: cannot be made: {error.strerror}") from None
        with write_atomically(path) as temporary:
            temporary.write_bytes(save({"keys": names, "features": block}))
        self._note(list(keys), block)

    def take(self, keys: Sequence[bytes]) -> Float[np.ndarray, "items features"]:
        if not keys:
            return np.zeros((0, self._features), np.float32)
        rows = [self._rows[key] for key in keys]
        return np.concatenate(self._blocks)[rows].astype(np.float32)

    def _note(self, keys: Sequence[bytes], block: Float16[np.ndarray, "items features"]) -> None:
        first = sum(map(len, self._blocks))
        for row, key in enumerate(keys):
            self._rows.setdefault(key, first + row)
        self._blocks.append(block)


def _read_segment(
    path: Path, features: int
) -> "tuple[list[bytes], Float16[np.ndarray, 'items features']] | None":
    """Return keys and features of a segment; None where the file is no such thing."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(path.read_bytes())
        keys, block = found["keys"], found["features"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    sound = keys.dtype == np.uint8 and block.dtype == np.float16 and keys.ndim == block.ndim == 2
    if not sound or keys.shape != (len(block), _KEY_BYTES) or block.shape[1] != features:
        return None
    return [row.tobytes() for row in keys], block


def _key(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_KEY_BYTES).digest()


def _open(content: bytes) -> "PictureFile":
    from PIL import Image

    try:
        return Image.open(io.BytesIO(content))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"a picture cannot be read: {' '.join(str(error).split())}") from None


def _tell(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress:
        progress(what, done, total, {})
