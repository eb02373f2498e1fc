"""What is told without a run is what a run would tell, and nothing is told where one would do something."""

import shutil
from pathlib import Path

import pytest
from pairs import tiny_recipe

from flows.again import nothing_new
from flows.curate import curate
from schemas.recipe import Recipe
from schemas.reports import CurateReport
from schemas.thresholds import WordRange


@pytest.fixture
def recipe(source: Path, curated: CurateReport, tmp_path: Path) -> Recipe:
    """What was curated, in a home that a test may change."""
    home = curated.subsets[0].directory.parents[1]
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    return tiny_recipe(Path(shutil.copytree(source, tmp_path / "source")), tmp_path / "home")


def test_a_run_that_finds_nothing_new_would_tell_the_same(source: Path, curated: CurateReport) -> None:
    recipe = tiny_recipe(source, Path(str(curated.subsets[0].directory.parents[1])))
    told = nothing_new(recipe)
    assert told is not None
    assert told == curate(recipe)
    assert not told.news
    assert str(told) == "tiny: scanned 0, reused all 5 shards (60 rows); unchanged: clean, high-quality"


@pytest.mark.parametrize("change", ["recipe", "shard", "data file", "pairs", "verdicts", "quarantine"])
def test_nothing_is_told_where_there_is_something_to_do(source: Path, recipe: Recipe, change: str) -> None:
    at_first = recipe.model_copy(update={"source": recipe.source.model_copy(update={"path": str(source)})})
    assert nothing_new(at_first) is not None
    if change == "recipe":
        narrow = recipe.subsets[1].model_copy(update={"caption_words": WordRange(min=12, max=33)})
        at_first = at_first.model_copy(update={"subsets": (recipe.subsets[0], narrow)})
    elif change in ("shard", "quarantine"):
        at_first = recipe  # the same files with other times, of which nobody knows that they are the same
        if change == "quarantine":
            next(Path(recipe.source.path).rglob("*.arrow")).unlink()
    else:
        pattern = {"data file": "subsets/*/data/*", "pairs": "workspace/pairs/*/*", "verdicts": "workspace/verdicts/*"}
        for path in Path(str(recipe.workspace)).parent.glob(pattern[change]):
            path.unlink()
    assert nothing_new(at_first) is None
