"""Read shards of any format: fetched if need be, mapped, batch by batch, in bounded memory."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from types import ModuleType

import httpx2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.source.formats import arrow, imagefolder, parquet, webdataset
from tasks.source.formats.arrow import Located
from tasks.source.formats.mapped import opened
from tasks.source.places.patience import PassingFault
from tasks.source.places.trees import open_filesystem
from tasks.source.shards import Shard, ShardUnreadable

_BY_RANGES = ("arrow", "parquet")
_RANGE_BYTES = 2**20

_READERS: dict[str, ModuleType] = {"arrow": arrow, "parquet": parquet, "webdataset": webdataset}


@contextmanager
def at_hand(shard: Shard) -> Iterator[None]:
    """Keep the shard's bytes at ``shard.path`` for the length of a ``with`` block; a remote one is fetched first.

    Raises:
        ShardUnreadable: if it cannot be fetched.
        OSError: for a fault of the network that outlasted every retry.
    """
    with ExitStack() as lease:
        if shard.remote is not None and shard.fetched is not None:
            with _told_of(shard):
                lease.enter_context(shard.fetched.lease(shard.remote))
        yield


def let_go(shards: Iterable[Shard]) -> None:
    """Drop what was fetched of ``shards`` onto this machine and is not in use, where no flow will do so."""
    for fetched in {shard.fetched for shard in shards if shard.fetched is not None}:
        fetched.clear()


def read_batches(
    shard: Shard, columns: Collection[str] | None = None, *, in_place: bool = False
) -> Generator[pa.RecordBatch]:
    """Yield the rows of ``shard`` in order, with the shard's own columns.

    Args:
        shard: the shard.
        columns: names of the top-level columns to read; None reads all.
        in_place: read a shard that lies elsewhere by ranges, where its format allows it: for few rows or columns.

    Yields:
        Sound batches, at most 1,024 rows and some 64 MiB each: views of the mapped file where the format allows.

    Raises:
        ShardUnreadable: if the shard cannot be read, or not from here on: all sound batches before are given first.
        OSError: for a fault of the file system or network that may pass.
    """
    with _told_of(shard):
        if shard.format == "imagefolder":
            yield from imagefolder.read_batches(shard.path, columns)
            return
        with open_shard(shard, in_place=in_place) as (file, release):
            for batch in _READERS[shard.format].read_batches(file, columns):
                yield batch
                release()


def read_schema(shard: Shard, *, in_place: bool = False) -> pa.Schema:
    """Return the schema of ``shard``, with its metadata; arguments and errors as for :func:`read_batches`."""
    with _told_of(shard):
        if shard.format == "imagefolder":
            return imagefolder.read_schema(shard.path)
        with open_shard(shard, in_place=in_place) as (file, _):
            return _READERS[shard.format].read_schema(file)


@contextmanager
def open_shard(shard: Shard, *, in_place: bool = False) -> Iterator[tuple[pa.NativeFile, Callable[[], None]]]:
    """Open the file of ``shard``, no image folder; yield it with what gives back the memory of what was read."""
    if in_place and shard.remote is not None and shard.format in _BY_RANGES:
        filesystem, path = open_filesystem(shard.remote.url)
        try:
            with filesystem.open(path, "rb", block_size=_RANGE_BYTES) as file, pa.PythonFile(file, "r") as ranges:
                yield ranges, lambda: None
        except httpx2.HTTPError as error:  # the Hub's client; object stores raise OSError
            raise PassingFault(f"{shard.remote.url}: {type(error).__name__}: {error}") from error
    else:
        # A tar archive is walked as a whole before its first batch: read, not mapped, it leaves no pages behind.
        with at_hand(shard), opened(shard.path, mapped=shard.format != "webdataset") as mapped:
            yield mapped.file, mapped.release


def take_rows(shard: Shard, rows: NDArray[np.int64], columns: Collection[str] | None = None) -> Iterator[pa.Table]:
    """Yield the given rows of one shard, a table for each batch that holds some.

    Args:
        shard: the shard.
        rows: positions in the shard, ascending, each at most once.
        columns: as in :func:`read_batches`.

    Raises:
        ShardUnreadable: as :func:`read_batches`, and if the shard has fewer rows.
    """
    done = end = 0
    with closing(_batches_with(shard, rows, columns)) as batches:
        for start, batch in batches:
            end = start + batch.num_rows
            until = int(np.searchsorted(rows, end))
            if until > done:
                yield _take(batch, rows[done:until] - start)
            done = until
            if done == len(rows):
                return
    if done < len(rows):
        raise ShardUnreadable(f"no row {rows[done]}; found {end} rows", shard.name)


def _batches_with(
    shard: Shard, rows: NDArray[np.int64], columns: Collection[str] | None
) -> Generator[tuple[int, pa.RecordBatch]]:
    """Yield batches that hold all of ``rows``, in order, each after its first row's position."""
    if shard.format == "parquet":
        with _told_of(shard), open_shard(shard) as (file, release):
            for start, batch in parquet.read_batches_at(file, rows, columns):
                yield start, batch
                release()
        return
    start = 0
    for batch in read_batches(shard, columns):
        yield start, batch
        start += batch.num_rows


def _take(batch: pa.RecordBatch, rows: NDArray[np.int64]) -> pa.Table:
    # Slices of neighbours: nothing is copied, and all types can be sliced (Arrow's `take` knows no view types).
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return pa.Table.from_batches([batch.slice(int(run[0]), len(run)) for run in runs])


def may_lie_in_place(shard: Shard) -> bool:
    """Return whether rows of ``shard`` can be had one by one where they lie, unless its batches are compressed."""
    return shard.remote is None and shard.format == "arrow"


def locate_rows(shard: Shard, rows: int) -> Located | None:
    """Return where the first ``rows`` rows of ``shard`` lie, for :class:`RowsInPlace`.

    Returns:
        None if they cannot be had one by one: the shard lies elsewhere, or its format has to be decoded.

    Raises:
        ShardUnreadable: as :func:`read_batches`, and if the shard has fewer rows.
    """
    if not may_lie_in_place(shard):
        return None
    with _told_of(shard), open_shard(shard) as (file, _):
        return arrow.locate(file, rows)


class RowsInPlace:
    """The rows of an open shard, in any order, where they lie."""

    def __init__(self, file: pa.NativeFile, located: Located):
        """Read rows of ``file``, a shard that :func:`locate_rows` was asked about."""
        self._file, self._located = file, located
        self.schema = arrow.read_schema(file)
        self._at, self._batch = -1, pa.record_batch({})

    def row(self, row: int) -> pa.RecordBatch:
        """Return one row, without a copy.

        Raises:
            ShardUnreadable: if it cannot be read.
        """
        at = int(np.searchsorted(self._located.starts, row, "right")) - 1
        if at != self._at:
            self._batch, self._at = arrow.read_at(self._file, int(self._located.offsets[at]), self.schema), at
        return self._batch.slice(row - int(self._located.starts[at]), 1)


@contextmanager
def _told_of(shard: Shard) -> Iterator[None]:
    """Let an error of a reader name the shard."""
    try:
        yield
    except ShardUnreadable as error:
        if error.shard is not None:
            raise
        raise error.of(shard.name) from error
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError) as error:
        raise ShardUnreadable(error.strerror or str(error), shard.name) from error  # will not heal by itself
