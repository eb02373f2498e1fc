"""Arguments and options that several commands have, and the file or folder that is named by one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.process import MISUSED, fail

if TYPE_CHECKING:
    from upath import UPath

SubsetDir = Annotated[
    str, typer.Argument(metavar="SUBSET_DIR", help="A subset's folder, or its URL.", show_default=False)
]
OfHub = Annotated[bool, typer.Option("--hub", help="The source is a data set of the Hugging Face Hub.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log of the run as well.")]


def named_place(place: str) -> "UPath":
    """Return the file ``place``, or the folder that it is or leads to; one that is not there is a wrong usage."""
    from upath import UPath

    from tasks.versions import followed

    return UPath(place) if Path(place).is_file() else followed(named_folder(place))


def named_folder(place: str) -> "UPath":
    """Return the folder ``place``, or the link of a subset; one that is not there is a wrong usage."""
    from upath import UPath

    from tasks.versions import followed

    try:
        directory = UPath(place).expanduser()
        found = followed(directory).is_dir()
    except (ValueError, ImportError) as error:
        fail(f"{place}: {error}", MISUSED)
    if not found:
        fail(f"{place}: no such folder", MISUSED)
    return directory
