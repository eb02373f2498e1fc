"""The retrieve command: what is found in a source and in a subset, told and shown."""

from pathlib import Path

import pytest
from browser import Browser
from checkpoints import COLOURS
from pairs import encode, pair, recipe_for, write_tree
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

from flows.cli import app
from flows.curate import curate
from schemas.recipe import Recipe
from schemas.retrieval import Retrieval


def made(tmp_path: Path, model: Path) -> Recipe:
    """Return a recipe that was run: five pictures of each colour, of which the first two are equal."""
    rows = []
    for colour, (name, value) in enumerate(COLOURS.items()):
        for shade in range(5):
            picture = Image.new("RGB", (64, 64), tuple(abs(part - 4 * max(0, shade - 1)) for part in value))
            seed = 5 * colour + shade
            rows.append(
                pair(
                    seed,
                    image=encode(picture, "PNG"),
                    caption=f"<b>{name}</b> [bold]{seed}",
                    img_name=f"{name}_{shade}.png",
                )
            )
    tree = write_tree(tmp_path / "source", rows, shards=3)
    recipe = recipe_for(
        tree,
        tmp_path,
        scorers=[{"name": "colours", "model": str(model)}],
        validation={"rules": {"image_blank": "ignore"}},
        deduplication={"near": None},
        subsets=[{"name": "few", "caption_words": {"min": 1}, "include": None, "sampling": {"fraction": 0.5}}],
    )
    curate(recipe)
    return recipe


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory, colour_model: Path, prefect_server: None) -> Path:
    home = tmp_path_factory.mktemp("home")
    YAML(typ="safe").dump(made(home, colour_model).model_dump(mode="json"), home / "recipe.yaml")
    return home


@pytest.fixture
def home(_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a recipe that was run, in which one is."""
    monkeypatch.chdir(_home)
    return _home


def found(*arguments: str) -> Retrieval:
    result = CliRunner().invoke(app, ["retrieve", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return Retrieval.model_validate_json(result.stdout)


def test_the_pictures_of_a_text_are_found_the_best_first(home: Path) -> None:
    for place in ("recipe.yaml", "workspace"):
        answer = found(place, "a blue lake", "red", "--count", "4")

        assert answer.pictures == 40
        for one, colour in zip(answer.texts, ("blue", "red"), strict=True):
            names = [str(hit.img_name) for hit in one.hits]
            assert {name.split("_")[0] for name in names} == {colour}
            assert f"{colour}_0.png" in names
            assert f"{colour}_1.png" not in names  # has the bytes of an earlier one
            cosines = [hit.cosine for hit in one.hits]
            assert cosines == sorted(cosines, reverse=True)
            assert cosines[0] > 0.99
        assert all(hit.caption and hit.shard.startswith("data-") for hit in answer.texts[0].hits)


def test_of_a_subset_its_own_pictures_alone(home: Path) -> None:
    import pyarrow.parquet as pq

    kept = set(pq.read_table(home / "subsets" / "few" / "index.parquet")["row_id"].to_pylist())
    answer = found(str(home / "subsets" / "few"), *COLOURS, "--count", "40")

    assert answer.place == "few of tiny"
    assert answer.pictures == len(kept)
    assert {hit.row_id for one in answer.texts for hit in one.hits} == kept


def test_the_page_shows_them(home: Path, browser: Browser) -> None:
    result = CliRunner().invoke(app, ["retrieve", "recipe.yaml", "a <i>green</i> field", "--page", "found.html"])

    assert result.exit_code == 0, result.output
    assert "contact sheet: found.html" in result.stdout
    assert "<b>green</b> [bold]" in " ".join(result.stdout.replace("│", " ").split())
    page = browser.open((home / "found.html").as_uri())
    assert page.do(lambda opened: opened.locator("h1").inner_text()) == "a <i>green</i> field"
    assert page.do(lambda opened: opened.locator(".sheet img").count()) == 24
    assert page.do(lambda opened: opened.locator("main b").count()) == 0
    assert not page.problems


def test_what_cannot_be_found_is_told(home: Path) -> None:
    def told(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["retrieve", *arguments])
        return result.exit_code, result.output

    assert told("recipe.yaml", "blue", "--scorer", "other") == (
        2,
        "git10m: the recipe has no scorer 'other'; it has colours\n",
    )
    assert told("recipe.yaml", " ")[0] == 2
    assert told("nowhere", "blue")[0] == 2
    (home / "folder").mkdir()
    assert told("recipe.yaml", "blue", "--page", "folder")[0] == 2
    path = next((home / "workspace").glob("vectors/*/*.parquet"))
    path.rename(home / "aside")
    code, output = told("recipe.yaml", "blue")
    (home / "aside").rename(path)
    assert code == 1
    assert "colours: 2 of 3 scanned shards have vectors" in output
    assert "run git10m embed before" in output
