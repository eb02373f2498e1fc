"""Kernel: the perceptual hashes of parts of pictures, from the pictures' descriptors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled, in_threads
from tasks.deduplicate.views import View, unweighed, window_matrix
from tasks.scan.descriptor import HASH_SIDE, SIDE

FAINT = 0.1
"""Part of the energy of the whole picture, for its size, that a view needs: what is fainter is noise, or the echo of an
edge beside it, and would be like any other such view."""


def view_hashes(descriptors: NDArray[np.int8], views: Sequence[View]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the perceptual hash of each view of each picture, as if it were a picture of its own.

    Args:
        descriptors: shape (n, 256).
        views: the views.

    Returns:
        Hashes, shape (views, n), and whether there is enough in the view to be hashed.
    """
    begins = sorted({(at, view.side) for view in views for at in (view.top, view.left)})
    matrices = np.stack([window_matrix(*begin, HASH_SIDE) for begin in begins]).astype(np.float32)
    tops = np.array([begins.index((view.top, view.side)) for view in views])
    lefts = np.array([begins.index((view.left, view.side)) for view in views])
    hashes = np.empty((len(views), len(descriptors)), np.uint64)
    present = np.empty((len(views), len(descriptors)), np.bool_)
    scale = unweighed().astype(np.float32)

    def fill(begin: int, end: int) -> None:
        piece = slice(begin, end)
        _fill(descriptors[piece], scale, matrices, tops, lefts, hashes[:, piece], present[:, piece])

    in_threads(fill, len(descriptors))
    return hashes, present


@compiled
def _fill(
    descriptors: NDArray[np.int8], scale: NDArray[np.float32], matrices: NDArray[np.float32],
    tops: NDArray[np.int64], lefts: NDArray[np.int64], hashes: NDArray[np.uint64], present: NDArray[np.bool_],
) -> None:  # fmt: skip
    columns = np.ascontiguousarray(matrices.transpose(0, 2, 1))
    numbers = np.empty((SIDE, SIDE), np.float32)
    bands = np.empty((len(matrices), HASH_SIDE, SIDE), np.float32)
    part = np.empty(HASH_SIDE, np.float32)
    for row in range(len(descriptors)):
        energy = np.float32(0)
        for j in range(SIDE):
            for k in range(SIDE):
                numbers[j, k] = np.float32(descriptors[row, j * SIDE + k]) * scale[j, k]
                energy += numbers[j, k] * numbers[j, k]
        bands[:] = np.float32(0)
        for begin in range(len(matrices)):
            for i in range(HASH_SIDE):
                for j in range(SIDE):
                    weight = matrices[begin, i, j]
                    for k in range(SIDE):
                        bands[begin, i, k] += weight * numbers[j, k]
        for view in range(len(tops)):
            bits = np.uint64(0)
            seen = np.float32(0)
            for i in range(HASH_SIDE):
                for k in range(HASH_SIDE):
                    part[k] = np.float32(0)
                for j in range(SIDE):
                    weight = bands[tops[view], i, j]
                    for k in range(HASH_SIDE):
                        part[k] += weight * columns[lefts[view], j, k]
                for k in range(HASH_SIDE):
                    bits <<= np.uint64(1)
                    if i + k > 0:
                        bits |= np.uint64(part[k] > 0)
                        seen += part[k] * part[k]
            hashes[view, row] = bits
            present[view, row] = seen > 0 and seen >= np.float32(FAINT) * energy
