"""The distinct pictures of a source, from its signals: rows of equal signatures are one."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reports import ScanReport
from tasks.deduplicate.buckets import buckets, runs
from tasks.files import read_parquet
from tasks.scan.descriptor import SIDE
from tasks.scan.images import byte_matrix
from tasks.signals import by_shard, first_row_ids, in_pieces
from tasks.spill import room


class Pictures(NamedTuple):
    """The n distinct pictures of a source, in ascending order of their signatures."""

    signature: NDArray[np.uint64]  # shape (n,)
    phash: NDArray[np.uint64]  # shape (n,)
    row_id: NDArray[np.int64]  # shape (n,): the first row that has it
    rows: int  # that show one of them


def distinct_pictures(scan: ScanReport) -> Pictures:
    """Return the distinct pictures of all that ``scan`` has read."""
    of_row = room(scan.rows, np.uint64)

    def take_in(place: slice, table: pa.Table) -> None:
        of_row[place] = table["phash"].fill_null(0).to_numpy()

    deque(in_pieces(scan, ["phash"], take_in), 0)
    signature, phash, row_id = room(scan.rows, np.uint64), room(scan.rows, np.uint64), room(scan.rows, np.int64)
    count = rows = 0
    for bucket in buckets(lambda: rows_with(scan, "signature"), scan.rows):
        order = np.argsort(bucket.values)
        ordered = bucket.values[order]
        begins = runs(ordered)[:-1]
        here = slice(count, count + len(begins))
        signature[here] = ordered[begins]
        if len(begins):
            row_id[here] = bucket.rows[np.minimum.reduceat(order, begins)]
        phash[here] = of_row[row_id[here]]
        count, rows = here.stop, rows + len(order)
    return Pictures(signature[:count], phash[:count], row_id[:count], rows)


def rows_with(scan: ScanReport, name: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Yield, piece by piece, the ``row_id``s that have the signal ``name``, a whole number, and their values."""

    def present(place: slice, table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        column = table[name].combine_chunks()
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        return place.start + np.flatnonzero(valid), column.drop_null().to_numpy()

    return in_pieces(scan, [name], present)


def read_descriptors(scan: ScanReport, row_ids: NDArray[np.int64]) -> NDArray[np.int8]:
    """Return the descriptors of rows that have one, in the order in which they are named: shape (n, 256)."""
    order = np.argsort(row_ids, kind="stable")
    starts = first_row_ids(scan)
    found = room((len(row_ids), SIDE**2), np.int8)
    ordered = row_ids[order]

    def read(index: int, rows: NDArray[np.int64]) -> None:
        column = read_parquet(scan.shards[index].signals, ["descriptor"], threads=False)["descriptor"].combine_chunks()
        begin = int(np.searchsorted(ordered, rows[0]))
        found[order[begin : begin + len(rows)]] = byte_matrix(column)[rows - starts[index]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        deque(pool.map(read, *zip(*by_shard(scan, ordered), strict=True)) if len(ordered) else (), 0)
    return found
