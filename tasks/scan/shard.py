"""Scan one shard: facts, decode, measure, and the signals file that appears whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from multiprocessing import parent_process
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from schemas.reasons import REASONS, Reason
from schemas.recipe import ScanSettings, fingerprint
from schemas.reports import QuarantinedShard, ShardReport
from schemas.tables import SIGNALS
from tasks.beat import decoding
from tasks.files import appearing
from tasks.locks import claimed
from tasks.memory import limited_memory
from tasks.scan.decode import Decoded, decode, load_decoders
from tasks.scan.facts import read_facts
from tasks.scan.identity import Columns, identify, shard_status
from tasks.scan.images import read_images
from tasks.scan.isolated import IsolatedDecoder, decode_within
from tasks.scan.reuse import note_of, recall_content, report_on, signals_path
from tasks.source.columns import Layout, images, resolve
from tasks.source.formats.batches import BYTES, ROWS
from tasks.source.formats.damage import damage_told
from tasks.source.read import at_hand, read_batches, read_schema
from tasks.source.shards import Shard, ShardUnreadable

_ROW_GROUP = 16_384  # rows of a row group: a shard of Git-10M is one
_DICTIONARY_COLUMNS = ["format", "mode", "defects.list.element"]

Decoder = Callable[[memoryview], Decoded]


def scan_shard(
    shard: Shard,
    settings: ScanSettings,
    columns: Columns,
    workspace: UPath,
    *,
    isolated: bool = False,
    wait: bool = True,
) -> ShardReport | QuarantinedShard:
    """Scan ``shard`` unless its signals are in ``workspace`` already, and return what was found.

    The signals file is keyed by what a scan reads of the shard, by the settings and by the columns, so it serves every
    recipe. A shard that is damaged at some place is scanned up to there.

    Args:
        shard: the shard.
        settings: how images are measured.
        columns: column of the source that holds each fact; None: found by itself.
        workspace: where signals lie.
        isolated: whether each image is decoded in a process of its own, which may hang or crash.
        wait: whether to wait where another process scans the shard now, of another run with the same workspace.

    Raises:
        Claimed: if another process scans it, and ``wait`` is false.
        OSError: for a fault of the file system or network that may pass; the caller may retry.
    """
    try:
        status = shard_status(shard)
        work = signals_path(workspace, settings, columns, fingerprint([shard.name, *map(str, status)]))
        with claimed(workspace, str(work), wait=wait), at_hand(shard) if settings.images else nullcontext():
            content = identify(shard, settings, columns, workspace)
            signals = signals_path(workspace, settings, columns, content)
            if known := recall_content(shard, content, signals):
                return known
            with appearing(signals) as temporary:
                _scan_to(temporary, shard, settings, columns, isolated)
                if shard_status(shard) != status:
                    raise ShardUnreadable("changed while it was read", shard.name)
    except ShardUnreadable as error:
        return QuarantinedShard(shard=shard.name, error=str(error.of(shard.name)))
    return report_on(shard, content, signals, reused=False)


def _scan_to(path: Path, shard: Shard, settings: ScanSettings, columns: Columns, isolated: bool) -> None:
    schema = read_schema(shard, in_place=not settings.images)
    layout = resolve(schema, columns, images=settings.images)
    counts = dict.fromkeys(("sound_rows", "defective_rows", "image_bytes"), 0)
    damage: str | None = None
    strict = partial(
        decode,
        formats=settings.formats,
        max_pixels=settings.max_pixels,
        max_bytes=settings.max_bytes,
        pixel_digest=settings.pixel_digest,
    )
    if settings.images:
        load_decoders()
    decoding_here: AbstractContextManager[Decoder]
    if isolated:
        decoding_here = IsolatedDecoder(strict, settings.decode_seconds, settings.decode_memory_bytes)
    else:
        decoding_here = nullcontext(partial(decode_within, strict, settings.decode_memory_bytes))
    with (
        pq.ParquetWriter(path, SIGNALS, compression="zstd", use_dictionary=_DICTIONARY_COLUMNS) as writer,
        decoding_here as decoder,
    ):
        try:
            for table in _row_groups(shard, layout, settings, decoder):
                writer.write_table(table, row_group_size=_ROW_GROUP)
                defects = pc.list_value_length(table["defects"])
                counts["sound_rows"] += pc.sum(pc.equal(defects, 0)).as_py()
                counts["defective_rows"] += pc.sum(pc.greater(defects, 0)).as_py()
                counts["image_bytes"] += pc.sum(table["byte_length"]).as_py()
        except ShardUnreadable as error:
            if not counts["sound_rows"] + counts["defective_rows"]:
                raise  # nothing was read: there is nothing to keep
            damage = str(error.of(shard.name))
        present = {name: column for name, column in layout._asdict().items() if column is not None}
        if not settings.images:
            with suppress(ShardUnreadable):  # the image is not read, but will be written
                present |= {"image": resolve(schema, columns).image}
        writer.add_key_value_metadata(note_of(counts, present, damage, schema))


def _row_groups(shard: Shard, layout: Layout, settings: ScanSettings, decoder: Decoder) -> Iterator[pa.Table]:
    """Yield the signals in tables of a row group; of a damaged shard, those of every row before the damage."""
    rows, waiting = 0, []
    try:
        for batches in _gathered(read_batches(shard, layout.names(), in_place=not settings.images)):
            waiting.append(scan_batches(batches, layout, rows, settings, decoder))
            rows += waiting[-1].num_rows
            if sum(signals.num_rows for signals in waiting) >= _ROW_GROUP:
                table, waiting = pa.Table.from_batches(waiting), []
                yield table
    except ShardUnreadable:
        if waiting:
            yield pa.Table.from_batches(waiting)
        raise
    if waiting:
        yield pa.Table.from_batches(waiting)


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield ``batches`` some together: ``datasets`` writes pictures in batches of 100, and each batch has its cost."""
    waiting: list[pa.RecordBatch] = []
    try:
        for batch in batches:
            together = [*waiting, batch]
            if sum(b.num_rows for b in together) > ROWS or sum(b.nbytes for b in together) > BYTES:
                if waiting:
                    yield waiting
                together = [batch]
            waiting = together
    except ShardUnreadable:
        if waiting:
            yield waiting
        raise
    if waiting:
        yield waiting


def scan_batches(
    batches: list[pa.RecordBatch], layout: Layout, first_row: int, settings: ScanSettings, decoder: Decoder
) -> pa.RecordBatch:
    """Return the signals of ``batches`` (:data:`schemas.tables.SIGNALS`); their first row is that of their shard."""
    with damage_told():
        facts = read_facts(_facts_of(batches, layout), layout)
        pictures = pa.chunked_array([images(batch, layout) for batch in batches]) if settings.images else None
    rows = sum(batch.num_rows for batch in batches)
    defects, columns = facts.breaches, facts.columns
    if pictures is not None:
        # Only a process of our own is limited: the limit holds for all of its threads.
        measured, refused = read_images(
            pictures,
            decoder=decoder,
            beat=lambda row: decoding(None if row is None else first_row + row, settings.decode_seconds),
            within=limited_memory(settings.decode_memory_bytes) if parent_process() else nullcontext(),
        )
        columns |= measured
        defects = {row: defects.get(row, {}) | refused.get(row, {}) for row in defects.keys() | refused.keys()}
    else:
        columns["byte_length"] = pa.array(np.zeros(rows, np.int64))
    columns["row"] = pa.array(np.arange(first_row, first_row + rows, dtype=np.int32))
    columns |= _defect_columns(rows, defects)
    return pa.RecordBatch.from_arrays(
        [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in SIGNALS],
        schema=SIGNALS,
    )


def _facts_of(batches: list[pa.RecordBatch], layout: Layout) -> pa.RecordBatch:
    """Return the columns that hold facts, of all ``batches`` in one; images would be copied."""
    names = layout._replace(image=None).names()
    if not names:
        return pa.RecordBatch.from_arrays([pa.nulls(sum(batch.num_rows for batch in batches))], [""])
    if len(batches) == 1:
        return batches[0]
    [joined] = pa.Table.from_batches([batch.select(names) for batch in batches]).combine_chunks().to_batches()
    return joined


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
