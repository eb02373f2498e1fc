"""Deduplicate as Prefect sees it: what of a source is the same picture, found once and reused by every subset."""

from collections.abc import Callable, Sequence

from prefect import task
from upath import UPath

from schemas.recipe import Deduplication
from schemas.reports import DeduplicateReport, ReferenceReport, ScanReport
from tasks.deduplicate.known import known_duplicates, record_of
from tasks.deduplicate.views import ORIENTATIONS, OVERLAPS
from tasks.files import parquet_rows
from tasks.options import STAGE
from tasks.records import note


@task(
    name="deduplicate",
    task_run_name="deduplicate {scan.rows} rows",
    **STAGE,
)
def deduplicate(
    scan: ScanReport,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    workspace: UPath,
    searched: Callable[[], object] = lambda: None,
) -> DeduplicateReport:
    """Find the near-duplicates of a source and its copies of reference pictures, unless the workspace has them."""
    return find_duplicates(scan, references, settings, workspace, searched)


def count_searches(settings: Deduplication) -> int:
    """Return how many searches for near-duplicates there are, each of which takes about as long as another."""
    if settings.near is None:
        return 0
    turned = ORIENTATIONS - 1 if settings.near.any_orientation else 0
    return 1 + turned + (len(OVERLAPS) if settings.near.overlapping else 0)


def find_duplicates(
    scan: ScanReport,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    workspace: UPath,
    searched: Callable[[], object] = lambda: None,
) -> DeduplicateReport:
    """Return where the pairs of near-duplicates and the contaminated rows of ``scan`` stand, making them if need be.

    Of each search for near-duplicates that is done ``searched`` hears.

    Raises:
        TooManyPairs: if too many pictures look alike.
    """
    if known := known_duplicates(scan, references, settings, workspace):
        return known
    # Numba takes half a second to import.
    from tasks.deduplicate.kinships import bring_kinships_up_to_date
    from tasks.deduplicate.pairs import bring_pairs_up_to_date
    from tasks.deduplicate.pictures import distinct_pictures
    from tasks.deduplicate.references import find_contaminated

    pictures = distinct_pictures(scan)
    pairs, reused, contaminated = None, False, None
    if settings.near is not None:
        pairs, reused = bring_pairs_up_to_date(scan, pictures, settings.near, workspace, searched)
    if references:
        contaminated = find_contaminated(scan, pictures, references, settings, workspace)
    hashed_rows, distinct = pictures.rows, len(pictures.signature)
    del pictures  # hundreds of megabytes of ten million
    bring_kinships_up_to_date(scan, settings, pairs, workspace)
    report = DeduplicateReport(
        rows=scan.rows,
        hashed_rows=hashed_rows,
        pictures=distinct,
        pairs=parquet_rows(pairs),
        path=pairs,
        reused=reused,
        contaminated_rows=parquet_rows(contaminated),
        contaminated=contaminated,
        references=tuple(references),
    )
    note(record_of(scan, references, settings, workspace), report, without={"references"})
    return report
