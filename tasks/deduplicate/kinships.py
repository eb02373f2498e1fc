"""Which rows of a source are duplicates of which, in all the ways that the recipe counts, the best row first.

Kept in the workspace: every subset elects its keepers among these rows, and of all others none is another's duplicate.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import Deduplication, fingerprint
from schemas.reports import ScanReport
from schemas.tables import KINSHIPS_VERSION, PAIRS
from tasks.deduplicate.pictures import rows_with
from tasks.deduplicate.priority import best_first
from tasks.deduplicate.sharing import Sharing, rows_that_share
from tasks.files import appearing, is_parquet, read_parquet, sha256_of
from tasks.scan.images import byte_matrix
from tasks.signals import in_pieces, of_rows
from tasks.spill import room
from tasks.tiles import tile_number

BYTES, PIXELS, PICTURE, TILE, CAPTION = "bytes", "pixels", "picture", "tile", "caption"
"""Columns of a kinships file: what rows of the same number have in common; null where no other row has it."""

NESTED, AROUND = "nested", "around"
"""A number for each row's tile, if it lies in another one or another one in it, and that of the smallest around it."""

_REPEATED = "repeated"  # an earlier row has the same img_name


class Kinships(NamedTuple):
    """The k rows of a source that have something in common with others."""

    row_id: NDArray[np.int64]  # shape (k,), the best row first
    codes: dict[str, NDArray[np.int32]]  # by column, each of shape (k,): -1 for null
    repeated: NDArray[np.bool_]  # shape (k,): an earlier row has the same img_name
    a: NDArray[np.int32]  # shape (pairs,): the number of a picture, and
    b: NDArray[np.int32]  # that of another one that is near
    distance: NDArray[np.int8]  # shape (pairs,) [bits]
    similarity: NDArray[np.float32]  # shape (pairs,)


def bring_kinships_up_to_date(
    scan: ScanReport, settings: Deduplication, pairs: UPath | None, workspace: UPath
) -> UPath:
    """Return the file of the kinships among the rows of ``scan``; beside it stands that of the pairs.

    Args:
        scan: what was scanned.
        settings: what counts as a duplicate, and which row is the better one.
        pairs: near-duplicates (:data:`schemas.tables.PAIRS`); None where they do not count.
        workspace: where both are kept.
    """
    signals = [[shard.shard, shard.rows, str(shard.signals.name)] for shard in scan.shards]
    measured = scan.shards[0].signals.parent.name if scan.shards else ""
    asked = settings.model_dump(mode="json", exclude={"references", "near"})
    near = None if pairs is None else sha256_of(pairs)
    key = fingerprint([signals, measured, asked, near, KINSHIPS_VERSION])
    path = workspace / "kinships" / f"{key[:32]}.parquet"
    if is_parquet(path) and is_parquet(_pairs_beside(path)):
        return path
    table, pictures = _kinships(scan, settings, pairs)
    with appearing(_pairs_beside(path)) as temporary:
        pq.write_table(pictures, temporary, compression="zstd")
    with appearing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return path


def read_kinships(path: UPath) -> Kinships:
    """Return what :func:`bring_kinships_up_to_date` has kept in ``path``."""
    table, pairs = read_parquet(path), read_parquet(_pairs_beside(path))
    codes = {name: table[name].to_numpy() for name in table.column_names if name not in ("row_id", _REPEATED)}
    repeated = table[_REPEATED].combine_chunks().to_numpy(zero_copy_only=False)
    return Kinships(table["row_id"].to_numpy(), codes, repeated, *(column.to_numpy() for column in pairs.columns))


def _pairs_beside(path: UPath) -> UPath:
    return path.with_name(f"{path.stem}-pairs.parquet")


def _kinships(scan: ScanReport, settings: Deduplication, pairs: UPath | None) -> tuple[pa.Table, pa.Table]:
    """Return the columns of :class:`Kinships` as two tables."""
    near = PAIRS.empty_table() if pairs is None else read_parquet(pairs)
    ends = [near[name].to_numpy() for name in ("signature_a", "signature_b")]
    paired = np.unique(np.concatenate(ends))
    shared: dict[str, Sharing] = {
        BYTES: _equal_digests(scan),
        PICTURE: rows_that_share(lambda: rows_with(scan, "signature"), scan.rows, also=paired),
    }
    if settings.exact_pixels:
        shared[PIXELS] = rows_that_share(lambda: rows_with(scan, "pixels_xxh3"), scan.rows)
    if settings.same_tile:
        shared[TILE] = rows_that_share(lambda: _tiles(scan), scan.rows)
    if settings.caption_copies is not None:
        captions = rows_that_share(lambda: rows_with(scan, "caption_xxh3"), scan.rows, most=settings.caption_copies)
        shared[CAPTION] = captions
    names = rows_that_share(lambda: rows_with(scan, "img_name_xxh3"), scan.rows)
    if settings.nested_tiles is not None:
        shared |= _nested(scan)
    some = room(scan.rows, np.bool_)
    for sharing in (*shared.values(), names):
        some[sharing.rows] = True
    row_ids = np.flatnonzero(some)
    repeated = np.zeros(len(row_ids), np.bool_)
    repeated[np.searchsorted(row_ids, names.rows)] = _later_ones(names)
    order = best_first(scan, settings, row_ids)
    columns = {"row_id": row_ids[order], _REPEATED: repeated[order]}
    of_paired = shared[PICTURE].of_also
    for name in list(shared):
        sharing = shared.pop(name)
        code = np.full(len(row_ids), -1, np.int32)
        code[np.searchsorted(row_ids, sharing.rows)] = sharing.code
        columns[name] = code[order]
    a, b = (of_paired[np.searchsorted(paired, end)] for end in ends)
    return pa.table(columns), pa.table({"a": a, "b": b, **{name: near[name] for name in ("distance", "similarity")}})


def _equal_digests(scan: ScanReport) -> Sharing:
    """Return the rows whose SHA-256 several have; whole digests are compared where 8 bytes are equal."""

    def heads(place: slice, table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        column = table["sha256"].combine_chunks()
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        return place.start + rows, np.ascontiguousarray(byte_matrix(column)[rows, :8]).view(np.uint64)[:, 0]

    alike = rows_that_share(lambda: in_pieces(scan, ["sha256"], heads), scan.rows)
    return _told_apart(scan, alike) if len(alike.rows) else alike


def _told_apart(scan: ScanReport, alike: Sharing) -> Sharing:
    """Return those of ``alike`` whose whole digest several have."""
    first = np.empty(int(alike.code.max()) + 1, np.int64)
    first[alike.code[::-1]] = np.arange(len(alike.rows))[::-1]
    digests = room((len(alike.rows), 32), np.int8)

    def take_in(here: slice, table: pa.Table) -> None:
        digests[here] = byte_matrix(table["sha256"].combine_chunks())

    deque(of_rows(scan, ["sha256"], alike.rows, take_in), 0)
    pieces = range(0, len(digests), 2**20)
    if all(np.array_equal(digests[at : at + 2**20], digests[first[alike.code[at : at + 2**20]]]) for at in pieces):
        return alike
    whole = pa.array([row.tobytes() for row in digests], pa.binary(32)).dictionary_encode().indices.to_numpy()
    told = rows_that_share(lambda: iter([(alike.rows, whole.astype(np.uint64))]), len(whole))
    return told


def _later_ones(names: Sharing) -> NDArray[np.bool_]:
    """Return which rows have the name of an earlier one.

    Two of 10.5 million different names share a 64-bit hash with a probability of 3 in a million.
    """
    later = np.ones(len(names.rows), np.bool_)
    first = np.full(int(names.code.max(initial=-1)) + 1, -1, np.int64)
    first[names.code[::-1]] = np.arange(len(names.rows))[::-1]
    later[first] = False
    return later


def _tiles(scan: ScanReport) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Yield, piece by piece, the rows that have a place, and the numbers of their tiles."""

    def numbers(place: slice, table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        rows = np.flatnonzero(table["x"].is_valid().to_numpy())
        z, x, y = (pc.fill_null(table[name], 0).to_numpy()[rows].astype(np.uint64) for name in ("z", "x", "y"))
        return place.start + rows, tile_number(z, x, y)

    return in_pieces(scan, ["z", "x", "y"], numbers)


def _nested(scan: ScanReport) -> dict[str, Sharing]:
    """Return the rows whose tile lies in another one of the source, or another one in it."""
    numbers = np.unique(np.concatenate([np.empty(0, np.uint64), *(np.unique(values) for _, values in _tiles(scan))]))
    parent = _smallest_around(numbers)
    nested = parent >= 0
    nested[parent[nested]] = True
    some = np.flatnonzero(nested)
    new = np.append(np.cumsum(nested) - 1, -1).astype(np.int32)  # the last place is that of tiles without parent
    numbers, parent = numbers[some], new[parent[some]]
    found_rows, found_tiles = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for rows, values in _tiles(scan):
        at = np.searchsorted(numbers, values)
        hit = at < len(numbers)
        hit[hit] = numbers[at[hit]] == values[hit]
        found_rows.append(rows[hit])
        found_tiles.append(at[hit].astype(np.int32))
    rows, tiles = np.concatenate(found_rows), np.concatenate(found_tiles)
    none = np.empty(0, np.int32)
    return {NESTED: Sharing(rows, tiles, none), AROUND: Sharing(rows, parent[tiles], none)}


def _smallest_around(numbers: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return the position of the smallest tile around each one, -1 where there is none; ``numbers`` ascend."""
    levels = tile_number(np.arange(32, dtype=np.uint64), *np.zeros((2, 32), np.uint64))
    begins = np.append(np.searchsorted(numbers, levels), len(numbers))
    parent = np.full(len(numbers), -1, np.int32)
    there = [z for z in range(32) if begins[z] < begins[z + 1]]
    for z in there:
        here = slice(begins[z], begins[z + 1])
        place = numbers[here] - levels[z]
        y, x = place >> np.uint64(z), place & np.uint64((1 << z) - 1)
        for outer in [level for level in reversed(there) if level < z]:
            left = np.flatnonzero(parent[here] < 0)
            up = np.uint64(z - outer)
            wanted = tile_number(np.full(len(left), outer, np.uint64), x[left] >> up, y[left] >> up)
            around = numbers[begins[outer] : begins[outer + 1]]
            at = np.minimum(np.searchsorted(around, wanted), len(around) - 1)
            parent[here][left] = np.where(around[at] == wanted, begins[outer] + at, -1)
    return parent
