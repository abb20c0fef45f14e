"""The plan of a build: what decides its content, kept in its folder.

A build is taken up again only by the plan by which it was begun.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from expclip.face import MAPPING_VERSION
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.face.records import describe_difference
from expclip.tead.corpora.core import CORE_VERSION
from expclip.tead.corpora.corpus import CORE, GRAMMAR, CorpusOptions
from expclip.tead.corpora.grammar import GRAMMAR_VERSION
from expclip.tead.llm.client import LlmOptions
from expclip.tead.llm.cost import Prices
from expclip.tead.llm.journal import Journal
from expclip.tead.offline import OFFLINE_VERSION
from expclip.tead.prompts import Prompts

__all__ = ["JOURNAL", "OFFLINE", "BuildPlan", "claim", "read_plan"]

OFFLINE = "offline"
"""Name of the embedded annotator, in the place of an LLM's."""

_WORK = ".expclip"
"""Folder, inside the data set's, of what is not published: the journal and the plan."""

_PLAN = f"{_WORK}/plan.json"
JOURNAL = f"{_WORK}/journal.sqlite"
_SAMPLING = ("temperature", "seed", "single_call")


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
            return self.llm.name
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
        return self.wording.version

    @cached_property
    def wording(self) -> Prompts:
        """The prompts, the embedded ones if none are given."""
        return self.prompts or Prompts.load()

    def identity(self) -> dict[str, Any]:
        """Return what must not change when a build is taken up again, as JSON holds it.

        How fast and how patiently a server is asked, by which way and for how much, is
        no part of it.
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
            prices = document["prices"] and Prices(**document["prices"])
            asked = {**identity["sampling"], "attempts": document["attempts"]}
            llm = LlmOptions(model=identity["llm"], prices=prices, **asked)
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


def claim(out: Path, plan: BuildPlan, overwrite: bool) -> None:
    """Record in the folder what is built there, or refuse if it is something else.

    Raises:
        DataError: the folder holds another build, or something else, or cannot be written.
    """
    path = out / _PLAN
    identity = plan.identity()
    if not overwrite and path.is_file() and _holds_work(out):
        before = _read_document(out)["identity"]
        for name in identity:
            if before.get(name) != identity[name]:
                changed = describe_difference({name: before.get(name)}, {name: identity[name]})
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
        "prices": plan.llm and plan.llm.prices and asdict(plan.llm.prices),
        "prompts": plan.llm and dict(plan.wording.templates),
    }
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _holds_work(out: Path) -> bool:
    """Return whether a folder holds rows, or answers that were paid for."""
    journal = out / JOURNAL
    if (out / "manifest.json").is_file() or not journal.is_file():
        return (out / "manifest.json").is_file()
    with Journal(journal) as opened:
        return opened.counts().get(200, 0) > 0


def _corpus_path(name: str) -> str:
    return str(Path(name).resolve()) if Path(name).is_file() else name
