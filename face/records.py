"""JSON objects that a run leaves beside its work, read again by the next."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["describe_difference", "read_record"]


def read_record(path: Path) -> dict[str, Any]:
    """Return a JSON object of ours, or an empty one where there is none."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def describe_difference(before: Any, now: Any) -> str:
    """Return in words what differs; of records, their first differing field."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{before!r}, now it is {now!r}"
    name = next(key for key in (*now, *before) if before.get(key) != now.get(key))
    if isinstance(before.get(name), dict) and isinstance(now.get(name), dict):
        return describe_difference(before[name], now[name])
    return f"{name} {before.get(name)!r}, now it is {now.get(name)!r}"
