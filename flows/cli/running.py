"""Commands that run what a file says, a recipe, an evaluation or deployments, or say what would come of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.arguments import Json, Quiet, Verbose, named_folder
from flows.cli.process import FAILED, MISUSED, fail, run, set_up_prefect

if TYPE_CHECKING:
    from schemas.recipe import Recipe

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a key of the recipe, as in [cyan]--set subsets.0.quality.min_score=4.8[/]. Repeatable.",
        show_default=False,
    ),
]


def curate(
    recipe: RecipeFile,
    settings: Settings = None,
    quiet: Quiet = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Curate the subsets of a RECIPE: scan what is new, select, write, and say where it lies.

    Exit status: 0 done, 1 the run failed, 2 the recipe or the usage is wrong.
    """
    loaded = _recipe(recipe, settings)
    set_up_prefect(verbose)
    from flows.console import run_curate

    run(lambda: run_curate(loaded, quiet=quiet, as_json=as_json))


def plan(
    recipe: RecipeFile,
    settings: Settings = None,
    search: Annotated[
        bool,
        typer.Option("--search", help="Look for duplicates that no run has looked for, however long it takes."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what curate would read, keep and write, and what would make it fail; nothing is written.

    Exit status: 0 it can run, 1 it would fail, 2 the recipe or the usage is wrong.
    """
    loaded = _recipe(recipe, settings)
    from flows.plan import run_plan

    def tell() -> None:
        told = run_plan(loaded, search=search, as_json=as_json)
        if told.problems:
            fail(f"{recipe}: would fail: {len(told.problems)} problem(s)", FAILED)

    run(tell)


def embed(
    recipe: RecipeFile,
    settings: Settings = None,
    quiet: Quiet = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Embed the pairs of a RECIPE's source by its scorers: vectors, and how well picture and caption belong together.

    As curate does where the recipe has scorers; needs the extra [cyan]clip[/]. Exit status: 0 done, 1 the run failed,
    2 the recipe or the usage is wrong.
    """
    loaded = _recipe(recipe, settings)
    set_up_prefect(verbose)
    from flows.console import run_embed

    run(lambda: run_embed(loaded, quiet=quiet, as_json=as_json))


def evaluate(
    evaluation: Annotated[
        Path,
        typer.Argument(metavar="EVALUATION", help="Models and labelled pictures, a YAML file.", show_default=False),
    ],
    settings: Settings = None,
    excluded: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-contaminated",
            metavar="SUBSET_DIR",
            help="Also tell the results without copies of this subset's pictures. Repeatable.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Classify labelled pictures by words alone, and print how often each model of an EVALUATION is right.

    Needs the extra [cyan]clip[/]. Exit status: 0 done, 1 the run failed, 2 the file or the usage is wrong.
    """
    from flows.recipes import RecipeError, load_evaluation

    folders = [str(named_folder(folder)) for folder in excluded or ()]
    try:
        loaded = load_evaluation(evaluation, settings or (), folders)
    except RecipeError as error:
        fail(str(error), MISUSED)
    set_up_prefect(verbose)
    from flows.console import run_evaluate

    run(lambda: run_evaluate(loaded, quiet=quiet, as_json=as_json))


def serve(
    prefect_file: Annotated[
        Path | None,
        typer.Option(
            "--prefect-file",
            metavar="FILE",
            help="Definitions of your own; else deployments/prefect.yaml.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the deployments by their schedules, and when they are asked for, until it is stopped: no worker is needed.

    PREFECT_API_URL says which Prefect server they are shown by. Exit status: 0 stopped, 1 it failed, 2 the usage is
    wrong.
    """
    set_up_prefect(verbose=True)
    from flows.serve import PREFECT_FILE, NoServer, NotServable, serve_deployments

    try:
        serve_deployments(prefect_file or PREFECT_FILE)
    except (NotServable, NoServer) as error:
        fail(str(error), MISUSED if isinstance(error, NotServable) else FAILED)


def _recipe(path: Path, settings: list[str] | None) -> "Recipe":
    """Return the recipe in a file; one that is none is a wrong usage."""
    from flows.recipes import RecipeError, load_recipe

    try:
        return load_recipe(path, settings or ())
    except RecipeError as error:
        fail(str(error), MISUSED)
