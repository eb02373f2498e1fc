"""Hold two subsets against each other: rows gained and lost by reason, moved between splits, and what was set."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.difference import Change, Difference, Moved, ReasonRows, Side
from schemas.manifest import Manifest, ShardIdentity
from schemas.reasons import REASONS, Reason
from schemas.tables import CODES, INDEX, INDEX_FILE, REJECTED_FILE
from tasks.files import appearing
from tasks.published import SubsetDamaged, read_manifest

_KEPT = -1  # a row's state; else the position of its primary reason
_ABSENT = -2  # the other source does not have the row
_BATCH = 65_536  # rows that are written at a time

CHANGED = pa.schema(
    [
        pa.field("change", pa.string(), nullable=False),  # lost or gained
        pa.field("row_id_a", pa.int64()),  # null where A's source does not have the row
        pa.field("row_id_b", pa.int64()),
        *(INDEX.field(name) for name in ("shard", "row", "img_name", "z", "x", "y")),
        pa.field("split", pa.string(), nullable=False),  # in the subset that kept it
        pa.field("primary_reason", pa.string()),  # of the other; null where its source does not have the row
        pa.field("reasons", CODES),  # of the other, in stage order
    ]
)
"""One row a row that one of two subsets kept and the other did not."""


class Verdicts(NamedTuple):
    """What became of each row of one source; arrays of shape (rows,)."""

    directory: UPath
    manifest: Manifest
    state: NDArray[np.int8]  # _KEPT, or the position of the primary reason in REASONS
    split: NDArray[np.int8]  # position in ``splits``; -1 for a row that is not kept
    splits: tuple[str, ...]

    @classmethod
    def of(cls, directory: UPath) -> Self:
        """Return the verdicts of the subset in ``directory``.

        Raises:
            NotASubset: if it is none.
            SubsetDamaged: if its tables cannot be read, or do not hold each row of the source once.
        """
        manifest = read_manifest(directory)
        rows = manifest.source.rows
        kept, split, splits = _codes(directory / INDEX_FILE, "split", rows)
        rejected, reason, names = _codes(directory / REJECTED_FILE, "primary_reason", rows)
        if len(kept) + len(rejected) != rows or len(kept) != manifest.funnel.kept:
            found = f"{len(kept):,} and {len(rejected):,} rows"
            expected = f"{manifest.funnel.kept:,} and {rows - manifest.funnel.kept:,}"
            raise SubsetDamaged(
                f"{directory}: found {found} in index and rejected, expected {expected}; run git10m verify"
            )
        known = [code.value for code in REASONS]
        if unknown := sorted(set(names) - set(known)):
            raise SubsetDamaged(f"{directory / REJECTED_FILE}: primary_reason: found {unknown[0]!r}, expected a reason")
        state = np.full(rows, _ABSENT, np.int8)
        state[kept] = _KEPT
        state[rejected] = np.array([known.index(name) for name in names] or [0], np.int8)[reason]
        of_row = np.full(rows, -1, np.int8)
        of_row[kept] = split
        if (state == _ABSENT).any():
            first = int(np.argmax(state == _ABSENT))
            raise SubsetDamaged(f"{directory}: index and rejected do not hold row id {first:,} once; run git10m verify")
        return cls(directory, manifest, state, of_row, tuple(splits))


class _Pairing(NamedTuple):
    """Which rows of two sources are the same rows: runs of equal length, a shard each."""

    a: NDArray[np.int64]  # shape (shards in common,): row id in A of each run's first row
    b: NDArray[np.int64]
    rows: NDArray[np.int64]

    def turned(self) -> "_Pairing":
        """Return the pairing with A and B exchanged."""
        order = np.argsort(self.b, kind="stable")
        return _Pairing(self.b[order], self.a[order], self.rows[order])

    def counterparts(self, row_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row ids in B of rows of A, -1 for those that B's source does not have; of the same shape."""
        if not len(self.a):
            return np.full(len(row_ids), -1, np.int64)
        run = np.searchsorted(self.a, row_ids, side="right") - 1
        offset = row_ids - self.a[run]
        return np.where((run >= 0) & (offset < self.rows[run]), self.b[run] + offset, -1)


def compare(a: UPath, b: UPath, rows: UPath | None = None) -> Difference:
    """Return what differs between the subsets in ``a`` and ``b``, and write the rows gained and lost to ``rows``.

    A row is the same row where its shard has the same content and it has the same place in it. The file ``rows`` is
    Parquet (:data:`CHANGED`), lost rows first, each in the order of the subset that kept them.

    Raises:
        NotASubset, SubsetDamaged: if one of the two is no subset, or its tables are not what they should be.
    """
    one, other = Verdicts.of(a), Verdicts.of(b)
    pairing = _pair(one, other)
    lost, moved, both = _lost(one, other, pairing)
    gained, _, _ = _lost(other, one, pairing.turned())
    if rows is not None:
        _write_rows(one, other, pairing, rows)
    return Difference(
        a=_side(one, pairing),
        b=_side(other, pairing),
        same_manifest=one.manifest.seal == other.manifest.seal,
        both=both,
        lost=lost,
        gained=gained,
        moved=moved,
        recipe=_changes(one.manifest.recipe, other.manifest.recipe),
        thresholds=_changes(*(_thresholds(side.manifest) for side in (one, other))),
        versions=_changes(one.manifest.versions, other.manifest.versions),
    )


def _codes(path: UPath, name: str, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int8], list[str]]:
    """Return the row ids of a table, and its text column ``name`` as positions among its distinct values."""
    ids, codes = [], []
    names: list[str] = []
    try:
        with path.open("rb") as file, pq.ParquetFile(file, read_dictionary=[name]) as table:
            for batch in table.iter_batches(columns=["row_id", name], batch_size=1 << 20):
                column = batch.column(name)
                names += [value for value in column.dictionary.to_pylist() if value not in names]
                places = np.array([names.index(value) for value in column.dictionary.to_pylist()] or [0], np.int8)
                codes.append(places[column.indices.to_numpy()])
                ids.append(batch.column("row_id").to_numpy())
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise SubsetDamaged(f"{path}: cannot be read: {error}; git10m verify tells what is wrong") from error
    row_ids = np.concatenate([np.empty(0, np.int64), *ids])
    if len(row_ids) and not 0 <= row_ids.min() <= row_ids.max() < rows:
        found = f"{row_ids.min():,} to {row_ids.max():,}"
        raise SubsetDamaged(f"{path}: row_id: found {found}, expected 0 to {rows - 1:,}; run git10m verify")
    return row_ids, np.concatenate([np.empty(0, np.int8), *codes]), names


def _pair(one: Verdicts, other: Verdicts) -> _Pairing:
    """Pair shards of equal content, the first of several with the first."""
    waiting: dict[tuple[str, int], list[int]] = defaultdict(list)
    for shard, start in _starts(other.manifest):
        waiting[shard.content_xxh3, shard.rows].append(start)
    runs = []
    for shard, start in _starts(one.manifest):
        if starts := waiting[shard.content_xxh3, shard.rows]:
            runs.append((start, starts.pop(0), shard.rows))
    found = np.array(runs, np.int64).reshape(-1, 3)
    found = found[found[:, 2] > 0]
    return _Pairing(found[:, 0], found[:, 1], found[:, 2])


def _starts(manifest: Manifest) -> Iterator[tuple[ShardIdentity, int]]:
    """Yield each shard, and the row id of its first row."""
    start = 0
    for shard in manifest.source.shards:
        yield shard, start
        start += shard.rows


def _lost(one: Verdicts, other: Verdicts, pairing: _Pairing) -> tuple[tuple[ReasonRows, ...], tuple[Moved, ...], int]:
    """Return the rows that ``one`` kept and ``other`` did not by reason, those in other splits, and those in both."""
    kept = np.flatnonzero(one.state == _KEPT)
    there = pairing.counterparts(kept)
    state = np.where(there < 0, np.int8(_ABSENT), other.state[there])
    counts = np.bincount(state.astype(np.int64) + 2, minlength=len(REASONS) + 2).tolist()
    absent, both, reasons = counts[0], counts[1], counts[2:]
    lost = [ReasonRows(reason=reason, rows=rows) for reason, rows in zip(REASONS, reasons, strict=True) if rows]
    if absent:
        lost.append(ReasonRows(reason=None, rows=absent))
    shared = state == _KEPT
    pairs = one.split[kept[shared]].astype(np.int64) * len(other.splits) + other.split[there[shared]]
    crossed = np.bincount(pairs, minlength=len(one.splits) * len(other.splits))
    moved = tuple(
        Moved(a=a, b=b, rows=int(crossed[i * len(other.splits) + j]))
        for i, a in enumerate(one.splits)
        for j, b in enumerate(other.splits)
        if a != b and crossed[i * len(other.splits) + j]
    )
    return tuple(lost), moved, both


def _side(side: Verdicts, pairing: _Pairing) -> Side:
    manifest = side.manifest
    shared_rows = int(pairing.rows.sum())
    filled = sum(shard.rows > 0 for shard in manifest.source.shards)
    sizes = [file.image_bytes for file in (*manifest.files, *manifest.indexed) if file.image_bytes is not None]
    return Side(
        directory=side.directory,
        subset=manifest.subset,
        source=manifest.source.name,
        revision=manifest.source.revision,
        source_rows=manifest.source.rows,
        shards=len(manifest.source.shards),
        own_shards=filled - len(pairing.rows),
        own_rows=manifest.source.rows - shared_rows,
        kept=manifest.funnel.kept,
        splits=manifest.splits,
        image_bytes=sum(sizes) if sizes else None,
    )


def _thresholds(manifest: Manifest) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for limit in manifest.thresholds:
        if limit.by_zoom is None:
            limits[limit.key] = limit.value
        else:
            limits |= {f"{limit.key} at zoom {zoom}": value for zoom, value in limit.by_zoom.items()}
    return limits


def _changes(one: Any, other: Any) -> tuple[Change, ...]:
    """Return the leaves of two JSON values that differ, by dotted key, in order of the first."""
    a, b = dict(_leaves(one, "")), dict(_leaves(other, ""))
    return tuple(Change(key=key, a=a.get(key), b=b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list) and any(isinstance(member, dict | list) for member in value):
        members = [(str(number), member) for number, member in enumerate(value)]
    else:
        yield key, value
        return
    for name, member in members:
        yield from _leaves(member, f"{key}.{name}" if key else str(name))


def _write_rows(one: Verdicts, other: Verdicts, pairing: _Pairing, path: UPath) -> None:
    with appearing(path) as temporary, pq.ParquetWriter(temporary, CHANGED, compression="zstd") as writer:
        for table in _changed(one, other, pairing, "lost"):
            writer.write_table(table)
        for table in _changed(other, one, pairing.turned(), "gained"):
            writer.write_table(table)


def _changed(one: Verdicts, other: Verdicts, pairing: _Pairing, change: str) -> Iterator[pa.Table]:
    """Yield the rows that ``one`` kept and ``other`` did not, in batches of ``one``'s index."""
    masks = _reason_masks(other)
    names = ["row_id", "shard", "row", "img_name", "z", "x", "y", "split"]
    with (one.directory / INDEX_FILE).open("rb") as file, pq.ParquetFile(file) as index:
        for batch in index.iter_batches(columns=names, batch_size=_BATCH):
            there = pairing.counterparts(batch.column("row_id").to_numpy())
            gone = np.where(there < 0, np.int8(_ABSENT), other.state[there]) != _KEPT
            rows, there = pa.Table.from_batches([batch]).filter(pa.array(gone)), there[gone]
            if not len(rows):
                continue
            ids = rows["row_id"], pa.array(there, mask=there < 0)
            here_a, here_b = ids if change == "lost" else ids[::-1]
            reasons = _in_words(np.where(there < 0, np.uint64(0), masks[there]))
            columns = {name: rows[name] for name in names[1:]} | {
                "change": pa.repeat(change, len(rows)),
                "row_id_a": here_a,
                "row_id_b": here_b,
                "primary_reason": pc.list_element(reasons, 0),
                "reasons": reasons,
            }
            yield pa.table([columns[field.name] for field in CHANGED], schema=CHANGED)


def _reason_masks(side: Verdicts) -> NDArray[np.uint64]:
    """Return all reasons of each row as a mask over REASONS, 0 for a kept row: shape (rows,)."""
    masks = np.zeros(len(side.state), np.uint64)
    with (side.directory / REJECTED_FILE).open("rb") as file, pq.ParquetFile(file) as table:
        for batch in table.iter_batches(columns=["row_id", "reasons"], batch_size=1 << 20):
            reasons = batch.column("reasons")
            codes = reasons.flatten().dictionary_encode()
            bits = np.array([Reason(code).bit for code in codes.dictionary.to_pylist()] or [0], np.uint64)
            row_ids = batch.column("row_id").to_numpy()[pc.list_parent_indices(reasons).to_numpy()]
            np.bitwise_or.at(masks, row_ids, bits[codes.indices.to_numpy()])
    return masks


def _in_words(masks: NDArray[np.uint64]) -> pa.ListArray:
    """Return the reasons of each mask, in stage order; null for a mask of none."""
    distinct, which = np.unique(masks, return_inverse=True)
    words = [[reason.value for reason in REASONS if int(mask) & reason.bit] or None for mask in distinct]
    return pa.array(words, CODES).take(pa.array(which))
