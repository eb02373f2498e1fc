from pathlib import Path

import pytest

from flows.recipes import RecipeError, load_recipe

RECIPE = """\
source: {path: source, name: demo}
subsets:
  - name: clean
  - name: high-quality
    quality: {min_score: 4}
output: {dir: out}
workspace: work
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_settings_reach_mappings_lists_and_what_is_not_there_yet(path: Path) -> None:
    settings = [
        "subsets.1.quality.min_score=4.8",
        "subsets.0.caption_words.min=10",
        "deduplication.near=null",
        "subsets.0.bbox={west: 0, south: 0, east: 1, north: 1}",
        "source.revision=a=b",
    ]
    recipe = load_recipe(path, settings)
    assert recipe.subsets[1].quality.min_score == 4.8
    assert recipe.subsets[0].caption_words.min == 10
    assert recipe.deduplication.near is None
    assert recipe.subsets[0].bbox is not None
    assert recipe.source.revision == "a=b"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("subsets.0.name", "expected dotted.key=value"),
        ("=3", "expected dotted.key=value"),
        ("subsets.9.name=a", "found '9', expected a position from 0 to 1"),
        ("subsets.first.name=a", "found 'first', expected a position"),
        ("workspace.deep=a", "workspace is 'work', which has no keys"),
        ("workspace.deep.er=a", "which has no keys"),
        ("workspace=[", "not valid YAML"),
        ("subsets.0.name=A B", "subsets.0.name: String should match pattern"),
        ("engine.wrkers=2", "engine.wrkers: no such key"),
        ("engine.workers=two", "engine.workers: Input should be a valid integer.*found 'two'"),
    ],
)
def test_a_bad_setting_is_refused_with_its_key(path: Path, setting: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(path, [setting])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not valid YAML"),
        ("- a", "found list, expected a mapping"),
        ("", "found NoneType, expected a mapping"),
        (RECIPE + "workspace: again\n", "not valid YAML.*duplicate key"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("source: {path: a}", "source.name: Field required"),
        ("deduplication: {references: [{path: a}]}", "deduplication.references.0.name: Field required"),
        ("deduplication: {references: [{kind: hb}]}", "deduplication.references.0: .*'files', 'hub'"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_by_name(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(RecipeError, match=f"(?s)recipe.yaml: .*{words}"):
        load_recipe(path)


def test_every_error_is_told_at_once(path: Path) -> None:
    with pytest.raises(RecipeError) as refusal:
        load_recipe(path, ["engine.workers=0", "subsets.0.zoom.min=99"])
    assert len(str(refusal.value).splitlines()) == 2
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(path.parent / "other.yaml")


def test_the_recipes_that_ship_are_recipes() -> None:
    recipes = list((Path(__file__).parents[2] / "deployments" / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        assert load_recipe(path).subsets
