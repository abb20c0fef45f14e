"""A server of this folder, running in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["ServerProcess", "exit_when_stdin_closes"]

_TESTS = Path(__file__).resolve().parents[1]
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerProcess:
    """Runs ``python -m MODULE`` until closed; ``url`` is where it listens.

    The child prints "listening on URL" first, and ends when its standard input
    closes: so it never outlives this process, however that one dies.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--until-stdin-closes", *arguments],
            cwd=_TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            self.close()
            raise RuntimeError(
                f"{module} did not start: it printed {line!r}, not 'listening on ...'"
            )
        self.url = line.removeprefix("listening on ").strip()

    def close(self) -> None:
        """Kill the server at once; a second call does nothing."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def get(self, path: str) -> Any:
        """Return what the server answers to a GET, parsed."""
        with _DIRECT.open(self.url + path, timeout=10) as reply:
            return json.load(reply)

    def post(self, path: str, content: object = None) -> Any:
        """Return what the server answers to a POST of JSON, parsed."""
        request = urllib.request.Request(self.url + path, data=json.dumps(content).encode())
        with _DIRECT.open(request, timeout=10) as reply:
            return json.load(reply)


def exit_when_stdin_closes() -> None:
    """End this process as soon as its parent closes the pipe, or dies."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
