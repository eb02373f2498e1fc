"""Kernel: all pairs of distinct 64-bit hashes within a Hamming radius."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2048  # 2048 x 2048 distances: 32 MiB of XORs at a time


class HammingPairs(NamedTuple):
    """Pairs of positions in an array of hashes; each of shape (pairs,), ``a < b``, in ascending order of (a, b)."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    distance: NDArray[np.int8]  # [bits]


def hamming_pairs(hashes: NDArray[np.uint64], radius: int) -> HammingPairs:
    """Return every pair of ``hashes`` that differ in at most ``radius`` bits, by comparing all with all.

    Args:
        hashes: shape (n,), dtype uint64; equal values are a pair of distance 0, so collapse them first.
        radius: largest distance [bits].

    >>> hamming_pairs(np.array([0, 1, 7], np.uint64), 1)
    HammingPairs(a=array([0]), b=array([1]), distance=array([1], dtype=int8))
    """
    nothing = np.empty(0, np.int64)
    found = [HammingPairs(nothing, nothing, nothing.astype(np.int8))]
    for i in range(0, len(hashes), _BLOCK):
        for j in range(i, len(hashes), _BLOCK):
            distance = np.bitwise_count(hashes[i : i + _BLOCK, None] ^ hashes[None, j : j + _BLOCK])
            a, b = np.nonzero(distance <= radius)
            above = a + i < b + j
            a, b = a[above], b[above]
            found.append(HammingPairs(a + i, b + j, distance[a, b].astype(np.int8)))
    a, b, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((b, a))
    return HammingPairs(a[order], b[order], distances[order])
