"""The distinct pictures of a source, from its signals: rows of equal signatures are one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.reports import ScanReport
from tasks.files import read_parquet
from tasks.scan.descriptor import SIDE
from tasks.scan.images import byte_matrix
from tasks.signals import by_shard, first_row_ids, load_signals


class Pictures(NamedTuple):
    """The n distinct pictures of a source, in ascending order of their signatures."""

    signature: NDArray[np.uint64]  # shape (n,)
    phash: NDArray[np.uint64]  # shape (n,)
    row_id: NDArray[np.int64]  # shape (n,): the first row that has it
    of_row: NDArray[np.int64]  # shape (rows,): position of each row's picture; -1 where it has none


def distinct_pictures(scan: ScanReport) -> Pictures:
    """Return the distinct pictures of all that ``scan`` has read."""
    signals = load_signals(scan, ["signature", "phash"])
    rows = np.flatnonzero(signals["signature"].is_valid().to_numpy())
    signature = signals["signature"].drop_null().to_numpy()
    values, first, inverse = np.unique(signature, return_index=True, return_inverse=True)
    of_row = np.full(len(signals), -1, np.int64)
    of_row[rows] = inverse
    return Pictures(values, signals["phash"].drop_null().to_numpy()[first], rows[first], of_row)


def read_descriptors(scan: ScanReport, row_ids: NDArray[np.int64]) -> NDArray[np.int8]:
    """Return the descriptors of rows that have one, in the order in which they are named: shape (n, 256)."""
    order = np.argsort(row_ids, kind="stable")
    starts = first_row_ids(scan)
    found = np.empty((len(row_ids), SIDE**2), np.int8)
    done = 0
    for index, rows in by_shard(scan, row_ids[order]):
        column = read_parquet(scan.shards[index].signals, ["descriptor"])["descriptor"].combine_chunks()
        found[order[done : done + len(rows)]] = byte_matrix(column)[rows - starts[index]]
        done += len(rows)
    return found
