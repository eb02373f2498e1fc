"""Copy the planned rows of one data file: bytes as they are in the source, checked against what was scanned."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import CurationError
from schemas.reports import DataFile
from tasks.files import appearing, sha256_of
from tasks.scan.images import byte_views
from tasks.source import ShardUnreadable, image_bytes, read_schema, take_rows
from tasks.write.plan import FilePlan, ShardRows


class SourceChanged(CurationError):
    """A row is no longer what was scanned; the message names shard and row."""


def copy_rows(plan: FilePlan, template: Path, path: Path, row_group_rows: int) -> DataFile:
    """Write the rows of ``plan`` to the Parquet file ``path``, whole or not at all.

    Args:
        plan: the rows.
        template: a shard whose schema the file takes, the Hub's ``features`` included.
        path: where the file goes.
        row_group_rows: rows of each row group but the last.

    Raises:
        SourceChanged: if a row cannot be read or its image is not the one that was scanned.
    """
    schema = with_features(read_schema(template))
    text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    rows = copied_bytes = 0
    with appearing(path) as temporary:
        with pq.ParquetWriter(
            temporary,
            schema,
            compression={"image.bytes": "NONE"} | dict.fromkeys(text, "ZSTD"),
            use_dictionary=text,
            write_statistics=[name for name in schema.names if name != "image"],
        ) as writer:
            for table in _regroup(_read(plan.parts), row_group_rows):
                writer.write_table(table.cast(schema), row_group_size=row_group_rows)
                rows += len(table)
                copied_bytes += pc.sum(pc.binary_length(pc.struct_field(table["image"], "bytes"))).as_py() or 0
        return DataFile(
            path=plan.path,
            rows=rows,
            byte_length=temporary.stat().st_size,
            sha256=sha256_of(temporary),
            image_bytes=copied_bytes,
        )


def with_features(schema: pa.Schema) -> pa.Schema:
    """Return ``schema`` with the Hub's features metadata, so that ``image`` opens as an ``Image`` feature."""
    if b"huggingface" in (schema.metadata or {}):
        return schema
    from datasets import Features, Image  # slow to import, and only for trees without the metadata

    features = Features.from_arrow_schema(schema)
    features["image"] = Image()
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features.to_dict()}})})


def _read(parts: tuple[ShardRows, ...]) -> Iterator[pa.Table]:
    for shard, rows, digests in parts:
        done = 0
        try:
            for table in take_rows(shard.path, rows):
                expected = digests.slice(done, len(table)).to_pylist()
                for row, data, digest in zip(rows[done : done + len(table)], _images(table), expected, strict=True):
                    found = hashlib.sha256(data).digest() if data else None
                    if found != digest:
                        raise SourceChanged(
                            f"{shard.name}, row {row}: the image's SHA-256 is {found.hex() if found else None}, but "
                            f"{digest.hex() if digest else None} was scanned"
                        )
                done += len(table)
                yield table
        except ShardUnreadable as error:
            raise SourceChanged(f"{error}; it was readable when it was scanned") from error


def _images(table: pa.Table) -> Iterator[memoryview | None]:
    for batch in table.to_batches():
        yield from byte_views(image_bytes(batch))


def _regroup(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables whose lengths are multiples of ``rows``, but for the last."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        count = sum(map(len, waiting))
        if count >= rows:
            joined = pa.concat_tables(waiting)
            whole = count - count % rows
            yield joined.slice(0, whole)
            waiting = [joined.slice(whole)]
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting)
