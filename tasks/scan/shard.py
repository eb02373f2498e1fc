"""Scan one shard: facts, decode, measure, and the signals file that appears whole or not at all."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.reasons import REASONS, Reason
from schemas.recipe import ScanSettings
from schemas.reports import QuarantinedShard, ShardReport
from schemas.tables import SIGNALS
from tasks.files import appearing
from tasks.scan.facts import FactError, read_facts
from tasks.scan.images import read_images
from tasks.scan.reuse import file_status, identify, recall_content, report_on, signals_path
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
        status = file_status(shard)
        content = identify(shard, workspace)
        if known := recall_content(shard, content, settings, workspace):
            return known
        path = signals_path(workspace, settings, content)
        with appearing(path) as temporary:
            _scan_to(temporary, shard, settings)
            if file_status(shard) != status:
                raise ShardUnreadable(f"{shard.name}: changed while it was read")
    except (ShardUnreadable, FactError, pa.ArrowException, UnicodeDecodeError, KeyError) as error:
        told = str(error)
        return QuarantinedShard(shard=shard.name, error=told if shard.name in told else f"{shard.name}: {told}")
    return report_on(shard, content, path, reused=False)


def _scan_to(path: Path, shard: Shard, settings: ScanSettings) -> None:
    counts = dict.fromkeys(("sound_rows", "defective_rows", "image_bytes"), 0)
    with pq.ParquetWriter(path, SIGNALS, compression="zstd", use_dictionary=_DICTIONARY_COLUMNS) as writer:
        for table in _row_groups(shard, settings):
            writer.write_table(table, row_group_size=_ROW_GROUP)
            defects = pc.list_value_length(table["defects"])
            counts["sound_rows"] += pc.sum(pc.equal(defects, 0)).as_py()
            counts["defective_rows"] += pc.sum(pc.greater(defects, 0)).as_py()
            counts["image_bytes"] += pc.sum(table["byte_length"]).as_py()
        writer.add_key_value_metadata({"counts": json.dumps(counts)})


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
    images, refused = read_images(image_bytes(batch), formats=settings.formats, max_pixels=settings.max_pixels)
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
