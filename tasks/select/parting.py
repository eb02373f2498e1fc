"""Which split each row goes to, and which rows are drawn: what depends on places and draws, piece by piece."""

from collections import deque

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.reports import Threshold
from schemas.subset import Sampling, Subset
from tasks.select.assign import Assigned, assign_splits, in_buffer, unite_copies
from tasks.select.basis import Basis
from tasks.select.masks import Mask, bit, levels, number
from tasks.select.sampling import draw_sample, take_top, top_limits
from tasks.select.splits import NOBODY_S, Ground, Tiles, find_blocks
from tasks.spill import room

_PLACE = ["z", "x", "y"]
_DROPPED = (Reason.SPLIT_STRADDLED, Reason.TOP_MISSED, Reason.NOT_DRAWN, Reason.OVER_SIZE)
_STRADDLED, _MISSED, _NOT_DRAWN, _OVER_SIZE = range(1, 5)

FATES = np.array([0, *(reason.bit for reason in _DROPPED)], np.uint64)
"""The reason of each fate; 0: none."""


def _samples(sampling: Sampling) -> bool:
    return sampling != Sampling(seed=sampling.seed)


def part_rows(subset: Subset, basis: Basis, reject: Mask) -> Assigned:
    """Return the split of each row, before it is known who is kept; what no split can have is noted in ``reject``."""
    splits, spatial = subset.splits, subset.splits.spatial
    parted = Assigned(room(len(reject), np.int8), room(len(reject), np.bool_))
    if len(splits.fractions) == 1 and spatial is None:
        return parted
    identity = basis.identity

    def assign(place: slice, table: pa.Table) -> Ground:
        tiles = Tiles.of(table)
        blocks = None if spatial is None else find_blocks(tiles, spatial.zoom)
        parted.split[place], parted.by_place[place] = assign_splits(splits, identity[place], blocks)
        if spatial is None or blocks is None:
            return NOBODY_S
        # Only rows that passed all thresholds make a block somebody's.
        ground = NOBODY_S if spatial.buffer is None else Ground.of(blocks, parted.split[place], reject[place] == 0)
        reject[place] |= bit(Reason.SPLIT_STRADDLED, tiles.placed & ~blocks.inside)
        return ground

    ground = NOBODY_S
    for part in basis.in_pieces(_PLACE, assign):
        ground = ground.with_more(part)

    if spatial is not None and spatial.buffer is not None:

        def keep_apart(place: slice, table: pa.Table) -> None:
            near = in_buffer(spatial, Tiles.of(table), parted.by_place[place], parted.split[place], ground)
            reject[place] |= bit(Reason.SPLIT_BORDER, near)

        deque(basis.in_pieces(_PLACE, keep_apart), 0)
    return parted


def drop_rows(
    subset: Subset, basis: Basis, parted: Assigned, kept: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], tuple[Threshold, ...]]:
    """Have copies share a split, and draw what the subset draws of the rows that are ``kept``.

    Returns:
        The fate of each row, 0 for one that is not dropped (:data:`FATES`), and the top as a threshold.
    """
    fate = room(len(kept), np.uint8)
    if len(subset.splits.fractions) > 1:
        rows = basis.copies.row_id
        assigned = Assigned(parted.split[rows], parted.by_place[rows])
        identity = basis.identity[rows]
        parted.split[rows], astray = unite_copies(subset.splits, basis.copies, identity, assigned, kept[rows])
        fate[rows[astray]] = _STRADDLED
    if subset.top is None and not _samples(subset.sampling):
        return fate, ()
    left = np.flatnonzero(kept & (fate == 0))
    limits: tuple[Threshold, ...] = ()
    if subset.top is not None:
        values, level = np.empty(len(left)), np.empty(len(left), np.int8)
        signal = subset.top.signal

        def take_in(here: slice, table: pa.Table) -> None:
            values[here], level[here] = number(table, signal), levels(table)

        deque(basis.of_rows(sorted({signal, "z"}), left, take_in, subset), 0)
        taken = take_top(values, level, basis.identity[left], subset.top)
        fate[left[~taken]] = _MISSED
        limits = top_limits(values[taken], level[taken], subset.top)
        left = left[taken]
    if _samples(subset.sampling):
        drawn = draw_sample(basis.identity[left], *_drawn_by(subset.sampling, basis, left), subset.sampling)
        fate[left[~drawn.drawn & ~drawn.over_size]] = _NOT_DRAWN
        fate[left[drawn.over_size]] = _OVER_SIZE
    return fate, limits


def _drawn_by(
    sampling: Sampling, basis: Basis, row_ids: NDArray[np.int64]
) -> tuple[Tiles, NDArray[np.int8], NDArray[np.int64]]:
    """Return tiles, zoom levels and image sizes of some rows; zeros where nothing is drawn by them."""
    rows = len(row_ids)
    tiles = Tiles(room(rows, np.int64), room(rows, np.int64), room(rows, np.int64), room(rows, np.bool_))
    level, sizes = np.zeros(rows, np.int8), room(rows, np.int64)
    if sampling.per_tile is not None or sampling.per_zoom is not None:

        def place(here: slice, table: pa.Table) -> None:
            level[here] = levels(table)
            for whole, part in zip(tiles, Tiles.of(table), strict=True):
                whole[here] = part

        deque(basis.of_rows(_PLACE, row_ids, place), 0)
    if sampling.max_bytes is not None:

        def measure(here: slice, table: pa.Table) -> None:
            sizes[here] = table["byte_length"].to_numpy()

        deque(basis.of_rows(["byte_length"], row_ids, measure), 0)
    return tiles, level, sizes
