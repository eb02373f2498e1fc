"""Select as Prefect sees it: the verdicts file of one subset."""

from prefect import task

from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport, SelectReport
from schemas.subset import Subset
from tasks.options import STAGE
from tasks.records import note, recall
from tasks.select.verdicts import give_verdicts, verdicts_path


@task(
    name="select",
    task_run_name="select {subset.name}",
    **STAGE,
)
def select(recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport) -> SelectReport:
    """Give every row of the source its verdict for ``subset``, unless the workspace has them."""
    known = known_verdicts(recipe, subset, scan, duplicates)
    if known is not None:
        return known
    selected = give_verdicts(recipe, subset, scan, duplicates)
    note(selected.verdicts.with_suffix(".json"), selected)
    return selected


def known_verdicts(
    recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport
) -> SelectReport | None:
    """Return the report of an earlier run on the same rows and the same recipe; None if there is none."""
    record = verdicts_path(recipe, subset, scan, duplicates).with_suffix(".json")
    return recall(record, SelectReport, lambda report: [report.verdicts])
