"""Take the best of some rows, or draw some of them by a seeded hash."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.reports import Threshold
from schemas.subset import Sampling, Top
from tasks.select.draw import uniform_hash
from tasks.select.masks import level_name
from tasks.select.splits import Tiles


class Drawn(NamedTuple):
    """What becomes of rows that were drawn from; arrays of shape (rows,)."""

    drawn: NDArray[np.bool_]
    over_size: NDArray[np.bool_]  # not drawn, for the size of the subset alone


def take_top(
    values: NDArray[np.float64], levels: NDArray[np.int64], tie: NDArray[np.uint64], top: Top
) -> NDArray[np.bool_]:
    """Return which rows are the best of all, or of their zoom level.

    Args:
        values: shape (rows,): the signal; what is not finite is the worst.
        levels: zoom level of each row, -1 where it has none.
        tie: what tells of equal values which is the better: :func:`tasks.select.draw.identify_rows`.
        top: how many, and whether the lowest values are the best.
    """
    group = levels if top.per_zoom else np.zeros(len(values), np.int64)
    worth = np.where(np.isfinite(values), values if top.lowest else -values, np.inf)
    order = np.lexsort([uniform_hash(tie, 0, "top"), worth, group])
    rank, size = _ranks(group, order)
    if top.fraction is None:
        return rank < (top.rows or 0)
    taken: NDArray[np.bool_] = rank < np.ceil(size * top.fraction - 1e-9)
    return taken


def top_limits(values: NDArray[np.float64], levels: NDArray[np.int64], top: Top) -> tuple[Threshold, ...]:
    """Return the worst value among rows of the top, of all or of each zoom level, as a threshold; none for no value."""
    worst = np.max if top.lowest else np.min
    found = {}
    for level in np.unique(levels).tolist() if top.per_zoom else [None]:
        among = values if level is None else values[levels == level]
        among = among[np.isfinite(among)]
        if len(among):
            found[level_name(level)] = float(worst(among))
    if not found:
        return ()
    return (
        Threshold(
            key="top.rows" if top.fraction is None else "top.fraction",
            reason=Reason.TOP_MISSED,
            signal=top.signal,
            end="max" if top.lowest else "min",
            **({"by_zoom": found} if top.per_zoom else {"value": found[level_name(None)]}),
        ),
    )


def draw_sample(
    identity: NDArray[np.uint64], tiles: Tiles, levels: NDArray[np.int64], sizes: NDArray[np.int64], sampling: Sampling
) -> Drawn:
    """Return which rows are drawn.

    Args:
        identity: what each row is drawn by (:func:`tasks.select.draw.identify_rows`).
        tiles, levels: place and zoom level of each row.
        sizes: bytes of each row's image.
        sampling: how many.
    """
    drawn = np.ones(len(identity), np.bool_)

    def chance(step: str) -> NDArray[np.float64]:
        # One for each step: what a cap leaves of a full group would else be what the next step takes first.
        return uniform_hash(identity, sampling.seed, step)

    if sampling.per_tile is not None:
        around = tiles.around(sampling.per_tile.zoom)
        drawn &= ~tiles.placed | _first_of_each(around, chance("tile"), drawn & tiles.placed, sampling.per_tile.rows)
    if sampling.per_zoom is not None:
        drawn &= _first_of_each(levels, chance("zoom"), drawn, sampling.per_zoom)
    if sampling.fraction is not None:
        drawn &= chance("fraction") < sampling.fraction
    over_size = np.zeros(len(identity), np.bool_)
    if sampling.max_rows is None and sampling.max_bytes is None:
        return Drawn(drawn, over_size)
    order = np.flatnonzero(drawn)
    order = order[np.argsort(chance("size")[order], kind="stable")]
    most = len(order) if sampling.max_rows is None else sampling.max_rows
    if sampling.max_bytes is not None:
        most = min(most, int(np.searchsorted(np.cumsum(sizes[order]), sampling.max_bytes, side="right")))
    over_size[order[most:]] = True
    return Drawn(drawn & ~over_size, over_size)


def _first_of_each(
    group: NDArray[np.int64] | NDArray[np.uint64], chance: NDArray[np.float64], among: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Return the ``most`` rows of each group with the least ``chance``, of the rows ``among`` which they are."""
    rows = np.flatnonzero(among)
    rank, _ = _ranks(group[rows], np.lexsort([chance[rows], group[rows]]))
    first = np.zeros(len(group), np.bool_)
    first[rows[rank < most]] = True
    return first


def _ranks(
    group: NDArray[np.int64] | NDArray[np.uint64], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each row's place among its group, and the size of that; ``order`` sorts by group first."""
    _, starts, counts = np.unique(group[order], return_index=True, return_counts=True)
    rank, size = (np.empty(len(group), np.int64) for _ in range(2))
    rank[order] = np.arange(len(group)) - np.repeat(starts, counts)
    size[order] = np.repeat(counts, counts)
    return rank, size
