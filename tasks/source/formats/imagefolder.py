"""Image folders: images beside a table that names each in its column ``file_name``, as ``datasets`` has it.

The table, and the shard, is a metadata file: ``metadata.csv``, ``metadata.jsonl`` or ``metadata.parquet``; where there
is none the folder itself, whose sub-folders are the labels of what lies in them. A name that leads out of its folder,
be it through a link, is an image that is not there: what lies outside is not read.
"""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import xxhash

from tasks.source.columns import IMAGE, IMAGE_TYPE
from tasks.source.formats import classfolders, metadata
from tasks.source.formats.batches import chosen, in_batches
from tasks.source.formats.damage import damage_told
from tasks.source.formats.fields import text_array
from tasks.source.shards import ShardUnreadable

_NAME = "file_name"
_IMAGE = pa.field(IMAGE, IMAGE_TYPE)
_LARGEST_IMAGE_BYTES = 2**31 - 1
_PIECE_BYTES = 2**20
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})


def read_schema(path: Path) -> pa.Schema:
    """Return the columns of the image folder whose table is ``path``: ``image``, then the table's own.

    Of ``metadata.jsonl`` every line is read, for a field's type is that of all its values.

    Raises:
        ShardUnreadable: if the file is missing or damaged from its start, or has no column ``file_name``.
        OSError: for a fault of the file system that may pass.
    """
    schema = classfolders.SCHEMA if path.is_dir() else metadata.read_schema(path)
    if schema.names.count(_NAME) != 1:
        found = ", ".join(schema.names) or "none"
        raise ShardUnreadable(f"found the columns {found}; expected one named {_NAME}, with each image's path")
    if _IMAGE.name in schema.names:
        raise ShardUnreadable(f"found a column {_IMAGE.name}; expected none beside {_NAME}, which the images come from")
    return schema.insert(0, _IMAGE)


def read_batches(path: Path, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the image folder whose table is ``path``, in the table's order.

    Args:
        path: the metadata file, of which a CSV file's columns are all text; or the folder, sorted by name.
        columns: the names of the columns to read, absent ones ignored; None reads all. Without ``image`` no image
            is opened. An image that is not there is null.

    Raises:
        ShardUnreadable: if the metadata is damaged or an image may not be read, after the good rows before that.
        OSError: for a fault of the file system that may pass.
    """
    read_schema(path)
    with_images = columns is None or _IMAGE.name in columns
    for batch in _table(path, None if columns is None else {*columns, _NAME}):
        for piece in _with_images(_folder(path), batch) if with_images else [batch]:
            yield piece.select(chosen(piece.schema, columns))


def digest(path: Path) -> str:
    """Return what identifies the shard's content: XXH3-128 over the table and each image, in row order.

    Raises:
        ShardUnreadable: if the table is damaged from its start, or an image may not be read.
        OSError: for a fault of the file system that may pass.
    """
    state = xxhash.xxh3_128()
    if not path.is_dir():
        with damage_told(), path.open("rb") as file:
            _update(state, file)
    for name in _named(path):
        _update_name(state, path, name)
        with _image(_folder(path), name) as file:
            state.update(b"missing" if file is None else b"image of %d bytes" % os.fstat(file.fileno()).st_size)
            if file is not None:
                _update(state, file)
    return state.hexdigest()


def stat_all(path: Path) -> str:
    """Return what is another string when the table or an image was written since, without reading an image.

    Raises:
        ShardUnreadable: as :func:`digest`.
        OSError: for a fault of the file system that may pass.
    """
    state = xxhash.xxh3_128()
    with damage_told():
        state.update(_status(path.stat()))
    for name in _named(path):
        _update_name(state, path, name)
        with _image(_folder(path), name) as file:
            state.update(b"missing" if file is None else _status(os.fstat(file.fileno())))
    return state.hexdigest()


def _table(path: Path, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    return classfolders.read_batches(path, columns) if path.is_dir() else metadata.read_batches(path, columns)


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _with_images(folder: Path, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    def images() -> Iterator[tuple[bytes | None, bytes | None]]:
        for name in _names(batch):
            with _image(folder, name) as file:
                yield name, None if file is None else file.read()

    start = 0
    for rows in in_batches(images(), lambda row: len(row[1] or b"")):
        names, data = zip(*rows, strict=True)
        absent = pa.array([value is None for value in data])
        parts = [pa.array(data, pa.binary()), text_array(names)]
        column = pa.StructArray.from_arrays(parts, fields=list(_IMAGE.type), mask=absent)
        yield batch.slice(start, len(rows)).add_column(0, _IMAGE, column)
        start += len(rows)


def _named(path: Path) -> Iterator[bytes | None]:
    """Yield the name in each row of ``path`` up to the first that is damaged: the rest is identified by its bytes."""
    read_schema(path)
    try:
        for batch in _table(path, [_NAME]):
            yield from _names(batch)
    except ShardUnreadable:
        return


def _names(batch: pa.RecordBatch) -> list[bytes | None]:
    column = batch.column(_NAME)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        names: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    except pa.ArrowException as error:
        raise ShardUnreadable(f"column {_NAME} is {column.type}; expected text") from error
    return names


@contextmanager
def _image(folder: Path, name: bytes | None) -> Iterator[BinaryIO | None]:
    """Open the image that a row names; None when there is no such file in the folder."""
    path = _located(folder, name)
    descriptor = None if path is None else _descriptor(path, os.fsdecode(name or b""))
    if descriptor is None:
        yield None
        return
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _descriptor(path: str, name: str) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError as error:
        raise ShardUnreadable(f"image {name}: {error.strerror}") from error
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST_IMAGE_BYTES:
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise ShardUnreadable(f"image {name} has {status.st_size:,} bytes; expected less than 2 GiB")
    return None


def _located(folder: Path, name: bytes | None) -> str | None:
    """Return where the image lies, all links followed; None when that is not in ``folder`` or below it."""
    if not name or b"\0" in name or name.startswith(b"/"):
        return None
    inside = os.path.realpath(folder).rstrip("/") + "/"
    path = os.path.realpath(inside + os.fsdecode(name))
    return path if path.startswith(inside) else None


def _update(state: xxhash.xxh3_128, file: BinaryIO) -> None:
    while piece := file.read(_PIECE_BYTES):
        state.update(piece)


def _update_name(state: xxhash.xxh3_128, path: Path, name: bytes | None) -> None:
    if path.is_dir():  # a metadata file's names are in its bytes
        state.update(b"%d bytes: %s" % (len(name or b""), name or b""))


def _status(status: os.stat_result) -> bytes:
    return b"%d bytes at %d in %d" % (status.st_size, status.st_mtime_ns, status.st_ino)
