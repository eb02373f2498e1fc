"""Select as Prefect sees it: the verdicts file of one subset."""

from prefect import task

from schemas.reports import SelectReport
from schemas.subset import Subset
from tasks.options import STAGE
from tasks.pinning import FileChanged, pinned_subset
from tasks.records import note
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts, known_verdicts


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
    known = known_verdicts(basis.recipe, subset, basis.scan, basis.duplicates, basis.embedded)
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
