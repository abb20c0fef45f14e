"""From a corpus to a TEAD folder that is ready for the Hub.

Corpus, prompts, LLM, journal; then, with no call, annotation, action units, blendshapes,
rows, Parquet, card. The second part is a pure replay: the same journal gives the same
bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from expclip.face import MAPPING_VERSION, blendshapes_from_actions
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.tead.annotate import Annotated, Progress, Rejected, fill_journal, replay_journal
from expclip.tead.card import write_card
from expclip.tead.client import LlmOptions, OpenAIClient, Transport
from expclip.tead.core import CORE_VERSION
from expclip.tead.corpus import CORE, GRAMMAR, Corpus, CorpusOptions, read_corpus
from expclip.tead.emotions import matches_label
from expclip.tead.grammar import GRAMMAR_VERSION
from expclip.tead.journal import Journal
from expclip.tead.offline import OFFLINE_VERSION, annotate_offline
from expclip.tead.prompts import Prompts
from expclip.tead.schema import SourceText
from expclip.tead.validate import split_of
from expclip.tead.writer import RejectsWriter, RowsWriter

__all__ = ["OFFLINE", "BuildPlan", "build", "read_plan"]

OFFLINE = "offline"
"""Name of the embedded annotator, in the place of an LLM's."""

_WORK = ".expclip"
"""Folder, inside the data set's, of what is not published: the journal and the plan."""

_PLAN = f"{_WORK}/plan.json"
_JOURNAL = f"{_WORK}/journal.sqlite"
_SAMPLING = ("temperature", "seed", "single_call")
_BATCH = 4096


@dataclass(frozen=True)
class BuildPlan:
    """What decides the content of a TEAD.

    Attributes:
        corpora: names or files, as `read_corpus` takes them.
        corpus: how they are read.
        llm: who annotates, and how it is asked; None for the corpora's own annotations,
            and the offline annotator where there are none.
        prompts: how an LLM is asked; the embedded ones if not given.
        strength: multiplies every action unit on its way to blendshapes.
        unmarked: strength of a unit given without intensity letter.
    """

    corpora: tuple[str, ...] = (CORE, GRAMMAR)
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    llm: LlmOptions | None = None
    prompts: Prompts | None = None
    strength: float = 1.0
    unmarked: float = 1.0

    def __post_init__(self) -> None:
        if not self.corpora:
            raise ValueError("corpora must name at least one corpus")
        for name in ("strength", "unmarked"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")

    @property
    def annotator(self) -> str:
        """Name of the LLM; without one, "offline", "core", or "core-offline" for both."""
        if self.llm:
            return self.llm.model
        own, others = CORE in self.corpora, set(self.corpora) - {CORE}
        return "-".join([CORE] * own + [OFFLINE] * bool(others))

    @property
    def config(self) -> str:
        """Name of the data set's configuration: the annotator's, fit for a path."""
        return re.sub(r"[^a-z0-9]+", "-", self.annotator.lower()).strip("-") or "llm"

    @property
    def prompt_version(self) -> str:
        """Version of what decides the rows: the prompts, or what is embedded."""
        if self.llm is None:
            return f"core-{CORE_VERSION} offline-{OFFLINE_VERSION} grammar-{GRAMMAR_VERSION}"
        return (self.prompts or Prompts.load()).version

    def identity(self) -> dict[str, Any]:
        """Return what must not change when a build is taken up again, as JSON holds it.

        How fast and how patiently a server is asked is no part of it.
        """
        sampling = self.llm and {name: getattr(self.llm, name) for name in _SAMPLING}
        identity = {
            "llm": self.annotator,
            "prompt_version": self.prompt_version,
            "sampling": sampling,
            "corpora": [_corpus_path(name) for name in self.corpora],
            "corpus": asdict(self.corpus),
            "strength": self.strength,
            "unmarked": self.unmarked,
            "mapping_version": MAPPING_VERSION,
        }
        return dict(json.loads(json.dumps(identity)))


def read_plan(out: str | Path) -> BuildPlan:
    """Return the plan by which a folder was built, or begun.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    document = _read_document(Path(out))
    try:
        identity, llm = document["identity"], None
        if identity["sampling"] is not None:
            asked = {**identity["sampling"], "attempts": document["attempts"]}
            llm = LlmOptions(model=identity["llm"], **asked)
        return BuildPlan(
            corpora=tuple(identity["corpora"]),
            corpus=CorpusOptions(**identity["corpus"]),
            llm=llm,
            prompts=document["prompts"] and Prompts(document["prompts"]),
            strength=identity["strength"],
            unmarked=identity["unmarked"],
        )
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{out}/{_PLAN}: not the plan of a build") from None


def _read_document(out: Path) -> dict[str, Any]:
    path = out / _PLAN
    try:
        document = json.loads(path.read_text("utf-8"))
        return {**document, "identity": dict(document["identity"])}
    except FileNotFoundError:
        raise DataError(f"{out}: no build was begun here (no {_PLAN})") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not the plan of a build") from None


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
        ModelError: the LLM server cannot be reached or refuses.
    """
    plan, out = plan or BuildPlan(), Path(out)
    corpus = read_corpus(plan.corpora, plan.corpus)
    _claim(out, plan, overwrite)
    if plan.llm is None:
        return _write(out, plan, corpus, _annotate_offline(corpus.texts, plan.corpus.seed))
    prompts = plan.prompts or Prompts.load()
    with Journal(out / _JOURNAL) as journal:
        if ask:
            asyncio.run(_fill(corpus, prompts, plan.llm, transport, journal, progress))
        return _write(out, plan, corpus, replay_journal(corpus.texts, prompts, plan.llm, journal))


async def _fill(
    corpus: Corpus,
    prompts: Prompts,
    llm: LlmOptions,
    transport: Transport | None,
    journal: Journal,
    progress: Progress | None,
) -> None:
    transport = transport or OpenAIClient(llm)
    try:
        await fill_journal(corpus.texts, prompts, llm, transport, journal, progress)
    finally:
        await transport.close()


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


def _corpus_path(name: str) -> str:
    return str(Path(name).resolve()) if Path(name).is_file() else name


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _claim(out: Path, plan: BuildPlan, overwrite: bool) -> None:
    """Record in the folder what is built there, or refuse if it is something else."""
    path = out / _PLAN
    identity = plan.identity()
    if not overwrite and path.is_file() and _holds_work(out):
        before = _read_document(out)["identity"]
        for name in identity:
            if before.get(name) != identity[name]:
                changed = _difference(name, before.get(name), identity[name])
                raise DataError(
                    f"{out}: holds a build with {changed}: "
                    "choose another folder, or replace it with --overwrite"
                )
    elif not overwrite and not path.is_file() and out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: not empty, and no build of expclip: choose another folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made: {error.strerror}") from None
    document = {
        "identity": identity,
        "attempts": plan.llm and plan.llm.attempts,
        "prompts": plan.llm and dict((plan.prompts or Prompts.load()).templates),
    }
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _holds_work(out: Path) -> bool:
    """Return whether a folder holds rows, or answers that were paid for."""
    journal = out / _JOURNAL
    if (out / "manifest.json").is_file() or not journal.is_file():
        return (out / "manifest.json").is_file()
    with Journal(journal) as opened:
        return opened.counts().get(200, 0) > 0


def _difference(name: str, before: Any, now: Any) -> str:
    """Return in words what differs; of records, their first differing field."""
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(key for key in now if before.get(key) != now[key])
        before, now = before.get(name), now[name]
    return f"{name} {before!r}, now it is {now!r}"


def _write(
    out: Path,
    plan: BuildPlan,
    corpus: Corpus,
    results: Iterator[Annotated | Rejected],
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
        "annotator": {"llm": plan.annotator, "prompt_version": plan.prompt_version},
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
