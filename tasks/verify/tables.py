"""Hold index, rejected and manifest against each other: every row once, and all counts as they are recounted."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.manifest import Manifest
from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Deduplication, fingerprint
from schemas.reports import FunnelStep, ReasonCount
from schemas.tables import INDEX_FILE, REJECTED_FILE
from tasks.published import MANIFEST
from tasks.verify.faults import SHOWN, some
from tasks.verify.files import data_files

_CODES = pa.array([reason.value for reason in REASONS])
_BY_DUPLICATES = [number for number, reason in enumerate(REASONS) if reason.stage is Stage.DEDUPLICATION][1:]


def check_manifest(manifest: Manifest) -> Iterator[str]:
    """Yield in what the manifest contradicts itself."""
    try:
        found = fingerprint(manifest.recipe)
    except ValueError as error:
        found = str(error)
    rows = sum(shard.rows for shard in manifest.source.shards)
    listed = sum(file.rows or 0 for file in data_files(manifest))
    columns = [(column.name, column.dtype) for column in manifest.columns.columns]
    for what, here, there in (
        ("recipe_sha256", manifest.recipe_sha256, found),
        ("source.rows", manifest.source.rows, rows),
        ("funnel.source_rows", manifest.funnel.source_rows, manifest.source.rows),
        ("the sum of splits", sum(manifest.splits.values()), manifest.funnel.kept),
    ):
        if here != there:
            yield f"{MANIFEST}: {what}: found {here}, expected {there}"
    if manifest.mode == "data" and listed != manifest.funnel.kept:
        yield f"{MANIFEST}: files: the data files have {listed:,} rows, expected {manifest.funnel.kept:,}"
    if len({name for name, _ in columns}) != len(columns):
        yield f"{MANIFEST}: columns: a name stands there twice"


def check_rows(manifest: Manifest, index: pa.Table, rejected: pa.Table) -> Iterator[str]:
    """Yield which rows of the source are not in exactly one of the tables, in order, under their own name."""
    kept, refused = (table["row_id"].to_numpy() for table in (index, rejected))
    listed = {file.path: file.rows for file in manifest.files}
    for name, table, expected in (
        (INDEX_FILE, index, manifest.funnel.kept),
        (REJECTED_FILE, rejected, manifest.source.rows - manifest.funnel.kept),
    ):
        row_ids = table["row_id"].to_numpy()
        if not len(table) == expected == listed.get(name, expected):
            yield f"{name}: found {len(table):,} rows, expected {expected:,}"
        if (np.diff(row_ids) <= 0).any():
            yield f"{name}: row ids do not ascend at row {int(np.argmax(np.diff(row_ids) <= 0)) + 1}"
        yield from _check_identity(manifest, name, table)
    both = np.intersect1d(kept, refused)
    if len(both):
        yield f"{INDEX_FILE} and {REJECTED_FILE}: both hold row id {some(both)}"
    missing, count = _missing(np.unique(np.concatenate([kept, refused])), manifest.source.rows)
    if count:
        more = f" and {count - len(missing):,} more" if count > len(missing) else ""
        yield f"{INDEX_FILE} and {REJECTED_FILE}: neither holds row id {', '.join(map(str, missing))}{more}"


def _missing(row_ids: NDArray[np.int64], rows: int) -> tuple[list[int], int]:
    """Return the first of 0..rows - 1 that are not among ``row_ids`` (ascending, distinct), and how many are not."""
    inside = row_ids[(row_ids >= 0) & (row_ids < rows)]
    edges = np.concatenate([[-1], inside, [rows]])
    first: list[int] = []
    for gap in np.flatnonzero(np.diff(edges) > 1)[:SHOWN].tolist():
        first += range(int(edges[gap]) + 1, min(int(edges[gap + 1]), int(edges[gap]) + 1 + SHOWN))
    return first[:SHOWN], rows - len(inside)


def _check_identity(manifest: Manifest, name: str, table: pa.Table) -> Iterator[str]:
    """Yield whose row id is not that of its shard and row."""
    shards = manifest.source.shards
    starts = np.cumsum([0, *(shard.rows for shard in shards)], dtype=np.int64)
    at = pc.fill_null(pc.index_in(table["shard"], pa.array([shard.shard for shard in shards], pa.string())), -1)
    number, row = at.to_numpy().astype(np.int64), table["row"].to_numpy().astype(np.int64)
    lengths = np.append(np.diff(starts), 0)  # an unknown shard, -1, has no row
    wrong = (row < 0) | (row >= lengths[number]) | (table["row_id"].to_numpy() != starts[number] + row)
    for position in np.flatnonzero(wrong)[:SHOWN].tolist():
        shard, place, row_id = (table[column][position].as_py() for column in ("shard", "row", "row_id"))
        yield f"{name}: row {position}: row id {row_id} is not that of shard {shard}, row {place}"
    if wrong.sum() > SHOWN:
        yield f"{name}: {int(wrong.sum()) - SHOWN:,} more rows have another row id than their shard and row"


def check_counts(manifest: Manifest, index: pa.Table, rejected: pa.Table) -> Iterator[str]:
    """Yield which counts of the manifest are not those of the tables."""
    lists = CodeLists(rejected["reasons"])
    for position in np.flatnonzero(lists.wrong)[:SHOWN].tolist():
        row = rejected.slice(position, 1).to_pylist()[0]
        yield f"{REJECTED_FILE}: row id {row['row_id']}: reasons are {row['reasons']}, expected known ones in order"
    primary = pc.fill_null(pc.index_in(rejected["primary_reason"], _CODES), -1).to_numpy()
    for position in np.flatnonzero(primary != lists.first)[:SHOWN].tolist():
        row = rejected.slice(position, 1).to_pylist()[0]
        told = f"primary reason is {row['primary_reason']}, the first of its reasons {row['reasons'][:1]}"
        yield f"{REJECTED_FILE}: row id {row['row_id']}: {told}"
    lengths = pc.list_value_length(rejected["measured"]).to_numpy() != pc.list_value_length(rejected["reasons"])
    for position in np.flatnonzero(lengths)[:SHOWN].tolist():
        row_id = rejected["row_id"][position]
        yield f"{REJECTED_FILE}: row id {row_id}: measured has not one value for each reason"
    yield from _differences("reasons", manifest.reasons, lists.counts())
    yield from _check_funnel(manifest, primary)
    flags = CodeLists(index["flags"], may_be_empty=True)
    for position in np.flatnonzero(flags.wrong)[:SHOWN].tolist():
        row = index.slice(position, 1).to_pylist()[0]
        yield f"{INDEX_FILE}: row id {row['row_id']}: flags are {row['flags']}, expected known ones in order"
    yield from _differences("flags", manifest.flags, flags.counts())
    found = {entry["values"]: entry["counts"] for entry in index["split"].value_counts().to_pylist()}
    for split in sorted({*found, *manifest.splits}):
        if found.get(split, 0) != manifest.splits.get(split, 0):
            here, there = found.get(split, 0), manifest.splits.get(split, 0)
            yield f"split {split}: {here:,} rows in {INDEX_FILE}, expected {there:,}"


class CodeLists:
    """A column of lists of reasons, as numbers."""

    def __init__(self, column: pa.ChunkedArray, *, may_be_empty: bool = False):
        """Take in a column of list<string>."""
        lists = column.combine_chunks()
        self._parent: NDArray[np.int64] = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
        self._code = pc.fill_null(pc.index_in(pc.list_flatten(lists), _CODES), -1).to_numpy()
        beside = np.diff(self._parent) == 0
        self.wrong = np.zeros(len(lists), np.bool_)
        """Which lists hold what is no reason, or reasons out of order or twice, or nothing."""
        self.wrong[self._parent[self._code < 0]] = True
        self.wrong[self._parent[1:][beside & (np.diff(self._code) <= 0)]] = True
        starts = np.flatnonzero(np.diff(self._parent, prepend=-1) != 0)
        self.first = np.full(len(lists), -1, np.int64)
        """The first reason of each list by its position in REASONS; -1 where there is none."""
        self.first[self._parent[starts]] = self._code[starts]
        if not may_be_empty:
            self.wrong |= np.bincount(self._parent, minlength=len(lists)) == 0

    def holds(self, codes: list[int]) -> NDArray[np.bool_]:
        """Return which lists hold any of the reasons at these positions in REASONS."""
        held = np.zeros(len(self.first), np.bool_)
        held[self._parent[np.isin(self._code, codes)]] = True
        return held

    def counts(self) -> tuple[ReasonCount, ...]:
        """Return how many lists begin with each reason and hold it, as the manifest has them."""
        holding, beginning = (
            np.bincount(codes[codes >= 0], minlength=len(REASONS)).tolist() for codes in (self._code, self.first)
        )
        counts = zip(REASONS, beginning, holding, strict=True)
        return tuple(ReasonCount(reason=reason, primary=a, rows=b) for reason, a, b in counts if b)


def _differences(what: str, told: Iterable[ReasonCount], found: Iterable[ReasonCount]) -> Iterator[str]:
    here, there = ({count.reason: (count.primary, count.rows) for count in counts} for counts in (told, found))
    for reason in REASONS:
        a, b = here.get(reason, (0, 0)), there.get(reason, (0, 0))
        if a != b:
            counted = f"recounted {b[0]:,} as the primary one and {b[1]:,} in all"
            yield f"{MANIFEST}: {what}: {reason.value}: found {a[0]:,} and {a[1]:,}, {counted}"


def _check_funnel(manifest: Manifest, primary: NDArray[np.int64]) -> Iterator[str]:
    stages = list(Stage)
    of_reason = np.array([stages.index(reason.stage) for reason in REASONS])
    taken = np.bincount(of_reason[primary[primary >= 0]], minlength=len(stages)).tolist()
    left = manifest.source.rows
    steps = []
    for stage, rejected in zip(stages, taken, strict=True):
        left -= rejected
        steps.append((stage, rejected, left))
    found = [_step(step) for step in manifest.funnel.steps]
    if found != steps:
        differing: Any = next((pair for pair in zip(found, steps, strict=False) if pair[0] != pair[1]), None)
        told = f"{len(found)} steps, expected {len(steps)}"
        if differing is not None:
            (name, out, rest), (expected, recounted, remaining) = differing
            told = f"{name}: {out:,} rejected, {rest:,} left; recounted {expected}: {recounted:,}, {remaining:,}"
        yield f"{MANIFEST}: funnel: {told}"


def _step(step: FunnelStep) -> tuple[Stage, int, int]:
    return step.stage, step.rejected, step.left


def check_keepers(index: pa.Table, rejected: pa.Table, settings: Deduplication) -> Iterator[str]:
    """Yield which rejected duplicates name no kept row, or one that is too far away by ``settings``."""
    near, semantic = settings.near, settings.semantic
    most, least = (-1, 0.0) if near is None else (near.radius_bits, near.min_similarity)
    cosine = 2.0 if semantic is None else semantic.min_cosine
    keepers = rejected["duplicate_of"]
    strangers = np.setdiff1d(keepers.drop_null().to_numpy(), index["row_id"].to_numpy())
    if len(strangers):
        yield f"{REJECTED_FILE}: duplicate_of names rows that are not kept: {some(strangers)}"
    lists = CodeLists(rejected["reasons"])
    named = rejected["duplicate_of"]
    distance = pc.fill_null(rejected["duplicate_distance"], -1).to_numpy()
    similarity = pc.fill_null(rejected["duplicate_similarity"], -1).to_numpy()
    alike, shown, exact = (
        lists.holds([REASONS.index(reason) for reason in reasons])
        for reasons in (
            (Reason.DUPLICATE_NEAR,),
            (Reason.DUPLICATE_SEMANTIC,),
            (Reason.DUPLICATE_BYTES, Reason.DUPLICATE_PIXELS),
        )
    )
    for told, wrong in (
        ("names no kept row of which it is a duplicate", lists.holds(_BY_DUPLICATES) != named.is_valid().to_numpy()),
        (f"duplicate_distance is not within {most} bits", alike & ((distance < 0) | (distance > most))),
        (f"duplicate_similarity is below {least:g}", alike & (similarity < least - 1e-6)),
        (f"cosine of semantic duplicates is below {cosine:g}", shown & (similarity < cosine - 1e-6)),
        ("duplicate_distance of semantic duplicates is not null", shown & (distance != -1)),
        ("duplicate_distance of equal images is not 0", exact & (distance != 0)),
        ("names no reference picture", lists.holds([_BY_DUPLICATES[0] - 1]) != rejected["reference"].is_valid()),
    ):
        rows = rejected["row_id"].to_numpy()[np.asarray(wrong)]
        if len(rows):
            yield f"{REJECTED_FILE}: {told}: row id {some(rows)}"
