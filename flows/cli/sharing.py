"""Commands that hand a subset on: it is uploaded, or made again where there is only its index."""

from typing import Annotated

import typer

from flows.cli.arguments import Json, OfHub, Quiet, SubsetDir, Verbose, named_folder
from flows.cli.process import MISUSED, fail, run, set_up_prefect


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
        fail(str(error), MISUSED)
    directory = named_folder(subset)
    told = {"quiet": quiet, "as_json": as_json}
    run(lambda: run_publish(directory, hub_id, public=public, dry_run=dry_run, **told))


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
        fail("; ".join(describe(error)), MISUSED)
    set_up_prefect(verbose)
    from flows.console import run_materialize

    run(lambda: run_materialize(job, quiet=quiet, as_json=as_json))
