"""The stand-in's files and batches: uploads, batches that run by themselves, downloads."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from servers.llm_faults import Faults, Refused, draw

__all__ = ["BATCH_PATHS", "Batches"]

BATCH_PATHS = ("/v1/files", "/v1/batches")
_ENDPOINT = "/v1/chat/completions"
_STEPS = 10
_OPEN = ("validating", "in_progress", "finalizing", "cancelling")
_ODD_LINES = (
    b"this is no JSON",
    b"",
    b"[1, 2]",
    b"[" * 5000,
    b'{"custom_id": "' + b"0" * 64 + b'", "response": {"status_code": 200, "body": {}}}',
    b'{"custom_id": {"a": 1}, "response": null, "error": null}',
    b'{"custom_id": "\xff\xfe"}',
    b'{"custom_id": "x", "response": {"body": "' + b"x" * 1_200_000 + b'"}}',
)

Line = dict[str, Any]
AnswerLine = Callable[[dict[str, Any]], tuple[int, object] | None]


@dataclass
class _Batch:
    """A batch: what the API shows of it, and what has come of its requests."""

    shown: dict[str, Any]
    number: int
    answered: list[bytes] = field(default_factory=list)
    failed: list[bytes] = field(default_factory=list)
    cancelled: bool = False

    def enter(self, status: str) -> None:
        self.shown |= {"status": status, f"{status}_at": int(time.time())}


class Batches:
    """All files and batches.

    Args:
        answer: what the model says to the body of a request; None for no answer.
    """

    faults = Faults()

    def __init__(self, answer: AnswerLine) -> None:
        self._answer = answer
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        for task in self._tasks.values():
            task.cancel()
        self._files: dict[str, dict[str, Any]] = {}
        self._content: dict[str, bytes] = {}
        self._batches: dict[str, _Batch] = {}
        self._tasks = {}
        self._ids = self._calls = 0

    def counts(self) -> dict[str, Any]:
        """Return the number of batches by status, and of files by purpose."""
        return {
            "batches": Counter(batch.shown["status"] for batch in self._batches.values()),
            "files": Counter(file["purpose"] for file in self._files.values()),
        }

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        """Answer a call, unless it is one to be turned away or lost."""
        self._calls += 1
        luck = draw(f"call:{self.faults.seed}:{self._calls}")
        if luck < self.faults.batch_503:
            raise Refused(503, "Fault on order: 503")
        response = await self._route(request)
        if luck > 1 - self.faults.batch_lost:
            assert request.transport is not None
            request.transport.close()
        return response

    async def _route(self, request: BaseRequest) -> web.StreamResponse:
        kind, _, rest = request.path.removeprefix("/v1/").partition("/")
        match request.method, kind, rest.split("/"):
            case "POST", "files", [""]:
                return web.json_response(await self._upload(request))
            case "GET", "files", [name, "content"]:
                self._file(name)
                if self.faults.batch_files_lost:
                    raise Refused(404, f"No such File object: {name}")
                return web.Response(body=self._content[name])
            case "GET", "files", [name] if name:
                return web.json_response(self._file(name))
            case "DELETE", "files", [name]:
                del self._files[self._file(name)["id"]], self._content[name]
                return web.json_response({"id": name, "object": "file", "deleted": True})
            case "POST", "batches", [""]:
                return web.json_response(self._create(json.loads(await request.read())))
            case "GET", "batches", [""]:
                return web.json_response(self._page(request))
            case "GET", "batches", [name]:
                return web.json_response(self._batch(name).shown)
            case "POST", "batches", [name, "cancel"]:
                return web.json_response(self._cancel(self._batch(name)))
        raise Refused(404, f"Unknown path: {request.method} {request.path}")

    def _file(self, name: str) -> dict[str, Any]:
        if name not in self._files:
            raise Refused(404, f"No such File object: {name}")
        return self._files[name]

    def _batch(self, name: str) -> _Batch:
        if name not in self._batches:
            raise Refused(404, f"No batch found with id '{name}'.")
        return self._batches[name]

    async def _upload(self, request: BaseRequest) -> dict[str, Any]:
        content, name, purpose = None, "", ""
        async for part in await request.multipart():
            if part.name == "file":
                name = part.filename
                content = b"".join([chunk async for chunk in _chunks(part)])  # not read(): 1 MB
            elif part.name == "purpose":
                purpose = (await part.read()).decode()
        if content is None or purpose != "batch":
            raise Refused(400, "Expected a 'file' and the 'purpose' batch")
        return self._keep(content, purpose, name)

    def _keep(self, content: bytes, purpose: str, name: str) -> dict[str, Any]:
        made = {"object": "file", "created_at": int(time.time()), "status": "processed"}
        shown = {"id": self._new_id("file-"), "bytes": len(content), **made}
        self._files[shown["id"]] = shown | {"filename": name, "purpose": purpose}
        self._content[shown["id"]] = content
        return self._files[shown["id"]]

    def _new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}{self._ids:08}"

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("completion_window") != "24h" or asked.get("endpoint") != _ENDPOINT:
            raise Refused(400, f"Expected the endpoint {_ENDPOINT} and the completion_window 24h")
        if self._file(str(asked.get("input_file_id")))["purpose"] != "batch":
            raise Refused(400, "The input file was not uploaded for a batch")
        shown = {"id": self._new_id("batch_"), "object": "batch", **asked}
        shown |= {"created_at": int(time.time()), "expires_at": int(time.time()) + 86400}
        shown |= dict.fromkeys(("errors", "output_file_id", "error_file_id"))
        shown["request_counts"] = {"total": 0, "completed": 0, "failed": 0}
        batch = _Batch(shown, number=len(self._batches) + 1)
        batch.enter("validating")
        self._batches[shown["id"]] = batch
        self._tasks[shown["id"]] = asyncio.create_task(self._run(batch))
        return shown

    def _page(self, request: BaseRequest) -> dict[str, Any]:
        names = list(reversed(self._batches))
        after = request.query.get("after")
        start = names.index(after) + 1 if after in names else 0
        limit = int(request.query.get("limit", "20"))
        if not 1 <= limit <= 100:
            raise Refused(400, "'limit' must be 1 to 100")
        found = [self._batches[name].shown for name in names[start : start + limit]]
        return {"object": "list", "data": found, "has_more": start + limit < len(names)}

    def _cancel(self, batch: _Batch) -> dict[str, Any]:
        if batch.shown["status"] not in ("validating", "in_progress"):
            raise Refused(409, f"Cannot cancel a batch with status '{batch.shown['status']}'.")
        batch.cancelled = True
        batch.enter("cancelling")
        return batch.shown

    async def _run(self, batch: _Batch) -> None:
        """Take a batch from state to state."""
        step_s = self.faults.batch_seconds / (_STEPS + 2)
        await asyncio.sleep(step_s)
        lines, problems = self._validate(batch)
        if problems:
            batch.shown["errors"] = {"object": "list", "data": problems}
            return batch.enter("failed")
        expires = batch.number <= self.faults.batch_expires
        asked = round(len(lines) * (1 - self.faults.batch_expires_share * expires))
        random.Random(self.faults.seed + batch.number).shuffle(lines)
        if not batch.cancelled:
            batch.enter("in_progress")
        done = 0
        for step in range(1, _STEPS + 1):
            if batch.cancelled:
                break
            for line in lines[done : asked * step // _STEPS]:
                self._ask(batch, line)
            done = asked * step // _STEPS
            await asyncio.sleep(step_s)
        end = "cancelled" if batch.cancelled else "expired" if expires else "completed"
        if end != "completed":
            why = {"code": f"batch_{end}", "message": f"The batch {end} before this request ran."}
            batch.failed += [_result(line, None, why) for line in lines[done:]]
        if not batch.cancelled:
            batch.enter("finalizing")
        await asyncio.sleep(step_s)
        self._finish(batch)
        batch.enter(end)

    def _ask(self, batch: _Batch, line: Line) -> None:
        answer = self._answer(line["body"])
        counts = batch.shown["request_counts"]
        if answer is None:
            why = {"code": "request_timeout", "message": "The request timed out."}
            batch.failed.append(_result(line, None, why))
        elif answer[0] == 200:
            batch.answered.append(_result(line, answer, None))
        else:
            batch.failed.append(_result(line, answer, None))
        counts["completed"], counts["failed"] = len(batch.answered), len(batch.failed)

    def _finish(self, batch: _Batch) -> None:
        if self.faults.batch_odd_lines:
            batch.answered[:0] = _ODD_LINES
            batch.answered += batch.answered[-1:]  # one line comes twice
        for name, lines in (("output", batch.answered), ("error", batch.failed)):
            if lines:
                file = self._keep(b"\n".join(lines) + b"\n", "batch_output", f"{name}.jsonl")
                batch.shown[f"{name}_file_id"] = file["id"]

    def _validate(self, batch: _Batch) -> tuple[list[Line], list[dict[str, Any]]]:
        """Return the lines of a batch, and what is wrong with it."""
        if batch.number <= self.faults.batch_fails:
            return [], [_problem("invalid_json_line", "This line is not parseable as JSON.", 7)]
        content = self._content.get(batch.shown["input_file_id"])
        if content is None:
            return [], [_problem("file_not_found", "The input file is gone.")]
        try:
            lines = [_checked(json.loads(line)) for line in content.splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            return [], [_problem("invalid_json_line", f"A line is wrong: {error}")]
        problem = self._problem_of(lines)
        batch.shown["request_counts"]["total"] = len(lines)
        return lines, [] if problem is None else [problem]

    def _problem_of(self, lines: list[Line]) -> dict[str, Any] | None:
        queued = sum(
            batch.shown["request_counts"]["total"]
            for batch in self._batches.values()
            if batch.shown["status"] in _OPEN
        )
        if not lines:
            return _problem("empty_file", "The input file is empty.")
        if len(lines) > self.faults.batch_requests:
            return _problem("too_many_tasks", "The batch has too many requests.")
        if self.faults.batch_queue is not None and queued + len(lines) > self.faults.batch_queue:
            return _problem("token_limit_exceeded", "Enqueued token limit reached.")
        if _repeated(line["custom_id"] for line in lines):
            return _problem("duplicate_custom_id", "A custom_id stands there twice.")
        if len({line["body"]["model"] for line in lines}) > 1:
            return _problem("mismatched_model", "All requests must name the same model.")
        return None


async def _chunks(part: Any) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(1 << 20):
        yield chunk


def _checked(line: Line) -> Line:
    if (line["method"], line["url"]) != ("POST", _ENDPOINT) or not line["body"]["messages"]:
        raise ValueError("not a POST to the batch's endpoint")
    if not 0 < len(line["custom_id"]) <= 64:
        raise ValueError("custom_id must have 1 to 64 characters")
    return line


def _repeated(names: Iterable[str]) -> bool:
    return any(count > 1 for count in Counter(names).values())


def _problem(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": None}


def _result(line: Line, answer: tuple[int, object] | None, error: object) -> bytes:
    name = line["custom_id"]
    response = answer and {"status_code": answer[0], "request_id": name[:8], "body": answer[1]}
    shown = {"id": f"batch_req_{name[:8]}", "custom_id": name, "response": response}
    return json.dumps(shown | {"error": error}).encode()
