import hashlib
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from pairs import pair, published_files, recipe_for, tiny_recipe, write_tree
from upath import UPath

from flows.curate import curate
from flows.scan import ShardsQuarantined
from schemas.manifest import Manifest
from schemas.reports import CurateReport
from schemas.tables import INDEX, REJECTED
from schemas.thresholds import WordRange
from tasks.files import parquet_rows, read_parquet
from tasks.source.listing import list_shards
from tasks.source.read import read_batches
from tasks.source.shards import SourceError
from tasks.verify.subset import verify

RADIUS = 8


def rejected_of(report: CurateReport, subset: int) -> dict[int, dict[str, Any]]:
    table = pq.read_table(report.subsets[subset].directory / "rejected.parquet")
    return {row["row_id"]: row for row in table.to_pylist()}


def test_every_file_of_a_subset_is_there_and_it_verifies(curated: CurateReport) -> None:
    for subset in curated.subsets:
        names = {path.name for path in subset.directory.iterdir()}
        assert names == {
            "data", "index.parquet", "rejected.parquet", "manifest.json", "run.json", "README.md", "report.html",
            "croissant.json", "figures",
        }  # fmt: skip
        assert verify(subset.directory).problems == ()
        assert pq.read_schema(subset.directory / "index.parquet").equals(INDEX)
        assert pq.read_schema(subset.directory / "rejected.parquet").equals(REJECTED)
        manifest = Manifest.model_validate_json(subset.manifest.read_text())
        assert manifest.funnel == subset.select.funnel
        assert str(subset.directory.parent) not in subset.manifest.read_text()
    assert not (curated.subsets[0].directory.parent / ".staging").exists()


def test_every_planted_row_has_its_reason_and_its_keeper(curated: CurateReport) -> None:
    rejected = rejected_of(curated, 0)
    reasons = {row_id: row["reasons"] for row_id, row in rejected.items()}
    assert reasons == {
        3: ["image_truncated"],
        5: ["image_missing"],
        6: ["caption_missing"],
        20: ["duplicate_bytes"],
        41: ["duplicate_near"],
    }
    assert (rejected[20]["duplicate_of"], rejected[20]["duplicate_distance"]) == (40, 0)
    assert rejected[41]["duplicate_of"] == 21  # the better copy was kept, though it came first only by its score
    assert rejected[41]["measured"] == [float(rejected[41]["duplicate_distance"])]
    assert "JPEG" in str(rejected[3]["detail"])
    index = pq.read_table(curated.subsets[0].directory / "index.parquet")
    assert {row["row_id"]: row["flags"] for row in index.to_pylist() if row["flags"]} == {22: ["place_missing"]}


def test_a_filter_never_costs_a_scene_its_only_good_copy(source: Path, tmp_path: Path, prefect_server: None) -> None:
    """Row 21 is the better copy of row 41, but its caption is too long for this subset: row 41 must be kept."""
    words = {row: 8 + row % 30 for row in (21, 41)}
    subset = {"name": "short", "caption_words": {"max": words[41]}}
    assert words[21] > words[41]
    report = curate(tiny_recipe(source, tmp_path, subsets=[subset]))
    rejected = rejected_of(report, 0)
    assert 41 not in rejected
    assert rejected[21]["reasons"] == ["duplicate_near", "caption_too_long"]
    assert rejected[21]["primary_reason"] == "duplicate_near"
    assert rejected[21]["duplicate_of"] == 41


def test_index_and_rejected_hold_every_source_row_once(curated: CurateReport, source: Path) -> None:
    for subset in curated.subsets:
        tables = [pq.read_table(subset.directory / f"{name}.parquet") for name in ("index", "rejected")]
        row_ids = np.concatenate([table["row_id"].to_numpy() for table in tables])
        np.testing.assert_array_equal(np.sort(row_ids), np.arange(60))
        rows = {row["row_id"]: (row["shard"], row["row"], row["img_name"]) for t in tables for row in t.to_pylist()}
        assert rows[25] == ("data-00002-of-00005.arrow", 1, "tile_25.jpg")


def test_no_two_kept_rows_are_within_the_radius_and_every_duplicate_names_one_that_is(curated: CurateReport) -> None:
    for number, subset in enumerate(curated.subsets):
        index = pq.read_table(subset.directory / "index.parquet")
        phash = index["phash"].to_numpy()
        distance = np.bitwise_count(phash[:, None] ^ phash[None, :]).astype(int)
        np.fill_diagonal(distance, 64)
        assert distance.min() > RADIUS
        kept = set(index["row_id"].to_pylist())
        for row in rejected_of(curated, number).values():
            is_duplicate = any(reason.startswith("duplicate") for reason in row["reasons"])
            assert is_duplicate == (row["duplicate_of"] in kept)
            assert not is_duplicate or row["duplicate_distance"] <= RADIUS


def test_datasets_opens_a_subset_with_the_source_s_bytes(curated: CurateReport, source: Path, tmp_path: Path) -> None:
    subset = curated.subsets[1]
    loaded = datasets.load_dataset(str(subset.directory), cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in loaded.items()} == subset.select.splits
    assert isinstance(loaded["train"].features["image"], datasets.Image)
    assert loaded["train"][0]["image"].size == (256, 256)
    assert len(list((subset.directory / "data").iterdir())) > 2
    original = {row["img_name"]: row for s in list_shards(tiny_recipe(source, tmp_path).source)
                for batch in read_batches(s) for row in batch.to_pylist()}  # fmt: skip
    for split in loaded.values():
        for row in split.cast_column("image", datasets.Image(decode=False)):
            assert row == original[row["img_name"]]


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_subset_is_byte_identical_whatever_the_number_of_workers(
    curated: CurateReport, source: Path, tmp_path: Path, workers: int
) -> None:
    again = curate(tiny_recipe(source, tmp_path, engine={"workers": workers}))
    files = published_files(curated.subsets[0].directory.parent)
    assert published_files(again.subsets[0].directory.parent) == files
    assert len(files) > 12


def test_a_second_run_scans_nothing_and_one_changed_threshold_changes_one_subset(
    source: Path, tmp_path: Path, prefect_server: None
) -> None:
    recipe = tiny_recipe(source, tmp_path)
    curate(recipe)
    before = published_files(tmp_path / "subsets")
    changed = recipe.subsets[1].model_copy(update={"caption_words": WordRange(min=12, max=33)})
    second = curate(recipe.model_copy(update={"subsets": [recipe.subsets[0], changed]}))
    assert str(second.scan) == "scanned 0, reused all 5 shards (60 rows)"
    assert second.deduplicate.reused
    assert [subset.reused for subset in second.subsets] == [True, False]
    after = published_files(tmp_path / "subsets")
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} >= {
        "high-quality/index.parquet", "high-quality/manifest.json",
    }  # fmt: skip
    assert all(before[name] == after[name] for name in before if name.startswith("clean/"))
    assert verify(tmp_path / "subsets" / "high-quality").sound


def test_a_bad_shard_fails_the_run_at_its_end_unless_the_recipe_allows_it(tmp_path: Path, prefect_server: None) -> None:
    tree = write_tree(tmp_path / "source", [pair(seed) for seed in range(12)], shards=3)
    recipe = recipe_for(tree, tmp_path)
    bad = list_shards(recipe.source)[1].path
    bad.write_bytes(bad.read_bytes()[:2000])
    with pytest.raises(
        ShardsQuarantined,
        match=r"1 of 3 shards cannot be read; nothing was published(.|\n)*Expected to be able",
    ):
        curate(recipe)
    assert len(list((tmp_path / "workspace" / "signals").rglob("*.parquet"))) == 2
    assert published_files(tmp_path / "subsets") == {}
    allowed = recipe.model_copy(update={"source": recipe.source.model_copy(update={"on_bad_shard": "publish"})})
    report = curate(allowed)
    assert report.subsets[0].select.kept == 8
    manifest = json.loads(report.subsets[0].manifest.read_text())
    assert [shard["shard"] for shard in manifest["source"]["quarantined"]] == [bad.name]
    assert verify(report.subsets[0].directory).sound


def test_a_source_without_rows_is_refused(tmp_path: Path, prefect_server: None) -> None:
    tree = write_tree(tmp_path / "source", [pair(0)], shards=1)
    recipe = recipe_for(tree, tmp_path)
    [shard] = list_shards(recipe.source)
    import pyarrow as pa

    schema = next(read_batches(shard)).schema
    with pa.OSFile(str(shard.path), "wb") as file, pa.ipc.new_stream(file, schema):
        pass
    with pytest.raises(SourceError, match="the source is empty: no row in 1 shards"):
        curate(recipe)
    assert published_files(tmp_path / "subsets") == {}


def test_a_subset_that_keeps_nothing_is_published(source: Path, tmp_path: Path, prefect_server: None) -> None:
    report = curate(tiny_recipe(source, tmp_path, subsets=[{"name": "none", "quality": {"min_score": 99}}]))
    assert verify(report.subsets[0].directory).sound
    assert len(rejected_of(report, 0)) == 60
    assert list((report.subsets[0].directory / "data").iterdir()) == []


def test_a_folder_in_the_way_is_left_alone(source: Path, tmp_path: Path, prefect_server: None) -> None:
    (tmp_path / "subsets" / "clean").mkdir(parents=True)
    (tmp_path / "subsets" / "clean" / "thesis.txt").write_text("mine")
    from tasks.published import NotASubset

    with pytest.raises(NotASubset, match="clean: is in the way of versions"):
        curate(tiny_recipe(source, tmp_path))
    assert (tmp_path / "subsets" / "clean" / "thesis.txt").read_text() == "mine"


def test_the_manifest_names_every_source_shard_and_file(curated: CurateReport, source: Path) -> None:
    manifest = json.loads(curated.subsets[1].manifest.read_text())
    assert [shard["rows"] for shard in manifest["source"]["shards"]] == [12] * 5
    for file in manifest["files"]:
        data = (curated.subsets[1].directory / file["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["byte_length"], file["sha256"])


def test_run_json_names_the_tables_that_a_subset_was_made_of(curated: CurateReport) -> None:
    for subset in curated.subsets:
        tables = json.loads((subset.directory / "run.json").read_text())["tables"]
        first = {one["shard"]: one["first_row_id"] for one in tables["signals"]}
        for row in read_parquet(subset.directory / "index.parquet", ["row_id", "shard", "row"]).to_pylist():
            assert first[row["shard"]] + row["row"] == row["row_id"]
        assert sum(parquet_rows(UPath(one["path"])) for one in tables["signals"]) == 60
        assert parquet_rows(UPath(tables["verdicts"])) == 60
        assert parquet_rows(UPath(tables["pairs"])) == 1
        assert tables["contaminated"] is None
