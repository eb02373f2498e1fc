"""What a person names to look at: a recipe's file, the workspace of a run, or a subset's folder."""

from pathlib import Path

from pydantic import ValidationError
from upath import UPath

from flows.recipes import describe, load_recipe
from schemas.errors import CurationError
from schemas.recipe import Recipe
from tasks.published import MANIFEST, RUN, read_manifest, read_run
from tasks.workspace import last_recipe


class NoRecipeThere(CurationError):
    """A folder that does not tell by which recipe it was made."""


def recipe_of(place: UPath) -> tuple[Recipe, str | None]:
    """Return the recipe in the file ``place``; of a workspace the last one that was run; of a subset's folder the one
    that made it, and the subset's name.

    Raises:
        RecipeError: of a file that is no recipe.
        NoRecipeThere: of a folder that is neither, or does not tell its recipe.
        NotASubset: of a folder whose manifest does not hold.
    """
    if isinstance(place, Path) and place.is_file():
        return load_recipe(place), None
    if (place / MANIFEST).is_file():
        manifest = read_manifest(place)
        try:
            return Recipe.model_validate(read_run(place)["recipe"]), manifest.subset
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            found = "; ".join(describe(error)) if isinstance(error, ValidationError) else error
            told = f"{place / RUN}: does not tell the recipe of the run: {found}"
            raise NoRecipeThere(f"{told}; give the recipe's file instead of the folder") from error
    if recipe := last_recipe(place):
        return recipe, None
    raise NoRecipeThere(f"{place}: found no subset, and no workspace of a run; expected one of them, or a recipe")
