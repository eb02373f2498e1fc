"""The rows of a subset's data files, read again: Parquet row group by row group, tars sample by sample."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.reports import DataFile
from schemas.tables import FACT_COLUMNS
from tasks.scan.facts import read_identity
from tasks.scan.images import byte_views, digest_of
from tasks.scan.texts import read_captions
from tasks.source.columns import IMAGE, Layout, facts
from tasks.source.formats.mapped import opened
from tasks.verify.faults import UNREADABLE, Faults, schema_faults
from tasks.write.schema import TEXT, DataSchema

_ROWS = 1_024
_RELEASED_BYTES = 2**26
_SAMPLE = re.compile(r"([0-9]{12,})\.(\w+)")
_NOTES = ("json", "txt")


class Wanted(NamedTuple):
    """What data files should hold."""

    target: DataSchema
    images: bool  # whether the scan read the images
    captions: bool  # whether hashes of captions are asked for


class Expected(NamedTuple):
    """The rows of one data file by the index, in the file's order; beside each other."""

    places: NDArray[np.int32]
    row_ids: NDArray[np.int64]
    sha256: pa.Array
    identity: pa.Table  # columns of IDENTITY


IDENTITY = ("img_name", "z", "x", "y")
"""What names a row, in the index and in the columns of its data file."""


class Checked(NamedTuple):
    """What was found in a data file."""

    problems: list[str]
    captions: list[pa.UInt64Array]  # hashes


class Some(NamedTuple):
    """Some rows of a data file, one after the other from its row ``start``; lists are beside each other."""

    start: int
    rows: int
    views: list[memoryview | None] | None  # of the images
    captions: pa.UInt64Array | None  # hashes
    identity: dict[str, pa.Array] | None  # columns of IDENTITY
    row_ids: list[int] | None  # that the file itself has


def rows_by_file(index: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Return, by data file, the positions in ``index`` of its rows, in the order of their places in the file."""
    encoded = index["file"].combine_chunks().dictionary_encode()
    number = encoded.indices.to_numpy()
    order = np.lexsort([index["file_row"].to_numpy(), number])
    edges = np.searchsorted(number[order], np.arange(len(encoded.dictionary) + 1))
    names = encoded.dictionary.to_pylist()
    return {name: order[edges[at] : edges[at + 1]] for at, name in enumerate(names)}


def check_data_file(path: Path, file: DataFile, expected: Expected, wanted: Wanted) -> Checked:
    """Hold the rows of a data file against the index and the manifest."""
    faults = Faults(file.path)
    rows = image_bytes = 0
    captions = []
    digests = expected.sha256.to_pylist()
    try:
        for some in _read(path, wanted, faults):
            rows = some.start + some.rows
            if some.captions is not None:
                captions.append(some.captions)
            if some.views is not None:
                image_bytes += sum(map(len, filter(None, some.views)))
            low, high = np.searchsorted(expected.places, [some.start, rows])
            places = (expected.places[low:high] - some.start).tolist()
            _compare(some, places, expected.row_ids[low:high].tolist(), digests[low:high], faults)
            if some.identity is not None:
                _compare_identity(some, places, expected.row_ids[low:high], expected.identity[low:high], faults)
    except UNREADABLE as error:
        faults.add("unreadable", f"from row {rows} on: {error}")
    else:
        if rows != file.rows:
            faults.add("rows", f"found {rows:,} rows, expected {file.rows or 0:,}")
        elif wanted.images and file.image_bytes != image_bytes:
            faults.add("image bytes", f"found {image_bytes:,} bytes of images, expected {file.image_bytes or 0:,}")
    return Checked(list(faults.lines()), captions)


def _compare(some: Some, places: list[int], row_ids: list[int], digests: list[bytes | None], faults: Faults) -> None:
    for place, row_id, digest in zip(places, row_ids, digests, strict=True):
        where = f"row {some.start + place} (row id {row_id})"
        if some.row_ids is not None and some.row_ids[place] != row_id:
            faults.add("another row", f"{where}: found row id {some.row_ids[place]}")
        if some.views is not None:
            view = some.views[place]
            if digest_of(view) != digest:
                faults.add("another image", f"{where}: the image is not the one in index.parquet")


def _compare_identity(
    some: Some, places: list[int], row_ids: NDArray[np.int64], expected: pa.Table, faults: Faults
) -> None:
    for name in IDENTITY:
        assert some.identity is not None
        found, told = some.identity[name].take(pa.array(places, pa.int64())), expected[name].combine_chunks()
        same = pc.fill_null(pc.equal(found, told), False).to_numpy(zero_copy_only=False)
        same |= (found.is_null().to_numpy(zero_copy_only=False)) & (told.is_null().to_numpy(zero_copy_only=False))
        for at in np.flatnonzero(~same).tolist():
            where = f"row {some.start + places[at]} (row id {row_ids[at]})"
            faults.add(f"another {name}", f"{where}: {name} is {found[at]}, in index.parquet {told[at]}")


def images_at(path: Path, target: DataSchema, places: NDArray[np.int64]) -> Iterator[tuple[int, memoryview | None]]:
    """Yield the images in some places of a data file, ascending, with the place.

    Raises:
        OSError, pa.ArrowException, KeyError, ...: :data:`tasks.verify.faults.UNREADABLE`, from where on it is damaged.
    """
    wanted = set(places.tolist())
    if path.suffix == ".tar":
        for some in _read_tar(path, Wanted(target, images=True, captions=False), Faults("")):
            for row, view in enumerate(some.views or (), some.start):
                if row in wanted:
                    yield row, view
        return
    image = target.columns[IMAGE]
    with opened(path) as mapped, pq.ParquetFile(mapped.file, pre_buffer=False) as parquet:
        start = 0
        for group in range(parquet.num_row_groups):
            end = start + parquet.metadata.row_group(group).num_rows
            if not wanted.isdisjoint(range(start, end)):
                for batch in parquet.iter_batches(_ROWS, [group], [image], use_threads=False):
                    views = byte_views(pc.struct_field(batch.column(0), "bytes"))
                    yield from ((row, view) for row, view in enumerate(views, start) if row in wanted)
                    start += len(batch)
            start = end
            mapped.release()


def _read(path: Path, wanted: Wanted, faults: Faults) -> Iterator[Some]:
    return _read_tar(path, wanted, faults) if path.suffix == ".tar" else _read_parquet(path, wanted, faults)


def _read_parquet(path: Path, wanted: Wanted, faults: Faults) -> Iterator[Some]:
    """Yield all rows of a Parquet file; a row group that cannot be read is a fault, and passed over."""
    image = wanted.target.columns.get(IMAGE) if wanted.images else None
    with opened(path) as mapped, pq.ParquetFile(mapped.file, pre_buffer=False) as parquet:
        found = parquet.schema_arrow
        for told in schema_faults(found, wanted.target.schema):
            faults.add("schema", told)
        has_image = image is not None and _holds_images(found, image)
        layout = _layout(wanted.target, found.names)
        end = 0
        for group in range(parquet.num_row_groups):
            start, end = end, end + parquet.metadata.row_group(group).num_rows
            done = start
            try:
                for batch in parquet.iter_batches(_ROWS, [group], use_threads=False):
                    column = batch.column(found.names.index(image)) if has_image else None
                    views = None if column is None else byte_views(pc.struct_field(column, "bytes"))
                    yield Some(done, len(batch), views, *_named(batch, layout, wanted), None)
                    done += len(batch)
            except UNREADABLE as error:
                faults.add("unreadable", f"rows {done} to {end - 1}: {error}")
            mapped.release()
        yield Some(end, 0, None, None, None, None)  # for the last rows may not be readable


def _holds_images(schema: pa.Schema, image: str) -> bool:
    if schema.names.count(image) != 1 or not pa.types.is_struct(schema.field(image).type):
        return False
    held = schema.field(image).type
    at = held.get_field_index("bytes")
    return at >= 0 and bool(pa.types.is_binary(held.field(at).type) or pa.types.is_large_binary(held.field(at).type))


def _layout(target: DataSchema, names: list[str]) -> Layout | None:
    """Return where names, places and captions are read from; None where a column is missing, or not alone."""
    layout = Layout(**{fact: target.columns.get(fact) for fact in FACT_COLUMNS})
    return layout if all(names.count(name) == 1 for name in layout.names()) else None


def _named(
    batch: pa.RecordBatch, layout: Layout | None, wanted: Wanted
) -> tuple[pa.UInt64Array | None, dict[str, pa.Array] | None]:
    """Return the hashes of captions, if they are asked for, and what names each row."""
    if layout is None:
        return None, None
    captions = wanted.captions and layout.caption is not None
    hashes = read_captions(facts(batch, layout).columns["caption"]).hashes if captions else None
    return hashes, read_identity(batch, layout)


def _read_tar(path: Path, wanted: Wanted, faults: Faults) -> Iterator[Some]:
    """Yield all samples of a tar, in the order in which they stand there."""
    names = [name for name in wanted.target.schema.names if name != wanted.target.columns.get(IMAGE)]
    caption = TEXT if TEXT in names else wanted.target.columns.get("caption")
    layout = _layout(wanted.target, names)
    waiting: list[Sample] = []
    start = waiting_bytes = 0
    with opened(path) as mapped:
        for sample in read_samples(mapped.file, faults):
            sample.check(names, caption, faults)
            waiting.append(sample)
            waiting_bytes += len(sample.image or b"")
            if len(waiting) == _ROWS or waiting_bytes >= _RELEASED_BYTES:
                yield _together(start, waiting, wanted, layout)
                start += len(waiting)
                waiting, waiting_bytes = [], 0
                mapped.release()
        if waiting:
            yield _together(start, waiting, wanted, layout)


class Sample:
    """One row of a tar."""

    def __init__(self, key: str):
        """Begin a row without members; ``key`` is its row id in digits."""
        self.key = key
        self.image: memoryview | None = None
        self.notes: dict[str, bytes] = {}
        self.columns: dict[str, object] = {}

    def check(self, names: list[str], caption: str | None, faults: Faults) -> None:
        """Read the sample's columns; ``names`` are those that it should have."""
        try:
            read = json.loads(self.notes["json"])
        except KeyError:
            faults.add("no columns", f"{self.key}.json: missing")
            return
        except (ValueError, RecursionError) as error:
            faults.add("unreadable columns", f"{self.key}.json: {error}")
            return
        if not isinstance(read, dict) or list(read) != names:
            found = list(read) if isinstance(read, dict) else type(read).__name__
            faults.add("other columns", f"{self.key}.json: found {found}, expected {names}")
            return
        self.columns = read
        text = None if caption is None else read[caption] or ""
        expected = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else None
        if self.notes.get("txt") != expected:
            faults.add("another caption", f"{self.key}.txt: is not the caption in {self.key}.json")


def read_samples(file: pa.NativeFile, faults: Faults) -> Iterator[Sample]:
    """Yield the rows of a tar in the order in which they stand there; what is no part of one is a fault.

    Raises:
        OSError, tarfile.TarError, EOFError: if the tar cannot be read from there on.
    """
    sample = None
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # they would all be kept
            match = _SAMPLE.fullmatch(member.name)
            if match is None or not member.isreg():
                faults.add("strange members", f"{member.name}: expected a file <row id>.<extension>")
                continue
            key, extension = match.groups()
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = Sample(key)
            file.seek(member.offset_data)
            data = file.read_buffer(max(member.size, 0))
            if len(data) != member.size:
                raise EOFError(f"{member.name}: found {len(data):,} bytes, expected {member.size:,}")
            if extension in _NOTES:
                sample.notes[extension] = data.to_pybytes()
            else:
                sample.image = memoryview(data)
    if sample is not None:
        yield sample


def _together(start: int, samples: list[Sample], wanted: Wanted, layout: Layout | None) -> Some:
    views = [sample.image for sample in samples] if wanted.images else None
    columns = {}
    for name in layout.names() if layout is not None else ():
        kind = wanted.target.schema.field(name).type
        columns[name] = _of_type([sample.columns.get(name) for sample in samples], kind)
    batch = pa.record_batch(columns) if columns else pa.record_batch({"": pa.nulls(len(samples))})
    row_ids = [int(sample.key) for sample in samples]
    return Some(start, len(samples), views, *_named(batch, layout, wanted), row_ids)


def _of_type(values: list[object], kind: pa.DataType) -> pa.Array:
    """Return what JSON has of a column; a value that is none of its type is null."""
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([value if _fits(value, kind) else None for value in values], kind)


def _fits(value: object, kind: pa.DataType) -> bool:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True
