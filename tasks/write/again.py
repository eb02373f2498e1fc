"""What of which shard goes into each data file of a subset that was made already, from its index alone."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.errors import CurationError
from schemas.manifest import Manifest
from tasks.source.again import count_rows
from tasks.source.columns import IMAGE, resolve
from tasks.source.read import read_schema
from tasks.source.shards import Shard, ShardUnreadable
from tasks.write.placement import Placement
from tasks.write.plan import FilePlan, ShardRows

_SHOWN = 5


class AnotherSource(CurationError):
    """The source is not the one that a subset was made of; the message names shards, or the index's row."""


def parts_of(index: pa.Table, manifest: Manifest, shards: Sequence[Shard]) -> list[FilePlan]:
    """Return the data files that ``index`` tells of, as :func:`tasks.write.plan.plan_files` does of verdicts.

    Args:
        index: :data:`schemas.tables.INDEX`, row ids ascending.
        manifest: the subset's.
        shards: of the source as it is listed now.

    Raises:
        AnotherSource: if shards are missing or have fewer rows than when they were scanned, or the index has rows
            that no shard has.
        ShardUnreadable: if a shard cannot be read or has not the columns of the recipe.
    """
    placement = Placement.of(index)
    rows = KeptRows(index, manifest)
    readers = rows.readers(shards)
    layouts = {number: layout_of(reader, manifest) for number, reader in readers.items()}
    known = {file.path: file.image_bytes for file in (*manifest.files, *manifest.indexed)}
    means = [shard.byte_length // max(shard.rows, 1) for shard in manifest.source.shards]
    plans = []
    for path, row_ids, places in placement.by_file():
        edges = np.searchsorted(row_ids, rows.starts)
        parts = []
        reckoned = 0
        for shard in np.flatnonzero(np.diff(edges)).tolist():
            here = slice(edges[shard], edges[shard + 1])
            parts.append(rows.part(shard, readers[shard], layouts[shard], row_ids[here], places[here]))
            reckoned += means[shard] * len(row_ids[here])
        image_bytes = known.get(path)
        plans.append(FilePlan(path, tuple(parts), reckoned if image_bytes is None else image_bytes))
    return plans


class KeptRows:
    """The rows of an index, by shard."""

    def __init__(self, index: pa.Table, manifest: Manifest):
        """Take in ``index``, row ids ascending; errors as for :func:`parts_of`."""
        self._shards = manifest.source.shards
        self._row_ids: NDArray[np.int64] = index["row_id"].to_numpy()
        self._levels = pc.fill_null(index["z"], 0).to_numpy()
        self._sha256 = index["sha256"].combine_chunks() if manifest.recipe["scan"]["images"] else None
        self.starts = np.concatenate([[0], np.cumsum([shard.rows for shard in self._shards], dtype=np.int64)])
        """The row id of each shard's first row, and the number of rows: shape (shards + 1,)."""
        outside = self._row_ids[(self._row_ids < 0) | (self._row_ids >= self.starts[-1])]
        if len(outside):
            raise AnotherSource(f"index.parquet: found row id {outside[0]}, expected less than {self.starts[-1]}")

    def row_ids(self, shard: int) -> NDArray[np.int64]:
        """Return the row ids of the kept rows of the shard at position ``shard`` in the manifest."""
        low, high = np.searchsorted(self._row_ids, self.starts[shard : shard + 2])
        return self._row_ids[low:high]

    def readers(self, shards: Sequence[Shard]) -> dict[int, Shard]:
        """Return the shards that hold kept rows, by position in the manifest; errors as for :func:`parts_of`."""
        by_name = {shard.name: shard for shard in shards}
        held = [number for number in range(len(self._shards)) if len(self.row_ids(number))]
        gone = [self._shards[number].shard for number in held if self._shards[number].shard not in by_name]
        if gone:
            found = f"found {len(shards):,} shards" + (f", such as {shards[0].name}" if shards else "")
            raise AnotherSource(f"{_some(gone)}: not in the source, which the subset was made of; {found}")
        readers = {number: by_name[self._shards[number].shard] for number in held}
        short = [told for number, reader in readers.items() if (told := self._shortness(number, reader))]
        if short:
            raise AnotherSource(_some(short))
        return readers

    def _shortness(self, number: int, reader: Shard) -> str | None:
        if reader.remote is not None:  # to ask would be to fetch it; reading tells
            return None
        found, expected = count_rows(reader), self._shards[number].rows
        if found is None or found >= expected:
            return None
        return f"{reader.name}: found {found:,} rows, expected {expected:,}"

    def part(
        self,
        shard: int,
        reader: Shard,
        layout: dict[str, str],
        row_ids: NDArray[np.int64],
        places: NDArray[np.int64],
    ) -> ShardRows:
        """Return what to read of the shard at position ``shard``: ``row_ids``, ascending, and ``places`` beside."""
        at = np.searchsorted(self._row_ids, row_ids)
        sha256 = None if self._sha256 is None else self._sha256.take(pa.array(at))
        start = int(self.starts[shard])
        return ShardRows(reader, start, row_ids - start, places, self._levels[at], sha256, layout, None)


def layout_of(shard: Shard, manifest: Manifest) -> dict[str, str]:
    """Return the column of ``shard`` that holds each fact, by the subset's recipe; errors as for :func:`parts_of`."""
    wanted = manifest.recipe["source"]["columns"]
    try:
        schema = read_schema(shard)
        layout = resolve(schema, wanted, images=manifest.recipe["scan"]["images"])
    except ShardUnreadable as error:
        raise error.of(shard.name) from error
    found = {fact: column for fact, column in layout._asdict().items() if column is not None}
    if IMAGE not in found:
        with suppress(ShardUnreadable):  # the image was not read, but is written
            found[IMAGE] = str(resolve(schema, wanted).image)
    return found


def _some(told: list[str]) -> str:
    return ", ".join(told[:_SHOWN]) + (f" and {len(told) - _SHOWN:,} more" if len(told) > _SHOWN else "")
