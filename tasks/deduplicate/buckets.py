"""Numbers by their first bits, a bucket at a time: what is sorted at once need not be more than memory holds."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BUCKET_ROWS = 2**25
"""Rows of a bucket, at most, where the bits are even: to sort them takes some 40 bytes each, 1.3 GB."""

SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""What numbers with uneven first bits are multiplied by: odd, so that products are as distinct as they; 2**64 over the
golden ratio."""

Pieces = Callable[[], Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]]
"""Goes through rows and their numbers, each of shape (n,), as often as it is called: once for each bucket."""


class Bucket(NamedTuple):
    """The rows whose numbers begin with the same bits; each of shape (n,), in the order in which they came."""

    rows: NDArray[np.int64]
    values: NDArray[np.uint64]


def buckets(pieces: Pieces, rows: int) -> Iterator[Bucket]:
    """Yield all rows of ``pieces``, those with the lowest numbers first, in buckets of up to ``BUCKET_ROWS``.

    Args:
        pieces: read once for each bucket, which takes no room, where to write buckets to disk would.
        rows: how many there are, or a few more. Numbers whose first bits are uneven make uneven buckets.
    """
    bits = max(0, (rows - 1) // BUCKET_ROWS).bit_length()
    for bucket in range(1 << bits):
        found = []
        for here, values in pieces():
            if bits:
                inside = values >> np.uint64(64 - bits) == np.uint64(bucket)
                here, values = here[inside], values[inside]
            found.append(Bucket(here, values))
        parts = [np.concatenate(part) for part in zip(*found, strict=True)] if found else _NOTHING
        yield Bucket(*parts)


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.uint64))


def runs(ordered: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return where each run of equal numbers begins in ``ordered``, shape (n,), and, last, n.

    >>> runs(np.array([3, 3, 5], np.uint64))
    array([0, 2, 3])
    """
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return np.concatenate([[0] if len(ordered) else [], changes, [len(ordered)]]).astype(np.int64)
