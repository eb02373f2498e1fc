"""Which split each row goes to, and which rows are drawn: what depends on places and draws, piece by piece."""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.reports import ScanReport, Threshold
from schemas.subset import Sampling, Subset
from tasks.select.assign import Assigned, assign_splits, split_blocks, unite_copies
from tasks.select.draw import identify_rows
from tasks.select.masks import Mask, levels, number
from tasks.select.sampling import draw_sample, take_top, top_limits
from tasks.select.splits import Ground, Tiles
from tasks.signals import in_pieces, of_rows
from tasks.spill import room

if TYPE_CHECKING:
    from tasks.deduplicate.kinships import Kinships

_PLACE = ["z", "x", "y"]
_DROPPED = (Reason.SPLIT_STRADDLED, Reason.TOP_MISSED, Reason.NOT_DRAWN, Reason.OVER_SIZE)
_STRADDLED, _MISSED, _NOT_DRAWN, _OVER_SIZE = range(1, 5)

FATES = np.array([0, *(reason.bit for reason in _DROPPED)], np.uint64)
"""The reason of each fate; 0: none."""


class Parted(NamedTuple):
    """Where rows go; arrays of shape (rows,)."""

    split: NDArray[np.int8]  # position in the recipe's fractions, whose names are sorted
    by_place: NDArray[np.bool_]  # the row's place decided


def identities(subset: Subset, scan: ScanReport) -> NDArray[np.uint64]:
    """Return what each row is drawn by, shape (rows,); zeros where ``subset`` draws nothing."""
    identity = room(scan.rows, np.uint64)
    if len(subset.splits.fractions) > 1 or subset.top is not None or _samples(subset.sampling):

        def identify(place: slice, table: pa.Table) -> None:
            identity[place] = identify_rows(table["sha256"], table["img_name_xxh3"], place.start)

        deque(in_pieces(scan, ["sha256", "img_name_xxh3"], identify), 0)
    return identity


def _samples(sampling: Sampling) -> bool:
    return sampling != Sampling(seed=sampling.seed)


def part_rows(subset: Subset, scan: ScanReport, identity: NDArray[np.uint64], reject: Mask) -> Parted:
    """Return the split of each row, before it is known who is kept; what no split can have is noted in ``reject``."""
    splits = subset.splits
    parted = Parted(room(scan.rows, np.int8), room(scan.rows, np.bool_))
    if len(splits.fractions) == 1 and splits.spatial is None:
        return parted
    ground = Ground(np.empty(0, np.uint64), np.empty(0, np.int8))
    if splits.spatial is not None and splits.spatial.buffer is not None:
        spatial = splits.spatial

        def ground_of(place: slice, table: pa.Table) -> Ground:
            blocks, split = split_blocks(splits, spatial, Tiles.of(table))
            return Ground.of(blocks, split, reject[place] == 0)

        for part in in_pieces(scan, _PLACE, ground_of):
            ground = ground.with_more(part)

    def assign(place: slice, table: pa.Table) -> None:
        assigned = assign_splits(splits, identity[place], Tiles.of(table), ground)
        parted.split[place], parted.by_place[place] = assigned.split, assigned.by_place
        reject[place] |= assigned.reasons

    deque(in_pieces(scan, _PLACE, assign), 0)
    return parted


def drop_rows(
    subset: Subset,
    scan: ScanReport,
    kinships: "Kinships",
    identity: NDArray[np.uint64],
    parted: Parted,
    kept: NDArray[np.bool_],
) -> tuple[NDArray[np.uint8], tuple[Threshold, ...]]:
    """Have copies share a split, and draw what the subset draws of the rows that are ``kept``.

    Returns:
        The fate of each row, 0 for one that is not dropped (:data:`FATES`), and the top as a threshold.
    """
    fate = room(scan.rows, np.uint8)
    if len(subset.splits.fractions) > 1:
        from tasks.select.copies import find_copies

        copies = find_copies(kinships)
        rows = copies.row_id
        assigned = Assigned(parted.split[rows], parted.by_place[rows], np.zeros(len(rows), np.uint64))
        parted.split[rows], astray = unite_copies(subset.splits, copies, identity[rows], assigned, kept[rows])
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

        deque(of_rows(scan, sorted({signal, "z"}), left, take_in), 0)
        taken = take_top(values, level, identity[left], subset.top)
        fate[left[~taken]] = _MISSED
        limits = top_limits(values[taken], level[taken], subset.top)
        left = left[taken]
    if _samples(subset.sampling):
        drawn = draw_sample(identity[left], *_drawn_by(subset.sampling, scan, left), subset.sampling)
        fate[left[~drawn.drawn & ~drawn.over_size]] = _NOT_DRAWN
        fate[left[drawn.over_size]] = _OVER_SIZE
    return fate, limits


def _drawn_by(
    sampling: Sampling, scan: ScanReport, row_ids: NDArray[np.int64]
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

        deque(of_rows(scan, _PLACE, row_ids, place), 0)
    if sampling.max_bytes is not None:

        def measure(here: slice, table: pa.Table) -> None:
            sizes[here] = table["byte_length"].to_numpy()

        deque(of_rows(scan, ["byte_length"], row_ids, measure), 0)
    return tiles, level, sizes
