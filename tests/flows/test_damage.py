"""Shards that are damaged, or change under the run's feet: quarantined by name, and no good row is lost."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, published_files, recipe_for, write_tree

import flows.curate
from flows.curate import curate
from flows.scan import ShardsQuarantined
from schemas.recipe import Recipe
from tasks.source.listing import shards_of
from tasks.source.read import read_batches
from tasks.verify.subset import verify


def allowing(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"source": recipe.source.model_copy(update={"on_bad_shard": "publish"})})


def test_rows_before_the_damage_are_kept(tmp_path: Path, prefect_server: None) -> None:
    recipe = recipe_for(write_tree(tmp_path / "source", [pair(seed) for seed in range(12)], shards=3), tmp_path)
    bad = shards_of(recipe)[1]
    table = pa.Table.from_batches(read_batches(bad)).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    (tmp_path / "cut").write_bytes(sink.getvalue().to_pybytes()[:-5000])  # cuts the last of four batches
    (tmp_path / "cut").replace(bad.path)
    with pytest.raises(ShardsQuarantined, match=f"{bad.name}: "):
        curate(recipe)
    assert published_files(tmp_path / "subsets") == {}
    assert [path.name for path in (tmp_path / "subsets").iterdir()] == [".lock"]
    report = curate(allowing(recipe))
    assert report.scan.scanned == 0  # what could be read was kept
    [subset] = report.subsets
    assert subset.select.kept == 11
    manifest = json.loads(subset.manifest.read_text())
    [told] = manifest["source"]["quarantined"]
    assert (told["shard"], told["rows"]) == (bad.name, 3)
    assert f"`{bad.name}` (from row 3 on)" in (subset.directory / "README.md").read_text()
    names = pq.read_table(subset.directory / "index.parquet")["img_name"].to_pylist()
    assert names == [f"tile_{seed}.jpg" for seed in range(12) if seed != 7]
    assert verify(subset.directory).sound


def test_a_shard_that_changes_between_scan_and_write_is_quarantined(
    tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [pair(seed) for seed in range(12)]
    tree = write_tree(tmp_path / "source", rows, shards=3)
    recipe = recipe_for(tree, tmp_path)
    victim = shards_of(recipe)[1]
    whole = victim.path.read_bytes()
    deduplicate = flows.curate.deduplicate

    def change_then_deduplicate(*arguments: Any) -> Any:
        at = whole.index(rows[5]["image"]) + 200
        victim.path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        return deduplicate(*arguments)

    monkeypatch.setattr(flows.curate, "deduplicate", change_then_deduplicate)
    with pytest.raises(ShardsQuarantined, match=f"{victim.name}: its file was written to since it was scanned"):
        curate(recipe)
    assert [path.name for path in (tmp_path / "subsets").iterdir() if not path.name.startswith(".")] == []
    victim.path.write_bytes(whole)
    [subset] = curate(allowing(recipe)).subsets
    assert subset.select.kept == 8
    assert [bad["shard"] for bad in json.loads(subset.manifest.read_text())["source"]["quarantined"]] == [victim.name]
    assert verify(subset.directory).sound
    assert not (tmp_path / "subsets" / ".staging").exists()


def test_a_source_of_which_nothing_can_be_read_says_why_though_bad_shards_are_allowed(
    tmp_path: Path, prefect_server: None
) -> None:
    recipe = recipe_for(write_tree(tmp_path / "source", [pair(0)], shards=1), tmp_path)
    [shard] = shards_of(recipe)
    shard.path.write_bytes(b"")
    with pytest.raises(ShardsQuarantined, match=f"{shard.name}: zero bytes long"):
        curate(allowing(recipe))


@pytest.mark.slow
def test_shards_whose_schemas_differ_become_one_subset(tmp_path: Path, prefect_server: None) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    rows = [pair(seed) for seed in range(9)]

    def column(name: str, part: slice) -> list[Any]:
        return [row[name] for row in rows[part]]

    names = [name for name in rows[0] if name != "image"]
    one, two, three = slice(0, 3), slice(3, 6), slice(6, 9)
    pictures = [{"bytes": row["image"], "path": None} for row in rows]
    pq.write_table(
        pa.table({"image": pictures[one]} | {name: column(name, one) for name in names}), folder / "a.parquet"
    )
    narrow = {"img_quality_score": pa.float32(), "caption_length": pa.uint8(), "caption": pa.large_string()}
    columns = {name: pa.array(column(name, two), narrow.get(name)) for name in reversed(names)}
    columns |= {"image": pa.array(column("image", two), pa.large_binary()), "note": pa.array(["x"] * 3)}
    pq.write_table(pa.table(columns), folder / "b.parquet")
    texts = {name: pa.array(list(map(str, column(name, three)))).dictionary_encode() for name in names}
    with pa.OSFile(str(folder / "c.parquet"), "wb") as file:
        pq.write_table(pa.table({"image": pa.array(column("image", three))} | texts), file)
    [subset] = curate(recipe_for(folder, tmp_path)).subsets
    assert (subset.select.kept, subset.select.flags) == (9, ())
    [path] = (subset.directory / "data").iterdir()
    table = pq.read_table(str(path))
    assert table.schema.names == ["image", *names, "note"]
    assert [row["bytes"] for row in table["image"].to_pylist()] == [row["image"] for row in rows]
    assert table["note"].to_pylist() == [None] * 3 + ["x"] * 3 + [None] * 3
    assert table["caption_length"].cast(pa.int64()).to_pylist() == column("caption_length", slice(None))
    from datasets import Image, load_dataset

    opened = load_dataset(str(subset.directory), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(opened.features["image"], Image)
    assert verify(subset.directory).sound
