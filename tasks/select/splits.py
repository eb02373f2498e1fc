"""Kernel: draw each row's split by a seeded hash of its image or of its place, so that copies share a split."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.deduplicate.buckets import runs
from tasks.select.draw import uniform_hash
from tasks.select.masks import as_stored
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
        columns = [table[name] for name in ("z", "x", "y")]
        placed = np.logical_and.reduce([column.is_valid().to_numpy() for column in columns])
        z, x, y = (np.where(placed, as_stored(column), np.int64(0)) for column in columns)
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
    drawn, split = uniform_hash(identity, seed, "split"), np.zeros(identity.shape, np.int8)
    for edge in np.cumsum(fractions)[:-1]:  # few: to count them is quicker than to search among them
        split += drawn >= edge
    return split


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


NOBODY_S = Ground(np.empty(0, np.uint64), np.empty(0, np.int8))
"""No ground at all."""
