"""Which rows of a source have the same image file."""

from collections import deque

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reports import ScanReport
from tasks.deduplicate.sharing import Sharing, rows_that_share
from tasks.scan.images import byte_matrix
from tasks.signals import in_pieces, of_rows
from tasks.spill import room


def equal_digests(scan: ScanReport) -> Sharing:
    """Return the rows whose SHA-256 several have; whole digests are compared where 8 bytes are equal."""

    def heads(place: slice, table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        column = table["sha256"].combine_chunks()
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        return place.start + rows, np.ascontiguousarray(byte_matrix(column)[rows, :8]).view(np.uint64)[:, 0]

    alike = rows_that_share(lambda: in_pieces(scan, ["sha256"], heads), scan.rows)
    return _told_apart(scan, alike) if len(alike.rows) else alike


def _told_apart(scan: ScanReport, alike: Sharing) -> Sharing:
    """Return those of ``alike`` whose whole digest several have."""
    first = np.empty(int(alike.code.max()) + 1, np.int64)
    first[alike.code[::-1]] = np.arange(len(alike.rows))[::-1]
    digests = room((len(alike.rows), 32), np.int8)

    def take_in(here: slice, table: pa.Table) -> None:
        digests[here] = byte_matrix(table["sha256"].combine_chunks())

    deque(of_rows(scan, ["sha256"], alike.rows, take_in), 0)
    pieces = range(0, len(digests), 2**20)
    if all(np.array_equal(digests[at : at + 2**20], digests[first[alike.code[at : at + 2**20]]]) for at in pieces):
        return alike
    whole = pa.array([row.tobytes() for row in digests], pa.binary(32)).dictionary_encode().indices.to_numpy()
    told = rows_that_share(lambda: iter([(alike.rows, whole.astype(np.uint64))]), len(whole))
    return told
