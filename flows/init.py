"""What ``git10m init`` writes: a recipe for a source that was looked at, with comments that say what was seen."""

import json
import os
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.filesize import decimal

from flows.progress import stage
from flows.terminal import printable
from schemas.errors import CurationError
from schemas.inspection import InspectReport
from schemas.recipe import Engine
from schemas.source import Columns, Source
from tasks.inspection import inspect_source
from tasks.mapping import guess_columns
from tasks.source.columns import IMAGE
from tasks.source.listing import list_shards, pin
from tasks.source.places.fetch import FetchCache

_TEMPLATE = "recipe.yaml.j2"


class RecipeThere(CurationError):
    """The file that the recipe would be written to is there."""


def run_init(source: Source, recipe: Path, *, force: bool = False) -> InspectReport:
    """Look at ``source``, write a recipe for it, and say what to do next.

    Raises:
        RecipeThere: if ``recipe`` is there, unless ``force`` is set.
        SourceError: if there is no such source, or its columns are not clear.
        OSError: if the file cannot be written.
    """
    if recipe.exists() and not force:
        raise RecipeThere(f"{recipe}: is there already; give another name with -o, or --force to overwrite it")
    with stage("inspect"), TemporaryDirectory(prefix="git10m-") as folder:
        fetched = FetchCache(Path(folder), Engine().fetched_bytes)
        source = pin(source)
        shards = list_shards(source, fetched)
        mapping = guess_columns(shards[0], source.columns.model_dump())
        source = source.model_copy(update={"columns": Columns(**mapping)})
        report = inspect_source(source, fetched)
    text = recipe_text(source, report, recipe, elsewhere=shards[0].remote is not None)
    with recipe.open("w" if force else "x", encoding="utf-8") as file:
        file.write(text)
    for problem in report.problems:
        typer.echo(f"git10m: {printable(problem)}", err=True)
    size = f"{'' if report.rows_exact else 'about '}{report.rows:,} rows, {decimal(report.byte_length)}"
    named, schema = shlex.quote(str(recipe)), shlex.quote(str(recipe.parent / "recipe.schema.json"))
    typer.echo(printable(f"{recipe}: a recipe for {report.source}: {size}"))
    typer.echo(printable(f"  git10m plan {named}    # what would be read and kept; writes nothing"))
    typer.echo(printable(f"  git10m curate {named}"))
    typer.echo(printable(f"  git10m schema > {schema}    # so that editors complete and check it"))
    return report


def recipe_text(source: Source, report: InspectReport, recipe: Path, *, elsewhere: bool) -> str:
    """Return a recipe for ``source``, of which ``report`` tells, to be written to ``recipe``."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # it is YAML: all text of the source passes `quoted`
    )
    environment.filters |= {"quoted": _quoted, "decimal": decimal, "number": _number}
    local = source.kind == "files" and "://" not in source.path
    path = os.path.abspath(Path(source.path).expanduser()) if local else source.path  # noqa: PTH100  # without `..`
    place = recipe.absolute().parent
    quality, words = (report.quantiles.get(name, {}) for name in ("quality", "caption words"))
    return environment.get_template(_TEMPLATE).render(
        source=source,
        report=report,
        path=path,
        name=_name(path) if source.kind == "files" else source.path,
        mapping={fact: column for fact, column in source.columns.model_dump().items() if column is not None},
        unread=[column for column in report.columns if column.fact is None],
        quality=quality if len(set(quality.values())) > 1 else {},
        words=words if len(set(words.values())) > 1 else {},
        zooms=[round(level.low) for level in report.histograms["zoom"]],
        images=IMAGE not in report.absent,
        pictures=report.opened,
        output=str(place / ("curated" if recipe.name == "recipe.yaml" else recipe.stem)),
        workspace=str(place / "workspace"),
        elsewhere=elsewhere,
    )


def _name(path: str) -> str:
    """Return what the source is called: the last part of its path that is no glob, or is there under that name.

    >>> _name("/data/Git-10M"), _name("/data/tiles/*.parquet"), _name("s3://bucket/set/")
    ('Git-10M', 'tiles', 'set')
    """
    if Path(path).exists():
        return Path(path).name or path
    parts = [part for part in path.split("/") if part and not set(part) & set("*?[")]
    return parts[-1] if parts else path


def _quoted(text: str) -> str:
    r"""Return ``text`` as a YAML string in one line, whatever it holds.

    >>> print(_quoted('a "b": c\n#\x7f'))
    "a \"b\": c\n#\x7f"
    """
    return printable(json.dumps(text, ensure_ascii=False))


def _number(value: float) -> str:
    """Return ``value`` with at most four digits that count.

    >>> _number(4.6), _number(52.0), _number(0.28374651)
    ('4.6', '52', '0.2837')
    """
    return f"{value:.4g}"
