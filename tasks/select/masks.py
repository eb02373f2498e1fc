"""Bit masks over :data:`schemas.reasons.REASONS`, and the numbers that rules compare."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.thresholds import ResolutionRange, ScoreRange, WordRange, ZoomRange

Mask = NDArray[np.uint64]


class Masks(NamedTuple):
    """Rules each row breaks, each of shape (rows,), dtype uint64."""

    reject: Mask  # rules whose action is reject
    flag: Mask  # rules whose action is flag


def bit(reason: Reason, rows: NDArray[np.bool_]) -> Mask:
    """Return the bit of ``reason`` for the rows that are true."""
    return rows * np.uint64(reason.bit)


def number(signals: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as float64 with NaN for null; every comparison with NaN is false."""
    values: NDArray[np.float64] = signals[name].cast(pa.float64()).to_numpy()  # which makes null NaN
    return values


def outside(
    values: NDArray[np.float64], limits: ScoreRange | WordRange | ZoomRange | ResolutionRange
) -> NDArray[np.bool_]:
    """Return which values are not in the range; NaN is in none that has an end."""
    found = np.zeros(len(values), np.bool_)
    if limits.min is not None:
        found |= ~(values >= limits.min)
    if limits.max is not None:
        found |= ~(values <= limits.max)
    return found


NO_LEVEL = "none"
"""What stands for a zoom level in :attr:`schemas.reports.Threshold.by_zoom` for rows that have none."""


def level_name(level: int | None) -> str:
    """Return the name of a zoom level, of which -1 and None are no level."""
    return NO_LEVEL if level is None or level < 0 else str(level)


def levels(signals: pa.Table) -> NDArray[np.int64]:
    """Return the zoom level of each row, -1 where it has none."""
    found: NDArray[np.int64] = pc.fill_null(signals["z"].cast(pa.int64()), -1).to_numpy()
    return found
