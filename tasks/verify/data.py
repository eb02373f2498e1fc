"""What the checks read of a subset's data files."""

from collections.abc import Iterator

import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from schemas.manifest import Manifest
from schemas.reports import DataFile
from tasks.scan.images import byte_views

SHOWN = 5
"""Rows named for each fault."""


def data_files(manifest: Manifest, split: str) -> Iterator[DataFile]:
    """Yield the data files of ``split``, in order."""
    return (file for file in manifest.files if file.path.startswith(f"data/{split}-"))


def image_views(path: UPath, image: str) -> Iterator[memoryview | None]:
    """Yield each row's image in the column ``image`` of a data file; None where there is none.

    Raises:
        OSError, pa.ArrowException, KeyError: from where on the file cannot be read, or if it has no such column.
    """
    with path.open("rb") as opened, pq.ParquetFile(opened) as parquet:
        for batch in parquet.iter_batches(batch_size=256, columns=[image]):
            yield from byte_views(pc.struct_field(batch.column(image), "bytes"))
