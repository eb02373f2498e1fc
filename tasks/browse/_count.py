"""Kernel: count rows by the stages that reject them, and those that none rejects by what figures show."""

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled, in_threads

Counts = NDArray[np.int64]


def count_rows(
    stages: NDArray[np.uint8], bars: NDArray[np.uint8], cells: NDArray[np.uint16], most_cells: int
) -> tuple[Counts, Counts, Counts]:
    """Count rows.

    Args:
        stages: shape (rows,): a bit for each stage that rejects the row.
        bars: shape (figures, rows): the bar of each figure that a row stands in.
        cells: shape (rows,): its cell of the map.
        most_cells: above any cell.

    Returns:
        How many rows have each value of ``stages``, shape (256,); and of the rows that have 0, how many stand in each
        bar, shape (figures, 256), and in each cell, shape (most_cells,).
    """

    def nothing() -> tuple[Counts, Counts, Counts]:
        return np.zeros(256, np.int64), np.zeros((len(bars), 256), np.int64), np.zeros(most_cells, np.int64)

    parts = [nothing()]

    def count(begin: int, end: int) -> None:
        part = nothing()
        _count(stages[begin:end], bars[:, begin:end], cells[begin:end], *part)
        parts.append(part)

    in_threads(count, len(stages))
    values, of_bars, of_cells = (np.sum(found, axis=0) for found in zip(*parts, strict=True))
    return values, of_bars, of_cells


@compiled
def _count(
    stages: NDArray[np.uint8], bars: NDArray[np.uint8], cells: NDArray[np.uint16],
    values: Counts, of_bars: Counts, of_cells: Counts,
) -> None:  # fmt: skip
    for row in range(len(stages)):
        values[stages[row]] += 1
        if stages[row] == 0:
            for figure in range(len(bars)):
                of_bars[figure, bars[figure, row]] += 1
            of_cells[cells[row]] += 1
