"""One subset's verdict on every row of the source, in a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, Funnel, FunnelStep, ReasonCount, ScanReport, SelectReport
from schemas.subset import Subset
from schemas.tables import CONTAMINATED, KINSHIPS_VERSION, PAIRS_VERSION, SCAN_VERSION, VERDICTS, VERDICTS_VERSION
from tasks.files import appearing, read_parquet
from tasks.records import record_key
from tasks.select.criteria import hold_against_rules, require_all_columns
from tasks.select.masks import Mask
from tasks.select.parting import FATES, drop_rows, identities, part_rows
from tasks.signals import in_pieces
from tasks.spill import room

if TYPE_CHECKING:
    from tasks.deduplicate.kinships import Kinships
    from tasks.select.duplicates import Duplicates

_GROUP = 2**20  # rows of a row group


def give_verdicts(recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport) -> SelectReport:
    """Write the verdicts (:data:`schemas.tables.VERDICTS`) of ``subset`` to the workspace, and count them.

    Raises:
        ColumnAbsent: if a threshold, or what counts as a duplicate, needs a column that the source does not have.
        NoValues: if a threshold is a quantile and no valid row has a value.
        AreaInvalid, ListInvalid: if a file that the subset names is not what it should be.
    """
    # Numba takes half a second to import.
    from tasks.deduplicate.kinships import bring_kinships_up_to_date, read_kinships
    from tasks.select.duplicates import find_keepers

    require_all_columns(recipe, subset, scan)
    settings = recipe.deduplication
    kinships = read_kinships(bring_kinships_up_to_date(scan, settings, duplicates.path, recipe.workspace))
    row_id, near = kinships.row_id, duplicates.path is not None
    mask, flags, thresholds = hold_against_rules(recipe, subset, scan, np.sort(row_id[kinships.repeated]))
    identity = identities(subset, scan)
    parted = part_rows(subset, scan, identity, mask)
    copied = duplicates.contaminated
    contaminated = CONTAMINATED.empty_table() if copied is None else read_parquet(copied)
    mask[contaminated["row_id"].to_numpy()] |= np.uint64(Reason.CONTAMINATED.bit)

    kept = room(scan.rows, np.bool_)
    np.equal(mask, 0, out=kept)
    elected = find_keepers(kinships, settings, near, kept[row_id])
    kept[row_id] = elected.kept
    fate, top = drop_rows(subset, scan, kinships, identity, parted, kept)
    found, own = elected, mask[row_id]
    if fate.any():  # what is a copy of a row that was dropped shares its fate, unless it is one of another, too
        found = find_keepers(kinships, settings, near, elected.kept & (fate[row_id] == 0))
        _share_fates(mask, fate)
        orphans = (own == 0) & ~found.kept & (found.reasons == 0)
        theirs = FATES[fate[row_id[np.where(elected.kept, np.arange(len(row_id)), elected.keeper)]]]
        # Of a group of which several are kept it need not be the best that was dropped.
        own |= orphans * np.where(theirs != 0, theirs, np.uint64(Reason.NOT_DRAWN.bit))
    mask[row_id] = own | found.reasons
    if not np.array_equal(mask[row_id] == 0, found.kept):
        raise AssertionError("a row is kept and has a reason, or is neither kept nor has a reason")

    path = verdicts_path(recipe, subset, scan, duplicates)
    names = tuple(subset.splits.fractions)
    copies = _Copies.of(kinships, found)
    with appearing(path) as temporary, _writer(temporary) as writer:
        for table in _verdicts(mask, flags, copies, contaminated, parted.split, names):
            writer.write_table(table)
    counts = _Counts.of(mask, flags, parted.split, len(names))
    return SelectReport(
        subset=subset.name,
        rows=len(mask),
        kept=int(counts.splits.sum()),
        rejected=len(mask) - int(counts.splits.sum()),
        kept_image_bytes=_bytes_of(scan, mask),
        thresholds=thresholds + top,
        funnel=_funnel(len(mask), counts.primary),
        reasons=_told(counts.primary, counts.rows),
        flags=_told(counts.primary_flags, counts.flagged),
        splits=dict(zip(names, counts.splits.tolist(), strict=True)),
        verdicts=path,
    )


def verdicts_path(recipe: Recipe, subset: Subset, scan: ScanReport, duplicates: DeduplicateReport) -> UPath:
    """Return where the verdicts of ``subset`` lie: its name, and a key that stands for all that they depend on."""
    scans = (scan, *(reference.scan for reference in duplicates.references))
    contents = [[shard.shard, shard.content_xxh3] for scanned in scans for shard in scanned.shards]
    key = record_key(recipe.essence(subset), contents, SCAN_VERSION, PAIRS_VERSION, KINSHIPS_VERSION, VERDICTS_VERSION)
    return recipe.workspace / "verdicts" / f"{subset.name}-{key}.parquet"


def _writer(path: Path) -> pq.ParquetWriter:
    # A dictionary of numbers that are all different takes longer to make than all else.
    dictionaries = ["reasons", "flags", "duplicate_distance", "reference", "reference_distance", "split"]
    return pq.ParquetWriter(
        path, VERDICTS, compression="zstd", use_dictionary=dictionaries,
        column_encoding={"row_id": "DELTA_BINARY_PACKED"},
    )  # fmt: skip


def _groups(rows: int) -> Iterator[slice]:
    """Yield the rows of each row group."""
    for begin in range(0, rows, _GROUP):
        yield slice(begin, min(begin + _GROUP, rows))


def _share_fates(mask: Mask, fate: NDArray[np.uint8]) -> None:
    for here in _groups(len(mask)):
        mask[here] |= FATES[fate[here]]


class _Copies(NamedTuple):
    """Rows that are duplicates of a kept one; each of shape (n,)."""

    row_id: NDArray[np.int64]  # ascending
    keeper: NDArray[np.int64]  # its row_id
    distance: NDArray[np.int8]
    similarity: NDArray[np.float32]

    @classmethod
    def of(cls, kinships: "Kinships", found: "Duplicates") -> Self:
        copies = np.flatnonzero(found.keeper >= 0)
        copies = copies[np.argsort(kinships.row_id[copies])]
        keeper = kinships.row_id[found.keeper[copies]]
        return cls(kinships.row_id[copies], keeper, found.distance[copies], found.similarity[copies])


def _verdicts(
    mask: Mask,
    flags: Mask,
    copies: _Copies,
    contaminated: pa.Table,
    split: NDArray[np.int8],
    names: tuple[str, ...],
) -> Iterator[pa.Table]:
    """Yield :data:`schemas.tables.VERDICTS`, a row group at a time."""
    references = contaminated["row_id"].to_numpy()
    for here in _groups(len(mask)):
        rows = here.stop - here.start
        some = slice(*np.searchsorted(copies.row_id, [here.start, here.stop]))
        at = copies.row_id[some] - here.start
        keeper, distance = np.full(rows, -1, np.int64), np.full(rows, -1, np.int8)
        similarity = np.full(rows, np.nan, np.float32)
        keeper[at], distance[at], similarity[at] = (part[some] for part in copies[1:])
        first, last = np.searchsorted(references, [here.start, here.stop]).tolist()
        position = np.full(rows, -1, np.int64)
        position[references[first:last] - here.start] = np.arange(first, last)
        reference = contaminated.take(pa.array(position, mask=position < 0)).combine_chunks()
        kept = mask[here] == 0
        columns = [
            pa.array(np.arange(here.start, here.stop)),
            pa.array(kept),
            pa.array(mask[here]),
            pa.array(flags[here]),
            pa.array(keeper, mask=keeper < 0),
            pa.array(distance, mask=distance < 0),
            pa.array(similarity, mask=np.isnan(similarity)),
            reference["reference"],
            reference["distance"],
            pa.DictionaryArray.from_arrays(pa.array(split[here], mask=~kept), pa.array(names)),
        ]
        yield pa.table(columns, schema=VERDICTS)


class _Counts(NamedTuple):
    """How many rows carry what; by position in :data:`schemas.reasons.REASONS`, or by split."""

    primary: NDArray[np.int64]  # the first in stage order
    rows: NDArray[np.int64]
    primary_flags: NDArray[np.int64]
    flagged: NDArray[np.int64]  # kept rows
    splits: NDArray[np.int64]  # kept rows

    @classmethod
    def of(cls, mask: Mask, flags: Mask, split: NDArray[np.int8], splits: int) -> Self:
        primary, rows, primary_flags, flagged = np.zeros((4, len(REASONS)), np.int64)
        counts = cls(primary, rows, primary_flags, flagged, np.zeros(splits, np.int64))
        for here in _groups(len(mask)):
            kept = mask[here] == 0
            counts.splits[:] += np.bincount(split[here][kept], minlength=splits)
            for masks, primary, rows in (
                (mask[here][~kept], counts.primary, counts.rows),
                (flags[here][kept], counts.primary_flags, counts.flagged),
            ):
                lowest = masks & (~masks + np.uint64(1))
                there = int(np.bitwise_or.reduce(masks, initial=0))
                for number in [number for number in range(len(REASONS)) if there >> number & 1]:  # few are there
                    bit = np.uint64(1 << number)
                    primary[number] += np.count_nonzero(lowest == bit)
                    rows[number] += np.count_nonzero(masks & bit)
        return counts


def _bytes_of(scan: ScanReport, mask: Mask) -> int:
    """Return how long the images of the kept rows are [bytes]."""

    def of_kept(place: slice, table: pa.Table) -> int:
        return int(table["byte_length"].to_numpy()[mask[place] == 0].sum())

    return sum(in_pieces(scan, ["byte_length"], of_kept))


def _funnel(rows: int, primary: NDArray[np.int64]) -> Funnel:
    left = rows
    steps = []
    for stage in Stage:
        rejected = sum(int(primary[number]) for number, reason in enumerate(REASONS) if reason.stage is stage)
        left -= rejected
        steps.append(FunnelStep(stage=stage, rejected=rejected, left=left))
    return Funnel(source_rows=rows, steps=tuple(steps))


def _told(primary: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[ReasonCount, ...]:
    return tuple(
        ReasonCount(reason=reason, primary=int(primary[number]), rows=int(rows[number]))
        for number, reason in enumerate(REASONS)
        if rows[number]
    )
