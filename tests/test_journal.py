"""The journal: what is in it is on the disk, and found again."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from expclip.face.errors import DataError
from expclip.tead.llm.journal import Answer, Journal, request_key

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "seed": 1}


def commit(journal: Journal, *answers: Answer) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*map(journal.commit, answers))

    asyncio.run(all_at_once())


def test_key_is_of_what_is_asked_and_not_of_its_limits() -> None:
    key = request_key(BODY, 1)
    assert len(key) == 32
    assert request_key({**BODY, "max_tokens": 5}, 1) == key
    assert request_key({**BODY, "max_completion_tokens": 5}, 1) == key
    assert request_key(dict(reversed(BODY.items())), 1) == key
    for other in ({**BODY, "seed": 2}, {**BODY, "model": "n"}, {**BODY, "temperature": 0.0}):
        assert request_key(other, 1) != key
    assert request_key(BODY, 2) != key


def test_answers_are_found_again_in_another_process_life(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.sqlite"
    with Journal(path) as journal:
        commit(journal, Answer(b"a", 200, b"first"), Answer(b"b", 500, b"oops"))
        commit(journal, Answer(b"a", 200, b"second"))
        journal.record_fact("dialect", {"without": ["seed"]})
    with Journal(path) as journal:
        assert journal.find(b"a") == b"first"
        assert journal.find(b"b") is None
        assert journal.last_refusal(b"b") == "HTTP 500: oops"
        assert journal.last_refusal(b"c") == "no answer came"
        assert journal.fact("dialect") == {"without": ["seed"]}
        assert journal.fact("else") is None
        assert journal.counts() == {200: 2, 500: 1}


def test_commit_returns_when_the_answer_is_on_the_disk(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        commit(journal, *(Answer(bytes([n]), 200, b"x") for n in range(100)))
        wal = (tmp_path / "journal.sqlite-wal").read_bytes()
        assert b"x" in wal  # written through, while the journal is still open
    copy = sqlite3.connect(tmp_path / "journal.sqlite")
    assert copy.execute("SELECT count(*) FROM answers").fetchone() == (100,)
    copy.close()


def test_an_answer_that_came_is_kept_though_the_run_was_stopped(tmp_path: Path) -> None:
    async def stopped(journal: Journal) -> None:
        commits = [asyncio.create_task(journal.commit(Answer(b"a", 200, b"x")))]
        await asyncio.sleep(0)  # it waits, and no writer has run yet
        for commit in commits:
            commit.cancel()
        assert journal._writer is not None
        journal._writer.cancel()

    with Journal(tmp_path / "journal.sqlite") as journal:
        asyncio.run(stopped(journal))
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.find(b"a") == b"x"
        assert journal.uncounted() == (0, 0)


def test_tokens_at_most_are_kept_beside_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        commit(journal, Answer(b"a", 200, b"x", (7, 2)), Answer(b"b", 200, b"y", (1, 1)))
        commit(journal, Answer(b"c", 200, b"z"), Answer(b"d", 500, b"no"))
    with Journal(path) as journal:
        assert journal.uncounted() == (8, 3)
        assert list(journal.good_answers()) == [b"x", b"y", b"z"]


def test_a_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        commit(journal, Answer(b"a", 200, b"x"))
        with pytest.raises(DataError, match="in use by another run"):
            Journal(path)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_text("this is not a data base at all, but quite a long text " * 100)
    with pytest.raises(DataError, match=r"journal\.sqlite: not a journal of expclip"):
        Journal(path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"Not a directory|exists"):
        Journal(tmp_path / "file" / "journal.sqlite")


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        commit(journal, Answer(b"kept", 200, b"x"))
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DataError, match=r"the disk is full; free some space and run the same"):
            commit(journal, *(Answer(bytes([n]), 200, b"x" * 5000) for n in range(9)))
        assert journal.find(b"kept") == b"x"
    with Journal(path) as journal:
        assert journal.counts() == {200: 1}
