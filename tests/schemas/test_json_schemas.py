"""The JSON Schema of a recipe allows what the loader allows, and refuses what it refuses in a single key."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from schemas.json_schemas import recipe_schema
from schemas.recipe import Recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "deployments" / "recipes").glob("*.yaml"))
MINIMAL = {
    "source": {"path": "source", "name": "demo"},
    "subsets": [{"name": "clean"}],
    "output": {"dir": "out"},
    "workspace": "work",
}


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    told = json.loads(recipe_schema())
    jsonschema.Draft202012Validator.check_schema(told)
    return jsonschema.Draft202012Validator(told)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_example_is_as_the_schema_that_its_first_line_names(
    path: Path, schema: jsonschema.Draft202012Validator
) -> None:
    text = path.read_text(encoding="utf-8")
    first, _, _ = text.partition("\n")
    named = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads(named.read_text(encoding="utf-8")) == schema.schema
    schema.validate(YAML(typ="safe", pure=True).load(text))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"source": {"kind": "files", "path": "source", "name": "demo"}},
        {"source": {"kind": "hub", "path": "someone/tiny", "name": "demo", "revision": None}},
        {"source": {"path": "a", "name": "demo", "format": None, "columns": {"image": "img", "caption": ""}}},
        {"deduplication": {"near": None, "nested_tiles": None, "references": [{"path": "x", "name": "b"}]}},
        {"subsets": [{"name": "a", "bbox": None, "splits": {"fractions": {"train": 1}}, "quality": {"min_score": 4}}]},
        {"scan": {"decode_seconds": 3, "formats": ["PNG"]}, "engine": {"workers": 2, "address": None}},
    ],
)
def test_what_loads_is_allowed(changes: dict[str, Any], schema: jsonschema.Draft202012Validator) -> None:
    Recipe.model_validate(MINIMAL | changes)
    schema.validate(MINIMAL | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": {}},
        {"subsets": []},
        {"subsets": [{"name": "Clean"}]},
        {"subsets": [{"name": "a", "qualty": {}}]},
        {"subsets": [{"name": "a", "zoom": {"min": 31}}]},
        {"subsets": [{"name": "a", "splits": {"fractions": {"Train": 1}}}]},
        {"source": {"path": "source"}},
        {"source": {"path": "", "name": "demo"}},
        {"source": {"kind": "hub", "path": "no-id", "name": "demo"}},
        {"source": {"kind": "ftp", "path": "a/b", "name": "demo"}},
        {"source": {"path": "a", "name": "demo", "columns": {"picture": "img"}}},
        {"validation": {"rules": {"image_blank": "drop"}}},
        {"deduplication": {"near": {"radius_bits": 17}}},
        {"deduplication": {"references": [{"name": "b"}]}},
        {"output": {}},
        {"output": {"dir": " "}},
        {"engine": {"workers": 0}},
        {"engine": {"kind": "spark"}},
    ],
)
def test_what_does_not_load_is_refused(changes: dict[str, Any], schema: jsonschema.Draft202012Validator) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(MINIMAL | changes)
    assert not schema.is_valid(MINIMAL | changes)


def test_an_editor_can_say_of_every_key_what_it_is(schema: jsonschema.Draft202012Validator) -> None:
    models = {"Recipe": schema.schema} | schema.schema["$defs"]
    keys = [(model, key, told) for model, one in models.items() for key, told in one.get("properties", {}).items()]
    assert len(keys) > 100
    assert [f"{model}.{key}" for model, key, told in keys if not told.get("description")] == []
