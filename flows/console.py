"""What a run prints on a terminal when it is done."""

from collections.abc import Sequence

from prefect.settings import PREFECT_API_URL
from rich.console import Console
from rich.filesize import decimal
from rich.measure import Measurement
from rich.table import Table

from flows.again import nothing_new
from flows.as_json import as_json as json_of
from flows.funnel import funnel_table
from flows.progress import console
from flows.terminal import plain, printable
from schemas.embedding import EmbedReport
from schemas.evaluation import Evaluation, EvaluationReport
from schemas.materialization import Materialization, Materialized
from schemas.recipe import Recipe
from schemas.reports import CurateReport
from tasks.evaluate.table import Table as Accuracies
from tasks.evaluate.table import tables
from tasks.files import ensure_writable
from tasks.published import read_manifest
from tasks.source.listing import shards_of
from tasks.versions import followed

out = Console()


def run_curate(recipe: Recipe, *, quiet: bool = False, as_json: bool = False) -> CurateReport:
    """Run the ``curate`` flow and print its funnel and where the results lie, or its report as JSON.

    What can be refused at once is refused before Prefect's server is started. Where nobody has a server of theirs, to
    watch runs by, a run that would find nothing new is none.
    """
    console.quiet = quiet
    shards_of(recipe)
    for place in (recipe.workspace, recipe.output.dir):
        ensure_writable(place)
    report = nothing_new(recipe) if PREFECT_API_URL.value() is None else None
    if report is None:
        from flows.curate import curate

        _tell_of_server()
        report = curate(recipe)
    if as_json:
        print(json_of(report))
    elif not quiet:
        print_report(report)
    return report


def run_embed(recipe: Recipe, *, quiet: bool = False, as_json: bool = False) -> tuple[EmbedReport, ...]:
    """Run the ``embed`` flow and print what each scorer made of the source."""
    console.quiet = quiet
    shards_of(recipe)
    ensure_writable(recipe.workspace)
    from flows.embed import embed

    _tell_of_server()
    reports = embed(recipe)
    if as_json:
        print(json_of(reports))
    elif not quiet:
        out.print(_scorers(reports))
    return reports


def run_evaluate(evaluation: Evaluation, *, quiet: bool = False, as_json: bool = False) -> EvaluationReport:
    """Run the ``evaluate`` flow and print its tables, and where they lie; refusals come first, as of ``curate``."""
    from flows.evaluate import MARKDOWN, evaluate, recipe_for

    console.quiet = quiet
    for dataset in evaluation.datasets:
        shards_of(recipe_for(evaluation, dataset.source))
    for place in (evaluation.workspace, evaluation.output):
        ensure_writable(place)
    _tell_of_server()
    report = evaluate(evaluation)
    if as_json:
        print(json_of(report))
    elif not quiet:
        for table in tables(report):
            print_accuracies(table, out)
        out.print(plain(str(evaluation.output / MARKDOWN)), highlight=False, soft_wrap=True)
    return report


def run_materialize(job: Materialization, *, quiet: bool = False, as_json: bool = False) -> Materialized:
    """Run the ``materialize`` flow and print where the subset lies; an index that is none is refused before that."""
    from flows.materialize import materialize

    console.quiet = quiet
    read_manifest(followed(job.index))
    _tell_of_server()
    made = materialize(job)
    if as_json:
        print(json_of(made))
    elif not quiet:
        out.print(printable(str(made)), highlight=False, soft_wrap=True, markup=False)
    return made


def print_accuracies(told: Accuracies, out: Console) -> None:
    """Print models by data sets; where that is too wide for the terminal, data sets by models, if narrower."""

    def width(table: Table) -> int:
        return Measurement.get(out, out.options.update(width=10_000), table).maximum  # given all it wants

    columns = [("data set", *told.lines[0][1:]), *told.lines[1:]]
    as_told, turned = _table(told.title, told.lines), _table(told.title, list(zip(*columns, strict=True)))
    out.print(turned if width(turned) < width(as_told) > out.width else as_told)
    if told.note:
        out.print(plain(told.note), highlight=False)


def _table(title: str, lines: Sequence[Sequence[str]]) -> Table:
    table = Table(title=plain(title), title_justify="left")
    for number, name in enumerate(lines[0]):
        # What is cut could be another: model names often begin alike.
        table.add_column(plain(name), justify="right" if number else "left", overflow="fold")
    for line in lines[1:]:
        table.add_row(*map(plain, line))
    return table


def _tell_of_server() -> None:
    if PREFECT_API_URL.value() is None and console.is_terminal:
        console.print("starting Prefect's own server; set PREFECT_API_URL to use yours", style="dim")


def print_report(report: CurateReport) -> None:
    """Print each subset's funnel, then all subsets in one table, and what to open."""
    out.print(printable(f"{report.source}: {report.scan}"), highlight=False, markup=False)
    for subset in report.subsets:
        out.print(funnel_table(subset.select.funnel, subset.select.subset))
    out.print(_subsets(report))
    for subset in report.subsets:
        if subset.select.kept == 0:
            out.print(f"{subset.select.subset}: no row is left: there is no data file to open", style="bold red")
        else:
            path = plain(str(subset.report or subset.manifest))
            out.print(f"[bold]{subset.select.subset}[/]: {path}", highlight=False, soft_wrap=True)


def _scorers(reports: tuple[EmbedReport, ...]) -> Table:
    table = Table("scorer")
    for heading in ("rows", "pictures", "captions", "cut short", "dimensions", "vectors"):
        table.add_column(heading, justify="right")
    for report in reports:
        counts = (
            sum(getattr(shard, name) for shard in report.shards) for name in ("pictures", "captions", "truncated")
        )
        size = sum(shard.vectors.stat().st_size for shard in report.shards)
        table.add_row(
            report.scorer, f"{report.rows:,}", *map("{:,}".format, counts), f"{report.dimensions:,}", decimal(size)
        )
    return table


def _subsets(report: CurateReport) -> Table:
    table = Table("subset", title=f"of {report.scan.rows:,} rows", title_justify="left")
    for heading in ("kept", "kept %", "images", "files"):
        table.add_column(heading, justify="right")
    table.add_column("version")
    for one in report.subsets:
        kept, files = one.select.kept, len(one.write.files)
        numbers = (f"{kept:,}", one.select.funnel.share(kept), decimal(one.select.kept_image_bytes), f"{files:,}")
        table.add_row(one.select.subset, *numbers, f"{one.number}{' (unchanged)' if one.reused else ''}")
    return table
