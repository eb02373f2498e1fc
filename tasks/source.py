"""The source: shards of a ``datasets.save_to_disk`` tree, listed and read batch by batch from a memory map."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.errors import CurationError
from schemas.recipe import Source
from schemas.tables import FACT_COLUMNS

_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow IPC streaming format: continuation marker, length 0


class SourceError(CurationError):
    """The source as a whole cannot be read: the message names the file, what was found and what was expected."""


class ShardUnreadable(CurationError):
    """One shard cannot be read: missing, cut short, or without the columns. Other shards are unaffected."""


class Shard(NamedTuple):
    """One source file."""

    name: str  # file name in the split's folder
    path: Path


def list_shards(source: Source) -> tuple[Shard, ...]:
    """Return the shards of ``source``'s split in order, as its ``state.json`` lists them.

    Raises:
        SourceError: if the folder is no such tree, has no such split, or lists no shard.
    """
    if not source.path.is_dir():
        raise SourceError(f"{source.path}: no such folder; expected a tree written by datasets.save_to_disk")
    folder = _split_folder(source)
    state = _read_json(folder / "state.json")
    try:
        names = [str(entry["filename"]) for entry in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise SourceError(f"{folder / 'state.json'}: no list of data files; expected _data_files[].filename") from error
    if not names:
        raise SourceError(f"{folder}: the source is empty: state.json lists no data file")
    if len(set(names)) < len(names):
        raise SourceError(f"{folder / 'state.json'}: a data file is listed twice")
    for name in names:
        if Path(name).name != name:
            raise SourceError(f"{folder / 'state.json'}: data file {name!r} is outside the split's folder")
    return tuple(Shard(name, folder / name) for name in names)


def _split_folder(source: Source) -> Path:
    listing = source.path / "dataset_dict.json"
    if listing.exists():
        splits = _read_json(listing).get("splits", [])
        if source.split not in splits:
            raise SourceError(
                f"{source.path}: no split {source.split!r}; found {', '.join(map(str, splits)) or 'none'}"
            )
        return source.path / source.split
    if (source.path / "state.json").exists():
        return source.path
    raise SourceError(f"{source.path}: neither dataset_dict.json nor state.json; expected a datasets.save_to_disk tree")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: {error}; expected a JSON file written by datasets.save_to_disk") from error
    if not isinstance(data, dict):
        raise SourceError(f"{path}: found {type(data).__name__}, expected a JSON object")
    return data


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of one shard, an Arrow IPC stream file, without copying its bytes.

    Raises:
        ShardUnreadable: if the file is missing, not such a stream, cut short, or lacks a column.
        OSError: for a fault of the file system that may pass, such as EIO.
    """
    try:
        with pa.memory_map(str(path)) as file:
            size = file.size()
            if size < len(_END_OF_STREAM) or file.read_at(len(_END_OF_STREAM), size - 8) != _END_OF_STREAM:
                raise ShardUnreadable(f"{path.name}: cut short: no end-of-stream marker in {size:,} bytes")
            with pa.ipc.open_stream(file) as reader:
                _check_columns(path, reader.schema)
                for batch in reader:
                    batch.validate(full=True)  # offsets that lie would crash whoever follows them
                    yield batch
            if file.tell() != size:
                raise ShardUnreadable(f"{path.name}: an end-of-stream marker at byte {file.tell():,} of {size:,}")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, EOFError) as error:
        raise ShardUnreadable(f"{path.name}: {error}") from error
    except OSError as error:
        # Arrow reports a damaged message as an OSError without errno; a missing or locked file will not heal by itself.
        if error.errno is None or isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise ShardUnreadable(f"{path.name}: {error}") from error
        raise


def _check_columns(path: Path, schema: pa.Schema) -> None:
    missing = [name for name in ("image", *FACT_COLUMNS) if name not in schema.names]
    if missing:
        raise ShardUnreadable(f"{path.name}: no column {', '.join(missing)}; found {', '.join(schema.names) or 'none'}")
    image = schema.field("image").type
    if not (pa.types.is_struct(image) and image.get_field_index("bytes") >= 0):
        raise ShardUnreadable(f"{path.name}: column image is {image}; expected struct<bytes: binary, path: string>")


def image_bytes(batch: pa.RecordBatch) -> pa.BinaryArray | pa.LargeBinaryArray:
    """Return the images of ``batch`` as one binary column, null where a row has none."""
    return pc.struct_field(batch.column("image"), "bytes")


def take_rows(path: Path, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Yield the given rows of one shard, a table for each record batch that holds some.

    Args:
        path: the shard.
        rows: positions in the shard, ascending, each at most once.

    Raises:
        ShardUnreadable: as :func:`read_batches`, and if the shard has fewer rows.
    """
    start = done = 0
    for batch in read_batches(path):
        end = start + batch.num_rows
        until = int(np.searchsorted(rows, end))
        if until > done:
            yield pa.Table.from_batches([batch.take(pa.array(rows[done:until] - start))])
        start, done = end, until
        if done == len(rows):
            return
    if done < len(rows):
        raise ShardUnreadable(f"{path.name}: no row {rows[done]}; found {start} rows")


def read_schema(path: Path) -> pa.Schema:
    """Return the schema of one shard, with its metadata."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return reader.schema
