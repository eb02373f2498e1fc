"""The recipes that ``git10m init`` writes: each loads, and a plan can be made of it, whatever its source is called."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hubserver import HubServer
from pairs import encode, pair, picture, write_image_folder, write_tar, write_tree
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.recipes import load_recipe
from schemas.recipe import Recipe
from tasks.planning.plan import plan_run

ROWS = [pair(seed) for seed in range(12)]


def init(*arguments: object, status: int = 0) -> str:
    result: Result = CliRunner().invoke(app, ["init", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def written(path: Path) -> Recipe:
    """Return the recipe in ``path``, of which a plan was made, and from which every key loads without its "#"."""
    recipe = load_recipe(path)
    assert plan_run(recipe).problems == ()
    text = path.read_text(encoding="utf-8")
    keys = re.sub(r"(?m)^( *)# ?( *[a-z_]+:( .*)?)$", r"\1\2", text)
    Recipe.model_validate(YAML(typ="safe", pure=True).load(keys))
    assert text.startswith("# yaml-language-server: $schema=recipe.schema.json\n")
    return recipe


def parquet(path: Path, rename: dict[str, str], **more: Any) -> Path:
    """Write the image and the caption of some rows under other names, beside ``more`` columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "image": pa.array([{"bytes": row["image"], "path": None} for row in ROWS]),
        "bytes": pa.array([row["image"] for row in ROWS], pa.binary()),
        "caption": pa.array([row["caption"] for row in ROWS]),
    }
    pq.write_table(pa.table({name: columns[fact] for fact, name in rename.items()} | more), path)
    return path


def test_a_tree_in_git10ms_columns_needs_no_mapping(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", ROWS)
    told = init(tree, "-o", tmp_path / "recipe.yaml")
    assert f"git10m plan {tmp_path}/recipe.yaml" in told
    recipe = written(tmp_path / "recipe.yaml")
    assert (recipe.source.path, recipe.source.name) == (str(tree), "tree")
    assert recipe.source.columns == type(recipe.source.columns)()
    assert (str(recipe.output.dir), str(recipe.workspace)) == (f"{tmp_path}/curated", f"{tmp_path}/workspace")
    text = (tmp_path / "recipe.yaml").read_text()
    scores = sorted(row["img_quality_score"] for row in ROWS)
    assert f"# quality: {{min_score: {scores[5]:.4g}}}" in text  # of 12 rows, 7 score that or more
    assert "# Nine in ten captions seen have 8 to 19 words, half have 13 or more:" in text
    assert "# Zoom levels seen: 13" in text
    assert (
        "#   image_size: {width: 256, height: 256}    # the one size that is allowed: that of all 5 pictures opened"
        in text
    )
    assert "No column holds" not in text


@pytest.mark.parametrize(
    ("rename", "more", "image", "caption"),
    [
        ({"image": "img", "caption": "txt"}, {}, "img", None),
        ({"image": "picture", "caption": "Prompt"}, {"label": pa.array(["a"] * 12)}, "picture", "Prompt"),
        ({"bytes": "blob", "caption": "text"}, {"embedding": pa.array([b"\0\1"] * 12)}, "blob", None),
    ],
)
def test_columns_are_found_by_their_type_and_by_what_they_are_usually_called(
    tmp_path: Path, rename: dict[str, str], more: dict[str, pa.Array], image: str, caption: str | None
) -> None:
    source = parquet(tmp_path / "a.parquet", rename, **more)
    init(source, "-o", tmp_path / "r.yaml")
    recipe = written(tmp_path / "r.yaml")
    assert (recipe.source.columns.image, recipe.source.columns.caption) == (image, caption)
    text = (tmp_path / "r.yaml").read_text()
    assert "# No column holds img_quality_score: rules and thresholds on it are off." in text
    assert all(f'copied with each pair: "{name}"' in text for name in more)


def test_what_is_not_clear_is_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "r.yaml"
    two = parquet(tmp_path / "two" / "a.parquet", {"image": "left", "bytes": "x", "caption": "note"})
    other = pq.read_table(two)
    pq.write_table(other.append_column("right", other["left"]), two)
    told = init(two, "-o", target, status=1)
    assert "columns left and right hold pictures" in told
    assert "note (string)" in told
    assert "--column image=COLUMN" in told
    told = init(two, "-o", target, "--column", "image=right", status=1)
    assert "no column is known to hold the caption" in told
    assert "--column caption=COLUMN" in told
    assert not target.exists()
    init(two, "-o", target, "--column", "image=right", "--column", "caption=note")
    columns = written(target).source.columns
    assert (columns.image, columns.caption) == ("right", "note")
    init(two, "-o", target, "--column", "image=x", "--column", "caption=", "--force")
    assert written(target).source.columns.caption == ""
    told = init(two, "-o", target, "--column", "image=nowhere", "--force", status=1)
    assert "column nowhere: not found" in told
    none = tmp_path / "none.parquet"
    pq.write_table(pa.table({"n": [1]}), none)
    assert "no column holds a picture: found n (int64)" in init(none, "-o", target, "--force", status=1)
    told = init(none, "-o", target, "--column", "image=", "--force")
    assert "no column" not in told
    assert written(target).scan.images is False
    assert str(written(target).output.dir) == str(tmp_path / "r")  # beside other recipes, which have theirs


def test_webdataset_and_image_folder(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    (tmp_path / "folder").mkdir()
    write_tar(tmp_path / "tars" / "0.tar", ROWS)
    write_image_folder(tmp_path / "folder", ROWS, {"description": "caption"})
    for name, caption in (("tars", None), ("folder", "description")):
        init(tmp_path / name, "-o", tmp_path / f"{name}.yaml")
        assert written(tmp_path / f"{name}.yaml").source.columns.caption == caption


def test_a_data_set_of_the_hub_is_pinned(hub: HubServer, tmp_path: Path) -> None:
    hub.commit("someone/tiny", write_tree(tmp_path / "tree", ROWS))
    init("someone/tiny", "--hub", "-o", tmp_path / "r.yaml")
    recipe = written(tmp_path / "r.yaml")
    assert (recipe.source.kind, recipe.source.path, recipe.source.name) == ("hub", "someone/tiny", "someone/tiny")
    assert re.fullmatch("[0-9a-f]{40}", recipe.source.revision or "")
    assert recipe.engine.fetched_bytes == 5_000_000_000


def test_odd_names_stay_what_they_are(tmp_path: Path) -> None:
    odd = tmp_path / "a \"b\" 'c': {d} #e\n\x7f\u2028é"
    source = parquet(odd / "x.parquet", {"image": 'im "g": #\n', "caption": "text"}, **{"\n# z: 1\x1b": pa.nulls(12)})
    init(source, "-o", odd / "recipe.yaml")
    recipe = written(odd / "recipe.yaml")
    assert recipe.source.path == str(source)
    assert recipe.source.columns.image == 'im "g": #\n'
    assert str(recipe.output.dir) == str(odd / "curated")
    assert (odd / "recipe.yaml").read_text(encoding="utf-8").isprintable() is False  # its line ends alone:
    assert all(line.isprintable() for line in (odd / "recipe.yaml").read_text(encoding="utf-8").split("\n"))


def test_a_folder_with_a_bracket_in_its_name_is_no_glob(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tiles [2024]", ROWS)
    init(tree, "-o", tmp_path / "r.yaml")
    assert written(tmp_path / "r.yaml").source.name == "tiles [2024]"


def test_a_size_is_not_told_as_seen_where_no_picture_was_opened(tmp_path: Path) -> None:
    unopened = [row | {"image": b"no picture"} for row in ROWS]
    for name, rows, told in (
        ("none", unopened, "for example: no picture was opened"),
        ("two", [pair(n, image=encode(picture(n, size=(64 + 8 * n, 64)))) for n in range(12)], "opened have several"),
    ):
        init(write_tree(tmp_path / name, rows), "-o", tmp_path / f"{name}.yaml")
        assert told in (tmp_path / f"{name}.yaml").read_text()


def test_no_file_is_overwritten_unasked(tmp_path: Path) -> None:
    source = parquet(tmp_path / "a.parquet", {"image": "image", "caption": "caption"})
    target = tmp_path / "recipe.yaml"
    target.write_text("mine")
    assert f"{target}: is there already" in init(source, "-o", target, status=2)
    assert target.read_text() == "mine"
    init(source, "-o", target, "--force")
    assert written(target).source.name == "a.parquet"


def test_a_source_that_is_none_writes_nothing(tmp_path: Path) -> None:
    assert "nowhere" in init(tmp_path / "nowhere", "-o", tmp_path / "r.yaml", status=1)
    assert list(tmp_path.iterdir()) == []
