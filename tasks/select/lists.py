"""Rows that a list names: a table, a text file, or a former subset."""

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
from tasks.files import read_parquet
from tasks.scan.facts import text_hashes
from tasks.signals import first_row_ids, load_signals

INDEX = "index.parquet"
_SHOWN = 3


class ListInvalid(CurationError):
    """A list of rows cannot be read, or names what the source does not have; the message names file and row."""


def list_file(path: UPath) -> UPath:
    """Return the file that holds the list: of a former subset's folder, its index."""
    return path / INDEX if path.is_dir() else path


def listed_rows(scan: ScanReport, rows: RowList) -> NDArray[np.bool_]:
    """Return which rows of the source ``rows`` names: shape (rows,).

    Raises:
        ListInvalid: if the file cannot be read, has no column that names rows, or names one that is not in the source.
    """
    path = list_file(rows.path)
    try:
        table = _read(path, rows)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ListInvalid(f"{path}: cannot be read as a list of rows: {error}") from error
    if rows.column is None and {"shard", "row"} <= set(table.column_names):
        return _by_shard(scan, table, path)
    column = rows.column or next((name for name in ("row_id", "img_name") if name in table.column_names), None)
    if column is None or column not in table.column_names:
        found = ", ".join(table.column_names)
        expected = column or "row_id, img_name, or shard and row"
        raise ListInvalid(f"{path}: found columns {found}; expected {expected}")
    return _by_id(scan, table[column], path) if column == "row_id" else _by_name(scan, table[column], path)


def _read(path: UPath, rows: RowList) -> pa.Table:
    match PurePath(path.name).suffix.lower():
        case ".parquet":
            wanted = {"shard", "row", "row_id", "img_name"} if rows.column is None else {rows.column}
            with path.open("rb") as file:
                names = pa.parquet.read_schema(file).names
            return read_parquet(path, [name for name in names if name in wanted] or names)
        case ".csv":
            types = {"img_name": pa.string(), "shard": pa.string(), "row": pa.string(), "row_id": pa.string()}
            with path.open("rb") as file:
                return pa.csv.read_csv(file, convert_options=pa.csv.ConvertOptions(column_types=types))
        case _:
            lines = path.read_text(encoding="utf-8").splitlines()
            return pa.table({rows.column or "row_id": pa.array([line.strip() for line in lines], pa.string())})


def _by_id(scan: ScanReport, column: pa.ChunkedArray, path: UPath) -> NDArray[np.bool_]:
    row_ids = _whole_numbers(column, path, "row_id")
    _refuse((row_ids < 0) | (row_ids >= scan.rows), column, path, f"a row id from 0 to {scan.rows - 1:,}")
    listed = np.zeros(scan.rows, np.bool_)
    listed[row_ids] = True
    return listed


def _by_name(scan: ScanReport, column: pa.ChunkedArray, path: UPath) -> NDArray[np.bool_]:
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        raise ListInvalid(f"{path}: img_name: found {column.type}, expected text")
    names = pa.chunked_array([text_hashes(chunk.cast(pa.string())) for chunk in column.chunks], pa.uint64())
    known = load_signals(scan, ["img_name_xxh3"])["img_name_xxh3"]
    _refuse(~pc.fill_null(pc.is_in(names, known.drop_null()), False).to_numpy(), column, path, "the name of a row")
    return np.asarray(pc.fill_null(pc.is_in(known, names.drop_null()), False))


def _by_shard(scan: ScanReport, table: pa.Table, path: UPath) -> NDArray[np.bool_]:
    encoded = table["shard"].cast(pa.string()).combine_chunks().dictionary_encode()
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
    text = column.cast(pa.string())
    whole = pc.fill_null(pc.match_substring_regex(text, "^-?[0-9]{1,18}$"), False)
    _refuse(~whole.to_numpy(), column, path, f"a whole number as {name}; for names set column: img_name")
    numbers: NDArray[np.int64] = text.cast(pa.int64()).to_numpy()
    return numbers


def _refuse(wrong: NDArray[np.bool_], column: pa.ChunkedArray, path: UPath, expected: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        shown = ", ".join(f"{column[int(row)].as_py()!r} in row {row + 1}" for row in rows[:_SHOWN])
        more = f", and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        raise ListInvalid(f"{path}: found {shown}{more}; expected {expected}")
