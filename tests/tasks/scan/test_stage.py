"""One bad row, or one bad shard, costs itself and no more, with real worker processes."""

import sys
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
from faults import many_scans
from pairs import pair, recipe_for, write_tree
from s3server import S3Server

from schemas.reports import QuarantinedShard, ShardReport
from tasks.scan.stage import ShardOutcome, scan_shards
from tasks.source.listing import shards_of
from tasks.workers import OwnWorkers, workers

_FAULTY_DECODER = """
import os, signal
import tasks.scan.decode as module
strict = module.decode

def decode(data, **settings):
    if bytes(data).startswith(b"\\xff\\xd8\\xff\\xe0CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if bytes(data).startswith(b"\\xff\\xd8\\xff\\xe0HOARD"):
        bytearray(6 * 2**30)
    return strict(data, **settings)

module.decode = decode
"""
"""What a worker imports first: a decoder with two faults that no known file provokes in the real one."""

_FAULTY_READER = """
import os, signal
import tasks.source.formats.arrow as module
read = module.read_batches

def read_batches(file, columns):
    for batch in read(file, columns):
        if b"KILLER" in bytes(batch.column("img_name")[0].as_buffer()):
            os.kill(os.getpid(), signal.SIGBUS)
        yield batch

module.read_batches = read_batches
"""


def scan(tree: Path, home: Path, **settings: object) -> tuple[ShardOutcome, ...]:
    recipe = recipe_for(tree, home, scan=settings)
    with workers(1) as pool:
        return scan_shards.fn(
            shards_of(recipe), "all", recipe.scan, recipe.source.columns.model_dump(), recipe.workspace, pool,
            lambda outcome: None,
        )  # fmt: skip


def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have every process that is spawned from now on run ``code`` first."""
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "sitecustomize.py").write_text(code)
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'faults'}:{root}")


def test_a_picture_that_hangs_its_decoder_costs_its_row(tmp_path: Path) -> None:
    rows = [pair(seed) for seed in range(12)]
    rows[4] = pair(4, image=many_scans(20_000, 4096))  # takes half a minute to decode, where it is not stopped
    (report,) = scan(write_tree(tmp_path / "source", rows, shards=1), tmp_path, decode_seconds=1.0)
    assert isinstance(report, ShardReport)
    assert (report.rows, report.defective_rows) == (12, 1)
    row = pq.read_table(report.signals).to_pylist()[4]
    assert row["defects"] == ["image_undecodable"]
    assert row["detail"] == "image: the decoder ran longer than 1 s"
    assert row["sha256"] is not None


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux")
def test_a_picture_that_crashes_its_decoder_or_eats_memory_costs_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(tmp_path, monkeypatch, _FAULTY_DECODER)
    rows = [pair(seed) for seed in range(12)]
    rows[2] = pair(2, image=b"\xff\xd8\xff\xe0CRASH" + bytes(100))
    rows[7] = pair(7, image=b"\xff\xd8\xff\xe0HOARD" + bytes(100))
    (report,) = scan(write_tree(tmp_path / "source", rows, shards=1), tmp_path)
    assert isinstance(report, ShardReport)
    details = {row["row"]: row["detail"] for row in pq.read_table(report.signals).to_pylist() if row["defects"]}
    assert details == {
        2: "image: the decoder crashed: SIGSEGV",
        7: "image: the decoder needed more than 2 GiB of memory",
    }


def test_a_shard_that_kills_whoever_reads_it_is_quarantined_and_the_others_are_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(tmp_path, monkeypatch, _FAULTY_READER)
    rows = [pair(seed) for seed in range(9)]
    rows[3] = pair(3, img_name="KILLER")
    one, two, three = scan(write_tree(tmp_path / "source", rows, shards=3), tmp_path)
    assert (one.rows, three.rows) == (3, 3)
    assert isinstance(two, QuarantinedShard)
    assert two.error == "data-00001-of-00003.arrow: a worker process ended while it ran scan_shard: SIGBUS"


@pytest.mark.slow
def test_what_an_engine_fetched_is_dropped_where_no_flow_clears_up(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "tree", [pair(seed) for seed in range(6)])
    url = f"s3://{s3.bucket}/tiny"
    filesystem, root = fsspec.core.url_to_fs(url)
    filesystem.put(f"{tree}/", f"{root}/", recursive=True)
    for name, travels, left in (("flow", False, 2), ("engine", True, 0)):
        recipe = recipe_for(url, tmp_path / name)
        with workers(1) as pool:
            monkeypatch.setattr("tasks.workers._HERE", pool)
            outcomes = scan_shards.fn(
                shards_of(recipe), "all", recipe.scan, recipe.source.columns.model_dump(), recipe.workspace,
                OwnWorkers() if travels else pool, lambda outcome: None,
            )  # fmt: skip
        assert [type(outcome) for outcome in outcomes] == [ShardReport, ShardReport]
        assert len(list((tmp_path / name / "workspace" / "fetched").glob("[!.]*.arrow"))) == left
