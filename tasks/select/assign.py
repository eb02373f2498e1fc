"""Which split each row goes to, so that copies share a split and, if it is asked for, no ground is in two."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.subset import Spatial, Splits
from tasks.select.splits import Blocks, Ground, Tiles, draw_splits

if TYPE_CHECKING:
    from tasks.select.copies import Copies


class Assigned(NamedTuple):
    """Splits before it is known who is kept; arrays of shape (rows,)."""

    split: NDArray[np.int8]  # position in the recipe's fractions, whose names are sorted
    by_place: NDArray[np.bool_]  # the row's place decided


def assign_splits(splits: Splits, identity: NDArray[np.uint64], blocks: Blocks | None) -> Assigned:
    """Return the split of each row by its image, or by its place.

    Args:
        splits: fractions and how they are drawn.
        identity: what each row is drawn by (:func:`tasks.select.draw.identify_rows`).
        blocks: of each row; None where no place decides.
    """
    fractions = tuple(splits.fractions.values())
    split = draw_splits(identity, fractions, splits.seed)
    if blocks is None:
        return Assigned(split, np.zeros(len(identity), np.bool_))
    return Assigned(np.where(blocks.inside, draw_splits(blocks.number, fractions, splits.seed), split), blocks.inside)


def in_buffer(
    spatial: Spatial, tiles: Tiles, inside: NDArray[np.bool_], split: NDArray[np.int8], ground: Ground
) -> NDArray[np.bool_]:
    """Return which rows lie in the buffer that ``spatial`` asks for; arguments as
    :func:`tasks.select.borders.near_border`."""
    buffer = spatial.buffer
    if buffer is None:
        return np.zeros(len(split), np.bool_)
    from tasks.select.borders import near_border

    return near_border(tiles, inside, split, ground, zoom=spatial.zoom, buffer_zoom=buffer.zoom, depth=buffer.tiles)


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
