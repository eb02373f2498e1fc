"""Take the best of some rows, or draw some of them by a seeded hash."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.reports import Threshold
from schemas.subset import Sampling, Top
from tasks.deduplicate.buckets import SPREAD, buckets
from tasks.select.draw import by_chance, uniform_hash
from tasks.select.masks import level_name
from tasks.select.splits import Tiles

Levels = NDArray[np.int64] | NDArray[np.int8]
"""Zoom levels, -1 for none."""


class Drawn(NamedTuple):
    """What becomes of rows that were drawn from; arrays of shape (rows,)."""

    drawn: NDArray[np.bool_]
    over_size: NDArray[np.bool_]  # not drawn, for the size of the subset alone


def take_top(values: NDArray[np.float64], levels: Levels, tie: NDArray[np.uint64], top: Top) -> NDArray[np.bool_]:
    """Return which rows are the best of all, or of their zoom level.

    Args:
        values: shape (rows,): the signal; what is not finite is the worst.
        levels: zoom level of each row, -1 where it has none.
        tie: what tells of equal values which is the better: :func:`tasks.select.draw.identify_rows`.
        top: how many, and whether the lowest values are the best.
    """
    worth = np.where(np.isfinite(values), values if top.lowest else -values, np.inf)
    taken = np.zeros(len(values), np.bool_)
    for level in np.unique(levels).tolist() if top.per_zoom else [None]:
        rows = np.arange(len(values)) if level is None else np.flatnonzero(levels == level)
        most = (top.rows or 0) if top.fraction is None else int(np.ceil(len(rows) * top.fraction - 1e-9))
        if most < len(rows):
            rows = rows[_least(worth[rows], tie[rows], most)]
        taken[rows] = True
    return taken


def _least(worth: NDArray[np.float64], tie: NDArray[np.uint64], most: int) -> NDArray[np.bool_]:
    """Return which are the ``most`` least of more values."""
    worst = np.partition(worth, max(most - 1, 0))[max(most - 1, 0)]
    least: NDArray[np.bool_] = worth < worst
    equal = np.flatnonzero(worth == worst)
    order = by_chance(uniform_hash(tie[equal], 0, "top"))
    least[equal[order[: most - np.count_nonzero(least)]]] = True
    return least


def top_limits(values: NDArray[np.float64], levels: Levels, top: Top) -> tuple[Threshold, ...]:
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
    identity: NDArray[np.uint64], tiles: Tiles, levels: Levels, sizes: NDArray[np.int64], sampling: Sampling
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
    order = order[by_chance(chance("size")[order])]
    most = len(order) if sampling.max_rows is None else sampling.max_rows
    if sampling.max_bytes is not None:
        most = min(most, int(np.searchsorted(np.cumsum(sizes[order]), sampling.max_bytes, side="right")))
    over_size[order[most:]] = True
    return Drawn(drawn & ~over_size, over_size)


def _first_of_each(
    group: Levels | NDArray[np.uint64], chance: NDArray[np.float64], among: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Return the ``most`` rows of each group with the least ``chance``, of the rows ``among`` which they are."""
    from tasks.select.caps import first_of_each

    first = np.zeros(len(among), np.bool_)
    rows = np.flatnonzero(among)
    spread = group[rows].astype(np.uint64) * SPREAD
    for bucket in buckets(lambda: iter([(rows, spread)]), len(rows)):
        code = pa.array(bucket.values).dictionary_encode().indices.to_numpy()
        first[bucket.rows] = first_of_each(code, chance[bucket.rows], most)
    return first
