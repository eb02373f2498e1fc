from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, recipe_for, scan_all, write_tree
from upath import UPath

from schemas.recipe import Output
from schemas.reports import ScanReport
from tasks.scan.identity import shard_status
from tasks.source.listing import shards_of
from tasks.source.read import read_batches
from tasks.source.shards import Shard
from tasks.write.copy import copy_rows
from tasks.write.plan import FilePlan, ShardRows
from tasks.write.rows import SourceChanged
from tasks.write.schema import data_schema


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    rows = [pair(seed) for seed in range(12)]
    rows[4] = pair(4, image=None)
    [shard] = shards_of(recipe_for(write_tree(tmp_path / "source", rows, shards=1), tmp_path))
    return shard


@pytest.fixture
def scan(shard: Shard, tmp_path: Path) -> ScanReport:
    return scan_all(recipe_for(shard.path.parent, tmp_path))


def plan(shard: Shard, scan: ScanReport, rows: list[int]) -> FilePlan:
    [scanned] = scan.shards
    signals = pq.read_table(scanned.signals).take(rows)
    digests, levels = signals["sha256"].combine_chunks(), signals["z"].to_numpy()
    return FilePlan(
        "data/a.parquet",
        (ShardRows(shard, 0, np.array(rows), np.arange(len(rows)), levels, digests, scanned.layout, scanned.status),),
        sum(signals["byte_length"].to_pylist()),
    )


def output(folder: Path, **settings: Any) -> Output:
    return Output.model_validate({"dir": folder} | settings)


def now(planned: FilePlan) -> FilePlan:
    parts = tuple(part._replace(status=tuple(shard_status(part.shard))) for part in planned.parts)
    return planned._replace(parts=parts)


def test_rows_are_copied_untouched_in_whole_row_groups(shard: Shard, scan: ScanReport, tmp_path: Path) -> None:
    rows = [0, 1, 3, 4, 7, 8, 11]
    path = tmp_path / "a.parquet"
    file = copy_rows(plan(shard, scan, rows), data_schema(scan), UPath(path), output(tmp_path, row_group_rows=3), None)
    source = pa.Table.from_batches(read_batches(shard))
    assert pq.read_table(path).equals(source.take(rows))
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [3, 3, 1]
    assert (file.rows, file.byte_length) == (7, path.stat().st_size)
    assert b'"_type": "Image"' in pq.read_schema(path).metadata[b"huggingface"]


def test_a_source_that_changed_since_the_scan_is_refused_and_nothing_appears(
    shard: Shard, scan: ScanReport, tmp_path: Path
) -> None:
    planned, target = plan(shard, scan, [0, 5]), data_schema(scan)
    data = shard.path.read_bytes()
    image = pair(5)["image"]
    at = data.index(image) + 300
    shard.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(SourceChanged, match=r"data-00000-of-00001.arrow: its file was written to since it was scanned"):
        copy_rows(planned, target, UPath(tmp_path / "out" / "a.parquet"), output(tmp_path), None)
    planned = now(planned)  # as if nobody had written to it: the disk gives other bytes
    with pytest.raises(SourceChanged, match=r"data-00000-of-00001.arrow, row 5: the image's SHA-256 is"):
        copy_rows(planned, target, UPath(tmp_path / "out" / "a.parquet"), output(tmp_path), None)
    shard.path.write_bytes(data[: at - 400])
    planned = now(planned)
    with pytest.raises(SourceChanged, match=r"data-00000-of-00001.arrow: .*it was readable when it was scanned"):
        copy_rows(planned, target, UPath(tmp_path / "out" / "a.parquet"), output(tmp_path), None)
    assert not list(tmp_path.glob("out/*"))
