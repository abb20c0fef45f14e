"""What the rows of a data set ask next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from expclip.tead.annotate import Rejected, converse
from expclip.tead.llm.client import Dialect, LlmOptions
from expclip.tead.llm.journal import Journal, request_key
from expclip.tead.prompts import Prompts
from expclip.tead.schema import SourceText

__all__ = ["Request", "Rows"]

Request = tuple[bytes, Mapping[str, Any]]
"""The key of a request, and its body."""


class Rows:
    """The conversations of all texts, as far as the journal answers them."""

    def __init__(
        self,
        texts: Sequence[SourceText],
        prompts: Prompts,
        options: LlmOptions,
        dialect: Dialect,
        journal: Journal,
    ) -> None:
        self._texts = texts
        self._prompts = prompts
        self._options = options
        self._dialect = dialect
        self._journal = journal
        self._ended = bytearray(len(texts))

    @property
    def done(self) -> int:
        """Number of conversations that have come to an end."""
        return sum(self._ended)

    async def pending(self) -> AsyncIterator[Request]:
        """Yield what each conversation asks next."""
        for number, text in enumerate(self._texts):
            if number % 256 == 0:
                await asyncio.sleep(0)  # an interrupt comes through here
            if self._ended[number]:
                continue
            request = self._next_request(text)
            if request is None:
                self._ended[number] = True
            else:
                yield request

    def _next_request(self, text: SourceText) -> Request | None:
        conversation = converse(text, self._prompts, self._options)
        try:
            question = next(conversation)
            while True:
                body = self._dialect.request(question, self._options)
                key = request_key(body, question.attempt)
                answer = self._journal.find(key)
                if answer is None:
                    return key, body
                question = conversation.send(answer)
        except (StopIteration, Rejected):
            return None
