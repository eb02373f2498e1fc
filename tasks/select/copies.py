"""Which rows are copies of each other, however many steps apart: what must not be divided among splits."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.reports import ScanReport
from tasks.compiled import compiled
from tasks.deduplicate.pictures import distinct_pictures
from tasks.select.duplicates import Kinships, equal_digests


class Copies(NamedTuple):
    """The first row that each row is a copy of, which may be itself; arrays of shape (rows,)."""

    same: NDArray[np.int64]  # with the same picture, in bytes or in what the scan saw of it
    near: NDArray[np.int64]  # that can be reached from it by steps from copy to copy


def find_copies(scan: ScanReport, kinships: Kinships) -> Copies:
    """Return the copies among the rows of ``scan``; what ``kinships`` knows of them is not looked for again."""
    digests = kinships.groups.get(Reason.DUPLICATE_BYTES)
    near = kinships.near
    nodes = distinct_pictures(scan).of_row if near is None else near.node
    same = np.arange(scan.rows)
    for code in (equal_digests(scan) if digests is None else digests.code, nodes):
        known = np.flatnonzero(code >= 0)
        _join(same, known, _first_of_code(code)[code[known]])
    _settle(same)
    if near is None:
        return Copies(same, same)
    steps, first = same.copy(), _first_of_code(nodes)
    _join(steps, first[near.a], first[near.b])
    _settle(steps)
    return Copies(same, steps)


def _first_of_code(code: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.int64]:
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
