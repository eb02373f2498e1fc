"""What a run prints on a terminal when it is done."""

from prefect.settings import PREFECT_API_URL
from rich.console import Console

from flows.again import nothing_new
from flows.funnel import funnel_table
from flows.progress import console
from schemas.materialization import Materialization
from schemas.recipe import Recipe
from schemas.reports import CurateReport
from tasks.files import ensure_writable
from tasks.published import read_manifest
from tasks.source.listing import shards_of
from tasks.versions import followed

out = Console()


def run_curate(recipe: Recipe) -> CurateReport:
    """Run the ``curate`` flow and print its funnel and where the results lie.

    What can be refused at once is refused before Prefect's server is started. Where nobody has a server of theirs, to
    watch runs by, a run that would find nothing new is none.
    """
    shards_of(recipe)
    for place in (recipe.workspace, recipe.output.dir):
        ensure_writable(place)
    report = nothing_new(recipe) if PREFECT_API_URL.value() is None else None
    if report is None:
        from flows.curate import curate

        _tell_of_server()
        report = curate(recipe)
    print_report(report)
    return report


def run_materialize(job: Materialization) -> None:
    """Run the ``materialize`` flow and print where the subset lies; an index that is none is refused before that."""
    from flows.materialize import materialize

    manifest = read_manifest(followed(job.index))
    _tell_of_server()
    directory = materialize(job)
    told = f"{manifest.funnel.kept:,} rows of {manifest.source.name}"
    same = ", as they were" if manifest.indexed or manifest.mode == "data" else ""
    out.print(f"{manifest.subset}: {told}{same}: {directory}", highlight=False, soft_wrap=True, markup=False)


def _tell_of_server() -> None:
    if PREFECT_API_URL.value() is None and console.is_terminal:
        console.print("starting Prefect's own server; set PREFECT_API_URL to use yours", style="dim")


def print_report(report: CurateReport) -> None:
    """Print the funnel of each subset, and the paths of its manifest and report."""
    out.print(f"{report.source}: {report.scan}", highlight=False, markup=False)
    for subset in report.subsets:
        title = f"{subset.select.subset}: {subset.version.partition('-')[0]}{' (unchanged)' if subset.reused else ''}"
        out.print(funnel_table(subset.select.funnel, title))
        if subset.select.kept == 0:
            out.print("  no row is left: there is no data file to open", style="bold red")
        for path in (subset.manifest, *([subset.report] if subset.report else [])):
            out.print(f"  {path.stem:<9} {path}", highlight=False, soft_wrap=True, markup=False)
