"""Write ``recipe.md``, ``reasons.md`` and the JSON Schemas of recipe and manifest from the code; a test checks them.

python docs/reference.py
"""

import inspect
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from schemas.base import Model
from schemas.json_schemas import manifest_schema, recipe_schema
from schemas.reasons import REASONS
from schemas.recipe import Recipe

DOCS = Path(__file__).parent

_RECIPE = """\
# Recipe reference

A recipe is a YAML file, and the one parameter of the `curate` flow. Keys not listed here are errors. Any key can be set
on the command line by its path: `git10m curate RECIPE.yaml --set subsets.0.quality.min_score=4.8`.

Editors complete and check a recipe by [recipe.schema.json](recipe.schema.json), which `git10m schema` prints as well:
those that know YAML's language server by the first line `# yaml-language-server: $schema=recipe.schema.json`.
`git10m init SOURCE` writes a recipe with comments, after a look at the source.

<!-- Written by docs/reference.py from schemas/. -->
"""

_REASONS = """\
# Reasons

Why a row is not kept. A row carries every reason that applies, in `rejected.parquet`; the first one in this order is
its primary reason, under which the funnel counts it. Validation reasons have an action in the recipe
(`validation.rules`): `reject`, `flag` (keep the row and mark it in `index.parquet`) or `ignore`.

`measured` names the value that stands beside the reason in `rejected.parquet`.

<!-- Written by docs/reference.py from schemas/reasons.py. -->

| code | stage | meaning | measured |
|---|---|---|---|
"""


def recipe_page() -> str:
    """Return the page on the recipe: a table for each model, outermost first."""
    pages = [_RECIPE]
    places: dict[type[Model], dict[str, None]] = {}  # in the order in which they are met
    for path, model in _models("", Recipe):
        places.setdefault(model, {})[path] = None
    for model, paths in places.items():
        pages.append(f"\n## {_heading(model, list(paths))}\n\n{inspect.cleandoc(model.__doc__ or '')}\n\n")
        pages.append("| key | default | meaning |\n|---|---|---|\n")
        for name, field in model.model_fields.items():
            pages.append(f"| `{name}` | {_default(field)} | {_meaning(model, name)} |\n")
    return "".join(pages)


def reasons_page() -> str:
    """Return the page on reasons: one table."""
    rows = (
        f"| `{reason.value}` | {reason.stage.value} | {reason.meaning} | "
        f"{f'`{reason.measured}`' if reason.measured else ''} |\n"
        for reason in REASONS
    )
    return _REASONS + "".join(rows)


def _heading(model: type[Model], paths: list[str]) -> str:
    """Return the places of ``model``: one, each of a few, or all keys of one model."""
    if paths == [""]:
        return "Recipe"
    parents = {path.rpartition(".")[0] for path in paths}
    if len(paths) > 2 and len(parents) == 1:
        return f"Each key of `{parents.pop()}`"
    kinds = get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    return ", ".join(f"`{path}`" for path in paths) + (f" of kind `{kinds[0]}`" if len(kinds) == 1 else "")


def _models(path: str, model: type[Model]) -> list[tuple[str, type[Model]]]:
    found = [(path, model)]
    for name, field in model.model_fields.items():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, Model):
                many = "[]" if "list" in str(field.annotation) else ""
                found += _models(f"{path}.{name}{many}".lstrip("."), part)
    return found


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Model) or (field.default_factory and isinstance(value, int)):
        return ""  # a model of its own below, or what depends on the machine and is told in words
    return f"`{_WORDS.get(str(value), value)}`"


def _meaning(model: type[Model], name: str) -> str:
    schema = model.model_json_schema()["properties"][name]
    options = schema.get("anyOf", [schema])
    bounds = {key: option[key] for option in options for key in _BOUNDS if key in option}
    limits = ", ".join(f"{_BOUNDS[key]} {value:,}" for key, value in bounds.items())
    choices = " or ".join(f"`{choice}`" for choice in schema.get("enum", schema.get("items", {}).get("enum", ())))
    extra = "; ".join(filter(None, (choices, limits)))
    return f"{schema['description']}{f' ({extra})' if extra else ''}".replace("|", "\\|")


_WORDS = {"None": "null", "True": "true", "False": "false"}
_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


PAGES = {
    "recipe.md": recipe_page,
    "reasons.md": reasons_page,
    "recipe.schema.json": recipe_schema,
    "manifest.schema.json": manifest_schema,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
