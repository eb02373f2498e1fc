"""JSON Schemas of the files that people and other programs write and read: a recipe, and a subset's manifest."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DictSchema

from schemas.manifest import Manifest
from schemas.recipe import Recipe

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> str:
    """Return the JSON Schema of a recipe, by which an editor completes and checks the YAML file.

    What holds between two keys, such as a range that is not empty, no schema says: ``git10m plan`` does.
    """
    return _document("A recipe of git10m", Recipe.model_json_schema(schema_generator=_NoOtherKeys))


class _NoOtherKeys(GenerateJsonSchema):
    """Refuses keys of a mapping that do not match their pattern, as the loader does; pydantic lets them pass."""

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        told = super().dict_schema(schema)
        return told | {"additionalProperties": False} if "patternProperties" in told else told


def manifest_schema() -> str:
    """Return the JSON Schema of ``manifest.json``."""
    return _document("manifest.json of a subset", Manifest.model_json_schema(mode="serialization"))


def _document(title: str, schema: dict[str, Any]) -> str:
    told = {"$schema": _DIALECT, "title": title} | {key: schema[key] for key in schema if key != "title"}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
