"""Kernel: draw each row's split by a seeded hash of its image or of its place, so that copies share a split."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.deduplicate.buckets import runs
from tasks.select.draw import uniform_hash
from tasks.tiles import tile_number


class Tiles(NamedTuple):
    """Each row's tile; arrays of shape (rows,)."""

    z: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    placed: NDArray[np.bool_]  # the row has a tile; where it has none, the others are 0

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Return the tiles in the columns ``z``, ``x`` and ``y`` of signals, or of an index."""
        placed = table["z"].is_valid().to_numpy() & table["x"].is_valid().to_numpy() & table["y"].is_valid().to_numpy()
        z, x, y = (
            np.where(placed, pc.fill_null(table[name], 0).cast(pa.int64()).to_numpy(), 0) for name in ("z", "x", "y")
        )
        return cls(z, x, y, placed)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the tiles of some rows."""
        return type(self)(self.z[rows], self.x[rows], self.y[rows], self.placed[rows])

    def around(self, zoom: int) -> NDArray[np.uint64]:
        """Return the number of the tile of level ``zoom`` around each tile; of a coarser one its own."""
        level = np.minimum(self.z, zoom)
        up = self.z - level
        return tile_number(*(part.astype(np.uint64) for part in (level, self.x >> up, self.y >> up)))


class Blocks(NamedTuple):
    """The ground that spatial splits are made of; arrays of shape (rows,)."""

    number: NDArray[np.uint64]  # of each row's block; 0 where it has none
    inside: NDArray[np.bool_]  # the row's tile lies in one block; not so where it is coarser, or absent


def draw_splits(identity: NDArray[np.uint64], fractions: Sequence[float], seed: int) -> NDArray[np.int8]:
    """Return the position of each row's split in ``fractions``.

    Args:
        identity: shape (rows,): rows of equal identity share a split (:func:`tasks.select.draw.identify_rows`).
        fractions: what part of all rows each split takes; they sum to 1.
        seed: the draw of a row depends on nothing but fractions, seed and its identity.
    """
    edges = np.cumsum(fractions)[:-1]
    return np.searchsorted(edges, uniform_hash(identity, seed, "split"), side="right").astype(np.int8)


def find_blocks(tiles: Tiles, zoom: int) -> Blocks:
    """Return each row's block: the tile of zoom level ``zoom`` around its own."""
    inside = tiles.placed & (tiles.z >= zoom)
    return Blocks(np.where(inside, tiles.around(zoom), np.uint64(0)), inside)


class Ground(NamedTuple):
    """Blocks that hold rows, and so are somebody's ground; each of shape (blocks,), numbers ascending."""

    number: NDArray[np.uint64]
    split: NDArray[np.int8]

    @classmethod
    def of(cls, blocks: Blocks, split: NDArray[np.int8], counted: NDArray[np.bool_]) -> Self:
        """Return the blocks of those rows that are ``counted``; ``split`` is that of each row, by its block."""
        rows = np.flatnonzero(blocks.inside & counted)
        rows = rows[np.argsort(blocks.number[rows])]
        first = rows[runs(blocks.number[rows])[:-1]]
        return cls(blocks.number[first], split[first])

    def with_more(self, other: Self) -> Self:
        """Return the blocks of both."""
        number, first = np.unique(np.concatenate([self.number, other.number]), return_index=True)
        return type(self)(number, np.concatenate([self.split, other.split])[first])


def near_border(
    tiles: Tiles, blocks: Blocks, split: NDArray[np.int8], ground: Ground, *, zoom: int, buffer_zoom: int, depth: int
) -> NDArray[np.bool_]:
    """Return which rows lie within ``depth`` tiles of zoom ``buffer_zoom`` of a block of another split.

    Args:
        tiles, blocks: of each row.
        split: of each row, by its block.
        ground: of the whole source.
        zoom: of the blocks.
        buffer_zoom: at least ``zoom``.
        depth: at most the tiles that a block is wide.
    """
    inside = np.flatnonzero(blocks.inside)
    tiles, split = tiles.take(inside), split[inside]
    finer = np.maximum(tiles.z - buffer_zoom, 0)  # what the tile lies in, at the buffer's zoom
    coarser = np.maximum(buffer_zoom - tiles.z, 0)  # or what it is made of
    west, north = (((part >> finer) << coarser) for part in (tiles.x, tiles.y))
    wide = np.left_shift(1, coarser) - 1
    down, side = buffer_zoom - zoom, 1 << buffer_zoom
    column, row = west >> down, north >> down
    columns = (((west - depth) % side) >> down, column, ((west + wide + depth) % side) >> down)
    rows = ((north - depth) >> down, row, (north + wide + depth) >> down)
    near = np.zeros(len(inside), np.bool_)
    for across, along in product(columns, rows):
        other = (along >= 0) & (along < 1 << zoom)
        if across is not column:
            other &= across != column
        if along is not row:
            other &= along != row
        if len(ground.number) and (across is not column or along is not row):
            there = np.flatnonzero(other)
            place = (np.full(len(there), zoom), across[there], along[there])
            number = tile_number(*(part.astype(np.uint64) for part in place))
            at = np.minimum(np.searchsorted(ground.number, number), len(ground.number) - 1)
            near[there] |= (ground.number[at] == number) & (ground.split[at] != split[there])
    found = np.zeros(len(blocks.inside), np.bool_)
    found[inside[near]] = True
    return found
