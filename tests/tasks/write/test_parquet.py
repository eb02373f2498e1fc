import json
from pathlib import Path

import datasets
import duckdb
import polars
import pyarrow.parquet as pq
import pytest
from pairs import encode, pair, picture, publish_one, recipe_for, write_tree


def test_files_have_a_page_index_pages_cut_by_content_and_small_row_groups(tmp_path: Path) -> None:
    rows = [pair(seed, image=encode(picture(seed), "PNG")) for seed in range(40)]
    output = {"dir": tmp_path / "subsets", "row_group_rows": 25}
    folder = publish_one(recipe_for(write_tree(tmp_path / "source", rows, 1), tmp_path, output=output))
    [path] = (folder / "data").iterdir()
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [25, 15]
    captions = next(
        column
        for column in map(metadata.row_group(0).column, range(metadata.num_columns))
        if column.path_in_schema == "caption"
    )
    assert captions.has_offset_index
    assert captions.has_column_index
    features = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}


@pytest.mark.slow
def test_rows_that_two_subsets_share_are_stored_as_the_same_bytes(tmp_path: Path) -> None:
    """A row less at the start moves the rest, which storage that cuts files by content has already."""
    rows = [pair(seed, image=encode(picture(seed, size=(512, 512)), "PNG")) for seed in range(60)]
    source = write_tree(tmp_path / "source", rows, 1)
    pages = []
    for name, least in (("all", None), ("fewer", 9)):
        subset = {"name": name, "caption_words": {"min": least}}
        output = {"dir": tmp_path / "subsets", "row_group_rows": 1000}
        [path] = (publish_one(recipe_for(source, tmp_path, subsets=[subset], output=output)) / "data").iterdir()
        data = path.read_bytes()
        pages.append({data[at : at + 4096] for at in range(0, len(data), 4096)} if name == "all" else data)
    shared, fewer = pages
    assert isinstance(fewer, bytes)
    assert sum(block in fewer for block in shared) > 0.8 * len(shared)


def test_datasets_polars_and_duckdb_open_a_subset(tmp_path: Path) -> None:
    rows = [pair(seed) for seed in range(30)]
    output = {"dir": tmp_path / "subsets", "text": "text2earth"}
    splits = {"fractions": {"train": 0.5, "test": 0.5}}
    subset = {"name": "clean", "splits": splits}
    recipe = recipe_for(write_tree(tmp_path / "source", rows), tmp_path, subsets=[subset], output=output)
    folder = publish_one(recipe)
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()}.keys() == {"train", "test"}
    assert loaded["train"][0]["image"].size == (256, 256)
    files = str(folder / "data" / "*.parquet")
    frame = polars.read_parquet(files)
    assert frame.height == 30 == sum(map(len, loaded.values()))
    assert frame["image"].struct.field("bytes").bin.starts_with(b"\xff\xd8").all()
    found = duckdb.sql(f"SELECT count(*), min(text), max(octet_length(image.bytes)) FROM '{files}'").fetchall()
    assert found[0][0] == 30
    assert found[0][1].startswith("13_GOOGLE_LEVEL_word0")
    assert found[0][2] == max(len(row["image"]) for row in rows)
