"""What tasks measure on: TEAD's rows, faces of recordings, pictures, speech with faces."""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int8

from expclip.face import AU_CODES, BLENDSHAPES, blendshapes_from_aus
from expclip.face.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Kind",
    "Pairing",
    "Rows",
    "TeadData",
    "au_key",
    "hash_parts",
    "read_tead_data",
    "smoke_tead",
    "text_key",
]

Kind = Literal["text", "tags", "situation"]
"""What of a row stands for its face: the text, its emotion tags, or a situation."""

_COLUMNS = ("text", "emotions", "situations", "synthetic", "aus", "blendshapes")


def text_key(text: str) -> str:
    """Return the key by which texts are one: NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def au_key(units: Int8[np.ndarray, " 36"]) -> str:
    """Return the key by which expressions are one: "AU6+AU12", or "AU0" of a still face."""
    named = [f"AU{code}" for code, shown in zip(AU_CODES, units, strict=True) if shown]
    return "+".join(named) or "AU0"


def hash_parts(*parts: bytes | str | np.ndarray) -> str:
    """Return a SHA-256 over parts, each with its length and, of arrays, type and shape."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            plain = np.ascontiguousarray(part)
            digest.update(f"{plain.dtype.str}{plain.shape}".encode())
            part = plain.tobytes()
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one split, sorted by their content.

    Attributes:
        texts: as written.
        tags: emotions, joined by a comma.
        situations: of each row, one or more.
        aus: action units, 0 or 1.
        faces: weights, 0..1.
        natural: false where a grammar made the text.
    """

    texts: tuple[str, ...]
    tags: tuple[str, ...]
    situations: tuple[tuple[str, ...], ...]
    aus: Int8[np.ndarray, "rows 36"]
    faces: Float[np.ndarray, "rows 52"]
    natural: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def expressions(self) -> tuple[str, ...]:
        """The key of each row's expression."""
        return tuple(map(au_key, self.aus))

    @cached_property
    def text_keys(self) -> tuple[str, ...]:
        """The key of each row's text."""
        return tuple(map(text_key, self.texts))

    def prompts(self, kind: Kind) -> list[tuple[str, int]]:
        """Return all that stands for a face, with its row."""
        if kind == "situation":
            return [(one, row) for row, all_ in enumerate(self.situations) for one in all_]
        return [(one, row) for row, one in enumerate(self.texts if kind == "text" else self.tags)]

    @cached_property
    def sha256(self) -> str:
        """Hash of the content, whatever the order it came in."""
        words = json.dumps([self.texts, self.tags, self.situations, self.natural])
        return hash_parts(words, self.aus.astype("<i1"), self.faces.astype("<f4"))


@dataclass(frozen=True, eq=False)
class TeadData:
    """A TEAD, as tasks and baselines see it.

    Attributes:
        name: of the configuration.
        train: what baselines learn from.
        test: what tasks measure on.
        folder: that it was read from.
    """

    name: str
    train: Rows
    test: Rows
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Pairing:
    """Distinct texts, distinct expressions, and how many rows have both.

    All are sorted by their keys. A text that several spellings share stands there in the
    first of them; an expression has the face that most of its rows have.

    Attributes:
        text_keys: distinct.
        texts: one for each key.
        face_keys: of expressions, distinct.
        faces: one for each key.
        links: (position of a text, of an expression) -> rows.
    """

    text_keys: tuple[str, ...]
    texts: tuple[str, ...]
    face_keys: tuple[str, ...]
    faces: Float[np.ndarray, "expressions 52"]
    links: Mapping[tuple[int, int], int]

    @classmethod
    def of(cls, rows: Rows, kind: Kind = "text") -> "Pairing":
        """Return the pairing of rows."""
        pairs = [(text_key(text), text, rows.expressions[row]) for text, row in rows.prompts(kind)]
        texts = {key: text for key, text, _ in sorted(pairs, reverse=True)}
        text_keys, face_keys = tuple(sorted(texts)), tuple(sorted(set(rows.expressions)))
        text_at = {key: place for place, key in enumerate(text_keys)}
        face_at = {key: place for place, key in enumerate(face_keys)}
        links = Counter((text_at[text], face_at[face]) for text, _, face in pairs)
        faces = _common_faces(rows, face_keys)
        chosen = tuple(texts[key] for key in text_keys)
        return cls(text_keys, chosen, face_keys, faces, dict(sorted(links.items())))


def _common_faces(rows: Rows, keys: Sequence[str]) -> Float[np.ndarray, "keys 52"]:
    """Return the face that most rows of each expression have; of several, the first."""
    counts: dict[str, Counter[bytes]] = {key: Counter() for key in keys}
    for key, face in zip(rows.expressions, rows.faces.astype("<f4"), strict=True):
        counts[key][face.tobytes()] += 1
    best = [min(counts[key].items(), key=lambda item: (-item[1], item[0]))[0] for key in keys]
    return np.frombuffer(b"".join(best), "<f4").reshape(-1, len(BLENDSHAPES)).astype(np.float32)


def read_tead_data(
    place: str | Path, *, config: str | None = None, revision: str | None = None
) -> TeadData:
    """Return a TEAD from a folder or, where there is none, from the Hub.

    Args:
        place: the folder, or OWNER/NAME on the Hub.
        config: which configuration; not needed where there is one annotator.
        revision: of the Hub's repository.

    Raises:
        DataError: the folder is no TEAD; there are several configurations, or not this one.
        ModelError: the Hub has no such data set, or cannot be reached.
        MissingExtra: torch is not installed, and the data set lies on the Hub.
    """
    folder = Path(place)
    if not folder.is_dir():
        from expclip.models.places import fetch_dataset

        folder = fetch_dataset(place, ["manifest*.json", "manifests/*.json"], revision)
    name = _config_of(folder, config, place)
    if folder != Path(place):
        fetch_dataset(place, [f"data/{name}/*.parquet"], revision)
    train, test = (_sorted(_read_split(folder, name, split)) for split in ("train", "test"))
    if not len(test) or not len(train):
        raise DataError(f"{place}: {name}: has no rows in train or test")
    return TeadData(name, train, test, folder)


def _config_of(folder: Path, config: str | None, place: str | Path) -> str:
    """Return the name of the configuration: the one that is asked for, or the only original."""
    from expclip.tead.folder import read_manifest
    from expclip.tead.hub.manifests import is_config_name, origin_of

    found = [
        read_manifest(path.parent, path.name)
        for path in sorted([*folder.glob("manifest*.json"), *folder.glob("manifests/*.json")])
    ]
    names = sorted({str(one["config"]) for one in found if origin_of(one) is None})
    if not names:
        raise DataError(f"{place}: not a finished TEAD (no manifest.json)")
    if config is None and len(names) > 1:
        raise DataError(f"{place}: has several configurations, name one of {', '.join(names)}")
    chosen = names[0] if config is None else config
    if chosen not in names or not is_config_name(chosen):
        raise DataError(f"{place}: no configuration {chosen!r}, expected one of {', '.join(names)}")
    return chosen


def _read_split(folder: Path, config: str, split: str) -> Iterator[tuple[Any, ...]]:
    from expclip.tead.folder import read_batches

    where = f"{folder}: {config}, {split}"
    for batch in read_batches(folder, _COLUMNS, config=config, splits=[split]):
        lists = [batch.column(name).to_pylist() for name in _COLUMNS[:4]]
        aus = _vectors(batch, "aus", len(AU_CODES), where).astype(np.int8)
        faces = _vectors(batch, "blendshapes", len(BLENDSHAPES), where)
        yield from zip(*lists, aus, faces, strict=True)


def _vectors(
    batch: "pa.RecordBatch", column: str, length: int, where: str
) -> Float[np.ndarray, "rows length"]:
    flat = batch.column(column).flatten().to_numpy(zero_copy_only=False)
    values = np.asarray(flat, np.float32)
    if values.size != len(batch) * length or not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{where}: {column} are not {length} numbers of 0 to 1 each")
    return values.reshape(-1, length)


def _sorted(found: Iterable[tuple[Any, ...]]) -> Rows:
    """Return rows in the order of their content, so that nothing depends on the files'."""
    rows = [
        (text, ", ".join(tags), tuple(situations) or (text,), aus, face, not made)
        for text, tags, situations, made, aus, face in found
    ]
    rows.sort(key=lambda row: (row[0], row[1], row[2], row[3].tobytes(), row[4].tobytes(), row[5]))
    texts, tags, situations, aus, faces, natural = zip(*rows, strict=True) if rows else [()] * 6
    return Rows(
        tuple(texts),
        tuple(tags),
        tuple(situations),
        np.array(aus, np.int8).reshape(-1, len(AU_CODES)),
        np.array(faces, np.float32).reshape(-1, len(BLENDSHAPES)),
        tuple(natural),
    )


_SMOKE_FRAMES = (
    "I feel {0} today",
    "she said it with {0}",
    "all I have left is {0}",
    "not {0}, not any more",
    "{0}, again and again",
    "the room was full of {0}",
)
_SMOKE_FACES = 24


def smoke_tead() -> TeadData:
    """Return a tiny TEAD, made in memory: few expressions, many rows of each, some texts twice.

    Texts are sentence frames around names of emotions, faces their prototypes: enough to see
    that a model and a task run, nothing to draw conclusions from.
    """
    from expclip.tead.emotions import prototypes

    emotions = [one for one in prototypes().values() if one.units][:_SMOKE_FACES]
    splits: dict[str, list[tuple[Any, ...]]] = {"train": [], "test": []}
    for number, emotion in enumerate(emotions):
        units = np.array([code in emotion.units for code in AU_CODES], np.int8)
        other = emotions[(number + 7) % len(emotions)]
        mixed = np.array([code in other.units for code in AU_CODES], np.int8)
        tags = [emotion.emotion, other.emotion, "intensity"]
        for place, frame in enumerate(_SMOKE_FRAMES):
            text = frame.format(emotion.emotion)
            split = "test" if place % 2 else "train"
            for shown in (units, units, mixed) if place == 1 else (units,) * (1 + number % 3):
                face = blendshapes_from_aus(shown, strength=0.8).astype(np.float32)
                splits[split].append((text, tags, [f"because of {text}"], True, shown, face))
    return TeadData("smoke", _sorted(splits["train"]), _sorted(splits["test"]))
