"""Reading texts and labels, as they stand, from local files and from the Hub."""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from expclip.face.errors import DataError

__all__ = [
    "FILE_SUFFIXES",
    "GO_EMOTIONS",
    "HUB_NAMES",
    "CorpusOptions",
    "RawText",
    "read_file",
    "read_hub",
]

FILE_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")

_TEXT_COLUMNS = ("text", "tweet", "sentence", "comment", "content", "utterance", "message")
_LABEL_COLUMNS = ("emotions", "emotion", "labels", "label", "sentiment")

GO_EMOTIONS = (
    "admiration amusement anger annoyance approval caring confusion curiosity desire "
    "disappointment disapproval disgust embarrassment excitement fear gratitude grief joy love "
    "nervousness optimism pride realization relief remorse sadness surprise neutral"
).split()
_EMOINT = ("anger", "fear", "joy", "sadness")

HUB_NAMES = {
    "tweet_eval/emotion": "cardiffnlp/tweet_eval:emotion",
    "go_emotions": "google-research-datasets/go_emotions:simplified",
}
"""Short names of corpora on the Hub, as "owner/name:config"."""


@dataclass(frozen=True)
class CorpusOptions:
    """How to read a corpus.

    Attributes:
        text_column: name, or number from 1, of the column with the text; found by
            name or shape if not given.
        label_column: the same for human emotion labels.
        encoding: of local text files.
        max_chars: longer texts are left out.
        mask: replace mentions by "@user" and URLs by "http".
        split: split of a Hub data set; all of them if not given.
        limit: read at most so many texts of each corpus.
        seed: of the grammar.
    """

    text_column: str | None = None
    label_column: str | None = None
    encoding: str = "utf-8"
    max_chars: int = 1000
    mask: bool = False
    split: str | None = None
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_chars < 1:
            raise ValueError(f"max_chars must be at least 1, got {self.max_chars}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}")


@dataclass(frozen=True)
class RawText:
    """A text and its labels, unrepaired."""

    text: str
    labels: tuple[str, ...] = ()


_LabelReader = Callable[[Any], tuple[str, ...]]


def read_file(path: Path, options: CorpusOptions) -> Iterator[RawText]:
    """Yield the texts of a local file.

    Raises:
        DataError: it is missing, of an unknown kind, broken, or lacks a column.
    """
    readers: dict[str, Callable[[Path, CorpusOptions], Iterator[RawText]]] = {
        ".txt": _read_txt,
        ".csv": _read_table,
        ".tsv": _read_table,
        ".jsonl": _read_jsonl,
        ".parquet": _read_parquet,
    }
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: cannot read {path.suffix or 'a file without suffix'!r}, "
            f"expected one of {' '.join(FILE_SUFFIXES)}"
        )
    try:
        yield from reader(path, options)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(
            f"{path}: not {options.encoding} (found byte 0x{byte:02x}), "
            "name its encoding with --encoding"
        ) from None
    except LookupError:
        raise DataError(f"{path}: unknown encoding {options.encoding!r}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _read_txt(path: Path, options: CorpusOptions) -> Iterator[RawText]:
    """One text a line."""
    with path.open(encoding=options.encoding) as lines:
        for line in lines:
            yield RawText(line)


def _read_jsonl(path: Path, options: CorpusOptions) -> Iterator[RawText]:
    """One object a line."""
    with path.open(encoding=options.encoding) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise DataError(f"{path}: line {number} is not JSON") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number} is {row!r:.40}, expected an object")
            text, label = _columns(path, list(row), options)
            yield RawText(str(row[text]), _as_labels(row[label]) if label else ())


def _read_parquet(path: Path, options: CorpusOptions) -> Iterator[RawText]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from None
    text, label = _columns(path, file.schema_arrow.names, options)
    for batch in file.iter_batches(columns=[text, label] if label else [text]):
        for row in batch.to_pylist():
            yield RawText(str(row[text]), _as_labels(row[label]) if label else ())


def _read_table(path: Path, options: CorpusOptions) -> Iterator[RawText]:
    """A delimited table, with or without a header line.

    Tab-separated tables of the emotion corpora are not quoted (a lone quotation mark
    is text); comma-separated ones are.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(encoding=options.encoding, newline="") as file:
        head = file.read(65536)
        file.seek(0)
        tabs = "\t" in head.split("\n", 1)[0]
        rows: Iterator[list[str]] = csv.reader(
            file,
            delimiter="\t" if tabs else ",",
            quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        )
        try:
            yield from _parse_table(path, (row for row in rows if row), options)
        except csv.Error as error:
            raise DataError(f"{path}: not a table ({error})") from None


def _parse_table(
    path: Path, rows: Iterator[list[str]], options: CorpusOptions
) -> Iterator[RawText]:
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: the file is empty")
    names = [cell.strip().lower().lstrip("\ufeff") for cell in first]
    known = {*_TEXT_COLUMNS, *_LABEL_COLUMNS, (options.text_column or "text").lower()}
    decode: _LabelReader
    if known.intersection(names):
        text, label = _columns(path, names, options)
        columns = names.index(text), names.index(label) if label else None
        decode = _as_labels
    else:
        sample = [first, *islice(rows, 200)]
        columns, decode = _shape_of(path, sample, options)
        rows = chain(sample, rows)
    text_at, label_at = columns
    for number, row in enumerate(rows, start=1):
        if len(row) <= max(text_at, label_at or 0):
            raise DataError(
                f"{path}: row {number} has {len(row)} columns, "
                f"expected at least {max(text_at, label_at or 0) + 1}"
            )
        yield RawText(row[text_at], decode(row[label_at]) if label_at is not None else ())


def _shape_of(
    path: Path, rows: list[list[str]], options: CorpusOptions
) -> tuple[tuple[int, int | None], _LabelReader]:
    """Return (text column, label column) of a table without header, and how to read labels.

    GoEmotions (text, comma-separated label numbers, id) and EmoInt (id, text, emotion,
    intensity) are known by their shape; of any other table the wordiest column is taken.
    """
    wordiest = max(range(len(rows[0])), key=lambda column: _words(rows, column))
    if options.text_column or options.label_column:
        numbers = [str(number) for number in range(1, len(rows[0]) + 1)]
        text, label = _columns(
            path, numbers, replace(options, text_column=options.text_column or numbers[wordiest])
        )
        return (int(text) - 1, int(label) - 1 if label else None), _as_labels
    if all(len(row) == 3 and _go_emotions(row[1]) for row in rows):
        return (0, 1), _go_emotions
    if all(len(row) == 4 and row[2] in _EMOINT for row in rows):
        return (1, 2), _as_labels
    return (wordiest, None), _as_labels


def _words(rows: list[list[str]], column: int) -> int:
    return sum(len(row[column].split()) for row in rows if column < len(row))


def _go_emotions(cell: str) -> tuple[str, ...]:
    """Return the names of comma-separated GoEmotions label numbers, () if they are none."""
    numbers = cell.split(",")
    if not all(number.isascii() and number.isdigit() and int(number) < 28 for number in numbers):
        return ()
    return tuple(GO_EMOTIONS[int(number)] for number in numbers)


def _as_labels(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else str(value or "").split(",")
    return tuple(str(item).strip().lower() for item in items if str(item).strip())


def _columns(place: object, names: Sequence[str], options: CorpusOptions) -> tuple[str, str | None]:
    """Return the names of the text and label columns."""
    text = _find(place, names, options.text_column, _TEXT_COLUMNS)
    if text is None:
        raise DataError(
            f"{place}: no text column among {', '.join(names)}, name it with --text-column"
        )
    return text, _find(place, names, options.label_column, _LABEL_COLUMNS)


def _find(
    place: object, names: Sequence[str], wanted: str | None, usual: tuple[str, ...]
) -> str | None:
    folded = {name.lower(): name for name in names}
    if wanted is None:
        return next((folded[name] for name in usual if name in folded), None)
    if wanted.lower() in folded:
        return folded[wanted.lower()]
    if wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    raise DataError(f"{place}: column {wanted!r} not found, expected one of {', '.join(names)}")


def read_hub(name: str, options: CorpusOptions) -> Iterator[RawText]:
    """Yield the texts of a Hub data set; class labels become their names.

    Raises:
        DataError: it cannot be loaded, or lacks the split or a column.
    """
    import datasets

    repository, _, config = HUB_NAMES.get(name, name).partition(":")
    if repository.count("/") > 1 or re.search(r"[^\w./-]", repository):
        raise DataError(
            f"{name}: neither a file, a known corpus (core, grammar, {', '.join(HUB_NAMES)}) "
            "nor a Hub data set like 'owner/name:config'"
        )
    try:
        loaded = datasets.load_dataset(repository, config or None)
    except Exception as error:  # the library raises many kinds, all of them the user's to know
        raise DataError(
            f"{name}: not a file here, and not loaded from the Hub: {_one_line(error)}"
        ) from None
    if options.split is not None and options.split not in loaded:
        raise DataError(f"{name}: no split {options.split!r}, expected one of {', '.join(loaded)}")
    for split in [options.split] if options.split else list(loaded):
        data = loaded[split]
        text, label = _columns(name, data.column_names, options)
        names = _class_names(data.features[label]) if label else None
        for row in data.select_columns([text, label] if label else [text]):
            value: Any = row[label] if label else None
            if names is not None:
                value = [names[index] for index in (value if isinstance(value, list) else [value])]
            yield RawText(str(row[text]), _as_labels(value))


def _class_names(feature: Any) -> list[str] | None:
    """Return the names of a ClassLabel, or of a list of them; None for other features."""
    names = getattr(getattr(feature, "feature", feature), "names", None)
    return list(names) if names else None


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
