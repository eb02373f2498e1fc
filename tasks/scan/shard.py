"""Scan one shard: facts, decode, measure, and the signals file that appears whole or not at all."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.reasons import REASONS, Reason
from schemas.recipe import ScanSettings, fingerprint
from schemas.reports import QuarantinedShard, ShardReport
from schemas.tables import SCAN_VERSION, SIGNALS
from tasks.files import appearing, write_text, xxh3_of
from tasks.scan.facts import FactError, read_facts
from tasks.scan.images import read_images
from tasks.source import Shard, ShardUnreadable, image_bytes, read_batches

_CHUNK = 1024  # rows measured together: 4 MiB of thumbnails
_ROW_GROUP = 16_384  # rows of a row group: a shard of Git-10M is one
_DICTIONARY_COLUMNS = ["format", "mode", "defects.list.element"]


def scan_shard(shard: Shard, settings: ScanSettings, workspace: Path) -> ShardReport | QuarantinedShard:
    """Scan ``shard`` unless its signals are in ``workspace`` already, and return what was found.

    The signals file is keyed by the shard's content and by the scan settings, so it serves every recipe.

    Raises:
        OSError: for a fault of the file system that may pass; the caller may retry.
    """
    try:
        content = _content_identity(shard, workspace)
        path = signals_folder(workspace, settings) / f"{content}.parquet"
        reused = path.exists()
        if not reused:
            _scan_to(path, shard, settings)
    except (ShardUnreadable, FactError) as error:
        return QuarantinedShard(shard=shard.name, error=str(error))
    counts = json.loads(pq.read_metadata(path).metadata[b"counts"])
    return ShardReport(
        shard=shard.name,
        content_xxh3=content,
        byte_length=shard.path.stat().st_size,
        signals=path,
        reused=reused,
        **counts,
    )


def signals_folder(workspace: Path, settings: ScanSettings) -> Path:
    """Return where the signals of ``settings`` lie in ``workspace``."""
    key = fingerprint({"version": SCAN_VERSION, "settings": settings.model_dump(mode="json")})[:16]
    return workspace / "signals" / key


def _content_identity(shard: Shard, workspace: Path) -> str:
    """Return the XXH3-128 of the shard's bytes; read from the workspace while the file's status is unchanged."""
    status = _status(shard)
    note = workspace / "identities" / f"{fingerprint(str(shard.path.resolve()))[:32]}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["status"] == status:
            return str(known["content_xxh3"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # never seen, or the note is damaged: reading the file again is always right
    content = xxh3_of(shard.path)
    write_text(note, json.dumps({"path": str(shard.path.resolve()), "status": status, "content_xxh3": content}))
    return content


def _status(shard: Shard) -> list[int]:
    try:
        status = shard.path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise ShardUnreadable(f"{shard.name}: {error.strerror}; state.json lists it") from error
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _scan_to(path: Path, shard: Shard, settings: ScanSettings) -> None:
    before = _status(shard)
    counts = dict.fromkeys(("rows", "sound_rows", "defective_rows", "image_bytes"), 0)
    with appearing(path) as temporary:
        with pq.ParquetWriter(temporary, SIGNALS, compression="zstd", use_dictionary=_DICTIONARY_COLUMNS) as writer:
            for table in _row_groups(shard, settings):
                writer.write_table(table, row_group_size=_ROW_GROUP)
                sound = pc.sum(pc.equal(pc.list_value_length(table["defects"]), 0)).as_py() or 0
                counts["rows"] += len(table)
                counts["sound_rows"] += sound
                counts["defective_rows"] += len(table) - sound
                counts["image_bytes"] += pc.sum(table["byte_length"]).as_py() or 0
            writer.add_key_value_metadata({"counts": json.dumps(counts)})
        if _status(shard) != before:
            raise ShardUnreadable(f"{shard.name}: changed while it was read")


def _row_groups(shard: Shard, settings: ScanSettings) -> Iterator[pa.Table]:
    rows, waiting = 0, []
    for batch in read_batches(shard.path):
        for start in range(0, batch.num_rows, _CHUNK):
            chunk = batch.slice(start, _CHUNK)
            waiting.append(scan_batch(chunk, rows, settings))
            rows += chunk.num_rows
            if sum(signals.num_rows for signals in waiting) >= _ROW_GROUP:
                yield pa.Table.from_batches(waiting)
                waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def scan_batch(batch: pa.RecordBatch, first_row: int, settings: ScanSettings) -> pa.RecordBatch:
    """Return the signals of ``batch`` (:data:`schemas.tables.SIGNALS`); its first row is ``first_row`` of its shard."""
    facts = read_facts(batch)
    images, refused = read_images(image_bytes(batch), settings)
    defects = {
        row: facts.breaches.get(row, {}) | refused.get(row, {}) for row in facts.breaches.keys() | refused.keys()
    }
    rows = pa.array(np.arange(first_row, first_row + batch.num_rows, dtype=np.int32))
    columns = {"row": rows, **facts.columns, **images, **_defect_columns(batch.num_rows, defects)}
    return pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in SIGNALS], schema=SIGNALS)


def _defect_columns(rows: int, defects: dict[int, dict[Reason, str]]) -> dict[str, pa.Array]:
    lengths = np.zeros(rows + 1, np.int32)
    details: list[str | None] = [None] * rows
    codes: list[str] = []
    for row in sorted(defects):
        ordered = sorted(defects[row], key=REASONS.index)
        codes += ordered
        lengths[row + 1] = len(ordered)
        details[row] = "; ".join(defects[row][reason] for reason in ordered)
    offsets = pa.array(np.cumsum(lengths, dtype=np.int32))
    return {
        "defects": pa.ListArray.from_arrays(offsets, pa.array(codes, pa.string())),
        "detail": pa.array(details, pa.string()),
    }
