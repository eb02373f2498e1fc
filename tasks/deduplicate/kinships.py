"""Which rows of a source are duplicates of which, in all the ways that the recipe counts, the best row first.

Kept in the workspace: every subset elects its keepers among these rows, and of all others none is another's duplicate.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import Deduplication, fingerprint
from schemas.reports import ScanReport
from schemas.tables import KINSHIPS_VERSION, PAIRS
from tasks.deduplicate.digests import equal_digests
from tasks.deduplicate.pictures import rows_with
from tasks.deduplicate.priority import best_first
from tasks.deduplicate.sharing import Sharing, rows_that_share
from tasks.files import appearing, is_parquet, read_parquet, sha256_of
from tasks.signals import in_pieces, of_rows
from tasks.spill import room
from tasks.tiles import tile_number

BYTES, PIXELS, PICTURE, SEMANTIC, TILE, CAPTION = "bytes", "pixels", "picture", "semantic", "tile", "caption"
"""Columns of a kinships file: what rows of the same number have in common; null where no other row has it."""

NESTED, AROUND = "nested", "around"
"""A number for each row's tile, if it lies in another one or another one in it, and that of the smallest around it."""

_NONE = np.empty(0, np.int32)
_REPEATED = "repeated"  # an earlier row has the same img_name


class Alike(NamedTuple):
    """Pairs of numbers of one column; each array of shape (pairs,)."""

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    distance: NDArray[np.int8]  # [bits]; 0 for all where the similarity alone counts
    similarity: NDArray[np.float32]


class Kinships(NamedTuple):
    """The k rows of a source that have something in common with others."""

    row_id: NDArray[np.int64]  # shape (k,), the best row first
    codes: dict[str, NDArray[np.int32]]  # by column, each of shape (k,): -1 for null
    repeated: NDArray[np.bool_]  # shape (k,): an earlier row has the same img_name
    alike: dict[str, Alike]  # by column: near-duplicates of PICTURE, semantic ones of SEMANTIC where they count


def bring_kinships_up_to_date(
    scan: ScanReport, settings: Deduplication, pairs: UPath | None, semantic: UPath | None, workspace: UPath
) -> UPath:
    """Return the file of the kinships among the rows of ``scan``; beside it stand those of the pairs.

    Args:
        scan: what was scanned.
        settings: what counts as a duplicate, and which row is the better one.
        pairs: near-duplicates (:data:`schemas.tables.PAIRS`); None where they do not count.
        semantic: semantic duplicates (:data:`schemas.tables.SEMANTIC_PAIRS`); None where they do not count.
        workspace: where all are kept.
    """
    signals = [[shard.shard, shard.rows, str(shard.signals.name)] for shard in scan.shards]
    measured = scan.shards[0].signals.parent.name if scan.shards else ""
    asked = settings.model_dump(mode="json", exclude={"references", "near", "semantic"})
    found = [None if file is None else sha256_of(file) for file in (pairs, semantic)]
    key = fingerprint([signals, measured, asked, found, KINSHIPS_VERSION])
    path = workspace / "kinships" / f"{key[:32]}.parquet"
    beside = [_pairs_beside(path, name) for name in (PICTURE, *([] if semantic is None else [SEMANTIC]))]
    if not all(map(is_parquet, (*beside, path))):
        tables = _kinships(scan, settings, pairs, semantic)
        for file, table in zip((*beside, path), tables, strict=True):
            with appearing(file) as temporary:
                pq.write_table(table, temporary, compression="zstd")
    return path


def read_kinships(path: UPath) -> Kinships:
    """Return what :func:`bring_kinships_up_to_date` has kept in ``path``."""
    table = read_parquet(path)
    codes = {name: table[name].to_numpy() for name in table.column_names if name not in ("row_id", _REPEATED)}
    repeated = table[_REPEATED].combine_chunks().to_numpy(zero_copy_only=False)
    pairs = {name: read_parquet(_pairs_beside(path, name)) for name in (PICTURE, SEMANTIC) if name in codes}
    alike = {name: Alike(*(column.to_numpy() for column in found.columns)) for name, found in pairs.items()}
    return Kinships(table["row_id"].to_numpy(), codes, repeated, alike)


def _pairs_beside(path: UPath, name: str) -> UPath:
    return path.with_name(f"{path.stem}-{name}.parquet")


def _kinships(scan: ScanReport, settings: Deduplication, pairs: UPath | None, semantic: UPath | None) -> list[pa.Table]:
    """Return the pairs of :class:`Kinships` as a table for each column that has some, and its rows as the last."""
    near = PAIRS.empty_table() if pairs is None else read_parquet(pairs)
    signatures = _distinct(near, _SIGNATURES)
    shared: dict[str, Sharing] = {
        BYTES: equal_digests(scan),
        PICTURE: rows_that_share(lambda: rows_with(scan, "signature"), scan.rows, also=signatures),
    }
    alike = [_alike(near, _SIGNATURES, signatures, shared[PICTURE].of_also, "similarity")]
    del near
    if semantic is not None:
        cosines = read_parquet(semantic)
        rows = _distinct(cosines, _ROWS)
        shared[SEMANTIC] = _same_picture(scan, shared[BYTES], also=rows)
        alike.append(_alike(cosines, _ROWS, rows, shared[SEMANTIC].of_also, "cosine"))
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
    for name in list(shared):
        sharing = shared.pop(name)
        code = np.full(len(row_ids), -1, np.int32)
        code[np.searchsorted(row_ids, sharing.rows)] = sharing.code
        columns[name] = code[order]
    return [*alike, pa.table(columns)]


_SIGNATURES, _ROWS = ("signature_a", "signature_b"), ("row_a", "row_b")


def _distinct(pairs: pa.Table, ends: tuple[str, str]) -> NDArray[Any]:
    """Return all that is one of a pair, ascending."""
    return np.unique(np.concatenate([pairs[end].to_numpy() for end in ends]))


def _alike(
    pairs: pa.Table, ends: tuple[str, str], distinct: NDArray[Any], codes: NDArray[np.int32], similarity: str
) -> pa.Table:
    """Return ``pairs`` as the columns of :class:`Alike`; ``codes`` are the numbers of all that is ``distinct``."""
    a, b = (codes[np.searchsorted(distinct, pairs[end].to_numpy())] for end in ends)
    distance = pairs["distance"] if "distance" in pairs.column_names else np.zeros(len(pairs), np.int8)
    return pa.table({"a": a, "b": b, "distance": distance, "similarity": pairs[similarity]})


def _same_picture(scan: ScanReport, digests: Sharing, *, also: NDArray[np.int64]) -> Sharing:
    """Return the rows whose image file several have, if a model can see it, and the rows ``also``; ascending."""
    decoded = np.empty(len(digests.rows), np.bool_)

    def take_in(here: slice, table: pa.Table) -> None:
        decoded[here] = table["luma_std"].is_valid().to_numpy()

    deque(of_rows(scan, ["luma_std"], digests.rows, take_in), 0)
    rows = np.union1d(digests.rows[decoded], also)
    code = np.full(len(rows), -1, np.int32)
    code[np.searchsorted(rows, digests.rows[decoded])] = digests.code[decoded]
    alone = np.flatnonzero(code < 0)
    code[alone] = int(digests.code.max(initial=-1)) + 1 + np.arange(len(alone))
    return Sharing(rows, code, code[np.searchsorted(rows, also)])


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
    return {NESTED: Sharing(rows, tiles, _NONE), AROUND: Sharing(rows, parent[tiles], _NONE)}


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
