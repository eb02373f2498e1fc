"""Kernel: which tiles lie near the ground of another split. It is compiled: importing it takes half a second."""

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled
from tasks.select.splits import Ground, Tiles


def near_border(
    tiles: Tiles,
    inside: NDArray[np.bool_],
    split: NDArray[np.int8],
    ground: Ground,
    *,
    zoom: int,
    buffer_zoom: int,
    depth: int,
) -> NDArray[np.bool_]:
    """Return which rows lie within ``depth`` tiles of zoom ``buffer_zoom`` of a block of another split.

    Args:
        tiles: of each row.
        inside: rows whose tile lies in one block; no others are looked at.
        split: of each row, by its block.
        ground: of the whole source.
        zoom: of the blocks.
        buffer_zoom: at least ``zoom``.
        depth: at most the tiles that a block is wide.
    """
    near = np.zeros(len(split), np.bool_)
    _mark(*tiles[:3], inside, split, ground.number, ground.split, zoom, buffer_zoom, depth, near)
    return near


@compiled
def _mark(
    z: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64], inside: NDArray[np.bool_],
    split: NDArray[np.int8], number: NDArray[np.uint64], of_number: NDArray[np.int8],
    zoom: int, buffer_zoom: int, depth: int, near: NDArray[np.bool_],
) -> None:  # fmt: skip
    side, down = 1 << buffer_zoom, buffer_zoom - zoom
    first = ((1 << 2 * zoom) - 1) // 3  # as tasks.tiles.tile_number has it
    for row in range(len(z)):
        if not inside[row]:
            continue
        finer = max(z[row] - buffer_zoom, 0)  # what the tile lies in, at the buffer's zoom
        coarser = max(buffer_zoom - z[row], 0)  # or what it is made of
        west, north, wide = x[row] >> finer << coarser, y[row] >> finer << coarser, (1 << coarser) - 1
        column, line = west >> down, north >> down
        columns = (((west - depth) % side) >> down, column, ((west + wide + depth) % side) >> down)
        lines = ((north - depth) >> down, line, (north + wide + depth) >> down)
        for at in range(9):
            across, along = columns[at // 3], lines[at % 3]
            again = (at // 3 != 1 and across == column) or (at % 3 != 1 and along == line)
            if again or at == 4 or along < 0 or along >= 1 << zoom:
                continue
            block = np.uint64(first + (along << zoom) + across)
            found = np.searchsorted(number, block)
            if found < len(number) and number[found] == block and of_number[found] != split[row]:
                near[row] = True
                break
