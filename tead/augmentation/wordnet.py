"""WordNet's synonyms: the database files read directly, and compiled once into a table."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from expclip.face.errors import DataError
from expclip.face.files import write_atomically

__all__ = ["WordNet", "find_wordnet", "load_wordnet"]

_PARTS = ("noun", "verb", "adj", "adv")
_FILES = tuple(name for part in _PARTS for name in (f"data.{part}", f"{part}.exc"))
_TABLE_VERSION = 1
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz ")

# morphy(7WN), "Rules of detachment"
_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}


class WordNet:
    """Synonyms by part of speech, over all senses, with WordNet's own morphology.

    Args:
        table: arrays as `compile_table` makes them.
        source: where they come from, for people.
        version: hash of the source files.
    """

    def __init__(self, table: Mapping[str, np.ndarray], source: str, version: str = "") -> None:
        self.source = source
        self.version = version
        self._table = table
        self._words = _unpack(table["words"])

    def of(self, word: str) -> tuple[str, ...]:
        """Return the synonyms of a lower-case word or of its base forms, sorted."""
        found: set[str] = set()
        for part in _PARTS:
            rows, offsets, targets = self._parts[part]
            for base in self.bases(word, part):
                row = rows[base]
                found.update(self._words[i] for i in targets[offsets[row] : offsets[row + 1]])
        found.discard(word)
        return tuple(sorted(found))

    def bases(self, word: str, part: str) -> list[str]:
        """Return the base forms of a word that WordNet has as this part of speech."""
        rows, irregular = self._parts[part][0], self._irregular[part].get(word)
        if irregular is None:
            forms = [word[: len(word) - len(end)] + new for end, new in _RULES[part]
                     if word.endswith(end)]  # fmt: skip
        else:
            forms = irregular
        return [form for form in dict.fromkeys((word, *forms)) if form in rows]

    @cached_property
    def _parts(self) -> dict[str, tuple[dict[str, int], list[int], list[int]]]:
        def part(name: str) -> tuple[dict[str, int], list[int], list[int]]:
            lemmas = _unpack(self._table[f"{name}_lemmas"])
            rows = dict(zip(lemmas, range(len(lemmas)), strict=True))
            arrays = (self._table[f"{name}_{kind}"].tolist() for kind in ("offsets", "targets"))
            offsets, targets = arrays
            return rows, offsets, targets

        return {name: part(name) for name in _PARTS}

    @cached_property
    def _irregular(self) -> dict[str, dict[str, list[str]]]:
        return {
            part: {
                line.split(" ")[0]: line.split(" ")[1:]
                for line in _unpack(self._table[f"{part}_irregular"])
            }
            for part in _PARTS
        }


def find_wordnet() -> Path | None:
    """Return where this machine has WordNet's files: WordNet's own folder, or NLTK's data."""
    folders = [Path(os.environ.get("WNSEARCHDIR") or "/usr/share/wordnet")]
    nltk = [Path(name) for name in os.environ.get("NLTK_DATA", "").split(os.pathsep) if name]
    nltk += [Path.home() / "nltk_data"]
    nltk += [Path(f"/usr/{name}/nltk_data") for name in ("share", "local/share", "lib")]
    for folder in nltk:
        folders += [folder / "corpora/wordnet", folder / "corpora/wordnet.zip"]
    return next((path for path in folders if _has_files(path)), None)


def load_wordnet(path: str | Path) -> WordNet:
    """Return the synonyms of a WordNet folder (or NLTK's wordnet.zip).

    The compiled table is kept in the user's cache, under the hash of the source files.

    Raises:
        DataError: the files are missing or no WordNet database.
    """
    path = Path(path)
    try:
        files = {name: _read(path, name) for name in _FILES}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: no WordNet database ({error}), expected data.noun") from None
    digest = hashlib.sha256(f"{_TABLE_VERSION}".encode())
    for name in _FILES:
        digest.update(files[name])
    version = digest.hexdigest()[:16]
    cached = _cache_folder() / f"synonyms-{version}.npz"
    table = _read_table(cached)
    if table is None:
        table = compile_table({name: data.decode("utf-8") for name, data in files.items()}, path)
        _write_table(cached, table)
    return WordNet(table, f"WordNet in {path}", version)


def compile_table(files: Mapping[str, str], path: Path) -> dict[str, np.ndarray]:
    """Compile the text of the database files into arrays.

    Raises:
        DataError: a line is not as wndb(5WN) describes it.
    """
    synonyms: dict[str, dict[str, set[str]]] = {part: {} for part in _PARTS}
    for part in _PARTS:
        for words in _synsets(files[f"data.{part}"], f"{path}/data.{part}"):
            cleaned = list(filter(None, map(_clean, words)))
            for word in words:
                lemma = word.lower()
                if "_" not in lemma:
                    synonyms[part].setdefault(lemma, set()).update(cleaned)
    everything = sorted({target for row in synonyms.values() for all_ in row.values()
                         for target in all_})  # fmt: skip
    index = dict(zip(everything, range(len(everything)), strict=True))
    table = {"words": _pack(everything)}
    for part, rows in synonyms.items():
        lemmas = sorted(rows)
        targets = [sorted(index[t] for t in rows[lemma] - {lemma}) for lemma in lemmas]
        table[f"{part}_lemmas"] = _pack(lemmas)
        table[f"{part}_offsets"] = np.cumsum([0, *map(len, targets)], dtype=np.int32)
        table[f"{part}_targets"] = np.array([t for row in targets for t in row], np.int32)
        table[f"{part}_irregular"] = _pack(files[f"{part}.exc"].split("\n")[:-1])
    return table


def _synsets(text: str, name: str) -> Iterator[list[str]]:
    """Yield the words of every synset of a data file, without syntactic markers."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith(" "):  # the licence
            continue
        fields = line.split(" ")
        try:
            count = int(fields[3], 16)
            words = fields[4 : 4 + 2 * count : 2]
            if len(words) != count or count == 0:
                raise ValueError
        except (ValueError, IndexError):
            raise DataError(f"{name}: line {number} is no synset, see wndb(5WN)") from None
        yield [word.partition("(")[0] for word in words]


def _clean(word: str) -> str:
    """Return a lemma as EDA writes it: lower case, only letters and spaces."""
    spaced = word.lower().replace("_", " ").replace("-", " ")
    return " ".join("".join(filter(_LETTERS.__contains__, spaced)).split())


def _has_files(path: Path) -> bool:
    if path.suffix == ".zip":
        return path.is_file()
    return all((path / name).is_file() for name in _FILES)


def _read(path: Path, name: str) -> bytes:
    if path.suffix != ".zip":
        return (path / name).read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"wordnet/{name}")


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "expclip"


def _read_table(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # absent, or not whole
        return None


def _write_table(path: Path, table: Mapping[str, np.ndarray]) -> None:
    """Keep a table for the next time; a home that cannot be written only costs time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **dict(table))
    except (OSError, DataError):
        return


def _pack(words: list[str]) -> np.ndarray:
    return np.frombuffer("\n".join(words).encode(), np.uint8)


def _unpack(packed: np.ndarray) -> list[str]:
    text = packed.tobytes().decode()
    return text.split("\n") if text else []
