"""What the workspace knows of a source, without a look into its shards."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.plan import SourcePlan
from schemas.recipe import Recipe
from schemas.reports import QuarantinedShard, ScanReport, ShardReport
from tasks.files import is_local
from tasks.scan.identity import shard_status
from tasks.scan.reuse import recall
from tasks.source.listing import shards_of
from tasks.source.shards import Shard, ShardUnreadable, shard_size

_REQUESTS = 16  # at once, to a workspace on an object store


class Known(NamedTuple):
    """A source as far as it was scanned."""

    key: str  # in the recipe
    shards: tuple[Shard, ...]  # all
    new: tuple[Shard, ...]  # those that a run would scan
    scan: ScanReport  # of all others, in source order

    @property
    def complete(self) -> bool:
        """Whether a run would scan nothing."""
        return not self.new


def look_up(recipe: Recipe, key: str = "source") -> Known:
    """Return what the workspace knows of ``recipe``'s source, which ``key`` names in messages.

    Raises:
        SourceError: as :func:`tasks.source.listing.list_shards`.
    """
    shards = shards_of(recipe)
    reports = _recall_all(recipe, shards)
    outcomes: list[ShardReport | QuarantinedShard] = []
    new = []
    for shard, report in zip(shards, reports, strict=True):
        if report is not None:
            outcomes.append(report)
            continue
        try:
            shard_status(shard)
            new.append(shard)
        except ShardUnreadable as error:
            outcomes.append(QuarantinedShard(shard=shard.name, error=str(error)))
    return Known(key, shards, tuple(new), ScanReport.of(outcomes))


def _recall_all(recipe: Recipe, shards: Sequence[Shard]) -> list[ShardReport | None]:
    columns = recipe.source.columns.model_dump()

    def recalled(shard: Shard) -> ShardReport | None:
        try:
            return recall(shard, recipe.scan, columns, recipe.workspace)
        except NotADirectoryError:  # told as a problem of the workspace
            return None

    if is_local(recipe.workspace):
        return [recalled(shard) for shard in shards]
    with ThreadPoolExecutor(_REQUESTS) as threads:
        return list(threads.map(recalled, shards))


def describe_source(recipe: Recipe, known: Known) -> SourcePlan:
    """Return ``known`` in numbers."""
    source, scan = recipe.source, known.scan
    waiting = [shard for shard in known.new if recipe.scan.images and not lies_here(shard)]
    return SourcePlan(
        key=known.key,
        name=source.name,
        path=source.path,
        revision=source.revision,
        shards=len(known.shards),
        known_shards=len(scan.shards),
        known_rows=scan.rows,
        known_bytes=sum(shard.byte_length for shard in scan.shards),
        new_shards=len(known.new),
        new_bytes=sum(map(shard_size, known.new)),
        fetched_bytes=sum(map(shard_size, waiting)),
        missing_shards=len(known.shards) - len(known.new) - len(scan.shards),
        bad_shards=scan.quarantined,
    )


def rows_here(shards: Sequence[Shard], scan: ScanReport) -> NDArray[np.bool_]:
    """Return which rows of ``scan`` lie in a shard that is on this machine: shape (rows,); ``shards`` in its order."""
    here = np.array([lies_here(shard) for shard in shards], np.bool_)
    return np.repeat(here, [report.rows for report in scan.shards])


def lies_here(shard: Shard) -> bool:
    """Return whether the bytes of ``shard`` are on this machine: it is local, or was fetched and not dropped yet."""
    if shard.remote is None:
        return True
    return shard.path.is_file() and shard.path.stat().st_size == shard.remote.byte_length
