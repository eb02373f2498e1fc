"""Which rows of a source are duplicates of which, in all the ways that the recipe counts, and who is kept of them."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from upath import UPath

from schemas.reasons import Reason
from schemas.recipe import Deduplication
from schemas.reports import DeduplicateReport, ScanReport
from tasks.deduplicate.pictures import distinct_pictures
from tasks.files import read_parquet
from tasks.scan.images import byte_matrix
from tasks.select.election import Group, Near, Nested, elect
from tasks.select.priority import best_first
from tasks.signals import load_signals
from tasks.tiles import tile_number


class Duplicates(NamedTuple):
    """Who was kept, and of whom all others are duplicates; arrays of shape (rows,)."""

    kept: NDArray[np.bool_]
    reasons: NDArray[np.uint64]  # mask of deduplication reasons, contamination left out
    keeper: NDArray[np.int64]  # of the first of these reasons; -1 where there is none
    distance: NDArray[np.int8]  # from it [bits]; -1 where no picture was compared
    similarity: NDArray[np.float32]  # to it; NaN but for near-duplicates


class Kinships(NamedTuple):
    """In which ways rows are duplicates of each other, and which is the better one."""

    order: NDArray[np.int64]  # all rows, the best first
    groups: dict[Reason, Group]
    near: Near | None
    nested: Nested | None


def find_kinships(scan: ScanReport, settings: Deduplication, found: DeduplicateReport) -> Kinships:
    """Return the duplicates that ``settings`` count, of which ``found`` has the near ones."""
    kinds: dict[Reason, Group] = {}
    if settings.exact_bytes:
        kinds[Reason.DUPLICATE_BYTES] = Group(equal_digests(scan), 1)
    if settings.exact_pixels:
        kinds[Reason.DUPLICATE_PIXELS] = Group(_equal_numbers(scan, "pixels_xxh3"), 1)
    tiles = _tiles(scan) if settings.same_tile or settings.nested_tiles else None
    if tiles and settings.same_tile:
        kinds[Reason.DUPLICATE_TILE] = Group(_codes(tiles.number, tiles.placed), 1)
    if settings.caption_copies is not None:
        kinds[Reason.DUPLICATE_CAPTION] = Group(_equal_numbers(scan, "caption_xxh3"), settings.caption_copies)
    near = None if found.path is None else _near(scan, found.path)
    nested = _nested(tiles) if tiles and settings.nested_tiles else None
    return Kinships(best_first(scan, settings), kinds, near, nested)


def find_keepers(kinships: Kinships, passed: NDArray[np.bool_]) -> Duplicates:
    """Elect keepers among the rows that ``passed`` all else, shape (rows,), and name them to the others.

    Rows that were all elected are all elected again, so that what is left of them can be named in the same way.
    """
    order, kinds, near, nested = kinships
    election = elect(order[passed[order]], len(passed), groups=list(kinds.values()), near=near, nested=nested)
    keepers = dict(zip(kinds, election.groups, strict=True))
    keepers |= {Reason.DUPLICATE_NEAR: election.near, Reason.NESTED_TILE: election.nested}
    return _named(election.kept, keepers, election.distance, election.similarity)


def _named(
    kept: NDArray[np.bool_],
    keepers: dict[Reason, NDArray[np.int64]],
    distance: NDArray[np.int8],
    similarity: NDArray[np.float32],
) -> Duplicates:
    """Return each row's reasons; of a picture that is the same in several ways, the plainest alone."""
    rows = len(kept)
    reasons, keeper = np.zeros(rows, np.uint64), np.full(rows, -1, np.int64)
    far, alike = np.full(rows, -1, np.int8), np.full(rows, np.nan, np.float32)
    for reason in (Reason.DUPLICATE_BYTES, Reason.DUPLICATE_PIXELS, Reason.DUPLICATE_NEAR):
        if reason in keepers:
            hit = (keepers[reason] >= 0) & (keeper < 0)
            reasons |= hit * np.uint64(reason.bit)
            keeper[hit] = keepers[reason][hit]
            far[hit] = distance[hit] if reason is Reason.DUPLICATE_NEAR else 0
            alike[hit] = similarity[hit] if reason is Reason.DUPLICATE_NEAR else np.nan
    for reason in (Reason.DUPLICATE_TILE, Reason.NESTED_TILE, Reason.DUPLICATE_CAPTION):
        if reason in keepers:
            reasons |= (keepers[reason] >= 0) * np.uint64(reason.bit)
            keeper = np.where(keeper < 0, keepers[reason], keeper)
    return Duplicates(kept, reasons, keeper, far, alike)


def _near(scan: ScanReport, path: UPath) -> Near:
    pictures, pairs = distinct_pictures(scan), read_parquet(path)
    a, b = (
        np.searchsorted(pictures.signature, pairs[name].to_numpy()).astype(np.int32)
        for name in ("signature_a", "signature_b")
    )
    return Near(pictures.of_row.astype(np.int32), a, b, pairs["distance"].to_numpy(), pairs["similarity"].to_numpy())


def _equal_numbers(scan: ScanReport, name: str) -> NDArray[np.int32]:
    column = load_signals(scan, [name])[name]
    return _codes(pc.fill_null(column, 0).to_numpy(), column.is_valid().to_numpy())


def equal_digests(scan: ScanReport) -> NDArray[np.int32]:
    """Return a number for each SHA-256 that several rows have; whole digests are compared where 8 bytes are equal."""
    column = load_signals(scan, ["sha256"])["sha256"].combine_chunks()
    heads = np.ascontiguousarray(byte_matrix(column)[:, :8]).view(np.uint64)[:, 0]
    codes = _codes(heads, column.is_valid().to_numpy(zero_copy_only=False))
    rows = np.flatnonzero(codes >= 0)
    if len(rows):
        indices = column.take(pa.array(rows)).dictionary_encode().indices.to_numpy()
        codes[rows] = _codes(indices.astype(np.uint64), np.ones(len(rows), np.bool_))
    return codes


def _codes(values: NDArray[np.uint64], present: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return a number for each value that several rows have, from 0; -1 for one that stands alone, or is absent."""
    codes = np.full(len(values), -1, np.int32)
    rows = np.flatnonzero(present)
    _, inverse, counts = np.unique(values[rows], return_inverse=True, return_counts=True)
    shared = np.where(counts > 1, np.cumsum(counts > 1) - 1, -1)
    codes[rows] = shared[inverse]
    return codes


class _Tiles(NamedTuple):
    """Each row's tile; arrays of shape (rows,)."""

    number: NDArray[np.uint64]  # ascends with z, y and x
    placed: NDArray[np.bool_]  # the row has a tile
    z: NDArray[np.uint64]
    x: NDArray[np.uint64]
    y: NDArray[np.uint64]


def _tiles(scan: ScanReport) -> _Tiles:
    signals = load_signals(scan, ["z", "x", "y"])
    z, x, y = (pc.fill_null(signals[name], 0).to_numpy().astype(np.uint64) for name in ("z", "x", "y"))
    return _Tiles(tile_number(z, x, y), signals["x"].is_valid().to_numpy(), z, x, y)


def _nested(tiles: _Tiles) -> Nested:
    rows = np.flatnonzero(tiles.placed)
    numbers, first, inverse = np.unique(tiles.number[rows], return_index=True, return_inverse=True)
    tile = np.full(len(tiles.placed), -1, np.int32)
    tile[rows] = inverse
    z, x, y = (part[rows[first]] for part in (tiles.z, tiles.x, tiles.y))
    parent = np.full(len(numbers), -1, np.int32)
    for outer in np.unique(z)[::-1]:  # from the smallest tiles on
        inside = np.flatnonzero((z > outer) & (parent < 0))
        up = z[inside] - outer
        wanted = tile_number(np.full_like(up, outer), x[inside] >> up, y[inside] >> up)
        at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
        parent[inside] = np.where(numbers[at] == wanted, at, -1)
    return Nested(tile, parent)
