"""Corpora of emotional text: by name, from a local file, or from the Hub.

Whatever they come from, texts are repaired (mojibake, HTML entities, control
characters), put on one line, limited in length and freed of duplicates; what was
left out is counted by reason.
"""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expclip.face.errors import DataError
from expclip.face.text import is_visible
from expclip.tead.corpora.readers import FILE_SUFFIXES, CorpusOptions, read_file, read_hub
from expclip.tead.schema import SourceText

__all__ = [
    "CORE",
    "GRAMMAR",
    "Corpus",
    "CorpusOptions",
    "normalise",
    "read_corpus",
    "repair",
]

CORE = "core"
"""Name of the embedded corpus that was written and annotated row by row."""

GRAMMAR = "grammar"
"""Name of the embedded corpus made by the grammar."""

EMBEDDED_ROWS = 50_000
"""The grammar fills up to so many texts."""


@dataclass(frozen=True)
class Corpus:
    """Texts, ready to be annotated, and what was left out on the way, by reason."""

    names: tuple[str, ...]
    texts: tuple[SourceText, ...]
    left_out: dict[str, int]


def read_corpus(names: Sequence[str], options: CorpusOptions | None = None) -> Corpus:
    """Read one or more corpora, in the order given, as one.

    Args:
        names: "core"; "grammar", which fills up to 50,000 texts; a local .txt, .csv,
            .tsv, .jsonl or .parquet file; a short name ("go_emotions",
            "tweet_eval/emotion"); or any Hub data set as "owner/name" or
            "owner/name:config".
        options: how to read them.

    Raises:
        DataError: a file is missing, unreadable or empty, or a column is not found.
    """
    options = options or CorpusOptions()
    left_out: Counter[str] = Counter()
    texts: dict[str, SourceText] = {}
    for name in names:
        before = len(texts)
        for text in _read_one(name, options, EMBEDDED_ROWS - before):
            cleaned = repair(text.text, mask=options.mask)
            key = normalise(cleaned)
            if not key:
                left_out["empty"] += 1
            elif len(cleaned) > options.max_chars:
                left_out["too long"] += 1
            elif key in texts:
                left_out["duplicate"] += 1
            else:
                texts[key] = replace(text, text=cleaned)
                if options.limit and len(texts) - before >= options.limit:
                    break
        if len(texts) == before:
            raise DataError(f"{name}: no usable text found, expected at least one")
    return Corpus(tuple(map(_source_name, names)), tuple(texts.values()), dict(left_out))


def repair(text: str, *, mask: bool = False) -> str:
    """Return a text on one line, with mojibake and HTML entities undone.

    Curly quotes and full-width letters stay; control characters, marks that change the
    writing direction and lone surrogates go.
    """
    import ftfy

    text = text.encode("utf-8", "ignore").decode()  # without lone surrogates
    text = html.unescape(text) if "&" in text else text
    text = text.replace("\\n", " ")  # line ends that a corpus wrote out
    if not text.isascii():
        text = ftfy.fix_text(text, uncurl_quotes=False, fix_character_width=False)
    if not text.isprintable():
        text = "".join(" " if c.isspace() else c for c in text if is_visible(c))
    if mask:
        text = re.sub(r"(?<!\w)@\w+", "@user", text)
        text = re.sub(r"(?i)\b(?:https?://|www\.)\S+", "http", text)
    return " ".join(text.split())


def normalise(text: str) -> str:
    """Return the key by which texts count as the same: letters, digits and symbols alone.

    Case, spacing and punctuation do not matter; emoji do.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii():
        return "".join(filter(str.isalnum, folded))
    return "".join(c for c in folded if c.isalnum() or unicodedata.category(c) in ("So", "Mn"))


def _source_name(name: str) -> str:
    return Path(name).stem if _is_file(name) else name


def _is_file(name: str) -> bool:
    return Path(name).suffix.lower() in FILE_SUFFIXES or Path(name).exists()


def _read_one(name: str, options: CorpusOptions, wanted: int) -> Iterator[SourceText]:
    if name == CORE:
        from expclip.tead.corpora.core import read_core

        yield from (row.text for row in read_core())
    elif name == GRAMMAR:
        from expclip.tead.corpora.grammar import grammar_texts

        yield from grammar_texts(options.limit or max(wanted, 1), seed=options.seed)
    else:
        source = _source_name(name)
        raw = read_file(Path(name), options) if _is_file(name) else read_hub(name, options)
        for item in raw:
            yield SourceText(item.text, source, item.labels)
