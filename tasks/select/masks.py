"""Bit masks over :data:`schemas.reasons.REASONS`, and the numbers that rules compare."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
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
    column = signals[name]
    values = as_stored(column).astype(np.float64)
    if column.null_count:
        values[column.is_null().to_numpy()] = np.nan
    return values


def as_stored(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return the numbers of a column as they lie in memory: those of null rows are of no meaning."""
    parts = [
        pa.Array.from_buffers(part.type, len(part), [None, part.buffers()[1]], offset=part.offset).to_numpy()
        for part in column.chunks
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, column.type.to_pandas_dtype()), *parts])


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
    zoom = signals["z"]
    return np.where(zoom.is_valid().to_numpy(), as_stored(zoom), np.int64(-1))
