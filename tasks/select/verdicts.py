"""One subset's verdict on every row of the source, in a file."""

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.reasons import REASONS, Reason, Stage, mask_of
from schemas.recipe import Recipe, fingerprint
from schemas.reports import DeduplicateReport, Funnel, FunnelStep, ReasonCount, ScanReport, SelectReport, Threshold
from schemas.subset import Subset
from schemas.tables import CONTAMINATED, VERDICTS
from tasks.files import appearing, read_parquet
from tasks.select.area import inside, read_area
from tasks.select.assign import Assigned, assign_splits, unite_copies
from tasks.select.draw import identify_rows
from tasks.select.lists import listed_rows
from tasks.select.masks import bit, levels, number
from tasks.select.rules import RULE_COLUMNS, validate
from tasks.select.sampling import draw_sample, take_top, top_limits
from tasks.select.splits import Tiles
from tasks.select.thresholds import (
    apply_thresholds,
    columns_for,
    require_columns,
    require_duplicate_columns,
    resolve_thresholds,
)
from tasks.signals import load_signals

if TYPE_CHECKING:
    from tasks.select.duplicates import Duplicates, Kinships


def give_verdicts(recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport) -> SelectReport:
    """Write the verdicts (:data:`schemas.tables.VERDICTS`) of ``subset`` to the workspace, and count them.

    Raises:
        ColumnAbsent: if a threshold, or what counts as a duplicate, needs a column that the source does not have.
        NoValues: if a threshold is a quantile and no valid row has a value.
        AreaInvalid, ListInvalid: if a file that the subset names is not what it should be.
    """
    from tasks.select.duplicates import find_keepers, find_kinships  # Numba takes half a second to import

    mask, flags, thresholds = _hold_against_rules(recipe, subset, scan)
    rows = _Rows.of(scan)
    splits = assign_splits(subset.splits, rows.identity, rows.tiles, mask == 0)
    mask |= splits.reasons
    contamination = _Contamination.of(scan, duplicates)
    mask |= bit(Reason.CONTAMINATED, contamination.hit)
    kinships = find_kinships(scan, recipe.deduplication, duplicates)
    elected = find_keepers(kinships, mask == 0)
    split, dropped, top = _divide_and_draw(subset, scan, kinships, rows, splits, elected.kept)
    thresholds += top
    found = elected
    if dropped.any():  # what is a copy of a row that was dropped shares its fate, unless it is one of another, too
        found = find_keepers(kinships, elected.kept & (dropped == 0))
        orphans = (mask == 0) & ~found.kept & (found.reasons == 0)
        fate = dropped[np.where(elected.kept, np.arange(len(mask)), elected.keeper)]
        # Of a group of which several are kept it need not be the best that was dropped.
        fate = np.where(fate != 0, fate, np.uint64(Reason.NOT_DRAWN.bit))
        mask |= np.where(orphans, fate, np.uint64(0))
    mask |= found.reasons
    if not np.array_equal(mask == 0, found.kept):
        raise AssertionError("a row is kept and has a reason, or is neither kept nor has a reason")

    key = fingerprint({"recipe": recipe.essence(subset), "shards": _contents(scan, duplicates)})
    path = recipe.workspace / "verdicts" / f"{subset.name}-{key[:16]}.parquet"
    names = tuple(subset.splits.fractions)
    with appearing(path) as temporary:
        table = _verdicts(mask, flags, found, contamination, split, names)
        pq.write_table(table, temporary, compression="zstd")
    kept = found.kept
    return SelectReport(
        subset=subset.name,
        rows=len(mask),
        kept=int(kept.sum()),
        rejected=int((~kept).sum()),
        kept_image_bytes=int(rows.byte_length[kept].sum()),
        thresholds=thresholds,
        funnel=_funnel(mask),
        reasons=_count(mask),
        flags=_count(flags[kept]),
        splits=dict(zip(names, np.bincount(split[kept], minlength=len(names)).tolist(), strict=True)),
        verdicts=path,
    )


class _Rows(NamedTuple):
    """What rows are drawn by; arrays of shape (rows,)."""

    identity: NDArray[np.uint64]
    tiles: Tiles
    levels: NDArray[np.int64]  # zoom levels, known of some rows that have no tile; -1 where it is not
    byte_length: NDArray[np.int64]

    @classmethod
    def of(cls, scan: ScanReport) -> Self:
        signals = load_signals(scan, ["sha256", "img_name_xxh3", "byte_length", "z", "x", "y"])
        identity = identify_rows(signals["sha256"], signals["img_name_xxh3"])
        return cls(identity, Tiles.of(signals), levels(signals), signals["byte_length"].to_numpy())


def _divide_and_draw(
    subset: Subset,
    scan: ScanReport,
    kinships: "Kinships",
    rows: _Rows,
    splits: Assigned,
    kept: NDArray[np.bool_],
) -> tuple[NDArray[np.int8], NDArray[np.uint64], tuple[Threshold, ...]]:
    """Return the split of each row, the reason of each that was elected and is dropped, and the top as a threshold."""
    dropped = np.zeros(scan.rows, np.uint64)
    split = splits.split
    if len(subset.splits.fractions) > 1:
        from tasks.select.copies import find_copies

        split, astray = unite_copies(subset.splits, find_copies(scan, kinships), rows.identity, splits, kept)
        dropped |= bit(Reason.SPLIT_STRADDLED, astray)
    left = np.flatnonzero(kept & (dropped == 0))
    limits: tuple[Threshold, ...] = ()
    if subset.top is not None:
        values = number(load_signals(scan, [subset.top.signal]), subset.top.signal)
        taken = take_top(values[left], rows.levels[left], rows.identity[left], subset.top)
        dropped[left[~taken]] |= np.uint64(Reason.TOP_MISSED.bit)
        limits = top_limits(values[left[taken]], rows.levels[left[taken]], subset.top)
        left = left[taken]
    drawn = draw_sample(
        rows.identity[left], rows.tiles.take(left), rows.levels[left], rows.byte_length[left], subset.sampling
    )
    missed = bit(Reason.NOT_DRAWN, ~drawn.drawn & ~drawn.over_size)
    dropped[left] |= missed | bit(Reason.OVER_SIZE, drawn.over_size)
    return split, dropped, limits


def _hold_against_rules(
    recipe: Recipe, subset: Subset, scan: ScanReport
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], tuple[Threshold, ...]]:
    """Return the masks of reasons and of flags, and the thresholds as numbers."""
    signals = load_signals(scan, sorted({*RULE_COLUMNS, *columns_for(subset)}))
    require_columns(signals, subset, scan.absent)
    require_duplicate_columns(recipe.deduplication, scan.absent)
    valid = validate(signals, recipe.validation)
    thresholds = resolve_thresholds(signals, valid.reject == 0, subset)
    missed = apply_thresholds(signals, subset, thresholds)
    mask = valid.reject | missed.reject
    if subset.area is not None:
        area = read_area(subset.area.path)
        mask |= bit(Reason.AREA_OUTSIDE, ~inside(area, number(signals, "longitude"), number(signals, "latitude")))
    if subset.include is not None:
        mask |= bit(Reason.NOT_INCLUDED, ~listed_rows(scan, subset.include))
    if subset.exclude is not None:
        mask |= bit(Reason.EXCLUDED, listed_rows(scan, subset.exclude, all_there=False))
    return mask, valid.flag | missed.flag, thresholds


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
