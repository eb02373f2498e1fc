"""Shards in Arrow's IPC formats: the stream that ``datasets`` writes, and the file, a stream with a footer."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.source.formats.batches import check_sound, chosen, sound_slices
from tasks.source.formats.damage import damage_told, wrong_kind
from tasks.source.shards import ShardUnreadable

_FILE_MAGIC = b"ARROW1\0\0"  # Arrow IPC file format: the magic, padded to eight bytes; a stream follows
_FOOTER_MAGIC = b"ARROW1"  # and before it the footer's length, 4 bytes
_CONTINUATION = b"\xff\xff\xff\xff"  # Arrow IPC streaming format: before each message
_END_OF_STREAM = _CONTINUATION + b"\x00\x00\x00\x00"  # and, with length 0, after the last one


def read_schema(file: pa.NativeFile) -> pa.Schema:
    """Return the schema of a shard, with its metadata; only the first message is read.

    Raises:
        ShardUnreadable: if ``file`` is neither an Arrow IPC stream nor an Arrow IPC file.
    """
    with damage_told(), _stream(file, None) as reader:
        return reader.schema


def read_batches(file: pa.NativeFile, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a shard in order, in sound batches that are views of the file's bytes.

    Args:
        file: the shard, seekable. Of a memory map only the pages of ``columns`` are touched.
        columns: the names of the columns to read, absent ones ignored; None reads all.

    Raises:
        ShardUnreadable: if the shard is cut short, damaged or of the wrong kind, after the good batches before that.
        OSError: for a fault of the file system that may pass.
    """
    with damage_told():
        if file.size() >= len(_FILE_MAGIC) and file.read_at(len(_FILE_MAGIC), 0) == _FILE_MAGIC:
            yield from _read_file(file, columns)
        else:
            yield from _read_stream(file, columns)


def _read_stream(file: pa.NativeFile, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    size = file.size()
    with _stream(file, columns) as reader:
        for batch in reader:
            yield from _slices(batch, columns)
    end = file.tell()
    if end != size:
        raise ShardUnreadable(f"an end-of-stream marker at byte {end:,} of {size:,}; expected it to be the last")
    if file.read_at(len(_END_OF_STREAM), size - len(_END_OF_STREAM)) != _END_OF_STREAM:
        raise ShardUnreadable(f"cut short: no end-of-stream marker in {size:,} bytes")


def _read_file(file: pa.NativeFile, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield the batches of the stream inside an IPC file, held against the footer.

    The footer points anywhere, the stream is in order and readable without a footer: so the stream is read.
    """
    footer, fault = _footer(file)
    found = 0
    with _stream(file, columns) as reader:
        while footer is None or file.tell() != footer.start:  # not every writer ends the stream before the footer
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                break
            yield from _slices(batch, columns)
            found += 1
    if footer is None:
        raise ShardUnreadable(f"its footer is damaged ({fault}); {found:,} record batches were read without it")
    if found != footer.batches:
        raise ShardUnreadable(f"found {found:,} record batches; its footer counts {footer.batches:,}")
    if file.tell() != footer.start:
        raise ShardUnreadable(
            f"an end-of-stream marker at byte {file.tell():,}; its footer is at byte {footer.start:,}"
        )


class Located(NamedTuple):
    """Where the record batches of a shard lie."""

    offsets: NDArray[np.int64]  # shape (batches,) [bytes]
    starts: NDArray[np.int64]  # shape (batches + 1,): the first row of each, and the number of rows


def locate(file: pa.NativeFile, rows: int) -> Located | None:
    """Return where the record batches that hold the first ``rows`` rows lie; each one is sound.

    Args:
        file: the shard, mapped into memory.
        rows: how many rows are asked for.

    Returns:
        None if the batches are not views of the file's bytes, each by itself: compressed, or with dictionaries.

    Raises:
        ShardUnreadable: as :func:`read_batches`, and if there are fewer rows.
    """
    schema = read_schema(file)
    file.seek(0)
    whole = file.read_buffer()
    offsets, starts = [], [0]
    with damage_told():
        file.seek(_start(file))
        messages = pa.ipc.MessageReader.open_stream(file)
        messages.read_next_message()  # the schema
        while starts[-1] < rows:
            offsets.append(file.tell())
            try:
                message = messages.read_next_message()
            except StopIteration:
                raise ShardUnreadable(f"no row {rows - 1}; found {starts[-1]} rows") from None
            if message.type != "record batch":
                return None
            batch = pa.ipc.read_record_batch(message, schema)
            if not _is_view(batch, whole):
                return None
            check_sound(batch)
            starts.append(starts[-1] + batch.num_rows)
    return Located(np.array(offsets, np.int64), np.array(starts, np.int64))


def read_at(file: pa.NativeFile, offset: int, schema: pa.Schema) -> pa.RecordBatch:
    """Return the record batch that :func:`locate` found at ``offset``, as a view of the file's bytes."""
    with damage_told():
        file.seek(offset)
        return pa.ipc.read_record_batch(pa.ipc.read_message(file), schema)


def _is_view(batch: pa.RecordBatch, whole: pa.Buffer) -> bool:
    buffers = (buffer for column in batch.columns for buffer in column.buffers() if buffer is not None and buffer.size)
    end = whole.address + whole.size
    return all(whole.address <= buffer.address < end for buffer in buffers)


class _Footer(NamedTuple):
    start: int  # [bytes]
    batches: int


def _footer(file: pa.NativeFile) -> tuple[_Footer | None, str]:
    """Return what the footer says, or None and what is wrong with it."""
    try:
        with damage_told(), _stream(file, None) as reader, pa.ipc.open_file(file) as by_footer:
            if not by_footer.schema.equals(reader.schema):
                return None, "its schema is not the one at the start"
            end = file.size() - len(_FOOTER_MAGIC) - 4
            length = int.from_bytes(file.read_at(4, end), "little")
            return _Footer(end - length, by_footer.num_record_batches), ""
    except ShardUnreadable as error:
        return None, str(error)


def _stream(file: pa.NativeFile, columns: Collection[str] | None) -> pa.RecordBatchStreamReader:
    start = _start(file)
    file.seek(start)
    options = pa.ipc.IpcReadOptions(use_threads=False)  # the cores are busy with other shards
    reader = pa.ipc.open_stream(file, options=options)
    if columns is None:
        return reader
    options.included_fields = chosen(reader.schema, columns) or [0]  # an empty list stands for all columns
    file.seek(start)
    return pa.ipc.open_stream(file, options=options)


def _start(file: pa.NativeFile) -> int:
    """Return where the stream starts [bytes]."""
    head = file.read_at(min(len(_FILE_MAGIC), file.size()), 0)
    if head != _FILE_MAGIC and not head.startswith(_CONTINUATION):
        raise wrong_kind(file, "an Arrow IPC stream or file")
    return len(_FILE_MAGIC) if head == _FILE_MAGIC else 0


def _slices(batch: pa.RecordBatch, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    selected = chosen(batch.schema, columns)
    for piece in sound_slices(batch):
        yield piece.select(selected)
