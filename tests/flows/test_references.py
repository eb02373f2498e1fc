"""Decontamination by the real flow: reference sets of other kinds than the source, good and bad."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pairs import encode, land, pair, published_files, recipe_for, write_tree

from flows.curate import curate
from flows.scan import ShardsQuarantined
from schemas.recipe import Recipe
from tasks.verify.subset import verify


@pytest.fixture
def benchmark_set(tmp_path: Path) -> Path:
    """An image folder of pictures without captions, as test sets are."""
    folder = tmp_path / "benchmark"
    folder.mkdir()
    names = [f"class_{number}.png" for number in range(3)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(encode(land(number), "PNG"))
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "label"), *((name, 0) for name in names)])
    return folder


def recipe_with(tmp_path: Path, reference: Path, home: str = "home") -> Recipe:
    rows = [pair(seed, image=encode(land(seed), quality=60)) for seed in range(8)]
    rows[1] = pair(1, image=encode(land(1).resize((100, 100))), img_quality_score=9.0)
    source = write_tree(tmp_path / "source", rows, shards=2)
    references = [{"path": str(reference), "name": "benchmark"}]
    return recipe_for(source, tmp_path / home, deduplication={"references": references})


def test_no_copy_of_a_test_picture_is_kept_and_the_manifest_names_the_test_set(
    tmp_path: Path, benchmark_set: Path, prefect_server: None
) -> None:
    report = curate(recipe_with(tmp_path, benchmark_set))
    directory = report.subsets[0].directory
    rejected = pq.read_table(directory / "rejected.parquet").to_pylist()
    assert [row["reasons"] for row in rejected] == [["contaminated"]] * 3
    assert [row["reference"].split(": ")[0] for row in rejected] == ["benchmark"] * 3
    assert rejected[1]["measured"][0] <= 2
    assert "3 rows contaminated" in str(report.deduplicate)
    [reference] = json.loads((directory / "manifest.json").read_text())["references"]
    assert (reference["name"], reference["rows"]) == ("benchmark", 3)
    assert str(benchmark_set) not in (directory / "manifest.json").read_text()
    assert verify(directory).sound


def test_a_test_set_may_be_a_folder_for_each_class(tmp_path: Path, benchmark_set: Path, prefect_server: None) -> None:
    (benchmark_set / "metadata.csv").unlink()
    for image in list(benchmark_set.iterdir()):
        (benchmark_set / image.stem).mkdir()
        image.rename(benchmark_set / image.stem / "1.png")
    report = curate(recipe_with(tmp_path, benchmark_set))
    rejected = pq.read_table(report.subsets[0].directory / "rejected.parquet").to_pylist()
    assert [(row["reasons"], row["reference"]) for row in rejected] == [
        (["contaminated"], f"benchmark: . row {number}") for number in range(3)
    ]


@pytest.mark.slow
def test_a_changed_test_set_is_another_subset_and_an_unchanged_one_is_reused(
    tmp_path: Path, benchmark_set: Path, prefect_server: None
) -> None:
    recipe = recipe_with(tmp_path, benchmark_set)
    first = curate(recipe)
    before = published_files(tmp_path / "home" / "subsets")
    assert curate(recipe).subsets[0].reused
    assert published_files(tmp_path / "home" / "subsets") == before
    (benchmark_set / "class_2.png").write_bytes(encode(land(99), "PNG"))
    second = curate(recipe)
    assert not second.subsets[0].reused
    assert (first.subsets[0].select.kept, second.subsets[0].select.kept) == (5, 6)


def test_a_test_set_that_cannot_be_read_stops_the_run(tmp_path: Path, prefect_server: None) -> None:
    bad = tmp_path / "benchmark.parquet"
    bad.write_bytes(b"PAR1 and nothing more PAR1")
    with pytest.raises(ShardsQuarantined, match=r"1 of 1 shards(.|\n)*deduplication\.references\.0\.on_bad_shard"):
        curate(recipe_with(tmp_path, bad))
    assert published_files(tmp_path / "home" / "subsets") == {}
