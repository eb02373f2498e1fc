"""Compiled loops over pixels. Importing this imports Numba, for a third of a second: do it where it is needed."""

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled


@compiled
def sums(luma: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return what mean, spread and sharpness of thumbnails follow from, exactly.

    Args:
        luma: shape (n, 64, 64).

    Returns:
        Shape (n, 4): the sum of the pixels, that of their squares, and the same of the 4-neighbour Laplacian of all
        pixels but those at an edge.
    """
    found = np.empty((len(luma), 4), np.int64)
    for i in range(len(luma)):
        picture = luma[i]
        height, width = picture.shape
        total = total_squares = edges = edge_squares = np.int64(0)
        for y in range(height):
            # 32 bits hold the sums of a row, at most 62 * 1020**2, and are twice as fast as 64; the casts keep them.
            row = row_squares = np.int32(0)
            for x in range(width):
                level = np.int32(picture[y, x])
                row = np.int32(row + level)
                row_squares = np.int32(row_squares + level * level)
            total += row
            total_squares += row_squares
        for y in range(1, height - 1):
            row = row_squares = np.int32(0)
            for x in range(1, width - 1):
                across = np.int32(picture[y, x - 1]) + np.int32(picture[y, x + 1])
                along = np.int32(picture[y - 1, x]) + np.int32(picture[y + 1, x])
                edge = np.int32(4 * np.int32(picture[y, x]) - across - along)
                row = np.int32(row + edge)
                row_squares = np.int32(row_squares + edge * edge)
            edges += row
            edge_squares += row_squares
        found[i, 0], found[i, 1], found[i, 2], found[i, 3] = total, total_squares, edges, edge_squares
    return found


@compiled
def _paeth(a: np.int32, b: np.int32, c: np.int32) -> np.int32:
    """Return which of ``a`` (before), ``b`` (above) and ``c`` (above that before) is nearest to ``a + b - c``.

    Sean Barrett's form (stb_image 2.29): the next pixel waits for this one, and few steps here wait for ``a``.
    """
    threshold = np.int32(c + c + c - b - a)
    low, high = min(a, b), max(a, b)
    unless = low if high <= threshold else c
    return high if threshold <= low else unless


@compiled
def unfilter(filtered: NDArray[np.uint8], channels: int, pixels: NDArray[np.uint8]) -> bool:
    """Undo the filters of a PNG's rows (PNG specification, 9), of 8 bits a channel.

    Args:
        filtered: shape (height, 1 + width * channels): each row behind the number of its filter.
        channels: bytes of a pixel.
        pixels: shape (height, width * channels): is filled.

    Returns:
        Whether each row names a filter that exists; ``pixels`` is of no meaning if not.
    """
    height, width = pixels.shape
    for y in range(height):
        kind, coded, row = filtered[y, 0], filtered[y, 1:], pixels[y]
        if kind > 4:
            return False
        if kind == 0 or (kind == 2 and y == 0):
            row[:] = coded
        elif kind == 1 or (kind == 4 and y == 0):  # Paeth's choice in the first row is the pixel before
            row[:channels] = coded[:channels]
            for x in range(channels, width):
                row[x] = coded[x] + row[x - channels]
        elif kind == 2:
            above = pixels[y - 1]
            for x in range(width):
                row[x] = coded[x] + above[x]
        elif kind == 3:
            for x in range(width):
                before = np.int32(row[x - channels]) if x >= channels else np.int32(0)
                over = np.int32(pixels[y - 1, x]) if y else np.int32(0)
                row[x] = coded[x] + ((before + over) >> 1)
        else:
            above = pixels[y - 1]
            for x in range(channels):
                row[x] = coded[x] + above[x]
            for x in range(channels, width):
                before, over, corner = row[x - channels], above[x], above[x - channels]
                row[x] = coded[x] + _paeth(np.int32(before), np.int32(over), np.int32(corner))
    return True


@compiled
def luma_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of ``pixels``, shape (height, width, 3 or more), as Pillow rounds it (ITU-R BT.601)."""
    height, width, _ = pixels.shape
    luma = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            red, green, blue = np.int32(pixels[y, x, 0]), np.int32(pixels[y, x, 1]), np.int32(pixels[y, x, 2])
            luma[y, x] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return luma


@compiled
def quartered(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of 4 x 4 pixels: shape (4 h, 4 w) to (h, w); rounded along rows first, as Pillow's box does."""
    height, width = luma.shape[0] // 4, luma.shape[1] // 4
    small = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            total = np.int32(2)
            for line in range(4):
                row = np.int32(2)
                for column in range(4):
                    row += np.int32(luma[4 * y + line, 4 * x + column])
                total += row >> 2
            small[y, x] = total >> 2
    return small
