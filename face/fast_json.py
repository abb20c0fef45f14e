"""Reading the frames of a BEAT JSON with numba, for those who read many files.

Compiling takes seconds, as long as reading hundreds of takes. So this is used from the moment
that a process has read as much; the arrays are the same. Nothing compiled is kept on disk.
"""

from collections.abc import Callable, Sequence
from functools import cache
from inspect import unwrap
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

__all__ = ["read_numbers", "worth_compiling"]

_WORTH = 1 << 30
"""Bytes read by a process, from which on compiling pays."""
_MOST_DOUBTS = 4096
_POWERS = np.array([float(10**i) for i in range(64)])
_TENS = np.array([10**i for i in range(9)], np.uint64)

_seen = 0


def worth_compiling(size: int) -> bool:
    """Count the bytes of a file; return whether ``read_numbers`` is there, and pays."""
    global _seen
    _seen += size
    return _seen > _WORTH and _compiled() is not None


def read_numbers(
    characters: UInt8[np.ndarray, " bytes"], texts: Sequence[bytes], kept: int
) -> tuple[Float[np.ndarray, "frames numbers"], Int[np.ndarray, "frames 2"], int]:
    """Read frames that are alike, up to the first that is not, or ends near the end.

    Args:
        characters: frames, each with the comma behind it.
        texts: what stands before each number of a frame, and behind the last.
        kept: which number's place to return.

    Returns:
        The numbers in float32 (as float64, rounded again: what ``json`` gives); where those
        of one column start and stop; and where the first frame not read starts.
    """
    scan = _compiled()
    assert scan is not None  # see worth_compiling
    text = np.frombuffer(b"".join(texts), np.uint8)
    frames = len(characters) // (len(text) + len(texts) - 1) if len(characters) > 7 else 0
    numbers = np.empty((frames, len(texts) - 1), np.float32)
    places, doubts = np.empty((frames, 2), np.int64), np.empty((_MOST_DOUBTS, 4), np.int64)
    # Eight characters from anywhere, as one integer: digits are read by the eight.
    eights: np.ndarray = np.ndarray((max(len(characters) - 7, 0),), "<u8", characters, strides=(1,))
    ends = np.cumsum(list(map(len, texts)))
    count, stop, doubtful = scan(
        characters, eights, (text, ends, kept), (_POWERS, _TENS), numbers, places, doubts
    )
    with np.errstate(over="ignore"):  # as of json: too large for float32 is infinite
        for frame, column, start, end in doubts[:doubtful].tolist():
            if frame < count:
                numbers[frame, column] = float(characters[start:end].tobytes())
    return numbers[:count], places[:count], int(stop)


@cache
def _compiled() -> Callable[..., Any] | None:
    try:
        import numba
    except ImportError:
        return None
    compiled: Callable[..., Any] = numba.njit(unwrap(_scan), nogil=True, error_model="numpy")
    return compiled


def _scan(
    characters: Any, eights: Any, frame: Any, tables: Any, numbers: Any, places: Any, doubts: Any
) -> tuple[int, Any, int]:
    """Fill numbers and places; return frames read, where the next starts, and doubts.

    A number is its digits (an integer m), over a power of ten. Both are exact as float64, or
    nearly so: their quotient is wrong by less than 2**-50 of it. Where numbers that far away
    on both sides are the same float32, so is the true one; where not (one in 2**25, and
    those too long or too small), it is a doubt, which Python reads.
    """
    one, ten, eight = np.uint64(1), np.uint64(10), np.uint64(8)
    zero, point, minus, plus = np.uint8(48), np.uint8(46), np.uint8(45), np.uint8(43)

    zeros, tops = np.uint64(0x3030303030303030), np.uint64(0xF0F0F0F0F0F0F0F0)
    threes, sixes = np.uint64(0x3333333333333333), np.uint64(0x0606060606060606)
    pair, by_100, by_1 = (  # of eight digits: pairs, then fours, then all
        np.uint64(0x000000FF000000FF),
        np.uint64(0x000F424000000064),
        np.uint64(0x0000271000000001),
    )
    four, half, word_bits = np.uint64(4), np.uint64(16), np.uint64(32)
    text, ends, kept = frame
    powers, tens = tables
    last = np.uint64(max(len(characters) - 64, 0))  # none of the reads below looks further
    place = np.uint64(0)
    stop, doubtful = place, 0
    for row in range(len(numbers)):
        begin = 0
        for column in range(len(ends)):
            if place + np.uint64(ends[column] - begin) >= last:
                return row, stop, doubtful
            for i in range(begin, ends[column]):
                if characters[place] != text[i]:
                    return row, stop, doubtful
                place += one
            begin = ends[column]
            if column == len(ends) - 1:
                break
            start = place
            negative = characters[place] == minus
            if negative:
                place += one
            m, first = np.uint64(0), place
            while place < last and characters[place] - zero < 10:
                m = m * ten + np.uint64(characters[place] - zero)
                place += one
            digits = np.int64(place - first)
            if digits == 0 or (digits > 1 and characters[first] == zero):
                return row, stop, doubtful
            power = np.int64(0)
            if characters[place] == point:
                place += one
                first = place
                while place < last:
                    word = eights[place]
                    # 0 for eight digits; else its lowest bit set is in the first that is none
                    flaw = ((word & tops) | (((word + sixes) & tops) >> four)) ^ threes
                    word -= zeros
                    if flaw == 0:
                        word = word * ten + (word >> eight)
                        word = (word & pair) * by_100 + ((word >> half) & pair) * by_1
                        m = m * np.uint64(100_000_000) + (word >> word_bits)
                        place += eight
                    else:  # the digits before the flaw, of which below has all bits, move up
                        below = (flaw & (~flaw + one)) - one
                        bits = (below >> np.uint64(7)) & np.uint64(0x0101010101010101)
                        count = (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
                        word = (word << (np.uint64(56) - eight * count)) << eight
                        word = word * ten + (word >> eight)
                        word = (word & pair) * by_100 + ((word >> half) & pair) * by_1
                        m = m * tens[count] + (word >> word_bits)
                        place += count
                        break
                power = np.int64(place - first)
                if power == 0:
                    return row, stop, doubtful
                digits += power
            if characters[place] | np.uint8(32) == 101:  # e or E
                place += one
                down = characters[place] == minus
                if down or characters[place] == plus:
                    place += one
                exponent, first = np.int64(0), place
                while place < last and characters[place] - zero < 10:
                    exponent = min(
                        exponent * 10 + np.int64(characters[place] - zero), np.int64(9999)
                    )
                    place += one
                if place == first:
                    return row, stop, doubtful
                power += exponent if down else -exponent
            number = 0.0
            sure = digits <= 19 and -32 < power < 64
            if sure:
                number = float(m) / powers[power] if power >= 0 else float(m) * powers[-power]
                low, high = number * (1 - 2.0**-50), number * (1 + 2.0**-50)
                sure = np.float32(low) == np.float32(high)
            if not sure:
                if doubtful == len(doubts):
                    return row, stop, doubtful
                doubts[doubtful, 0], doubts[doubtful, 1] = row, column
                doubts[doubtful, 2], doubts[doubtful, 3] = start, place
                doubtful += 1
            numbers[row, column] = -number if negative else number
            if column == kept:
                places[row, 0], places[row, 1] = start, place
        stop = place
    return len(numbers), stop, doubtful
