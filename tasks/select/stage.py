"""Select as Prefect sees it: the verdicts file of one subset."""

from prefect import task

from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport, SelectReport
from schemas.subset import Subset
from tasks.options import STAGE
from tasks.select.verdicts import give_verdicts


@task(
    name="select",
    task_run_name="select {subset.name}",
    **STAGE,
)
def select(recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport) -> SelectReport:
    """Give every row of the source its verdict for ``subset``."""
    return give_verdicts(recipe, subset, scan, duplicates)
