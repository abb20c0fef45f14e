"""Fixtures that all tests share: the two stand-in servers, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from servers.hub import HubServer
    from servers.llm import LlmServer

# Read by huggingface_hub when it is first imported. The stand-in Hub speaks Git LFS, not Xet.
os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1")
# A proxy, where there is one, does not lead to servers on loopback.
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1,localhost")))

# The same examples each time: whether `make test` passes depends on the code alone. New ones
# are sought by `make fuzz`; what it finds becomes an @example.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")


@pytest.fixture
def llm_server() -> Iterator[Callable[..., LlmServer]]:
    """Start language models: ``llm_server(latency_s=0.05, rate_429=0.1)``."""
    from servers.llm import LlmServer

    with ExitStack() as stack:

        def start(**faults: Any) -> LlmServer:
            return stack.enter_context(LlmServer(**faults))

        yield start


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Callable[..., HubServer]]:
    """Start Hubs: ``hub()`` with an empty one, ``hub(root)`` with one whose state lies there."""
    from servers.hub import HubServer

    with ExitStack() as stack:

        def start(root: Path | None = None, **options: Any) -> HubServer:
            return stack.enter_context(HubServer(root or tmp_path / "hub", **options))

        yield start
