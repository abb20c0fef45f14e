"""What tests of publishing share: two models, sending, and looking at what lies there."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from servers.hub import HubServer

from expclip.tead import FakeClient
from expclip.tead.augmentation.augmented import LINK_COLUMNS
from expclip.tead.folder import read_batches
from expclip.tead.hub.publish import Published, publish
from expclip.tead.schema import COLUMNS, content_hash, row_digest

REPO = "expclip/tead"
OF_DATASET = {"repo_id": REPO, "repo_type": "dataset"}
NASTY = "<script>alert(1)</script> | =cmd() `x` [link](y) \u202eevil, she said number"


def fake(tags: str, units: str) -> FakeClient:
    """Return a model that answers each text with the same tags and units."""
    first = json.dumps({"emotions": tags.split(), "aus": units.split()})
    second = '{"situations": ["A letter arrives after many weeks."]}'
    return FakeClient(lambda m: first if m[-1]["content"].startswith("Text") else second)


MODELS = {
    "model-a": fake("joy pride relief", "AU6C AU12D"),
    "model-b": fake("sadness grief longing", "AU1 AU4 AU15"),
}


def send(server: HubServer, folder: Path, repo: str = REPO, **options: Any) -> Published:
    options = {"token": server.token} | options
    return publish(folder, repo, endpoint=server.endpoint, **options)


def api_of(server: HubServer) -> HfApi:
    return HfApi(endpoint=server.endpoint, token=server.token)


def commits(server: HubServer) -> int:
    return len(api_of(server).list_repo_commits(**OF_DATASET))


def remote_files(server: HubServer) -> set[str]:
    return set(api_of(server).list_repo_files(**OF_DATASET))


def remote(server: HubServer, path: str, folder: Path) -> bytes:
    got = hf_hub_download(
        **OF_DATASET, filename=path, endpoint=server.endpoint, token=server.token, local_dir=folder
    )
    return Path(got).read_bytes()


def metadata(card: str) -> dict[str, Any]:
    from huggingface_hub import DatasetCard

    return dict(DatasetCard(card).data.to_dict())


def hashes(folder: Path, config: str | None = None) -> dict[str, str]:
    """Return the content hash of each split of a folder; of an augmented one, with the links."""
    links = tuple(LINK_COLUMNS) if config else ()
    found = {}
    for split in ("train", "test"):
        batches = read_batches(folder, (*COLUMNS, *links), config=config, splits=[split])
        rows = [row for batch in batches for row in batch.to_pylist()]
        found[split] = content_hash(
            row_digest(row) + str([row[name] for name in links]).encode() for row in rows
        )
    return found


def wait_for(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


PUBLISH = """
    import sys
    from expclip.tead.hub.publish import publish
    publish(sys.argv[1], "expclip/tead")
"""


def publishing(server: HubServer, folder: Path, home: Path) -> subprocess.Popen[bytes]:
    code = textwrap.dedent(PUBLISH)
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], env=server.env(home))
