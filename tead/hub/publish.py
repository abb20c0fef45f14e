"""From a TEAD folder to a data set repository of the Hub, in one commit.

A repository holds several configurations, one for each annotator, and what was augmented
from it, which has rows and a manifest alone (its faces are the annotator's):

data/<config>/*.parquet     rows
manifests/<config>.json     what made them, and some rows for the card
rejects/<config>.parquet    texts without a usable answer
faces/<config>.png          some of the faces
figures/<config>/*.svg      what is in it: units, emotions, lengths
README.md, croissant.json   the card and the metadata, of all configurations
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from expclip.face.errors import DataError, ModelError
from expclip.tead.augmentation.lineage import Originals
from expclip.tead.folder import read_rows
from expclip.tead.hub.card import build_card
from expclip.tead.hub.croissant import build_croissant
from expclip.tead.hub.manifests import group_manifests, is_config_name, origin_of, parse_manifest
from expclip.tead.hub.parcel import Parcel, encode_json, find_fault, read_parcel
from expclip.tead.hub.repository import Content, HubRepo, State, content_size, is_held
from expclip.tead.schema import row_digest

__all__ = ["Published", "publish"]

_STALE = "dataset_info"
"""Metadata of an older `push_to_hub`, which would contradict ours."""


@dataclass(frozen=True)
class Published:
    """What was published, or would be.

    Attributes:
        config: name of the configuration.
        augmented: names of the augmented configurations that came with it.
        url: of the repository's page.
        revision: the commit that holds it; empty after a dry run.
        files: bytes of each file sent, by path in the repository.
        unchanged: files that the repository held already.
        deleted: files of an earlier build of the same configurations, and all of those
            that are `removed`.
        removed: augmented configurations that the repository held and the folder does not.
        card: the README.md.
        configs: all configurations that the repository holds then, the default one first.
        checked: rows that came back from the Hub as they were built.
    """

    config: str
    augmented: tuple[str, ...]
    url: str
    revision: str
    files: Mapping[str, int]
    unchanged: tuple[str, ...]
    deleted: tuple[str, ...]
    removed: tuple[str, ...]
    card: str
    configs: tuple[str, ...]
    checked: int = 0


def publish(
    folder: str | Path,
    repo: str,
    *,
    private: bool = False,
    default: bool = False,
    augmented: bool = True,
    dry_run: bool = False,
    check: bool = True,
    token: str | None = None,
    endpoint: str | None = None,
) -> Published:
    """Publish a TEAD folder: its configuration, and those augmented from it.

    What other folders have published stays. Readers see the repository as it was, or with
    all files of this call. Interrupted at any moment, the same call goes on where it
    stopped; where all is published already, it changes nothing.

    Args:
        folder: a finished TEAD; its ``.expclip/`` is never sent.
        repo: OWNER/NAME; made if there is none.
        private: make it private. A public one that exists is refused, not changed.
        default: load this configuration where none is named; else the first published. An
            augmented one never is.
        augmented: publish the augmented configurations too, and remove those of the same
            original that the folder holds no longer. If not, the repository's stay as they
            are, as long as they were made from the very rows that are published.
        dry_run: change nothing, only tell what would be sent.
        check: read the rows back and compare them with those of the folder.
        token: of the Hub; by default the one that ``hf auth login`` or HF_TOKEN left.
        endpoint: another Hub's address.

    Raises:
        ValueError: ``repo`` is no OWNER/NAME, or the token cannot be one.
        DataError: the folder is no finished TEAD or breaks a rule of `validate`; the
            repository holds another data set, or another configuration of the same name.
        ModelError: the Hub refuses, cannot be reached, or gives other rows back; someone
            else published at the same time.
    """
    hub = HubRepo(repo, token=token, endpoint=endpoint, writes=not dry_run)
    parcel = read_parcel(Path(folder), augmented=augmented)
    state = hub.state()
    if state is None:
        state = State() if dry_run else hub.create(private=private)
    if private and state.head and not state.private:
        raise ModelError(f"{repo}: is public: make it private in its settings, or name another")
    change = _plan(parcel, hub, state, default=default, augmented=augmented)
    if dry_run:
        return change.published("")
    revision = state.head
    if change.any:
        revision = hub.commit(change.files, change.deleted, state.head, _message(parcel))
    return change.published(revision, _check(hub, revision, parcel) if check else 0)


def _message(parcel: Parcel) -> str:
    """Return what the commit is called."""
    told = parcel.manifests.items()
    return ", ".join(f"{name}: {manifest['counts']['rows']:,} rows" for name, manifest in told)


# What is there


@dataclass(frozen=True)
class _Held:
    """What a repository tells of its configurations; the default one first."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    manifests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
        if not is_config_name(name) or path not in state.files:
            raise DataError(
                f"{hub.name}: its configuration {name!r} was not published by expclip "
                f"(no {path}): choose another repository"
            )
    contents = hub.read(state.head, list(paths))
    return _Held(
        metadata={key: value for key, value in metadata.items() if key != _STALE},
        manifests={
            name: parse_manifest(contents[path], f"{hub.name}/{path}", name)
            for path, name in paths.items()
        },
    )


# What is to be changed


@dataclass(frozen=True)
class _Change:
    """The difference between what a repository holds and what it shall hold."""

    parcel: Parcel
    url: str
    files: Mapping[str, Content]
    unchanged: tuple[str, ...]
    deleted: tuple[str, ...]
    removed: tuple[str, ...]
    card: str
    configs: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.files or self.deleted)

    def published(self, revision: str, checked: int = 0) -> Published:
        return Published(
            config=self.parcel.config,
            augmented=tuple(self.parcel.manifests)[1:],
            url=self.url,
            revision=revision,
            files={path: content_size(content) for path, content in self.files.items()},
            unchanged=self.unchanged,
            deleted=self.deleted,
            removed=self.removed,
            card=self.card,
            configs=self.configs,
            checked=checked,
        )


def _plan(parcel: Parcel, hub: HubRepo, state: State, *, default: bool, augmented: bool) -> _Change:
    held = _read_held(hub, state)
    _check_names(parcel, held, hub.name)
    removed = _outdated(parcel, held, augmented)
    manifests = {name: told for name, told in held.manifests.items() if name not in removed}
    manifests |= parcel.manifests
    if default:
        manifests = parcel.manifests | manifests
    ordered = group_manifests(list(manifests.values()))
    card = build_card(ordered, repo=hub.name, kept=held.metadata)
    by_name = [manifests[name] for name in sorted(manifests)]
    files = {
        **parcel.files,
        "croissant.json": encode_json(build_croissant(by_name, hub.name, hub.url, state.created)),
        "README.md": card.encode("utf-8"),
    }
    same = {path for path, content in files.items() if is_held(content, state.files.get(path))}
    mine = {*parcel.manifests, *removed}
    return _Change(
        parcel,
        url=hub.url,
        files={path: content for path, content in files.items() if path not in same},
        unchanged=tuple(sorted(same)),
        deleted=tuple(p for p in state.files if p not in files and _config_of(p) in mine),
        removed=removed,
        card=card,
        configs=tuple(str(manifest["config"]) for manifest in ordered),
    )


def _check_names(parcel: Parcel, held: _Held, repo: str) -> None:
    """Refuse to publish over a configuration of another origin.

    Raises:
        DataError: the repository has one of that name.
    """
    for name, manifest in parcel.manifests.items():
        there = held.manifests.get(name, manifest)
        if origin_of(there) != origin_of(manifest):
            of = origin_of(there)
            what = f"an augmentation of {of!r}" if of else "no augmentation"
            raise DataError(f"{repo}: its configuration {name!r} is {what}: choose another name")


def _outdated(parcel: Parcel, held: _Held, augmented: bool) -> tuple[str, ...]:
    """Return augmented configurations of a repository that the folder does not stand for.

    Where the folder's are left out, those made from the very rows it holds stay.
    """
    rows = parcel.manifest["content_sha256"]
    return tuple(
        name
        for name, manifest in held.manifests.items()
        if origin_of(manifest) == parcel.config and name not in parcel.manifests
        if augmented or manifest["augmented_from"]["content_sha256"] != rows
    )


def _config_of(path: str) -> str:
    """Return the configuration that a file of a repository belongs to, or ""."""
    folder, _, name = path.partition("/")
    if folder in ("data", "figures"):
        return name.partition("/")[0]
    suffix = {"rejects": ".parquet", "manifests": ".json", "faces": ".png"}.get(folder)
    return name.removesuffix(suffix) if suffix and name.endswith(suffix) else ""


# What came of it


def _check(hub: HubRepo, revision: str, parcel: Parcel) -> int:
    """Read the rows of a commit back, and return their number if all are as they were built."""
    paths = [path for path in parcel.files if path.startswith("data/")]
    with TemporaryDirectory(prefix="expclip-") as name:
        folder = Path(name)
        hub.download(revision, [*paths, f"manifests/{parcel.config}.json"], folder)
        (folder / f"manifests/{parcel.config}.json").rename(folder / "manifest.json")
        came = [(row["id"], row_digest(row)) for row in read_rows(folder)]
        wrong = [pair for pair in zip_longest(parcel.rows, came) if pair[0] != pair[1]]
        if wrong:
            first = next(row[0] for row in wrong[0] if row)
            raise ModelError(
                f"{hub.name}: {len(wrong):,} of {len(parcel.rows):,} rows came back from revision "
                f"{revision[:10]} other than they were sent, first {first}"
            )
        return len(came) + _check_augmented(hub.name, revision, parcel, folder)


def _check_augmented(repo: str, revision: str, parcel: Parcel, folder: Path) -> int:
    """Compare what came back with the content hashes and the originals; return its rows."""
    rows = 0
    originals = Originals(folder, parcel.manifest["content_sha256"]) if parcel.augmented else None
    for manifest in parcel.augmented:
        assert originals is not None
        if fault := find_fault(folder, manifest, originals):
            raise ModelError(
                f"{repo}: {manifest['config']} came back from revision {revision[:10]} "
                f"other than it was sent: {fault}"
            )
        rows += manifest["counts"]["rows"]
    return rows
