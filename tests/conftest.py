"""What all tests share: no telemetry, one Prefect server and one browser for all, and far ends on loopback."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import browser as chromium
import hubserver
import pytest
import s3server
from checkpoints import colour_siglip, random_siglip

os.environ.update({"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"})


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server on a temporary database for all tests of the run that need one."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def clip_extra() -> None:
    """What image-text models need, by `make clip`: without it a test is skipped, and fails in CI."""
    lacks = [name for name in ("torch", "transformers", "sentencepiece", "faiss") if find_spec(name) is None]
    if lacks:
        told = f"no {lacks[0]} here: make clip"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)


@pytest.fixture(scope="session")
def colour_model(clip_extra: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SigLIP that tells :data:`checkpoints.COLOURS` apart, and nothing else."""
    return colour_siglip(tmp_path_factory.mktemp("colours") / "colours")


@pytest.fixture(scope="session")
def random_model(clip_extra: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SigLIP with random weights."""
    return random_siglip(tmp_path_factory.mktemp("random") / "random")


@pytest.fixture(scope="session")
def _hub_server() -> Iterator[hubserver.HubServer]:
    with hubserver.serve() as server:
        yield server


@pytest.fixture
def hub(
    _hub_server: hubserver.HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[hubserver.HubServer]:
    """A Hub without data sets, and nobody logged in."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", _hub_server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    yield _hub_server
    _hub_server.reset()


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[s3server.S3Server]:
    with s3server.serve() as server:
        yield server


@pytest.fixture
def s3(_s3_server: s3server.S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3server.S3Server]:
    """An S3 server with an empty bucket, and the environment that leads to it."""
    from s3fs import S3FileSystem  # takes half a second to import

    for name, value in _s3_server.environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    yield _s3_server
    listed = _s3_server.client.list_objects_v2(Bucket=_s3_server.bucket)
    for entry in listed.get("Contents", []):
        _s3_server.client.delete_object(Bucket=_s3_server.bucket, Key=entry["Key"])


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts are short; their number stays."""
    monkeypatch.setattr("tasks.source.places.patience.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("tasks.source.places.patience.LONGEST_PAUSE_S", 0.02)


@pytest.fixture(scope="session")
def _chromium() -> Iterator[chromium.Browser]:
    path = chromium.installed()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(chromium.MISSING)
    with chromium.launched(path) as browser:
        yield browser


@pytest.fixture
def browser(_chromium: chromium.Browser) -> Iterator[chromium.Browser]:
    """A browser without open pages."""
    yield _chromium
    _chromium.close_pages()
