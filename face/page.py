"""Pages that are one file: templates with holes, what they embed, and what a policy allows."""

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping

__all__ = ["compress", "fill_holes", "hash_source"]


def fill_holes(template: str, holes: Mapping[str, str]) -> str:
    """Return the template with its {{holes}} filled, once: what fills them is not read."""
    return re.sub(r"\{\{(\w+)\}\}", lambda hole: holes[hole[1]], template)


def hash_source(source: str) -> str:
    """Return by what name a Content-Security-Policy allows this one script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def compress(content: bytes) -> str:
    """Return bytes as gzip in base64, the same text for the same bytes."""
    return base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()
