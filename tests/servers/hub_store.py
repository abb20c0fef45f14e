"""The repositories of the stand-in Hub, in a folder.

blobs/SHA256                    contents, each once
repos/KIND/OWNER/NAME/
    commits/COMMIT.json         a whole tree of files, never changed
    repo.json                   branches, tags, visibility; replaced in one step

A commit becomes visible when ``repo.json`` is replaced: no reader sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["Commit", "File", "HubError", "HubStore", "Repo"]

_ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


class HubError(Exception):
    """A request that cannot be met: an HTTP status, and the Hub's own word for it."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class File:
    """One file of a commit; ``sha256`` names its blob, ``oid`` is what git calls it."""

    sha256: str
    size: int
    oid: str
    lfs: bool

    @property
    def pointer_size(self) -> int:
        """Bytes of the LFS pointer that git keeps in place of the content."""
        return len(_pointer(self.sha256, self.size))

    @property
    def etag(self) -> str:
        """How a download names its version."""
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of a repository: all its files."""

    id: str
    parent: str | None
    title: str
    message: str
    date: str
    files: Mapping[str, File]

    def below(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, File | None]]:
        """Yield files, and folders (with None), below a folder, by name."""
        prefix = folder + "/" if folder else ""
        folders: set[str] = set()
        for path in sorted(self.files):
            if not path.startswith(prefix):
                continue
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                parent = prefix + "/".join(parts[:depth])
                if parent not in folders:
                    folders.add(parent)
                    yield parent, None
            if recursive or len(parts) == 1:
                yield path, self.files[path]


class HubStore:
    """All repositories and blobs below ``root``."""

    def __init__(self, root: Path) -> None:
        self._repos = root / "repos"
        self._blobs = root / "blobs"
        self._incoming = root / "incoming"
        for folder in (self._repos, self._blobs, self._incoming):
            folder.mkdir(parents=True, exist_ok=True)

    def repo(self, kind: str, repo_id: str) -> Repo:
        folder = self._folder(kind, repo_id)
        if not (folder / "repo.json").exists():
            raise HubError(404, "Repository not found", "RepoNotFound")
        return Repo(self, folder, kind, repo_id)

    def create_repo(self, kind: str, repo_id: str, *, private: bool) -> Repo:
        folder = self._folder(kind, repo_id)
        if (folder / "repo.json").exists():
            raise HubError(409, "You already created this repo")
        (folder / "commits").mkdir(parents=True)
        state = {"private": private, "created": _now(), "branches": {}, "tags": {}}
        write_json(folder / "repo.json", state)
        repo = Repo(self, folder, kind, repo_id)
        repo.commit("main", {".gitattributes": self.add_file(_ATTRIBUTES)}, "initial commit")
        return repo

    def delete_repo(self, kind: str, repo_id: str) -> None:
        self.repo(kind, repo_id)
        shutil.rmtree(self._folder(kind, repo_id))

    def blob(self, sha256: str) -> Path:
        """Return where a blob lies, or will lie."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise HubError(400, f"{sha256!r} is not a SHA-256")
        return self._blobs / sha256

    def part(self, sha256: str, number: int) -> Path:
        """Return where a part of a blob waits for the others."""
        return self._incoming / f"{self.blob(sha256).name}.{number}"

    def new_path(self) -> Path:
        """Return a path to write to, from where a file can be moved into the store."""
        return self._incoming / uuid.uuid4().hex

    def accept(self, path: Path, sha256: str) -> None:
        """Move a finished upload among the blobs, if it is what it should be."""
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            path.unlink()
            raise HubError(400, f"content has SHA-256 {found}, expected {sha256}")
        path.replace(self.blob(sha256))

    def add_file(self, content: bytes) -> File:
        """Store a regular file's content."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.new_path()
        path.write_bytes(content)
        path.replace(self.blob(sha256))
        return File(sha256, len(content), _git_oid(content), lfs=False)

    def lfs_file(self, sha256: str) -> File:
        """Return an uploaded blob as a file."""
        blob = self.blob(sha256)
        if not blob.exists():
            raise HubError(400, f"LFS object {sha256} was not uploaded")
        size = blob.stat().st_size
        return File(sha256, size, _git_oid(_pointer(sha256, size)), lfs=True)

    def _folder(self, kind: str, repo_id: str) -> Path:
        owner, _, name = repo_id.partition("/")
        if not _NAME.fullmatch(owner) or not _NAME.fullmatch(name):
            raise HubError(404, f"{repo_id!r} is not OWNER/NAME", "RepoNotFound")
        return self._repos / kind / owner / name


class Repo:
    """One repository, as it is on disk now."""

    def __init__(self, store: HubStore, folder: Path, kind: str, repo_id: str) -> None:
        self.store, self.kind, self.id = store, kind, repo_id
        self._folder = folder
        self._state: dict[str, Any] = json.loads((folder / "repo.json").read_text())

    @property
    def private(self) -> bool:
        return bool(self._state["private"])

    @property
    def created(self) -> str:
        return str(self._state["created"])

    def refs(self, group: str) -> dict[str, str]:
        """Return commits by name, of the "branches" or of the "tags"."""
        return dict(self._state[group])

    def find(self, revision: str) -> Commit:
        """Return a commit by branch, tag or id (also the first digits of one)."""
        revision = revision.removeprefix("refs/heads/")
        for group in ("branches", "tags"):
            if revision in self._state[group]:
                return _read_commit(self._folder / "commits" / self._state[group][revision])
        if re.fullmatch("[0-9a-f]{7,40}", revision):
            for path in (self._folder / "commits").glob(revision + "*.json"):
                return _read_commit(path.with_suffix(""))
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def history(self, commit: Commit) -> Iterator[Commit]:
        """Yield a commit and those before it, newest first."""
        yield commit
        while commit.parent:
            commit = self.find(commit.parent)
            yield commit

    def last_change(self, commit: Commit, path: str) -> Commit:
        """Return the commit that gave a file its content."""
        last = commit
        for older in self.history(commit):
            if older.files.get(path) != commit.files[path]:
                break
            last = older
        return last

    def commit(
        self, branch: str, files: Mapping[str, File], title: str, message: str = ""
    ) -> Commit:
        """Make a commit with exactly these files, and move the branch to it."""
        entry = {
            "parent": self._state["branches"].get(branch),
            "title": title,
            "message": message,
            "date": _now(),
            "files": {path: asdict(file) for path, file in sorted(files.items())},
        }
        name = hashlib.sha1(json.dumps(entry).encode()).hexdigest()
        write_json(self._folder / "commits" / f"{name}.json", entry)
        self.set_ref("branches", branch, name)
        return self.find(name)

    def set_ref(self, group: str, name: str, commit: str | None) -> None:
        """Point a branch or tag at a commit; None deletes it."""
        refs = {key: value for key, value in self._state[group].items() if key != name}
        self._save({**self._state, group: refs | ({name: commit} if commit else {})})

    def set_private(self, private: bool) -> None:
        self._save({**self._state, "private": private})

    def _save(self, state: dict[str, Any]) -> None:
        write_json(self._folder / "repo.json", state)
        self._state = state


def write_json(path: Path, content: object) -> None:
    """Write a file so that it is there as a whole or not at all."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


@lru_cache(maxsize=256)
def _read_commit(path: Path) -> Commit:
    entry = json.loads(path.with_name(path.name + ".json").read_text())
    files = {name: File(**file) for name, file in entry.pop("files").items()}
    return Commit(id=path.name, files=files, **entry)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _pointer(sha256: str, size: int) -> bytes:
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )
