"""Shards in the Parquet format, read row group by row group in batches whose size follows from the data."""

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.source.formats.batches import BYTES, ROWS, chosen, sound_slices
from tasks.source.formats.damage import damage_told, wrong_kind
from tasks.source.shards import ShardUnreadable

_MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"  # the magic of a file whose footer is encrypted
_SMALLEST_BYTES = 12  # two magics and the footer's length
_BATCH_BYTES = BYTES // 4  # decoding a batch takes some five times its size
_READ_BYTES = 4 * 2**20  # a column chunk of 2 GB is read in pieces of this size, not as a whole


def read_schema(file: pa.NativeFile) -> pa.Schema:
    """Return the schema of a shard, with its metadata; only the footer is read.

    Raises:
        ShardUnreadable: if ``file`` is no Parquet file, or has no sound footer.
    """
    with damage_told(), _opened(file) as parquet:
        return parquet.schema_arrow


def read_batches(file: pa.NativeFile, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a shard in order, in sound batches.

    Args:
        file: the shard, seekable; only the footer and the pages of ``columns`` are read.
        columns: the names of the columns to read, absent ones ignored; None reads all.

    Raises:
        ShardUnreadable: if the shard is cut short, damaged, encrypted or of the wrong kind, or has other than the
            declared rows, after the good batches before that.
        OSError: for a fault of the file system that may pass.
    """
    with damage_told(), _opened(file) as parquet:
        found = 0
        for group in range(parquet.metadata.num_row_groups):
            for batch in _row_group(parquet, group, columns):
                found += batch.num_rows
                yield from sound_slices(batch)
        if found != parquet.metadata.num_rows:
            raise ShardUnreadable(f"found {found:,} rows; its footer declares {parquet.metadata.num_rows:,}")


def read_batches_at(
    file: pa.NativeFile, rows: NDArray[np.int64], columns: Collection[str] | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield batches of the row groups that hold some of ``rows`` (ascending), each after its first row's position.

    Other arguments and errors as :func:`read_batches`; of other row groups nothing is read.
    """
    with damage_told(), _opened(file) as parquet:
        first = 0
        for group in range(parquet.metadata.num_row_groups):
            end = first + parquet.metadata.row_group(group).num_rows
            begin, until = np.searchsorted(rows, [first, end])
            if begin < until:
                for batch in _row_group(parquet, group, columns):
                    for part in sound_slices(batch):
                        yield first, part
                        first += part.num_rows
            first = end
        if len(rows) and rows[-1] >= first:
            raise ShardUnreadable(f"no row {rows[np.searchsorted(rows, first)]}; found {first} rows")


def _row_group(parquet: pq.ParquetFile, group: int, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    declared = parquet.metadata.row_group(group).num_rows
    schema = parquet.schema_arrow  # made anew whenever it is asked for
    names = [schema.names[index] for index in chosen(schema, columns)]
    found = 0
    for batch in parquet.iter_batches(_rows_a_batch(parquet, group), [group], names, use_threads=False):
        found += batch.num_rows
        yield batch.select(chosen(batch.schema, columns))
    if found != declared:
        raise ShardUnreadable(f"row group {group}: found {found:,} rows; its footer declares {declared:,}")


def _rows_a_batch(parquet: pq.ParquetFile, group: int) -> int:
    # Of all columns, for whoever asks pyarrow 26 for a damaged footer's facts on one column aborts.
    facts = parquet.metadata.row_group(group)
    rows: int = _BATCH_BYTES * facts.num_rows // max(1, facts.total_byte_size)
    return min(ROWS, max(1, rows))


def _opened(file: pa.NativeFile) -> pq.ParquetFile:
    size = file.size()
    if size < len(_MAGIC) or file.read_at(len(_MAGIC), 0) not in (_MAGIC, _ENCRYPTED):
        raise wrong_kind(file, "a Parquet file")
    tail = file.read_at(len(_MAGIC), size - len(_MAGIC))
    if tail == _ENCRYPTED:
        raise ShardUnreadable("its footer is encrypted; expected a Parquet file without encryption")
    if size < _SMALLEST_BYTES or tail != _MAGIC:
        raise ShardUnreadable(f"cut short: no footer at the end of {size:,} bytes")
    return pq.ParquetFile(
        file,
        buffer_size=_READ_BYTES,
        pre_buffer=False,  # it would hold the chunks of a whole row group
        page_checksum_verification=True,
        arrow_extensions_enabled=False,  # a column is its values, whatever a registered type would make of them
    )
