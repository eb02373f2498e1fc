import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pairs import pair, write_tree

from schemas.recipe import Source
from schemas.tables import FACT_COLUMNS
from tasks.scan.images import byte_views
from tasks.source import ShardUnreadable, SourceError, image_bytes, list_shards, read_batches, take_rows


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("source"), [pair(seed) for seed in range(10)], shards=3)


def source(path: Path, split: str = "train") -> Source:
    return Source(path=path, name="tiny", split=split)


def test_shards_are_listed_in_order_from_either_kind_of_tree(tree: Path) -> None:
    names = [f"data-{n:05d}-of-00003.arrow" for n in range(3)]
    assert [shard.name for shard in list_shards(source(tree))] == names
    assert [shard.name for shard in list_shards(source(tree / "train"))] == names


def test_a_source_that_is_none_is_refused_by_name(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: no such folder"):
        list_shards(source(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"neither dataset_dict\.json nor state\.json"):
        list_shards(source(tmp_path))
    with pytest.raises(SourceError, match="no split 'test'; found train"):
        list_shards(source(tree, "test"))
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(SourceError, match=r"state.json: .*expected a JSON file"):
        list_shards(source(tmp_path))
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": []}))
    with pytest.raises(SourceError, match="the source is empty"):
        list_shards(source(tmp_path))
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../secret"}]}))
    with pytest.raises(SourceError, match="outside the split's folder"):
        list_shards(source(tmp_path))


def test_rows_are_taken_as_they_are(tree: Path) -> None:
    shard = list_shards(source(tree))[0]
    whole = pa.Table.from_batches(list(read_batches(shard.path)))
    taken = pa.concat_tables(take_rows(shard.path, np.array([0, 2, 3])))
    assert taken.equals(whole.take([0, 2, 3]))
    with pytest.raises(ShardUnreadable, match="no row 4; found 4 rows"):
        list(take_rows(shard.path, np.array([1, 4])))


def test_images_are_viewed_without_a_copy(tree: Path) -> None:
    batch = next(read_batches(list_shards(source(tree))[1].path))
    views = byte_views(image_bytes(batch))
    assert [bytes(view or b"") for view in views] == [pair(seed)["image"] for seed in range(4, 7)]
    assert [bytes(view or b"") for view in byte_views(image_bytes(batch.slice(1, 1)))] == [pair(5)["image"]]


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_nulls_and_widths_of_binary_columns(type_: pa.DataType) -> None:
    views = byte_views(pa.array([b"abc", None, b"", b"d" * 40], type_))
    assert [view if view is None else bytes(view) for view in views] == [b"abc", None, b"", b"d" * 40]
    assert byte_views(pa.array([None, None], type_)) == [None, None]


def test_a_damaged_shard_is_unreadable(tree: Path, tmp_path: Path) -> None:
    data = list_shards(source(tree))[0].path.read_bytes()
    for name, damaged, words in (
        ("empty", b"", "cut short"),
        ("cut", data[: len(data) // 2], "cut short"),
        ("without-end", data[:-8], "cut short"),
        ("other", b"PAR1" + bytes(100) + b"\xff\xff\xff\xff\0\0\0\0", "other"),
        ("headless", bytes(200) + data[200:], "headless"),
    ):
        path = tmp_path / name
        path.write_bytes(damaged)
        with pytest.raises(ShardUnreadable, match=words):
            list(read_batches(path))
    with pytest.raises(ShardUnreadable, match="missing"):
        list(read_batches(tmp_path / "missing"))


def test_a_shard_with_a_hole_loses_no_row_in_silence(tree: Path, tmp_path: Path) -> None:
    path = list_shards(source(tree))[0].path
    table = pa.Table.from_batches(read_batches(path))
    holed = tmp_path / "holed"
    with pa.OSFile(str(holed), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table.slice(0, 2))
        file.flush()
        hole = holed.stat().st_size
        writer.write_table(table.slice(2))
    data = holed.read_bytes()
    holed.write_bytes(data[:hole] + bytes(4096) + data[hole + 4096 :])
    with pytest.raises(ShardUnreadable, match="an end-of-stream marker at byte"):
        list(read_batches(holed))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    for name, table, words in (
        ("a", pa.table({"image": pa.array([], pa.binary())}), "no column img_name, .*; found image"),
        (
            "b",
            pa.table({name: [] for name in ("image", *FACT_COLUMNS)}),
            "column image is null; expected struct",
        ),
    ):
        with pa.OSFile(str(tmp_path / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(ShardUnreadable, match=words):
            list(read_batches(tmp_path / name))
