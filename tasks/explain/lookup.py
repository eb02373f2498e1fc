"""Find rows of a subset by id or name, and what the workspace measured of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from schemas.base import Location
from schemas.errors import CurationError
from schemas.manifest import Manifest, ShardIdentity
from schemas.recipe import ScanSettings
from schemas.tables import INDEX_FILE, REJECTED_FILE, SCAN_VERSION, SCORES, SIGNALS
from tasks.files import read_parquet_metadata
from tasks.published import SubsetDamaged, read_row_ids, read_run, read_where
from tasks.scan.reuse import signals_path

_SUGGESTED = 3
_UNREADABLE = {"img_name_xxh3", "caption_xxh3"}
_READ = [name for name in SIGNALS.names if name != "descriptor"]


class NoSuchRow(CurationError):
    """The source has no row of that id or name."""


class Signals(NamedTuple):
    """What was measured of one row, if it is known."""

    row: pa.Table | None  # one row of SIGNALS without its descriptor
    missing: str | None  # why it is not known


def find_rows(directory: UPath, manifest: Manifest, asked: str, *, by_name: bool) -> tuple[int, ...]:
    """Return the row ids of what was ``asked`` for, ascending: a row id, or else an ``img_name``.

    Args:
        directory: of the subset.
        manifest: of the subset.
        asked: digits are a row id, unless the source has fewer rows and a row of that name.
        by_name: whether digits are a name, too.

    Raises:
        NoSuchRow: if there is none; the message has the range of row ids, or names like it.
        SubsetDamaged: if a table cannot be read.
    """
    is_number = asked.isascii() and asked.isdecimal() and not by_name
    if is_number and len(asked) < 19 and int(asked) < manifest.source.rows:
        return (int(asked),)
    if found := named(directory, asked):
        return found
    if is_number:
        last = f"0 to {manifest.source.rows - 1:,}" if manifest.source.rows else "none: the source has no rows"
        raise NoSuchRow(f"{directory}: no row {asked}; row ids are {last}, and no row has that img_name")
    raise NoSuchRow(f"{directory}: no row has the img_name {asked!r}{_suggestion(directory, asked)}")


def named(directory: UPath, img_name: str) -> tuple[int, ...]:
    """Return the row ids of all rows with this name, ascending."""
    condition = pc.field("img_name") == img_name
    tables = [read_where(directory / name, condition, ["row_id"]) for name in (INDEX_FILE, REJECTED_FILE)]
    return tuple(sorted(row_id for table in tables for row_id in table["row_id"].to_pylist()))


def _suggestion(directory: UPath, asked: str) -> str:
    stem = asked.rsplit("/", 1)[-1].rsplit(".", 1)[0].strip()
    if len(stem) < 3:
        return ""
    condition = pc.match_substring(pc.field("img_name"), stem, ignore_case=True)
    tables = [read_where(directory / name, condition, ["img_name"]) for name in (INDEX_FILE, REJECTED_FILE)]
    names = list(dict.fromkeys(pa.concat_tables(tables)["img_name"].slice(0, _SUGGESTED).to_pylist()))
    return f"; there is {', '.join(map(repr, names))}" if names else ""


def published_row(directory: UPath, row_id: int) -> tuple[bool, dict[str, Any]]:
    """Return whether the row is kept, and its row of index or rejected.

    Raises:
        SubsetDamaged: if neither has it.
    """
    for name in (INDEX_FILE, REJECTED_FILE):
        found = read_row_ids(directory / name, [row_id]).to_pylist()
        if found:
            return name == INDEX_FILE, found[0]
    raise SubsetDamaged(f"{directory}: neither {INDEX_FILE} nor {REJECTED_FILE} has row {row_id}; run git10m verify")


def shard_of(manifest: Manifest, row_id: int) -> tuple[ShardIdentity, int]:
    """Return the shard of a row, and the row's position in it."""
    ends = np.cumsum([shard.rows for shard in manifest.source.shards])
    at = int(np.searchsorted(ends, row_id, side="right"))
    shard = manifest.source.shards[at]
    return shard, row_id - int(ends[at]) + shard.rows


def find_signals(manifest: Manifest, workspace: Location | None, row_id: int) -> Signals:
    """Return the signals of a row, from the one file of its shard in ``workspace``; None: it is not known."""
    if workspace is None:
        return Signals(None, "run.json does not say where the workspace is; name it with --workspace")
    if manifest.versions.get("scan") != str(SCAN_VERSION):
        made = manifest.versions.get("scan", "an unknown version")
        return Signals(None, f"it was scanned by version {made} of the scan, and this release has {SCAN_VERSION}")
    shard, row = shard_of(manifest, row_id)
    settings = ScanSettings.model_validate(manifest.recipe["scan"])
    path = signals_path(workspace, settings, manifest.recipe["source"]["columns"], shard.content_xxh3)
    try:
        if read_parquet_metadata(path).num_rows != shard.rows:
            return Signals(None, f"{path}: not the signals of {shard.shard}: another number of rows")
        found = read_where(path, pc.field("row") == row, _READ)
    except FileNotFoundError:
        return Signals(None, f"{path}: no signals of {shard.shard}; another workspace is named with --workspace")
    except (OSError, pa.ArrowException, SubsetDamaged) as error:
        return Signals(None, f"{path}: cannot be read: {error}")
    return Signals(found, None) if len(found) == 1 else Signals(None, f"{path}: row {row} is not in it once")


def find_scores(directory: UPath, row_id: int) -> dict[str, float | None]:
    """Return what scorers told of a row by name, from the verdicts that the run noted; nothing if these are gone."""
    try:
        verdicts = UPath(read_run(directory)["tables"]["verdicts"])
        found: list[dict[str, float | None]] = read_where(
            verdicts, pc.field("row_id") == row_id, SCORES.names
        ).to_pylist()
    except (OSError, ValueError, KeyError, TypeError, ImportError, SubsetDamaged):
        return {}
    return found[0] if len(found) == 1 else {}


def readable_signals(row: pa.Table) -> dict[str, Any]:
    """Return what a person can read of one row's signals: numbers and words, digests and hashes in hex."""
    values: dict[str, Any] = row.select([name for name in row.column_names if name not in _UNREADABLE]).to_pylist()[0]
    del values["row"], values["img_name"], values["defects"], values["detail"]
    for name in ("phash", "signature", "pixels_xxh3"):
        values[name] = None if values[name] is None else f"{values[name]:016x}"
    values["sha256"] = None if values["sha256"] is None else values["sha256"].hex()
    return values


def rejected_in_favour_of(directory: UPath, row_id: int, shown: int) -> tuple[int, Sequence[dict[str, Any]]]:
    """Return how many rows were rejected as duplicates of ``row_id``, and the first ``shown`` rows of them."""
    found = read_where(directory / REJECTED_FILE, pc.field("duplicate_of") == row_id, ["row_id"])["row_id"]
    first = found.slice(0, shown).to_pylist()
    return len(found), read_row_ids(directory / REJECTED_FILE, first).to_pylist() if first else []
