"""Fast reading of BEAT JSON whose frames are spelled alike.

Programs write one frame like the next: the same keys, in the same order, with the same
white space; only the numbers differ. The text around the numbers of one frame is then a
template. The frames that match it byte for byte are decoded together; the few others (the
first, the last) and all that is no frame go through ``json``.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from expclip.face.fast_json import read_numbers, worth_compiling

__all__ = ["EvenFrames", "decode_even_frames"]

_FRAMES = b'"frames"'
_OPENING = re.compile(rb"\s*:\s*\[")
_COMMA = re.compile(rb"\s*,")
_TOKEN = re.compile(rb"((?:.*[:\[])?\s*)(-?[0-9][-+.0-9eE]*)?([\s\]}]*)", re.DOTALL)
_FEWEST = 16
"""Frames; json alone reads fewer as fast."""
_BLOCK = 1 << 22
"""Bytes read at once; of longer files, several such."""
_PIECE = 1 << 17
"""Bytes searched for commas at once."""
_MOST_REST = 1 << 20
"""Bytes behind the frames that match; with more, json reads the whole file."""

_Places = Int[np.ndarray, "frames tokens"]
_Characters = UInt8[np.ndarray, " bytes"]


@dataclass(frozen=True, slots=True)
class EvenFrames:
    """A BEAT JSON, most of its frames taken out of the document.

    Attributes:
        document: the file, of whose frames it has the first and those at the end.
        weights: of the frames between these.
        times_s: likewise; None where they have none.
    """

    document: dict[str, Any]
    weights: Float[np.ndarray, "frames channels"]
    times_s: Float[np.ndarray, " frames"] | None


@dataclass(frozen=True, slots=True)
class _Template:
    """A frame cut at its commas into tokens: what stands around the number of each."""

    before: Int[np.ndarray, " tokens"]  # how many characters
    after: Int[np.ndarray, " tokens"]
    has_number: Bool[np.ndarray, " tokens"]
    checks: tuple["_Check", ...]
    weights: slice  # the tokens that are weights
    time: int | None
    texts: tuple[bytes, ...]  # before each number, and behind the last


@dataclass(frozen=True, slots=True)
class _Check:
    """A character that some tokens must have, so far from their start, or back from their stop."""

    tokens: slice | list[bool]
    at_start: bool
    offset: int
    character: int


def decode_even_frames(data: bytes) -> EvenFrames | None:
    """Decode a BEAT JSON; None if its frames are not alike, or it is no such file.

    The numbers are those that ``json`` gives, bit for bit, the weights in float32. Spellings
    that only JSON forbids (".5", "01") pass.
    """
    ends = _frame_ends(data)
    template = _template(data[slice(*ends)]) if ends else None
    if ends is None or template is None:
        return None
    characters, stop = np.frombuffer(data, np.uint8), ends[0]
    read = _read_compiled if worth_compiling(len(data)) else _read_alike
    blocks = []
    while found := read(characters[stop : stop + _BLOCK], template):
        blocks.append(found[:2])
        stop += found[2]
    rest = data[stop:]
    outside = data[: ends[0]] + rest
    if sum(len(times) for _, times in blocks) < _FEWEST or len(rest) > _MOST_REST:
        return None
    if outside.count(_FRAMES) > 1 or b"\\" in outside:
        return None
    document = _document(outside)
    if document is None:
        return None
    weights, times = blocks[0]
    if len(blocks) > 1:
        weights, times = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return EvenFrames(document, weights, None if template.time is None else times)


def _read_alike(
    characters: _Characters, template: _Template
) -> tuple[Float[np.ndarray, "frames channels"], Float[np.ndarray, " frames"], int] | None:
    """Read weights and times of frames that match, and where the first that does not starts."""
    commas = _commas(characters)
    width = len(template.before)
    stops = commas[: len(commas) // width * width].reshape(-1, width)
    if not len(stops):
        return None
    starts = np.roll(stops, 1)
    starts += 1
    starts[0, 0] = 0
    rows = _count_alike(characters, starts, stops, template)
    values = _numbers(characters, starts[:rows], stops[:rows], template) if rows else None
    if values is None:
        return None
    with np.errstate(over="ignore"):  # as of json: too large for float32 is infinite
        weights = values[:, template.weights].astype(np.float32)
    return weights, values[:, template.time or 0], int(stops[rows - 1, -1]) + 1


def _read_compiled(
    characters: _Characters, template: _Template
) -> tuple[Float[np.ndarray, "frames channels"], Float[np.ndarray, " frames"], int] | None:
    """Read the same as ``_read_alike``, in a third of the time."""
    token = template.weights.start if template.time is None else template.time
    before = np.cumsum(template.has_number) - 1  # numbers before each token
    numbers, places, stop = read_numbers(characters, template.texts, int(before[token]))
    if not len(numbers):
        return None
    times = _parse_numbers(characters, places[:, None].astype(np.int32), np.ones(1, np.bool_))
    if times is None:
        return None
    first = before[template.weights.start]
    count = template.weights.stop - template.weights.start
    return numbers[:, first : first + count], times[:, 0], stop


def _commas(characters: _Characters) -> Int[np.ndarray, " commas"]:
    """Return where the commas are; a piece at a time, for fresh memory costs more than looking."""
    places, found = [], np.empty(_PIECE, np.bool_)
    for start in range(0, len(characters), _PIECE):
        piece = characters[start : start + _PIECE]
        here = np.flatnonzero(np.equal(piece, ord(","), out=found[: len(piece)]))
        places.append((here + start).astype(np.int32))
    return np.concatenate(places) if places else np.empty(0, np.int32)


def _frame_ends(data: bytes) -> tuple[int, int] | None:
    """Return the end of the comma behind the first frame, and the next such comma."""
    key = data.find(_FRAMES)
    opening = _OPENING.match(data, key + len(_FRAMES))
    if key < 0 or opening is None:
        return None
    first = _COMMA.match(data, data.find(b"}", opening.end()) + 1)
    second = _COMMA.match(data, data.find(b"}", first.end()) + 1) if first else None
    if first is None or second is None or second.end() < first.end():
        return None
    return first.end(), second.end() - 1


def _template(frame: bytes) -> _Template | None:
    """Cut a frame into tokens, and find out from ``json`` what each number is."""
    tokens = [_TOKEN.fullmatch(token) for token in frame.split(b",")]
    matches = [token for token in tokens if token]
    if len(matches) != len(tokens):
        return None
    before, numbers, after = zip(*(match.groups() for match in matches), strict=True)
    places = [b"" if number is None else b"%d" % i for i, number in enumerate(numbers)]
    numbered = b",".join(map(b"".join, zip(before, places, after, strict=True)))
    try:
        found = json.loads(numbered)
    except (ValueError, RecursionError):
        return None
    weights, time = found.get("weights"), found.get("time")
    if not isinstance(weights, list) or not weights or not (time is None or type(time) is int):
        return None
    if weights != list(range(len(numbers)))[weights[0] :][: len(weights)]:
        return None
    return _Template(
        np.array(list(map(len, before)), np.int32),
        np.array(list(map(len, after)), np.int32),
        np.array([number is not None for number in numbers]),
        (*_checks(before, True), *_checks(after, False)),
        slice(weights[0], weights[0] + len(weights)),
        time,
        _texts(before, numbers, after),
    )


def _texts(
    before: Sequence[bytes], numbers: Sequence[bytes | None], after: Sequence[bytes]
) -> tuple[bytes, ...]:
    """Return what stands before each number of a frame, and behind the last."""
    texts = [b""]
    for start, number, end in zip(before, numbers, after, strict=True):
        texts[-1] += start
        if number is not None:
            texts.append(b"")
        texts[-1] += end + b","
    return tuple(texts)


def _checks(texts: Sequence[bytes], at_start: bool) -> Iterator[_Check]:
    for text in set(texts):
        tokens = [other == text for other in texts]
        first, count = tokens.index(True), sum(tokens)
        together = all(tokens[first : first + count])  # numpy then copies nothing
        for offset, character in enumerate(text):
            place = offset if at_start else offset - len(text)
            yield _Check(
                slice(first, first + count) if together else tokens, at_start, place, character
            )


def _count_alike(
    characters: _Characters, starts: _Places, stops: _Places, template: _Template
) -> int:
    """Return how many frames match the template, up to the first that does not.

    No piece of the template has a comma, so none reaches from one token into the next.
    """
    fixed = ~template.has_number
    length = (template.before + template.after)[fixed]
    same = (stops[:, fixed] - starts[:, fixed] == length).all(axis=1)
    for check in template.checks:
        places = (starts if check.at_start else stops)[:, check.tokens]
        places = places + check.offset if check.offset else places
        found = characters.take(places, mode="clip") == check.character
        if not found.all():  # nearly always, all are
            same &= found.all(axis=1)
    return len(same) if same.all() else int(same.argmin())


def _numbers(
    characters: _Characters, starts: _Places, stops: _Places, template: _Template
) -> Float[np.ndarray, "frames tokens"] | None:
    """Return the numbers of all tokens (of those without one: anything)."""
    ends = np.empty((*starts.shape, 2), np.int32)
    np.add(starts, template.before, out=ends[..., 0])
    np.subtract(stops, template.after, out=ends[..., 1])
    return _parse_numbers(characters, ends, template.has_number)


def _parse_numbers(
    characters: _Characters,
    ends: Int[np.ndarray, "frames tokens 2"],
    has_number: Bool[np.ndarray, " tokens"],
) -> Float[np.ndarray, "frames tokens"] | None:
    """Return the numbers between their ends; None if one is none."""
    import pyarrow as pa

    if (ends[..., 1] < ends[..., 0]).any():
        return None
    # The file itself serves as an Arrow array of texts: number, null, number, null...
    valid = np.zeros(ends.shape, np.bool_)
    valid[..., 0] = has_number
    buffers = [np.packbits(valid, bitorder="little"), ends, characters]
    texts = pa.Array.from_buffers(pa.string(), ends.size - 1, list(map(pa.py_buffer, buffers)))
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    flat: np.ndarray = np.frombuffer(numbers.buffers()[1], np.float64, ends.size - 1)[::2]
    return flat.reshape(ends.shape[:2])


def _document(text: bytes) -> dict[str, Any] | None:
    """Return what is left of the file, if the frames are where they belong."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    frames = document.get("frames") if isinstance(document, dict) else None
    return document if isinstance(frames, list) and len(frames) > 1 else None
