"""The signals of a whole source: the files of all its shards as one table, or in pieces, in source order."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reports import ScanReport
from tasks.files import read_parquet
from tasks.source.shards import Shard, SourceError

_T = TypeVar("_T")

PIECE_ROWS = 2**19
"""Rows of a piece, or a few more: so many that arrays pay, so few that a piece of all signals is some 100 MB."""

KEPT_BYTES = 2**30
"""Most bytes of signals that stay in memory to be read again: 100 for each of ten million rows."""

_MOST_THREADS = 8  # each holds a piece


class Kept:
    """Pieces of columns that stay in memory to be read again, as many as :data:`KEPT_BYTES` hold."""

    def __init__(self) -> None:
        self._columns: dict[tuple[int, str], pa.Table] = {}  # one column each, by the first row of the piece, and name
        self._room = KEPT_BYTES
        self._lock = threading.Lock()

    def piece(self, first: int, columns: Sequence[str], read: Callable[[list[str]], pa.Table]) -> pa.Table:
        """Return ``columns`` of the piece that begins with row ``first``; ``read`` tells those that are not kept."""
        with self._lock:
            found = {name: self._columns[first, name] for name in columns if (first, name) in self._columns}
        missing = [name for name in columns if name not in found]
        if missing:
            table = read(missing)
            found |= {name: table.select([name]) for name in missing}
            with self._lock:
                for name in missing:
                    if (first, name) not in self._columns and found[name].nbytes <= self._room:
                        self._columns[first, name] = found[name]
                        self._room -= found[name].nbytes
        schema = pa.schema([found[name].field(0) for name in columns])  # which says what is never null
        return pa.table([found[name].column(0) for name in columns], schema=schema)


def load_signals(scan: ScanReport, columns: Sequence[str], kept: Kept | None = None) -> pa.Table:
    """Return ``columns`` of every row's signals; a row's position is its ``row_id``.

    Args:
        scan: what was scanned.
        columns: names in :data:`schemas.tables.SIGNALS`.
        kept: what need not be read again.
    """
    tables = list(in_pieces(scan, columns, lambda _, table: table, kept))
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def in_pieces(
    scan: ScanReport, columns: Sequence[str], work: Callable[[slice, pa.Table], _T], kept: Kept | None = None
) -> Iterator[_T]:
    """Yield, in source order, what ``work`` makes of some whole shards: their ``row_id``s, and ``columns`` of signals.

    A thread for each core reads a piece and works on it, a few pieces ahead of what is yielded. What is ``kept`` of
    this scan is not read again.
    """
    starts = first_row_ids(scan).tolist()
    pieces: list[list[int]] = []
    for number, start in enumerate(starts[:-1]):
        if not pieces or start - starts[pieces[-1][0]] >= PIECE_ROWS:
            pieces.append([])
        pieces[-1].append(number)

    def made(numbers: list[int]) -> _T:
        def read(names: Sequence[str]) -> pa.Table:
            tables = [read_parquet(scan.shards[number].signals, names, threads=False) for number in numbers]
            return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()

        place = slice(starts[numbers[0]], starts[numbers[-1] + 1])
        return work(place, read(columns) if kept is None else kept.piece(place.start, columns, read))

    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[_T]] = deque()
        try:
            for piece in pieces:
                ahead.append(pool.submit(made, piece))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # of who stops early, or fails, nothing more is read
            for future in ahead:
                future.cancel()


def of_rows(
    scan: ScanReport,
    columns: Sequence[str],
    row_ids: NDArray[np.int64],
    work: Callable[[slice, pa.Table], _T],
    kept: Kept | None = None,
) -> Iterator[_T]:
    """Yield what ``work`` makes of the signals of ``row_ids`` (ascending): which of them, and ``columns`` of theirs."""

    def made(place: slice, table: pa.Table) -> _T:
        here = slice(*np.searchsorted(row_ids, [place.start, place.stop]).tolist())
        return work(here, table.take(row_ids[here] - place.start))

    return in_pieces(scan, columns, made, kept)


def readable_shards(shards: Sequence[Shard], scan: ScanReport) -> list[Shard]:
    """Return the shards that ``scan`` could read, in its order.

    Raises:
        SourceError: if one is not listed any more.
    """
    by_name = {shard.name: shard for shard in shards}
    gone = [report.shard for report in scan.shards if report.shard not in by_name]
    if gone:
        raise SourceError(f"{gone[0]}: was scanned, and is not in the source any more; run again")
    return [by_name[report.shard] for report in scan.shards]


def first_row_ids(scan: ScanReport) -> NDArray[np.int64]:
    """Return the ``row_id`` of each shard's first row, and, last, the number of rows: shape (shards + 1,)."""
    return np.concatenate([[0], np.cumsum([shard.rows for shard in scan.shards], dtype=np.int64)])


def by_shard(scan: ScanReport, row_ids: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each shard that holds some of ``row_ids`` (ascending): its position in ``scan`` and its ``row_id``s."""
    edges = np.searchsorted(row_ids, first_row_ids(scan))
    for index in np.flatnonzero(np.diff(edges)).tolist():
        yield index, row_ids[edges[index] : edges[index + 1]]
