"""Kernel: what a descriptor or a hash becomes when the picture is turned, mirrored, or seen through a window.

A view is a part of a picture, in sixtieths of its sides. Two pictures that overlap have a view in common; with the few
views of :data:`OVERLAPS` any offset up to a fifth of a side is met to within a sixtieth.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.scan.descriptor import SIDE, frequency

GRID = 60
"""Views begin and end on multiples of 1/60 of a side: four pixels of a 256-pixel tile."""

ORIENTATIONS = 8
"""Ways to lay a square picture: 0 as it is; +1 mirrored left to right, +2 top to bottom, +4 transposed before that."""

_ODD_COLUMNS = np.uint64(0x5555_5555_5555_5555)  # frequencies 1, 3, 5, 7 along a row: the first bit is the highest
_ODD_ROWS = np.uint64(0x00FF_00FF_00FF_00FF)

_WINDOW = 48  # a window is 0.8 of a side
# A perfect ruler (Golomb) of length 6: every difference up to 12, in steps of 2, is that of two marks.
_MARKS = (0, 2, 8, 12)
_LEAST_COMMON = 0.78  # part of the ground that two views share; a little less than the 0.8 that is promised
_CROPS = ((55, (0, 2, 5)), (50, (0, 3, 5, 7, 10)))  # sides of a crop, and where it may begin
_FIXED_POINT = 4096
_SAMPLES = 64


class View(NamedTuple):
    """A part of a picture [sixtieths]."""

    top: int
    left: int
    side: int


class Overlap(NamedTuple):
    """Views of two pictures that show the same ground when the pictures overlap in one certain way."""

    a: View
    b: View


FULL = View(0, 0, GRID)


def turned(descriptor: NDArray[np.int8], orientation: int) -> NDArray[np.int8]:
    """Return the descriptors of the turned pictures; shape (n, 256), as given."""
    numbers = descriptor.reshape(-1, SIDE, SIDE)
    if orientation & 4:
        numbers = numbers.transpose(0, 2, 1)
    sign = np.where(np.arange(SIDE) % 2, -1, 1).astype(np.int8)
    numbers = numbers * (sign[None, None, :] if orientation & 1 else np.int8(1))
    numbers = numbers * (sign[None, :, None] if orientation & 2 else np.int8(1))
    return np.ascontiguousarray(numbers).reshape(-1, SIDE**2)


def turned_hashes(phash: NDArray[np.uint64], orientation: int) -> NDArray[np.uint64]:
    """Return the hashes of the turned pictures, but for numbers that are 0, whose sign cannot change.

    >>> hex(turned_hashes(np.array([1 << 62], np.uint64), 4)[0])
    '0x80000000000000'
    """
    hashes = _transposed(phash) if orientation & 4 else phash
    if orientation & 1:
        hashes = hashes ^ _ODD_COLUMNS
    return hashes ^ _ODD_ROWS if orientation & 2 else hashes


def inverse(orientation: int) -> int:
    """Return what turns the picture back.

    >>> [inverse(orientation) for orientation in range(8)]
    [0, 1, 2, 3, 4, 6, 5, 7]
    """
    return {5: 6, 6: 5}.get(orientation, orientation)


def _transposed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Transpose 8 x 8 bits (Warren, Hacker's Delight, 2nd edition, 7-3)."""
    for shift, mask in ((7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)):
        swapped = (bits ^ (bits >> np.uint64(shift))) & np.uint64(mask)
        bits = bits ^ swapped ^ (swapped << np.uint64(shift))
    return bits


def _overlaps() -> tuple[Overlap, ...]:
    found = []
    pairs = {a - b: (a, b) for a in _MARKS for b in _MARKS if a != b} | {0: (_MARKS[1], _MARKS[1])}
    for down, (top_a, top_b) in sorted(pairs.items()):
        for right, (left_a, left_b) in sorted(pairs.items()):
            common = (1 - abs(down) / GRID) * (1 - abs(right) / GRID)
            if common >= _LEAST_COMMON and (down, right) > (0, 0):  # the opposite offset is the same pair, b and a
                found.append(Overlap(View(top_a, left_a, _WINDOW), View(top_b, left_b, _WINDOW)))
    crops = [View(top, left, side) for side, begins in _CROPS for top in begins for left in begins]
    return (*found, *(Overlap(view, FULL) for view in crops))


OVERLAPS = _overlaps()
"""How two pictures may overlap: one shifted against the other, or one a crop of the other."""


@cache
def window_matrix(begin: int, length: int, frequencies: int) -> NDArray[np.float64]:
    """Return what makes the lowest DCT coefficients of a part of a side out of those of the whole side.

    Args:
        begin: where the part begins [sixtieths].
        length: of the part [sixtieths].
        frequencies: how many coefficients are made.

    Returns:
        Shape (frequencies, 16), multiples of 1/4096; coefficients are those of the orthonormal DCT-II.
    """
    place = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    waves = np.cos(np.pi * np.arange(SIDE) * (begin + length * place)[:, None] / GRID) * _norm(SIDE)
    analysis = np.cos(np.pi * np.arange(frequencies)[:, None] * place) * _norm(frequencies)[:, None] / _SAMPLES
    matrix: NDArray[np.float64] = np.rint(_FIXED_POINT * (analysis @ waves)) / _FIXED_POINT
    return matrix


def _norm(frequencies: int) -> NDArray[np.float64]:
    return np.where(np.arange(frequencies) == 0, 1.0, np.sqrt(2.0))


@cache
def unweighed() -> NDArray[np.float64]:
    """Return what a descriptor's numbers are multiplied by to be coefficients again, up to a factor: (16, 16)."""
    return np.rint(_FIXED_POINT / frequency()) / _FIXED_POINT
