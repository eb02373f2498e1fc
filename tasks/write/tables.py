"""Write ``index.parquet`` and ``rejected.parquet``: where every source row went, shard by shard."""

from collections.abc import Iterable, Iterator
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.reasons import REASONS, Reason
from schemas.reports import DataFile, ScanReport
from schemas.subset import Signal, Subset
from schemas.tables import INDEX, REJECTED, SIGNALS
from tasks.files import appearing, read_parquet, sha256_of
from tasks.signals import first_row_ids
from tasks.write.placement import Placement

_MEASURED = [reason.measured for reason in REASONS]
_SIGNALS = [name for name in SIGNALS.names if name in {*INDEX.names, *REJECTED.names, *_MEASURED, *get_args(Signal)}]


def write_index(scan: ScanReport, verdicts: UPath, placement: Placement, path: UPath) -> DataFile:
    """Write the kept rows (:data:`schemas.tables.INDEX`) to ``path``."""
    file, file_row = placement.columns()

    def tables() -> Iterator[pa.Table]:
        done = 0
        for rows in judged_rows(scan, verdicts):
            kept = rows.filter(rows["kept"])
            here = slice(done, done + len(kept))
            kept = kept.append_column("file", file[here]).append_column("file_row", file_row[here])
            done += len(kept)
            yield _index(kept)

    return write_tables(tables(), INDEX, path)


def write_rejected(scan: ScanReport, verdicts: UPath, subset: Subset, path: UPath, *, details: bool) -> DataFile:
    """Write every row that is not kept (:data:`schemas.tables.REJECTED`) to ``path``.

    ``details`` says whether to tell what was found in a row with defects, which may quote its caption.
    """
    top = subset.top.signal if subset.top is not None else None
    tables = (_rejected(rows.filter(pc.invert(rows["kept"])), top) for rows in judged_rows(scan, verdicts))
    return write_tables(tables if details else map(without_details, tables), REJECTED, path)


def without_details(rejected: pa.Table) -> pa.Table:
    """Return rows of :data:`schemas.tables.REJECTED` without the words that may quote a caption."""
    at = REJECTED.get_field_index("detail")
    return rejected.set_column(at, REJECTED.field(at), pa.nulls(len(rejected), REJECTED.field(at).type))


def judged_rows(scan: ScanReport, verdicts: UPath) -> Iterator[pa.Table]:
    """Yield, shard by shard, the signals with the verdicts beside them and the shard's name as ``shard``."""
    judged = read_parquet(verdicts)
    for shard, start in zip(scan.shards, first_row_ids(scan), strict=False):
        table = read_parquet(shard.signals, _SIGNALS)
        for name in judged.schema.names:
            table = table.append_column(name, judged[name].slice(start, shard.rows))
        yield table.append_column("shard", pa.repeat(shard.shard, shard.rows))


def _index(rows: pa.Table) -> pa.Table:
    columns = {field.name: rows[field.name] for field in INDEX if field.name != "flags"}
    columns["flags"] = _codes(rows["flags"].to_numpy())
    return pa.table([columns[field.name].cast(field.type) for field in INDEX], schema=INDEX)


def _rejected(rows: pa.Table, top: str | None) -> pa.Table:
    masks = rows["reasons"].to_numpy()
    reasons = _codes(masks)
    columns = {name: rows[name] for name in REJECTED.names if name in rows.schema.names}
    columns["reasons"] = reasons
    columns["primary_reason"] = pc.list_element(reasons, 0) if len(rows) else pa.array([], pa.string())
    columns["measured"] = pa.ListArray.from_arrays(reasons.offsets, _measured(rows, masks, top))
    return pa.table([columns[field.name].cast(field.type) for field in REJECTED], schema=REJECTED)


def _bits(masks: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return the bits of each mask, shape (rows, reasons)."""
    bits: NDArray[np.bool_] = (masks[:, None] >> np.arange(len(REASONS), dtype=np.uint64)) & np.uint64(1) != 0
    return bits


def _codes(masks: NDArray[np.uint64]) -> pa.ListArray:
    rows, codes = np.nonzero(_bits(masks))
    offsets = np.searchsorted(rows, np.arange(len(masks) + 1)).astype(np.int32)
    names = pa.array([reason.value for reason in REASONS])
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(codes)))


def _measured(rows: pa.Table, masks: NDArray[np.uint64], top: str | None) -> pa.Array:
    """Return, beside each reason of each row, the value that led to it; null where no number did."""
    bits = _bits(masks)
    values = np.full(bits.shape, np.nan)
    known = np.zeros(bits.shape, np.bool_)
    for reason, signal in enumerate(_MEASURED):
        name = top if REASONS[reason] is Reason.TOP_MISSED else signal
        if name is not None and bits[:, reason].any():
            column = rows[name].cast(pa.float64())
            known[:, reason] = column.is_valid().to_numpy()
            values[:, reason] = pc.fill_null(column, 0).to_numpy()
    return pa.array(values[bits], mask=~known[bits])


def write_tables(tables: Iterable[pa.Table], schema: pa.Schema, path: UPath) -> DataFile:
    """Write ``tables`` to the Parquet file ``path``, a row group each."""
    rows = 0
    with appearing(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table.combine_chunks())  # the bytes would depend on the chunks
                rows += len(table)
        return DataFile(path=path.name, rows=rows, byte_length=temporary.stat().st_size, sha256=sha256_of(temporary))
