"""Parquet data files, as the Hub and its viewer read them best."""

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.source.columns import IMAGE
from tasks.source.formats.batches import BYTES
from tasks.write.rows import Rows, image_bytes
from tasks.write.schema import DataSchema
from tasks.write.sink import Sink


class ParquetFile:
    """A Parquet file that is being written, row group by row group.

    It has small row groups and a page index, so that a viewer fetches what it shows. Images are stored as they are:
    they are compressed already, and storage that cuts files by content keeps what two versions of a subset share once.
    More of it is shared than if pages were cut by content as well: ``python -m benchmarks.chunks``.
    """

    def __init__(self, sink: Sink, target: DataSchema, row_group_rows: int):
        self._image = target.columns.get(IMAGE)
        self._rows = row_group_rows
        self._waiting: list[pa.Table] = []
        schema = target.schema
        text = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
        stored = {f"{self._image}.bytes": "NONE"} if self._image is not None else {}
        self._writer = pq.ParquetWriter(
            sink,
            schema,
            compression=dict.fromkeys(text, "ZSTD") | stored,
            use_dictionary=text,
            write_statistics=[name for name in schema.names if name != self._image],
            write_page_index=True,
        )

    def write(self, rows: Rows) -> None:
        """Add ``rows``; they are kept in memory until there are enough for a row group, or large pictures among them.

        A row group has the rows asked for, but for the last, and those of large pictures.
        """
        self._waiting.append(rows.table)
        count = sum(map(len, self._waiting))
        if count >= self._rows:
            joined = pa.concat_tables(self._waiting)
            whole = count - count % self._rows
            self._flush(joined.slice(0, whole))
            self._waiting = [joined.slice(whole)]
        elif sum(image_bytes(part, self._image) for part in self._waiting) >= BYTES:
            self._flush(pa.concat_tables(self._waiting))  # they are not held in memory for each other
            self._waiting = []

    def close(self) -> None:
        """Write what is waiting, and the end of the file."""
        if any(map(len, self._waiting)):
            self._flush(pa.concat_tables(self._waiting))
        self._writer.close()

    def _flush(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=self._rows)
