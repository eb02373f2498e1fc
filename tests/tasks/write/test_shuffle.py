from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, recipe_for, scan_all, write_tree
from upath import UPath

from schemas.recipe import Output, Recipe
from tasks.deduplicate.stage import find_duplicates
from tasks.scan.identity import shard_status
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts
from tasks.source.listing import shards_of
from tasks.source.read import read_batches
from tasks.write import shuffle
from tasks.write.copy import copy_rows
from tasks.write.placement import Placement, place_rows, shuffled
from tasks.write.plan import FilePlan, plan_files
from tasks.write.rows import SourceChanged
from tasks.write.schema import DataSchema, data_schema
from tasks.write.shuffle import clear_aside, lay_aside, merge_parts


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Return a recipe of three Arrow shards."""
    rows = [pair(seed) for seed in range(60)]
    rows[8] = pair(8, image=None)
    output = {"dir": tmp_path / "subsets", "shuffle_seed": 4, "shard_bytes": 150_000, "row_group_rows": 9}
    source = write_tree(tmp_path / "source", rows, shards=3)
    subset = {"name": "s", "splits": {"fractions": {"test": 0.3, "train": 0.7}}}
    return recipe_for(source, tmp_path, subsets=[subset], output=output)


def otherwise(recipe: Recipe, *, mixed: bool = False) -> Recipe:
    """Return a recipe of the same rows in shards whose rows cannot be had one by one; ``mixed``: but for the first."""
    folder = Path(recipe.source.path).parent / "otherwise"
    folder.mkdir()
    for number, shard in enumerate(shards_of(recipe)):
        table = pa.Table.from_batches(read_batches(shard))
        options = pa.ipc.IpcWriteOptions(compression=None if mixed and number == 0 else "zstd")
        if number == 2:
            table = table.set_column(1, "img_name", table["img_name"].dictionary_encode())
        with pa.ipc.new_stream(folder / f"{number}.arrow", table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=7)
    return recipe.model_copy(update={"source": recipe.source.model_copy(update={"path": str(folder)})})


def planned(recipe: Recipe, tmp_path: Path) -> tuple[list[FilePlan], Placement, DataSchema, UPath]:
    scan, subset = scan_all(recipe), recipe.subsets[0]
    duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    verdicts = give_verdicts(subset, Basis(recipe, scan, duplicates)).verdicts
    placement = place_rows(scan, verdicts, subset, recipe.output, images=True)
    plans = plan_files(shards_of(recipe), scan, placement, images=True)
    return plans, placement, data_schema(scan), UPath(tmp_path / "aside")


def written(plan: FilePlan, target: DataSchema, folder: Path, output: Output, aside: UPath) -> pa.Table:
    copy_rows(plan, target, UPath(folder / plan.path), output, aside)
    return pq.read_table(folder / plan.path)


@pytest.mark.parametrize("most", [4_096, 5])
@pytest.mark.parametrize("packed", ["in place", "laid aside", "mixed"])
def test_files_hold_the_rows_of_all_shards_in_the_drawn_order(
    recipe: Recipe, tmp_path: Path, most: int, packed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle, "_MOST_ROWS", most)
    if packed != "in place":
        recipe = otherwise(recipe, mixed=packed == "mixed")
    plans, placement, target, aside = planned(recipe, tmp_path)
    for part in merge_parts(plans):
        lay_aside(part, target, aside)
    forms = [path.suffix for path in sorted(Path(str(aside)).iterdir())]
    assert forms == {"in place": [".npy"] * 3, "laid aside": [".arrow"] * 3, "mixed": [".npy"] + [".arrow"] * 2}[packed]
    tables = [pa.Table.from_batches(read_batches(shard)).cast(target.schema) for shard in shards_of(recipe)]
    source = pa.concat_tables(tables)
    assert len(plans) > 3
    assert sum(len(plan.parts) for plan in plans) > 8
    for number, plan in enumerate(plans):
        rows = placement.rows[placement.edges[number] : placement.edges[number + 1]]
        assert written(plan, target, tmp_path / "out", recipe.output, aside).equals(source.take(rows))
    assert sorted(placement.rows.tolist()) == [row for row in range(60) if row != 8]


def test_an_order_depends_on_the_rows_and_the_seed_alone() -> None:
    rows = np.arange(1000)
    first = shuffled(rows, 1)
    np.testing.assert_array_equal(shuffled(rows[::-1].copy(), 1), first)
    fewer = shuffled(rows[rows % 3 > 0], 1)
    np.testing.assert_array_equal(fewer, first[first % 3 > 0])
    assert np.mean(shuffled(rows, 2) == first) < 0.02
    assert abs(np.corrcoef(first, rows)[0, 1]) < 0.1


def test_what_was_laid_aside_is_not_read_again_and_is_held_against_the_scan(recipe: Recipe, tmp_path: Path) -> None:
    plans, _, target, aside = planned(otherwise(recipe), tmp_path)
    parts = merge_parts(plans)
    for part in parts:
        lay_aside(part, target, aside)
    files = sorted(Path(str(aside)).iterdir())
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    for part in parts:
        lay_aside(part._replace(status=("gone",)), target, aside)
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before
    image = pair(30)["image"]
    holder, data = next((path, data) for path, (_, data) in zip(files, before, strict=True) if image in data)
    at = data.index(image) + 400
    holder.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    wrong = []
    for plan in plans:
        try:
            written(plan, target, tmp_path / "out", recipe.output, aside)
        except SourceChanged as error:
            wrong.append(str(error))
    assert len(wrong) == 1
    assert wrong[0].startswith("1.arrow, row 10: the image's SHA-256 is ")


def test_rows_that_are_drawn_where_they_lie_are_held_against_the_scan(recipe: Recipe, tmp_path: Path) -> None:
    plans, _, target, aside = planned(recipe, tmp_path)
    for part in merge_parts(plans):
        lay_aside(part, target, aside)
    image, name = pair(30)["image"], "data-00001-of-00003.arrow"
    plan = next(plan for plan in plans for part in plan.parts if 30 in part.first_row_id + part.rows)
    path = shards_of(recipe)[1].path
    data = path.read_bytes()
    at = data.index(image) + 400
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(SourceChanged, match=f"{name}: its file was written to since it was found where its rows lie"):
        written(plan, target, tmp_path / "out", recipe.output, aside)
    parts = tuple(part._replace(status=tuple(shard_status(part.shard))) for part in plan.parts)  # as if nobody had
    for part in parts:
        lay_aside(part, target, aside)
    with pytest.raises(SourceChanged, match=f"{name}, row 10: the image's SHA-256 is "):
        written(plan._replace(parts=parts), target, tmp_path / "out", recipe.output, aside)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_shard_whose_rows_are_not_where_they_were_found_is_named(recipe: Recipe, tmp_path: Path) -> None:
    plans, _, target, aside = planned(recipe, tmp_path)
    for part in merge_parts(plans):
        lay_aside(part, target, aside)
    where = sorted(Path(str(aside)).iterdir())[1]
    np.save(where, np.load(where) + 8)
    plan = next(plan for plan in plans for part in plan.parts if part.first_row_id == 20)
    with pytest.raises(SourceChanged, match=r"^data-00001-of-00003.arrow: .*it was readable when it was scanned"):
        written(plan, target, tmp_path / "out", recipe.output, aside)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_source_that_changed_leaves_nothing_aside(recipe: Recipe, tmp_path: Path, in_place: bool) -> None:
    plans, _, target, aside = planned(recipe if in_place else otherwise(recipe), tmp_path)
    [part, *_] = merge_parts(plans)
    changed: Any = part._replace(status=(1, 2, 3, 4))
    with pytest.raises(SourceChanged, match=r"0.*\.arrow: its file was written to"):
        lay_aside(changed, target, aside)
    assert not list(tmp_path.glob("aside/*"))


def test_what_killed_runs_laid_aside_for_a_subset_goes_and_that_of_others_stays(tmp_path: Path) -> None:
    folder = tmp_path / "laid-aside"
    for name in ("clean-0123456789abcdef", "clean-0123456789abcdee", "clean-too-0123456789abcdef", "clean"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.arrow").touch()
    clear_aside(UPath(folder), "clean")
    assert {path.name for path in folder.iterdir()} == {"clean-too-0123456789abcdef", "clean"}
    clear_aside(UPath(tmp_path / "nowhere"), "clean")
    clear_aside(UPath(folder), "clean-too")
    assert {path.name for path in folder.iterdir()} == {"clean"}
