"""The example recipes: each is one, and does on a small source in Git-10M's columns what its comments say."""

from pathlib import Path

import pytest
from pairs import Row, pair, write_tree

from deployments.show import DEPLOYMENTS
from flows.curate import curate
from flows.recipes import load_recipe
from schemas.recipe import Recipe
from schemas.reports import CurateReport
from tasks.files import read_parquet

RECIPES = sorted((DEPLOYMENTS / "recipes").glob("*.yaml"))
OF_GIT10M = [path for path in RECIPES if path.stem.startswith("git10m-")]


def test_there_are_these() -> None:
    git10m = [f"git10m-{name}" for name in ("high-quality", "rsclip", "scored", "text2earth")]
    assert [path.stem for path in RECIPES] == ["demo", *git10m]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_is_a_recipe_with_a_comment_first(path: Path) -> None:
    assert load_recipe(path).subsets
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_they_share_the_signals_of_git10m() -> None:
    recipes = [load_recipe(path) for path in OF_GIT10M]
    assert len({(r.source.model_dump_json(), r.scan.model_dump_json(), r.workspace) for r in recipes}) == 1
    names = [subset.name for recipe in recipes for subset in recipe.subsets]
    assert len(names) == len(set(names)), "two recipes write the same subset to one output"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of three levels, some of them without place, one of a caption that another has, one of a test picture."""
    rows: list[Row] = []
    for seed in range(90):
        zoom = (12, 15, 17)[seed % 3]
        x, y = 2 ** (zoom - 12) * (2100 + seed), 2 ** (zoom - 12) * 1400
        place = {"Google_location": f"{zoom}_{x}_{y}", "resolution": 2.0 ** (17 - zoom)}
        rows.append(pair(seed, img_quality_score=3 + seed * 7 % 20 / 10, **place))
    rows[30] |= {"Google_location": None, "resolution": None}
    rows[31]["caption"], rows[31]["caption_length"] = rows[61]["caption"], rows[61]["caption_length"]
    return write_tree(tmp_path_factory.mktemp("source") / "git10m", rows, shards=3)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("benchmark") / "test", [pair(50)], shards=1)


def _curate(name: str, source: Path, home: Path, benchmark: Path, model: Path) -> CurateReport:
    recipe = load_recipe(DEPLOYMENTS / "recipes" / f"{name}.yaml")
    references = [{"path": benchmark, "name": one.name} for one in recipe.deduplication.references]
    data = recipe.model_dump(exclude_unset=True)
    data["source"] = {"path": source, "name": "lcybuaa/Git-10M"}
    data["output"]["dir"], data["workspace"], data["engine"]["workers"] = home / "subsets", home / "workspace", 1
    data["scorers"] = [scorer.model_dump() | {"model": str(model)} for scorer in recipe.scorers]
    data["deduplication"] |= {"references": references}
    return curate(Recipe.model_validate(data))


@pytest.mark.slow
def test_what_they_make_of_a_small_source(
    small: Path, benchmark: Path, tmp_path: Path, random_model: Path, prefect_server: None
) -> None:
    made = {path.stem: _curate(path.stem, small, tmp_path, benchmark, random_model) for path in OF_GIT10M}
    shared = [report.scan.scanned == 0 for report in made.values()]
    assert shared == [False, True, True, True], "they share what was measured"
    kept = {one.select.subset: one.select.kept for report in made.values() for one in report.subsets}
    assert all(rows > 0 for name, rows in kept.items() if name != "half-metre-europe"), kept
    directory = {one.select.subset: one.directory for report in made.values() for one in report.subsets}
    prompts = read_parquet(next((directory["text2earth"] / "data").glob("train-*.parquet")), ["text"])["text"]
    levels = {str(prompt).partition("_GOOGLE_LEVEL_")[0] for prompt in prompts.to_pylist()}
    assert levels == {"0", "12", "15", "17"}
    assert list((directory["rsclip"] / "data").glob("train-*.tar"))
    rejected = read_parquet(directory["rsclip"] / "rejected.parquet", ["img_name", "primary_reason"]).to_pylist()
    reasons = {row["img_name"]: row["primary_reason"] for row in rejected}
    assert reasons["tile_50.jpg"] == "contaminated"
    assert "duplicate_caption" in {reasons.get("tile_31.jpg"), reasons.get("tile_61.jpg")}
