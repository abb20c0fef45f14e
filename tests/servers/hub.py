"""A stand-in Hugging Face Hub on loopback, for ``huggingface_hub`` and ``datasets``.

Routes are named by their handlers: ``stats()`` counts by these names, ``fail()`` takes one.
Files go by Git LFS: the clients' Xet is off in ``env()``, it has a protocol of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, Self

from aiohttp import web

from servers.hub_access import READ_TOKEN, TOKEN
from servers.hub_reading import Reading
from servers.hub_store import HubError, HubStore
from servers.hub_writing import Writing
from servers.process import ServerProcess, exit_when_stdin_closes

__all__ = ["HubServer"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FaultKind = Literal["500", "503", "429", "cut", "cut_after"]


class _Hub:
    """The routes, the counts of what came in by them, and the faults on order."""

    def __init__(self, root: Path, page_size: int, part_bytes: int) -> None:
        store = HubStore(root)
        self._reading = Reading(store, page_size)
        self._writing = Writing(store, part_bytes)
        self._counts: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._faults: dict[tuple[str, int], dict[str, Any]] = {}

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._watch], client_max_size=2**30)
        app.add_routes([*self._api_routes(), *self._file_routes()])
        app.router.add_get("/_stats", self._stats)
        app.router.add_post("/_fail", self._fail)
        app.router.add_post("/_reset", self._reset)
        return app

    def _api_routes(self) -> list[web.RouteDef]:
        reading, writing = self._reading, self._writing
        repo = "/api/{kind:models|datasets|spaces}/{owner}/{name}"
        return [
            web.get("/api/whoami-v2", reading.whoami),
            web.post("/api/validate-yaml", writing.validate_yaml),
            web.post("/api/repos/create", writing.create_repo),
            web.delete("/api/repos/delete", writing.delete_repo),
            web.get(repo, reading.info),
            web.get(repo + "/revision/{revision}", reading.info),
            web.put(repo + "/settings", writing.settings),
            web.get(repo + "/refs", reading.refs),
            web.post(repo + "/branch/{ref}", writing.create_branch),
            web.delete(repo + "/branch/{ref}", writing.delete_branch),
            web.post(repo + "/tag/{revision}", writing.create_tag),
            web.delete(repo + "/tag/{ref}", writing.delete_tag),
            web.get(repo + "/commits/{revision}", reading.commits),
            web.get(repo + "/tree/{revision}", reading.tree),
            web.get(repo + "/tree/{revision}/{path:.+}", reading.tree),
            web.post(repo + "/paths-info/{revision}", reading.paths_info),
            web.post(repo + "/preupload/{revision}", writing.preupload),
            web.post(repo + "/commit/{revision}", writing.commit),
        ]

    def _file_routes(self) -> list[web.RouteDef]:
        reading, writing = self._reading, self._writing
        repo = "/{kind:(?:datasets/|spaces/)?}{owner}/{name}"
        return [
            web.get(repo + "/resolve/{revision}/{path:.+}", reading.resolve),
            web.get("/_blobs/{sha256}", reading.blob),
            web.post(repo + ".git/info/lfs/objects/batch", writing.lfs_batch),
            web.put("/_lfs/{sha256}", writing.lfs_put),
            web.put("/_lfs/{sha256}/{part:[0-9]+}", writing.lfs_put_part),
            web.post("/_lfs/{sha256}/complete", writing.lfs_complete),
            web.post("/_lfs/{sha256}/verify", writing.lfs_verify),
        ]

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request, and let it meet its fault."""
        if request.match_info.http_exception is not None:
            self._unknown[f"{request.method} {request.path}"] += 1
            return _error(HubError(404, f"Unknown route: {request.method} {request.path}"))
        if request.path.startswith(("/_stats", "/_fail", "/_reset")):
            return await handler(request)
        route = request.match_info.handler.__name__
        fault = self._faults.pop((route, self._counts[route]), {"kind": ""})
        kind = fault["kind"]
        self._counts[route] += 1
        if kind.isdigit():
            response = _error(HubError(int(kind), "Fault on order"))
            if fault["retry_after_s"] is not None:
                response.headers["Retry-After"] = str(fault["retry_after_s"])
            return response
        try:
            return await handler(request) if kind != "cut" else web.Response()
        except HubError as error:
            return _error(error)
        finally:
            if kind in ("cut", "cut_after") and request.transport is not None:
                request.transport.close()

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response({"routes": self._counts, "unknown": self._unknown})

    async def _fail(self, request: web.Request) -> web.Response:
        fault = json.loads(await request.read())
        first = self._counts[fault["route"]] + fault["nth"]
        for nth in range(first, first + fault["times"]):
            self._faults[fault["route"], nth] = fault
        return web.json_response({})

    async def _reset(self, request: web.Request) -> web.Response:
        for counts in (self._counts, self._unknown, self._faults):
            counts.clear()
        return web.json_response({})


def _error(error: HubError) -> web.Response:
    headers = {"X-Error-Message": str(error)} | ({"X-Error-Code": error.code} if error.code else {})
    return web.json_response({"error": str(error)}, status=error.status, headers=headers)


class HubServer:
    """The Hub in a process of its own; its state stays in ``root``."""

    def __init__(self, root: Path, *, page_size: int = 1000, part_bytes: int = 2**24) -> None:
        self.root = root
        self.token, self.read_token = TOKEN, READ_TOKEN
        settings = ("--page-size", str(page_size), "--part-bytes", str(part_bytes))
        self._process = ServerProcess("servers.hub", "--root", str(root.resolve()), *settings)
        self.endpoint = self._process.url

    def env(self, home: Path | None = None) -> dict[str, str]:
        """Return the environment for a client process; its caches lie in ``home``."""
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        kept = {k: v for k, v in kept.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
        return kept | {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": self.token,
            "HF_HOME": str(home or self.root / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def stats(self) -> dict[str, dict[str, int]]:
        """Return the number of requests by route, and the unknown routes asked for."""
        counts: dict[str, dict[str, int]] = self._process.get("/_stats")
        return counts

    def fail(
        self,
        route: str,
        kind: FaultKind = "500",
        *,
        nth: int = 0,
        times: int = 1,
        retry_after_s: int | None = None,
    ) -> None:
        """Make the n-th request to a route from now fail (0 is the next one).

        "cut" closes the connection before anything is done; "cut_after" does what was
        asked and then closes the connection, so that the client cannot know.
        """
        fault = {"route": route, "kind": kind, "nth": nth, "times": times}
        self._process.post("/_fail", fault | {"retry_after_s": retry_after_s})

    def reset(self) -> None:
        """Set all counts to 0 and take back the faults; repositories stay."""
        self._process.post("/_reset")

    def close(self) -> None:
        """Kill the server, whatever it is doing; a new one on the same root goes on."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _serve(hub: _Hub, port: int) -> None:
    runner = web.AppRunner(hub.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--part-bytes", type=int, default=2**24)
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    if options.until_stdin_closes:
        exit_when_stdin_closes()
    asyncio.run(_serve(_Hub(options.root, options.page_size, options.part_bytes), options.port))


if __name__ == "__main__":
    main()
