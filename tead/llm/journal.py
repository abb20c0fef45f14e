"""The journal: every answer of an LLM server, on disk before anything reads it.

One SQLite file in WAL mode. Answers are kept under the identity of the request, a hash
of what was asked; a good answer is thus found again whatever later changes in retry
rules, parser or mapping. Writes are grouped: all answers that arrive while one commit
is on its way to the disk share the next.
"""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expclip.face.errors import DataError

__all__ = ["Answer", "Journal", "request_key"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY,
    key BLOB NOT NULL,       -- SHA-256 of what was asked
    status INTEGER NOT NULL, -- HTTP status
    body BLOB NOT NULL       -- as the server sent it
);
CREATE INDEX IF NOT EXISTS answers_by_key ON answers (key, status);
CREATE TABLE IF NOT EXISTS uncounted ( -- good answers whose tokens the server did not count
    key BLOB NOT NULL,
    tokens_in INTEGER NOT NULL, -- at most
    tokens_out INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer.

    Attributes:
        key: of its request.
        status: HTTP status.
        body: as sent.
        most: tokens (in, out) it took at most, if good and not counted by the server.
    """

    key: bytes
    status: int
    body: bytes
    most: tuple[int, int] | None = None


def request_key(body: Mapping[str, Any], attempt: int) -> bytes:
    """Return the identity of a request: SHA-256 of its body and the attempt.

    What does not change what is asked has no part in it: the limit of tokens.
    """
    asked = {key: value for key, value in body.items() if key not in _LIMITS}
    canonical = json.dumps([asked, attempt], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).digest()


_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})


class Journal:
    """The answers of one data set's LLM, in one file.

    Raises:
        DataError: the file cannot be opened, is no journal, is in use by another
            process, or (when writing) the disk is full or read-only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[tuple[Answer, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            # Exclusive: two runs on one folder would ask, and pay, twice.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # a commit is on the disk
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._failure(error) from None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._waiting:  # the run was stopped between an answer and its commit
                self._write([answer for answer, _ in self._waiting])
        except DataError:
            if kind is None:
                raise
        finally:
            self._db.close()

    def fact(self, name: str) -> Any:
        """Return what was recorded under a name, or None."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def record_fact(self, name: str, value: Any) -> None:
        """Record a JSON value under a name, for good."""
        row = (name, json.dumps(value, sort_keys=True))
        try:
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", row)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def find(self, key: bytes) -> bytes | None:
        """Return the body of the first good answer (status 200) to a request, or None."""
        row = self._db.execute(
            "SELECT body FROM answers WHERE key = ? AND status = 200 ORDER BY number LIMIT 1",
            (key,),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def last_refusal(self, key: bytes) -> str:
        """Return what the server last said to a request that it did not answer well."""
        row = self._db.execute(
            "SELECT status, body FROM answers WHERE key = ? ORDER BY number DESC LIMIT 1", (key,)
        ).fetchone()
        if row is None:
            return "no answer came"
        return f"HTTP {row[0]}: {bytes(row[1])[:300].decode('utf-8', 'replace')}"

    def counts(self) -> dict[int, int]:
        """Return the number of answers kept, by HTTP status."""
        rows = self._db.execute("SELECT status, count(*) FROM answers GROUP BY 1 ORDER BY 1")
        return dict(rows.fetchall())

    def good_answers(self) -> Iterator[bytes]:
        """Yield the body of every answer of status 200, as they came."""
        rows = self._db.execute("SELECT body FROM answers WHERE status = 200 ORDER BY number")
        for (body,) in rows:
            yield body

    def uncounted(self) -> tuple[int, int]:
        """Return the tokens (in, out) at most of all answers that the server did not count."""
        total = "SELECT coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0) FROM uncounted"
        tokens_in, tokens_out = self._db.execute(total).fetchone()
        return tokens_in, tokens_out

    async def commit(self, answer: Answer) -> None:
        """Keep an answer; returns when it is on the disk."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((answer, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        await done

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._write, [answer for answer, _ in batch])
            except DataError as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    def _write(self, answers: list[Answer]) -> None:
        rows = [(answer.key, answer.status, answer.body) for answer in answers]
        uncounted = [(answer.key, *answer.most) for answer in answers if answer.most]
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO answers (key, status, body) VALUES (?, ?, ?)", rows)
            self._db.executemany("INSERT INTO uncounted VALUES (?, ?, ?)", uncounted)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> DataError:
        reason = str(error)
        if "locked" in reason:
            reason = "in use by another run"
        elif "not a database" in reason:
            reason = "not a journal of expclip"
        elif "unable to open" in reason or "readonly" in reason:
            reason = "the folder cannot be written"
        elif "full" in reason:
            reason = "the disk is full; free some space and run the same command again"
        elif isinstance(error, OSError):
            reason = error.strerror or reason
        return DataError(f"{self.path}: {reason}")
