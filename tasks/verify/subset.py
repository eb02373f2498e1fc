"""Verify a published subset: read every file again and hold it against the manifest and against each other."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from upath import UPath

from schemas.manifest import MANIFEST_VERSION, Manifest
from schemas.reports import DataFile, VerifyReport
from schemas.tables import INDEX, REJECTED
from tasks.files import read_parquet, read_parquet_metadata, sha256_of
from tasks.verify.data import SHOWN, data_files, image_views
from tasks.verify.duplicates import check_duplicates
from tasks.write.staging import MANIFEST, RUN, NotASubset, read_manifest


def verify(directory: UPath) -> VerifyReport:
    """Check the subset in ``directory``: files, digests, rows, and the promises about them.

    Returns:
        A report that names each file and row at fault; ``problems`` is empty for a sound subset.
    """
    try:
        manifest = read_manifest(directory)
    except NotASubset as error:
        return VerifyReport(directory=directory, files=0, rows=0, problems=(str(error),))
    if manifest.manifest_version != MANIFEST_VERSION:
        told = f"found version {manifest.manifest_version}, expected {MANIFEST_VERSION}"
        problem = f"{MANIFEST}: {told}: verify it with the release that wrote it, or curate it again"
        return VerifyReport(directory=directory, files=0, rows=0, problems=(problem,))
    problems = list(_check_files(directory, manifest))
    tables = {}
    for name, schema in (("index.parquet", INDEX), ("rejected.parquet", REJECTED)):
        try:
            tables[name] = read_parquet(directory / name)
            if not tables[name].schema.equals(schema):
                problems.append(f"{name}: found columns {tables[name].schema.names}, expected {schema.names}")
                del tables[name]
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{name}: {error}")
    if len(tables) == 2:
        problems += _check_rows(manifest, tables["index.parquet"], tables["rejected.parquet"])
    if "index.parquet" in tables:
        problems += _check_data(directory, manifest, tables["index.parquet"])
        problems += check_duplicates(directory, manifest, tables["index.parquet"])
    return VerifyReport(
        directory=directory, files=len(manifest.files) + 1, rows=manifest.funnel.kept, problems=tuple(problems)
    )


def _check_files(directory: UPath, manifest: Manifest) -> Iterator[str]:
    listed = {file.path for file in manifest.files}
    present = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
    for extra in sorted(present - listed - {MANIFEST, RUN}):
        yield f"{extra}: not in the manifest"
    for file in manifest.files:
        if file.path not in present:
            yield f"{file.path}: missing"
        else:
            yield from _check_file(directory / file.path, file)


def _check_file(path: UPath, file: DataFile) -> Iterator[str]:
    size = path.stat().st_size
    if size != file.byte_length:
        yield f"{file.path}: found {size:,} bytes, expected {file.byte_length:,}"
    elif (found := sha256_of(path)) != file.sha256:
        yield f"{file.path}: found SHA-256 {found}, expected {file.sha256}"


def _check_rows(manifest: Manifest, index: pa.Table, rejected: pa.Table) -> Iterator[str]:
    kept, refused = (table["row_id"].to_numpy() for table in (index, rejected))
    for name, row_ids, expected in (
        ("index.parquet", kept, manifest.funnel.kept),
        ("rejected.parquet", refused, manifest.source.rows - manifest.funnel.kept),
    ):
        if len(row_ids) != expected:
            yield f"{name}: found {len(row_ids):,} rows, expected {expected:,}"
        if (np.diff(row_ids) <= 0).any():
            yield f"{name}: row ids do not ascend at row {int(np.argmax(np.diff(row_ids) <= 0)) + 1}"
    both = np.intersect1d(kept, refused)
    if len(both):
        yield f"index.parquet and rejected.parquet: both hold row id {_some(both)}"
    neither = np.setdiff1d(np.arange(manifest.source.rows), np.concatenate([kept, refused]))
    if len(neither):
        yield f"index.parquet and rejected.parquet: neither holds row id {_some(neither)}"
    keepers = rejected["duplicate_of"].drop_null().to_numpy()
    strangers = np.setdiff1d(keepers, kept)
    if len(strangers):
        yield f"rejected.parquet: duplicate_of names rows that are not kept: {_some(strangers)}"


def _check_data(directory: UPath, manifest: Manifest, index: pa.Table) -> Iterator[str]:
    image = manifest.source.columns.get("image") if manifest.recipe["scan"]["images"] else None
    for split, rows in manifest.splits.items():
        expected = index.filter(pc.equal(index["split"], split))
        done = 0
        for file in data_files(manifest, split):
            digests = expected["sha256"].slice(done, file.rows or 0).to_pylist()
            row_ids = expected["row_id"].slice(done, file.rows or 0).to_numpy()
            yield from _check_images(directory / file.path, file, image, digests, row_ids)
            done += file.rows or 0
        if not done == rows == len(expected):
            found = f"{done:,} rows in data files, {len(expected):,} in index.parquet"
            yield f"split {split}: {found}, expected {rows:,}"


def _check_images(
    path: UPath, file: DataFile, image: str | None, digests: list[bytes | None], row_ids: NDArray[np.int64]
) -> Iterator[str]:
    """Hold a data file's rows and, where the scan read them, its images against the index."""
    row = 0
    try:
        if image is None:
            row = read_parquet_metadata(path).num_rows
        for view in image_views(path, image) if image is not None else ():
            digest = hashlib.sha256(view).digest() if view else None
            if row < len(digests) and digest != digests[row]:
                where = f"{file.path}: row {row} (row id {row_ids[row]})"
                yield f"{where}: the image is not the one in index.parquet"
            row += 1
    except (OSError, pa.ArrowException, KeyError) as error:
        yield f"{file.path}: from row {row} on: {error}"
        return
    if row != file.rows:
        yield f"{file.path}: found {row:,} rows, expected {file.rows:,}"


def _some(row_ids: NDArray[np.int64]) -> str:
    more = f" and {len(row_ids) - SHOWN:,} more" if len(row_ids) > SHOWN else ""
    return ", ".join(map(str, row_ids[:SHOWN])) + more
