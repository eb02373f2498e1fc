"""``kill -9`` in the middle, then the same command again: it goes on, and the result is as if nothing had happened."""

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import published_files
from runs import (
    SHARDS,
    children,
    ended,
    half_written,
    kill,
    large_recipe,
    large_source,
    latest,
    signals,
    start,
    wait_until,
)

from flows.curate import curate
from schemas.source import FileSource
from tasks.source.listing import list_shards
from tasks.source.read import read_batches
from tasks.verify.subset import verify

MOMENTS = 20

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_source(tmp_path_factory.mktemp("large") / "source")


@pytest.fixture(scope="module")
def undisturbed(large: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> dict[str, bytes]:
    home = tmp_path_factory.mktemp("undisturbed")
    curate(large_recipe(large, home))
    return published_files(home / "subsets")


def begin(source: Path, home: Path) -> subprocess.Popen[str]:
    return start(large_recipe(source, home), home)


def test_killed_in_the_middle_of_the_scan(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    run = begin(large, tmp_path)
    wait_until(lambda: len(signals(tmp_path)) >= 3, run)
    kill(run)
    done = signals(tmp_path)
    assert 3 <= len(done) < SHARDS
    assert not (tmp_path / "subsets" / "clean").exists()
    output = ended(begin(large, tmp_path))
    assert f"scanned {SHARDS - len(done)}, reused {len(done)} of {SHARDS} shards" in output
    assert done.items() <= signals(tmp_path).items()
    assert published_files(tmp_path / "subsets") == undisturbed
    assert half_written(tmp_path / "workspace") == []


def test_killed_in_the_middle_of_the_write(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    def written() -> dict[str, int]:
        records = {path.stem for path in (tmp_path / "subsets").glob(".staging/*/records/*.json")}
        files = (tmp_path / "subsets").glob(".versions/*/*/data/*.parquet")
        return {path.name: path.stat().st_mtime_ns for path in files if path.name in records}

    run = begin(large, tmp_path)
    wait_until(lambda: len(written()) >= 2, run)
    kill(run)
    done = written()
    assert not (tmp_path / "subsets" / "clean").exists()
    assert "scanned 0, reused all" in ended(begin(large, tmp_path))
    published = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "subsets" / "clean" / "data").iterdir()}
    assert done.items() <= published.items()
    assert len(done) < len(published)
    assert published_files(tmp_path / "subsets") == undisturbed
    assert verify(latest(tmp_path)).sound


def test_killed_while_rows_are_laid_aside(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    source = tmp_path / "parquet"  # whose rows cannot be drawn from where they lie
    source.mkdir()
    for shard in list_shards(FileSource(path=str(large), name="large")):
        pq.write_table(pa.Table.from_batches(read_batches(shard)), source / f"{shard.path.stem}.parquet")
    run = begin(source, tmp_path)
    wait_until(lambda: len(list(tmp_path.glob("workspace/laid-aside/*/*/[!.]*.arrow"))) >= 2, run)
    kill(run)
    assert not (tmp_path / "subsets" / "clean").exists()
    ended(begin(source, tmp_path))
    published, expected = published_files(tmp_path / "subsets"), undisturbed
    data = {name for name in expected if name.endswith(".parquet")}
    assert data == {name for name in published if name.endswith(".parquet")}
    assert all(published[name] == expected[name] for name in data if "/data/" in name)
    assert not list(tmp_path.glob("workspace/laid-aside/*"))


def test_killed_at_random_moments(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    def at_work(home: Path) -> subprocess.Popen[str]:
        run = begin(large, home)
        wait_until((home / "workspace").exists, run)
        return run

    runs = [at_work(tmp_path / name) for name in "ab"]  # two run at a time
    begun = time.monotonic()
    for run in runs:
        ended(run)
    duration = time.monotonic() - begun

    def killed(number: int) -> Path:
        draw, shortest = random.Random(number), duration
        for attempt in range(10):
            home = tmp_path / f"{number}-{attempt}"
            run = at_work(home)
            begun = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.communicate(timeout=shortest * (number + draw.random()) / MOMENTS)
            kill(run)
            if run.returncode == -signal.SIGKILL:
                return home
            shortest = min(shortest, 0.9 * (time.monotonic() - begun))  # it was done before
        raise AssertionError("always done before it was killed")

    def kill_and_run_again(number: int) -> str:
        home = killed(number)
        done = signals(home)
        where = "start" if not done else "scan" if len(done) < SHARDS else "write"
        if (home / "subsets" / "clean").exists():
            where = "end"
            assert verify(latest(home)).sound
        output = ended(begin(large, home))
        reused = "scanned 0, reused all" if len(done) == SHARDS else f"scanned {SHARDS - len(done)}, reused {len(done)}"
        assert reused in output, f"killed in the {where} with {len(done)} shards scanned: {output}"
        assert done.items() <= signals(home).items(), f"killed in the {where}: a shard was scanned twice"
        assert published_files(home / "subsets") == undisturbed, f"killed in the {where}"
        assert half_written(home / "workspace", home / "subsets") == []
        return where

    with ThreadPoolExecutor(2) as pool:
        where = list(pool.map(kill_and_run_again, range(MOMENTS)))
    assert len(set(where) - {"start"}) > 1, f"not spread over the run: {where}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_at_once_and_leaves_no_process(
    large: Path, tmp_path: Path, prefect_server: None, number: signal.Signals
) -> None:
    run = begin(large, tmp_path)
    wait_until(lambda: len(signals(tmp_path)) >= 3, run)
    left = children(run)
    assert left
    begun = time.monotonic()
    os.killpg(run.pid, number)
    output = run.communicate(timeout=20)[0]
    assert time.monotonic() - begun < 10
    assert run.returncode == 128 + number
    [told, advice, command] = output.splitlines()[-3:]
    assert advice == "to go on from here, run the same command again:"
    scanned = re.fullmatch(rf"git10m: interrupted; (\d+) of {SHARDS} shards are scanned", told)
    assert scanned, output
    assert 0 < int(scanned[1]) < SHARDS
    assert command == f"  git10m curate {tmp_path}/recipe.yaml"
    assert "Traceback" not in output
    while any(Path(f"/proc/{pid}").exists() for pid in left):
        assert time.monotonic() - begun < 20
        time.sleep(0.05)
