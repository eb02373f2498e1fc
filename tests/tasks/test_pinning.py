"""Files that a recipe names: what was pinned is what is read, whatever becomes of the file in between."""

from pathlib import Path

import pytest
from pairs import pair, publish_one, recipe_for, scan_all, write_tree
from upath import UPath

from schemas.recipe import Recipe
from tasks.deduplicate.stage import find_duplicates
from tasks.pinning import FileChanged, pinned
from tasks.select.basis import Basis
from tasks.select.stage import select
from tasks.select.verdicts import known_verdicts
from tasks.versions import followed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "source", [pair(seed) for seed in range(6)], shards=2)


def including(source: Path, home: Path, path: Path) -> Recipe:
    return recipe_for(source, home, subsets=[{"name": "few", "include": {"path": path}}])


def test_a_list_that_changes_while_it_is_read_ends_the_run_and_is_not_remembered(source: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_text("1\n2\n")
    recipe = pinned(including(source, tmp_path, rows))
    [subset], scan = recipe.subsets, scan_all(recipe)
    duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    rows.write_text("3\n")
    with pytest.raises(FileChanged, match=f"subset few: include: {rows}: found SHA-256 "):
        select.fn(subset, Basis(recipe, scan, duplicates))
    assert known_verdicts(recipe, subset, scan, duplicates) is None
    assert not list((tmp_path / "workspace" / "verdicts").iterdir())
    rows.write_text("1\n2\n")
    selected = select.fn(subset, Basis(recipe, scan, duplicates))
    assert selected.kept == 2
    assert known_verdicts(recipe, subset, scan, duplicates) == selected


def test_of_a_former_subset_the_version_is_pinned(source: Path, tmp_path: Path) -> None:
    changes = [{"name": "clean", "zoom": {"min": 13}}, {"name": "clean", "sampling": {"max_rows": 2}}]
    former = publish_one(recipe_for(source, tmp_path, subsets=changes[:1]))
    recipe = pinned(including(source, tmp_path, former))
    include = recipe.subsets[0].include
    assert include is not None
    assert include.path == followed(UPath(former)) / "index.parquet"
    publish_one(recipe_for(source, tmp_path, subsets=changes[1:]))
    assert followed(UPath(former)) / "index.parquet" != include.path
    scan = scan_all(recipe)
    duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    assert select.fn(recipe.subsets[0], Basis(recipe, scan, duplicates)).kept == 6


def test_verdicts_are_known_where_the_workspace_is_now(source: Path, tmp_path: Path) -> None:
    recipe = recipe_for(source, tmp_path)
    scan = scan_all(recipe)
    duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    select.fn(recipe.subsets[0], Basis(recipe, scan, duplicates))
    Path(str(recipe.workspace)).rename(tmp_path / "moved")
    moved = recipe.model_copy(update={"workspace": UPath(tmp_path / "moved")})
    scan = scan_all(moved)
    duplicates = find_duplicates(scan, (), moved.deduplication, moved.workspace)
    assert duplicates.reused
    assert duplicates.path is not None
    assert duplicates.path.exists()
    known = known_verdicts(moved, moved.subsets[0], scan, duplicates)
    assert known is not None
    assert known.verdicts.exists()
