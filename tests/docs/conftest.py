"""What the pages suppose to be there: a source, subsets made of it, lists and areas."""

import json
import shutil
from pathlib import Path

import pytest
from labelled import class_folders
from pages import ROOT, blocks, here
from pairs import Row, encode, pair, picture, write_tree
from ruamel.yaml import YAML

from flows.curate import curate
from flows.recipes import load_recipe

ZOOMS = (12, 15, 17, 18)


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Path:
    """A folder whose ``data`` is the pages' ``/data``, curated by the README's recipe from a local copy."""
    world = tmp_path_factory.mktemp("world")
    rows: list[Row] = []
    for seed in range(60):
        z = ZOOMS[seed % 4]
        x, y = 2 ** (z - 12) * (2120 + seed), 2 ** (z - 12) * 1440
        score = 4.6 + (seed * 7 % 50) / 100
        rows.append(pair(seed, Google_location=f"{z}_{x}_{y}", resolution=2.0 ** (17 - z), img_quality_score=score))
    for seed in (21, 30):
        rows[seed] |= {"caption": " ".join(["pier"] * 25), "caption_length": 25}
    rows[12]["image"] = rows[13]["image"] = None
    rows[40]["image"] = rows[50]["image"]  # equal bytes
    rows[43]["image"] = encode(picture(18), quality=60)  # a copy at another zoom level
    for row in rows[::7]:
        row["caption_length"] += 1  # flagged
    tree = write_tree(world / "data" / "Git-10M", rows, shards=3)
    write_tree(world / "data" / "RSICB128", [pair(50), pair(500)], shards=1)
    for name in ("OPTIMAL-31", "RSC11", "RSI-CB128", "WHU-RS19", "RSSCN7", "CLRS"):
        class_folders(world / "data" / "benchmarks" / name, each=1)
    (world / "alps.geojson").write_text(
        json.dumps({"type": "Polygon", "coordinates": [[[5, 43], [17, 43], [17, 49], [5, 49], [5, 43]]]})
    )
    model = world / "data" / "models" / "siglip"  # to be named alone
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (world / "rows.csv").write_text("row_id\n3\n17\n")
    (world / "names.txt").write_text("tile_3.jpg\ntile_17.jpg\n")
    (readme,) = (block for block in blocks(ROOT / "README.md") if block.language == "yaml")
    (world / "recipe.yaml").write_text(here(readme.text, world), encoding="utf-8")
    recipe = YAML(typ="safe").load(world / "recipe.yaml")
    recipe["source"] = {"path": str(tree), "name": "lcybuaa/Git-10M"}
    YAML(typ="safe").dump(recipe, world / "local.yaml")
    curate(load_recipe(world / "local.yaml"))
    return world


@pytest.fixture
def world(_world: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to work in."""
    place = tmp_path / "world"
    shutil.copytree(_world, place, symlinks=True)
    (readme,) = (block for block in blocks(ROOT / "README.md") if block.language == "yaml")
    (place / "recipe.yaml").write_text(here(readme.text, place), encoding="utf-8")
    (scored,) = (block for block in blocks(ROOT / "docs" / "image-text.md") if block.language == "yaml")
    (place / "scored.yaml").write_text(here(scored.text, place), encoding="utf-8")
    return place
