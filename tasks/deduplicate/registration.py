"""Kernel: how alike two pictures are once they are laid over each other, from their descriptors.

Phase does not matter to a hash within its radius, but it does to a correlation: a shift of two hundredths of a side
takes a third of it. So pictures are registered first: their offset, or the crop that one is of the other, is improved
step by step from where a hash has found it. Sums run in a fixed order, without fused or reordered operations: the same
descriptors give the same bits everywhere.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled, in_threads
from tasks.deduplicate.views import FULL, GRID, Overlap, unweighed, window_matrix
from tasks.scan.descriptor import SIDE, frequency

_FREQUENCIES = 12  # of the ground in common that are compared; finer ones tell more of the registration than of it
_SHORTEST = 42  # side of the ground in common that is looked at [sixtieths]
_HOPELESS = 0.35  # so far below what is asked, a step of a sixtieth does not lead there
_STEPS = 6  # from where a hash has found it, the right place is two or three away


Floats = NDArray[np.float32]
_Tables = tuple[Floats, Floats, Floats]
_Work = tuple[_Tables, Floats, Floats, Floats, Floats]


class Registrations(NamedTuple):
    """Where to begin laying m pairs of pictures over each other; each of shape (m,)."""

    a: NDArray[np.int64]  # positions in an array of descriptors
    b: NDArray[np.int64]
    orientation: NDArray[np.int8]  # of b, as in :func:`tasks.deduplicate.views.turned`


def _windows() -> tuple[Floats, Floats]:
    """Return the matrices of :func:`window_matrix` by begin and length, and the same transposed."""
    begins, lengths = GRID - _SHORTEST + 1, GRID - _SHORTEST + 1
    tables = np.zeros((begins, lengths, _FREQUENCIES, SIDE), np.float32)
    for begin in range(begins):
        for length in range(_SHORTEST, GRID - begin + 1):
            tables[begin, length - _SHORTEST] = window_matrix(begin, length, _FREQUENCIES)
    return tables, np.ascontiguousarray(tables.transpose(0, 1, 3, 2))


def _emphasis() -> Floats:
    """Return what products of coefficients are weighed with: the frequency, so that each says half of what it could."""
    radial = frequency()[:_FREQUENCIES, :_FREQUENCIES]
    radial[0, 0] = 0.0  # the mean of the part says nothing
    emphasis: Floats = np.rint(4096 * radial).astype(np.float32) / np.float32(4096)
    return emphasis


def similarities(descriptors: NDArray[np.int8], pairs: Registrations, overlap: Overlap, enough: Floats) -> Floats:
    """Return the correlation of each pair over the ground that it has in common [-1..1].

    The weighed correlation of the 12 x 12 lowest frequencies of the common ground, brightness and contrast left out, at
    the best registration near the one that ``overlap`` stands for, or the first that is good enough.

    Args:
        descriptors: shape (n, 256).
        pairs: which to compare.
        overlap: how they were found to overlap; two full views where they show the same ground.
        enough: shape (m,), from what value on no better registration of each pair is looked for.
    """
    scale = unweighed().astype(np.float32)
    a, b = overlap.a, overlap.b
    crop = b == FULL and a != FULL
    start = np.array([a.top, a.left, a.side] if crop else [a.top - b.top, a.left - b.left, 0], np.int64)
    found = np.empty(len(pairs.a), np.float32)

    def register(begin: int, end: int) -> None:
        piece = slice(begin, end)
        parts = (pairs.a[piece], pairs.b[piece], pairs.orientation[piece])
        _register(descriptors, *parts, scale, _TABLES, start, crop, enough[piece], found[piece])

    in_threads(register, len(found))
    return found


# Arguments, and no constants of what is compiled: a compiled function that is kept would not hear of changes elsewhere.
_TABLES = (*_windows(), _emphasis())


@compiled
def _load(descriptor: NDArray[np.int8], scale: Floats, orientation: int, out: Floats) -> None:
    for row in range(SIDE):
        for column in range(SIDE):
            from_row, from_column = (column, row) if orientation & 4 else (row, column)
            value = np.float32(descriptor[from_row * SIDE + from_column]) * scale[row, column]
            odd = ((orientation & 1) and (column & 1)) != ((orientation & 2) and (row & 1))
            out[row, column] = -value if odd else value


@compiled
def _multiply(left: Floats, right: Floats, out: Floats) -> None:
    """Fill ``out`` with the product of two matrices. The inner loop runs along rows, so that it is vectorised."""
    out[:] = np.float32(0)
    for i in range(left.shape[0]):
        for j in range(left.shape[1]):
            weight = left[i, j]
            for k in range(right.shape[1]):
                out[i, k] += weight * right[j, k]


@compiled
def _look(
    numbers: Floats, top: int, height: int, left: int, width: int, tables: _Tables, between: Floats, out: Floats
) -> None:
    """Fill ``out`` with the coefficients of a part of a picture."""
    _multiply(tables[0][top, height - _SHORTEST], numbers, between)
    _multiply(between, tables[1][left, width - _SHORTEST], out)


@compiled
def _correlate(a: Floats, b: Floats, emphasis: Floats, sums: Floats) -> np.float32:
    for k in range(_FREQUENCIES):
        sums[0, k] = sums[1, k] = sums[2, k] = np.float32(0)
    for i in range(_FREQUENCIES):
        for k in range(_FREQUENCIES):
            weight = emphasis[i, k]
            sums[0, k] += weight * a[i, k] * b[i, k]
            sums[1, k] += weight * a[i, k] * a[i, k]
            sums[2, k] += weight * b[i, k] * b[i, k]
    both, own_a, own_b = 0.0, 0.0, 0.0
    for k in range(_FREQUENCIES):
        both += sums[0, k]
        own_a += sums[1, k]
        own_b += sums[2, k]
    if own_a <= 0.0 or own_b <= 0.0:
        return np.float32(0)
    return np.float32(both / np.sqrt(own_a * own_b))


@compiled
def _shifted(a: Floats, b: Floats, down: int, right: int, work: _Work) -> np.float32:
    """Return the correlation where what is at (y, x) in b is at (y + down, x + right) in a."""
    height, width = GRID - abs(down), GRID - abs(right)
    if height < _SHORTEST or width < _SHORTEST:
        return np.float32(-2)
    tables, between, seen_a, seen_b, sums = work
    _look(a, max(down, 0), height, max(right, 0), width, tables, between, seen_a)
    _look(b, max(-down, 0), height, max(-right, 0), width, tables, between, seen_b)
    return _correlate(seen_a, seen_b, tables[2], sums)


@compiled
def _cropped(a: Floats, b: Floats, top: int, left: int, side: int, work: _Work) -> np.float32:
    """Return the correlation where the whole of b is a part of a."""
    if min(top, left) < 0 or max(top, left) + side > GRID or side < _SHORTEST:
        return np.float32(-2)
    tables, between, seen_a, seen_b, sums = work
    _look(a, top, side, left, side, tables, between, seen_a)
    _look(b, 0, GRID, 0, GRID, tables, between, seen_b)
    return _correlate(seen_a, seen_b, tables[2], sums)


# Steps of a registration: down, right, and the side of a crop.
_SHIFTS = np.array([(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)], np.int64)
_RESIZES = np.array(
    [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 1, -1), (1, 0, -1), (1, 1, -1), (0, 0, 1),
     (-1, 0, 1), (0, -1, 1), (-1, -1, 1)], np.int64,
)  # fmt: skip


@compiled
def _climb(
    a: Floats, b: Floats, down: int, right: int, side: int, crop: bool, enough: np.float32, work: _Work
) -> np.float32:
    """Return the best correlation on the way uphill from a crop of that side or, for none, from a shift."""
    moves = _RESIZES if crop else _SHIFTS
    best = _cropped(a, b, down, right, side, work) if crop else _shifted(a, b, down, right, work)
    for _ in range(_STEPS):
        if best >= enough or best < enough - np.float32(_HOPELESS):
            break
        at = -1
        for number in range(len(moves)):
            top, left, length = down + moves[number, 0], right + moves[number, 1], side + moves[number, 2]
            found = _cropped(a, b, top, left, length, work) if crop else _shifted(a, b, top, left, work)
            if found > best:
                best, at = found, number
        if at < 0:
            break
        down, right, side = down + moves[at, 0], right + moves[at, 1], side + moves[at, 2]
    return best


@compiled
def _register(
    descriptors: NDArray[np.int8], a: NDArray[np.int64], b: NDArray[np.int64], orientation: NDArray[np.int8],
    scale: Floats, tables: _Tables, start: NDArray[np.int64], crop: bool, enough: Floats, found: Floats,
) -> None:  # fmt: skip
    first = np.empty((SIDE, SIDE), np.float32)
    second = np.empty((SIDE, SIDE), np.float32)
    work = (
        tables,
        np.empty((_FREQUENCIES, SIDE), np.float32),
        np.empty((_FREQUENCIES, _FREQUENCIES), np.float32),
        np.empty((_FREQUENCIES, _FREQUENCIES), np.float32),
        np.empty((3, _FREQUENCIES), np.float32),
    )
    for pair in range(len(a)):
        _load(descriptors[a[pair]], scale, 0, first)
        _load(descriptors[b[pair]], scale, orientation[pair], second)
        best = _climb(first, second, start[0], start[1], start[2], crop, enough[pair], work)
        shifted = start[0] != 0 or start[1] != 0
        if not crop and not shifted and enough[pair] - np.float32(_HOPELESS) <= best < enough[pair]:
            best = max(best, _climb(first, second, 1, 1, GRID - 2, True, enough[pair], work))
            if best < enough[pair]:
                best = max(best, _climb(second, first, 1, 1, GRID - 2, True, enough[pair], work))
        found[pair] = best
