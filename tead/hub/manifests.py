"""What a manifest must tell before it is published, or a card is made of it.

Wherever it comes from, a folder or the Hub, it is not trusted: whoever asks it gets
numbers where numbers belong, and names that are safe in a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from expclip.face.errors import DataError
from expclip.tead.reports.figures import FIGURES
from expclip.tead.schema import SPLITS

__all__ = ["check_manifest", "group_manifests", "is_config_name", "origin_of", "parse_manifest"]

_CONFIG = re.compile(r"[A-Za-z0-9][\w.-]*")


def is_config_name(name: str) -> bool:
    """Return whether a text can be the name of a configuration, and part of a path."""
    return _CONFIG.fullmatch(name) is not None


def origin_of(manifest: Mapping[str, Any]) -> str | None:
    """Return the configuration that an augmented one was made from; None if it is no such."""
    return manifest["augmented_from"]["config"] if "augmented_from" in manifest else None


def parse_manifest(content: bytes, where: str, config: str) -> dict[str, Any]:
    """Return the manifest of a configuration.

    Raises:
        DataError: it is none, it is not whole, or of another configuration.
    """
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        manifest = None
    manifest = check_manifest(manifest, where)
    if manifest["config"] != config:
        raise DataError(f"{where}: is of configuration {manifest['config']!r}, not {config!r}")
    return manifest


def check_manifest(manifest: Any, where: str) -> dict[str, Any]:
    """Return a manifest, if it has all that the card tells.

    Raises:
        DataError: it has not.
    """
    augmented = isinstance(manifest, dict) and "augmented_from" in manifest
    try:
        sound = _is_augmented(manifest) if augmented else _is_original(manifest)
        words = [manifest["config"], manifest["content_sha256"], manifest["expclip"]]
        sound = sound and _are_texts(words) and is_config_name(manifest["config"])
    except (KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        again = "augment" if augmented else "build the data set"
        raise DataError(f"{where}: not a whole manifest of TEAD: {again} again")
    return dict(manifest)


def _is_original(manifest: Mapping[str, Any]) -> bool:
    counts, annotator = manifest["counts"], manifest["annotator"]
    numbers = [counts["rows"], *(counts[split] for split in SPLITS)]
    numbers += [*counts["rejects"].values(), *counts["left_out"].values()]
    words = [annotator["llm"], annotator["prompt_version"], *manifest["corpus"]["names"]]
    for row in manifest.get("sample", ()):
        words += [row["text"], *row["emotions"], *row["au_codes"]]
    known = set(manifest.get("figures", ())) <= FIGURES.keys()
    return known and _are_numbers(numbers) and _are_texts(words)


def _is_augmented(manifest: Mapping[str, Any]) -> bool:
    origin, told = manifest["augmented_from"], manifest["parameters"]
    numbers = [manifest["counts"]["rows"], *manifest["counts"].values()]
    numbers += [*(manifest["counts"][split] for split in SPLITS), told["seed"], told["variants"]]
    words = [origin["config"], origin["content_sha256"]]
    if "operations" in told:
        words += [*told["operations"], told["emotion_words"], told["synonyms"]]
        if isinstance(told["operations"], str) or not 0 < told["alpha"] <= 1:
            return False
    else:
        words.append(told["augmenter"])
    for row in manifest.get("sample", ()):
        words += [row["operation"], row["original"], row["text"]]
    return _are_numbers(numbers) and _are_texts(words) and is_config_name(origin["config"])


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(type(value) is int for value in values)


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def group_manifests(manifests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return manifests in their order, but each augmented one after that of its originals.

    One whose originals are not there comes last; the first is thus never augmented, unless
    all are.
    """
    originals = [manifest for manifest in manifests if origin_of(manifest) is None]
    places = {manifest["config"]: place for place, manifest in enumerate(originals)}

    def place(manifest: Mapping[str, Any]) -> tuple[int, str]:
        origin = origin_of(manifest)
        if origin is None:
            return places[manifest["config"]], ""
        return places.get(origin, len(places)), manifest["config"]

    return sorted(manifests, key=place)
