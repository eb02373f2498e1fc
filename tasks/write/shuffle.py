"""Rows in another order than the source's, in bounded memory: each shard's rows are laid aside, then drawn from there.

A shard is read once and from begin to end, whatever it is packed in. What is laid aside is an Arrow file of the rows as
they will be written, whose rows can be had in any order; it takes as much disk as the kept rows.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from upath import UPath

from tasks.files import appearing, is_local, remove
from tasks.source.columns import IMAGE
from tasks.source.formats.batches import BYTES
from tasks.source.shards import Shard
from tasks.write.plan import FilePlan, ShardRows
from tasks.write.rows import Rows, check_images, read_rows
from tasks.write.schema import DataSchema

_MOST_ROWS = 4_096  # drawn at a time


def clear_aside(folder: UPath, subset: str) -> None:
    """Remove what was laid aside in ``folder`` for a subset of this name, by this run or by others that were killed."""
    for laid in list(folder.iterdir()) if folder.is_dir() else ():
        if re.fullmatch(rf"{subset}-[0-9a-f]{{16}}", laid.name):
            remove(laid)
    if folder.is_dir() and is_local(folder):
        with suppress(OSError):  # other subsets are in the making
            folder.rmdir()


def merge_parts(plans: Sequence[FilePlan]) -> list[ShardRows]:
    """Return what is to be laid aside of each shard: the rows of all ``plans`` together, in source order."""
    parts: dict[int, list[ShardRows]] = {}
    for plan in plans:
        for part in plan.parts:
            parts.setdefault(part.first_row_id, []).append(part)
    return [_merge(parts[first]) for first in sorted(parts)]


def lay_aside(part: ShardRows, target: DataSchema, folder: UPath) -> None:
    """Write the rows of ``part`` to a file in ``folder``, whole or not at all, unless it is there.

    Raises:
        SourceChanged: if a row cannot be read.
    """
    path = _path(folder, part)
    if path.exists():
        return
    with appearing(path) as temporary, pa.OSFile(str(temporary), "wb") as file:
        schema = pa.schema([*target.schema, pa.field("row id", pa.int64())])
        with pa.ipc.new_file(file, schema) as writer:
            for rows in read_rows(part, target, checked=False):  # that is done when they are drawn
                table = pa.table([*rows.table.columns, pa.array(rows.row_ids)], schema=schema)
                for batch in table.combine_chunks().to_batches():
                    writer.write_batch(batch)


def draw_rows(plan: FilePlan, folder: UPath, target: DataSchema) -> Iterator[Rows]:
    """Yield the rows of ``plan``, laid aside in ``folder``, in the file's order, some 64 MiB at a time.

    Raises:
        SourceChanged: if an image is not the one that was scanned: then nothing that was laid aside can be trusted.
    """
    order = _Order.of(plan)
    count = len(order.row_ids)
    step = max(1, min(_MOST_ROWS, BYTES * count // max(plan.image_bytes, 1)))
    with ExitStack() as files:
        laid = [_LaidAside(_path(folder, part), files) for part in plan.parts]
        for begin in range(0, count, step):
            here = order.slice(begin, begin + step)
            by_shard = np.lexsort([here.row_ids, here.part])
            wanted, part = here.row_ids[by_shard], here.part[by_shard]
            starts = np.flatnonzero(np.diff(part, prepend=-1))
            tables = [
                laid[part[low]].take(wanted[low:high])
                for low, high in zip(starts, [*starts[1:], len(part)], strict=True)
            ]
            table = pa.concat_tables(tables).take(np.argsort(by_shard)).cast(target.schema)
            if here.sha256 is not None:
                _check(table[target.columns[IMAGE]], here, plan)
            yield Rows(table, here.row_ids)


class _Order(NamedTuple):
    """Rows in the order of their data file."""

    row_ids: NDArray[np.int64]
    part: NDArray[np.int64]  # position of each one's part in the plan
    sha256: pa.FixedSizeBinaryArray | None

    @classmethod
    def of(cls, plan: FilePlan) -> Self:
        places = np.concatenate([part.places for part in plan.parts])
        order = np.argsort(places)
        row_ids = np.concatenate([part.first_row_id + part.rows for part in plan.parts])
        number = np.repeat(np.arange(len(plan.parts)), [len(part.rows) for part in plan.parts])
        digests = [part.sha256 for part in plan.parts if part.sha256 is not None]
        sha256 = pa.concat_arrays(digests).take(pa.array(order)) if digests else None
        return cls(row_ids[order], number[order], sha256)

    def slice(self, begin: int, end: int) -> Self:
        sha256 = None if self.sha256 is None else self.sha256[begin:end]
        return type(self)(self.row_ids[begin:end], self.part[begin:end], sha256)


def _check(images: pa.ChunkedArray, rows: _Order, plan: FilePlan) -> None:
    def row_of(at: int) -> tuple[Shard, int]:
        part = plan.parts[rows.part[at]]
        return part.shard, int(rows.row_ids[at]) - part.first_row_id

    check_images(images, rows.sha256, row_of)


class _LaidAside:
    """The rows of one shard, mapped into memory."""

    def __init__(self, path: UPath, files: ExitStack):
        reader = pa.ipc.open_file(files.enter_context(pa.memory_map(str(path))))
        self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        ids = [batch.column(batch.num_columns - 1).to_numpy() for batch in self._batches]
        self._row_ids = np.concatenate([np.empty(0, np.int64), *ids])
        self._starts = np.cumsum([0, *map(len, ids)])

    def take(self, row_ids: NDArray[np.int64]) -> pa.Table:
        """Return rows by their ids, which ascend."""
        at = np.searchsorted(self._row_ids, row_ids)
        edges = np.searchsorted(at, self._starts)
        parts = []
        for number in np.flatnonzero(np.diff(edges)).tolist():
            within = at[edges[number] : edges[number + 1]] - self._starts[number]
            batch = self._batches[number].take(pa.array(within))
            parts.append(batch.select(range(batch.num_columns - 1)))
        return pa.Table.from_batches(parts)


def _merge(parts: list[ShardRows]) -> ShardRows:
    first = parts[0]
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    digests = None
    if first.sha256 is not None:
        digests = pa.concat_arrays([part.sha256 for part in parts]).take(pa.array(order))
    levels = np.concatenate([part.levels for part in parts])[order]
    return first._replace(rows=rows[order], places=np.arange(len(rows)), levels=levels, sha256=digests)


def _path(folder: UPath, part: ShardRows) -> UPath:
    return folder / f"{part.first_row_id:012d}.arrow"
