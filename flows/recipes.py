"""Recipes as people write them: YAML files, with values set on the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from upath import UPath

from schemas.base import Model
from schemas.errors import CurationError
from schemas.evaluation import Evaluation
from schemas.recipe import Recipe

_M = TypeVar("_M", bound=Model)


class RecipeError(CurationError):
    """A recipe that is not one: each line names the file, the key's path, what was found and what was expected."""


def load_recipe(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """Return the recipe in the YAML file ``path``, with each ``dotted.key=value`` of ``settings`` put in.

    Values are read as YAML; a number in a key is a position in a list: ``subsets.0.quality.min_score=4.8``.

    Raises:
        RecipeError: if the file cannot be read or is no valid recipe.
    """
    return _load(path, settings, Recipe)


def load_evaluation(path: Path, settings: Sequence[str] = (), subsets: Sequence[str] = ()) -> Evaluation:
    """Return the evaluation in the YAML file ``path``, as :func:`load_recipe` does.

    Args:
        path: the file.
        settings: as of a recipe.
        subsets: more folders for its ``exclude_contaminated``.
    """
    evaluation = _load(path, settings, Evaluation)
    folders = [*evaluation.exclude_contaminated, *map(UPath, subsets)]
    return evaluation.model_copy(update={"exclude_contaminated": folders})


def _load(path: Path, settings: Sequence[str], model: type[_M]) -> _M:
    yaml = YAML(typ="safe", pure=True)  # builds plain data only, and refuses a key given twice
    try:
        data = yaml.load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except YAMLError as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: found {type(data).__name__}, expected a mapping of keys")
    for setting in settings:
        _put(data, setting, yaml)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{path}: {line}" for line in describe(error))) from error


def describe(error: ValidationError) -> list[str]:
    """Return a line for each error: the key's path, what is wrong, and what was found."""
    lines = []
    for item in error.errors(include_url=False):
        loc = item["loc"]
        for place in (("source",), ("deduplication", "references", *loc[2:3]), ("datasets", *loc[1:2], "source")):
            if loc[: len(place)] == place:  # behind a source pydantic names its kind, which is no key
                loc = (*place, *loc[len(place) + 1 :])
        where = ".".join(map(str, loc)) or "recipe"
        message = item["msg"].removeprefix("Value error, ")
        found = "" if item["type"] in ("missing", "value_error") else f" (found {item['input']!r})"
        if item["type"] == "extra_forbidden":
            message, found = "no such key", ""
        lines.append(f"{where}: {message}{found}")
    return lines


def _put(data: dict[str, Any], setting: str, yaml: YAML) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: expected dotted.key=value")
    try:
        value = yaml.load(text)
    except YAMLError as error:
        raise RecipeError(f"--set {setting}: the value is not valid YAML: {error}") from error
    *parents, last = key.split(".")
    place: Any = data
    for depth, part in enumerate(parents, start=1):
        place = _step(place, part, setting, ".".join(parents[:depth]))
    if isinstance(place, list):
        place[_position(place, last, setting)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise RecipeError(f"--set {setting}: {'.'.join(parents)} is {place!r}, which has no keys")


def _step(place: Any, part: str, setting: str, path: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, part, setting)]
    if isinstance(place, dict):
        if place.get(part) is None:
            place[part] = {}
        return place[part]
    raise RecipeError(f"--set {setting}: {path} is inside {place!r}, which has no keys")


def _position(place: list[Any], part: str, setting: str) -> int:
    if not part.isdecimal() or int(part) >= len(place):
        raise RecipeError(f"--set {setting}: found {part!r}, expected a position from 0 to {len(place) - 1}")
    return int(part)
