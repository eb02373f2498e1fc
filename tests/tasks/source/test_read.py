from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, write_tree

from schemas.source import FileSource
from tasks.source.listing import list_shards
from tasks.source.places.fetch import FetchCache
from tasks.source.read import read_batches, read_schema, take_rows
from tasks.source.shards import Shard, ShardUnreadable


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    tree = write_tree(tmp_path_factory.mktemp("source"), [pair(seed) for seed in range(10)], shards=3)
    return list_shards(FileSource(path=str(tree), name="tiny"))[0]


def test_rows_are_taken_as_they_are(shard: Shard) -> None:
    whole = pa.Table.from_batches(read_batches(shard))
    for rows in ([0, 2, 3], [1], [0, 1, 2, 3], [1, 2]):
        assert pa.concat_tables(take_rows(shard, np.array(rows))).equals(whole.take(rows))
    some = pa.concat_tables(take_rows(shard, np.array([1, 3]), ["caption"]))
    assert some["caption"].to_pylist() == whole["caption"].take([1, 3]).to_pylist()
    with pytest.raises(ShardUnreadable, match="no row 4; found 4 rows"):
        list(take_rows(shard, np.array([1, 4])))


def test_rows_of_view_types_are_taken_too(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([b"a" * 20, b"b" * 20, b"c" * 20, None], pa.binary_view())})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    views = Shard("a.arrow", tmp_path / "a.arrow", "arrow")
    taken = pa.concat_tables(take_rows(views, np.array([0, 2, 3])))
    assert taken["image"].to_pylist() == [b"a" * 20, b"c" * 20, None]


def test_of_a_parquet_shard_only_row_groups_with_wanted_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"image": [bytes([n]) * 5000 for n in range(12)], "caption": [f"caption {n}" for n in range(12)]})
    pq.write_table(table, path, row_group_size=4, compression="none", use_dictionary=False, write_page_checksum=True)
    damaged = bytearray(path.read_bytes())
    damaged[1000] ^= 1  # in the first row group
    path.write_bytes(damaged)
    shard = Shard("a.parquet", path, "parquet")
    for rows in ([4, 7], [5, 8, 11], [11]):
        taken = pa.concat_tables(take_rows(shard, np.array(rows)))
        assert taken.equals(table.take(rows).cast(taken.schema))
    with pytest.raises(ShardUnreadable, match=r"^a.parquet: "):
        list(take_rows(shard, np.array([3, 5])))
    with pytest.raises(ShardUnreadable, match="no row 12; found 12 rows"):
        list(take_rows(shard, np.array([11, 12])))


def test_every_error_names_the_shard_and_what_was_good_comes_first(shard: Shard, tmp_path: Path) -> None:
    missing = Shard("data-7.arrow", tmp_path / "missing", "arrow")
    with pytest.raises(ShardUnreadable, match=r"^data-7.arrow: "):
        read_schema(missing)
    table = pa.Table.from_batches(read_batches(shard))
    path = tmp_path / "cut.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        for start in range(4):
            writer.write_table(table.slice(start, 1))
    path.write_bytes(path.read_bytes()[:-200])
    seen = []
    with pytest.raises(ShardUnreadable, match=r"^cut.arrow: "):
        seen.extend(read_batches(Shard("cut.arrow", path, "arrow")))
    assert pa.Table.from_batches(seen).equals(table.slice(0, 3))


def test_a_shard_that_lies_elsewhere_is_read_in_place_or_fetched(tmp_path: Path) -> None:
    import fsspec

    table = pa.table({"image": [b"x" * 5000] * 300, "caption": [f"caption {n}" for n in range(300)]})
    memory = fsspec.filesystem("memory")
    with memory.open("/reading/part-0.parquet", "wb") as file:
        pq.write_table(table, file, use_dictionary=False, compression="none")
    cache = FetchCache(tmp_path / "fetched", 10_000_000)
    [remote] = list_shards(FileSource(path="memory://reading", name="tiny"), cache)
    [batch] = read_batches(remote, ["caption"], in_place=True)
    assert batch.schema.names == ["caption"]
    assert not remote.path.exists()
    assert pa.Table.from_batches(read_batches(remote)).equals(table.cast(read_schema(remote)))
    assert remote.path.stat().st_size == memory.size("/reading/part-0.parquet")
    cache.clear()
    assert not remote.path.exists()
    memory.rm("/reading", recursive=True)
