"""From a text to its annotation: the conversation with an LLM, live and replayed.

A row's conversation is written once, as a generator that yields questions and is sent
answers. Live, the answers come from the server by way of the journal; in a replay, from
the journal alone. Both thus come to the same annotation.
"""

import asyncio
import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from expclip.face import drop_conflicts
from expclip.face.errors import ExpclipError, ParseError
from expclip.tead.llm.client import Dialect, LlmOptions, Question, Transport, read_reply
from expclip.tead.llm.cost import Ledger, Usage
from expclip.tead.llm.journal import Journal, request_key
from expclip.tead.llm.scheduler import RowRefused, Scheduler, Tally, known_dialect
from expclip.tead.parsing import parse_reply, parse_situations
from expclip.tead.prompts import Prompts
from expclip.tead.rules import check_situations, check_tags
from expclip.tead.schema import Annotation, SourceText

__all__ = ["Annotated", "Rejected", "converse", "fill_journal", "replay_journal"]

_Read = TypeVar("_Read")
Progress = Callable[[int, int, Tally], None]
"""Called with the number of rows done, of all rows, and what has happened so far."""

_ROWS_PER_SLOT = 3
"""Rows under way per request in flight: some of them always wait to ask again."""


@dataclass(frozen=True)
class Annotated:
    """A text and its annotation, with what it was read from."""

    text: SourceText
    annotation: Annotation
    llm: str
    prompt_version: str
    reply_sha256: str
    attempts: int


class Rejected(Exception):
    """A row without a usable answer: the reason in one word, and the last reply."""

    def __init__(self, text: SourceText, reason: str, message: str, reply: str = "") -> None:
        super().__init__(message)
        self.text = text
        self.reason = reason
        self.reply = reply


@dataclass
class _Transcript:
    """The replies that count, and how many questions they took."""

    replies: list[str]
    attempts: int = 0


Conversation = Generator[Question, bytes, Annotated]


def converse(text: SourceText, prompts: Prompts, options: LlmOptions) -> Conversation:
    """Ask for one row: yields questions, is sent the bodies of answers, returns the row.

    Two calls as in the paper (tags and units from the text, situations from the tags),
    or one. A bad answer is asked again, with what was wrong with it.

    Raises:
        Rejected: no usable answer in ``options.attempts`` attempts.
    """
    transcript = _Transcript([])

    def ask(name: str, fill: str, read: Callable[[str, bool], _Read]) -> "_Asking[_Read]":
        messages = prompts.messages(name, {"text": text.text, "emotions": fill})
        return _ask(text, name, messages, prompts, read, options.attempts, transcript)

    if options.single_call:
        annotation = yield from ask("single", "", _read_all)
    else:
        annotation = yield from ask("tags", "", _read_tags)
        fill = ", ".join(annotation.emotions)
        situations = yield from ask("situations", fill, _read_situations)
        annotation = replace(annotation, situations=situations)
    digest = hashlib.sha256("\0".join(transcript.replies).encode("utf-8", "replace")).hexdigest()
    return Annotated(text, annotation, options.name, prompts.version, digest, transcript.attempts)


_Asking = Generator[Question, bytes, _Read]


def _ask(
    text: SourceText,
    name: str,
    messages: tuple[dict[str, str], ...],
    prompts: Prompts,
    read: Callable[[str, bool], _Read],
    attempts: int,
    transcript: _Transcript,
) -> _Asking[_Read]:
    asked, reply = messages, ""
    for attempt in range(1, attempts + 1):
        body = yield Question(name, asked, attempt, text.id)
        transcript.attempts += 1
        reply = ""
        try:
            reply = read_reply(body)
            result = read(reply, attempt == attempts)
        except ParseError as error:
            problem = error
            if reply.strip():
                said = {"role": "assistant", "content": reply[:2000]}
                asked = (*messages, said, prompts.again(str(error)))
            else:
                asked = messages
        else:
            transcript.replies.append(reply)
            return result
    raise Rejected(text, problem.reason, str(problem), reply)


def _read_tags(reply: str, last: bool) -> Annotation:
    return replace(_checked(parse_reply(reply), last), situations=())


def _checked(annotation: Annotation, last: bool) -> Annotation:
    """Return an annotation with good tags and units, or raise what is wrong with them."""
    try:
        check_tags(annotation)
    except ParseError as error:
        if error.reason != "conflict" or not last:
            raise
        # All else is good: the weaker unit goes, and the row says so.
        kept, dropped = drop_conflicts(annotation.actions)
        notes = tuple(f"{action}: dropped, in conflict with a stronger unit" for action in dropped)
        annotation = replace(annotation, actions=kept, notes=annotation.notes + notes)
    return annotation


def _read_situations(reply: str, last: bool) -> tuple[str, ...]:
    situations = parse_situations(reply)
    check_situations(situations)
    return situations


def _read_all(reply: str, last: bool) -> Annotation:
    annotation = _checked(parse_reply(reply), last)
    check_situations(annotation.situations)
    return annotation


async def fill_journal(
    texts: Sequence[SourceText],
    prompts: Prompts,
    options: LlmOptions,
    transport: Transport,
    journal: Journal,
    ledger: Ledger | None = None,
    progress: Progress | None = None,
) -> Tally:
    """Ask a server for every row that the journal does not answer yet.

    Raises:
        BudgetReached: the next request may cost more than is left.
        ModelError: the server cannot be reached, or refuses everything.
        DataError: the journal cannot be written.
    """
    scheduler = Scheduler(transport, journal, options, ledger)
    first = next(converse(texts[0], prompts, options))
    dialect = await scheduler.find_dialect(first)
    waiting = iter(texts)
    done = 0

    async def work() -> None:
        nonlocal done
        for text in waiting:
            conversation = converse(text, prompts, options)
            await _hold(conversation, dialect, options, scheduler)
            done += 1
            if progress is not None:
                progress(done, len(texts), scheduler.tally)

    workers = min(len(texts), options.in_flight * _ROWS_PER_SLOT)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
    except ExceptionGroup as failures:
        # Not `except*`: up to Python 3.11.3 what is raised inside of it is wrapped again.
        known = failures.subgroup(ExpclipError)
        if known is None:
            raise
        raise _first(known) from None
    return scheduler.tally


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    """Return the first exception of a group, however deep it lies."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


async def _hold(
    conversation: Conversation, dialect: Dialect, options: LlmOptions, scheduler: Scheduler
) -> None:
    """Hold one conversation to its end, whatever it comes to."""
    try:
        question = next(conversation)
        while True:
            request = dialect.request(question, options)
            body = await scheduler.answer(request, question.attempt)
            question = conversation.send(body)
    except (StopIteration, Rejected, RowRefused):
        return


def replay_journal(
    texts: Iterable[SourceText],
    prompts: Prompts,
    options: LlmOptions,
    journal: Journal,
    usage: Usage | None = None,
) -> Iterator[Annotated | Rejected]:
    """Yield what the journal says of every text, in order; nothing is asked.

    A row whose question was never answered is rejected as "unanswered". What the answers
    took is added to ``usage``.
    """
    dialect = known_dialect(journal, options)
    for text in texts:
        conversation = converse(text, prompts, options)
        try:
            question = next(conversation)
            while True:
                key = request_key(dialect.request(question, options), question.attempt)
                body = journal.find(key)
                if body is None:
                    raise Rejected(text, "unanswered", journal.last_refusal(key))
                if usage is not None:
                    usage.add(body)
                question = conversation.send(body)
        except StopIteration as end:
            yield end.value
        except Rejected as rejected:
            yield rejected
