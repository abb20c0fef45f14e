"""A stand-in language model behind the OpenAI chat-completions protocol, with faults on order.

By hand: ``python tests/servers/llm.py --port 8123 --latency 0.05 --rate-429 0.1``.
In a test: ``with LlmServer(latency_s=0.05, rate_429=0.1) as server: server.base_url``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from aiohttp.web_request import BaseRequest

if not __package__:  # run by its path: the folder to import from is tests/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from servers.llm_batches import BATCH_PATHS, Batches
from servers.llm_faults import Faults, Refused, TokenBucket, draw, pick_fault
from servers.llm_replies import completion, count_prompt_tokens, question_key
from servers.process import ServerProcess, exit_when_stdin_closes

__all__ = ["LlmServer"]

_STATUSES = ("429", "500", "502", "503")


class _Counts:
    """Everything asked, and what became of it."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.let_in: Counter[str] = Counter()  # asked, less what a limit turned away
        self.answered: Counter[str] = Counter()
        self.log: list[tuple[float, str, str]] = []
        self.requests = self.max_in_flight = 0

    def as_json(self, in_flight: int, *, brief: bool, with_log: bool) -> dict[str, Any]:
        counts = {
            "requests": self.requests,
            "statuses": dict(self.statuses),
            "faults": dict(self.faults),
            "distinct_answered": len(self.answered),
            "in_flight": in_flight,
            "max_in_flight": self.max_in_flight,
        }
        if not brief:
            counts |= {"asked": dict(self.asked), "answered": dict(self.answered)}
        return counts | ({"log": self.log} if with_log else {})


class _App:
    """The server's state, and a handler per path."""

    def __init__(self, faults: Faults) -> None:
        self._routes: dict[str, Callable[[BaseRequest], Awaitable[web.StreamResponse]]] = {
            "/v1/chat/completions": self._complete,
            "/v1/models": self._list_models,
            "/health": self._health,
            "/stats": self._stats,
            "/reset": self._reset,
            "/config": self._configure,
        }
        self._counts = _Counts()
        self._batches = Batches(self._answer_line)
        self._in_flight = 0
        self._set(faults)

    def _set(self, faults: Faults) -> None:
        self._faults = self._batches.faults = faults
        self._bucket = TokenBucket(faults.limit_per_s, faults.burst) if faults.limit_per_s else None

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        try:
            route = self._routes.get(request.path)
            if route is None and request.path.startswith(BATCH_PATHS):
                self._check_key(request)
                return await self._batches.handle(request)
            if route is None:
                raise Refused(404, f"Unknown path: {request.method} {request.path}")
            return await route(request)
        except Refused as error:
            return web.json_response(error.content, status=error.status, headers=error.headers)

    async def _health(self, request: BaseRequest) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _stats(self, request: BaseRequest) -> web.StreamResponse:
        counts = self._counts.as_json(
            self._in_flight, brief="brief" in request.query, with_log="log" in request.query
        )
        return web.json_response(counts | self._batches.counts())

    async def _reset(self, request: BaseRequest) -> web.StreamResponse:
        self._counts = _Counts()
        self._batches.clear()
        return web.json_response({})

    async def _configure(self, request: BaseRequest) -> web.StreamResponse:
        try:
            self._set(replace(self._faults, **json.loads(await request.read())))
        except (TypeError, ValueError) as error:
            raise Refused(400, str(error)) from error
        return web.json_response(asdict(self._faults))

    async def _list_models(self, request: BaseRequest) -> web.StreamResponse:
        self._check_key(request)
        models = [
            {"id": name, "object": "model", "created": 1700000000, "owned_by": "tests"}
            for name in self._faults.models or ("stand-in",)
        ]
        return web.json_response({"object": "list", "data": models})

    def _check_key(self, request: BaseRequest) -> None:
        key = self._faults.api_key
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            raise Refused(401, "Incorrect API key provided", "invalid_api_key")

    async def _complete(self, request: BaseRequest) -> web.StreamResponse:
        counts = self._counts
        counts.requests += 1
        self._in_flight += 1
        counts.max_in_flight = max(counts.max_in_flight, self._in_flight)
        arrived = time.monotonic() - counts.started
        question, outcome = "", "gone"
        try:
            self._check_key(request)
            body = _parse_body(await request.read())
            question = question_key(body)
            counts.asked[question] += 1
            response, outcome = await self._answer(request, body, question)
            if outcome == "200":
                counts.answered[question] += 1
            return response
        except Refused as error:
            outcome = str(error.status)
            raise
        finally:
            self._in_flight -= 1
            counts.statuses[outcome] += 1
            counts.log.append((arrived, question, outcome))

    async def _answer(
        self, request: BaseRequest, body: dict[str, Any], question: str
    ) -> tuple[web.StreamResponse, str]:
        """Return the response and how it is counted: a status, "cut" or "gone"."""
        faults = self._faults
        self._check_limits()
        self._check_body(body)
        asked, fault = self._draw_fault(question)
        await self._wait(fault, question, asked)
        if fault in _STATUSES:
            raise Refused(int(fault), f"Fault on order: {fault}", **self._retry_after(fault))
        if request.transport is None or request.transport.is_closing():
            return web.Response(), "gone"  # the client left before there was an answer
        if fault == "cut":
            request.transport.close()
            return web.Response(), "cut"
        payload = completion(body, question, asked, fault, faults.formats)
        if fault == "cut_body":
            return await _send_half(request, payload), "cut"
        if fault == "slow_body":
            return await _send_slowly(request, payload, faults.slow_body_s), "200"
        return web.Response(body=payload, content_type="application/json"), "200"

    def _answer_line(self, body: dict[str, Any]) -> tuple[int, object] | None:
        """Return status and content of the answer to a request of a batch, None for no answer."""
        question = question_key(body)
        self._counts.asked[question] += 1
        try:
            self._check_body(body)
            asked, fault = self._draw_fault(question)
            if fault in _STATUSES:
                raise Refused(int(fault), f"Fault on order: {fault}")
        except Refused as error:
            return error.status, error.content
        if fault in ("hang", "cut", "cut_body"):
            return None
        self._counts.answered[question] += 1
        return 200, json.loads(completion(body, question, asked, fault, self._faults.formats))

    def _draw_fault(self, question: str) -> tuple[int, str | None]:
        """Return how often a question was let in before, and the fault that it meets now."""
        asked = self._counts.let_in[question]
        self._counts.let_in[question] += 1
        fault = pick_fault(question, asked, self._faults)
        if fault is not None:
            self._counts.faults[fault] += 1
        return asked, fault

    async def _wait(self, fault: str | None, question: str, asked: int) -> None:
        delay = self._faults.latency_s
        if self._faults.jitter_s:
            delay += self._faults.jitter_s * draw(f"wait:{self._faults.seed}:{question}:{asked}")
        if fault == "hang":
            delay = math.inf
        if delay:
            await asyncio.sleep(min(delay, 86400))

    def _retry_after(self, fault: str) -> dict[str, str]:
        seconds = self._faults.retry_after_s
        sent = seconds is not None and fault in ("429", "503")
        return {"Retry_After": f"{seconds:g}"} if sent else {}

    def _check_limits(self) -> None:
        faults = self._faults
        wait_s = self._bucket.take() if self._bucket is not None else 0.0
        if wait_s:
            headers = {"Retry_After": str(math.ceil(wait_s)), "Retry_After_Ms": str(wait_s * 1000)}
            headers = self._retry_after("429") or headers
            raise Refused(429, "Rate limit reached", "rate_limit_exceeded", **headers)
        if faults.max_concurrency is not None and self._in_flight > faults.max_concurrency:
            headers = self._retry_after("429")
            raise Refused(429, "Too many requests in flight", "rate_limit_exceeded", **headers)

    def _check_body(self, body: dict[str, Any]) -> None:
        faults = self._faults
        if body.get("stream"):
            raise Refused(400, "Streaming is not supported", "unsupported_value")
        if faults.models and body["model"] not in faults.models:
            message = f"The model `{body['model']}` does not exist"
            raise Refused(404, message, "model_not_found")
        if faults.context_tokens is not None and count_prompt_tokens(body) > faults.context_tokens:
            message = f"This model's maximum context length is {faults.context_tokens} tokens"
            raise Refused(400, message, "context_length_exceeded")
        asked = (body.get("response_format") or {}).get("type", "text")
        obeyed = {"refused": (), "json_object": ("json_object",)}.get(faults.formats)
        if asked != "text" and obeyed is not None and asked not in obeyed:
            message = f"Unsupported value: 'response_format.type' does not support '{asked}'"
            raise Refused(400, message, "unsupported_value")


def _parse_body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
        if body["messages"] and body["model"]:
            return dict(body)
    except (ValueError, TypeError, KeyError):
        pass
    raise Refused(400, "The body must be JSON with 'model' and 'messages'", "invalid_value")


async def _send_half(request: BaseRequest, payload: bytes) -> web.StreamResponse:
    response = await _start(request, payload)
    await response.write(payload[: len(payload) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def _send_slowly(
    request: BaseRequest, payload: bytes, duration_s: float
) -> web.StreamResponse:
    response = await _start(request, payload)
    step = len(payload) // 10 + 1
    for start in range(0, len(payload), step):
        await asyncio.sleep(duration_s / 10)
        await response.write(payload[start : start + step])
    await response.write_eof()
    return response


async def _start(request: BaseRequest, payload: bytes) -> web.StreamResponse:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(payload))}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    return response


class LlmServer:
    """The server in a process of its own; its faults are the fields of Faults."""

    def __init__(self, **faults: Any) -> None:
        self._process = ServerProcess(
            "servers.llm", "--faults", json.dumps(asdict(Faults(**faults)))
        )
        self.base_url = self._process.url + "/v1"

    def stats(self, *, log: bool = False, brief: bool = False) -> dict[str, Any]:
        """Return the counts; ``log`` adds (seconds, question, outcome) of each request.

        ``brief`` leaves out the counts of each question: cheap enough to ask often.
        """
        options = [name for name, wanted in (("log", log), ("brief", brief)) if wanted]
        counts: dict[str, Any] = self._process.get("/stats?" + "&".join(options))
        return counts

    def configure(self, **faults: Any) -> None:
        """Change some faults from now on."""
        self._process.post("/config", faults)

    def reset(self) -> None:
        """Set all counts to 0: each question counts as never asked."""
        self._process.post("/reset")

    def close(self) -> None:
        """Kill the server, with whatever it has in flight."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _serve(faults: Faults, host: str, port: int) -> None:
    app = _App(faults)
    server = web.Server(
        app.handle, handler_cancellation=True, access_log=None, keepalive_timeout=300
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=4096)
    await site.start()
    port = runner.addresses[0][1]
    print(f"listening on http://{host}:{port}", flush=True)  # noqa: T201
    await asyncio.Event().wait()


_KINDS: dict[str, Callable[[str], Any]] = {
    "float": float,
    "int": int,
    "bool": json.loads,
    "tuple[str, ...]": lambda text: tuple(text.split(",")),
}


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--faults", type=json.loads, default={}, help="JSON of fields and values")
    parser.add_argument("--until-stdin-closes", action="store_true")
    for field in fields(Faults):
        kind = _KINDS.get(str(field.type).split(" |")[0], str)
        parser.add_argument("--" + field.name.replace("_", "-"), type=kind)
    return parser


def main() -> None:
    options = vars(_options().parse_args())
    named = {f.name: options[f.name] for f in fields(Faults) if options[f.name] is not None}
    if options["until_stdin_closes"]:
        exit_when_stdin_closes()
    try:
        import uvloop

        run: Callable[..., None] = uvloop.run
    except ImportError:
        run = asyncio.run
    run(_serve(Faults(**options["faults"] | named), options["host"], options["port"]))


if __name__ == "__main__":
    main()
