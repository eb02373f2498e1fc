"""Commands that ask of what was made: is it sound, why is a row in it, what differs, what would another limit keep."""

from typing import Annotated

import typer

from flows.cli.arguments import Json, OfHub, Quiet, SubsetDir, named_folder, named_place
from flows.cli.process import FAILED, MISUSED, fail, run
from schemas.errors import CurationError


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

    facts = {"subset": named_folder(subset), "source": source, "hub": hub, "revision": revision}
    try:
        job = Verification.model_validate(facts)
    except ValidationError as error:
        fail("; ".join(describe(error)), MISUSED)

    def look() -> None:
        report = run_verify(job, quiet=quiet, as_json=as_json)
        if not report.sound:
            fail(f"{subset}: not sound: {len(report.problems)} problem(s)", FAILED)

    run(look)


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

    directory = named_folder(subset)
    place = named_folder(workspace) if workspace is not None else None
    run(lambda: run_explain(directory, row, workspace=place, by_name=name, as_json=as_json))


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

    one, other = named_folder(a), named_folder(b)
    files = {name: UPath(path).expanduser() for name, path in (("rows", rows), ("page", page)) if path is not None}
    for name, file in files.items():
        if file.is_dir():
            fail(f"--{name}: {file} is a folder, expected a file", MISUSED)
    run(lambda: run_diff(one, other, rows=files.get("rows"), page=files.get("page"), as_json=as_json))


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

    from flows.browse import run_browse
    from flows.recipes import RecipeError

    at = named_place(place)
    try:
        run_browse(at, subset=subset, port=port, show=show)
    except RecipeError as error:
        fail(str(error), MISUSED)
    except (CurationError, OSError) as error:
        fail(str(error), FAILED)
    except KeyboardInterrupt:
        pass  # that is how it is stopped


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

    at, file = named_place(place), UPath(page).expanduser()
    if file.is_dir():
        fail(f"--page: {file} is a folder, expected a file", MISUSED)
    if blank := [text for text in texts if not text.strip()]:
        fail(f"TEXT: found {blank[0]!r}, expected words", MISUSED)

    def look() -> None:
        try:
            run_retrieve(at, texts, count=count, scorer=scorer, page=file, as_json=as_json)
        except (RecipeError, UnknownScorer) as error:
            fail(str(error), MISUSED)

    run(look)
