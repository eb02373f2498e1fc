import shutil
from pathlib import Path

import pytest
from upath import UPath

from flows.place import NoRecipeThere, recipe_of
from schemas.reports import CurateReport
from tasks.published import NotASubset


def test_a_subset_and_its_workspace_tell_the_recipe_that_was_run(curated: CurateReport) -> None:
    subset = curated.subsets[1].directory
    recipe, name = recipe_of(subset)
    assert name == "high-quality"
    assert recipe.subsets[1].name == name
    assert recipe_of(recipe.workspace) == (recipe, None)


def test_a_folder_that_tells_no_recipe_says_what_was_expected(curated: CurateReport, tmp_path: Path) -> None:
    with pytest.raises(NoRecipeThere, match="found no subset, and no workspace of a run"):
        recipe_of(UPath(tmp_path))
    subset = Path(shutil.copytree(Path(str(curated.subsets[0].directory)), tmp_path / "clean"))
    (subset / "run.json").write_text("[]")
    with pytest.raises(NoRecipeThere, match=r"run\.json: .* found list, expected an object; give the recipe's file"):
        recipe_of(UPath(subset))
    (subset / "run.json").write_text('{"recipe": {"workspace": "w", "color": 1}}')
    with pytest.raises(
        NoRecipeThere, match=r"run: source: Field required; .*; color: no such key; give the recipe's file"
    ):
        recipe_of(UPath(subset))
    (subset / "run.json").unlink()
    with pytest.raises(NoRecipeThere, match=r"run\.json: does not tell the recipe"):
        recipe_of(UPath(subset))
    (subset / "manifest.json").write_text("{}")
    with pytest.raises(NotASubset):
        recipe_of(UPath(subset))
