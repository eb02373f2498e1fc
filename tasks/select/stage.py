"""Select as Prefect sees it: the verdicts file of one subset."""

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import task

from schemas.reasons import REASONS, Reason, Stage, mask_of
from schemas.recipe import Recipe, Subset, fingerprint
from schemas.reports import DeduplicateReport, Funnel, FunnelStep, ReasonCount, ScanReport, SelectReport
from schemas.tables import CONTAMINATED, VERDICTS
from tasks.files import appearing, read_parquet
from tasks.options import STAGE
from tasks.select.rules import (
    RULE_COLUMNS,
    apply_thresholds,
    least_score,
    require_columns,
    require_duplicate_columns,
    validate,
)
from tasks.select.splits import draw_splits, identify_rows
from tasks.signals import load_signals

if TYPE_CHECKING:
    from tasks.select.duplicates import Duplicates


@task(
    name="select",
    task_run_name="select {subset.name}",
    **STAGE,
)
def select(recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport) -> SelectReport:
    """Give every row of the source its verdict for ``subset``."""
    return give_verdicts(recipe, subset, scan, duplicates)


def give_verdicts(recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport) -> SelectReport:
    """Write the verdicts (:data:`schemas.tables.VERDICTS`) of ``subset`` to the workspace, and count them.

    Raises:
        ColumnAbsent: if a threshold, or what counts as a duplicate, needs a column that the source does not have.
        NoScores: if the quality threshold is a quantile and no valid row has a score.
    """
    from tasks.select.duplicates import find_keepers  # Numba takes half a second to import

    mask, flags, min_score = _hold_against_rules(recipe, subset, scan)
    contamination = _Contamination.of(scan, duplicates)
    mask |= contamination.hit * np.uint64(Reason.CONTAMINATED.bit)
    found = find_keepers(scan, recipe.deduplication, duplicates, mask == 0)
    mask |= found.reasons
    if not np.array_equal(mask == 0, found.kept):
        raise AssertionError("a row is kept and has a reason, or is neither kept nor has a reason")

    key = fingerprint({"recipe": recipe.essence(subset), "shards": _contents(scan, duplicates)})
    path = recipe.workspace / "verdicts" / f"{subset.name}-{key[:16]}.parquet"
    names = tuple(subset.splits.fractions)
    images = load_signals(scan, ["sha256", "img_name_xxh3", "byte_length"])
    identity = identify_rows(images["sha256"], images["img_name_xxh3"])
    split = draw_splits(identity, tuple(subset.splits.fractions.values()), subset.splits.seed)
    with appearing(path) as temporary:
        table = _verdicts(mask, flags, found, contamination, split, names)
        pq.write_table(table, temporary, compression="zstd")
    kept = found.kept
    return SelectReport(
        subset=subset.name,
        rows=len(mask),
        kept=int(kept.sum()),
        rejected=int((~kept).sum()),
        kept_image_bytes=int(images["byte_length"].to_numpy()[kept].sum()),
        min_score=min_score,
        funnel=_funnel(mask),
        reasons=_count(mask),
        flags=_count(flags[kept]),
        splits=dict(zip(names, np.bincount(split[kept], minlength=len(names)).tolist(), strict=True)),
        verdicts=path,
    )


def _hold_against_rules(
    recipe: Recipe, subset: Subset, scan: ScanReport
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], float | None]:
    """Return the masks of reasons and of flags, and the quality threshold as a number."""
    signals = load_signals(scan, RULE_COLUMNS)
    require_columns(signals, subset, scan.absent)
    require_duplicate_columns(recipe.deduplication, scan.absent)
    valid = validate(signals, recipe.validation)
    min_score = least_score(signals, valid.reject == 0, subset)
    missed = apply_thresholds(signals, subset, min_score)
    return valid.reject | missed.reject, valid.flag | missed.flag, min_score


def _contents(scan: ScanReport, duplicates: DeduplicateReport) -> list[str]:
    scans = (scan, *(reference.scan for reference in duplicates.references))
    return [shard.content_xxh3 for scanned in scans for shard in scanned.shards]


class _Contamination(NamedTuple):
    """The copies of reference pictures; ``row_id`` ascending."""

    hit: NDArray[np.bool_]  # shape (rows,)
    rows: pa.Table  # :data:`schemas.tables.CONTAMINATED`

    @classmethod
    def of(cls, scan: ScanReport, duplicates: DeduplicateReport) -> Self:
        path = duplicates.contaminated
        rows = CONTAMINATED.empty_table() if path is None else read_parquet(path)
        hit = np.zeros(scan.rows, np.bool_)
        hit[rows["row_id"].to_numpy()] = True
        return cls(hit, rows)

    def column(self, name: str) -> pa.Array:
        """Return a column of the table for all rows of the source, null for those that are no copies."""
        position = pa.array(np.cumsum(self.hit) - 1, mask=~self.hit)
        return self.rows[name].combine_chunks().take(position)


def _verdicts(
    mask: NDArray[np.uint64],
    flags: NDArray[np.uint64],
    found: "Duplicates",
    contamination: _Contamination,
    split: NDArray[np.int8],
    names: tuple[str, ...],
) -> pa.Table:
    drawn = pa.DictionaryArray.from_arrays(pa.array(split, mask=~found.kept), pa.array(names))
    columns = [
        pa.array(np.arange(len(mask))),
        pa.array(found.kept),
        pa.array(mask),
        pa.array(flags),
        pa.array(found.keeper, mask=found.keeper < 0),
        pa.array(found.distance, mask=found.distance < 0),
        pa.array(found.similarity, mask=np.isnan(found.similarity)),
        contamination.column("reference"),
        contamination.column("distance"),
        drawn,
    ]
    return pa.table(columns, schema=VERDICTS)


def _funnel(mask: NDArray[np.uint64]) -> Funnel:
    left = np.ones(len(mask), np.bool_)
    steps = []
    for stage in Stage:
        hit = left & ((mask & np.uint64(mask_of(stage=stage))) != 0)
        left &= ~hit
        steps.append(FunnelStep(stage=stage, rejected=int(hit.sum()), left=int(left.sum())))
    return Funnel(source_rows=len(mask), steps=tuple(steps))


def _count(mask: NDArray[np.uint64]) -> tuple[ReasonCount, ...]:
    lowest = mask & (~mask + np.uint64(1))  # the primary reason: the first in stage order
    counts = []
    for reason in REASONS:
        bit = np.uint64(reason.bit)
        rows = int(((mask & bit) != 0).sum())
        if rows:
            counts.append(ReasonCount(reason=reason, primary=int((lowest == bit).sum()), rows=rows))
    return tuple(counts)
