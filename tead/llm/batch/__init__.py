"""OpenAI's Batch API: the journal filled by files of requests that a server works off."""

from expclip.tead.llm.batch.api import BatchLimits, OpenAIBatches
from expclip.tead.llm.batch.book import describe_open_batches
from expclip.tead.llm.batch.fill import BatchTally, fill_journal_in_batches

__all__ = [
    "BatchLimits",
    "BatchTally",
    "OpenAIBatches",
    "describe_open_batches",
    "fill_journal_in_batches",
]
