"""The command line, ``git10m``. Commands import what they run, so that ``--help`` is quick."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from flows.terminal import printable
from schemas.errors import CurationError

if TYPE_CHECKING:
    from upath import UPath

    from schemas.recipe import Recipe
    from schemas.source import Source

app = typer.Typer(
    name="git10m",
    help="Curate image-caption data sets: scan once, decide in seconds, write once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_FAILED, _MISUSED = 1, 2
_GO_ON = [["curate"], ["embed"], ["evaluate"], ["materialize"], ["publish"], ["demo"]]  # what is finished is kept

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
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
SubsetDir = Annotated[
    str, typer.Argument(metavar="SUBSET_DIR", help="A subset's folder, or its URL.", show_default=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
OfHub = Annotated[bool, typer.Option("--hub", help="The source is a data set of the Hugging Face Hub.")]
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
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log of the run as well.")]


@app.command()
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
    _set_up_prefect(verbose)
    from flows.console import run_curate

    _run(lambda: run_curate(loaded, quiet=quiet, as_json=as_json))


@app.command()
def plan(
    recipe: RecipeFile,
    settings: Settings = None,
    search: Annotated[
        bool,
        typer.Option("--search", help="Look for near-duplicates that no run has looked for, however long it takes."),
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
            _fail(f"{recipe}: would fail: {len(told.problems)} problem(s)", _FAILED)

    _run(tell)


@app.command()
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
    _set_up_prefect(verbose)
    from flows.console import run_embed

    _run(lambda: run_embed(loaded, quiet=quiet, as_json=as_json))


@app.command()
def materialize(
    index: Annotated[
        str, typer.Argument(metavar="INDEX_DIR", help="The folder of a subset, or of its index.", show_default=False)
    ],
    source: Annotated[
        str,
        typer.Option(help="Your copy of its source: folder, file, glob or URL, or with [cyan]--hub[/] owner/name."),
    ],
    directory: Annotated[str, typer.Option("--dir", help="Folder that will hold the subset's folder.")],
    hub: OfHub = False,
    revision: Annotated[str | None, typer.Option(help="With --hub: else the one the subset was made of.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; else all cores.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Make a subset's data files again, from its index and your own copy of the source.

    Every image is held against its SHA-256, and the files come out as those of the original, byte for byte.
    Exit status: 0 done, 1 it cannot be made, 2 the usage is wrong.
    """
    from pydantic import ValidationError

    from flows.recipes import describe
    from schemas.materialization import Materialization

    facts = {"index": index, "source": source, "dir": directory, "hub": hub, "revision": revision}
    engine = {} if workers is None else {"engine": {"workers": workers}}
    try:
        job = Materialization.model_validate(facts | engine)
    except ValidationError as error:
        _fail("; ".join(describe(error)), _MISUSED)
    _set_up_prefect(verbose)
    from flows.console import run_materialize

    _run(lambda: run_materialize(job, quiet=quiet, as_json=as_json))


@app.command()
def verify(
    subset: SubsetDir,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Also hold every kept row against the source: folder, file, glob or URL, or with [cyan]--hub[/] "
            "owner/name.",
        ),
    ] = None,
    hub: OfHub = False,
    revision: Annotated[str | None, typer.Option(help="With --hub: else the one the subset was made of.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Read the latest version of a published subset again: against its manifest, and its rows against the source.

    Exit status: 0 sound, 1 not sound, or not a subset; 2 the usage is wrong.
    """
    from pydantic import ValidationError

    from flows.recipes import describe
    from flows.verification import run_verify
    from schemas.verification import Verification

    facts = {"subset": _folder(subset), "source": source, "hub": hub, "revision": revision}
    try:
        job = Verification.model_validate(facts)
    except ValidationError as error:
        _fail("; ".join(describe(error)), _MISUSED)

    def look() -> None:
        report = run_verify(job, quiet=quiet, as_json=as_json)
        if not report.sound:
            _fail(f"{subset}: not sound: {len(report.problems)} problem(s)", _FAILED)

    _run(look)


@app.command()
def explain(
    subset: SubsetDir,
    row: Annotated[
        str, typer.Argument(metavar="ROW|IMG_NAME", help="A row id, or the name of a picture.", show_default=False)
    ],
    workspace: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the signals are; else where the run had them.")
    ] = None,
    name: Annotated[bool, typer.Option("--name", help="A number is an img_name, too.")] = False,
    as_json: Json = False,
) -> None:
    """Say of a row why it is in a subset, or why not: what was measured, every rule with its limit, its duplicates.

    Exit status: 0 told; 1 not a subset, or no such row; 2 the usage is wrong.
    """
    from flows.explain import run_explain

    directory = _folder(subset)
    place = _folder(workspace) if workspace is not None else None
    _run(lambda: run_explain(directory, row, workspace=place, by_name=name, as_json=as_json))


@app.command()
def diff(
    a: Annotated[
        str, typer.Argument(metavar="SUBSET_DIR_A", help="A subset's folder, or its URL.", show_default=False)
    ],
    b: Annotated[str, typer.Argument(metavar="SUBSET_DIR_B", help="The one to hold against it.", show_default=False)],
    rows: Annotated[
        str | None, typer.Option(metavar="FILE.parquet", help="Write the rows gained and lost there.")
    ] = None,
    page: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.html", help="Write a page there: both subsets side by side, with figures and pictures."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which rows a subset gained and lost against another one, by reason, and what was set otherwise.

    Exit status: 0 compared, whatever differs; 1 not a subset, or damaged; 2 the usage is wrong.
    """
    from upath import UPath

    from flows.diff import run_diff

    one, other = _folder(a), _folder(b)
    files = {name: UPath(path).expanduser() for name, path in (("rows", rows), ("page", page)) if path is not None}
    for name, file in files.items():
        if file.is_dir():
            _fail(f"--{name}: {file} is a folder, expected a file", _MISUSED)
    _run(lambda: run_diff(one, other, rows=files.get("rows"), page=files.get("page"), as_json=as_json))


@app.command()
def browse(
    place: Annotated[
        str,
        typer.Argument(metavar="SUBSET_DIR|WORKSPACE|RECIPE", help="What was curated, or scanned.", show_default=False),
    ],
    subset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Begin with this subset of the recipe; else the first.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page's server; 0 takes any.")] = 8010,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your browser.")] = True,
) -> None:
    """Move thresholds on a page of this machine, and see at once what is kept, and the pairs on both sides of each.

    Reads what was measured; where nobody has looked for duplicates, it does, as curate would. Needs the extra
    [cyan]browse[/]. Exit status: 0 stopped, 1 nothing was scanned there, 2 the usage is wrong.
    """
    from upath import UPath

    from flows.browse import run_browse
    from flows.recipes import RecipeError
    from tasks.versions import followed

    at = UPath(place) if Path(place).is_file() else followed(_folder(place))
    try:
        run_browse(at, subset=subset, port=port, show=show)
    except RecipeError as error:
        _fail(str(error), _MISUSED)
    except (CurationError, OSError) as error:
        _fail(str(error), _FAILED)
    except KeyboardInterrupt:
        pass  # that is how it is stopped


@app.command()
def retrieve(
    place: Annotated[
        str,
        typer.Argument(metavar="SUBSET_DIR|WORKSPACE|RECIPE", help="What was embedded.", show_default=False),
    ],
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="What to look for, in words.", show_default=False)
    ],
    count: Annotated[int, typer.Option(min=1, max=1000, help="Pictures for each text.")] = 24,
    scorer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the recipe's scorers; else the first.", show_default=False)
    ] = None,
    page: Annotated[str, typer.Option(metavar="FILE.html", help="Write the contact sheet there.")] = "retrieved.html",
    as_json: Json = False,
) -> None:
    """Find the pictures that are most like a TEXT, as in [cyan]"harbour with many boats"[/], and write a contact sheet.

    Of a subset its own pictures, else all of the source; git10m embed made their vectors. Needs the extra
    [cyan]clip[/]. Exit status: 0 done, 1 nothing was embedded there, 2 the usage is wrong.
    """
    from upath import UPath

    from flows.recipes import RecipeError
    from flows.retrieve import run_retrieve
    from tasks.retrieve.stage import UnknownScorer
    from tasks.versions import followed

    at, file = UPath(place) if Path(place).is_file() else followed(_folder(place)), UPath(page).expanduser()
    if file.is_dir():
        _fail(f"--page: {file} is a folder, expected a file", _MISUSED)
    if blank := [text for text in texts if not text.strip()]:
        _fail(f"TEXT: found {blank[0]!r}, expected words", _MISUSED)

    def look() -> None:
        try:
            run_retrieve(at, texts, count=count, scorer=scorer, page=file, as_json=as_json)
        except (RecipeError, UnknownScorer) as error:
            _fail(str(error), _MISUSED)

    _run(look)


@app.command()
def publish(
    subset: SubsetDir,
    hub_id: Annotated[str, typer.Argument(metavar="HUB_ID", help="The data set: owner/name.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Let everybody read it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be uploaded, and why.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Upload a subset to a data set of the Hugging Face Hub, as much of it as its licence allows.

    Under a licence that forbids it, and without an authorization in the recipe, only the index leaves: no picture and
    no caption. Exit status: 0 uploaded, 1 refused or failed, 2 the usage is wrong.
    """
    from flows.upload import run_publish
    from tasks.upload.hub import check_id
    from tasks.upload.permission import UploadRefused

    try:
        check_id(hub_id)
    except UploadRefused as error:
        _fail(str(error), _MISUSED)
    directory = _folder(subset)
    told = {"quiet": quiet, "as_json": as_json}
    _run(lambda: run_publish(directory, hub_id, public=public, dry_run=dry_run, **told))


@app.command()
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

    folders = [str(_folder(folder)) for folder in excluded or ()]
    try:
        loaded = load_evaluation(evaluation, settings or (), folders)
    except RecipeError as error:
        _fail(str(error), _MISUSED)
    _set_up_prefect(verbose)
    from flows.console import run_evaluate

    _run(lambda: run_evaluate(loaded, quiet=quiet, as_json=as_json))


@app.command()
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
            _fail(f"{source}: no shard of {report.shards} can be read", _FAILED)

    _run(look)


@app.command()
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
            _fail(str(error), _MISUSED)

    _run(write)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe, by which editors complete and check it.

    As in [cyan]git10m schema > recipe.schema.json[/]; a recipe beside it names it in its first line:
    [cyan]# yaml-language-server: $schema=recipe.schema.json[/]
    """
    from schemas.json_schemas import recipe_schema

    print(recipe_schema(), end="")


@app.command()
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
    _set_up_prefect(verbose=True)
    from flows.serve import PREFECT_FILE, NoServer, NotServable, serve_deployments

    try:
        serve_deployments(prefect_file or PREFECT_FILE)
    except (NotServable, NoServer) as error:
        _fail(str(error), _MISUSED if isinstance(error, NotServable) else _FAILED)


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


def _recipe(path: Path, settings: list[str] | None) -> "Recipe":
    """Return the recipe in a file; one that is none is a wrong usage."""
    from flows.recipes import RecipeError, load_recipe

    try:
        return load_recipe(path, settings or ())
    except RecipeError as error:
        _fail(str(error), _MISUSED)


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
        _fail("; ".join(describe(error)), _MISUSED)


def _folder(place: str) -> "UPath":
    """Return the folder ``place``, or the link of a subset; one that is not there is a wrong usage."""
    from upath import UPath

    from tasks.versions import followed

    try:
        directory = UPath(place).expanduser()
        found = followed(directory).is_dir()
    except (ValueError, ImportError) as error:
        _fail(f"{place}: {error}", _MISUSED)
    if not found:
        _fail(f"{place}: no such folder", _MISUSED)
    return directory


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
    progress = sys.modules.get("flows.progress")
    kept = progress.so_far() if progress is not None else ""
    told = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""  # the line of the bar goes, the cursor comes back
    told += f"git10m: interrupted{f'; {kept}' if kept else ''}\n"
    if sys.argv[1:2] in _GO_ON:
        command = printable(shlex.join(["git10m", *sys.argv[1:]]))
        told += f"to go on from here, run the same command again:\n  {command}\n"
    os.write(2, told.encode())  # no buffer, no lock: this may have interrupted a write
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGTERM)
    os._exit(128 + number)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"git10m: {printable(message)}", err=True)
    raise typer.Exit(status)
