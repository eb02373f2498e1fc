import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, recipe_for, scan_all, write_tree

from tasks.source import Shard, list_shards, read_batches
from tasks.write.copy import SourceChanged, copy_rows, with_features
from tasks.write.plan import FilePlan, ShardRows


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    rows = [pair(seed) for seed in range(12)]
    rows[4] = pair(4, image=None)
    [shard] = list_shards(recipe_for(write_tree(tmp_path / "source", rows, shards=1), tmp_path).source)
    return shard


def plan(shard: Shard, rows: list[int]) -> FilePlan:
    [scanned] = scan_all(recipe_for(shard.path.parent, shard.path.parents[2])).shards
    signals = pq.read_table(scanned.signals).take(rows)
    digests = signals["sha256"].combine_chunks()
    return FilePlan(
        "data/a.parquet", (ShardRows(shard, np.array(rows), digests),), sum(signals["byte_length"].to_pylist())
    )


def test_rows_are_copied_untouched_in_whole_row_groups(shard: Shard, tmp_path: Path) -> None:
    rows = [0, 1, 3, 4, 7, 8, 11]
    path = tmp_path / "a.parquet"
    file = copy_rows(plan(shard, rows), shard.path, path, row_group_rows=3)
    source = pa.Table.from_batches(read_batches(shard.path))
    assert pq.read_table(path).equals(source.take(rows))
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [3, 3, 1]
    assert (file.rows, file.byte_length) == (7, path.stat().st_size)
    assert b'"_type": "Image"' in pq.read_schema(path).metadata[b"huggingface"]


def test_features_are_added_where_the_source_has_none(shard: Shard) -> None:
    schema = next(read_batches(shard.path)).schema
    bare = schema.remove_metadata()

    found, expected = (
        json.loads(s.metadata[b"huggingface"])["info"]["features"] for s in (with_features(bare), schema)
    )
    assert found == expected


def test_a_source_that_changed_since_the_scan_is_refused_and_nothing_appears(shard: Shard, tmp_path: Path) -> None:
    planned = plan(shard, [0, 5])
    data = shard.path.read_bytes()
    image = pair(5)["image"]
    at = data.index(image) + 300
    shard.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(SourceChanged, match=r"data-00000-of-00001.arrow, row 5: the image's SHA-256 is"):
        copy_rows(planned, shard.path, tmp_path / "out" / "a.parquet", row_group_rows=100)
    template = tmp_path / "template.arrow"
    template.write_bytes(data)
    shard.path.write_bytes(data[:-30])
    with pytest.raises(SourceChanged, match=r"cut short.*it was readable when it was scanned"):
        copy_rows(planned, template, tmp_path / "out" / "a.parquet", row_group_rows=100)
    assert not list(tmp_path.glob("out/*"))
