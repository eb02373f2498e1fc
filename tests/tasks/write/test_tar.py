import json
import string
import tarfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import encode, pair, picture, publish_one, recipe_for, scan_all, write_tree

from schemas.recipe import Recipe
from tasks.source.listing import shards_of
from tasks.source.read import read_batches
from tasks.write.tar import member_header


def packed(tmp_path: Path, *, alike: bool = False) -> tuple[Recipe, Path]:
    """Return a recipe and its subset in tars; of pairs that are all alike, or of which some lack what others have."""
    rows = [pair(seed) for seed in range(9)]
    if not alike:
        rows[2] |= {"image": encode(picture(2), "PNG"), "caption": "Häuser 'an' einem\n\"Fluß\" 🏠"}
        rows[3] |= {"image": None}
        rows[4] |= {"caption": None, "caption_length": None, "Google_location": None, "resolution": None}
    rules = {"image_missing": "flag", "caption_missing": "flag"}
    recipe = recipe_for(
        write_tree(tmp_path / "source", rows), tmp_path, validation={"rules": rules},
        output={"dir": tmp_path / "subsets", "format": "webdataset", "shard_bytes": 40_000},
    )  # fmt: skip
    return recipe, publish_one(recipe)


def test_a_sample_is_the_image_as_it_is_all_columns_and_the_caption(tmp_path: Path) -> None:
    recipe, folder = packed(tmp_path)
    source = pa.concat_tables([pa.Table.from_batches(read_batches(shard)) for shard in shards_of(recipe)]).to_pylist()
    index = pq.read_table(folder / "index.parquet").to_pylist()
    assert len(index) == 9
    assert len({row["file"] for row in index}) > 1
    for row in index:
        origin = source[row["row_id"]]
        image, key = origin.pop("image"), f"{row['row_id']:012d}"
        with tarfile.open(folder / row["file"]) as tar:
            members = {name: tar.extractfile(name).read() for name in tar.getnames() if name.startswith(key)}  # type: ignore[union-attr]
            keys = list(dict.fromkeys(name.split(".")[0] for name in tar.getnames()))
        assert keys[row["file_row"]] == key
        assert json.loads(members.pop(f"{key}.json")) == origin
        assert members.pop(f"{key}.txt").decode() == (origin["caption"] or "")
        suffix = "png" if row["row_id"] == 2 else "jpg"
        assert members == ({} if image is None else {f"{key}.{suffix}": image["bytes"]})


def test_other_readers_open_it(tmp_path: Path) -> None:
    _, folder = packed(tmp_path, alike=True)
    tars = sorted(map(str, (folder / "data").iterdir()))
    samples = [sample for path in tars for sample in webdataset.WebDataset(path, shardshuffle=False)]
    assert [sample["__key__"] for sample in samples] == [f"{row:012d}" for row in range(9)]
    loaded = datasets.load_dataset("webdataset", data_files={"train": tars[:1]}, split="train", cache_dir=str(tmp_path))
    assert loaded[0]["jpg"].size == (256, 256)
    assert loaded[0]["json"]["img_name"] == "tile_0.jpg"


def test_it_is_a_source_again_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    _, folder = packed(tmp_path / "a")
    _, other = packed(tmp_path / "b")
    for path in (folder / "data").iterdir():
        assert path.read_bytes() == (other / "data" / path.name).read_bytes()
        assert path.stat().st_size % 10_240 == 0
    again = scan_all(recipe_for(folder / "data", tmp_path / "c"))
    assert again.quarantined == ()
    signals = pa.concat_tables([pq.read_table(shard.signals) for shard in again.shards])
    index = pq.read_table(folder / "index.parquet")
    assert signals["sha256"].to_pylist() == index["sha256"].to_pylist()
    assert signals["z"].to_pylist() == index["z"].to_pylist()


@given(st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=100), st.integers(0, 2**33 - 1))
@settings(max_examples=200, deadline=None)
def test_a_member_s_header_is_the_one_that_the_standard_library_makes(name: str, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    assert member_header(name, size) == member.tobuf(tarfile.GNU_FORMAT)
