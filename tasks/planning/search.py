"""Duplicates and contamination that no run has looked for: in a workspace that is thrown away."""

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from upath import UPath

from schemas.embedding import EmbedReport
from schemas.errors import CurationError
from schemas.recipe import Deduplication, NearDuplicates, SemanticDuplicates
from schemas.reports import DeduplicateReport, ReferenceReport, ScanReport
from tasks.deduplicate.pairs import bring_pairs_up_to_date
from tasks.deduplicate.pictures import Pictures, distinct_pictures
from tasks.deduplicate.references import find_contaminated
from tasks.deduplicate.semantic import bring_semantic_up_to_date, compared_vectors, semantic_path
from tasks.files import is_parquet, parquet_rows, read_parquet_metadata
from tasks.planning.pairs import Pairs

SEARCHED_ROWS = 2_000_000
"""Most rows that are searched for near-duplicates without being asked to: that takes some ten seconds."""

COMPARED_ROWS = 30_000
"""Most rows whose vectors are compared without being asked to: that takes some ten seconds."""

_SEARCH = "left out here, and searched for in the run; --search does it now"


def search_pairs(
    scan: ScanReport,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    folder: UPath,
    embedded: Sequence[EmbedReport],
    *,
    complete: bool,
    all_complete: bool,
    search: bool,
) -> tuple[DeduplicateReport, Pairs, Pairs, Pairs]:
    """Look for near-duplicates, for semantic ones, and for copies of references, if that takes seconds or ``search``
    asks for it.

    Args:
        scan, references: what was scanned, of the source and of reference sets.
        settings: what counts as a duplicate.
        folder: a workspace with the pairs that are known.
        embedded: the vectors of these rows.
        complete, all_complete: whether a run would scan nothing of the source, and nothing at all.
        search: look however long it takes.
    """
    pictures = distinct_pictures(scan)
    near, semantic, contaminated = Pairs("off"), Pairs("off"), Pairs("searched")
    if settings.near is not None:
        near = _find_near(scan, pictures, settings.near, folder, complete=complete, search=search)
    if settings.semantic is not None and (compared := compared_vectors(settings, embedded)):
        semantic = _find_semantic(scan, compared, settings.semantic, folder, complete=complete, search=search)
    if references:
        contaminated = _find_contaminated(
            scan, pictures, references, settings, folder, complete=all_complete, search=search
        )
    report = DeduplicateReport(
        rows=scan.rows,
        hashed_rows=pictures.rows,
        pictures=len(pictures.signature),
        pairs=parquet_rows(near.path),
        path=near.path,
        reused=near.state == "reused",
        semantic_pairs=parquet_rows(semantic.path),
        semantic=semantic.path,
        contaminated_rows=parquet_rows(contaminated.path),
        contaminated=contaminated.path,
        references=tuple(references),
    )
    return report, near, semantic, contaminated


def _find_near(
    scan: ScanReport, pictures: Pictures, near: NearDuplicates, folder: UPath, *, complete: bool, search: bool
) -> Pairs:
    nothing = _no_pictures()
    path, there = bring_pairs_up_to_date(scan, nothing, near, folder)
    if there:
        return Pairs("reused" if complete else "extended", path)
    others = [other for other in path.parent.glob("*.parquet") if other != path]
    new = scan.rows - max((_shared_rows(scan, other) for other in others), default=0)
    state: Literal["extended", "searched"] = "extended" if new < scan.rows else "searched"
    cost = new * (7 if near.any_orientation else 1) * (180 if near.overlapping else 1)  # see its fields
    if cost > SEARCHED_ROWS and not search:
        return Pairs(state, path, new, (f"near-duplicates of {new:,} rows are {_SEARCH}",))
    path.unlink()
    try:
        path, _ = bring_pairs_up_to_date(scan, pictures, near, folder)
    except CurationError as error:
        path, _ = bring_pairs_up_to_date(scan, nothing, near, folder)
        return Pairs(state, path, new, ("near-duplicates cannot be searched for",), (str(error),))
    return Pairs(state, path, new)


def _find_semantic(
    scan: ScanReport, report: EmbedReport, semantic: SemanticDuplicates, folder: UPath, *, complete: bool, search: bool
) -> Pairs:
    if is_parquet(path := semantic_path(scan, report, semantic, folder)):
        return Pairs("reused" if complete else "searched", path)
    if scan.rows > COMPARED_ROWS and not search:
        return Pairs("searched", left_out=(f"semantic duplicates of {scan.rows:,} rows are {_SEARCH}",))
    try:
        return Pairs("searched", bring_semantic_up_to_date(scan, report, semantic, folder))
    except CurationError as error:
        told = "semantic duplicates cannot be searched for"
        return Pairs("searched", left_out=(told,), problems=(str(error),))


def _find_contaminated(
    scan: ScanReport,
    pictures: Pictures,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    folder: UPath,
    *,
    complete: bool,
    search: bool,
) -> Pairs:
    known = set(folder.glob("contaminated/*"))
    rows = sum(reference.scan.rows for reference in references)
    searched = search or settings.near is None or rows <= SEARCHED_ROWS
    nothing = _no_pictures()
    try:
        path = find_contaminated(scan, pictures if searched else nothing, references, settings, folder)
    except CurationError as error:
        path = find_contaminated(scan, nothing, references, settings, folder)
        return Pairs("searched", path, rows, ("near copies of references cannot be searched for",), (str(error),))
    if path in known:
        return Pairs("reused" if complete else "searched", path)
    left_out = () if searched else (f"near copies of {rows:,} pictures of references are {_SEARCH}",)
    return Pairs("searched", path, rows, left_out)


def _no_pictures() -> Pictures:
    """Return the pictures of rows without any: a search among them finds nothing, at once."""
    none = np.empty(0, np.uint64)
    return Pictures(none, none, np.empty(0, np.int64), 0)


def _shared_rows(scan: ScanReport, pairs: UPath) -> int:
    """Return how many rows of ``scan`` were searched for ``pairs``."""
    try:
        names = set(json.loads(read_parquet_metadata(pairs).metadata[b"shards"]))
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):  # damaged: the search does without it
        return 0
    return sum(shard.rows for shard in scan.shards if shard.signals.name in names)
