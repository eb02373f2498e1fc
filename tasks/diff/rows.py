"""The table of rows that one of two subsets kept and the other did not."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.reasons import REASONS, Reason
from schemas.tables import CODES, INDEX, INDEX_FILE, REJECTED_FILE
from tasks.diff.verdicts import ABSENT, KEPT, Sides, Verdicts
from tasks.files import appearing

_BATCH = 65_536  # rows that are written at a time

CHANGED = pa.schema(
    [
        pa.field("change", pa.string(), nullable=False),  # lost or gained
        pa.field("row_id_a", pa.int64()),  # null where A's source does not have the row
        pa.field("row_id_b", pa.int64()),
        *(INDEX.field(name) for name in ("shard", "row", "img_name", "z", "x", "y")),
        pa.field("split", pa.string(), nullable=False),  # in the subset that kept it
        pa.field("primary_reason", pa.string()),  # of the other; null where its source does not have the row
        pa.field("reasons", CODES),  # of the other, in stage order
    ]
)
"""One row a row that one of two subsets kept and the other did not."""


def write_rows(sides: Sides, path: UPath) -> None:
    """Write the rows gained and lost to ``path``, a Parquet file: lost ones first, in the order of who kept them."""
    with appearing(path) as temporary, pq.ParquetWriter(temporary, CHANGED, compression="zstd") as writer:
        for change, turned in (("lost", sides), ("gained", sides.turned())):
            for table in _changed(turned, change):
                writer.write_table(table)


def _changed(sides: Sides, change: str) -> Iterator[pa.Table]:
    """Yield the rows that A kept and B did not, in batches of A's index."""
    one, other, pairing = sides
    masks = _reason_masks(other)
    names = ["row_id", "shard", "row", "img_name", "z", "x", "y", "split"]
    with (one.directory / INDEX_FILE).open("rb") as file, pq.ParquetFile(file) as index:
        for batch in index.iter_batches(columns=names, batch_size=_BATCH):
            there = pairing.counterparts(batch.column("row_id").to_numpy())
            gone = np.where(there < 0, np.int8(ABSENT), other.state[there]) != KEPT
            rows, there = pa.Table.from_batches([batch]).filter(pa.array(gone)), there[gone]
            if not len(rows):
                continue
            ids = rows["row_id"], pa.array(there, mask=there < 0)
            here_a, here_b = ids if change == "lost" else ids[::-1]
            reasons = _in_words(np.where(there < 0, np.uint64(0), masks[there]))
            columns = {name: rows[name] for name in names[1:]} | {
                "change": pa.repeat(change, len(rows)),
                "row_id_a": here_a,
                "row_id_b": here_b,
                "primary_reason": pc.list_element(reasons, 0),
                "reasons": reasons,
            }
            yield pa.table([columns[field.name] for field in CHANGED], schema=CHANGED)


def _reason_masks(side: Verdicts) -> NDArray[np.uint64]:
    """Return all reasons of each row as a mask over REASONS, 0 for a kept row: shape (rows,)."""
    masks = np.zeros(len(side.state), np.uint64)
    with (side.directory / REJECTED_FILE).open("rb") as file, pq.ParquetFile(file) as table:
        for batch in table.iter_batches(columns=["row_id", "reasons"], batch_size=1 << 20):
            reasons = batch.column("reasons")
            codes = reasons.flatten().dictionary_encode()
            bits = np.array([Reason(code).bit for code in codes.dictionary.to_pylist()] or [0], np.uint64)
            row_ids = batch.column("row_id").to_numpy()[pc.list_parent_indices(reasons).to_numpy()]
            np.bitwise_or.at(masks, row_ids, bits[codes.indices.to_numpy()])
    return masks


def _in_words(masks: NDArray[np.uint64]) -> pa.ListArray:
    """Return the reasons of each mask, in stage order; null for a mask of none."""
    distinct, which = np.unique(masks, return_inverse=True)
    words = [[reason.value for reason in REASONS if int(mask) & reason.bit] or None for mask in distinct]
    return pa.array(words, CODES).take(pa.array(which))
