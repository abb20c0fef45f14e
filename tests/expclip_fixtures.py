"""A small TEAD, and a model trained on it: ``pytest_plugins = ["expclip_fixtures"]``."""

from __future__ import annotations

from pathlib import Path

import pytest
from expclip_runs import Assets, train

from expclip.models import ExpCLIP


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """A TEAD of 500 rows, half of them natural, a CLIP, and a cache of features."""
    return Assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="session")
def trained(assets: Assets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model after 60 steps; not to be changed."""
    out = tmp_path_factory.mktemp("trained") / "expclip"
    train(out, assets)
    return out


@pytest.fixture(scope="session")
def model(trained: Path) -> ExpCLIP:
    return ExpCLIP.from_pretrained(trained)
