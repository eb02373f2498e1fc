"""Which split each row goes to, so that copies share a split and, if it is asked for, no ground is in two."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.subset import Spatial, Splits
from tasks.select.masks import Mask, bit
from tasks.select.splits import Blocks, Ground, Tiles, draw_splits, find_blocks, near_border

if TYPE_CHECKING:
    from tasks.select.copies import Copies


class Assigned(NamedTuple):
    """Splits before it is known who is kept; arrays of shape (rows,)."""

    split: NDArray[np.int8]  # position in the recipe's fractions, whose names are sorted
    by_place: NDArray[np.bool_]  # the row's place decided
    reasons: Mask  # why no split can have the row


def assign_splits(splits: Splits, identity: NDArray[np.uint64], tiles: Tiles | None, ground: Ground) -> Assigned:
    """Return the split of each row by its image, or by its place.

    Args:
        splits: fractions and how they are drawn.
        identity: what each row is drawn by (:func:`tasks.select.draw.identify_rows`).
        tiles: of each row; looked at for splits by place.
        ground: of the rows that passed all thresholds: they alone make a block somebody's.
    """
    split = draw_splits(identity, tuple(splits.fractions.values()), splits.seed)
    spatial = splits.spatial
    nothing = np.zeros(len(identity), np.bool_)
    if spatial is None or tiles is None:
        return Assigned(split, nothing, nothing.astype(np.uint64))
    blocks, of_block = split_blocks(splits, spatial, tiles)
    split = np.where(blocks.inside, of_block, split)
    reasons = bit(Reason.SPLIT_STRADDLED, tiles.placed & ~blocks.inside)
    reasons |= bit(Reason.SPLIT_BORDER, in_buffer(spatial, tiles, blocks, split, ground))
    return Assigned(split, blocks.inside, reasons)


def split_blocks(splits: Splits, spatial: Spatial, tiles: Tiles) -> tuple[Blocks, NDArray[np.int8]]:
    """Return the block of each row, and its split."""
    blocks = find_blocks(tiles, spatial.zoom)
    return blocks, draw_splits(blocks.number, tuple(splits.fractions.values()), splits.seed)


def in_buffer(
    spatial: Spatial, tiles: Tiles, blocks: Blocks, split: NDArray[np.int8], ground: Ground
) -> NDArray[np.bool_]:
    """Return which rows lie in the buffer that ``spatial`` asks for; arguments as :func:`near_border`."""
    buffer = spatial.buffer
    if buffer is None:
        return np.zeros(len(split), np.bool_)
    return near_border(tiles, blocks, split, ground, zoom=spatial.zoom, buffer_zoom=buffer.zoom, depth=buffer.tiles)


def unite_copies(
    splits: Splits, copies: "Copies", identity: NDArray[np.uint64], assigned: Assigned, kept: NDArray[np.bool_]
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return the split of each row, copies together, and which kept rows cannot be together with theirs.

    A row is drawn by the first row of the source that it is a copy of, however many steps apart. Where the place
    decides, a row without one goes where a kept row with the same picture goes, else where one goes that it is a copy
    of; and of kept rows with the same picture in blocks of different splits, those in another split than the first are
    the ones that cannot be together.
    """
    fractions = tuple(splits.fractions.values())
    split = np.where(assigned.by_place, assigned.split, draw_splits(identity[copies.near], fractions, splits.seed))
    if splits.spatial is None:
        return split, np.zeros(len(kept), np.bool_)
    placed = np.flatnonzero(kept & assigned.by_place)
    same, near = _leaders(copies.same, placed), _leaders(copies.near, placed)
    theirs = np.where(same >= 0, split[same], split)
    astray = kept & assigned.by_place & (theirs != split)
    led = np.where(same >= 0, same, near)
    return np.where(assigned.by_place | (led < 0), split, split[led]).astype(np.int8), astray


def _leaders(group: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for every row, the first of ``rows`` in its group; -1 where there is none."""
    leader = np.full(len(group), -1, np.int64)
    leader[group[rows][::-1]] = rows[::-1]
    return leader[group]
