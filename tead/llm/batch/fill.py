"""Asking in batches: the journal filled by way of OpenAI's Batch API.

Rows are the same conversations as live, so the journal, and the rows replayed from it,
are the same too. Each round sends what the conversations ask next, waits, and journals
the answers; the next round goes on from there.

No request of a batch is paid twice. A batch is recorded in the journal before it is
made; killed between that and its making, a run finds it on the server by its token, or
takes away the file without which it cannot come to be.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import IO, Any

from expclip.face.errors import ModelError
from expclip.tead.annotate import Progress, converse
from expclip.tead.llm.batch.api import Batch, NotKnown, OpenAIBatches, is_out_of_quota, message_of
from expclip.tead.llm.batch.book import BatchBook, BatchRecord
from expclip.tead.llm.batch.lines import Line, request_line, scratch_file
from expclip.tead.llm.batch.rows import Request, Rows
from expclip.tead.llm.client import FATAL_STATUSES, ConnectionLost, LlmOptions, may_ask_again
from expclip.tead.llm.cost import Ledger, Reservation
from expclip.tead.llm.journal import Answer, Journal
from expclip.tead.llm.scheduler import Scheduler, Tally
from expclip.tead.prompts import Prompts
from expclip.tead.schema import SourceText

__all__ = ["BatchTally", "fill_journal_in_batches"]

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_MOST_TRIES = 12
_MOST_SILENT_ROUNDS = 3
_GROUP = 512  # answers of one commit
_DAY_S = 86400.0  # by which the server's clock may differ from ours
_NOTHING: Mapping[str, Any] = {"messages": (), "max_tokens": 0}


@dataclass
class BatchTally(Tally):
    """What has happened so far, also in batches."""

    open: int = 0  # batches on the server
    waiting: int = 0  # requests in them
    served: int = 0  # of these, worked off by now
    ignored: int = 0  # lines of the server that nobody asked for, or can read


async def fill_journal_in_batches(
    texts: Sequence[SourceText],
    prompts: Prompts,
    options: LlmOptions,
    batches: OpenAIBatches,
    journal: Journal,
    ledger: Ledger,
    progress: Progress | None = None,
) -> BatchTally:
    """Ask for every row that the journal does not answer yet, in batches.

    What form of answer the server understands is found by one live question, unless the
    journal knows. Batches of an earlier run are taken up first. A row whose question the
    server refuses, or fails at twelve times, is left unanswered. Interrupted, batches go on
    at the server, and the next run collects them.

    Raises:
        ModelError: the server cannot be reached, refuses everything, or fails a batch.
        BudgetReached: the next request may cost more than is left.
        DataError: the journal cannot be written.
    """
    found = journal.counts().get(200, 0)
    scheduler = Scheduler(batches, journal, options, ledger)
    dialect = await scheduler.find_dialect(next(converse(texts[0], prompts, options)))
    tally = BatchTally(**{**vars(scheduler.tally), "found": found})
    rows = Rows(texts, prompts, options, dialect, journal)

    def tell() -> None:
        if progress is not None:
            progress(rows.done, len(texts), tally)

    filling = _Filling(batches, journal, ledger, tally, options)
    await filling.adopt(rows.pending())
    silent = 0
    while await filling.submit(rows.pending()):
        tell()
        before = filling.settled
        await filling.collect(tell)
        silent = 0 if filling.settled > before else silent + 1
        if silent == _MOST_SILENT_ROUNDS:
            raise ModelError(
                f"{batches.server} answered nothing in {silent} rounds ({filling.reason})"
            )
        if silent:
            await asyncio.sleep(batches.limits.slowest_poll_s)
    return tally


class _Filling:
    """Batches made, waited for and read; each step is in the journal before the next."""

    def __init__(
        self,
        batches: OpenAIBatches,
        journal: Journal,
        ledger: Ledger,
        tally: BatchTally,
        options: LlmOptions,
    ) -> None:
        self.settled = 0  # requests answered well, or refused for good
        self.reason = ""  # of the last request or batch that was not
        self._batches = batches
        self._journal = journal
        self._ledger = ledger
        self._tally = tally
        self._folder = journal.path.parent
        self._most_per_answer = 64 * options.max_tokens + 16384  # bytes, white space included
        self._book = BatchBook(journal)
        self._promises: dict[bytes, Reservation] = {}  # of the requests on their way
        self._tries: Counter[bytes] = Counter()
        self._refused: set[bytes] = set()
        self._held: Request | None = None  # did not fit into the last file
        self._stopped = False  # there is no money for the next request
        self._most_open: int | None = None  # batches; more are too much for the server
        self._fatal = ""

    async def adopt(self, pending: AsyncIterator[Request]) -> None:
        """Take up the batches of an earlier run, and read those that have ended.

        Raises:
            ModelError: they are on another server, or not known there.
        """
        for record in self._book.open:
            if record.server != self._batches.server:
                raise ModelError(
                    f"batch {record.name} was sent to {record.server}, and this is "
                    f"{self._batches.server}: go on there, or ask without batches"
                )
            if record.batch is None:
                batch = await self._find(record)
                if batch is None:
                    self._book.end(record, "void")
                else:
                    self._book.note(replace(record, batch=batch.id))
        asked = {key for record in self._book.open for key in self._book.keys_of(record)}
        if asked:
            async for key, body in pending:
                if key in asked:
                    promise = self._ledger.try_reserve(body, anyway=True)
                    assert promise is not None
                    self._promises[key] = promise
        await self._look()

    async def submit(self, pending: AsyncIterator[Request]) -> bool:
        """Send what is pending, in as many batches as it takes; return whether any is open.

        Raises:
            BudgetReached: there is no money for any of it, and nothing on its way.
        """
        self._held, self._stopped = None, False
        while not self._stopped and self._has_room():
            with scratch_file(self._folder) as file:
                keys = await self._write(file, pending)
                if not keys:
                    break
                await self._send(file, keys)
        if self._stopped and not self._book.open:
            raise self._ledger.stop()
        self._count(served=0)
        return bool(self._book.open)

    def _has_room(self) -> bool:
        return self._most_open is None or len(self._book.open) < self._most_open

    async def _write(self, file: IO[bytes], pending: AsyncIterator[Request]) -> list[bytes]:
        """Write as many requests as a file takes and there is money for; return their keys."""
        keys: list[bytes] = []
        while (request := self._held or await anext(pending, None)) is not None:
            self._held = None
            key, body = request
            if key in self._promises or key in self._refused:
                continue
            line = request_line(key, body)
            limits = self._batches.limits
            if keys and (len(keys) == limits.requests or file.tell() + len(line) > limits.size):
                self._held = request
                break
            promise = self._ledger.try_reserve(body)
            if promise is None:
                self._stopped = True
                break
            self._promises[key] = promise
            file.write(line)
            keys.append(key)
        return keys

    async def _send(self, file: IO[bytes], keys: Sequence[bytes]) -> None:
        """Make a batch of a file; recorded first, so that it is never made twice."""
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        record = self._book.begin(self._batches.server, digest, keys)
        for retry in range(_MOST_TRIES):
            name = await self._batches.upload(file)
            record = self._book.note(replace(record, file=name))
            try:
                batch: Batch | None = await self._batches.create(name, record.token)
            except ConnectionLost as error:
                self.reason = str(error)
                batch = await self._find(record)
            if batch is not None:
                self._book.note(replace(record, batch=batch.id))
                return
            await asyncio.sleep(min(20.0, 0.25 * 2**retry))
        raise ModelError(f"{self._batches.server}: no batch can be made ({self.reason})")

    async def _find(self, record: BatchRecord) -> Batch | None:
        """Return the batch whose making was not seen, or see to it that there is none."""
        if record.file is None:
            return None
        since_s = record.made_s - _DAY_S
        batch = await self._batches.find(record.token, record.file, since_s)
        if batch is None:
            await self._batches.delete(record.file)  # what is still on its way fails now
            batch = await self._batches.find(record.token, record.file, since_s)
        return batch

    async def collect(self, tell: Callable[[], None]) -> None:
        """Wait for all open batches, and journal what they answered.

        Raises:
            ModelError: a batch failed, is not known, or says that asking is no use.
        """
        limits = self._batches.limits
        wait_s = limits.poll_s
        await self._look()
        while self._book.open:
            tell()
            await asyncio.sleep(wait_s)
            wait_s = min(limits.slowest_poll_s, wait_s * 1.5)
            await self._look()
        tell()

    async def _look(self) -> None:
        """Ask after all open batches, and read those that have ended."""
        served = 0
        for record in self._book.open:
            batch = await self._retrieve(record)
            if batch.status in _ENDED:
                await self._harvest(record, batch)
            else:
                served += batch.done
        self._count(served)

    def _count(self, served: int) -> None:
        left = self._book.open
        self._tally.open, self._tally.served = len(left), served
        self._tally.waiting = sum(record.requests for record in left)

    async def _retrieve(self, record: BatchRecord) -> Batch:
        assert record.batch is not None
        try:
            return await self._batches.retrieve(record.batch)
        except NotKnown as error:
            raise ModelError(
                f"batch {record.name} with {record.requests:,} requests is not known ({error}): "
                "was it made with another key? Go on with that one, or ask without batches"
            ) from None

    async def _harvest(self, record: BatchRecord, batch: Batch) -> None:
        """Journal what a batch answered, then take note that it is read."""
        waiting = self._book.keys_of(record)
        lost = ""
        for name in filter(None, (batch.output_file, batch.error_file)):
            try:
                await self._read(name, waiting)
            except NotKnown as error:
                lost = f"batch {batch.id} has ended, but its answers are gone ({error})"
        for key in waiting:
            self._take_back(key, tried=not batch.crowded)
        self._book.end(record, batch.status)
        for name in filter(None, (record.file, batch.output_file, batch.error_file)):
            await self._batches.delete(name)
        self._judge(batch, lost)

    async def _read(self, name: str, waiting: set[bytes]) -> None:
        """Journal the answers of a file; takes their keys from those that wait for one."""
        most = len(waiting) * self._most_per_answer + 2_000_000
        group: list[Answer] = []
        async with aclosing(self._batches.answers(name, most, self._folder)) as lines:
            async for line in lines:
                if line is None or line.key not in waiting:
                    self._tally.ignored += 1
                    continue
                waiting.remove(line.key)
                if self._journal.find(line.key) is None:  # else an earlier run got so far
                    group += self._take(line)
                if len(group) == _GROUP:
                    await self._commit(group)
                    group = []
        await self._commit(group)

    async def _commit(self, answers: Sequence[Answer]) -> None:
        await asyncio.gather(*map(self._journal.commit, answers))

    def _take(self, line: Line) -> list[Answer]:
        """Return the answer of a line, if it has one, with what follows from it settled."""
        if line.status is None:
            self.reason = message_of(json.loads(line.body))
            self._take_back(line.key, tried=True)
            return []
        self._tally.asked += 1
        if line.status != 200:
            self._take_back(line.key, tried=True)
            self._weigh(line, line.status)
            return [Answer(line.key, line.status, line.body)]
        self.settled += 1
        promise = self._promises.pop(line.key, None)
        promise = promise or self._ledger.try_reserve(_NOTHING, anyway=True)
        assert promise is not None
        return [Answer(line.key, 200, line.body, self._ledger.settle(promise, line.body))]

    def _weigh(self, line: Line, status: int) -> None:
        """Decide whether a request that was answered with an error is asked again."""
        document = json.loads(line.body)
        self.reason = f"HTTP {status}: {message_of(document)}"
        if status in FATAL_STATUSES or is_out_of_quota(document):
            self._fatal = self.reason
        elif not may_ask_again(status):
            self._refused.add(line.key)
            self.settled += 1
        elif status == 429:
            self._tally.limited += 1
        else:
            self._tally.failed += 1

    def _take_back(self, key: bytes, *, tried: bool) -> None:
        """Take note that a request was not answered well, or not even tried."""
        promise = self._promises.pop(key, None)
        if promise is not None:
            self._ledger.cancel(promise)
        self._tries[key] += tried
        if self._tries[key] >= _MOST_TRIES:
            self._refused.add(key)

    def _judge(self, batch: Batch, lost: str) -> None:
        """Stop the run where a batch says that going on is no use."""
        server = self._batches.server
        if lost:
            raise ModelError(f"{server}: {lost}: run the same command to ask again, and pay again")
        if self._fatal:
            raise ModelError(f"{server} refused: {self._fatal}")
        if batch.status != "failed":
            return
        self.reason = f"batch {batch.id} failed: {batch.problem}"
        if not batch.crowded:
            raise ModelError(f"{server}: {self.reason}")
        self._most_open = max(1, len(self._book.open))
