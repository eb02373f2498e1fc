"""What a person names to look at: a recipe's file, the workspace of a run, or a subset's folder."""

from pathlib import Path

from upath import UPath

from flows.recipes import load_recipe
from schemas.recipe import Recipe
from tasks.browse.opening import recipe_at


def recipe_of(place: UPath) -> tuple[Recipe, str | None]:
    """Return the recipe in the file ``place``, or that of a folder, as :func:`tasks.browse.opening.recipe_at` does.

    Raises:
        RecipeError: of a file that is no recipe.
        NothingToBrowse: of a folder that does not tell its recipe.
    """
    if isinstance(place, Path) and place.is_file():
        return load_recipe(place), None
    return recipe_at(place)
