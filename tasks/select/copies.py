"""Which rows are copies of each other, however many steps apart: what must not be divided among splits."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled
from tasks.deduplicate.kinships import BYTES, PICTURE, Kinships


class Copies(NamedTuple):
    """The first row that each row is a copy of, which may be itself; arrays of shape (k,)."""

    row_id: NDArray[np.int64]  # ascending
    same: NDArray[np.int64]  # position of the first row with the same picture, in bytes or in what the scan saw of it
    near: NDArray[np.int64]  # of the first that can be reached by steps from copy to copy


def find_copies(kinships: Kinships) -> Copies:
    """Return the copies among the rows of ``kinships``; all others are nobody's.

    Semantic duplicates are left out: from step to step a whole class of pictures, all sea or all forest, would become
    the copies of one, and could be in no more than one split.
    """
    order = np.argsort(kinships.row_id)
    same = np.arange(len(order))
    codes = {name: kinships.codes[name][order] for name in (BYTES, PICTURE)}
    first = {name: _first_of_code(code) for name, code in codes.items()}
    for name, code in codes.items():
        known = np.flatnonzero(code >= 0)
        _join(same, known, first[name][code[known]])
    _settle(same)
    near = same.copy()
    pairs = kinships.alike[PICTURE]
    _join(near, first[PICTURE][pairs.a], first[PICTURE][pairs.b])
    _settle(near)
    return Copies(kinships.row_id[order], same, near)


def _first_of_code(code: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the first row that has each code, from 0 on."""
    known = np.flatnonzero(code >= 0)
    first = np.full(int(code.max(initial=-1)) + 1, -1, np.int64)
    first[code[known][::-1]] = known[::-1]
    return first


@compiled
def _root(first: NDArray[np.int64], row: int) -> int:
    while first[row] != row:
        first[row] = first[first[row]]
        row = first[row]
    return row


@compiled
def _join(first: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
    for pair in range(len(a)):
        one, other = _root(first, a[pair]), _root(first, b[pair])
        first[max(one, other)] = min(one, other)


@compiled
def _settle(first: NDArray[np.int64]) -> None:
    for row in range(len(first)):
        first[row] = first[first[row]]  # what comes before is settled
