"""Croissant metadata: what a TEAD repository holds, as JSON-LD for search and tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expclip.tead.augmentation.augmented import LINK_COLUMNS
from expclip.tead.hub.card import SUMMARY, is_open
from expclip.tead.hub.manifests import origin_of
from expclip.tead.schema import COLUMNS

__all__ = ["build_croissant"]

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "equivalentProperty": "cr:equivalentProperty",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The terms of Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html)."""

_PAPER = "https://doi.org/10.1609/aaai.v38i7.28594"
"""ExpCLIP, AAAI 2024: the data set that TEAD follows is described there."""

_NO_HASH = "https://github.com/mlcommons/croissant/issues/80"
"""Stands for the hash of a git repository, which has none; validators know it."""

_KINDS = {
    "aus": "sc:Integer",
    "attempts": "sc:Integer",
    "blendshapes": "sc:Float",
    "synthetic": "sc:Boolean",
    "variant": "sc:Integer",
}
_LISTS = frozenset({"emotions", "au_codes", "aus", "blendshapes", "situations", "labels"})


def build_croissant(
    manifests: Sequence[Mapping[str, Any]], repo: str, url: str, date: str
) -> dict[str, Any]:
    """Return the metadata of a repository, one record set for each configuration.

    Args:
        manifests: of the configurations.
        repo: its name, OWNER/NAME.
        url: of its page.
        date: of its first publication, as YYYY-MM-DD.
    """
    configs = [str(manifest["config"]) for manifest in manifests]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": repo.replace("/", "_"),
        "description": SUMMARY.replace("\n", " ").replace("*", ""),
        "license": _licence(manifests, url),
        "url": url,
        "citeAs": _PAPER,
        "creator": {"@type": "Organization", "name": repo.partition("/")[0]},
        "datePublished": date,
        "isAccessibleForFree": True,
        "distribution": [_repository(url), *map(_files, configs)],
        "recordSet": [_record_set(manifest, configs) for manifest in manifests],
    }


def _licence(manifests: Sequence[Mapping[str, Any]], url: str) -> str:
    return "https://creativecommons.org/licenses/by/4.0/" if is_open(manifests) else f"{url}#limits"


def _repository(url: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": "repository",
        "name": "repository",
        "description": "The git repository of the data set.",
        "contentUrl": url,
        "encodingFormat": "git+https",
        "sha256": _NO_HASH,
    }


def _files(config: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{config}",
        "name": f"files-{config}",
        "description": f"The rows of {config}; manifests/{config}.json has their hashes.",
        "containedIn": {"@id": "repository"},
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{config}/*.parquet",
    }


def _record_set(manifest: Mapping[str, Any], configs: Sequence[str]) -> dict[str, Any]:
    """Return the records of a configuration; augmented ones refer to their originals' id."""
    config, origin = str(manifest["config"]), origin_of(manifest)
    told = f"One emotional text a record, as {config} annotates it."
    links: list[dict[str, Any]] = []
    if origin is not None:
        told = f"One changed text a record; all else is as {origin} has it."
        links = [_field(config, name, meaning) for name, meaning in LINK_COLUMNS.items()]
        if origin in configs:
            links[0]["references"] = {"field": {"@id": f"{origin}/id"}}
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": told,
        "key": {"@id": f"{config}/id"},
        "field": [*(_field(config, name, what) for name, what in COLUMNS.items()), *links],
    }


def _field(config: str, name: str, meaning: str) -> dict[str, Any]:
    source = {"fileSet": {"@id": f"files-{config}"}, "extract": {"column": name}}
    return {
        "@type": "cr:Field",
        "@id": f"{config}/{name}",
        "name": f"{config}/{name}",
        "description": meaning,
        "dataType": _KINDS.get(name, "sc:Text"),
        **({"repeated": True} if name in _LISTS else {}),
        "source": source,
    }
