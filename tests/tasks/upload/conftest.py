"""A source and its subsets, made once: whole, authorized, and an index."""

from pathlib import Path

import licensed
import pytest
from hubserver import WRITER, HubServer
from licensed import AUTHORIZATION, ND, Source


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return licensed.source(tmp_path_factory.mktemp("licensed"))


@pytest.fixture(scope="session")
def whole(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return licensed.subset(source, tmp_path_factory.mktemp("whole"), ND)


@pytest.fixture(scope="session")
def authorized(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return licensed.subset(source, tmp_path_factory.mktemp("authorized"), ND, AUTHORIZATION)


@pytest.fixture(scope="session")
def index(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return licensed.subset(source, tmp_path_factory.mktemp("index"), ND, mode="index")


@pytest.fixture
def writable(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """A Hub on which the user may write, and whose client sends large files to plain storage."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    return hub
