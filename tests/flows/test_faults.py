"""What goes wrong around a run: it fails cleanly or goes on, and the last published subset is never harmed."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import libfaketime
import pytest
from hubserver import TOKEN, HubServer
from pairs import published_files
from runs import (
    SHARDS,
    children,
    ended,
    half_written,
    kill,
    large_recipe,
    large_source,
    signals,
    start,
    wait_until,
)
from s3server import S3Server
from upath import UPath

from deployments.show import Services, free_port
from flows.curate import curate
from schemas.source import HubSource
from tasks.verify.subset import verify
from tasks.versions import Versions, followed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_source(tmp_path_factory.mktemp("large") / "source")


@pytest.fixture(scope="module")
def undisturbed(large: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> dict[str, bytes]:
    home = tmp_path_factory.mktemp("undisturbed")
    curate(large_recipe(large, home))
    return published_files(home / "subsets")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Services:
    """A server that is not running yet."""
    return Services(tmp_path_factory.mktemp("server"), free_port())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB: enough for the signals and half of the subset."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this user may not mount a disk: {mounted.stderr!r}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_the_prefect_api_is_gone_for_a_minute(
    large: Path, tmp_path: Path, prefect: Services, undisturbed: dict[str, bytes]
) -> None:
    with prefect.serving():
        run = start(large_recipe(large, tmp_path), tmp_path, prefect.environment)
        wait_until(lambda: len(signals(tmp_path)) >= 2, run)
    time.sleep(60)
    with prefect.serving():
        ended(run)
    assert published_files(tmp_path / "subsets") == undisturbed


def test_the_server_s_database_is_locked(
    large: Path, tmp_path: Path, prefect: Services, undisturbed: dict[str, bytes]
) -> None:
    with prefect.serving():
        run = start(large_recipe(large, tmp_path), tmp_path, prefect.environment)
        wait_until(lambda: len(signals(tmp_path)) >= 2, run)
        database = sqlite3.connect(prefect.home / "prefect" / "prefect.db", timeout=60, isolation_level=None)
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(20)
        database.execute("ROLLBACK")
        database.close()
        ended(run)
    assert published_files(tmp_path / "subsets") == undisturbed


def test_the_disk_of_the_output_is_full(
    large: Path, tmp_path: Path, small_disk: Path, undisturbed: dict[str, bytes]
) -> None:
    few = large_recipe(large, tmp_path, output={"dir": small_disk}, subsets=[{"name": "clean", "zoom": {"max": 1}}])
    ended(start(few, tmp_path))
    former = published_files(small_disk)
    recipe = large_recipe(large, tmp_path, output={"dir": small_disk, "shuffle_seed": None})
    (small_disk / "others").write_bytes(bytes(18 * 2**20))
    output = ended(start(recipe, tmp_path), status=1)
    assert "No space left on device" in output
    assert "Traceback" not in output
    (small_disk / "others").unlink()
    assert published_files(small_disk) == former
    assert verify(UPath(small_disk / "clean")).sound
    assert half_written(small_disk) == []


def test_the_disk_of_the_workspace_is_full(
    large: Path, tmp_path: Path, small_disk: Path, undisturbed: dict[str, bytes]
) -> None:
    (small_disk / "others").write_bytes(bytes(24 * 2**20 - 100_000))
    recipe = large_recipe(large, tmp_path, workspace=small_disk / "workspace")
    output = ended(start(recipe, tmp_path), status=1)
    assert "No space left on device" in output
    assert "Traceback" not in output
    (small_disk / "others").write_bytes(b"")
    ended(start(recipe, tmp_path))
    assert published_files(tmp_path / "subsets") == undisturbed
    assert half_written(small_disk) == []


@pytest.mark.parametrize("place", ["subsets", "workspace"])
def test_permission_is_lost(large: Path, tmp_path: Path, place: str, undisturbed: dict[str, bytes]) -> None:
    recipe = large_recipe(large, tmp_path)
    # An administrator's rights would have no limits.
    run = start(recipe, tmp_path, before=("setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"))
    wait_until(lambda: len(signals(tmp_path)) >= 2, run)
    folder = tmp_path / place
    folders = [path for path in (folder, *folder.rglob("*")) if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    output = ended(run, status=1)
    assert "Permission denied" in output
    assert str(tmp_path / place) in output
    assert "Traceback" not in output
    for path in folders:
        path.chmod(0o755)
    ended(start(recipe, tmp_path))
    assert published_files(tmp_path / "subsets") == undisturbed


def test_a_run_is_killed_while_it_publishes_where_nothing_can_be_renamed(
    large: Path, tmp_path: Path, s3: S3Server, prefect_server: None
) -> None:
    output = {"dir": f"s3://{s3.bucket}/subsets"}
    environment = dict(s3.environment)
    ended(start(large_recipe(large, tmp_path, output=output), tmp_path, environment))
    place = UPath(f"s3://{s3.bucket}/subsets", use_listings_cache=False)
    versions = Versions(place, "clean")
    former = versions.latest()
    other = large_recipe(large, tmp_path, output=output | {"shard_bytes": 2_000_000})

    def written() -> int:
        listed = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix="subsets/.versions/clean/v2-")
        return int(listed["KeyCount"])

    for objects in (2, 12, 22):
        run = start(other, tmp_path, environment)
        wait_until(lambda: written() >= objects, run)  # noqa: B023
        kill(run)
        (place / ".lock").unlink()  # its lease, which the next run would wait for: see tests/tasks/test_locks.py
        assert versions.latest() == former
        assert verify(followed(place / "clean")).sound
    ended(start(other, tmp_path, environment))
    assert [version.number for version in versions.all()] == [1, 2]
    assert versions.latest() == versions.all()[1].folder
    assert [verify(version.folder).problems for version in versions.all()] == [(), ()]


def test_the_system_kills_worker_processes(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    run = start(large_recipe(large, tmp_path), tmp_path)
    for scanned in (1, 5):
        wait_until(lambda: len(signals(tmp_path)) >= scanned, run)  # noqa: B023
        for pid in children(run):
            os.kill(pid, signal.SIGKILL)
    ended(run)
    assert published_files(tmp_path / "subsets") == undisturbed


@pytest.mark.parametrize("shift", ["-1d", "+400d"])
def test_the_clock_changes(large: Path, tmp_path: Path, shift: str, undisturbed: dict[str, bytes]) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": str(next(Path(libfaketime.__file__).parent.rglob("libfaketime.so.1"))),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    run = start(large_recipe(large, tmp_path), tmp_path, environment)
    wait_until(lambda: len(signals(tmp_path)) >= 2, run)
    clock.write_text(shift)
    ended(run)
    assert published_files(tmp_path / "subsets") == undisturbed
    output = ended(start(large_recipe(large, tmp_path), tmp_path))
    assert "scanned 0, reused all" in output
    assert "v1 (unchanged)" in output


def test_two_runs_with_one_output(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    ended(start(large_recipe(large, tmp_path, subsets=[{"name": "other"}]), tmp_path))
    one = start(large_recipe(large, tmp_path), tmp_path / "one")
    wait_until(lambda: list((tmp_path / "subsets").glob(".versions/clean/*/data")), one)
    other = start(large_recipe(large, tmp_path, output={"shard_bytes": 500_000}), tmp_path / "other")
    told = ended(other, status=1)
    assert f"{tmp_path / 'subsets'}: another run is writing there: curate tiny → clean (process {one.pid} on " in told
    ended(one)
    assert {name: data for name, data in published_files(tmp_path / "subsets").items() if name in undisturbed} == (
        undisturbed
    )
    ended(start(large_recipe(large, tmp_path, output={"shard_bytes": 500_000}), tmp_path / "other"))


def test_two_runs_with_one_workspace(large: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    runs = [start(large_recipe(large, home, workspace=tmp_path / "workspace"), home) for home in homes]
    told = [ended(run) for run in runs]
    scanned = [int(number) for output in told for number in re.findall(r"tiny: scanned (\d+), ", output)]
    assert sum(scanned) == SHARDS, told
    for home in homes:
        assert published_files(home / "subsets") == undisturbed


def test_no_secret_is_written_anywhere(
    large: Path, tmp_path: Path, s3: S3Server, hub: HubServer, prefect: Services
) -> None:
    hub.commit("someone/large", large)
    hub.close_off("someone/large", "private")
    secrets = {"AWS_SECRET_ACCESS_KEY": "s3cr3t-0f-aws-7719", "HF_TOKEN": TOKEN}
    bucket = f"s3://{s3.bucket}"
    recipe = large_recipe(large, tmp_path, output={"dir": f"{bucket}/subsets"}, workspace=f"{bucket}/workspace")
    source = HubSource.model_validate({"kind": "hub", "path": "someone/large", "name": "large"})
    environment = prefect.environment | s3.environment | secrets | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with prefect.serving():
        told = ended(start(recipe.model_copy(update={"source": source}), tmp_path, environment))
    listed = s3.client.list_objects_v2(Bucket=s3.bucket)["Contents"]
    found = [s3.client.get_object(Bucket=s3.bucket, Key=entry["Key"])["Body"].read() for entry in listed]
    places = (prefect.home, tmp_path)
    found += [path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()]
    written = b"".join(found)
    assert b"someone/large" in written, "the search finds what is there"
    for secret in secrets.values():
        assert secret not in told
        assert secret.encode() not in written
