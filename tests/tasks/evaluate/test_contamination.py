"""Copies of a subset's pictures in a test set, whatever form either has."""

from pathlib import Path

import pytest
from labelled import class_folders, coloured
from pairs import encode, pair, publish_one, recipe_for, scan_all, write_tree
from upath import UPath

from schemas.recipe import NearDuplicates
from schemas.reports import ReferenceReport
from tasks.evaluate.contamination import NoPictures, find_copies, subset_source
from tasks.published import NotASubset


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source with the pictures 4 and 10 of the test set, saved again as JPEG, and 12 with its very bytes."""
    home = tmp_path_factory.mktemp("trained")
    folders = class_folders(home / "set")
    rows = [pair(seed) for seed in range(6)]
    rows[1] = pair(1, image=encode(coloured("green", 4), quality=70))
    rows[2] = pair(2, image=encode(coloured("yellow", 10), quality=80))
    rows[4] = pair(4, image=(folders / "cyan" / "000.png").read_bytes())
    write_tree(home / "source", rows)
    return home


def subset(home: Path, name: str, **changes: object) -> UPath:
    output = {"dir": home / name} | changes
    return UPath(publish_one(recipe_for(home / "source", home, output=output)))


def copies(home: Path, folder: UPath, near: NearDuplicates | None) -> list[int]:
    recipe, source = recipe_for(home / "set", home), subset_source(folder)
    tested = scan_all(recipe)
    reference = ReferenceReport(name=source.name, scan=scan_all(recipe.model_copy(update={"source": source})))
    found = find_copies(tested, [reference], near, home / "workspace")
    return [int(row) for row in found.nonzero()[0]]


# Folders are sorted by name: black, blue, cyan, green, magenta, red, white, yellow, three pictures each.
CYAN, GREEN, YELLOW = 6, 10, 22


def test_copies_are_found_by_bytes_and_saved_again(trained_on: Path) -> None:
    folder = subset(trained_on, "parquet")
    assert copies(trained_on, folder, NearDuplicates()) == [CYAN, GREEN, YELLOW]
    assert copies(trained_on, folder, None) == [CYAN]


def test_all_splits_of_a_subset_count(trained_on: Path) -> None:
    recipe = recipe_for(
        trained_on / "source",
        trained_on,
        subsets=[{"name": "clean", "splits": {"fractions": {"train": 0.5, "test": 0.5}, "seed": 1}}],
        output={"dir": trained_on / "splits"},
    )
    folder = UPath(publish_one(recipe))
    assert len(list((folder / "data").iterdir())) == 2
    assert copies(trained_on, folder, NearDuplicates()) == [CYAN, GREEN, YELLOW]


def test_tars_are_read_as_well(trained_on: Path) -> None:
    rows = [pair(1), pair(2, image=encode(coloured("green", 4), quality=70))]
    source = write_tree(trained_on / "jpegs", rows)
    recipe = recipe_for(source, trained_on, output={"dir": trained_on / "tars", "format": "webdataset"})
    assert copies(trained_on, UPath(publish_one(recipe)), NearDuplicates()) == [GREEN]


def test_an_index_has_no_pictures_and_a_folder_is_no_subset(trained_on: Path, tmp_path: Path) -> None:
    with pytest.raises(NoPictures, match=r"found an index, expected data files: `git10m materialize .*` makes them"):
        subset_source(subset(trained_on, "index", mode="index"))
    with pytest.raises(NotASubset):
        subset_source(UPath(tmp_path))
