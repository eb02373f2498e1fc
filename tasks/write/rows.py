"""Read the planned rows of a shard, in the schema of the data files, each image checked against what was scanned."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.errors import CurationError
from tasks.scan.identity import shard_status
from tasks.scan.images import byte_views, digest_of
from tasks.source.columns import IMAGE, Layout, facts
from tasks.source.read import take_rows
from tasks.source.shards import Shard, ShardUnreadable
from tasks.write.plan import ShardRows
from tasks.write.schema import TEXT, DataSchema, SchemasDiffer, conform


class SourceChanged(CurationError):
    """A row is no longer what was scanned; the message names shard and row."""

    def __init__(self, message: str, shard: str):
        super().__init__(message, shard)
        self.shard = shard

    def __str__(self) -> str:
        """Return the message."""
        return str(self.args[0])


class Rows(NamedTuple):
    """Some rows of a data file, in its order."""

    table: pa.Table  # in the schema of data files
    row_ids: NDArray[np.int64]  # beside each row


def read_rows(part: ShardRows, target: DataSchema, *, checked: bool = True) -> Iterator[Rows]:
    """Yield the rows of ``part`` in source order, some 64 MiB at a time.

    Args:
        part: the rows.
        target: the schema of the data files.
        checked: hold each image against what was scanned; if not, whoever takes the rows does.

    Raises:
        SourceChanged: if a row cannot be read or its image is not the one that was scanned.
    """
    shard, done = part.shard, 0
    with unchanged(part):
        for found in take_rows(shard, part.rows):
            now = slice(done, done + len(found))
            done += len(found)
            table = as_written(part, found, part.levels[now], target)
            if shard.remote is not None:  # or its bytes would stay on disk, behind the map, until this is written
                table = table.take(np.arange(len(table)))
            if checked and part.sha256 is not None:
                origin = partial(_origin, shard, part.rows[now])
                check_images(table[target.columns[IMAGE]], part.sha256[now], origin)
            yield Rows(table, part.first_row_id + part.rows[now])


@contextmanager
def unchanged(part: ShardRows) -> Iterator[None]:
    """Read the shard of ``part`` within a ``with`` block.

    Raises:
        SourceChanged: if its file was written to since it was scanned, or cannot be read any more.
    """
    try:
        _check_status(part)
        yield
        _check_status(part)
    except ShardUnreadable as error:
        raise unreadable_now(error, part.shard) from error


def unreadable_now(error: ShardUnreadable, shard: Shard) -> SourceChanged:
    """Return the error for a shard that cannot be read any more."""
    return SourceChanged(f"{error.of(shard.name)}; it was readable when it was scanned", shard.name)


def as_written(part: ShardRows, found: pa.Table, levels: NDArray[np.int8], target: DataSchema) -> pa.Table:
    """Return rows of the shard of ``part`` in the schema of the data files; ``levels`` is beside each row of ``found``.

    Raises:
        SchemasDiffer: if a column of the shard cannot be had in the type of the data files.
    """
    try:
        table = conform(found, part.layout, target)
    except SchemasDiffer as error:
        raise SchemasDiffer(f"{part.shard.name}: {error}") from error
    if TEXT in target.schema.names and TEXT not in found.column_names:
        return _with_text(table, found, part.layout, levels)
    return table


def image_views(images: pa.ChunkedArray) -> Iterator[memoryview | None]:
    """Yield the bytes of each image of a column of data files, where they lie; None where there is none."""
    for chunk in images.chunks:
        yield from byte_views(pc.struct_field(chunk, "bytes"))


def image_bytes(table: pa.Table, image: str | None) -> int:
    """Return the bytes of all images in the column ``image``; 0 where there is none."""
    if image is None:
        return 0
    return pc.sum(pc.binary_length(pc.struct_field(table[image], "bytes"))).as_py() or 0


def _origin(shard: Shard, rows: NDArray[np.int64], at: int) -> tuple[Shard, int]:
    return shard, int(rows[at])


def _with_text(table: pa.Table, found: pa.Table, layout: dict[str, str], levels: NDArray[np.int8]) -> pa.Table:
    """Put in the column that Text2Earth is trained on: the zoom level, 0 where there is none, and the caption."""
    only = Layout(caption=layout.get("caption"), Google_location=layout.get("Google_location"))
    captions = pa.chunked_array(
        [facts(batch, only).columns["caption"] for batch in found.to_batches()] if only.caption else [], pa.string()
    )
    if not only.caption:
        captions = pa.chunked_array([pa.nulls(len(table), pa.string())])
    texts = pc.binary_join_element_wise(pa.array(levels).cast(pa.string()), captions, "_GOOGLE_LEVEL_")
    return table.set_column(table.schema.get_field_index(TEXT), table.schema.field(TEXT), texts)


def _check_status(part: ShardRows) -> None:
    if part.status is not None and tuple(shard_status(part.shard)) != part.status:
        name = part.shard.name
        raise SourceChanged(f"{name}: its file was written to since it was scanned", name)


def check_images(
    images: pa.ChunkedArray, digests: pa.FixedSizeBinaryArray, row_of: Callable[[int], tuple[Shard, int]]
) -> None:
    """Hold each image against its SHA-256; ``row_of`` says where the image at a position comes from.

    Raises:
        SourceChanged: naming the first row whose image is another one.
    """
    for at, (data, digest) in enumerate(zip(image_views(images), digests.to_pylist(), strict=True)):
        found = digest_of(data)
        if found != digest:
            shard, row = row_of(at)
            raise SourceChanged(
                f"{shard.name}, row {row}: the image's SHA-256 is {found.hex() if found else None}, but "
                f"{digest.hex() if digest else None} was scanned",
                shard.name,
            )
