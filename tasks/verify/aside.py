"""What data files hold beside the images, laid aside in the order of the source: a shard's rows are had at once."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from tasks.scan.images import digest_of
from tasks.source.columns import IMAGE
from tasks.source.formats.mapped import opened
from tasks.verify.data import Sample, read_samples, rows_by_file
from tasks.verify.faults import UNREADABLE, Faults, schema_faults
from tasks.verify.files import at_hand
from tasks.write.rows import Rows, image_views
from tasks.write.schema import DataSchema
from tasks.write.tar import TarFile

_ROWS = 1_024
_RUN_BYTES = 2**27
_ROW_ID = "row id"
_MEMBERS = ("json", "txt", "image")


class Aside:
    """Runs of rows by row id, in files of a temporary folder that are mapped into memory."""

    def __init__(self, folder: Path, target: DataSchema, *, digests: bool):
        """Begin with no row; ``digests`` says whether to lay the images' aside: an index may not have them."""
        self._folder = folder
        self._target = target
        self._digests = digests
        self._image = target.columns.get(IMAGE)
        self._waiting: list[pa.Table] = []
        self._runs: list[tuple[NDArray[np.int64], pa.Table]] = []

    def lay(self, directory: UPath, index: pa.Table) -> Iterator[str]:
        """Lay the rows of all data files of ``index`` aside; yield which files cannot be read, in words."""
        row_ids, places = index["row_id"].to_numpy(), index["file_row"].to_numpy()
        for name, rows in rows_by_file(index).items():
            faults = Faults(name)
            end = 0
            try:
                with at_hand(directory / name) as path:
                    for table in self._tables(path, faults):
                        start, end = end, end + len(table)
                        low, high = np.searchsorted(places[rows], [start, end])
                        here = rows[low:high]
                        self._add(table.take(pa.array(places[here] - start)), row_ids[here])
            except UNREADABLE as error:
                faults.add("unreadable", f"cannot be compared with the source from row {end} on: {error}")
            yield from faults.lines()
        self._flush()

    def compare(self, rows: Rows, names: list[str], faults: Faults) -> None:
        """Hold rows of the source, their ids ascending and ``names`` beside them, against those laid aside."""
        found, there = self._take(rows.row_ids)
        for at in np.flatnonzero(~there).tolist():
            faults.add("missing", f"{names[at]}: not in the data files")
        if found is None:
            return
        names = [name for name, here in zip(names, there.tolist(), strict=True) if here]
        table = rows.table.filter(pa.array(there))
        tars = found.column_names == list(_MEMBERS)
        expected = self._as_in_tar(Rows(table, rows.row_ids[there])) if tars else self._beside_image(table)
        for name, column in zip(expected.column_names, expected.columns, strict=True):
            for at in _differing(column, found[name]):
                columns = _columns_at_fault(name, column[at].as_py(), found[name][at].as_py()) if tars else [name]
                for told in columns:
                    faults.add(f"column {told}", f"{names[at]}: column {told}: the data file has another value")

    def _tables(self, path: Path, faults: Faults) -> Iterator[pa.Table]:
        with opened(path) as mapped:
            if path.suffix == ".tar":
                samples = read_samples(mapped.file, faults)
                while some := list(islice(samples, _ROWS)):
                    yield self._members(some)
                    mapped.release()
                return
            schema = self._target.schema
            with pq.ParquetFile(mapped.file, pre_buffer=False) as parquet:
                for told in schema_faults(parquet.schema_arrow, schema):
                    raise ValueError(told)
                path_only = None if self._digests else self._image
                columns = [f"{name}.path" if name == path_only else name for name in schema.names]
                for batch in parquet.iter_batches(_ROWS, columns=columns, use_threads=False):
                    yield self._beside_image(pa.Table.from_batches([batch]))
                    mapped.release()

    def _add(self, table: pa.Table, row_ids: NDArray[np.int64]) -> None:
        self._waiting.append(table.append_column(_ROW_ID, pa.array(row_ids)))
        if sum(waiting.nbytes for waiting in self._waiting) >= _RUN_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write what is waiting as one run."""
        if not any(map(len, self._waiting)):
            return
        run = pa.concat_tables(self._waiting)
        run = run.take(pc.sort_indices(run[_ROW_ID])).combine_chunks()
        self._waiting = []
        path = str(self._folder / f"{len(self._runs)}.arrow")
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, run.schema) as writer:
            writer.write_table(run)
        with pa.memory_map(path) as mapped:
            table = pa.ipc.open_file(mapped).read_all()
        self._runs.append((table[_ROW_ID].to_numpy(), table.drop_columns(_ROW_ID)))

    def _take(self, row_ids: NDArray[np.int64]) -> tuple[pa.Table | None, NDArray[np.bool_]]:
        """Return the rows laid aside of ``row_ids``, in their order, and which of them there are."""
        tables, at = [], []
        for known, table in self._runs:
            places = np.searchsorted(known, row_ids).clip(max=len(known) - 1)
            hit = np.flatnonzero(known[places] == row_ids)
            if len(hit):
                tables.append(table.take(pa.array(places[hit])))
                at.append(hit)
        there = np.zeros(len(row_ids), np.bool_)
        if not tables:
            return None, there
        positions = np.concatenate(at)
        there[positions] = True
        return pa.concat_tables(tables).take(pa.array(np.argsort(positions))), there

    def _beside_image(self, table: pa.Table) -> pa.Table:
        """Return ``table`` with the image's path instead of the image, and at the end its digest."""
        if self._image is None:
            return table
        image = table[self._image]
        at = table.schema.get_field_index(self._image)
        table = table.set_column(at, self._image, pc.struct_field(image, "path"))
        if not self._digests:
            return table
        return table.append_column(f"{self._image}.bytes", _digests(image_views(image)))

    def _as_in_tar(self, rows: Rows) -> pa.Table:
        """Return what a tar would hold of ``rows``."""
        schema, columns = target = self._target
        if self._image is not None and not self._digests:  # the images need not be written
            schema = schema.remove(schema.get_field_index(self._image))
            target = DataSchema(schema, {fact: name for fact, name in columns.items() if fact != IMAGE})
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "expected.tar"
            tar = TarFile(path.open("wb", buffering=0), target)
            tar.write(Rows(rows.table.select(schema.names), rows.row_ids))
            tar.close()
            with opened(path) as mapped:
                return self._members(list(read_samples(mapped.file, Faults(path.name))))

    def _members(self, samples: list[Sample]) -> pa.Table:
        notes = [pa.array([sample.notes.get(name) for sample in samples], pa.binary()) for name in _MEMBERS[:2]]
        images = [sample.image if self._digests else None for sample in samples]
        return pa.table([*notes, _digests(images)], names=list(_MEMBERS))


def _digests(views: Iterable[memoryview | None]) -> pa.FixedSizeBinaryArray:
    return pa.array([digest_of(view) for view in views], pa.binary(32))


def _differing(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Iterator[int]:
    """Yield where two columns of one length differ in a bit."""
    one, other = _as_bits(one), _as_bits(other)
    spans = [(0, len(one))]
    while spans:
        start, length = spans.pop()
        a, b = one.slice(start, length), other.slice(start, length)
        if a.equals(b):
            continue
        if length == 1:
            if not _alike(a, b):
                yield start
        else:
            half = length // 2
            spans += [(start + half, length - half), (start, half)]


def _alike(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Return whether values that are not equal differ in nothing: what is not a number, deep within, equals nothing."""
    try:
        return repr(one.to_pylist()) == repr(other.to_pylist())
    except ValueError:  # text that is no text
        return False


def _as_bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return floating-point numbers as the bits that they are; else nan is not nan, and 0 is -0."""
    if not pa.types.is_floating(column.type):
        return column
    bits = {16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}[column.type.bit_width]
    return pa.chunked_array([chunk.view(bits) for chunk in column.chunks], bits)


def _columns_at_fault(member: str, expected: bytes | None, found: bytes | None) -> list[str]:
    """Return which columns of a row differ in a tar's member, or the member where that cannot be told."""
    if member != _MEMBERS[0]:
        return [f".{member}"]
    try:
        one, other = json.loads(expected or b""), json.loads(found or b"")
        return [name for name in one if name not in other or repr(one[name]) != repr(other[name])] or [f".{member}"]
    except (ValueError, TypeError, RecursionError):
        return [f".{member}"]
