"""What the workspace knows of a shard: the identity of its content, and its signals by content and scan settings."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.recipe import ScanSettings, fingerprint
from schemas.reports import ShardReport
from schemas.tables import SCAN_VERSION
from tasks.files import write_text, xxh3_of
from tasks.source import Shard, ShardUnreadable


def recall(shard: Shard, settings: ScanSettings, workspace: Path) -> ShardReport | None:
    """Return the report of an earlier scan of ``shard`` as it lies there now, without reading it; None if unknown."""
    try:
        content = _noted_identity(shard, workspace)
    except ShardUnreadable:
        return None
    return recall_content(shard, content, settings, workspace) if content else None


def recall_content(shard: Shard, content: str, settings: ScanSettings, workspace: Path) -> ShardReport | None:
    """Return the report of an earlier scan of this ``content``, under whatever name; None if there is none."""
    path = signals_path(workspace, settings, content)
    try:
        return report_on(shard, content, path, reused=True)
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None  # never scanned, or the file is damaged: scanning again is always right


def report_on(shard: Shard, content: str, path: Path, *, reused: bool) -> ShardReport:
    """Return the report on the signals file ``path``: its rows as Parquet has them, against those that were counted."""
    metadata = pq.read_metadata(path)
    return ShardReport(
        shard=shard.name,
        content_xxh3=content,
        byte_length=shard.path.stat().st_size,
        rows=metadata.num_rows,
        signals=path,
        reused=reused,
        **json.loads(metadata.metadata[b"counts"]),
    )


def signals_path(workspace: Path, settings: ScanSettings, content: str) -> Path:
    """Return where the signals of ``content``, measured with ``settings``, lie in ``workspace``."""
    key = fingerprint({"version": SCAN_VERSION, "settings": settings.model_dump(mode="json")})[:16]
    return workspace / "signals" / key / f"{content}.parquet"


def identify(shard: Shard, workspace: Path) -> str:
    """Return the XXH3-128 of the shard's bytes; from the workspace while the file's status is unchanged.

    Raises:
        ShardUnreadable: if the file is missing, or may not be read.
    """
    if known := _noted_identity(shard, workspace):
        return known
    status = file_status(shard)
    content = xxh3_of(shard.path)
    note = {"path": str(shard.path.resolve()), "status": status, "content_xxh3": content}
    write_text(_note(shard, workspace), json.dumps(note))
    return content


def file_status(shard: Shard) -> list[int]:
    """Return what changes when a file does: size, modification and change time, inode.

    Raises:
        ShardUnreadable: if the file is missing, or may not be read.
    """
    try:
        status = shard.path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise ShardUnreadable(f"{shard.name}: {error.strerror}; state.json lists it") from error
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _noted_identity(shard: Shard, workspace: Path) -> str | None:
    status = file_status(shard)
    try:
        known = json.loads(_note(shard, workspace).read_text(encoding="utf-8"))
        return str(known["content_xxh3"]) if known["status"] == status else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # never seen, or the note is damaged: reading the file again is always right


def _note(shard: Shard, workspace: Path) -> Path:
    return workspace / "identities" / f"{fingerprint(str(shard.path.resolve()))[:32]}.json"
