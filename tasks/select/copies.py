"""Which rows are copies of each other, however many steps apart: what must not be divided among splits."""

import numpy as np
from numpy.typing import NDArray

from schemas.reports import DeduplicateReport, ScanReport
from tasks.compiled import compiled
from tasks.deduplicate.pictures import distinct_pictures
from tasks.files import read_parquet
from tasks.select.duplicates import equal_digests


def first_equals(scan: ScanReport) -> NDArray[np.int64]:
    """Return the first row with the same picture as each row, in bytes or in what the scan saw of it: shape (rows,)."""
    first = np.arange(scan.rows)
    for code in (equal_digests(scan), distinct_pictures(scan).of_row):
        known = np.flatnonzero(code >= 0)
        of_code = np.full(int(code.max(initial=-1)) + 1, -1, np.int64)
        of_code[code[known][::-1]] = known[::-1]
        _join(first, known, of_code[code[known]])
    return _settled(first)


def first_copies(scan: ScanReport, found: DeduplicateReport, equals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first row that each row can be reached from by steps from copy to copy: shape (rows,).

    Args:
        scan: what was scanned.
        found: what of it is near.
        equals: :func:`first_equals`.
    """
    if found.path is None:
        return equals
    pictures, pairs = distinct_pictures(scan), read_parquet(found.path, ["signature_a", "signature_b"])
    a, b = (
        pictures.row_id[np.searchsorted(pictures.signature, pairs[name].to_numpy())]
        for name in ("signature_a", "signature_b")
    )
    first = equals.copy()
    _join(first, a, b)
    return _settled(first)


def _settled(first: NDArray[np.int64]) -> NDArray[np.int64]:
    _settle(first)
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
