"""JSON files that state their own hash: a changed byte is found when they are read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expclip.face.errors import DataError

__all__ = ["encode_json", "read_limited", "read_signed", "sign"]

_JSON_BYTES = 4 * 2**20


def sign(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with the SHA-256 of its canonical JSON, itself left out.

    Canonical: keys sorted, no white space, UTF-8, no NaN.

    Raises:
        ValueError: it cannot be written so.
    """
    plain = {key: value for key, value in record.items() if key != "sha256"}
    canonical = json.dumps(
        plain, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return {**plain, "sha256": hashlib.sha256(canonical.encode("utf-8")).hexdigest()}


def encode_json(record: Mapping[str, Any]) -> bytes:
    """Return a record as its file holds it: canonical, but for white space.

    Raises:
        ValueError: it cannot be written so.
    """
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=2)
    return (text + "\n").encode("utf-8")


def read_signed(path: Path) -> dict[str, Any]:
    """Read a record that states its hash.

    Raises:
        DataError: it is none, or a byte of it was changed.
    """
    content = read_limited(path, _JSON_BYTES)
    try:
        record = json.loads(content.decode("utf-8"))
        if not isinstance(record, dict):
            raise DataError(f"{path}: is no JSON object")
        same = sign(record)["sha256"] == record.get("sha256") and encode_json(record) == content
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: is no JSON as it is written: {reason}") from error
    if not same:
        raise DataError(f"{path}: was changed: its SHA-256 is not the one it states")
    return record


def read_limited(path: Path, most: int) -> bytes:
    """Return the content of a file that nobody vouches for.

    Raises:
        DataError: there is none, it cannot be read, or it has more than ``most`` bytes.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise DataError(f"{path}: is larger than {most:,} bytes")
    return content
