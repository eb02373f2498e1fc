"""Hold a subset against the source that it was made of: every column of every kept row, bit for bit."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from upath import UPath

from schemas.errors import CurationError
from schemas.manifest import Manifest
from schemas.tables import INDEX, INDEX_FILE
from tasks.files import read_parquet
from tasks.scan.images import digest_of
from tasks.source.again import count_rows
from tasks.source.columns import IMAGE
from tasks.source.read import at_hand
from tasks.source.shards import Shard
from tasks.verify.aside import Aside
from tasks.verify.faults import UNREADABLE, Faults, schema_faults
from tasks.write.again import AnotherSource, KeptRows, layout_of
from tasks.write.rows import image_views, read_rows
from tasks.write.schema import DataSchema


def compare_with_source(
    directory: UPath, manifest: Manifest, shards: Sequence[Shard], *, threads: int | None = None
) -> Iterator[str]:
    """Yield in what kept rows are not those of the source, in words: shard, row and column.

    Of images, the source's are held against the SHA-256 in the index; that the data files' images are those, too,
    :func:`tasks.verify.subset.verify` says. Each shard and each data file is read once: what the data files hold beside
    the images is laid aside in a temporary folder on the way.

    Args:
        directory: of the subset.
        manifest: the subset's.
        shards: of the source as it is listed now.
        threads: how many shards are read at a time; None: one for each core.
    """
    try:
        target = DataSchema.of(manifest.columns)
        index = _read_index(directory)
        kept = KeptRows(index, manifest)
    except (AnotherSource, *UNREADABLE) as error:
        yield f"{INDEX_FILE}: cannot be compared with the source: {error}"
        return
    readers, told = _readers(manifest, shards)
    yield from told
    with TemporaryDirectory(prefix="git10m-") as folder:
        aside = None
        if manifest.mode == "data":
            aside = Aside(Path(folder), target, digests=not manifest.recipe["scan"]["images"])
            yield from aside.lay(directory, index)

        def compare(number: int) -> list[str]:
            return _compare_shard(number, readers[number], manifest, kept, target, aside)

        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            try:
                for told in pool.map(compare, [number for number in readers if len(kept.row_ids(number))]):
                    yield from told
            finally:
                pool.shutdown(cancel_futures=True)


def _read_index(directory: UPath) -> pa.Table:
    """Return the index, row ids ascending.

    Raises:
        ValueError, OSError, ...: :data:`tasks.verify.faults.UNREADABLE`, if it is not what it should be.
    """
    index = read_parquet(directory / INDEX_FILE)
    index.validate(full=True)
    for told in schema_faults(index.schema, INDEX):
        raise ValueError(told)
    row_ids = index["row_id"].to_numpy()
    return index if (np.diff(row_ids) > 0).all() else index.take(pa.array(np.unique(row_ids, return_index=True)[1]))


def _readers(manifest: Manifest, shards: Sequence[Shard]) -> tuple[dict[int, Shard], list[str]]:
    """Return the shards by their position in the manifest, and which are missing or have other rows."""
    by_name = {shard.name: shard for shard in shards}
    damaged = {bad.shard for bad in manifest.source.quarantined}
    readers, problems = {}, []
    for number, identity in enumerate(manifest.source.shards):
        reader = by_name.get(identity.shard)
        if reader is None:
            problems.append(f"{identity.shard}: not in the source, which the subset was made of")
            continue
        readers[number] = reader
        rows = None if reader.remote is not None else count_rows(reader)  # to ask would be to fetch it
        if rows is not None and rows != identity.rows and identity.shard not in damaged:
            problems.append(f"{identity.shard}: found {rows:,} rows, expected {identity.rows:,}")
    return readers, problems


def _compare_shard(
    number: int, reader: Shard, manifest: Manifest, kept: KeptRows, target: DataSchema, aside: Aside | None
) -> list[str]:
    faults = Faults(reader.name)
    row_ids = kept.row_ids(number)
    try:
        with at_hand(reader):
            part = kept.part(number, reader, layout_of(reader, manifest), row_ids, np.arange(len(row_ids)))
            done = 0
            for rows in read_rows(part._replace(sha256=None), target):
                here = slice(done, done + len(rows.table))
                done = here.stop
                names = [f"row {row} (row id {row + part.first_row_id})" for row in part.rows[here].tolist()]
                if part.sha256 is not None:
                    _compare_images(rows.table[target.columns[IMAGE]], part.sha256[here], names, faults)
                if aside is not None:
                    aside.compare(rows, names, faults)
    except (CurationError, *UNREADABLE) as error:
        faults.add("unreadable", f"cannot be compared to its end: {str(error).removeprefix(f'{reader.name}: ')}")
    return list(faults.lines())


def _compare_images(
    images: pa.ChunkedArray, digests: pa.FixedSizeBinaryArray, names: list[str], faults: Faults
) -> None:
    for view, digest, name in zip(image_views(images), digests.to_pylist(), names, strict=True):
        if digest_of(view) != digest:
            faults.add("another image", f"{name}: the image is not the one in {INDEX_FILE}")
