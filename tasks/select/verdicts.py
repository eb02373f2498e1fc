"""One subset's verdict on every row of the source, in a file."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.embedding import EmbedReport, ScorerIdentity
from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, Funnel, ReasonCount, ScanReport, SelectReport
from schemas.subset import Subset
from schemas.tables import (
    CONTAMINATED,
    KINSHIPS_VERSION,
    PAIRS_VERSION,
    SCAN_VERSION,
    SCORES,
    VERDICTS,
    VERDICTS_VERSION,
)
from tasks.files import appearing, is_parquet
from tasks.records import recall, record_key
from tasks.select.basis import Basis
from tasks.select.criteria import hold_against_all, require_all_columns
from tasks.select.masks import Mask
from tasks.select.parting import FATES, drop_rows, part_rows
from tasks.spill import room

if TYPE_CHECKING:
    from tasks.deduplicate.kinships import Kinships
    from tasks.select.duplicates import Duplicates

_GROUP = 2**20  # rows of a row group


def give_verdicts(subset: Subset, basis: Basis) -> SelectReport:
    """Write the verdicts (:data:`schemas.tables.VERDICTS`) of ``subset`` to the workspace, and count them.

    Raises:
        ColumnAbsent: if a threshold, or what counts as a duplicate, needs a column that the source does not have.
        NotEmbedded: if a scorer is asked of which there are no vectors.
        NoValues: if a threshold is a quantile and no valid row has a value.
        AreaInvalid, ListInvalid: if a file that the subset names is not what it should be.
    """
    require_all_columns(subset, basis)
    recipe, scan, kinships = basis.recipe, basis.scan, basis.kinships
    row_id = kinships.row_id
    mask, flags, thresholds = hold_against_all(subset, basis)
    parted = part_rows(subset, basis, mask)
    mask[basis.contaminated["row_id"].to_numpy()] |= np.uint64(Reason.CONTAMINATED.bit)

    kept = room(scan.rows, np.bool_)
    np.equal(mask, 0, out=kept)
    elected = basis.elections.name_keepers(kept[row_id])
    kept[row_id] = elected.kept
    fate, top = drop_rows(subset, basis, parted, kept)
    found, own = elected, mask[row_id]
    if fate.any():  # what is a copy of a row that was dropped shares its fate, unless it is one of another, too
        found = basis.elections.name_keepers(elected.kept & (fate[row_id] == 0))
        _share_fates(mask, fate)
        orphans = (own == 0) & ~found.kept & (found.reasons == 0)
        theirs = FATES[fate[row_id[np.where(elected.kept, np.arange(len(row_id)), elected.keeper)]]]
        # Of a group of which several are kept it need not be the best that was dropped.
        own |= orphans * np.where(theirs != 0, theirs, np.uint64(Reason.NOT_DRAWN.bit))
    mask[row_id] = own | found.reasons
    if not np.array_equal(mask[row_id] == 0, found.kept):
        raise AssertionError("a row is kept and has a reason, or is neither kept nor has a reason")

    path = verdicts_path(recipe, subset, scan, basis.duplicates, basis.embedded)
    names = tuple(subset.splits.fractions)
    scores: dict[str, NDArray[np.float32]] = {name: basis.scored(name, subset) for name in subset.scored()}
    verdicts = _verdicts(mask, flags, _Copies.of(kinships, found), basis.contaminated, parted.split, names, scores)
    with ThreadPoolExecutor(1) as beside:
        written = beside.submit(_write, path, verdicts)
        counts = _Counts.of(mask, flags, parted.split, len(names))
        kept_bytes = _bytes_of(basis, mask)
        written.result()
    return SelectReport(
        subset=subset.name,
        rows=len(mask),
        kept=int(counts.splits.sum()),
        rejected=len(mask) - int(counts.splits.sum()),
        kept_image_bytes=kept_bytes,
        thresholds=thresholds + top,
        scorers=scorers_asked(recipe, subset, basis.embedded),
        funnel=_funnel(len(mask), counts.primary),
        reasons=_told(counts.primary, counts.rows),
        flags=_told(counts.primary_flags, counts.flagged),
        splits=dict(zip(names, counts.splits.tolist(), strict=True)),
        verdicts=path,
    )


def known_verdicts(
    recipe: Recipe,
    subset: Subset,
    scan: ScanReport,
    duplicates: DeduplicateReport,
    embedded: Sequence[EmbedReport] = (),
) -> SelectReport | None:
    """Return the report of an earlier run on the same rows and the same recipe; None if there is none."""
    path = verdicts_path(recipe, subset, scan, duplicates, embedded)
    known = recall(path.with_suffix(".json"), SelectReport)
    return known.model_copy(update={"verdicts": path}) if known is not None and is_parquet(path) else None


def scorers_asked(recipe: Recipe, subset: Subset, embedded: Sequence[EmbedReport]) -> tuple[ScorerIdentity, ...]:
    """Return the numbers of the scorers that have a say in ``subset``, as far as there are any."""
    names = {scorer.name for scorer in recipe.asked(subset)}
    return tuple(report.identity for report in embedded if report.scorer in names)


def verdicts_path(
    recipe: Recipe,
    subset: Subset,
    scan: ScanReport,
    duplicates: DeduplicateReport,
    embedded: Sequence[EmbedReport] = (),
) -> UPath:
    """Return where the verdicts of ``subset`` lie: its name, and a key that stands for all that they depend on."""
    scans = (scan, *(reference.scan for reference in duplicates.references))
    contents = [[shard.shard, shard.content_xxh3] for scanned in scans for shard in scanned.shards]
    scorers = [scorer.model_dump(mode="json") for scorer in scorers_asked(recipe, subset, embedded)]
    versions = (SCAN_VERSION, PAIRS_VERSION, KINSHIPS_VERSION, VERDICTS_VERSION)
    key = record_key(recipe.essence(subset), contents, scorers, *versions)
    return recipe.workspace / "verdicts" / f"{subset.name}-{key}.parquet"


def _write(path: UPath, verdicts: Iterator[pa.Table]) -> None:
    # A dictionary of numbers that are all different takes longer to make than all else, and nobody asks for the least
    # and the most.
    options = {
        "use_dictionary": ["reasons", "flags", "duplicate_distance", "reference", "reference_distance", "split"],
        "column_encoding": {"row_id": "DELTA_BINARY_PACKED"},
        "write_statistics": False,
    }
    with (
        appearing(path) as temporary,
        pq.ParquetWriter(temporary, VERDICTS, compression="zstd", **options) as writer,
        ThreadPoolExecutor(1) as beside,
    ):
        following = beside.submit(next, verdicts, None)
        while (table := following.result()) is not None:
            following = beside.submit(next, verdicts, None)  # is made while this one is written
            writer.write_table(table)


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
    scores: Mapping[str, NDArray[np.float32]],
) -> Iterator[pa.Table]:
    """Yield :data:`schemas.tables.VERDICTS`, a row group at a time."""
    references = contaminated["row_id"].to_numpy()
    nothing = pa.table([pa.nulls(min(len(mask), _GROUP), field.type) for field in CONTAMINATED], schema=CONTAMINATED)
    for here in _groups(len(mask)):
        rows = here.stop - here.start
        some = slice(*np.searchsorted(copies.row_id, [here.start, here.stop]))
        at = copies.row_id[some] - here.start
        keeper, distance = np.full(rows, -1, np.int64), np.full(rows, -1, np.int8)
        similarity = np.full(rows, np.nan, np.float32)
        keeper[at], distance[at], similarity[at] = (part[some] for part in copies[1:])
        first, last = np.searchsorted(references, [here.start, here.stop]).tolist()
        reference = nothing.slice(0, rows)
        if first < last:  # few have any: to take nulls from a table takes longer than all else here
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
            *(
                pa.array(scores[field.name][here], from_pandas=True)
                if field.name in scores
                else pa.nulls(rows, field.type)
                for field in SCORES
            ),
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
                alike = pc.value_counts(pa.array(masks))  # few are there that differ
                for value, count in zip(*(part.to_pylist() for part in alike.flatten()), strict=True):
                    carried = [number for number in range(len(REASONS)) if value >> number & 1]
                    primary[carried[:1]] += count
                    rows[carried] += count
        return counts


def _bytes_of(basis: Basis, mask: Mask) -> int:
    """Return how long the images of the kept rows are [bytes]."""

    def of_kept(place: slice, table: pa.Table) -> int:
        return int(table["byte_length"].to_numpy()[mask[place] == 0].sum())

    return sum(basis.in_pieces(["byte_length"], of_kept))


def _funnel(rows: int, primary: NDArray[np.int64]) -> Funnel:
    rejected = dict.fromkeys(Stage, 0)
    for count, reason in zip(primary.tolist(), REASONS, strict=True):
        rejected[reason.stage] += count
    return Funnel.of(rows, rejected)


def _told(primary: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[ReasonCount, ...]:
    return tuple(
        ReasonCount(reason=reason, primary=int(primary[number]), rows=int(rows[number]))
        for number, reason in enumerate(REASONS)
        if rows[number]
    )
