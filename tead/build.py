"""From a corpus to a TEAD folder that is ready for the Hub.

Corpus, prompts, LLM, journal; then, with no call, annotation, action units, blendshapes,
rows, Parquet, card. The second part is a pure replay: the same journal gives the same
bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from expclip.face import MAPPING_VERSION, blendshapes_from_actions
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.tead.annotate import Annotated, Progress, Rejected, fill_journal, replay_journal
from expclip.tead.corpora.core import CORE_VERSION
from expclip.tead.corpora.corpus import Corpus, read_corpus
from expclip.tead.emotions import matches_label
from expclip.tead.hub.card import write_card
from expclip.tead.llm.client import LlmOptions, OpenAIClient, Transport
from expclip.tead.llm.cost import BudgetReached, Ledger, Usage
from expclip.tead.llm.journal import Journal
from expclip.tead.offline import OFFLINE_VERSION, annotate_offline
from expclip.tead.plan import JOURNAL, OFFLINE, BuildPlan, claim
from expclip.tead.rules import split_of
from expclip.tead.schema import SourceText
from expclip.tead.writer import RejectsWriter, RowsWriter

__all__ = ["build"]

_BATCH = 4096
_log = logging.getLogger(__name__)


def build(
    out: str | Path,
    plan: BuildPlan | None = None,
    *,
    transport: Transport | None = None,
    ask: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a TEAD folder and return its manifest.

    Interrupted at any moment, the same call goes on where it stopped.

    Args:
        out: the folder; it becomes, as it is, a data set repository of the Hub.
        plan: what to build; 50,000 rows of core and grammar, if not given.
        transport: to the LLM; made from the plan if not given.
        ask: False replays the journal alone; unanswered rows become rejects.
        overwrite: replace a data set that was built by another plan.
        progress: called as the LLM's answers come in.

    Raises:
        DataError: the corpus cannot be read, or ``out`` cannot be written or holds
            another build.
        BudgetReached: the next answer may cost more than is left.
        ModelError: the LLM server cannot be reached or refuses.
    """
    plan, out = plan or BuildPlan(), Path(out)
    corpus = read_corpus(plan.corpora, plan.corpus)
    claim(out, plan, overwrite)
    if plan.llm is None:
        return _write(out, plan, corpus, _annotate_offline(corpus.texts, plan.corpus.seed))
    usage = Usage()
    with Journal(out / JOURNAL) as journal:
        results = replay_journal(corpus.texts, plan.wording, plan.llm, journal, usage)
        if ask:
            try:
                asyncio.run(_fill(corpus.texts, plan, plan.llm, transport, journal, progress))
            except KeyboardInterrupt:
                _warn_of_batches(journal, "the same command collects them")
                raise
            except BudgetReached as stop:
                rows = sum(isinstance(result, Annotated) for result in results)
                raise BudgetReached(
                    f"{stop}; {rows:,} of {len(corpus.texts):,} rows are answered: the same "
                    "command with a higher --max-cost goes on, "
                    f"expclip tead replay {out} builds what is there"
                ) from None
        return _write(out, plan, corpus, results, usage)


async def _fill(
    texts: Sequence[SourceText],
    plan: BuildPlan,
    llm: LlmOptions,
    transport: Transport | None,
    journal: Journal,
    progress: Progress | None,
) -> None:
    """Have every text answered, in the journal, by the backend that the plan names."""
    ledger = Ledger.open(journal, llm.prices, llm.max_cost)
    if llm.backend == "batch" and transport is None:
        from expclip.tead.llm.batch import OpenAIBatches, fill_journal_in_batches

        batches = OpenAIBatches(llm)
        try:
            await fill_journal_in_batches(
                texts, plan.wording, llm, batches, journal, ledger, progress
            )
        finally:
            await batches.close()
        return
    _warn_of_batches(journal, "their rows are asked, and paid for, again; --backend batch collects")
    transport = transport or _connect(llm)
    try:
        await fill_journal(texts, plan.wording, llm, transport, journal, ledger, progress)
    finally:
        await transport.close()


def _warn_of_batches(journal: Journal, what: str) -> None:
    from expclip.tead.llm.batch import describe_open_batches

    if left := describe_open_batches(journal):
        _log.warning("%s: %s", left, what)


def _connect(llm: LlmOptions) -> Transport:
    if llm.backend == "local":
        from expclip.tead.llm.local import LocalModel

        return LocalModel(llm)
    return OpenAIClient(llm)


def _annotate_offline(texts: Iterable[SourceText], seed: int) -> Iterator[Annotated | Rejected]:
    """Yield the annotation that a text brings along, or else the offline annotator's."""
    for text in texts:
        if text.annotation is not None:
            annotation, llm, made_by = text.annotation, text.source, f"core-{CORE_VERSION}"
        else:
            annotation = annotate_offline(text.text, seed=seed)
            llm, made_by = OFFLINE, f"offline-{OFFLINE_VERSION}"
        said = [annotation.emotions, annotation.au_codes, annotation.situations]
        yield Annotated(text, annotation, llm, made_by, _sha256(json.dumps(said)), attempts=1)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _write(
    out: Path,
    plan: BuildPlan,
    corpus: Corpus,
    results: Iterator[Annotated | Rejected],
    usage: Usage | None = None,
) -> dict[str, Any]:
    """Write rows, rejects, card and manifest; the manifest last, so that it vouches for all."""
    (out / "manifest.json").unlink(missing_ok=True)
    notes: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    with (
        RejectsWriter(out / "rejects.parquet") as rejects,
        RowsWriter(out, plan.config, len(corpus.texts)) as rows,
    ):
        while batch := list(islice(results, _BATCH)):
            good = [item for item in batch if isinstance(item, Annotated)]
            rejects.add([item for item in batch if isinstance(item, Rejected)])
            rows.add(_rows(good, plan))
            notes.update(_kind(note) for item in good for note in item.annotation.notes)
            hits.update(hit for item in good for hit in _label_hits(item))
        if not rows.total:
            raise DataError(
                f"{out}: none of {len(corpus.texts)} texts was annotated "
                f"({_reasons(rejects.reasons)}); nothing was written"
            )
    _remove_others(out, plan.config)
    manifest = {
        "config": plan.config,
        "content_sha256": rows.content_sha256,
        "counts": {
            "rows": rows.total,
            **rows.counts,
            "rejects": dict(sorted(rejects.reasons.items())),
            "left_out": dict(sorted(corpus.left_out.items())),
            "notes": dict(sorted(notes.items())),
        },
        "corpus": {"names": list(corpus.names), "sha256": _corpus_hash(corpus.texts)},
        "annotator": _annotator(plan, usage),
        **_usage(plan, usage),
        "parameters": _parameters(plan),
        "label_agreement": _shares(hits),
        "expclip": version("expclip"),
        "files": rows.files,
    }
    write_card(out / "README.md", manifest, rows.sample)
    with write_atomically(out / "manifest.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return manifest


def _remove_others(out: Path, config: str) -> None:
    """Remove the data of a configuration that this build has overwritten."""
    for folder in (out / "data").iterdir():
        if folder.name != config:
            shutil.rmtree(folder)
    for manifest in out.glob("manifest-*.json"):  # of augmented texts, which are no more
        manifest.unlink()


def _rows(items: Sequence[Annotated], plan: BuildPlan) -> list[dict[str, Any]]:
    faces = blendshapes_from_actions(
        [item.annotation.actions for item in items],
        strength=plan.strength,
        unmarked=plan.unmarked,
    )
    return [
        {
            "id": item.text.id,
            "text": item.text.text,
            "source": item.text.source,
            "emotions": list(item.annotation.emotions),
            "au_codes": list(item.annotation.au_codes),
            "aus": item.annotation.aus,
            "blendshapes": face,
            "situations": list(item.annotation.situations),
            "split": split_of(item.text.text),
            "labels": list(item.text.labels),
            "synthetic": item.text.synthetic,
            "llm": item.llm,
            "prompt_version": item.prompt_version,
            "reply_sha256": item.reply_sha256,
            "attempts": item.attempts,
        }
        for item, face in zip(items, faces, strict=True)
    ]


def _label_hits(item: Annotated) -> Iterator[str]:
    """Yield how the tags compare with the corpus' own labels."""
    if not item.text.labels:
        return
    yield "rows"
    if matches_label(item.annotation.emotions[:1], item.text.labels):
        yield "first_tag"
    if matches_label(item.annotation.emotions, item.text.labels):
        yield "any_tag"


def _shares(hits: Counter[str]) -> dict[str, Any] | None:
    """Return the share of labelled rows whose label is the first tag, or among the tags."""
    rows = hits["rows"]
    if not rows:
        return None
    shares = {name: round(hits[name] / rows, 4) for name in ("first_tag", "any_tag")}
    return {"rows": rows, **shares}


def _annotator(plan: BuildPlan, usage: Usage | None) -> dict[str, Any]:
    annotator = {"llm": plan.annotator, "prompt_version": plan.prompt_version}
    return annotator if usage is None else {**annotator, "served_by": sorted(usage.served_by)}


def _usage(plan: BuildPlan, usage: Usage | None) -> dict[str, Any]:
    """Return what the answers behind the rows took; a cost of None is unknown."""
    if plan.llm is None or usage is None:
        return {}
    prices = plan.llm.prices
    return {
        "usage": {
            "answers": usage.answers,
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "unmeasured": usage.unmeasured,
            "prices": prices and asdict(prices),
            "cost": usage.cost(prices),
        }
    }


def _parameters(plan: BuildPlan) -> dict[str, Any]:
    parameters = {
        "corpus": asdict(plan.corpus),
        "strength": plan.strength,
        "unmarked": plan.unmarked,
        "mapping_version": MAPPING_VERSION,
    }
    if plan.llm:
        asked = ("temperature", "seed", "max_tokens", "attempts", "single_call")
        parameters["llm"] = {name: getattr(plan.llm, name) for name in asked}
    return parameters


def _corpus_hash(texts: Sequence[SourceText]) -> str:
    return hashlib.sha256("".join(sorted(text.id for text in texts)).encode()).hexdigest()


def _kind(note: str) -> str:
    """Return what kind of note it is: the part after the thing it is about."""
    return note.rpartition(": ")[2]


def _reasons(reasons: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in reasons.most_common())
