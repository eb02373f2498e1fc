"""The pairs of semantic duplicates of a source that the workspace knows of, by the vectors of one scorer."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.embedding import EmbedReport
from schemas.recipe import Deduplication, SemanticDuplicates, fingerprint
from schemas.reports import ScanReport
from schemas.tables import SEMANTIC_PAIRS, SEMANTIC_VERSION
from tasks.embed.vectors import Halves, NotEmbedded, vectors_in_pieces
from tasks.files import appearing, is_parquet, read_parquet_metadata
from tasks.spill import room

_CLUSTERED_BY = b"faiss"
"""Key of a file's metadata: the version of FAISS."""

PICTURES_OF_CLUSTER = 1_000
"""Pictures of a cluster, on average, where the recipe does not say how many clusters there are."""


def compared_vectors(settings: Deduplication, embedded: Sequence[EmbedReport]) -> EmbedReport | None:
    """Return the vectors by which semantic duplicates are told; None where these do not count.

    Raises:
        NotEmbedded: if ``embedded`` does not hold them.
    """
    semantic = settings.semantic
    if semantic is None:
        return None
    found = [report for report in embedded if semantic.scorer in (None, report.scorer)]
    if not found:
        raise NotEmbedded(
            f"deduplication.semantic: found no vectors by {semantic.scorer or 'a scorer'}; run git10m embed before"
        )
    return found[0]


def vectors_key(report: EmbedReport) -> list[str]:
    """Return what stands for the vectors of ``report``, whatever its prompts are."""
    return [shard.digest for shard in report.shards]


def semantic_path(scan: ScanReport, report: EmbedReport, semantic: SemanticDuplicates, workspace: UPath) -> UPath:
    """Return where the semantic duplicates are kept: a name for signals, vectors and settings."""
    signals = [[shard.signals.parent.name, shard.signals.name] for shard in scan.shards]
    asked = semantic.model_dump(mode="json", exclude={"scorer"})
    key = fingerprint([signals, vectors_key(report), asked, SEMANTIC_VERSION])
    return workspace / "semantic" / f"{key[:32]}.parquet"


def bring_semantic_up_to_date(
    scan: ScanReport, report: EmbedReport, semantic: SemanticDuplicates, workspace: UPath
) -> UPath:
    """Return the file of the semantic duplicates (:data:`schemas.tables.SEMANTIC_PAIRS`) among the rows of ``scan``.

    All are searched for again when a shard joins or goes, as that moves the clusters. The vectors are copied to a
    temporary file if they are many, 2 bytes a number.

    Raises:
        ClusteringUnavailable, TooManyPairs: as :func:`tasks.deduplicate.cosine.cosine_pairs`.
        OSError: if the folder for temporary files has no room for the vectors.
    """
    path = semantic_path(scan, report, semantic, workspace)
    if not is_parquet(path):
        with appearing(path) as temporary:
            pq.write_table(_pairs(scan, report, semantic), temporary, compression="zstd")
    return path


def _pairs(scan: ScanReport, report: EmbedReport, semantic: SemanticDuplicates) -> pa.Table:
    # Numba, and what finds rows of equal bytes, take half a second to import.
    from tasks.deduplicate.cosine import cosine_pairs
    from tasks.deduplicate.digests import equal_digests

    digests = equal_digests(scan)
    group = np.full(scan.rows, -1, np.int32)
    group[digests.rows] = digests.code
    rows, vectors = _distinct(report, group)
    del group
    clusters = semantic.clusters or -(-len(rows) // PICTURES_OF_CLUSTER)
    found = cosine_pairs(vectors, clusters, semantic.probes, semantic.min_cosine)
    schema = SEMANTIC_PAIRS.with_metadata({_CLUSTERED_BY: version("faiss-cpu")} if min(clusters, len(rows)) > 1 else {})
    return pa.table([rows[found.a], rows[found.b], found.cosine], schema=schema)


def clustered_by(path: UPath | None) -> dict[str, str]:
    """Return the version of what clustered the pictures of a file of semantic duplicates; another may cluster others.

    Empty where nothing had to be clustered, or there is no such file.
    """
    found = None if path is None else (read_parquet_metadata(path).metadata or {}).get(_CLUSTERED_BY)
    return {} if found is None else {"faiss": found.decode()}


def _distinct(report: EmbedReport, group: NDArray[np.int32]) -> tuple[NDArray[np.int64], Halves]:
    """Return the rows whose picture is compared, shape (n,), ascending, and its vectors: of each group the first.

    ``group``, of shape (rows,), is -1 for a row whose image file no other has.
    """
    vectors = room((sum(shard.pictures for shard in report.shards), report.dimensions), np.float16)
    rows = np.empty(len(vectors), np.int64)
    seen = np.zeros(int(group.max(initial=-1)) + 2, np.bool_)  # the last place is that of a row without group
    count = 0
    for place, found, present in vectors_in_pieces(report, "image"):
        groups, present = group[place], present & found.any(axis=1)  # a vector of length 0 has no direction
        first = np.zeros(len(groups), np.bool_)
        first[np.unique(np.where(present, groups, -1), return_index=True)[1]] = True
        wanted = np.flatnonzero(present & ((groups < 0) | first) & ~seen[groups])
        seen[groups[present & (groups >= 0)]] = True
        here = slice(count, count + len(wanted))
        rows[here], vectors[here] = place.start + wanted, found[wanted]
        count = here.stop
    return rows[:count], vectors[:count]
