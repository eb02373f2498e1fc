"""What every reader gives: batches that are sound and small, and all that is good before a fault."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np
import pyarrow as pa

from tasks.source.shards import ShardUnreadable

_T = TypeVar("_T")

ROWS = 1_024
"""Most rows of a batch: 4 MiB of thumbnails."""

BYTES = 64 * 2**20
"""Most data of a batch that has more than one row [bytes]."""


def sound_slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield ``batch`` in slices of at most :data:`ROWS` rows and :data:`BYTES` bytes, without copying it.

    All that a reader of the columns may follow (offsets, indices, lengths) is checked first: offsets that lie would
    crash whoever follows them. Text is not: a string that is no UTF-8 is one row's fault, and is handed on as it is.

    Raises:
        pa.ArrowInvalid: if the batch is not sound; none of it is given then.
    """
    check_sound(batch)
    if batch.num_rows <= ROWS and batch.nbytes <= BYTES:
        yield batch
        return
    start = 0
    while start < batch.num_rows:
        rows = min(ROWS, batch.num_rows - start)
        while rows > 1 and sum(_data_bytes(column.slice(start, rows)) for column in batch.columns) > BYTES:
            rows = (rows + 1) // 2
        yield batch.slice(start, rows)
        start += rows


def check_sound(batch: pa.RecordBatch) -> None:
    """Check all that a reader of ``batch`` may follow.

    Raises:
        pa.ArrowInvalid: if it is not sound.
    """
    batch.validate()
    for column in batch.columns:
        _text_as_bytes(column).validate(full=True)


def _text_as_bytes(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    as_bytes = _bytes_type(column.type)
    return column if as_bytes == column.type else column.view(as_bytes)


@lru_cache
def _bytes_type(type_: pa.DataType) -> pa.DataType:
    """Return ``type_`` with the same memory layout and bytes in the place of text, however deep."""
    kinds = pa.types
    if isinstance(type_, pa.BaseExtensionType):
        return _bytes_type(type_.storage_type)
    if kinds.is_string(type_):
        return pa.binary()
    if kinds.is_large_string(type_):
        return pa.large_binary()
    if kinds.is_string_view(type_):
        return pa.binary_view()
    if kinds.is_dictionary(type_):
        return pa.dictionary(type_.index_type, _bytes_type(type_.value_type), type_.ordered)
    if kinds.is_run_end_encoded(type_):
        return pa.run_end_encoded(type_.run_end_type, _bytes_type(type_.value_type))
    if kinds.is_struct(type_):
        return pa.struct([_bytes_field(field) for field in type_])
    if kinds.is_map(type_):
        return pa.map_(_bytes_field(type_.key_field), _bytes_field(type_.item_field), type_.keys_sorted)
    if kinds.is_fixed_size_list(type_):
        return pa.list_(_bytes_field(type_.value_field), type_.list_size)
    for is_kind, make in (
        (kinds.is_list, pa.list_),
        (kinds.is_large_list, pa.large_list),
        (kinds.is_list_view, pa.list_view),
        (kinds.is_large_list_view, pa.large_list_view),
    ):
        if is_kind(type_):
            return make(_bytes_field(type_.value_field))
    return type_  # a union's text stays text: its rows are no column that is read here


def _bytes_field(field: pa.Field) -> pa.Field:
    return field.with_type(_bytes_type(field.type))


def _data_bytes(column: pa.Array) -> int:
    """Return how much a slice of a sound column holds [bytes]; what all rows share (a dictionary) is not counted."""
    kinds = pa.types
    if isinstance(column, pa.ExtensionArray):
        return _data_bytes(column.storage)
    if kinds.is_dictionary(column.type):
        return int(column.indices.nbytes)
    if kinds.is_struct(column.type):
        return sum(_data_bytes(column.field(index)) for index in range(column.type.num_fields))
    if kinds.is_string_view(column.type) or kinds.is_binary_view(column.type):
        # 16 bytes a value, the length in the first four; what is longer than 12 bytes lies elsewhere.
        views = np.frombuffer(column.buffers()[1], np.int32, 4 * len(column), 16 * column.offset)
        return 16 * len(column) + int(views[::4].sum(dtype=np.int64))
    return int(column.nbytes)


def chosen(schema: pa.Schema, columns: Collection[str] | None) -> list[int]:
    """Return the positions in ``schema`` of the ``columns`` that it has, in the schema's order; None stands for all."""
    return [index for index, name in enumerate(schema.names) if columns is None or name in columns]


def in_batches(rows: Iterable[_T], size: Callable[[_T], int]) -> Iterator[list[_T]]:
    """Yield ``rows`` in lists of at most :data:`ROWS` rows and, by ``size`` of a row, :data:`BYTES` bytes.

    Raises:
        ShardUnreadable: if ``rows`` does, after what came before it has been given.
    """
    waiting: list[_T] = []
    waiting_bytes = 0
    fault = None
    try:
        for row in rows:
            row_bytes = size(row)
            if waiting and (len(waiting) == ROWS or waiting_bytes + row_bytes > BYTES):
                yield waiting
                waiting, waiting_bytes = [], 0
            waiting.append(row)
            waiting_bytes += row_bytes
    except ShardUnreadable as error:
        fault = error
    if waiting:
        yield waiting
    if fault:
        raise fault
