"""The stand-in Hub's answers to those who read: accounts, listings, downloads."""

from __future__ import annotations

import json
from typing import Any

import yaml
from aiohttp import web

from servers.hub_access import ORGANISATION, TOKEN, USER, base_url, open_repo, token_of
from servers.hub_store import Commit, File, HubError, HubStore, Repo

__all__ = ["Reading", "card_data"]


class Reading:
    """Handlers that change nothing."""

    def __init__(self, store: HubStore, page_size: int) -> None:
        self._store, self._page_size = store, page_size

    async def whoami(self, request: web.Request) -> web.Response:
        token = token_of(request)
        if not token:
            raise HubError(401, "Invalid username or password.")
        role = "write" if token == TOKEN else "read"
        organisation = {"type": "org", "name": ORGANISATION, "roleInOrg": "admin"}
        return web.json_response(
            {
                "type": "user",
                "name": USER,
                "fullname": USER,
                "orgs": [organisation],
                "auth": {"accessToken": {"displayName": "tests", "role": role}},
            }
        )

    async def info(self, request: web.Request) -> web.Response:
        repo = open_repo(self._store, request)
        commit = repo.find(request.match_info.get("revision", "main"))
        card = commit.files.get("README.md")
        text = self._store.blob(card.sha256).read_text("utf-8") if card else ""
        blobs = "blobs" in request.query
        return web.json_response(
            {
                "_id": "0" * 24,
                "id": repo.id,
                "author": repo.id.partition("/")[0],
                "sha": commit.id,
                "createdAt": repo.created,
                "lastModified": commit.date,
                "private": repo.private,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "cardData": card_data(text),
                "siblings": [_sibling(path, f, blobs) for path, f in commit.files.items()],
                "usedStorage": sum(file.size for file in commit.files.values()),
            },
            dumps=lambda content: json.dumps(content, default=str),  # YAML has dates
        )

    async def refs(self, request: web.Request) -> web.Response:
        repo = open_repo(self._store, request)

        def listed(group: str, kind: str) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}
                for name, commit in repo.refs(group).items()
            ]

        return web.json_response(
            {
                "branches": listed("branches", "heads"),
                "tags": listed("tags", "tags"),
                "converts": [],
                "pullRequests": [],
            }
        )

    async def commits(self, request: web.Request) -> web.Response:
        repo = open_repo(self._store, request)
        found = repo.history(repo.find(request.match_info["revision"]))
        return self._page(
            request,
            [
                {
                    "id": commit.id,
                    "title": commit.title,
                    "message": commit.message,
                    "date": commit.date,
                    "authors": [{"user": USER}],
                }
                for commit in found
            ],
        )

    async def tree(self, request: web.Request) -> web.Response:
        repo = open_repo(self._store, request)
        commit = repo.find(request.match_info["revision"])
        folder = request.match_info.get("path", "").strip("/")
        recursive = request.query.get("recursive", "").lower() in ("true", "1")
        found = list(commit.below(folder, recursive=recursive))
        if folder and not found:
            raise HubError(404, f"{folder} does not exist on {commit.id}", "EntryNotFound")
        expand = request.query.get("expand", "").lower() in ("true", "1")
        return self._page(request, [_entry(repo, commit, *item, expand=expand) for item in found])

    async def paths_info(self, request: web.Request) -> web.Response:
        repo = open_repo(self._store, request)
        commit = repo.find(request.match_info["revision"])
        form = await request.post()
        expand = str(form.get("expand", "")).lower() == "true"
        all_paths = dict(commit.below("", recursive=True))
        asked = [str(path).strip("/") for path in form.getall("paths", [])]
        found = [(path, all_paths[path]) for path in asked if path in all_paths]
        return web.json_response(
            [_entry(repo, commit, path, file, expand=expand) for path, file in found]
        )

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        repo = open_repo(self._store, request)
        commit = repo.find(request.match_info["revision"])
        file = commit.files.get(request.match_info["path"])
        headers = {"X-Repo-Commit": commit.id, "Accept-Ranges": "bytes"}
        if file is None:
            raise HubError(404, "Entry not found", "EntryNotFound")
        headers["ETag"] = f'"{file.etag}"'
        if not file.lfs:
            return self._content(request, file.sha256, headers)
        headers["X-Linked-Etag"], headers["X-Linked-Size"] = headers["ETag"], str(file.size)
        # Another origin, as the Hub's storage is: clients must not send their token there.
        port = request.url.port
        headers["Location"] = f"http://localhost:{port}/_blobs/{file.sha256}"
        return web.Response(status=302, headers=headers)

    async def blob(self, request: web.Request) -> web.StreamResponse:
        if not self._store.blob(request.match_info["sha256"]).exists():
            raise HubError(404, "No such blob")
        return self._content(request, request.match_info["sha256"], {"Accept-Ranges": "bytes"})

    def _page(self, request: web.Request, items: list[dict[str, Any]]) -> web.Response:
        start = int(request.query.get("cursor", 0))
        end = start + int(request.query.get("limit", self._page_size))
        headers = {}
        if end < len(items):
            url = f"{base_url(request)}{request.rel_url.update_query(cursor=end)}"
            headers["Link"] = f'<{url}>; rel="next"'
        return web.json_response(items[start:end], headers=headers)

    def _content(
        self, request: web.Request, sha256: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        content = self._store.blob(sha256).read_bytes()
        headers["Content-Type"] = "application/octet-stream"
        if "Range" not in request.headers:
            return web.Response(body=content, headers=headers)
        start, end, _ = request.http_range.indices(len(content))
        if start >= end:
            headers["Content-Range"] = f"bytes */{len(content)}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        return web.Response(status=206, body=content[start:end], headers=headers)


def card_data(text: str) -> dict[str, Any]:
    """Return the YAML block at the head of a card."""
    if not text.startswith("---\n"):
        return {}
    return dict(yaml.safe_load(text[4:].partition("\n---")[0]) or {})


def _lfs_json(file: File) -> dict[str, Any]:
    if not file.lfs:
        return {}
    return {"lfs": {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}}


def _sibling(path: str, file: File, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    found = {"rfilename": path, "size": file.size, "blobId": file.oid}
    return found | ({"lfs": lfs} if file.lfs else {})


def _entry(
    repo: Repo, commit: Commit, path: str, file: File | None, *, expand: bool
) -> dict[str, Any]:
    """Return a file or folder as a listing shows it."""
    if file is None:
        return {"type": "directory", "oid": commit.id, "size": 0, "path": path}
    entry = {"type": "file", "oid": file.oid, "size": file.size, "path": path, **_lfs_json(file)}
    if expand:
        last = repo.last_change(commit, path)
        entry["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
    return entry
