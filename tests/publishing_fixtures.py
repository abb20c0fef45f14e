"""Two data sets and an empty Hub: ``pytest_plugins = ["publishing_fixtures"]``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from publishing import MODELS, NASTY, REPO, api_of
from servers.hub import HubServer

from expclip.tead import BuildPlan, LlmOptions, build
from expclip.tead.augmentation.augment import Eda, augment_tead
from expclip.tead.augmentation.synonyms import load_synonyms


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two data sets of 60 rows from the same texts, by two models; not to be changed."""
    root = tmp_path_factory.mktemp("teads")
    texts = root / "texts.txt"
    lines = [NASTY, *(f"Text number {number} of the corpus" for number in range(59))]
    texts.write_text("\n".join(lines), "utf-8")
    for model, client in MODELS.items():
        build(root / model, BuildPlan((str(texts),), llm=LlmOptions(model)), transport=client)
    return {model: root / model for model in MODELS}


@pytest.fixture(scope="session")
def pristine(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first data set with two variants of each text; not to be changed."""
    out = shutil.copytree(folders["model-a"], tmp_path_factory.mktemp("augmented") / "model-a")
    eda = Eda(("swap", "deletion"), synonyms=load_synonyms(False))
    augment_tead(out, eda, seed=7, variants=2)
    return out


@pytest.fixture
def augmented(pristine: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(pristine, tmp_path / "augmented")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """One Hub for all tests; its blobs go up in parts of 16 kB."""
    with HubServer(tmp_path_factory.mktemp("hub"), part_bytes=16384) as server:
        yield server


@pytest.fixture
def server(shared: HubServer, _no_login: None) -> HubServer:
    """The Hub with nothing in it, and with counts at 0."""
    for repo in (REPO, "expclip/open"):
        api_of(shared).delete_repo(repo, repo_type="dataset", missing_ok=True)
    for blob in (shared.root / "blobs").iterdir():
        blob.unlink()
    shared.reset()
    return shared


@pytest.fixture
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token of the machine's user is seen."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
