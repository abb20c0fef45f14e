"""Who may see and write which repository of the stand-in Hub."""

from __future__ import annotations

from aiohttp import web

from servers.hub_store import HubError, HubStore, Repo

__all__ = [
    "ORGANISATION",
    "READ_TOKEN",
    "TOKEN",
    "USER",
    "base_url",
    "check_may_write",
    "open_repo",
    "token_of",
]

USER, ORGANISATION = "tester", "expclip"
TOKEN, READ_TOKEN = "hf_stand_in_write", "hf_stand_in_read"


def open_repo(store: HubStore, request: web.Request, *, write: bool = False) -> Repo:
    """Return the repository that a path names, if it may be read (or written)."""
    match = request.match_info
    kind, owner = match["kind"].rstrip("/") or "models", match["owner"]
    token = token_of(request)
    if write:
        check_may_write(token, owner)
    try:
        repo = store.repo(kind, f"{owner}/{match['name']}")
    except HubError as error:
        # As the Hub does: to a stranger, a missing repository looks like a private one.
        raise HubError(404 if token else 401, str(error), "RepoNotFound") from error
    if repo.private and not token:
        raise HubError(401, "Repository not found", "RepoNotFound")
    return repo


def token_of(request: web.Request) -> str:
    """Return the token of a request, empty if it has none."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token not in ("", TOKEN, READ_TOKEN):
        raise HubError(401, "Invalid credentials in Authorization header")
    return token


def check_may_write(token: str, owner: str) -> None:
    if not token:
        raise HubError(401, "Invalid username or password.")
    if token != TOKEN or owner not in (USER, ORGANISATION):
        raise HubError(403, f"You don't have the rights to write below {owner!r}")


def base_url(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
