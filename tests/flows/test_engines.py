"""One recipe on threads, on Dask and on Ray: the same bytes, also when Dask workers are lost, and no process left."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pairs import Row, encode, pair, picture, published_files, recipe_for, tiny_recipe, write_tree
from s3server import S3Server
from upath import UPath

from flows.curate import curate
from schemas.recipe import Engine
from tasks.verify.subset import verify

SHARDS = 12

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(_s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[str]:
    """The URL of a folder on S3 that holds a source, ``tiny``; processes that start now find the way there."""
    rows: list[Row] = [pair(seed) for seed in range(30)]
    rows[3] = pair(3, image=None)
    rows[20] = pair(20, image=rows[10]["image"], img_quality_score=1.0)
    tree = write_tree(tmp_path_factory.mktemp("source") / "tiny", rows, shards=5)
    url = f"s3://{_s3_server.bucket}/engines"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in _s3_server.environment.items():
            environment.setenv(name, value)
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        fsspec.filesystem("s3").clear_instance_cache()
        filesystem, root = fsspec.core.url_to_fs(f"{url}/tiny")
        filesystem.put(f"{tree}/", f"{root}/", recursive=True)
        yield url
        filesystem.rm(f"{_s3_server.bucket}/engines", recursive=True)


def curated_at(store: str, name: str, engine: dict[str, Any]) -> dict[str, bytes]:
    """What ``engine`` makes of the source on S3, with workspace and output there."""
    output = {"dir": f"{store}/{name}/subsets", "shard_bytes": 80_000}
    workspace = f"{store}/{name}/workspace"
    recipe = tiny_recipe(f"{store}/tiny", Path(), output=output, workspace=workspace, engine=engine)
    report = curate(recipe)
    assert report.scan.scanned == 5
    assert [verify(subset.directory).problems for subset in report.subsets] == [(), ()]
    return published_files(UPath(f"{store}/{name}/subsets"))


@pytest.fixture(scope="module")
def by_one(store: str) -> dict[str, bytes]:
    return curated_at(store, "one", {"workers": 1})


def test_two_local_workers(store: str, by_one: dict[str, bytes]) -> None:
    assert curated_at(store, "two", {"workers": 2}) == by_one


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_cluster_on_object_storage(
    store: str, by_one: dict[str, bytes], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("flows.runner.workers")  # nothing is done by the flow's own pool
    handler = signal.getsignal(signal.SIGTERM)
    before = descendants()
    assert curated_at(store, kind, {"kind": kind, "workers": 2}) == by_one
    assert signal.getsignal(signal.SIGTERM) is handler
    wait_until(lambda: descendants() <= before)


def test_lost_dask_workers(tmp_path: Path, prefect_server: None) -> None:
    from distributed import LocalCluster

    images = [encode(picture(seed, size=(2048, 2048)), quality=95) for seed in range(SHARDS)]
    rows = [pair(n, image=images[n % SHARDS] + b"%d" % n) for n in range(SHARDS * 8)]
    source = write_tree(tmp_path / "source", rows, shards=SHARDS)
    changes: dict[str, Any] = {"deduplication": {"exact_bytes": True, "near": None}}

    def output(home: Path) -> dict[str, Any]:
        return {"dir": home / "subsets", "shard_bytes": 1_000_000, "shuffle_seed": 1}

    alone, lossy = tmp_path / "alone", tmp_path / "lossy"
    curate(recipe_for(source, alone, output=output(alone), **changes))
    killed: list[int] = []

    def kill_one_when(pattern: str) -> None:
        wait_until(lambda: len(list(lossy.glob(pattern))) >= 2, seconds=120)
        busy = next(nanny for nanny in cluster.workers.values() if nanny.pid not in killed)
        os.kill(busy.pid, signal.SIGKILL)
        killed.append(busy.pid)

    def kill_two() -> None:
        kill_one_when("workspace/signals/*/[!.]*.parquet")
        kill_one_when("subsets/.staging/*/records/*.json")

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        engine = Engine(kind="dask", address=cluster.scheduler_address, workers=2)
        killer = threading.Thread(target=kill_two)
        killer.start()
        report = curate(recipe_for(source, lossy, output=output(lossy), engine=engine, **changes))
        killer.join()
    assert len(killed) == 2
    assert (len(report.scan.shards), report.scan.quarantined) == (SHARDS, ())
    assert published_files(lossy / "subsets") == published_files(alone / "subsets")


def descendants() -> set[int]:
    """Return the processes below this one, but for those by which multiprocessing watches over semaphores."""
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        for listed in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            children = [int(pid) for pid in listed.read_text().split()]
            waiting += children
            found |= {pid for pid in children if b"resource_tracker import" not in command(pid)}
    return found


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def wait_until(reached: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
