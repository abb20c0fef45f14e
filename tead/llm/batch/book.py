"""Which batches were sent: kept in the journal, so that a later run can go on with them."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from expclip.tead.llm.journal import Journal

__all__ = ["BatchBook", "BatchRecord", "describe_open_batches"]

_KEY_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class BatchRecord:
    """A batch as the journal remembers it.

    Attributes:
        number: from 1.
        server: where it is.
        token: hash of its input file, and a number drawn once: it is found by this.
        requests: how many.
        made_s: when, in seconds since 1970.
        file: id of its input file, once uploaded.
        batch: its id, once made.
        ended: the state in which it ended, "void" if it never came to be; "" until then.
    """

    number: int
    server: str
    token: str
    requests: int
    made_s: float
    file: str | None = None
    batch: str | None = None
    ended: str = ""

    @property
    def name(self) -> str:
        """The batch's id, or its number before it has one."""
        return self.batch or f"number {self.number}"


class BatchBook:
    """All batches of a journal; what is noted is on the disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        records = [BatchRecord(**record) for record in journal.fact("batches") or ()]
        self._records = {record.number: record for record in records}

    @property
    def open(self) -> list[BatchRecord]:
        """Those not read yet, in the order of their making."""
        return [record for record in self._records.values() if not record.ended]

    def begin(self, server: str, digest: str, keys: Sequence[bytes]) -> BatchRecord:
        """Note that a batch is about to be made, of requests with these keys."""
        number = max(self._records, default=0) + 1
        self._journal.record_fact(_requests_of(number), b"".join(keys).hex())
        token = f"{digest}-{secrets.token_hex(8)}"
        return self.note(BatchRecord(number, server, token, len(keys), time.time()))

    def note(self, record: BatchRecord) -> BatchRecord:
        """Note the new state of a batch."""
        self._records[record.number] = record
        self._journal.record_fact("batches", [asdict(entry) for entry in self._records.values()])
        return record

    def end(self, record: BatchRecord, status: str) -> None:
        """Note that a batch is read, or never came to be ("void")."""
        self.note(replace(record, ended=status))
        self._journal.record_fact(_requests_of(record.number), "")

    def keys_of(self, record: BatchRecord) -> set[bytes]:
        """Return the keys of the requests of a batch that is open."""
        content = bytes.fromhex(self._journal.fact(_requests_of(record.number)) or "")
        return {content[start : start + _KEY_BYTES] for start in range(0, len(content), _KEY_BYTES)}


def describe_open_batches(journal: Journal) -> str:
    """Return in words what an interrupted run leaves on the server; "" for nothing."""
    left = BatchBook(journal).open
    requests = sum(record.requests for record in left)
    noun = "batch" if len(left) == 1 else "batches"
    return f"{len(left):,} {noun} of {requests:,} requests at the server" if left else ""


def _requests_of(number: int) -> str:
    return f"requests of batch {number}"
