"""From a TEAD folder to a data set repository of the Hub, in one commit.

A repository holds several configurations, one for each annotator:

data/<config>/*.parquet     rows
rejects/<config>.parquet    texts without a usable answer
manifests/<config>.json     what made them, and some rows for the card
faces/<config>.png          some of the faces
figures/<config>/*.svg      what is in it: units, emotions, lengths
README.md, croissant.json   the card and the metadata, of all configurations
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from expclip.face.errors import DataError, ModelError
from expclip.face.render import encode_png, render_contact_sheet
from expclip.tead.card import build_card
from expclip.tead.croissant import build_croissant
from expclip.tead.figures import FIGURES, Tally, draw_figures
from expclip.tead.hub import Content, HubRepo, State, content_size, is_held
from expclip.tead.schema import SPLITS, content_hash, row_digest
from expclip.tead.validate import read_manifest, read_rows

__all__ = ["Published", "publish"]

_CONFIG = re.compile(r"[A-Za-z0-9][\w.-]*")
_STALE = "dataset_info"
"""Metadata of an older `push_to_hub`, which would contradict ours."""

_SAMPLE, _FACES, _FACES_FROM = 8, 12, 2000
_SHOWN = ("text", "emotions", "au_codes")
_LONGEST = 200  # characters of a text in the card


@dataclass(frozen=True)
class Published:
    """What was published, or would be.

    Attributes:
        config: name of the configuration.
        url: of the repository's page.
        revision: the commit that holds it; empty after a dry run.
        files: bytes of each file sent, by path in the repository.
        unchanged: files that the repository held already.
        deleted: files of an earlier build of the same configuration.
        card: the README.md.
        configs: all configurations that the repository holds then, the default one first.
        checked: rows that came back from the Hub as they were built.
    """

    config: str
    url: str
    revision: str
    files: Mapping[str, int]
    unchanged: tuple[str, ...]
    deleted: tuple[str, ...]
    card: str
    configs: tuple[str, ...]
    checked: int = 0


def publish(
    folder: str | Path,
    repo: str,
    *,
    private: bool = False,
    default: bool = False,
    dry_run: bool = False,
    check: bool = True,
    token: str | None = None,
    endpoint: str | None = None,
) -> Published:
    """Publish a TEAD folder as one configuration of a data set repository.

    Other configurations stay. Readers see the repository as it was, or with all files of
    this call. Interrupted at any moment, the same call goes on where it stopped; where
    all is published already, it changes nothing.

    Args:
        folder: a finished TEAD; its ``.expclip/`` is never sent.
        repo: OWNER/NAME; made if there is none.
        private: make it private. A public one that exists is refused, not changed.
        default: load this configuration where none is named; else the first published.
        dry_run: change nothing, only tell what would be sent.
        check: read the rows back and compare them with those of the folder.
        token: of the Hub; by default the one that ``hf auth login`` or HF_TOKEN left.
        endpoint: another Hub's address.

    Raises:
        ValueError: ``repo`` is no OWNER/NAME, or the token cannot be one.
        DataError: the folder is no finished TEAD, or the repository holds another data set.
        ModelError: the Hub refuses, cannot be reached, or gives other rows back; someone
            else published at the same time.
    """
    hub = HubRepo(repo, token=token, endpoint=endpoint, writes=not dry_run)
    built = _read_folder(Path(folder))
    state = hub.state()
    if state is None:
        state = State() if dry_run else hub.create(private=private)
    if private and state.head and not state.private:
        raise ModelError(f"{repo}: is public: make it private in its settings, or name another")
    change = _plan(built, hub, state, default)
    if dry_run:
        return change.published("")
    revision = state.head
    if change.any:
        message = f"{built.config}: {len(built.rows):,} rows"
        revision = hub.commit(change.files, change.deleted, state.head, message)
    return change.published(revision, _check(hub, revision, built) if check else 0)


# What is there


@dataclass(frozen=True)
class _Built:
    """A finished folder.

    Attributes:
        manifest: with some rows under "sample".
        files: what is published of it, by path in the repository.
        rows: id and digest of each row, train first.
    """

    manifest: Mapping[str, Any]
    files: Mapping[str, Content]
    rows: Sequence[tuple[str, bytes]]

    @property
    def config(self) -> str:
        return str(self.manifest["config"])


@dataclass(frozen=True)
class _Held:
    """What a repository tells of its configurations; the default one first."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    manifests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _read_folder(folder: Path) -> _Built:
    """Read a folder, and make sure that its rows are those its manifest vouches for."""
    manifest = _complete(read_manifest(folder), f"{folder}/manifest.json")
    config = str(manifest["config"])
    rows: list[tuple[str, bytes]] = []
    sample: list[dict[str, Any]] = []
    faces: dict[str, dict[str, Any]] = {}
    tally = Tally()
    for row in read_rows(folder):
        rows.append((row["id"], row_digest(row)))
        tally.add(row)
        if len(sample) < _SAMPLE:
            sample.append({name: row[name] for name in _SHOWN} | {"text": row["text"][:_LONGEST]})
        if len(rows) <= _FACES_FROM and len(faces) < _FACES:
            faces.setdefault(row["emotions"][0], row)  # one of each emotion
    if content_hash(digest for _, digest in rows) != manifest["content_sha256"]:
        raise DataError(f"{folder}: rows are not those of manifest.json: build it again")
    paths = [
        path
        for split in SPLITS
        for path in sorted((folder / "data" / config).glob(f"{split}-*.parquet"))
    ]
    files: dict[str, Content] = {path.relative_to(folder).as_posix(): path for path in paths}
    if (folder / "rejects.parquet").is_file():
        files[f"rejects/{config}.parquet"] = folder / "rejects.parquet"
    figures = draw_figures(tally, config)
    files |= {f"figures/{config}/{name}.svg": svg.encode() for name, svg in figures.items()}
    manifest = {**manifest, "figures": list(figures), "sample": sample}
    files[f"manifests/{config}.json"] = _json(manifest)
    files[f"faces/{config}.png"] = _draw(list(faces.values()))
    return _Built(manifest, files, rows)


def _draw(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a contact sheet of some rows, as PNG."""
    faces = [np.asarray(row["blendshapes"], np.float32) for row in rows]
    captions = [f"{', '.join(row['emotions'][:2])}: {row['text'][:_LONGEST]}" for row in rows]
    return encode_png(render_contact_sheet(faces, captions, columns=4))


def _read_held(hub: HubRepo, state: State) -> _Held:
    """Read card and manifests of a repository.

    Raises:
        DataError: it holds a configuration that is none of ours.
    """
    from huggingface_hub import DatasetCard

    if "README.md" not in state.files:
        return _Held()
    text = hub.read(state.head, ["README.md"])["README.md"].decode("utf-8", "replace")
    try:
        card = DatasetCard(text, ignore_metadata_errors=True)
        metadata: dict[str, Any] = dict(vars(card.data))
        configs = sorted(
            metadata.get("configs") or (), key=lambda config: not config.get("default")
        )
        names = [str(config["config_name"]) for config in configs]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{hub.name}: the metadata of its README.md cannot be read") from None
    paths = {f"manifests/{name}.json": name for name in names}
    for path, name in paths.items():
        if not _CONFIG.fullmatch(name) or path not in state.files:
            raise DataError(
                f"{hub.name}: its configuration {name!r} was not published by expclip "
                f"(no {path}): choose another repository"
            )
    contents = hub.read(state.head, list(paths))
    return _Held(
        metadata={key: value for key, value in metadata.items() if key != _STALE},
        manifests={
            name: _parse_manifest(contents[path], f"{hub.name}/{path}", name)
            for path, name in paths.items()
        },
    )


def _parse_manifest(content: bytes, where: str, config: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        manifest = None
    manifest = _complete(manifest, where)
    if manifest["config"] != config:
        raise DataError(f"{where}: is of configuration {manifest['config']!r}")
    return manifest


def _complete(manifest: Any, where: str) -> dict[str, Any]:
    """Return a manifest, if it has all that the card tells."""
    try:
        counts, annotator = manifest["counts"], manifest["annotator"]
        numbers = [counts["rows"], *(counts[split] for split in SPLITS)]
        numbers += [*counts["rejects"].values(), *counts["left_out"].values()]
        words = [annotator["llm"], annotator["prompt_version"], *manifest["corpus"]["names"]]
        words += [manifest["content_sha256"], manifest["expclip"], manifest["config"]]
        for row in manifest.get("sample", ()):
            words += [row["text"], *row["emotions"], *row["au_codes"]]
        known = set(manifest.get("figures", ())) <= FIGURES.keys()
        sound = known and all(isinstance(number, int) for number in numbers)
        sound = sound and all(isinstance(word, str) for word in words)
        sound = sound and bool(_CONFIG.fullmatch(manifest["config"]))
    except (KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise DataError(f"{where}: not a whole manifest of TEAD: build the data set again")
    return dict(manifest)


# What is to be changed


@dataclass(frozen=True)
class _Change:
    """The difference between what a repository holds and what it shall hold."""

    built: _Built
    url: str
    files: Mapping[str, Content]
    unchanged: tuple[str, ...]
    deleted: tuple[str, ...]
    card: str
    configs: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.files or self.deleted)

    def published(self, revision: str, checked: int = 0) -> Published:
        sizes = {path: content_size(content) for path, content in self.files.items()}
        told = (self.unchanged, self.deleted, self.card, self.configs, checked)
        return Published(self.built.config, self.url, revision, sizes, *told)


def _plan(built: _Built, hub: HubRepo, state: State, default: bool) -> _Change:
    config, held = built.config, _read_held(hub, state)
    manifests = {**held.manifests, config: built.manifest}
    if default:
        manifests = {config: built.manifest, **manifests}
    card = build_card(list(manifests.values()), repo=hub.name, kept=held.metadata)
    by_name = [manifests[name] for name in sorted(manifests)]
    files = {
        **built.files,
        "croissant.json": _json(build_croissant(by_name, hub.name, hub.url, state.created)),
        "README.md": card.encode("utf-8"),
    }
    same = {path for path, content in files.items() if is_held(content, state.files.get(path))}
    mine = (f"data/{config}/", f"figures/{config}/", f"rejects/{config}.parquet")
    return _Change(
        built,
        url=hub.url,
        files={path: content for path, content in files.items() if path not in same},
        unchanged=tuple(sorted(same)),
        deleted=tuple(path for path in state.files if path.startswith(mine) and path not in files),
        card=card,
        configs=tuple(manifests),
    )


# What came of it


def _check(hub: HubRepo, revision: str, built: _Built) -> int:
    """Read the rows of a commit back, and return their number if all are as they were built."""
    paths = [path for path in built.files if path.startswith("data/")]
    with TemporaryDirectory(prefix="expclip-") as name:
        folder = Path(name)
        hub.download(revision, [*paths, f"manifests/{built.config}.json"], folder)
        (folder / f"manifests/{built.config}.json").rename(folder / "manifest.json")
        came = [(row["id"], row_digest(row)) for row in read_rows(folder)]
    wrong = [pair for pair in zip_longest(built.rows, came) if pair[0] != pair[1]]
    if wrong:
        first = next(row[0] for row in wrong[0] if row)
        raise ModelError(
            f"{hub.name}: {len(wrong):,} of {len(built.rows):,} rows came back from revision "
            f"{revision[:10]} other than they were sent, first {first}"
        )
    return len(came)


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
