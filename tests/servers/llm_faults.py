"""How the stand-in language model goes wrong: what, how often, and for which question."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

__all__ = ["FAULTS", "Faults", "Refused", "TokenBucket", "draw", "pick_fault"]

# Each has a rate. A question meets at most one, so that the rates may be added up.
FAULTS = (
    *("429", "500", "502", "503", "hang", "cut", "cut_body", "slow_body"),  # of the wire
    *("bad_json", "truncated", "white_space", "refusal", "refusal_prose"),  # of the model
    *("empty", "no_tags", "wrong_schema"),
)


class Refused(Exception):
    """An HTTP error in OpenAI's form."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def content(self) -> dict[str, object]:
        """The body of the answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        param = "response_format" if "response_format" in str(self) else None
        return {"error": {"message": str(self), "type": kind, "param": param, "code": self.code}}


@dataclass(frozen=True)
class Faults:
    """How the server behaves; by default it answers everything at once, and rightly."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """Added to the latency: up to this much."""
    rate_429: float = 0.0
    rate_500: float = 0.0
    rate_502: float = 0.0
    rate_503: float = 0.0
    rate_hang: float = 0.0
    """Share of requests that are never answered."""
    rate_cut: float = 0.0
    """Share of connections closed before the first byte."""
    rate_cut_body: float = 0.0
    """Share of connections closed half-way through the body."""
    rate_slow_body: float = 0.0
    slow_body_s: float = 1.0
    """How long a slow body takes to arrive."""
    rate_bad_json: float = 0.0
    rate_truncated: float = 0.0
    rate_white_space: float = 0.0
    rate_refusal: float = 0.0
    """Share of replies with ``message.refusal`` and no content."""
    rate_refusal_prose: float = 0.0
    rate_empty: float = 0.0
    rate_no_tags: float = 0.0
    rate_wrong_schema: float = 0.0
    retry_after_s: float | None = None
    """Sent with a 429 or 503; None sends no Retry-After (a limit then sends its own)."""
    formats: Literal["json_schema", "json_object", "refused", "ignored"] = "json_schema"
    """The best response_format that is obeyed; a better one gets 400, or is ignored."""
    api_key: str | None = None
    models: tuple[str, ...] = ()
    """Names that exist; empty takes any."""
    context_tokens: int | None = None
    limit_per_s: float | None = None
    """Requests a second that the token bucket lets through."""
    burst: int = 1
    max_concurrency: int | None = None
    batch_seconds: float = 0.0
    """How long a batch takes."""
    batch_requests: int = 50_000
    """Most requests of a batch; one with more fails."""
    batch_queue: int | None = None
    """Most requests of all open batches together; a batch on top of them fails."""
    batch_fails: int = 0
    """How many batches, from the first, fail when they are validated."""
    batch_expires: int = 0
    """How many batches, from the first, expire."""
    batch_expires_share: float = 0.5
    """Share of the requests of an expired batch that are not answered."""
    batch_odd_lines: bool = False
    """Whether output files also hold lines that no one asked for, or can read."""
    batch_files_lost: bool = False
    """Whether output files are gone when they are asked for."""
    batch_lost: float = 0.0
    """Share of calls about files and batches whose answer is lost: done, but not told."""
    batch_503: float = 0.0
    """Share of calls about files and batches that are turned away."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (total := sum(self.rates)) > 1 + 1e-9:
            raise ValueError(f"the rates of faults add up to {total}, expected at most 1")

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """The rates, in the order of FAULTS."""
        return tuple(getattr(self, f"rate_{fault}") for fault in FAULTS)


def pick_fault(question: str, asked: int, faults: Faults) -> str | None:
    """Return the fault that a question meets when asked for the n-th time (from 0)."""
    if not any(faults.rates):
        return None
    left = draw(f"{faults.seed}:{question}:{asked}")
    for fault, rate in zip(FAULTS, faults.rates, strict=True):
        if left < rate:
            return fault
        left -= rate
    return None


def draw(text: str) -> float:
    """Return a number in 0..1 that hangs on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest()) / 2**56


class TokenBucket:
    """A rate limit: one token a request, ``per_s`` new ones a second, ``burst`` at most."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._tokens, self._time = float(burst), time.monotonic()

    def take(self) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._time) * self._per_s)
        self._time = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_s
        self._tokens -= 1
        return 0.0
