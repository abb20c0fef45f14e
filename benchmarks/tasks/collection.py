"""All tasks by id, the data that each needs, and how they are made of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from expclip.benchmarks.protocols import Skip
from expclip.benchmarks.tasks.task import Task
from expclip.face.errors import MissingExtra

if TYPE_CHECKING:
    from expclip.benchmarks.speech_data import SpeechSet
    from expclip.benchmarks.task_data import TeadData
    from expclip.benchmarks.tasks.texts import LabelledTexts
    from expclip.face import Basis

__all__ = ["CATALOGUE", "Entry", "Sources", "collect_tasks", "match_tasks"]


@dataclass(frozen=True)
class Sources:
    """Where the data of the tasks lie; what is not named is not measured.

    Attributes:
        tead: folder or Hub id.
        config: of the TEAD, where it has several.
        revision: of the TEAD on the Hub.
        sequences: folder of ARKit recordings, for reconstruction.
        beat: folder of `expclip beat build`.
        pairs: folder of sounds and ARKit recordings of one name.
        mead3d: folder of `expclip mead3d build`.
        labels: texts with labels of GoEmotions, as its own tsv.
        basis: mesh basis, for distances in millimetres (see `expclip.face.read_basis`).
        smoke: take tiny data made in memory, for every task.
    """

    tead: "str | Path | TeadData | None" = None
    config: str | None = None
    revision: str | None = None
    sequences: Path | None = None
    beat: Path | None = None
    pairs: Path | None = None
    mead3d: Path | None = None
    labels: Path | None = None
    basis: Path | None = None
    smoke: bool = False

    @cached_property
    def made(self) -> "dict[str, Task | Skip]":
        """Tasks made of these data, or why one cannot be: made once for all models."""
        return {}

    @cached_property
    def tead_data(self) -> "TeadData":
        """The TEAD, read once."""
        from expclip.benchmarks.task_data import TeadData, read_tead_data, smoke_tead

        if isinstance(self.tead, TeadData):
            return self.tead
        if self.smoke:
            return smoke_tead()
        if self.tead is None:
            raise Skip("needs a TEAD (--data)")
        return read_tead_data(self.tead, config=self.config, revision=self.revision)

    @cached_property
    def synthetic_speech(self) -> "SpeechSet":
        """The synthetic set, made once."""
        from expclip.benchmarks.speech_data import smoke_speech, synthetic_speech

        try:
            return smoke_speech() if self.smoke else synthetic_speech()
        except MissingExtra as error:
            raise Skip(str(error)) from None

    @cached_property
    def beat_speech(self) -> "SpeechSet":
        """Windows of BEAT, read once."""
        from expclip.benchmarks.speech_data import beat_speech, smoke_speech

        if self.smoke:
            return smoke_speech("beat")
        return beat_speech(_named(self.beat, "a built BEAT (--beat)"))

    @cached_property
    def paired_speech(self) -> "SpeechSet":
        """Pairs of sound and recording, read once."""
        from expclip.benchmarks.speech_data import paired_speech, smoke_speech

        if self.smoke:
            return smoke_speech("pairs")
        return paired_speech(_named(self.pairs, "sounds and recordings (--pairs)"))

    @cached_property
    def labelled(self) -> "LabelledTexts":
        """Texts with human labels, read once."""
        from expclip.benchmarks.tasks.texts import read_labels, smoke_labels

        if self.smoke:
            return smoke_labels()
        return read_labels(_named(self.labels, "texts with labels of GoEmotions (--labels)"))

    @cached_property
    def mesh_basis(self) -> "Basis":
        """The basis, read once."""
        from expclip.benchmarks.speech_data import smoke_basis
        from expclip.face import read_basis

        if self.smoke:
            return smoke_basis()
        return read_basis(_named(self.basis, "a mesh basis (--basis)"))


def _named(path: Path | None, what: str) -> Path:
    if path is None:
        raise Skip(f"needs {what}")
    return path


@dataclass(frozen=True)
class Entry:
    """A task before its data are read: its id, what it is, and how it is made."""

    id: str
    title: str
    data: str
    make: Callable[[Sources], Task]


def _retrieval(direction: str, protocol: str, kind: str = "text") -> Callable[[Sources], Task]:
    def make(sources: Sources) -> Task:
        from expclip.benchmarks.tasks.retrieval import TextRetrieval

        return TextRetrieval(sources.tead_data, direction, protocol, kind)  # type: ignore[arg-type]

    return make


def _diagonal(direction: str) -> Callable[[Sources], Task]:
    def make(sources: Sources) -> Task:
        from expclip.benchmarks.tasks.retrieval import DiagonalRetrieval

        return DiagonalRetrieval(sources.tead_data, direction)  # type: ignore[arg-type]

    return make


def _pictures(sources: Sources) -> Task:
    from expclip.benchmarks.tasks.pictures import PictureRetrieval, read_pictures, smoke_pictures

    if sources.smoke:
        return PictureRetrieval(smoke_pictures())
    return PictureRetrieval(read_pictures(_named(sources.mead3d, "a MEAD-3D (--mead3d)")))


def _regression(sources: Sources) -> Task:
    from expclip.benchmarks.tasks.faces import TextRegression

    return TextRegression(sources.tead_data)


def _reconstruction(source: str, noisy: bool) -> Callable[[Sources], Task]:
    def make(sources: Sources) -> Task:
        from expclip.benchmarks.speech_data import beat_clips, read_clips, smoke_clips
        from expclip.benchmarks.tasks.faces import (
            Reconstruction,
            faces_of_sequences,
            faces_of_tead,
        )

        if source == "tead":
            return Reconstruction(faces_of_tead(sources.tead_data), noisy)
        if sources.smoke:
            clips = smoke_clips()
        elif source == "beat":
            clips = beat_clips(_named(sources.beat, "a built BEAT (--beat)"))
        else:
            clips = read_clips(_named(sources.sequences, "ARKit recordings (--sequences)"))
        return Reconstruction(faces_of_sequences(source, clips), noisy)

    return make


def _labels(with_feeling: bool) -> Callable[[Sources], Task]:
    def make(sources: Sources) -> Task:
        from expclip.benchmarks.tasks.texts import HumanLabels

        return HumanLabels(sources.labelled, with_feeling)

    return make


def _robustness(sources: Sources) -> Task:
    from expclip.benchmarks.tasks.texts import Robustness

    return Robustness(sources.tead_data)


def _neighbourhoods(sources: Sources) -> Task:
    from expclip.benchmarks.tasks.manifold import Neighbourhoods

    return Neighbourhoods(sources.tead_data)


def _paths(sources: Sources) -> Task:
    from expclip.benchmarks.tasks.manifold import Paths

    return Paths(sources.tead_data)


def _speech(source: str, sources: Sources) -> "SpeechSet":
    made = {"synthetic": "synthetic_speech", "beat": "beat_speech", "pairs": "paired_speech"}
    found: SpeechSet = getattr(sources, made[source])
    return found


def _animation(source: str, mesh: bool) -> Callable[[Sources], Task]:
    def make(sources: Sources) -> Task:
        from expclip.benchmarks.tasks.speech import Animation

        basis = sources.mesh_basis if mesh else None
        return Animation(_speech(source, sources), basis)

    return make


def _style(source: str) -> Callable[[Sources], Task]:
    def make(sources: Sources) -> Task:
        from expclip.benchmarks.tasks.speech import STYLE_PROMPTS, StyleControl

        prompts = STYLE_PROMPTS[:2] if sources.smoke else STYLE_PROMPTS
        return StyleControl(_speech(source, sources), prompts)

    return make


def _catalogue() -> tuple[Entry, ...]:
    ways = {"t2e": "text to expression", "e2t": "expression to text"}
    entries = [
        Entry(f"tead/{way}-{protocol}", f"{words}, {protocol}", "tead", _retrieval(way, protocol))
        for protocol in ("class", "graded", "diverse", "batch32")
        for way, words in ways.items()
    ]
    entries += [
        Entry(
            f"tead/{way}-class-{kind}",
            words.replace("text", {"tags": "emotion tags", "situation": "situation"}[kind]),
            "tead",
            _retrieval(way, "class", kind),
        )
        for kind in ("tags", "situation")
        for way, words in ways.items()
    ]
    entries += [
        Entry(f"tead/{way}-diagonal", f"{words}, row against row; never ranked", "tead",
              _diagonal(way))
        for way, words in ways.items()
    ]  # fmt: skip
    entries += [
        Entry("mead3d/t2i", "text to pictures of one actor", "mead3d", _pictures),
        Entry("tead/t2e-regression", "the face of a text, by its weights", "tead", _regression),
        Entry("tead/robustness", "text to expression, the text said otherwise", "tead",
              _robustness),
        Entry("goemotions/labels", "faces of texts with a feeling, human labels", "labels",
              _labels(True)),
        Entry("goemotions/labels-all", "faces of all texts, human labels", "labels",
              _labels(False)),
        Entry("tead/neighbourhoods", "neighbours of faces and of embeddings", "tead",
              _neighbourhoods),
        Entry("tead/paths", "decoded ways between faces", "tead", _paths),
    ]  # fmt: skip
    entries += [
        Entry(
            f"{source}/reconstruction{'-noise' if noisy else ''}",
            f"faces {'with noise ' if noisy else ''}given again",
            source,
            _reconstruction(source, noisy),
        )
        for source in ("tead", "sequences", "beat")
        for noisy in (False, True)
    ]
    for source in ("synthetic", "beat", "pairs"):
        entries += [
            Entry(f"{source}/animation", "speech to motion", source, _animation(source, False)),
            Entry(f"{source}/animation-mesh", "speech to motion, on a mesh", f"{source}, basis",
                  _animation(source, True)),
            Entry(f"{source}/style", "a prompt's hold on the face of speech", source,
                  _style(source)),
        ]  # fmt: skip
    return tuple(entries)


CATALOGUE = _catalogue()
"""Every task there is."""


def match_tasks(names: Sequence[str] | None) -> tuple[Entry, ...]:
    """Return the entries of some names; ``*`` stands for anything: "tead/t2e-*".

    Raises:
        ValueError: a name is none of a task.
    """
    if names is None:
        return CATALOGUE
    for name in names:
        if not any(fnmatchcase(entry.id, name) for entry in CATALOGUE):
            known = ", ".join(entry.id for entry in CATALOGUE)
            raise ValueError(f"task {name!r}, expected some of {known}")
    return tuple(entry for entry in CATALOGUE if any(fnmatchcase(entry.id, name) for name in names))


def collect_tasks(
    sources: Sources, names: Sequence[str] | None = None
) -> tuple[list[Task], dict[str, str]]:
    """Return the tasks whose data are there, and why each of the others is left out.

    Raises:
        DataError: data that are named are not what they should be.
        ValueError: a name is none of a task.
    """
    entries = match_tasks(names)
    for entry in entries:
        if entry.id not in sources.made:
            try:
                sources.made[entry.id] = entry.make(sources)
            except Skip as reason:
                sources.made[entry.id] = reason
    found = {entry.id: sources.made[entry.id] for entry in entries}
    tasks = [one for one in found.values() if not isinstance(one, Skip)]
    return tasks, {name: str(one) for name, one in found.items() if isinstance(one, Skip)}
