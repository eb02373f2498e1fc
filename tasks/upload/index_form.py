"""The index form of a subset: which rows it is made of, and none of their pictures and captions."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from schemas.manifest import Manifest
from schemas.reports import DataFile
from schemas.tables import INDEX, INDEX_FILE, REJECTED, REJECTED_FILE
from tasks.files import appearing, sha256_of
from tasks.published import MANIFEST, NotASubset, read_manifest
from tasks.upload.permission import INDEX_TABLES, UploadRefused, in_index_form, refuse_other_files
from tasks.write.card import render_card
from tasks.write.croissant import render_croissant
from tasks.write.sealing import seal
from tasks.write.tables import without_details, write_tables

_CARD, _CROISSANT = "README.md", "croissant.json"
_NOTED = {b"ARROW:schema", b"PARQUET:field_id"}  # by pyarrow, in every file
_COPIED_AT_ONCE = 1 << 20  # bytes


def index_form(directory: UPath, target: Path) -> Manifest:
    """Write the index form of the whole subset in ``directory`` to the new folder ``target``, complete or not at all.

    The same subset gives the same bytes. Index and figures are copied, what was found in rejected rows is left out,
    card and Croissant are those of an index, and the manifest, of mode ``index``, keeps the records of the data files
    that the index stands for.

    Returns:
        The manifest of the index form, sealed.

    Raises:
        NotASubset: if ``directory`` is no subset, or a file that is carried over is not the one in its manifest.
        UploadRefused: if it is an index already, or its tables have columns that an index may not have.
        FileExistsError: if ``target`` exists.
    """
    manifest = read_manifest(directory)
    if manifest.mode == "index":
        raise UploadRefused(f"{directory}: is an index already; expected a subset with its data files")
    if target.exists():
        raise FileExistsError(f"{target}: exists; expected a new folder")
    building = target.with_name(f".{target.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
    try:
        written = _write(directory, manifest, UPath(building))
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return written


def check_index(directory: UPath, manifest: Manifest) -> None:
    """Make sure that the files of ``manifest``, an index in ``directory``, hold no picture and no caption.

    Raises:
        UploadRefused: if there is another file, another column, or a detail of a rejected row.
    """
    refuse_other_files(manifest.files)
    for name, schema in zip(INDEX_TABLES, (INDEX, REJECTED), strict=True):
        with (directory / name).open("rb") as opened, pq.ParquetFile(opened) as parquet:
            _check_schema(name, parquet, schema)
            groups = range(parquet.num_row_groups) if schema is REJECTED else ()
            told = sum(pc.count(parquet.read_row_group(i, columns=["detail"])["detail"]).as_py() for i in groups)
        if told:
            raise UploadRefused(
                f"{name}: found {told:,} details of rejected rows, which may quote captions; expected none in an index "
                "that is passed on: curate it again"
            )


def _write(directory: UPath, manifest: Manifest, folder: UPath) -> Manifest:
    records = {file.path: file for file in manifest.files}
    lacking = [name for name in INDEX_TABLES if name not in records]
    if lacking:
        raise NotASubset(f"{directory / MANIFEST}: {', '.join(lacking)}: not among its files")
    index = _copy(directory, records[INDEX_FILE], folder)
    with (folder / INDEX_FILE).open("rb") as opened, pq.ParquetFile(opened) as parquet:
        _check_schema(INDEX_FILE, parquet, INDEX)
    rejected = _forget_details(directory, records[REJECTED_FILE], folder)
    rendered = {_CARD, _CROISSANT, *INDEX_TABLES}
    carried = [file for path, file in records.items() if in_index_form(path) and path not in rendered]
    figures = [_copy(directory, file, folder) for file in carried]
    data = tuple(file for file in manifest.files if file.path.startswith("data/"))
    draft = manifest.model_copy(update={"mode": "index", "indexed": data, "files": (), "seal": ""})
    texts = {
        _CARD: render_card(draft, data=(index,), figures=[file.path for file in figures]),
        _CROISSANT: render_croissant(draft, data=(), tables=(index, rejected)),
    }
    return seal(folder, draft, (index, rejected, *figures), texts)


def _copy(directory: UPath, file: DataFile, folder: UPath) -> DataFile:
    with appearing(folder / file.path) as temporary:
        with (directory / file.path).open("rb") as source, temporary.open("wb") as copy:
            shutil.copyfileobj(source, copy, _COPIED_AT_ONCE)
        _check_digest(sha256_of(temporary), file)
    return file


def _forget_details(directory: UPath, file: DataFile, folder: UPath) -> DataFile:
    _check_digest(sha256_of(directory / file.path), file)
    with (directory / file.path).open("rb") as opened, pq.ParquetFile(opened) as parquet:
        _check_schema(file.path, parquet, REJECTED)
        return write_tables(map(without_details, _row_groups(parquet)), REJECTED, folder / file.path)


def _row_groups(parquet: pq.ParquetFile) -> Iterator[pa.Table]:
    return (parquet.read_row_group(number) for number in range(parquet.num_row_groups))


def _check_schema(name: str, parquet: pq.ParquetFile, expected: pa.Schema) -> None:
    """Raise :class:`UploadRefused` if there are other columns, or words beside them."""
    found = parquet.schema_arrow
    if not found.equals(expected):
        raise UploadRefused(f"{name}: found columns {found.names}, expected {expected.names}")
    noted = {*(found.metadata or ()), *(key for field in found for key in field.metadata or ())}
    noted = (noted | {*(parquet.metadata.metadata or ())}) - _NOTED
    if noted:
        raise UploadRefused(f"{name}: found the notes {sorted(noted)} beside its columns, expected none")


def _check_digest(found: str, file: DataFile) -> None:
    if found != file.sha256:
        raise NotASubset(f"{file.path}: found SHA-256 {found}, expected {file.sha256}: it was changed")
