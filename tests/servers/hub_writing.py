"""The stand-in Hub's answers to those who write: repositories, branches, uploads, commits."""

from __future__ import annotations

import base64
import json
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from aiohttp import web

from servers.hub_access import USER, base_url, check_may_write, open_repo, token_of
from servers.hub_reading import card_data
from servers.hub_store import File, HubError, HubStore

__all__ = ["Writing"]

_LFS_SUFFIXES = set(".parquet .arrow .bin .safetensors .npz .npy .gz .zip .png .gif .wav".split())
_LFS_BYTES = 10 * 1024 * 1024


class Writing:
    """Handlers that change a repository, or bring what a later commit refers to."""

    def __init__(self, store: HubStore, part_bytes: int) -> None:
        self._store, self._part_bytes = store, part_bytes

    async def validate_yaml(self, request: web.Request) -> web.Response:
        try:
            card_data((await request.json())["content"])
        except yaml.YAMLError as error:
            return web.json_response({"errors": [{"message": str(error)}]}, status=400)
        return web.json_response({"errors": [], "warnings": []})

    async def create_repo(self, request: web.Request) -> web.Response:
        kind, repo_id, asked = await _named_repo(request)
        prefix = "" if kind == "models" else kind + "/"
        made = {"url": f"{base_url(request)}/{prefix}{repo_id}", "name": repo_id}
        try:
            self._store.create_repo(kind, repo_id, private=asked.get("visibility") == "private")
        except HubError as error:
            return web.json_response({"error": str(error), **made}, status=error.status)
        return web.json_response(made)

    async def delete_repo(self, request: web.Request) -> web.Response:
        kind, repo_id, _ = await _named_repo(request)
        self._store.delete_repo(kind, repo_id)
        return web.json_response({})

    async def settings(self, request: web.Request) -> web.Response:
        asked = await request.json()
        repo = open_repo(self._store, request, write=True)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        repo.set_private(private)
        return web.json_response({"private": private})

    async def create_branch(self, request: web.Request) -> web.Response:
        start = (await request.json()).get("startingPoint", "main")
        return self._create_ref(request, "branches", request.match_info["ref"], start)

    async def create_tag(self, request: web.Request) -> web.Response:
        name = (await request.json())["tag"]
        return self._create_ref(request, "tags", name, request.match_info["revision"])

    async def delete_branch(self, request: web.Request) -> web.Response:
        return self._delete_ref(request, "branches")

    async def delete_tag(self, request: web.Request) -> web.Response:
        return self._delete_ref(request, "tags")

    async def preupload(self, request: web.Request) -> web.Response:
        asked = await request.json()
        commit = open_repo(self._store, request, write=True).find(request.match_info["revision"])
        answers = []
        for file in asked["files"]:
            lfs = _is_for_lfs(file["path"], file["size"], base64.b64decode(file["sample"]))
            there = commit.files.get(file["path"])
            answers.append(
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if lfs else "regular",
                    "shouldIgnore": False,
                    "oid": there.etag if there else None,
                }
            )
        return web.json_response({"files": answers})

    async def lfs_batch(self, request: web.Request) -> web.Response:
        open_repo(self._store, request, write=True)
        objects = []
        for wanted in (await request.json())["objects"]:
            found = {"oid": wanted["oid"], "size": wanted["size"]}
            if not self._store.blob(wanted["oid"]).exists():
                found["actions"] = self._upload_actions(base_url(request), **found)
            objects.append(found)
        return web.json_response({"transfer": "basic", "objects": objects})

    async def lfs_put(self, request: web.Request) -> web.Response:
        path = self._store.new_path()
        await _receive(request, path)
        self._store.accept(path, request.match_info["sha256"])
        return web.Response()

    async def lfs_put_part(self, request: web.Request) -> web.Response:
        part = int(request.match_info["part"])
        path = self._store.new_path()
        await _receive(request, path)
        path.replace(self._store.part(request.match_info["sha256"], part))
        return web.Response(headers={"ETag": f'"part-{part}"'})

    async def lfs_complete(self, request: web.Request) -> web.Response:
        sha256, path = request.match_info["sha256"], self._store.new_path()
        numbers = sorted(part["partNumber"] for part in (await request.json())["parts"])
        if self._store.blob(sha256).exists():
            return web.json_response({})  # asked again, its first answer was lost
        parts = [self._store.part(sha256, number) for number in numbers]
        with path.open("wb") as whole:
            for part in parts:
                whole.write(part.read_bytes())
        self._store.accept(path, sha256)
        for part in parts:
            part.unlink()
        return web.json_response({})

    async def lfs_verify(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self._store.lfs_file(request.match_info["sha256"]).size != asked["size"]:
            raise HubError(400, f"LFS object {asked['oid']} does not have {asked['size']} bytes")
        return web.json_response({})

    async def commit(self, request: web.Request) -> web.Response:
        header, *changes = [json.loads(line) for line in (await request.read()).splitlines()]
        # Nothing is awaited from here on: no other commit comes in between.
        repo = open_repo(self._store, request, write=True)
        if "create_pr" in request.query:
            raise HubError(501, "This stand-in has no pull requests")
        branch = request.match_info["revision"]
        if branch not in repo.refs("branches"):
            raise HubError(404, f"{branch!r} is not a branch", "RevisionNotFound")
        head = repo.find(branch)
        expected = header["value"].get("parentCommit")
        if expected is not None and not head.id.startswith(expected):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for change in changes:
            self._apply(change["key"], change["value"], files)
        made = repo.commit(
            branch, files, header["value"]["summary"], header["value"].get("description", "")
        )
        url = f"{base_url(request)}/{repo.kind}/{repo.id}/commit/{made.id}"
        return web.json_response({"success": True, "commitOid": made.id, "commitUrl": url})

    def _create_ref(self, request: web.Request, group: str, name: str, at: str) -> web.Response:
        repo = open_repo(self._store, request, write=True)
        if name in repo.refs(group):
            raise HubError(409, f"Reference already exists: {name}")
        repo.set_ref(group, name, repo.find(at).id)
        return web.json_response({})

    def _delete_ref(self, request: web.Request, group: str) -> web.Response:
        repo, name = open_repo(self._store, request, write=True), request.match_info["ref"]
        if name not in repo.refs(group):
            raise HubError(404, f"Reference does not exist: {name}", "RevisionNotFound")
        repo.set_ref(group, name, None)
        return web.json_response({})

    def _upload_actions(self, base: str, oid: str, size: int) -> dict[str, Any]:
        href, parts = f"{base}/_lfs/{oid}", -(-size // self._part_bytes)
        upload: dict[str, Any] = {"href": href}
        if parts > 1:
            urls = {f"{part:05d}": f"{href}/{part}" for part in range(1, parts + 1)}
            upload = {
                "href": f"{href}/complete",
                "header": {"chunk_size": str(self._part_bytes), **urls},
            }
        return {"upload": upload, "verify": {"href": f"{href}/verify"}}

    def _apply(self, key: str, value: dict[str, Any], files: dict[str, File]) -> None:
        path = value["path"]
        if key == "file":
            files[path] = self._store.add_file(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            files[path] = self._store.lfs_file(value["oid"])
        elif key in ("deletedFile", "deletedFolder"):
            gone = [path] if path in files else []
            if key == "deletedFolder":
                gone = [name for name in files if name.startswith(path.rstrip("/") + "/")]
            if not gone:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            for name in gone:
                del files[name]
        else:
            raise HubError(400, f"Unknown operation in a commit: {key}")


async def _named_repo(request: web.Request) -> tuple[str, str, dict[str, Any]]:
    """Return kind and id of the repository that a body names, and the body."""
    asked = await request.json()
    owner = asked.get("organization") or USER
    check_may_write(token_of(request), owner)
    return asked.get("type", "model") + "s", f"{owner}/{asked['name']}", asked


async def _receive(request: web.Request, path: Path) -> None:
    with path.open("wb") as file:
        async for chunk in request.content.iter_chunked(2**20):
            file.write(chunk)


def _is_for_lfs(path: str, size: int, sample: bytes) -> bool:
    return size > _LFS_BYTES or PurePosixPath(path).suffix in _LFS_SUFFIXES or b"\0" in sample
