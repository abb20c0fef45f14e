"""The offline annotator's lexicon: words, phrases, emoji and cues, and how a text meets them.

The files under ``data/lexicon`` are read once into a trie of tokens. A token meets an
entry as written, or through its base: regular endings, other spellings and stretched
letters are found by rule. ``data/lexicon/README.md`` describes the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import product
from typing import NamedTuple

from expclip.face.action_units import Action, parse_action
from expclip.face.errors import DataError
from expclip.tead.emotions import prototypes

__all__ = ["CUES", "Entry", "Lexicon", "Token", "load_lexicon"]

CUES = ("negate", "unless", "scale", "contrast", "concede", "suppose", "mock")
"""What a word can do to the words near it."""

_NAME_WEIGHT = 1.6  # an emotion called by its name in the prototypes table
_MOST_KNOWN = 200_000  # words remembered, so that endless texts do not fill the memory
_BREAKS = frozenset({"^", ",", ".", "!", "?"})


@dataclass(frozen=True, slots=True)
class Entry:
    """What one word or phrase says.

    Attributes:
        weights: emotions of the prototypes table, each with a weight (1 is plain).
        actions: action units that the words describe ("rolled my eyes").
        cue: what it does to the words near it, one of ``CUES``, or "".
        factor: by how much, for the cue "scale".
    """

    weights: tuple[tuple[str, float], ...] = ()
    actions: tuple[Action, ...] = ()
    cue: str = ""
    factor: float = 1.0

    def merge(self, other: Entry) -> Entry:
        """Return an entry that says both; the larger weight counts."""
        weights = dict(self.weights)
        for emotion, weight in other.weights:
            weights[emotion] = max(weight, weights.get(emotion, 0.0))
        return Entry(
            tuple(weights.items()),
            self.actions + other.actions,
            other.cue or self.cue,
            other.factor if other.cue else self.factor,
        )


class Token(NamedTuple):
    """A word, sign or break ("^" begins a sentence) as the trie knows it."""

    forms: tuple[str, ...]  # as written first, then its bases; empty: unknown to the lexicon
    stressed: bool = False  # in capitals, or with stretched letters
    mark: str = ""  # the punctuation that ended a sentence, as written
    leads: bool = False  # an entry may begin with it


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    entry: Entry | None = None


class Lexicon:
    """The entries in a trie of tokens."""

    def __init__(self, signs: Iterable[str], forms: dict[str, str]) -> None:
        self._root = _Node()
        self._vocabulary: set[str] = set(_BREAKS)
        self._bases = {form: base for form, base in forms.items() if " " not in base}
        self._spelled = {form: base.split() for form, base in forms.items() if " " in base}
        self._known: dict[str, tuple[Token, ...]] = {}
        self._pattern = _compile(signs)
        self.size = 0
        self.scales: dict[str, float] = {}  # words of degree, with their factors

    def add(self, phrase: str, entry: Entry) -> None:
        """Add one phrase; an entry already there is merged."""
        node = self._root
        words = list(self._entry_words(phrase))
        for word in words:
            node = node.children.setdefault(word, _Node())
            self._vocabulary.add(word)
        if entry.cue == "scale" and len(words) == 1:
            self.scales[words[0]] = entry.factor
        self.size += node.entry is None
        node.entry = entry if node.entry is None else node.entry.merge(entry)

    def tokens(self, text: str) -> list[Token]:
        """Split a text; each sentence begins with "^" and ends with ".", "!" or "?"."""
        found = [_BEGIN]
        for match in self._pattern.finditer(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")):
            kind, written = match.lastgroup, match.group()
            if kind == "word" or kind == "sign":
                known = self._known.get(written)
                found += self._learn(written) if known is None else known
            elif kind == "comma":
                found.append(_COMMA)
            elif kind == "end":
                stop = "?" if "?" in written else "!" if "!" in written else "."
                if found[-1] is not _BEGIN or stop != ".":
                    found += (Token((stop,), mark=written), _BEGIN)
        if found[-1] is _BEGIN:
            found.pop()
        else:
            found.append(_STOP)
        return found

    def longest(self, tokens: list[Token], start: int) -> tuple[Entry, int] | None:
        """Return the longest entry that begins at ``start``, and where it ends.

        None where a longer one begins within it: "I am sorry" in "I am sorry to hear".
        """
        found = self._walk(tokens, start) if tokens[start].leads else None
        if found is None or found[1] - start < 2:
            return found
        words = found[1] - start - (tokens[start] is _BEGIN)
        for later in range(start + 1, found[1]):
            other = self._walk(tokens, later) if tokens[later].leads else None
            if other is not None and other[1] > found[1] and other[1] - later > words:
                return None
        return found

    def _walk(self, tokens: list[Token], start: int) -> tuple[Entry, int] | None:
        best: tuple[Entry, int] | None = None
        stack = [(self._root, start)]
        while stack:
            node, at = stack.pop()
            if node.entry is not None and (best is None or at > best[1]):
                best = node.entry, at
            if not node.children or at == len(tokens):
                continue
            token = tokens[at]
            if token is _COMMA and at > start:
                stack.append((node, at + 1))
            wild = node.children.get("*")
            if wild is not None and not _BREAKS.intersection(token.forms):
                stack.append((wild, at + 1))
            for form in reversed(token.forms):
                child = node.children.get(form)
                if child is not None:
                    stack.append((child, at + 1))
        return best

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Yield every phrase with its entry."""
        stack = [("", self._root)]
        while stack:
            phrase, node = stack.pop()
            if node.entry is not None:
                yield phrase.strip(), node.entry
            stack.extend((f"{phrase} {word}", child) for word, child in node.children.items())

    def _learn(self, written: str) -> tuple[Token, ...]:
        """Return the tokens of a word or sign, and remember them."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        tokens = []
        for word in self._spell(written):
            forms = tuple(self._find_forms(word))
            leads = not self._root.children.keys().isdisjoint((*forms, "*"))
            tokens.append(Token(forms, _is_stressed(word, written), leads=leads))
        self._known[written] = tuple(tokens)
        return tuple(tokens)

    def _spell(self, written: str) -> Iterator[str]:
        """Yield the words of one written word, in lower case: "I'm" gives "i" and "am"."""
        for word in _expand_contraction(_part_hashtag(written)):
            yield from self._spelled.get(word, (word,))

    def _entry_words(self, phrase: str) -> Iterator[str]:
        """Yield the tokens of a phrase of the lexicon; "^" and "*" stand for themselves."""
        for piece in _ANCHORS.split(phrase):
            if piece in ("^", "*"):
                yield piece
            else:
                for match in self._pattern.finditer(piece):
                    yield from self._spell(match.group().strip())

    def _find_forms(self, word: str) -> Iterator[str]:
        """Yield the words of the vocabulary that a word may stand for, nearest first."""
        seen = set()
        plain = word.lstrip("#")
        if _LAUGHTER.fullmatch(plain):
            plain = "haha"
        for spelling in (word, plain, *_squeeze(plain)):
            for form in (spelling, self._bases.get(spelling, ""), *_bases(spelling)):
                if form in self._vocabulary and form not in seen:
                    seen.add(form)
                    yield form


_ANCHORS = re.compile(r"(?:(?<= )|^)([*^])(?= |$)")
_BEGIN, _COMMA, _STOP = Token(("^",), leads=True), Token((",",)), Token((".",), mark="")

_LAUGHTER = re.compile(r"[bmw]*(?:[aeh]?h[ae]){2,}h*|(?:lo){2,}l+|j[ae](?:j[ae])+")
_CONTRACTED = {"can't": "can not", "won't": "will not", "shan't": "shall not", "let's": "let us"}
_ENDINGS = {"m": "am", "re": "are", "ve": "have", "ll": "will", "d": "would"}
_IS_HEADS = frozenset("it he she that there what who where how here this everything when".split())
_NOT_FORMS = frozenset("evening number news his this".split())


def _compile(signs: Iterable[str]) -> re.Pattern[str]:
    """Compile the tokenizer: masks and links, signs, words, sentence ends, other breaks."""
    parts = []
    for sign in sorted(signs, key=len, reverse=True):
        before = r"(?<!\w)" if sign[0].isalnum() or sign[0] == "/" else ""
        after = r"(?!\w)" if sign[-1].isalnum() else ""
        parts.append(before + re.escape(sign) + after)
    return re.compile(
        r"(?P<mask>\[\w+\]|<\w+>|https?://\S+|www\.\S+|&\w+;|@\w+|\b/?r/\w+)"
        r"|(?P<word>\#?[^\W\d_][\w]*(?:\*+\w+)*(?:'[^\W\d_]+)*|\d+\w*%?)"
        rf"|(?P<sign>{'|'.join(parts)})"
        r"|(?P<end>[.!?…][.!?…\s]*|\n+)"
        r"|(?P<comma>[,;:()\"\u2013\u2014]+|\s-+\s)",
        re.IGNORECASE,
    )


def _part_hashtag(written: str) -> str:
    """Return the word in lower case; "#SoHappy" becomes "so happy"."""
    if written[0] == "#" and _HUMP.search(written):
        return _HUMP.sub(" ", written[1:]).lower()
    return written.lower()


_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _expand_contraction(word: str) -> tuple[str, ...]:
    if "'" not in word:
        return tuple(word.split()) if " " in word else (word,)
    if word in _CONTRACTED:
        return tuple(_CONTRACTED[word].split())
    head, _, ending = word.rpartition("'")
    if word.endswith("n't"):
        return (word[:-3], "not")
    if ending == "s":
        return (head, "is") if head in _IS_HEADS else (head,)
    return (head, _ENDINGS[ending]) if ending in _ENDINGS else (word.replace("'", ""),)


def _is_stressed(word: str, written: str) -> bool:
    return (len(written) > 2 and written.isupper()) or _STRETCHED.search(word) is not None


_STRETCHED = re.compile(r"([^\W\d])\1\1")
_RUN = re.compile(r"([^\W\d])\1+")


def _squeeze(word: str) -> Iterator[str]:
    """Yield the spellings that stretched letters may hide: "soooo" -> "soo", "so"."""
    if not _STRETCHED.search(word):
        return
    runs = [match.span() for match in _RUN.finditer(word)][:4]
    for lengths in product((2, 1), repeat=len(runs)):
        pieces: list[str] = []
        end = 0
        for (first, last), length in zip(runs, lengths, strict=True):
            pieces += (word[end:first], word[first] * length)
            end = last
        yield "".join(pieces) + word[end:]


def _bases(word: str) -> Iterator[str]:
    """Yield what may be left of a word without its regular ending."""
    if len(word) < 4 or word in _NOT_FORMS:
        return
    for ending, replacements in _RULES:
        stem = word.removesuffix(ending)
        if len(stem) < len(word) and len(stem) >= 3:
            yield from (stem + letters for letters in replacements)
            if "" in replacements and ending in _DOUBLING and stem[-1] == stem[-2]:
                yield stem[:-1]


_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ies", ("y",)),
    ("ied", ("y",)),
    ("iest", ("y",)),
    ("ier", ("y",)),
    ("iness", ("y",)),
    ("ily", ("y",)),
    ("ally", ("", "al")),
    ("ness", ("",)),
    ("ing", ("", "e")),
    ("in", ("ing",)),
    ("ed", ("", "e")),
    ("est", ("", "e")),
    ("es", ("", "e")),
    ("ly", ("", "le")),
    ("s", ("",)),
)
_DOUBLING = frozenset({"ing", "ed", "est"})


_CHOICE = re.compile(r"\(([^()]*)\)")


def _expand_choices(phrase: str) -> Iterator[str]:
    """Yield every reading of "(a|b) c"; an empty choice leaves the words out."""
    match = _CHOICE.search(phrase)
    if match is None:
        yield " ".join(phrase.split())
        return
    for choice in match.group(1).split("|"):
        yield from _expand_choices(phrase[: match.start()] + choice + phrase[match.end() :])


@cache
def load_lexicon() -> Lexicon:
    """Return the lexicon of the package, read once.

    Raises:
        DataError: a line of its files cannot be read.
    """
    signs = [sign for _, line in _blocks("signs") for sign in line.split()]
    forms = {
        form: base.strip()
        for line in _lines("forms")
        for base, _, others in [line.partition(":")]
        for form in others.split()
    }
    lexicon = Lexicon([*signs, "/sarcasm", "/s"], forms)
    for name, separator in (("words", None), ("signs", None), ("phrases", ","), ("faces", ",")):
        for header, line in _blocks(name):
            entry = _parse_header(header, name)
            for item in filter(str.strip, line.split(separator)):
                for phrase in [item] if name == "signs" else set(_expand_choices(item)):
                    lexicon.add(phrase, entry)
    for header, line in _blocks("cues"):
        cue, _, factor = header.partition(" ")
        if cue not in CUES:
            raise DataError(f"cues.txt: [{header}] is not one of {', '.join(CUES)}")
        for item in filter(str.strip, line.split(",")):
            for phrase in set(_expand_choices(item)):
                lexicon.add(phrase, Entry(cue=cue, factor=float(factor or 1)))
    for emotion in prototypes():
        lexicon.add(emotion, Entry(((emotion, _NAME_WEIGHT),)))
    return lexicon


def _lines(name: str) -> Iterator[str]:
    text = files("expclip.tead").joinpath(f"data/lexicon/{name}.txt").read_text("utf-8")
    return (line for line in text.splitlines() if line and not line.startswith("# "))


def _blocks(name: str) -> Iterator[tuple[str, str]]:
    """Yield (header, line) for each line under a "[header]"."""
    header = ""
    for line in _lines(name):
        if line.startswith("[") and line.endswith("]"):
            header = line[1:-1]
        else:
            yield header, line


@cache
def _parse_header(header: str, name: str) -> Entry:
    """Parse "joy 1.4, happiness 1 | AU12C" into an entry; an empty header says nothing."""
    emotions, _, units = header.partition("|")
    weights = []
    for item in filter(str.strip, emotions.split(",")):
        emotion, _, weight = item.strip().rpartition(" ")
        if emotion not in prototypes():
            raise DataError(f"{name}.txt: [{header}] names {emotion!r}, not in prototypes.csv")
        weights.append((emotion, float(weight)))
    return Entry(tuple(weights), tuple(map(parse_action, units.split())))
