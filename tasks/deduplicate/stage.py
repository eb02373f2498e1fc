"""Deduplicate as Prefect sees it: what of a source is the same picture, found once and reused by every subset."""

from collections.abc import Callable, Sequence

from prefect import task
from upath import UPath

from schemas.embedding import EmbedReport
from schemas.recipe import Deduplication
from schemas.reports import DeduplicateReport, ReferenceReport, ScanReport
from tasks.deduplicate.known import known_duplicates, record_of
from tasks.deduplicate.semantic import bring_semantic_up_to_date, compared_vectors
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
    embedded: Sequence[EmbedReport] = (),
) -> DeduplicateReport:
    """Find the near-duplicates of a source and its copies of reference pictures, unless the workspace has them."""
    return find_duplicates(scan, references, settings, workspace, searched, embedded)


def count_searches(settings: Deduplication) -> int:
    """Return how many searches there are: for near-duplicates, each takes about as long as another."""
    semantic = 0 if settings.semantic is None else 1
    if settings.near is None:
        return semantic
    turned = ORIENTATIONS - 1 if settings.near.any_orientation else 0
    return 1 + turned + (len(OVERLAPS) if settings.near.overlapping else 0) + semantic


def find_duplicates(
    scan: ScanReport,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    workspace: UPath,
    searched: Callable[[], object] = lambda: None,
    embedded: Sequence[EmbedReport] = (),
) -> DeduplicateReport:
    """Return where the pairs of duplicates and the contaminated rows of ``scan`` stand, making them if need be.

    Of each search for duplicates that is done ``searched`` hears. ``embedded`` are the vectors of all scorers: of use
    where semantic duplicates count.

    Raises:
        TooManyPairs: if too many pictures look alike.
        NotEmbedded, ClusteringUnavailable: if semantic duplicates cannot be told.
    """
    if known := known_duplicates(scan, references, settings, workspace, embedded):
        return known
    # Numba takes half a second to import.
    from tasks.deduplicate.kinships import bring_kinships_up_to_date
    from tasks.deduplicate.pairs import bring_pairs_up_to_date
    from tasks.deduplicate.pictures import distinct_pictures
    from tasks.deduplicate.references import find_contaminated

    pictures = distinct_pictures(scan)
    pairs, reused, semantic, contaminated = None, False, None, None
    if settings.near is not None:
        pairs, reused = bring_pairs_up_to_date(scan, pictures, settings.near, workspace, searched)
    if references:
        contaminated = find_contaminated(scan, pictures, references, settings, workspace)
    hashed_rows, distinct = pictures.rows, len(pictures.signature)
    del pictures  # hundreds of megabytes of ten million
    if settings.semantic is not None and (compared := compared_vectors(settings, embedded)):
        semantic = bring_semantic_up_to_date(scan, compared, settings.semantic, workspace)
        searched()
    bring_kinships_up_to_date(scan, settings, pairs, semantic, workspace)
    report = DeduplicateReport(
        rows=scan.rows,
        hashed_rows=hashed_rows,
        pictures=distinct,
        pairs=parquet_rows(pairs),
        path=pairs,
        reused=reused,
        semantic_pairs=parquet_rows(semantic),
        semantic=semantic,
        contaminated_rows=parquet_rows(contaminated),
        contaminated=contaminated,
        references=tuple(references),
    )
    note(record_of(scan, references, settings, workspace, embedded), report, without={"references"})
    return report
