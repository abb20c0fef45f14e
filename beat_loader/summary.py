"""Hours of an index: by speaker, language, emotion and official split."""

from collections.abc import Iterator
from dataclasses import dataclass

from expclip.beat_loader.index import BeatIndex, LeftOut, Take
from expclip.beat_loader.names import EMOTIONS, LANGUAGES
from expclip.beat_loader.overlap import Overlap, measure_overlap
from expclip.beat_loader.splits import SPLITS, official_parts
from expclip.face.errors import DataError

__all__ = ["DRIFTS_S", "Summary", "summarise"]

DRIFTS_S = 0.5
"""Ends of speech and face farther apart than this are worth a word, in seconds."""

_SEVERAL = "several"
_NO_SPLIT = "no split"


@dataclass(frozen=True, slots=True)
class Summary:
    """What an index holds, measured on the ends of its files.

    Attributes:
        overlaps: of each take that could be measured.
        left_out: what the index left out, and takes that could not be measured.
    """

    overlaps: dict[Take, Overlap]
    left_out: tuple[LeftOut, ...]

    @property
    def seconds(self) -> float:
        """All that speech and face cover together."""
        return sum(overlap.seconds for overlap in self.overlaps.values())

    @property
    def drifting(self) -> dict[Take, Overlap]:
        """The takes whose streams end more than DRIFTS_S apart, the farthest first."""
        far = [item for item in self.overlaps.items() if abs(item[1].drift_s) > DRIFTS_S]
        return dict(sorted(far, key=lambda item: -abs(item[1].drift_s)))

    def hours(self, what: str) -> dict[str, float]:
        """Return hours by "speaker", "language", "kind", "emotion" or "split", in their order."""
        hours: dict[str, float] = {}
        for take, overlap in self.overlaps.items():
            for label, seconds in _shares(what, take, overlap):
                hours[label] = hours.get(label, 0.0) + seconds / 3600
        known = (*LANGUAGES, *EMOTIONS, *SPLITS)
        order = {label: place for place, label in enumerate(known)}
        return dict(sorted(hours.items(), key=lambda item: order.get(item[0], len(order))))


def _shares(what: str, take: Take, overlap: Overlap) -> Iterator[tuple[str, float]]:
    name = take.name
    if what == "split":
        yield from _by_split(take, overlap.seconds)
        return
    labels = {
        "speaker": f"{name.speaker} {name.person}",
        "language": name.language,
        "kind": name.kind,
        "emotion": name.emotion or _SEVERAL,
    }
    yield labels[what], overlap.seconds


def _by_split(take: Take, seconds: float) -> Iterator[tuple[str, float]]:
    try:
        parts = official_parts(take.name)
    except ValueError:
        yield _NO_SPLIT, seconds
        return
    for part in parts:
        stop = seconds if part.stop_s is None else min(part.stop_s, seconds)
        yield part.split, max(0.0, stop - part.start_s)


def summarise(index: BeatIndex) -> Summary:
    """Measure every take of an index; what cannot be measured is left out, with its reason.

    Raises:
        MissingExtra: a file needs soundfile, which is not installed.
    """
    overlaps: dict[Take, Overlap] = {}
    left_out = list(index.left_out)
    for take in index.takes:
        try:
            overlaps[take] = measure_overlap(take)
        except DataError as error:
            left_out.extend(take.left_out(str(error)))
    return Summary(overlaps, tuple(left_out))
