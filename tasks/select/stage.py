"""Select as Prefect sees it: the verdicts file of one subset."""

from prefect import task

from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport, SelectReport
from schemas.subset import Subset
from tasks.files import is_parquet
from tasks.options import STAGE
from tasks.pinning import FileChanged, pinned_subset
from tasks.records import note, recall
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts, verdicts_path


@task(
    name="select",
    task_run_name="select {subset.name}",
    **STAGE,
)
def select(subset: Subset, basis: Basis) -> SelectReport:
    """Give every row of the source its verdict for ``subset``, unless the workspace has them.

    Raises:
        FileChanged: if a file that the subset names was changed since the recipe was pinned; others as
            :func:`tasks.select.verdicts.give_verdicts`.
    """
    known = known_verdicts(basis.recipe, subset, basis.scan, basis.duplicates)
    if known is not None:
        return known
    selected = give_verdicts(subset, basis)
    try:
        pinned_subset(subset)
    except FileChanged:
        selected.verdicts.unlink()
        raise
    note(selected.verdicts.with_suffix(".json"), selected)
    return selected


def known_verdicts(
    recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport
) -> SelectReport | None:
    """Return the report of an earlier run on the same rows and the same recipe; None if there is none."""
    path = verdicts_path(recipe, subset, scan, duplicates)
    known = recall(path.with_suffix(".json"), SelectReport)
    return known.model_copy(update={"verdicts": path}) if known is not None and is_parquet(path) else None
