"""Kernel: which rows have a number in common with others."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.deduplicate.buckets import SPREAD, Pieces, buckets, runs

_NONE, _NOBODY = np.empty(0, np.uint64), np.empty(0, np.int64)


class Sharing(NamedTuple):
    """Rows whose number several have."""

    rows: NDArray[np.int64]  # shape (n,), ascending
    code: NDArray[np.int32]  # shape (n,): a number for each number, from 0
    of_also: NDArray[np.int32]  # shape of ``also``: the code of each


def rows_that_share(pieces: Pieces, rows: int, *, most: int = 1, also: NDArray[np.uint64] = _NONE) -> Sharing:
    """Return the rows whose number more than ``most`` rows have.

    Args:
        pieces: rows and their numbers.
        rows: how many, at most.
        most: rows that may have a number in common without being told.
        also: numbers, ascending and distinct, whose rows are told however few they are.
    """

    def spread() -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
        return ((here, values * SPREAD) for here, values in pieces())

    wanted = also * SPREAD
    found_rows, found_codes, known = [], [], 0
    of_also = np.full(len(also), -1, np.int32)
    for bucket in buckets(spread, rows):
        ordered = np.sort(bucket.values)
        begins = runs(ordered)
        shared = ordered[begins[:-1][np.diff(begins) > most]]
        if len(also):
            inside = np.flatnonzero((wanted >= ordered[0]) & (wanted <= ordered[-1])) if len(ordered) else _NOBODY
            shared = np.union1d(shared, wanted[inside])
            of_also[inside] = known + np.searchsorted(shared, wanted[inside])
        del ordered, begins
        candidates = np.flatnonzero(_may_be_among(bucket.values, shared))
        candidates = candidates[np.argsort(bucket.values[candidates])]  # a search in order finds what it needs in cache
        values = bucket.values[candidates]
        at = np.searchsorted(shared, values)
        hit = shared[np.minimum(at, len(shared) - 1)] == values if len(shared) else np.zeros(len(values), np.bool_)
        found_rows.append(bucket.rows[candidates[hit]])
        found_codes.append((known + at[hit]).astype(np.int32))
        known += len(shared)
    shared_rows = np.concatenate(found_rows)
    order = np.argsort(shared_rows)
    return Sharing(shared_rows[order], np.concatenate(found_codes)[order], of_also)


def _may_be_among(values: NDArray[np.uint64], few: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which ``values`` may be one of ``few``: all that are, and a sixteenth of the others at most."""
    bits = max(8, (16 * len(few)).bit_length())
    shift = np.uint64(64 - bits)
    marked = np.zeros(1 << bits, np.bool_)
    marked[few * SPREAD >> shift] = True
    hit: NDArray[np.bool_] = marked[values * SPREAD >> shift]
    return hit
