"""The table of an image folder that has no metadata file: its images by name, labelled by the folder each lies in."""

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

import pyarrow as pa

from tasks.source.formats.batches import chosen, in_batches
from tasks.source.formats.fields import text_array
from tasks.source.places.trees import LocalTree
from tasks.source.shards import ShardUnreadable, SourceError

SCHEMA = pa.schema({"file_name": pa.string(), "label": pa.string()})
"""The image's path in the folder, and the name of the folder that it lies in; null for one that lies in none."""

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})


def is_image(path: str) -> bool:
    """Return whether a file is an image, by its name."""
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def read_batches(folder: Path, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield the images of ``folder``, sorted by path, as rows of :data:`SCHEMA`, the ``columns`` of it that are asked.

    Raises:
        ShardUnreadable: if the folder, or one in it, cannot be listed.
    """
    try:
        paths = [PurePosixPath(file.path) for file in LocalTree(folder).files() if is_image(file.path)]
    except SourceError as error:
        raise ShardUnreadable(str(error)) from error
    for rows in in_batches(paths, lambda path: len(str(path))):
        names, labels = text_array(map(str, rows)), text_array(path.parent.name or None for path in rows)
        yield pa.RecordBatch.from_arrays([names, labels], schema=SCHEMA).select(chosen(SCHEMA, columns))
