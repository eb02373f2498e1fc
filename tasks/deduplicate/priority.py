"""Which of several duplicates is the better one: the order that the recipe gives all rows."""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.recipe import Deduplication, Preference
from schemas.reports import ScanReport
from tasks.files import read_parquet
from tasks.signals import of_rows

_BETTER: dict[str, tuple[str, int]] = {
    "quality": ("img_quality_score", -1),
    "caption_words": ("caption_words", -1),
    "sharpness": ("sharpness", -1),
    "image_bytes": ("byte_length", -1),
    "ground_resolution": ("ground_resolution_m", 1),
}
"""The signal behind each word of ``deduplication.priority``; 1: the lowest is the best, -1: the highest."""


def best_first(scan: ScanReport, settings: Deduplication, row_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of ``row_ids`` (ascending), the best row first: by nested tile policy, then by priority, at
    last by place in the source.

    A row without a value comes after all that have one.
    """
    keys: list[NDArray[np.float64]] = []
    if settings.nested_tiles is not None:
        keys.append(_signal(scan, "z", 1 if settings.nested_tiles == "coarsest" else -1, row_ids))
    for word in settings.priority:
        if word != "preferred":
            keys.append(_signal(scan, *_BETTER[word], row_ids))
        elif settings.preferred:
            keys.append(preference(scan, settings.preferred)[row_ids].astype(np.float64))
    return in_order(keys, len(row_ids))


def in_order(keys: Sequence[NDArray[np.float64]], rows: int) -> NDArray[np.int64]:
    """Return rows by ``keys``, the first the most weighty, ascending, NaN last; rows of equal keys as they stand.

    >>> in_order([np.array([2.0, np.nan, 1.0, 1.0]), np.array([0.0, 0.0, 2.0, 1.0])], 4)
    array([3, 2, 0, 1])
    """
    order: NDArray[np.int64] = np.lexsort(keys[::-1]) if keys else np.arange(rows)
    return order


def _signal(scan: ScanReport, name: str, sign: int, row_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    values = np.empty(len(row_ids), np.float64)

    def take_in(here: slice, table: pa.Table) -> None:
        values[here] = pc.fill_null(table[name].cast(pa.float64()), np.nan).to_numpy()

    deque(of_rows(scan, [name], row_ids, take_in), 0)
    return sign * values


def preference(scan: ScanReport, preferred: Sequence[Preference]) -> NDArray[np.int32]:
    """Return for each row the position of the first preference that it meets, or their number: shape (rows,)."""
    ranks = np.full(scan.rows, len(preferred), np.int32)
    fields = sorted({wanted.field for wanted in preferred} - {"shard"})
    begin = 0
    for shard in scan.shards:
        table = read_parquet(shard.signals, fields) if fields else None
        here = ranks[begin : begin + shard.rows]
        for rank, wanted in reversed(list(enumerate(preferred))):
            like = _glob(wanted.pattern)
            if wanted.field == "shard":
                here[:] = rank if like(pa.array([shard.shard]))[0] else here
            elif table is not None:
                here[like(table[wanted.field].cast(pa.string()))] = rank
        begin += shard.rows
    return ranks


def _glob(pattern: str) -> Callable[[pa.Array], NDArray[np.bool_]]:
    """Return what tells which texts match ``pattern``, where * stands for any characters and ? for one."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    like = escaped.replace("*", "%").replace("?", "_")
    return lambda texts: np.asarray(pc.fill_null(pc.match_like(texts, like), False))
