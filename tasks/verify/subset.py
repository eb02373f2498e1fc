"""Verify a published subset: read every file again and hold it against the manifest and against each other."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from upath import UPath

from schemas.errors import CurationError
from schemas.manifest import Manifest
from schemas.reports import DataFile, VerifyReport
from schemas.tables import INDEX, INDEX_FILE, REJECTED, REJECTED_FILE
from tasks.files import is_local, read_parquet
from tasks.published import MANIFEST, NotASubset, read_manifest
from tasks.verify.data import IDENTITY, Checked, Expected, Wanted, check_data_file, rows_by_file
from tasks.verify.duplicates import Pictures, check_captions, check_duplicates
from tasks.verify.faults import UNREADABLE, schema_faults, some
from tasks.verify.files import at_hand, check_bytes, check_listing, present_files
from tasks.verify.promises import Promises, check_places, check_promises
from tasks.verify.tables import check_counts, check_keepers, check_manifest, check_rows
from tasks.write.schema import DataSchema


class NotSound(CurationError):
    """A subset is not what its manifest says; the message names files and rows."""


def verify(directory: UPath, *, threads: int | None = None) -> VerifyReport:
    """Check the subset in ``directory``: files, digests, rows, and the promises about them.

    Args:
        directory: of the subset.
        threads: how many files are read at a time; None: one for each core.

    Returns:
        A report that names each file and row at fault; ``problems`` is empty for a sound subset.
    """
    try:
        manifest = read_manifest(directory)
    except NotASubset as error:
        return VerifyReport(directory=directory, files=0, rows=0, problems=(str(error),))
    return VerifyReport(
        directory=directory,
        files=len(manifest.files) + 1,
        rows=manifest.funnel.kept,
        problems=tuple(dict.fromkeys(_problems(directory, manifest, threads or os.cpu_count() or 1))),
    )


class _Tables(NamedTuple):
    """The tables of a subset; None for one that is missing, damaged or of another schema."""

    kept: pa.Table | None
    rejected: pa.Table | None


def _problems(directory: UPath, manifest: Manifest, threads: int) -> Iterator[str]:
    present = present_files(directory)
    yield from check_listing(manifest, present)
    yield from check_manifest(manifest)
    target = promises = None
    try:
        target = _target(manifest)
        promises = Promises.of(manifest)
    except ValueError as error:
        yield f"{MANIFEST}: {error}"
    told, tables = _read_tables(directory, present)
    yield from told
    wanted = None
    if target is not None and promises is not None:
        settings = promises.deduplication
        wanted = Wanted(target, promises.scan.images, settings.caption_copies is not None)
    there = [file for file in manifest.files if file.path in present]
    with ThreadPoolExecutor(threads) as pool:
        try:
            by_file = {} if tables.kept is None else rows_by_file(tables.kept)
            reader = _Reader(directory, tables.kept, by_file, wanted)
            files = [job for file in there for job in reader.submit(pool, file)]
            # While the data files are read:
            others = list(_check_tables(manifest, promises, tables))
            if promises is not None and target is not None and tables.kept is not None:
                others += _check_duplicates(directory, manifest, promises, target, tables.kept)
            captions: list[pa.UInt64Array] = []
            for checked in files:
                found = checked.result()
                yield from found.problems
                captions += found.captions
        finally:
            pool.shutdown(cancel_futures=True)
    yield from others
    if promises is not None and promises.deduplication.caption_copies is not None and tables.kept is not None:
        yield from check_captions(captions, promises.deduplication.caption_copies)


def _check_duplicates(
    directory: UPath, manifest: Manifest, promises: Promises, target: DataSchema, kept: pa.Table
) -> Iterator[str]:
    settings = promises.deduplication
    if manifest.mode == "index" or not promises.scan.images:
        settings = settings.model_copy(update={"near": None})
    return check_duplicates(Pictures(directory, target, kept, promises.scan), kept, settings)


def _target(manifest: Manifest) -> DataSchema:
    """Return the schema of the data files.

    Raises:
        ValueError: if the manifest contradicts itself, or says none.
    """
    try:
        target = DataSchema.of(manifest.columns)
    except (*UNREADABLE, EOFError) as error:
        raise ValueError(f"columns.arrow: {error}") from error
    if target.described().columns != manifest.columns.columns:
        raise ValueError("columns: names and types are not those of columns.arrow")
    if not {*target.columns.values()} <= {*target.schema.names}:
        raise ValueError(f"columns.facts: found {target.columns}, expected columns of {target.schema.names}")
    return target


def _read_tables(directory: UPath, present: set[str]) -> tuple[list[str], _Tables]:
    problems, tables = [], []
    for name, schema in ((INDEX_FILE, INDEX), (REJECTED_FILE, REJECTED)):
        table = None
        if name in present:
            try:
                table = read_parquet(directory / name)
                table.validate(full=True)
                faults = list(schema_faults(table.schema, schema))
            except UNREADABLE as error:
                faults = [str(error)]
            problems += [f"{name}: {fault}" for fault in faults]
            table = None if faults else table
        tables.append(table)
    return problems, _Tables(*tables)


class _Reader(NamedTuple):
    """What reads files of a subset again, each on its own."""

    directory: UPath
    kept: pa.Table | None  # the index
    by_file: dict[str, NDArray[np.int64]]
    wanted: Wanted | None

    def submit(self, pool: ThreadPoolExecutor, file: DataFile) -> list[Future[Checked]]:
        """Begin to read ``file``: its bytes and, at the same time if it lies here, its rows if it has some."""
        if self.wanted is None or not file.path.startswith("data/"):
            return [pool.submit(self._check, file, self._bytes)]
        if not is_local(self.directory):  # it is fetched once
            return [pool.submit(self._check, file, self._bytes, self._rows)]
        return [pool.submit(self._check, file, part) for part in (self._bytes, self._rows)]

    def _check(self, file: DataFile, *parts: Callable[[Path, DataFile], Checked]) -> Checked:
        try:
            with at_hand(self.directory / file.path) as path:
                checked = [part(path, file) for part in parts]
        except OSError as error:
            return Checked([f"{file.path}: {error}"], [])
        return Checked([told for part in checked for told in part.problems], [h for c in checked for h in c.captions])

    def _bytes(self, path: Path, file: DataFile) -> Checked:
        return Checked(check_bytes(path, file), [])

    def _rows(self, path: Path, file: DataFile) -> Checked:
        rows = self.by_file.get(file.path, np.empty(0, np.int64))
        kept = INDEX.empty_table() if self.kept is None else self.kept
        here = kept.select(["file_row", "row_id", "sha256", *IDENTITY]).take(pa.array(rows)).combine_chunks()
        places, row_ids = (here[name].to_numpy() for name in ("file_row", "row_id"))
        assert self.wanted is not None
        expected = Expected(places, row_ids, here["sha256"].combine_chunks(), here.select(IDENTITY))
        return check_data_file(path, file, expected, self.wanted)


def _check_tables(manifest: Manifest, promises: Promises | None, tables: _Tables) -> Iterator[str]:
    index, rejected = tables
    if index is not None and rejected is not None:
        yield from check_rows(manifest, index, rejected)
        yield from check_counts(manifest, index, rejected)
        if promises is not None:
            yield from check_keepers(index, rejected, promises.deduplication)
    if index is not None:
        yield from check_places(manifest, index)
        if promises is not None:
            yield from check_promises(manifest, promises, index)
    if rejected is not None and manifest.mode == "index":
        told = rejected.filter(rejected["detail"].is_valid())["row_id"].to_pylist()
        if told:
            yield f"{REJECTED_FILE}: row id {some(told)}: detail may quote a caption; expected null in mode index"
