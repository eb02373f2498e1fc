import json
import runpy
from pathlib import Path

import jsonschema
import pytest
from pairs import pair, publish_one, recipe_for, write_tree

from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import ValidationRules

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "name", ["recipe.md", "reasons.md", "signals.md", "recipe.schema.json", "manifest.schema.json"]
)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    written = runpy.run_path(str(DOCS / "reference.py"))["PAGES"][name]()
    assert (DOCS / name).read_text(encoding="utf-8") == written, "run `python docs/reference.py`"


def test_a_model_that_stands_in_many_places_is_told_once() -> None:
    page = (DOCS / "recipe.md").read_text(encoding="utf-8")
    assert page.count("| `max_quantile` |") == 2  # of what was measured, and of what scorers tell
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("reason", REASONS)
def test_every_rule_is_set_by_keys_that_a_recipe_has(reason: Reason) -> None:
    page = (DOCS / "recipe.md").read_text(encoding="utf-8")
    assert reason.settings
    for key in reason.settings:
        model, _, name = key.rpartition(".")
        sections = [part for part in page.split("\n## ") if f"`{model}`" in part.splitlines()[0]]
        several = f"Each key of `{model.rpartition('.')[0]}`"
        sections += [part for part in page.split("\n## ") if part.startswith(several)]
        assert any(f"| `{name}` |" in section for section in sections), key


def test_what_is_off_by_default_rejects_nothing_by_default() -> None:
    page = (DOCS / "reasons.md").read_text(encoding="utf-8")
    told = {line.split("`")[1]: line.split(" | ")[2] for line in page.splitlines() if line.startswith("| `")}
    assert set(told) == {reason.value for reason in REASONS}
    on = [code for code, default in told.items() if default != "off" and Reason(code).stage is not Stage.VALIDATION]
    assert on == ["duplicate_bytes", "duplicate_near"]
    assert [code for code, default in told.items() if default == "`flag`"] == [
        name for name, action in ValidationRules().model_dump().items() if action == "flag"
    ]


@pytest.mark.parametrize("mode", ["data", "index"])
def test_a_manifest_is_as_its_schema_says(tmp_path: Path, mode: str) -> None:
    tree = write_tree(tmp_path / "source", [pair(seed) for seed in range(12)])
    subset = {"name": "small", "quality": {"min_quantile": 0.4, "per_zoom": True}}
    output = {"dir": tmp_path / "subsets", "mode": mode}
    folder = publish_one(recipe_for(tree, tmp_path, subsets=[subset], output=output))
    schema = json.loads((DOCS / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    check.validate(manifest)
    wrong = manifest | {"splits": {"train": -1}}
    assert not check.is_valid(wrong)
    assert not check.is_valid(manifest | {"more": 1})
    assert manifest.keys() == schema["properties"].keys()
