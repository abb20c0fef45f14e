"""NumPy arrays from files that nobody vouches for."""

import io
import math

import numpy as np
from jaxtyping import Shaped

from expclip.face.errors import DataError

__all__ = ["decode_array"]


def decode_array(packed: bytes, name: str) -> Shaped[np.ndarray, "..."]:
    """Return the array of a .npy file; nothing is unpickled.

    Its header is read first, so that it takes no more memory than its bytes.

    Raises:
        DataError: it holds objects, or its bytes are not those of its shape.
        ValueError: it is no .npy file.
    """
    with io.BytesIO(packed) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(packed) - stream.tell():
            raise DataError(f"{name} is {dtype} {shape}, expected plain numbers in as many bytes")
        stream.seek(0)
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
