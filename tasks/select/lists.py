"""Rows that a list names: a table, a text file, or a former subset."""

from collections import defaultdict
from pathlib import PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray
from upath import UPath

from schemas.errors import CurationError
from schemas.reports import ScanReport
from schemas.subset import RowList
from schemas.tables import INDEX_FILE
from tasks.files import read_parquet
from tasks.published import MANIFEST, NotASubset, read_manifest
from tasks.scan.texts import text_hashes
from tasks.signals import first_row_ids, load_signals
from tasks.versions import followed

_SHOWN = 3
_NAMING = {"shard", "row", "row_id", "img_name"}


class ListInvalid(CurationError):
    """A list of rows cannot be read, or names what the source does not have; the message names file and row."""


def list_file(path: UPath) -> UPath:
    """Return the file that holds the list: of a former subset's folder, its index."""
    folder = followed(path)
    return folder / INDEX_FILE if folder.is_dir() else path


def listed_rows(scan: ScanReport, rows: RowList, *, all_there: bool = True) -> NDArray[np.bool_]:
    """Return which rows of the source ``rows`` names: shape (rows,).

    The rows of a former subset are those of shards with the same content, whatever their names are now.

    Args:
        scan: what was scanned.
        rows: where the list is.
        all_there: refuse a former subset that has rows of shards which the source does not have any more; if not,
            they are passed over, as long as it has one of its shards.

    Raises:
        ListInvalid: if the file cannot be read, has no column that names rows, or names one that is not in the source.
    """
    path = list_file(rows.path)
    try:
        table = _read(path, rows)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ListInvalid(f"{path}: cannot be read as a list of rows: {error}") from error
    if rows.column is None and {"shard", "row"} <= set(table.column_names):
        if path.name == INDEX_FILE and (path.parent / MANIFEST).exists():
            return _by_content(scan, table, path, all_there=all_there)
        return _by_shard(scan, table, path)
    column = rows.column or next((name for name in ("row_id", "img_name") if name in table.column_names), None)
    if column is None or column not in table.column_names:
        found = ", ".join(table.column_names)
        expected = column or "row_id, img_name, or shard and row"
        raise ListInvalid(f"{path}: found columns {found}; expected {expected}")
    return _by_id(scan, table[column], path) if column == "row_id" else _by_name(scan, table[column], path)


def _read(path: UPath, rows: RowList) -> pa.Table:
    """Return the columns of the list that may name rows, as text and whole numbers."""
    match PurePath(path.name).suffix.lower():
        case ".parquet":
            with path.open("rb") as file:
                names = pa.parquet.read_schema(file).names
            table = read_parquet(path, [name for name in names if name in _NAMING] or names)
        case ".csv":
            with path.open("rb") as file:
                options = pa.csv.ConvertOptions(column_types=dict.fromkeys(_NAMING, pa.string()))
                table = pa.csv.read_csv(file, convert_options=options)
        case _:
            lines = map(str.strip, path.read_text(encoding="utf-8-sig").splitlines())
            return pa.table({rows.column or "row_id": pa.array(list(filter(None, lines)), pa.string())})
    for name in _NAMING & set(table.column_names):
        at = table.column_names.index(name)
        table = table.set_column(at, name, table[name].cast(pa.string()))
    return table


def _by_id(scan: ScanReport, column: pa.ChunkedArray, path: UPath) -> NDArray[np.bool_]:
    row_ids = _whole_numbers(column, path, "row_id")
    _refuse((row_ids < 0) | (row_ids >= scan.rows), column, path, f"a row id from 0 to {scan.rows - 1:,}")
    listed = np.zeros(scan.rows, np.bool_)
    listed[row_ids] = True
    return listed


def _by_name(scan: ScanReport, column: pa.ChunkedArray, path: UPath) -> NDArray[np.bool_]:
    names = pa.chunked_array([text_hashes(chunk) for chunk in column.chunks], pa.uint64())
    known = load_signals(scan, ["img_name_xxh3"])["img_name_xxh3"]
    _refuse(~pc.fill_null(pc.is_in(names, known.drop_null()), False).to_numpy(), column, path, "the name of a row")
    return np.asarray(pc.fill_null(pc.is_in(known, names.drop_null()), False))


def _by_content(scan: ScanReport, table: pa.Table, path: UPath, *, all_there: bool) -> NDArray[np.bool_]:
    try:
        former = read_manifest(path.parent).source.shards
    except NotASubset as error:
        raise ListInvalid(f"{path}: no list of rows: {error}") from error
    waiting: dict[tuple[str, int], list[str]] = defaultdict(list)
    for shard in scan.shards:
        waiting[shard.content_xxh3, shard.rows].append(shard.shard)
    now: dict[str, str | None] = {}
    for was in former:
        there = waiting[was.content_xxh3, was.rows]
        now[was.shard] = there.pop(0) if there else None
    gone = [name for name, found in now.items() if found is None]
    if gone and (all_there or len(gone) == len(now)):
        told = f"{len(gone)} of {len(now)} shards, such as {gone[0]}, are not in the source, or were scanned otherwise"
        raise ListInvalid(f"{path}: {told}; expected a subset of this source")
    names = pa.array([now.get(name) for name in table["shard"].unique().to_pylist()], pa.string())
    indices = pc.index_in(table["shard"], table["shard"].unique())
    table = table.set_column(table.column_names.index("shard"), "shard", names.take(indices.combine_chunks()))
    return _by_shard(scan, table.filter(pc.is_valid(table["shard"])), path)


def _by_shard(scan: ScanReport, table: pa.Table, path: UPath) -> NDArray[np.bool_]:
    encoded = table["shard"].combine_chunks().dictionary_encode()
    places = {report.shard: number for number, report in enumerate(scan.shards)}
    shard = np.array([places.get(name, -1) for name in encoded.dictionary.to_pylist()], np.int64)
    rows = np.array([report.rows for report in scan.shards], np.int64)
    at = np.append(shard, -1)[pc.fill_null(encoded.indices, len(shard)).to_numpy()]
    _refuse(at < 0, table["shard"], path, "a shard of the source that can be read")
    row = _whole_numbers(table["row"], path, "row")
    _refuse((row < 0) | (row >= rows[at]), table["row"], path, "a row of that shard")
    listed = np.zeros(scan.rows, np.bool_)
    listed[first_row_ids(scan)[at] + row] = True
    return listed


def _whole_numbers(column: pa.ChunkedArray, path: UPath, name: str) -> NDArray[np.int64]:
    whole = pc.fill_null(pc.match_substring_regex(column, "^-?[0-9]{1,18}$"), False)
    _refuse(~whole.to_numpy(), column, path, f"a whole number as {name}; for names set column: img_name")
    numbers: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return numbers


def _refuse(wrong: NDArray[np.bool_], column: pa.ChunkedArray, path: UPath, expected: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        shown = ", ".join(f"{column[int(row)].as_py()!r} in row {row + 1}" for row in rows[:_SHOWN])
        more = f", and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        raise ListInvalid(f"{path}: found {shown}{more}; expected {expected}")
