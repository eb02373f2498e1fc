"""Write the pages and the JSON Schemas that follow from the code, and a test checks, anew.

python docs/reference.py
"""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
from pydantic.fields import FieldInfo

from schemas import tables
from schemas.base import Model
from schemas.json_schemas import manifest_schema, recipe_schema
from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Recipe, ValidationRules

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
# Rules and reasons

Every rule, and the reason that it gives a row that breaks it. A rejected row carries every reason that applies, in
`rejected.parquet`; the first one in this order is its primary reason, under which the funnel counts it.

- **by default** is what the rule does where the recipe does not name it: `reject` the row, `flag` it (keep it, and
  mark it in `index.parquet`), or nothing, for it is `off`. Validation rules have an action each, `reject`, `flag` or
  `ignore`; one that only compares with a limit, such as `validation.image_size`, finds nothing until it has one.
- **set by** are the keys of the recipe ([recipe.md](recipe.md)) that turn it on and set its limits.
- **measured** is the value that stands beside the reason in `rejected.parquet`.

<!-- Written by docs/reference.py from schemas/reasons.py. -->

| code | stage | by default | meaning | set by | measured |
|---|---|---|---|---|---|
"""

_SIGNALS = """\
# Signals, vectors, pairs, verdicts, index and rejected

Every column of the tables that a run leaves on the disk, all of them plain Parquet. Where each file lies, and how it is
asked: [questions.md](questions.md). Which rules look at them: [reasons.md](reasons.md). What else is in a workspace is
one stage's word to another, and changes with the program.

<!-- Written by docs/reference.py from schemas/tables.py. -->
"""

_TABLES = {
    "Signals": (
        tables.SIGNALS_COLUMNS,
        "What the scan measured: a row for each pair, a file for each shard, in its order.",
    ),
    "Vectors": (
        tables.VECTORS_COLUMNS,
        "What a scorer made of picture and caption: a row for each pair, a file for each shard and scorer.",
    ),
    "Margins": (
        tables.MARGINS_COLUMNS,
        "What each picture is like, by a scorer's prompts: a file for each vectors file.",
    ),
    "Pairs": (tables.PAIRS_COLUMNS, "Near-duplicates, as pairs of distinct signatures."),
    "Semantic": (tables.SEMANTIC_PAIRS_COLUMNS, "Semantic duplicates, as pairs of rows."),
    "Contaminated": (tables.CONTAMINATED_COLUMNS, "Rows that are copies of a reference picture, with the nearest one."),
    "Verdicts": (tables.VERDICTS_COLUMNS, "A row for each row of the source, a file for each subset."),
    "Index": (tables.INDEX_COLUMNS, "`index.parquet` of a subset: the rows that are kept."),
    "Rejected": (tables.REJECTED_COLUMNS, "`rejected.parquet` of a subset: all other rows."),
}


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
    """Return the page on rules and reasons: one table."""
    rows = (
        f"| {_code([reason.value])} | {reason.stage.value} | {_by_default(reason)} | {reason.meaning} | "
        f"{_code(reason.settings)} | {_code(filter(None, [reason.measured]))} |\n"
        for reason in REASONS
    )
    return _REASONS + "".join(rows)


def signals_page() -> str:
    """Return the page on the tables: a section for each."""
    pages = [_SIGNALS]
    for name, (columns, about) in _TABLES.items():
        pages.append(f"\n## {name}\n\n{about}\n\n| column | dtype | unit | meaning |\n|---|---|---|---|\n")
        pages += (
            f"| `{column.name}` | `{_dtype(column.type)}`{'' if column.nullable else ', never null'} | {column.unit} | "
            f"{column.meaning} |\n"
            for column in columns
        )
    return "".join(pages)


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _dtype(dtype: pa.DataType) -> str:
    if pa.types.is_list(dtype):
        return f"list<{dtype.value_type}>"
    return "string" if pa.types.is_dictionary(dtype) else str(dtype)  # how a text is stored is nothing to who reads it


def _by_default(reason: Reason) -> str:
    """Return the action of a validation rule, and of any other whether a recipe that does not name its key has it."""
    if reason.stage is Stage.VALIDATION:
        return f"`{ValidationRules.model_fields[reason.value].default}`"
    model, switch = Recipe, reason.settings[0].replace("[]", "").split(".")
    for name in switch[:-1]:
        annotation = model.model_fields[name].annotation
        model = next(
            part for part in (annotation, *get_args(annotation)) if isinstance(part, type) and issubclass(part, Model)
        )
    value = model.model_fields[switch[-1]].get_default(call_default_factory=True, validated_data={})
    given = any(value.model_dump().values()) if isinstance(value, Model) else value
    return "`reject`" if given else "off"


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
    "signals.md": signals_page,
    "manifest.schema.json": manifest_schema,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
