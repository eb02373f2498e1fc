"""``kill -9`` in the middle, then the same command again: it goes on, and the result is as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pairs import encode, pair, picture, published_files, recipe_for, write_tree
from prefect.settings import PREFECT_API_URL
from ruamel.yaml import YAML

from flows.curate import curate
from schemas.recipe import Recipe
from tasks.verify.subset import verify

SHARDS = 12

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source whose shards each take some tenths of a second."""
    images = [encode(picture(seed, size=(2048, 2048)), quality=95) for seed in range(SHARDS)]
    rows = [pair(n, image=images[n % SHARDS] + b"%d" % n) for n in range(SHARDS * 8)]
    return write_tree(tmp_path_factory.mktemp("large") / "source", rows, shards=SHARDS)


@pytest.fixture(scope="module")
def undisturbed(large: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> dict[str, bytes]:
    home = tmp_path_factory.mktemp("undisturbed")
    curate(recipe(large, home))
    return published_files(home / "subsets")


def recipe(source: Path, home: Path) -> Recipe:
    output = {"dir": home / "subsets", "shard_bytes": 1_000_000, "shuffle_seed": 1}
    return recipe_for(source, home, output=output, deduplication={"exact_bytes": True, "near": None})


def start(home: Path, source: Path) -> subprocess.Popen[str]:
    path = home / "recipe.yaml"
    YAML(typ="safe").dump(recipe(source, home).model_dump(mode="json"), path)
    return subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import app; app()", "curate", str(path)],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_when(run: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert run.poll() is None, f"the run ended before it was killed: {run.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.communicate()


def test_killed_in_the_middle_of_the_scan(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    def signals() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "workspace").glob("signals/*/[!.]*.parquet")}

    kill_when(start(tmp_path, large), lambda: len(signals()) >= 3)
    done = signals()
    assert 3 <= len(done) < SHARDS
    assert not (tmp_path / "subsets" / "clean").exists()
    again = start(tmp_path, large)
    output = again.communicate()[0]
    assert again.returncode == 0, output
    assert f"scanned {SHARDS - len(done)}, reused {len(done)} of {SHARDS} shards" in output
    assert done.items() <= signals().items()
    assert published_files(tmp_path / "subsets") == undisturbed
    assert list((tmp_path / "workspace").rglob("*.tmp")) == []


def test_killed_in_the_middle_of_the_write(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    def written() -> dict[str, int]:
        records = {path.stem for path in (tmp_path / "subsets").glob(".staging/*/records/*.json")}
        files = (tmp_path / "subsets").glob(".staging/*/subset/data/*.parquet")
        return {path.name: path.stat().st_mtime_ns for path in files if path.name in records}

    kill_when(start(tmp_path, large), lambda: len(written()) >= 2)
    done = written()
    assert not (tmp_path / "subsets" / "clean").exists()
    again = start(tmp_path, large)
    output = again.communicate()[0]
    assert again.returncode == 0, output
    assert "scanned 0, reused all" in output
    published = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "subsets" / "clean" / "data").iterdir()}
    assert done.items() <= published.items()
    assert len(done) < len(published)
    assert published_files(tmp_path / "subsets") == undisturbed
    assert verify(tmp_path / "subsets" / "clean").sound


def test_killed_while_rows_are_laid_aside(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    def aside() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("workspace/laid-aside/*/[!.]*.arrow")}

    kill_when(start(tmp_path, large), lambda: len(aside()) >= 2)
    assert not (tmp_path / "subsets" / "clean").exists()
    again = start(tmp_path, large)
    output = again.communicate()[0]
    assert again.returncode == 0, output
    assert published_files(tmp_path / "subsets") == undisturbed
    assert not list(tmp_path.glob("workspace/laid-aside/*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_at_once_and_leaves_no_process(
    large: Path, tmp_path: Path, prefect_server: None, number: signal.Signals
) -> None:
    run = start(tmp_path, large)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "workspace").glob("signals/*/[!.]*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = [
        int(pid) for path in Path(f"/proc/{run.pid}/task").glob("*/children") for pid in path.read_text().split()
    ]
    assert children
    begin = time.monotonic()
    os.killpg(run.pid, number)
    output = run.communicate(timeout=20)[0]
    assert time.monotonic() - begin < 10
    assert run.returncode == 128 + number
    assert "interrupted; run the same command again" in output
    assert "Traceback" not in output
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() - begin < 20
        time.sleep(0.05)
