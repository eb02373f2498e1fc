"""What the workspace knows of a source's duplicates: the report on the same rows, by the same settings."""

from collections.abc import Sequence

from upath import UPath

from schemas.embedding import EmbedReport
from schemas.recipe import Deduplication
from schemas.reports import DeduplicateReport, ReferenceReport, ScanReport
from schemas.tables import KINSHIPS_VERSION, PAIRS_VERSION, SEMANTIC_VERSION
from tasks.deduplicate.semantic import compared_vectors, vectors_key
from tasks.files import is_parquet
from tasks.records import recall, record_key


def known_duplicates(
    scan: ScanReport,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    workspace: UPath,
    embedded: Sequence[EmbedReport] = (),
) -> DeduplicateReport | None:
    """Return the report of an earlier run, its files where ``workspace`` is now; None if there is none.

    Raises:
        NotEmbedded: as :func:`tasks.deduplicate.semantic.compared_vectors`.
    """
    known = recall(record_of(scan, references, settings, workspace, embedded), DeduplicateReport)
    if known is None:
        return None
    files = {
        "path": known.path and workspace / "pairs" / known.path.parent.name / known.path.name,
        "semantic": known.semantic and workspace / "semantic" / known.semantic.name,
        "contaminated": known.contaminated and workspace / "contaminated" / known.contaminated.name,
    }
    if not all(path is None or is_parquet(path) for path in files.values()):
        return None
    return known.model_copy(update={**files, "references": tuple(references), "reused": True})


def record_of(
    scan: ScanReport,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    workspace: UPath,
    embedded: Sequence[EmbedReport] = (),
) -> UPath:
    """Return where the report is kept: a name for all it depends on, signals, vectors, settings, and what counts as
    the same.

    Raises:
        NotEmbedded: as :func:`tasks.deduplicate.semantic.compared_vectors`.
    """
    scans = {"source": scan, **{reference.name: reference.scan for reference in references}}
    signals = {
        name: [[shard.shard, shard.rows, shard.signals.parent.name, shard.signals.name] for shard in scanned.shards]
        for name, scanned in scans.items()
    }
    asked = settings.model_dump(mode="json", exclude={"references"})
    compared = compared_vectors(settings, embedded)
    vectors = compared and vectors_key(compared)
    key = record_key(signals, vectors, asked, PAIRS_VERSION, SEMANTIC_VERSION, KINSHIPS_VERSION)
    return workspace / "duplicates" / f"{key}.json"
