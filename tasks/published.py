"""A published subset as it is asked about: its manifest, its run, and single rows of its tables."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from schemas.errors import CurationError
from schemas.manifest import MANIFEST_VERSION, Manifest
from tasks.files import is_local

MANIFEST = "manifest.json"
RUN = "run.json"


class NotASubset(CurationError):
    """The place of a subset holds something else, which is left as it is."""


class OtherVersion(NotASubset):
    """A subset that another release wrote, in a form that this one does not read."""


class SubsetDamaged(CurationError):
    """A table of a subset cannot be read, or is not what the manifest says."""


def read_manifest(directory: UPath) -> Manifest:
    """Return the manifest of the subset in ``directory``, its seal checked.

    Raises:
        NotASubset: if there is none, or it does not hold.
        OtherVersion: if another release wrote it.
    """
    path = directory / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        found = data.get("manifest_version") if isinstance(data, dict) else None
        if isinstance(found, int) and found != MANIFEST_VERSION:
            told = f"found version {found}, expected {MANIFEST_VERSION}"
            raise OtherVersion(f"{path}: {told}: use the release that wrote it, or curate it again")
        manifest = Manifest.model_validate(data)
    except FileNotFoundError as error:
        raise NotASubset(f"{directory}: no {MANIFEST}, so this is not a subset") from error
    except (OSError, ValueError, RecursionError) as error:  # no text, no JSON, or no manifest
        raise NotASubset(f"{path}: {error}") from error
    if not manifest.seal:
        raise NotASubset(f"{path}: the manifest is not sealed")
    return manifest


def read_run(directory: UPath) -> dict[str, Any]:
    """Return what the run that made the subset in ``directory`` noted of itself: :data:`RUN`.

    Raises:
        OSError, ValueError: if there is no such note, or it cannot be read.
    """
    run = json.loads((directory / RUN).read_text(encoding="utf-8"))
    if not isinstance(run, dict):
        raise ValueError(f"{directory / RUN}: found {type(run).__name__}, expected an object")
    return run


def workspace_of(directory: UPath) -> UPath | None:
    """Return the workspace of the run that made the subset, as its ``run.json`` has it; None if that does not say."""
    try:
        return UPath(read_run(directory)["recipe"]["workspace"])
    except (OSError, ValueError, KeyError, TypeError, ImportError):
        return None


def read_where(path: UPath, condition: pc.Expression, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of the Parquet file ``path`` for which ``condition`` holds; the rest is never held in memory.

    Row groups whose statistics rule the condition out are not read.

    Raises:
        SubsetDamaged: if the file is missing or damaged, or lacks a column.
    """
    names = None if columns is None else list(columns)
    try:
        if is_local(path):
            return pq.read_table(str(path), columns=names, filters=condition)
        with path.open("rb") as file:
            return pq.read_table(file, columns=names, filters=condition)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise SubsetDamaged(f"{path}: cannot be read: {error}; git10m verify tells what is wrong") from error


def read_row_ids(path: UPath, row_ids: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of ``row_ids`` that the table ``path`` (index or rejected) has, in its order; errors as above."""
    field = pc.field("row_id")
    if not row_ids:
        return read_where(path, field < 0, columns)
    within = (field >= min(row_ids)) & (field <= max(row_ids))
    return read_where(path, within & field.isin(list(row_ids)), columns)
