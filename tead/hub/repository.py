"""A data set repository of the Hugging Face Hub: read at one commit, changed by one commit."""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO

from expclip.face.errors import ModelError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

__all__ = ["Content", "HubRepo", "State", "content_size", "is_held"]

Content = bytes | Path

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TOKEN = re.compile(r"[!-~]+")
_MAY_BE_MADE = (408, 409, 412, 429)
"""Refusals after which it is worth looking whether our commit is there, or trying again."""

_COMMITS = 3
_WAIT_S = 0.5
_CHUNK = 2**20


@dataclass(frozen=True)
class State:
    """A repository as it is at one commit; without one, as it would begin.

    Attributes:
        head: the commit.
        private: seen by its owners only.
        created: the day it was made, as YYYY-MM-DD.
        files: what lies there, by path.
    """

    head: str = ""
    private: bool = False
    created: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    files: Mapping[str, RepoFile] = field(default_factory=dict)


class HubRepo:
    """One data set repository; every failure of the Hub is told in one line, with no token.

    Args:
        name: OWNER/NAME.
        token: by default the one that ``hf auth login`` or HF_TOKEN left.
        endpoint: another Hub's address.
        writes: a token is needed.

    Raises:
        ValueError: the name is no OWNER/NAME, or the token cannot be one.
        ModelError: there is no token, and it is needed.
    """

    def __init__(
        self,
        name: str,
        *,
        token: str | None = None,
        endpoint: str | None = None,
        writes: bool = True,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"a data set repository is named OWNER/NAME, got {name!r}")
        self.name = name
        self._api = _api(token, endpoint, writes)

    @property
    def url(self) -> str:
        """Address of its page."""
        return f"{self._api.endpoint}/datasets/{self.name}"

    def state(self) -> State | None:
        """Return what it holds now; None if there is none that the token may see."""
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        with self._told():
            try:
                info = self._api.dataset_info(self.name)
            except RepositoryNotFoundError:
                return None
            head = str(info.sha)
            entries = self._api.list_repo_tree(
                self.name, repo_type="dataset", revision=head, recursive=True
            )
            files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
        day = {"created": info.created_at.date().isoformat()} if info.created_at else {}
        return State(head=head, private=bool(info.private), files=files, **day)

    def create(self, *, private: bool) -> State:
        """Make the repository, and return what it holds then."""
        with self._told():
            self._api.create_repo(self.name, repo_type="dataset", private=private, exist_ok=True)
        state = self.state()
        if state is None:
            raise ModelError(f"{self.name}: the token may not read it: choose another name")
        return state

    def download(self, revision: str, paths: Sequence[str], folder: Path) -> None:
        """Fetch files of a commit from the Hub into a folder, whatever a cache may hold."""
        with self._told(), TemporaryDirectory(prefix="expclip-") as cache:
            for path in paths:
                self._api.hf_hub_download(
                    self.name,
                    path,
                    repo_type="dataset",
                    revision=revision,
                    local_dir=folder,
                    cache_dir=cache,
                )

    def read(self, revision: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of small files of a commit."""
        with TemporaryDirectory(prefix="expclip-") as folder:
            self.download(revision, paths, Path(folder))
            return {path: (Path(folder) / path).read_bytes() for path in paths}

    def commit(
        self, files: Mapping[str, Content], deleted: Sequence[str], parent: str, message: str
    ) -> str:
        """Bring files up, then make them visible by one commit; return its id.

        Large files that the Hub has already are not sent again. A commit whose answer was
        lost is looked for before it is tried again, and is never made twice.

        Raises:
            ModelError: ``parent`` is no longer the last commit; the Hub refuses.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete
        from huggingface_hub.errors import HfHubHTTPError

        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        with self._told():
            for attempt in range(1, _COMMITS + 1):
                try:
                    made = self._api.create_commit(
                        self.name,
                        [*operations, *map(CommitOperationDelete, deleted)],
                        repo_type="dataset",
                        commit_message=message,
                        parent_commit=parent,
                    )
                    return str(made.oid)
                except _failures() as wrapped:
                    error = _unwrap(wrapped)
                    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
                    if 400 <= status < 500 and status not in _MAY_BE_MADE:
                        raise
                    now = self.state() or State()
                    if now.head != parent:
                        return self._recognise(now, files, deleted)
                    if attempt == _COMMITS:
                        raise
                time.sleep(_WAIT_S * attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _recognise(self, now: State, files: Mapping[str, Content], deleted: Sequence[str]) -> str:
        """Return the last commit if it holds what we have sent; else it is someone else's."""
        ours = all(is_held(content, now.files.get(path)) for path, content in files.items())
        if ours and not set(deleted) & now.files.keys():
            return now.head
        raise ModelError(
            f"{self.name}: someone else has changed it meanwhile, nothing was published: "
            "run the same command again"
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell in one line what the Hub or the network did."""
        try:
            yield
        except _failures() as error:
            raise ModelError(f"{self.name}: {self._reason(error)}") from None
        except OSError as error:
            if error.errno is not None:  # of this machine's disk
                raise
            raise ModelError(f"{self.name}: a file came broken from the Hub") from None

    def _reason(self, error: Exception) -> str:
        from huggingface_hub.errors import HfHubHTTPError

        error = _unwrap(error)
        owner, hub = self.name.partition("/")[0], self._api.endpoint
        if not isinstance(error, HfHubHTTPError):
            return f"{hub} cannot be reached ({type(error).__name__}): run the same command again"
        status = error.response.status_code
        told = {
            401: "the Hub does not accept the token: log in again with `hf auth login`",
            403: f"the token may not write below {owner!r}: it needs the write role there",
            404: f"the Hub knows no such repository, or no owner {owner!r}",
            429: "the Hub asks to wait: run the same command later",
        }
        return told.get(status, f"the Hub answered {status}: run the same command again")


def is_held(content: Content, there: RepoFile | None) -> bool:
    """Return whether a file of a repository has this content, by git's or LFS' hash."""
    size = content_size(content)
    if there is None or there.size != size:
        return False
    digest = hashlib.sha256() if there.lfs else hashlib.sha1(b"blob %d\0" % size)
    with _open(content) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == (there.lfs.sha256 if there.lfs else there.blob_id)


def content_size(content: Content) -> int:
    """Return the number of bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _open(content: Content) -> AbstractContextManager[BinaryIO]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _api(token: str | None, endpoint: str | None, writes: bool) -> HfApi:
    from huggingface_hub import HfApi, get_token

    token = (token or get_token() or "").strip()
    if writes and not token:
        raise ModelError("no token of the Hub: log in with `hf auth login`, or set HF_TOKEN")
    if token and not _TOKEN.fullmatch(token):
        raise ValueError("the token of the Hub holds characters that no token has")
    return HfApi(endpoint=endpoint, token=token or False, library_name="expclip")


def _failures() -> tuple[type[Exception], ...]:
    """Return what the client raises when the Hub or the network fails."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    # RuntimeError: an upload of a large file failed, for the reason in its cause.
    return (transport, LocalEntryNotFoundError, ConnectionError, TimeoutError, RuntimeError)


def _unwrap(error: Exception) -> Exception:
    """Return what made an upload fail."""
    cause = error.__cause__
    return cause if isinstance(error, RuntimeError) and isinstance(cause, Exception) else error
