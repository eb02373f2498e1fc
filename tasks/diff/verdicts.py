"""What became of each row of two subsets, and which rows of their sources are the same rows."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.manifest import Manifest, ShardIdentity
from schemas.reasons import REASONS
from schemas.tables import INDEX_FILE, REJECTED_FILE
from tasks.published import SubsetDamaged, read_manifest
from tasks.versions import followed

KEPT = -1
"""A row's state where it is kept; else the position of its primary reason in REASONS."""

ABSENT = -2
"""And where the other source does not have the row."""


class Verdicts(NamedTuple):
    """What became of each row of one source; arrays of shape (rows,)."""

    place: UPath  # that was asked for: a folder, or the link to its latest version
    directory: UPath  # of the version
    manifest: Manifest
    state: NDArray[np.int8]  # KEPT, or the position of the primary reason in REASONS
    split: NDArray[np.int8]  # position in ``splits``; -1 for a row that is not kept
    splits: tuple[str, ...]

    @classmethod
    def of(cls, place: UPath) -> Self:
        """Return the verdicts of the subset in ``place``, if that is a link of its latest version.

        Raises:
            NotASubset: if it is none.
            SubsetDamaged: if its tables cannot be read, or do not hold each row of the source once.
        """
        directory = followed(place)
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
        state = np.full(rows, ABSENT, np.int8)
        state[kept] = KEPT
        state[rejected] = np.array([known.index(name) for name in names] or [0], np.int8)[reason]
        of_row = np.full(rows, -1, np.int8)
        of_row[kept] = split
        if (state == ABSENT).any():
            first = int(np.argmax(state == ABSENT))
            raise SubsetDamaged(f"{directory}: index and rejected do not hold row id {first:,} once; run git10m verify")
        return cls(place, directory, manifest, state, of_row, tuple(splits))


class Pairing(NamedTuple):
    """Which rows of two sources are the same rows: runs of equal length, a shard each."""

    a: NDArray[np.int64]  # shape (shards in common,): row id in A of each run's first row
    b: NDArray[np.int64]
    rows: NDArray[np.int64]

    def turned(self) -> "Pairing":
        """Return the pairing with A and B exchanged."""
        order = np.argsort(self.b, kind="stable")
        return Pairing(self.b[order], self.a[order], self.rows[order])

    def counterparts(self, row_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row ids in B of rows of A, -1 for those that B's source does not have; of the same shape."""
        if not len(self.a):
            return np.full(len(row_ids), -1, np.int64)
        run = np.searchsorted(self.a, row_ids, side="right") - 1
        offset = row_ids - self.a[run]
        return np.where((run >= 0) & (offset < self.rows[run]), self.b[run] + offset, -1)


class Sides(NamedTuple):
    """Two subsets, A and B, and which of their rows are the same rows."""

    a: Verdicts
    b: Verdicts
    pairing: Pairing

    @classmethod
    def of(cls, a: UPath, b: UPath) -> Self:
        """Return what is to be compared of the subsets in ``a`` and ``b``; errors as :meth:`Verdicts.of`.

        A row is the same row where its shard has the same content and it has the same place in it.
        """
        one, other = Verdicts.of(a), Verdicts.of(b)
        return cls(one, other, _pair(one, other))

    def turned(self) -> "Sides":
        """Return the sides with A and B exchanged."""
        return Sides(self.b, self.a, self.pairing.turned())

    def kept(self) -> "Kept":
        """Return the rows that A kept, and what became of them in B."""
        rows = np.flatnonzero(self.a.state == KEPT)
        there = self.pairing.counterparts(rows)
        return Kept(rows, there, np.where(there < 0, np.int8(ABSENT), self.b.state[there]))


class Kept(NamedTuple):
    """Rows that one subset kept; arrays of shape (rows,)."""

    rows: NDArray[np.int64]  # row ids, ascending
    there: NDArray[np.int64]  # row ids in the other source; -1 where it does not have the row
    state: NDArray[np.int8]  # in the other subset


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


def _pair(one: Verdicts, other: Verdicts) -> Pairing:
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
    return Pairing(found[:, 0], found[:, 1], found[:, 2])


def _starts(manifest: Manifest) -> Iterator[tuple[ShardIdentity, int]]:
    """Yield each shard, and the row id of its first row."""
    start = 0
    for shard in manifest.source.shards:
        yield shard, start
        start += shard.rows
