"""Kernel: draw each row's split by a seeded hash of its image, so that equal images share a split."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def draw_splits(sha256: NDArray[np.uint8], fractions: Sequence[float], seed: int) -> NDArray[np.int8]:
    """Return the position of each row's split in ``fractions``.

    Args:
        sha256: shape (rows, 32): the digests of the images.
        fractions: what part of all rows each split takes; they sum to 1.
        seed: the draw of a row depends on nothing but fractions, seed and its digest.
    """
    head = np.ascontiguousarray(sha256[:, :8]).view(">u8")[:, 0].astype(np.uint64)
    salt = _mix(np.array([seed], np.uint64))
    uniform = (_mix(head ^ salt) >> np.uint64(11)) * 2.0**-53  # 53 bits fill a float64 in [0, 1)
    edges = np.cumsum(fractions)[:-1]
    return np.searchsorted(edges, uniform, side="right").astype(np.int8)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
