"""Rows in another order than the source's, in bounded memory, drawn one by one from where they lie.

Rows of a local Arrow shard are drawn from the shard itself: all that is laid aside is where its record batches lie. Any
other shard is read once, from begin to end, into an Arrow file of the rows as they will be written, which takes as much
disk as the kept rows.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import fingerprint
from tasks.files import appearing, is_local, remove
from tasks.scan.identity import shard_status
from tasks.source.columns import IMAGE
from tasks.source.formats.arrow import Located
from tasks.source.formats.mapped import opened
from tasks.source.read import RowsInPlace, locate_rows, open_shard
from tasks.source.shards import Shard, ShardUnreadable
from tasks.write.plan import FilePlan, ShardRows
from tasks.write.rows import Rows, SourceChanged, as_written, check_images, read_rows, unchanged, unreadable_now
from tasks.write.schema import DataSchema

_MOST_ROWS = 4_096  # drawn at a time
_DRAWN_BYTES = 2**22


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
    """Put what the rows of ``part`` are drawn from in a file in ``folder``, whole or not at all, unless it is there.

    Raises:
        SourceChanged: if a row cannot be read.
    """
    path = _path(folder, part)
    if path.exists():
        return
    with unchanged(part):
        where = _where(folder, part)
        if where.exists():
            return
        located = locate_rows(part.shard, int(part.rows[-1]) + 1)
    if located is not None:
        with appearing(where) as temporary, temporary.open("wb") as file:
            np.save(file, np.stack([located.starts, np.append(located.offsets, -1)]))
        return
    with appearing(path) as temporary, pa.OSFile(str(temporary), "wb") as file:
        schema = pa.schema([*target.schema, pa.field("row id", pa.int64())])
        with pa.ipc.new_file(file, schema) as writer:
            for rows in read_rows(part, target, checked=False):  # that is done when they are drawn
                table = pa.table([*rows.table.columns, pa.array(rows.row_ids)], schema=schema)
                for batch in table.combine_chunks().to_batches():
                    writer.write_batch(batch)


def draw_rows(plan: FilePlan, folder: UPath, target: DataSchema) -> Iterator[Rows]:
    """Yield the rows of ``plan``, laid aside in ``folder``, in the file's order, some 4 MiB at a time.

    Raises:
        SourceChanged: if a row cannot be read, or its image is not the one that was scanned: then nothing that was laid
            aside can be trusted.
    """
    order = _Order.of(plan)
    count = len(order.row_ids)
    step = max(1, min(_MOST_ROWS, _DRAWN_BYTES * count // max(plan.image_bytes, 1)))
    with ExitStack() as files:
        origins = [_origin(part, folder, target, files) for part in plan.parts]
        for begin in range(0, count, step):
            here = order.slice(begin, begin + step)
            table = _drawn(here, origins, target)
            if here.sha256 is not None:
                _check(table[target.columns[IMAGE]], here, plan)
            yield Rows(table, here.row_ids)
            for at in np.unique(here.part).tolist():
                origins[at].release()


def _drawn(order: "_Order", origins: Sequence["_Origin"], target: DataSchema) -> pa.Table:
    """Return rows in their order; those that look alike are joined first, and then brought into the one schema."""
    rows = [origins[at].row(row_id) for at, row_id in zip(order.part.tolist(), order.row_ids.tolist(), strict=True)]
    forms: dict[object, list[int]] = {}
    for number, at in enumerate(order.part.tolist()):
        forms.setdefault(origins[at].form, []).append(number)
    tables = []
    for numbers in forms.values():
        found = pa.Table.from_batches([rows[number] for number in numbers]).combine_chunks()
        tables.append(origins[order.part[numbers[0]]].written(found, order.levels[numbers]))
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables).take(np.argsort([number for numbers in forms.values() for number in numbers]))


class _Order(NamedTuple):
    """Rows in the order of their data file."""

    row_ids: NDArray[np.int64]
    part: NDArray[np.int64]  # position of each one's part in the plan
    levels: NDArray[np.int8]
    sha256: pa.FixedSizeBinaryArray | None

    @classmethod
    def of(cls, plan: FilePlan) -> Self:
        places = np.concatenate([part.places for part in plan.parts])
        order = np.argsort(places)
        row_ids = np.concatenate([part.first_row_id + part.rows for part in plan.parts])
        number = np.repeat(np.arange(len(plan.parts)), [len(part.rows) for part in plan.parts])
        digests = [part.sha256 for part in plan.parts if part.sha256 is not None]
        sha256 = pa.concat_arrays(digests).take(pa.array(order)) if digests else None
        levels = np.concatenate([part.levels for part in plan.parts])
        return cls(row_ids[order], number[order], levels[order], sha256)

    def slice(self, begin: int, end: int) -> Self:
        sha256 = None if self.sha256 is None else self.sha256[begin:end]
        return type(self)(self.row_ids[begin:end], self.part[begin:end], self.levels[begin:end], sha256)


def _check(images: pa.ChunkedArray, rows: _Order, plan: FilePlan) -> None:
    def row_of(at: int) -> tuple[Shard, int]:
        part = plan.parts[rows.part[at]]
        return part.shard, int(rows.row_ids[at]) - part.first_row_id

    check_images(images, rows.sha256, row_of)


class _Origin(Protocol):
    """What the rows of one shard are drawn from."""

    @property
    def form(self) -> object:
        """Equal for origins whose rows can be joined."""
        ...

    def row(self, row_id: int) -> pa.RecordBatch:
        """Return one row by its id, without a copy."""
        ...

    def written(self, found: pa.Table, levels: NDArray[np.int8]) -> pa.Table:
        """Return rows of this form in the schema of the data files."""
        ...

    def release(self) -> None:
        """Give back the memory of what was read."""
        ...


def _origin(part: ShardRows, folder: UPath, target: DataSchema, files: ExitStack) -> _Origin:
    path = _path(folder, part)
    if path.exists():
        return _LaidAside(path, target, files)
    try:
        with _where(folder, part).open("rb") as file:
            starts, offsets = np.load(file)
    except FileNotFoundError:
        name = part.shard.name
        raise SourceChanged(f"{name}: its file was written to since it was found where its rows lie", name) from None
    return _InPlace(part, Located(offsets[:-1], starts), target, files)


class _InPlace:
    """The rows of a shard that is mapped into memory."""

    def __init__(self, part: ShardRows, located: Located, target: DataSchema, files: ExitStack):
        files.enter_context(unchanged(part))
        file, self.release = files.enter_context(open_shard(part.shard))
        self._rows = RowsInPlace(file, located)
        self._part, self._target = part, target
        self.form = (self._rows.schema.serialize().to_pybytes(), *sorted(part.layout.items()))

    def row(self, row_id: int) -> pa.RecordBatch:
        try:
            return self._rows.row(row_id - self._part.first_row_id)
        except ShardUnreadable as error:
            raise unreadable_now(error, self._part.shard) from error

    def written(self, found: pa.Table, levels: NDArray[np.int8]) -> pa.Table:
        return as_written(self._part, found, levels, self._target)


class _LaidAside:
    """The rows of one shard that were copied, mapped into memory."""

    form = None

    def __init__(self, path: UPath, target: DataSchema, files: ExitStack):
        mapped = files.enter_context(opened(Path(str(path))))
        self.release = mapped.release
        reader = pa.ipc.open_file(mapped.file)
        self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        ids = [batch.column(batch.num_columns - 1).to_numpy() for batch in self._batches]
        self._row_ids = np.concatenate([np.empty(0, np.int64), *ids])
        self._starts = np.cumsum([0, *map(len, ids)])
        self._target = target

    def row(self, row_id: int) -> pa.RecordBatch:
        at = int(np.searchsorted(self._row_ids, row_id))
        number = int(np.searchsorted(self._starts, at, "right")) - 1
        return self._batches[number].slice(at - int(self._starts[number]), 1)

    def written(self, found: pa.Table, levels: NDArray[np.int8]) -> pa.Table:
        return found.select(range(found.num_columns - 1)).cast(self._target.schema)


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


def _where(folder: UPath, part: ShardRows) -> UPath:
    """Return where it is told where the rows lie: in this very file, for whoever looks there in another may crash."""
    status = fingerprint([str(part.shard.path), *map(str, shard_status(part.shard))])
    return folder / f"{part.first_row_id:012d}-{status[:16]}.npy"
