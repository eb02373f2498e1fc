"""What a workspace remembers: the recipe that was run last, by which its measurements can be looked at."""

from upath import UPath

from schemas.recipe import Recipe
from tasks.pinning import rooted
from tasks.records import note, recall

_RECIPE = "recipe.json"


def remember(recipe: Recipe) -> None:
    """Note ``recipe`` in its workspace, in the stead of a former one."""
    note(recipe.workspace / _RECIPE, rooted(recipe))


def last_recipe(workspace: UPath) -> Recipe | None:
    """Return the recipe that was run last in ``workspace``, wherever that lies now; None if none is known."""
    recipe = recall(workspace / _RECIPE, Recipe)
    return None if recipe is None else recipe.model_copy(update={"workspace": workspace})
