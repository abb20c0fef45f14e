"""What else may change a number: versions, the code that measures, the platform."""

import hashlib
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["describe_environment", "hash_code"]

_PACKAGES = ("expclip", "numpy", "torch")


def describe_environment() -> dict[str, str]:
    """Return it by name; nothing is imported for it, and the machine is not named."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return {
        **found,
        "code_sha256": hash_code(),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
    }


@cache
def hash_code() -> str:
    """Return a hash of the code that measures, which needs no git."""
    here = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted((*here.glob("*.py"), *here.glob("metrics/*.py"), *here.glob("tasks/*.py"))):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(here).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
