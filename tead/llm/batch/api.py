"""OpenAI's Batch API: files of requests that a server works off within a day.

Many servers offer it in the same form. What comes back is not trusted: sizes are bounded,
fields are checked, and the key is struck out.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar

from expclip.face.errors import ModelError
from expclip.tead.llm.batch.lines import Line, read_lines, scratch_file
from expclip.tead.llm.client import ConnectionLost, LlmOptions, OpenAIClient, may_ask_again

__all__ = [
    "Batch",
    "BatchLimits",
    "NotKnown",
    "OpenAIBatches",
    "is_out_of_quota",
    "message_of",
]

_TOKEN = "expclip"
"""Name, in a batch's metadata, of what it is found by."""

_MOST_PAGES = 100
_T = TypeVar("_T")


@dataclass(frozen=True)
class BatchLimits:
    """What goes into one batch, and how it is waited for.

    Attributes:
        requests: most of one input file; OpenAI takes 50,000.
        size: most bytes of one; OpenAI takes 200 MB.
        poll_s: first wait between two looks at a batch; each is half as long again.
        slowest_poll_s: longest wait between two looks.
        silence_s: how long the server may be silent while batches are waited for.
    """

    requests: int = 50_000
    size: int = 200_000_000
    poll_s: float = 1.0
    slowest_poll_s: float = 120.0
    silence_s: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("requests", "size", "poll_s", "slowest_poll_s", "silence_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class Batch:
    """What a server says of a batch.

    Attributes:
        id: its name.
        status: "validating", "in_progress", "finalizing", "completed", "failed",
            "expired", "cancelling" or "cancelled".
        token: what its metadata names it by; "" where they do not.
        created_s: when it was made, in seconds since 1970; 0 where that is not told.
        input_file: id of the requests.
        output_file: id of the answers, once there are any.
        error_file: id of what was not answered, once there is any.
        done: requests worked off so far.
        problem: why it failed, in the server's words.
        crowded: it failed because too much is waiting already.
    """

    id: str
    status: str
    token: str
    created_s: float
    input_file: str | None
    output_file: str | None
    error_file: str | None
    done: int
    problem: str
    crowded: bool

    @classmethod
    def parse(cls, document: Any) -> Batch:
        """Read the JSON object of a batch.

        Raises:
            ModelError: it is none.
        """
        try:
            counts = _mapping(document.get("request_counts"))
            problems = [_mapping(p) for p in _mapping(document.get("errors")).get("data") or ()]
            return cls(
                id=_identifier(document["id"]),
                status=str(document["status"])[:40],
                token=str(_mapping(document.get("metadata")).get(_TOKEN, "")),
                created_s=float(document.get("created_at") or 0),
                input_file=_file_id(document, "input_file_id"),
                output_file=_file_id(document, "output_file_id"),
                error_file=_file_id(document, "error_file_id"),
                done=int(counts.get("completed") or 0) + int(counts.get("failed") or 0),
                problem=_problem(problems),
                crowded=any(p.get("code") == "token_limit_exceeded" for p in problems),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise ModelError("the server's answer is no batch of the Batch API") from None


class NotKnown(ModelError):
    """The server knows no batch or file of this name."""


class OpenAIBatches(OpenAIClient):
    """A client that also sends requests in batches, by the openai package.

    Calls that fail are tried again: ``options.patience_s`` long before the server has
    answered once, and ``limits.silence_s`` from then on. All methods raise `ModelError`
    when that is over, or the server refuses.

    Args:
        options: which LLM, and how it is asked.
        limits: of a batch.
    """

    def __init__(self, options: LlmOptions, limits: BatchLimits | None = None) -> None:
        import httpx2

        super().__init__(options)
        self.limits = limits or BatchLimits()
        self.server = options.base_url or "the OpenAI API"
        self._key_name = options.api_key_env
        self._patience_s = options.patience_s
        self._reached = False
        self._errors_of_streams = httpx2.HTTPError

    async def upload(self, file: IO[bytes]) -> str:
        """Upload a file of requests; returns its id."""
        files = self._client.files.with_raw_response

        async def send() -> bytes:
            file.seek(0)
            named = ("expclip.jsonl", file, "application/jsonl")
            return (await files.create(file=named, purpose="batch")).content

        try:
            return _identifier((await self._ask(send))["id"])
        except (KeyError, TypeError, ValueError):
            raise ModelError(f"{self.server}: the answer to an upload has no id") from None

    async def create(self, input_file: str, token: str) -> Batch:
        """Create the batch of an uploaded file, which can later be found by a token.

        Raises:
            ConnectionLost: nobody knows whether it was created: look for it with `find`.
        """
        batches = self._client.batches.with_raw_response

        async def send() -> bytes:
            created = await batches.create(
                input_file_id=input_file,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_TOKEN: token},
            )
            return created.content

        return Batch.parse(await self._ask(send, once=True))

    async def retrieve(self, batch: str) -> Batch:
        """Return the present state of a batch.

        Raises:
            NotKnown: there is none of this name.
        """
        batches = self._client.batches.with_raw_response

        async def send() -> bytes:
            return (await batches.retrieve(batch)).content

        return Batch.parse(await self._ask(send))

    async def cancel(self, batch: str) -> Batch:
        """Stop a batch; what it has answered by then can be downloaded."""
        batches = self._client.batches.with_raw_response

        async def send() -> bytes:
            return (await batches.cancel(batch)).content

        return Batch.parse(await self._ask(send))

    async def find(self, token: str, input_file: str, since_s: float) -> Batch | None:
        """Return the batch of a token or an input file, made after a time, or None."""
        async for batch in self._newest_first():
            if batch.token == token or batch.input_file == input_file:
                return batch
            if batch.created_s < since_s:
                return None
        return None

    async def answers(self, name: str, most: int, folder: Path) -> AsyncGenerator[Line | None]:
        """Yield what became of each request, None for a line that says nothing to us.

        Args:
            name: of an output or error file.
            most: bytes that it may have.
            folder: where it is kept meanwhile.

        Raises:
            NotKnown: the server has no such file.
            DataError: the folder cannot be written.
        """
        files = self._client.files.with_streaming_response
        with scratch_file(folder) as file:

            async def send() -> None:
                file.seek(0)
                file.truncate()
                async with files.content(name) as response:
                    async for chunk in response.iter_bytes(1 << 16):
                        file.write(chunk)
                        if file.tell() > most:
                            raise ModelError(f"{self.server}: {name} is larger than {most:,} bytes")

            await self._persist(send)
            for line in read_lines(file):
                yield line and replace(line, body=self._strike(line.body))

    async def delete(self, name: str) -> None:
        """Remove a file, if the server can and will; tried once."""
        with suppress(ModelError):
            await self._once(lambda: self._client.files.with_raw_response.delete(name))

    async def _newest_first(self) -> AsyncIterator[Batch]:
        batches = self._client.batches.with_raw_response
        after: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):

            async def send(after: Mapping[str, Any] = after) -> bytes:
                return bytes((await batches.list(limit=100, **after)).content)

            page = _mapping(await self._ask(send))
            data = page.get("data")
            found = [Batch.parse(entry) for entry in data] if isinstance(data, list) else []
            for batch in found:
                yield batch
            if not found or not page.get("has_more"):
                return
            after = {"after": found[-1].id}

    async def _ask(self, send: Callable[[], Awaitable[bytes]], *, once: bool = False) -> Any:
        """Return the JSON that a call gives, the key struck out."""
        content = self._strike(await self._persist(send, once=once))
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise ModelError(f"{self.server}: no JSON came: is there a Batch API?") from None

    async def _persist(self, send: Callable[[], Awaitable[_T]], *, once: bool = False) -> _T:
        """Return what a call gives, tried again while that may help.

        Args:
            send: makes the call.
            once: raise `ConnectionLost` where the call may have worked without our knowing.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        for retry in count():
            try:
                result = await self._once(send)
            except ConnectionLost as error:
                if once and error.sent:
                    raise
                silent_s = loop.time() - began
                if silent_s > self._patience_s or (retry == 3 and not self._reached):
                    raise ModelError(
                        f"{self.server} does not answer for {silent_s:.0f} s ({error}); "
                        "what was answered is kept: run the same command to go on"
                    ) from None
            else:
                self._patience_s = max(self._patience_s, self.limits.silence_s)
                return result
            await asyncio.sleep(min(20.0, 0.25 * 2**retry) * random.Random(retry).uniform(0.5, 1))
        raise AssertionError("count() never ends")

    async def _once(self, send: Callable[[], Awaitable[_T]]) -> _T:
        """Return what a call gives.

        Raises:
            ConnectionLost: no answer came, or one that says "later".
            ModelError: the server refuses.
        """
        connection_error, status_error = self._errors
        try:
            result = await send()
        except status_error as error:
            raise self._refusal(error.status_code, error.body) from None
        except (connection_error, self._errors_of_streams) as error:
            raise self._lost(error) from None
        self._reached = True
        return result

    def _refusal(self, status: int, body: object) -> ModelError:
        self._reached = True
        words = self._redact(message_of(body))
        if may_ask_again(status) and not is_out_of_quota(body):
            return ConnectionLost(f"HTTP {status}: {words}", sent=status >= 500)
        if status == 404:
            return NotKnown(f"{self.server} refused: HTTP 404: {words}")
        key = f" (the key is taken from ${self._key_name})" if status == 401 else ""
        return ModelError(f"{self.server} refused: HTTP {status}: {words}{key}")


def message_of(body: object) -> str:
    """Return the message in the body of an error, or its beginning, on one line."""
    error = _mapping(body).get("error", body)
    return " ".join(str(_mapping(error).get("message", error)).split())[:300]


def is_out_of_quota(body: object) -> bool:
    """Return whether an error says that the account has nothing left."""
    error = _mapping(_mapping(body).get("error", body))
    return "insufficient_quota" in (error.get("code"), error.get("type"))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _identifier(value: object) -> str:
    """Return a name given by a server, if it is fit to be one."""
    if not isinstance(value, str) or not 0 < len(value) <= 1000 or not value.isprintable():
        raise ValueError(f"no identifier: {value!r:.100}")
    return value


def _file_id(document: Mapping[str, Any], name: str) -> str | None:
    return _identifier(document[name]) if document.get(name) else None


def _problem(problems: list[dict[str, Any]]) -> str:
    """Return the first problems of a failed batch, in one line."""
    told = []
    for problem in problems[:3]:
        line = f"line {problem['line']}: " if problem.get("line") else ""
        told.append(line + (message_of(problem) or str(problem.get("code"))))
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return " ".join("; ".join(told).split())[:500] + more or "no reason given"
