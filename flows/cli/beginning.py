"""Commands to begin with: what is a source, a recipe for it, the schema of recipes, and the demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.arguments import Json, OfHub, Verbose
from flows.cli.process import FAILED, MISUSED, fail, run, set_up_prefect

if TYPE_CHECKING:
    from schemas.source import Source

Looked = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder, file, glob or URL, or with [cyan]--hub[/] the id of a data set: owner/name.",
        show_default=False,
    ),
]
Revision = Annotated[str | None, typer.Option(help="With --hub: a branch, tag or commit.")]
Split = Annotated[str, typer.Option(help="The split to look at.")]
Form = Annotated[
    str | None,
    typer.Option("--format", help="save_to_disk, arrow, parquet, webdataset or imagefolder; else found by itself."),
]
ColumnsOf = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="FACT=COLUMN", help="As source.columns in a recipe. Repeatable.", show_default=False
    ),
]


def inspect(
    source: Looked,
    hub: OfHub = False,
    revision: Revision = None,
    split: Split = "train",
    form: Form = None,
    columns: ColumnsOf = None,
    as_json: Json = False,
) -> None:
    """Say what a SOURCE is: format, revision, shards, rows, columns, histograms and five sample rows.

    Reads some thousand rows from shards spread over the source, and no more. Exit status: 0 done, 1 it cannot be read,
    2 the usage is wrong.
    """
    from flows.inspection import run_inspect

    wanted = _source(source, hub, revision, split, form, columns)

    def look() -> None:
        report = run_inspect(wanted, as_json=as_json)
        if not report.seen_shards:
            fail(f"{source}: no shard of {report.shards} can be read", FAILED)

    run(look)


def init(
    source: Looked,
    recipe: Annotated[Path, typer.Option("--recipe", "-o", metavar="FILE", help="The recipe to write.")] = Path(
        "recipe.yaml"
    ),
    hub: OfHub = False,
    revision: Revision = None,
    split: Split = "train",
    form: Form = None,
    columns: ColumnsOf = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file, if there is one.")] = False,
) -> None:
    """Write a recipe for a SOURCE, with comments that say what was seen there.

    Looks at the source as inspect does. Exit status: 0 done; 1 it cannot be read, or its columns are not clear; 2 the
    usage is wrong, or the file is there.
    """
    from flows.init import RecipeThere, run_init

    wanted = _source(source, hub, revision, split, form, columns)

    def write() -> None:
        try:
            run_init(wanted, recipe, force=force)
        except RecipeThere as error:
            fail(str(error), MISUSED)

    run(write)


def schema() -> None:
    """Print the JSON Schema of a recipe, by which editors complete and check it.

    As in [cyan]git10m schema > recipe.schema.json[/]; a recipe beside it names it in its first line:
    [cyan]# yaml-language-server: $schema=recipe.schema.json[/]
    """
    from schemas.json_schemas import recipe_schema

    print(recipe_schema(), end="")


def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Where the demo's source, workspace and subsets go.")] = Path(
        "demo"
    ),
    verbose: Verbose = False,
) -> None:
    """Cut real map imagery into tiles, plant known defects, curate, and check that each defect was found.

    Needs the extra [cyan]demo[/]. Exit status: 0 all found, 1 the run failed or a defect was missed.
    """
    set_up_prefect(verbose)
    from flows.demo import run_demo

    run(lambda: run_demo(directory))


def _source(
    place: str, hub: bool, revision: str | None, split: str, form: str | None, columns: list[str] | None
) -> "Source":
    """Return the source that was named; one that cannot be is a wrong usage."""
    from pydantic import ValidationError

    from flows.recipes import describe
    from schemas.source import FileSource, HubSource

    mapping = dict(pair.partition("=")[::2] for pair in columns or ())
    facts = {"name": place, "path": place, "split": split, "format": form, "columns": mapping, "revision": revision}
    try:
        return HubSource.model_validate(facts | {"kind": "hub"}) if hub else FileSource.model_validate(facts)
    except ValidationError as error:
        fail("; ".join(describe(error)), MISUSED)
