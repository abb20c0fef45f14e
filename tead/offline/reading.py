"""Reading the emotions of a text by its words: what the offline annotator knows of a text.

Each word or phrase of the lexicon adds its weights, changed by the words near it:
negation, degree, contrast, supposition, mockery, questions and stress.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from expclip.face.action_units import Action
from expclip.tead.offline.lexicon import Entry, Lexicon, Token, load_lexicon

__all__ = ["Reading", "Relation", "read_text", "relations"]

# The constants below are judgement, not fitted to any corpus.
_NEGATION_REACH = 4  # tokens after "not"
_SCALE_REACH = 3  # tokens after "very"
_WITHIN = 0.5  # of a word of degree that is part of the phrase: "so much fun"
_STRESS = 1.3  # capitals, stretched letters
_EXCLAMATION = 0.1  # a mark, up to three
_BEFORE_BUT, _AFTER_BUT = 0.55, 1.25
_SUPPOSED = 0.5
_ASKED = 0.7  # feelings named within a question
_NEGATED = (0.85, 0.5)  # what "not happy" suggests, strongest first
_SWORN = 0.3  # what is left of a swear word before a feeling: "fucking great"
_REPEATED = 0.5  # the same entry again: "haha haha haha"
_COMPOUND = 1.05  # of the weaker part's evidence
_COGNITIVE = frozenset(
    "curiosity confusion interest surprise doubt skepticism caring shock realization".split()
)


@dataclass(frozen=True, slots=True)
class Relation:
    """How an emotion stands to others.

    Attributes:
        valence: "+", "-" or "0".
        neighbours: its nearest relatives, nearest first.
        negated: what its negation suggests ("not happy"), strongest first.
    """

    valence: str
    neighbours: tuple[str, ...]
    negated: tuple[str, ...]


@cache
def relations() -> dict[str, Relation]:
    """Return the relations of the 105 emotions."""
    text = files("expclip.tead").joinpath("data/relations.csv").read_text("utf-8")
    return {
        row["emotion"]: Relation(
            row["valence"], tuple(row["neighbours"].split(";")), tuple(row["negated"].split(";"))
        )
        for row in csv.DictReader(text.splitlines())
    }


@dataclass(frozen=True, slots=True)
class Reading:
    """What the words of a text say.

    Attributes:
        scores: evidence by emotion; 1 is one plain word, unmodified.
        actions: action units that the text describes.
        questions: how many sentences end with a question mark.
        negations: how many negators were met.
        addressed: the text speaks to someone ("you").
    """

    scores: dict[str, float]
    actions: tuple[Action, ...]
    questions: int
    negations: int
    addressed: bool


@dataclass(slots=True)
class _Hit:
    entry: Entry
    factor: float
    negated: bool


@dataclass(slots=True)
class _Reader:
    """The state of reading one text, left to right."""

    lexicon: Lexicon
    hits: list[_Hit] = field(default_factory=list)
    sentence: int = 0  # index of the first hit of this sentence
    clause: float = 1.0
    negated: bool = False
    negation_ends: int = 0
    scale: float = 1.0
    scale_ends: int = 0
    sworn: _Hit | None = None  # the intensifier is itself a hit
    mocking: bool = False
    questions: int = 0
    negations: int = 0
    doubled: int = 0  # "?!", "??"

    def read(self, tokens: list[Token]) -> None:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            found = self.lexicon.longest(tokens, at) if token.leads else None
            if found is None:
                self._pass(token, at)
                at += 1
                continue
            entry, end = found
            self._meet(entry, at, tokens[at:end])
            if tokens[end - 1].mark:
                self._end_sentence(tokens[end - 1].mark)
            at = end

    def _pass(self, token: Token, at: int) -> None:
        if token.mark or token.forms == (".",):
            self._end_sentence(token.mark)
        elif token.forms == (",",):
            self.negated = False
            self.clause = max(self.clause, 1.0)
        elif token.stressed and at < self.scale_ends:
            self.scale *= _STRESS

    def _meet(self, entry: Entry, at: int, tokens: list[Token]) -> None:
        end, stressed = at + len(tokens), any(token.stressed for token in tokens)
        negated = self.negated and at < self.negation_ends
        if entry.weights or entry.actions:
            factor = self.clause * (_STRESS if stressed else 1.0)
            if at < self.scale_ends:
                factor *= self.scale
                if self.sworn is not None:
                    self.sworn.factor *= _SWORN
            if len(tokens) > 1:
                for token in tokens:
                    scale = self.lexicon.scales.get(token.forms[0] if token.forms else "", 1.0)
                    factor *= 1 + _WITHIN * (scale - 1)
            if any(hit.entry is entry for hit in self.hits):
                factor *= _REPEATED
            hit = _Hit(entry, factor, negated)
            self.hits.append(hit)
            self.scale, self.scale_ends, self.sworn = 1.0, 0, None
        if entry.cue:
            self._heed(entry, end, stressed)

    def _heed(self, entry: Entry, end: int, stressed: bool) -> None:
        match entry.cue:
            case "negate":
                self.negations += 1
                self.negated = not (self.negated and end <= self.negation_ends)
                self.negation_ends = end + _NEGATION_REACH
            case "scale":
                running = self.scale if end <= self.scale_ends else 1.0
                self.scale = min(running * entry.factor * (_STRESS if stressed else 1.0), 3.0)
                self.scale_ends = end + _SCALE_REACH
                self.sworn = self.hits[-1] if entry.weights else None
            case "contrast":
                for hit in self.hits[self.sentence :]:
                    hit.factor *= _BEFORE_BUT
                self.clause, self.negated = _AFTER_BUT, False
            case "concede" | "suppose":
                self.clause = _SUPPOSED
            case "mock":
                self.mocking = True

    def _end_sentence(self, mark: str) -> None:
        hits = self.hits[self.sentence :]
        for hit in hits:
            hit.factor *= 1 + _EXCLAMATION * min(mark.count("!"), 3)
        if "?" in mark:
            self.questions += 1
            self.doubled += len(mark.strip()) > 1
            for hit in hits:
                if not any(emotion in _COGNITIVE for emotion, _ in hit.entry.weights):
                    hit.factor *= _ASKED
        self.sentence = len(self.hits)
        self.clause, self.negated, self.scale, self.scale_ends = 1.0, False, 1.0, 0
        self.sworn = None

    def scores(self) -> dict[str, float]:
        """Return the evidence of all hits, of the questions and of mockery."""
        scores: dict[str, float] = {}

        def add(emotion: str, weight: float) -> None:
            scores[emotion] = scores.get(emotion, 0.0) + weight

        for hit in self.hits:
            for emotion, weight in hit.entry.weights:
                if not hit.negated:
                    add(emotion, weight * hit.factor)
                    continue
                for other, share in zip(relations()[emotion].negated, _NEGATED, strict=False):
                    add(other, weight * hit.factor * share)
        if self.questions:
            add("curiosity", 0.8)
            add("interest", 0.2)
            add("confusion", 0.3 + 0.2 * min(self.questions - 1, 2))
        if self.doubled:
            add("surprise", 0.5)
            add("confusion", 0.3)
        return _mock(scores) if self.mocking else _compound(scores)


def _compound(scores: dict[str, float]) -> dict[str, float]:
    """Add the compound emotions ("sadly angry") whose two parts are both well evidenced."""
    parts: dict[str, float] = {}
    for emotion, weight in scores.items():
        family = _FAMILY.get(emotion)
        if family is not None:
            parts[family] = max(weight, parts.get(family, 0.0))
    if len(parts) < 2:
        return scores
    for emotion, (one, other) in _COMPOUNDS.items():
        weight = _COMPOUND * min(parts.get(one, 0.0), parts.get(other, 0.0))
        if weight > scores.get(emotion, 0.0) and weight >= _COMPOUND:
            scores[emotion] = weight
    return scores


_FAMILY = {
    emotion: family
    for family, emotions in {
        "happy": "joy happiness amusement laughter elation",
        "surprised": "surprise shock",
        "disgusted": "disgust revulsion",
        "angry": "anger rage fury",
        "fearful": "fear terror horror panic",
        "sad": "sadness sorrow grief crying",
    }.items()
    for emotion in emotions.split()
}
_COMPOUNDS = {
    "happily surprised": ("happy", "surprised"),
    "happily disgusted": ("happy", "disgusted"),
    "disgustedly surprised": ("disgusted", "surprised"),
    "angrily surprised": ("angry", "surprised"),
    "angrily disgusted": ("angry", "disgusted"),
    "fearfully surprised": ("fearful", "surprised"),
    "fearfully disgusted": ("fearful", "disgusted"),
    "fearfully angry": ("fearful", "angry"),
    "sadly surprised": ("sad", "surprised"),
    "sadly fearful": ("sad", "fearful"),
    "sadly disgusted": ("sad", "disgusted"),
    "sadly angry": ("sad", "angry"),
}
"""The compound emotions of Du, Tao & Martinez (2014), of two families each."""


def _mock(scores: dict[str, float]) -> dict[str, float]:
    """Turn what praise there is into annoyance and contempt."""
    table = relations()
    praise = sum(weight for emotion, weight in scores.items() if table[emotion].valence == "+")
    turned = {emotion: w for emotion, w in scores.items() if table[emotion].valence != "+"}
    for emotion, weight in (("annoyance", 1.2), ("contempt", 0.7), ("disappointment", 0.5)):
        turned[emotion] = turned.get(emotion, 0.0) + weight * (1 + 0.2 * praise)
    return turned


def read_text(text: str) -> Reading:
    """Read a text with the package's lexicon."""
    lexicon = load_lexicon()
    tokens = lexicon.tokens(text)
    reader = _Reader(lexicon)
    reader.read(tokens)
    return Reading(
        reader.scores(),
        tuple(action for hit in reader.hits if not hit.negated for action in hit.entry.actions),
        reader.questions,
        reader.negations,
        any(form in ("you", "your") for token in tokens for form in token.forms[:1]),
    )
