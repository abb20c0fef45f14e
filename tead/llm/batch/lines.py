"""The lines of batch files: requests as they are sent, answers as they come back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from expclip.face.errors import DataError

__all__ = ["Line", "read_lines", "request_line", "scratch_file"]

_ENDPOINT = "/v1/chat/completions"
_LARGEST_LINE = 1_100_000
_NAMED = re.compile(rb'"custom_id"\s*:\s*"([0-9a-f]{64})"')
_KEY = re.compile(r"[0-9a-f]{64}")
_ENDS_OF_LINE = ("\x85", "\u2028", "\u2029")
"""Ends of a line to some readers, though not to JSON."""


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one request of a batch.

    Attributes:
        key: of the request.
        status: HTTP status of the answer; None if the request was never run.
        body: of the answer, or why there is none, as JSON; what does not parse as it came.
    """

    key: bytes
    status: int | None
    body: bytes


def request_line(key: bytes, body: Mapping[str, Any]) -> bytes:
    """Return the line that asks for an answer to ``body`` under the name of its key."""
    asked = {"custom_id": key.hex(), "method": "POST", "url": _ENDPOINT, "body": body}
    text = json.dumps(asked, ensure_ascii=False)
    for end in _ENDS_OF_LINE:
        text = text.replace(end, f"\\u{ord(end):04x}")
    return text.encode("utf-8", "replace") + b"\n"


def read_lines(file: IO[bytes]) -> Iterator[Line | None]:
    """Yield the lines of an output or error file, None for those that say nothing to us."""
    file.seek(0)
    while raw := file.readline(_LARGEST_LINE):
        rest = raw
        while len(rest) == _LARGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(_LARGEST_LINE)
        if raw.strip():
            yield _parse_line(raw)


def _parse_line(raw: bytes) -> Line | None:
    try:
        document = json.loads(raw)
        if not isinstance(document, dict) or not _KEY.fullmatch(document["custom_id"]):
            return None
        key = bytes.fromhex(document["custom_id"])
        response = document.get("response")
        if response is None:
            return Line(key, None, json.dumps(document.get("error")).encode())
        status, body = response["status_code"], json.dumps(response["body"]).encode()
    except (KeyError, TypeError):
        return None
    except (ValueError, RecursionError):
        # It cannot be read, but it was answered, and paid: an answer that is no JSON.
        named = _NAMED.search(raw[:4096])
        return named and Line(bytes.fromhex(named[1].decode()), 200, raw)
    return Line(key, status, body) if type(status) is int and 100 <= status < 600 else None


@contextmanager
def scratch_file(folder: Path) -> Iterator[IO[bytes]]:
    """Give a file without a name, gone when the block or the process ends.

    Raises:
        DataError: it cannot be made or written.
    """
    try:
        with TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from None
