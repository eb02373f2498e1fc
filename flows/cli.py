"""The command line, ``git10m``. Commands import what they run, so that ``--help`` is quick."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flows.terminal import printable
from schemas.errors import CurationError

app = typer.Typer(
    name="git10m",
    help="Curate image-caption data sets: scan once, decide in seconds, write once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_FAILED, _MISUSED = 1, 2

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log of the run as well.")]


@app.command()
def curate(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a key of the recipe, as in [cyan]--set subsets.0.quality.min_score=4.8[/]. Repeatable.",
            show_default=False,
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Curate the subsets of a RECIPE: scan what is new, select, write, and say where it lies.

    Exit status: 0 done, 1 the run failed, 2 the recipe or the usage is wrong.
    """
    from flows.recipes import RecipeError, load_recipe

    try:
        loaded = load_recipe(recipe, settings or ())
    except RecipeError as error:
        _fail(str(error), _MISUSED)
    _set_up_prefect(verbose)
    from flows.console import run_curate

    _run(lambda: run_curate(loaded))


@app.command()
def verify(
    subset: Annotated[
        str, typer.Argument(metavar="SUBSET_DIR", help="A subset's folder, or its URL.", show_default=False)
    ],
) -> None:
    """Read a published subset again, and hold it against its manifest.

    Exit status: 0 sound, 1 not sound, or not a subset; 2 the usage is wrong.
    """
    from upath import UPath

    from tasks.verify.subset import verify as verify_subset

    try:
        directory = UPath(subset).expanduser()
        found = directory.is_dir()
    except (ValueError, ImportError) as error:
        _fail(f"{subset}: {error}", _MISUSED)
    if not found:
        _fail(f"{subset}: no such folder", _MISUSED)
    report = verify_subset(directory)
    for problem in report.problems:
        typer.echo(problem, err=True)
    if not report.sound:
        _fail(f"{subset}: not sound: {len(report.problems)} problem(s)", _FAILED)
    typer.echo(f"{subset}: sound: {report.files} files, {report.rows:,} rows kept")


@app.command()
def inspect(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, file, glob or URL, or with [cyan]--hub[/] the id of a data set: owner/name.",
            show_default=False,
        ),
    ],
    hub: Annotated[bool, typer.Option("--hub", help="SOURCE is a data set of the Hugging Face Hub.")] = False,
    revision: Annotated[str | None, typer.Option(help="With --hub: a branch, tag or commit.")] = None,
    split: Annotated[str, typer.Option(help="The split to look at.")] = "train",
    form: Annotated[
        str | None,
        typer.Option("--format", help="save_to_disk, arrow, parquet, webdataset or imagefolder; else found by itself."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FACT=COLUMN", help="As source.columns in a recipe. Repeatable."),
    ] = None,
) -> None:
    """Say what a SOURCE is: format, revision, shards, rows, columns, histograms and five sample rows.

    Reads some thousand rows from shards spread over the source, and no more. Exit status: 0 done, 1 it cannot be read,
    2 the usage is wrong.
    """
    from pydantic import ValidationError

    from flows.inspection import run_inspect
    from flows.recipes import describe
    from schemas.recipe import FileSource, HubSource

    mapping = dict(pair.partition("=")[::2] for pair in columns or ())
    facts = {"name": source, "path": source, "split": split, "format": form, "columns": mapping, "revision": revision}
    try:
        wanted = HubSource.model_validate(facts | {"kind": "hub"}) if hub else FileSource.model_validate(facts)
    except ValidationError as error:
        _fail("; ".join(describe(error)), _MISUSED)

    def look() -> None:
        report = run_inspect(wanted)
        if not report.seen_shards:
            _fail(f"{source}: no shard of {report.shards} can be read", _FAILED)

    _run(look)


@app.command()
def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Where the demo's source, workspace and subsets go.")] = Path(
        "demo"
    ),
    verbose: Verbose = False,
) -> None:
    """Cut real map imagery into tiles, plant known defects, curate, and check that each defect was found.

    Needs the extra [cyan]demo[/]. Exit status: 0 all found, 1 the run failed or a defect was missed.
    """
    _set_up_prefect(verbose)
    from flows.demo import run_demo

    _run(lambda: run_demo(directory))


def _set_up_prefect(verbose: bool) -> None:
    """Set what Prefect reads when it is imported; the user's own environment wins."""
    # PYTHONWARNINGS: of semaphores that an interrupted run leaves for multiprocessing to clean up
    defaults = {
        "PYTHONWARNINGS": "ignore:resource_tracker",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60",  # on an empty home, 20 s can be too few
    }
    if not verbose:  # a failure is told once, by this program; the Prefect API still receives the whole log
        defaults |= {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL"}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _run(job: Callable[[], object]) -> None:
    former = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        job()
    except (CurationError, OSError) as error:
        _fail(str(error), _FAILED)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _stop(number: int, frame: object) -> NoReturn:
    """End at once, and the server and workers with it: what is finished is on disk, what is not never appears.

    Prefect would first tell its server, which the same Ctrl-C has ended, and wait for it for minutes.
    """
    typer.echo("\ngit10m: interrupted; run the same command again, and it goes on from here", err=True)
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGTERM)
    os._exit(128 + number)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"git10m: {printable(message)}", err=True)
    raise typer.Exit(status)
