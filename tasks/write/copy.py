"""Write one data file: bytes as they are in the source, checked against what was scanned."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from upath import UPath

from schemas.recipe import Output
from schemas.reports import DataFile
from tasks.files import appearing
from tasks.source.columns import IMAGE
from tasks.write.parquet import ParquetFile
from tasks.write.plan import FilePlan
from tasks.write.rows import Rows, image_bytes, read_rows
from tasks.write.schema import DataSchema
from tasks.write.shuffle import draw_rows
from tasks.write.sink import Sink
from tasks.write.tar import TarFile


def copy_rows(plan: FilePlan, target: DataSchema, path: UPath, output: Output, laid_aside: UPath | None) -> DataFile:
    """Write the rows of ``plan`` to the data file ``path``, whole or not at all.

    Args:
        plan: the rows.
        target: the schema of the file, the Hub's ``features`` included.
        path: where the file goes.
        output: the format of the file, and how it is cut.
        laid_aside: where :func:`tasks.write.shuffle.lay_aside` put the rows; None: they come as in the source.

    Raises:
        SourceChanged: if a row cannot be read or its image is not the one that was scanned.
    """
    image = target.columns.get(IMAGE)
    count = copied = 0
    with appearing(path) as temporary:
        with Sink(temporary) as sink, closing(_open(sink, target, output)) as file:
            for rows in _rows(plan, target, laid_aside):
                file.write(rows)
                count += len(rows.table)
                copied += image_bytes(rows.table, image)
        return DataFile(path=plan.path, rows=count, byte_length=sink.tell(), sha256=sink.sha256(), image_bytes=copied)


def _open(sink: Sink, target: DataSchema, output: Output) -> ParquetFile | TarFile:
    if output.format == "webdataset":
        return TarFile(sink, target)
    return ParquetFile(sink, target, output.row_group_rows)


def _rows(plan: FilePlan, target: DataSchema, laid_aside: UPath | None) -> Iterator[Rows]:
    if laid_aside is not None:
        return draw_rows(plan, laid_aside, target)
    return chain.from_iterable(read_rows(part, target) for part in plan.parts)
