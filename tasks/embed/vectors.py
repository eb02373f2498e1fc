"""Vectors and scores of a whole source, a shard at a time, in source order."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from upath import UPath

from schemas.embedding import EmbedReport
from schemas.errors import CurationError
from schemas.subset import ScoredSignal
from tasks.files import read_parquet

Side = Literal["image", "text"]
Halves = NDArray[np.float16]


class NotEmbedded(CurationError):
    """A scorer is asked of which there are no vectors."""


def read_vectors(path: UPath, side: Side) -> tuple[Halves, NDArray[np.bool_]]:
    """Return the vectors of one file: shape (rows, dimensions), zeros where there is none; and which rows have one."""
    column = read_parquet(path, [side])[side].combine_chunks()
    present = column.is_valid().to_numpy(zero_copy_only=False)
    dimensions = column.type.list_size
    # The values of null rows are there, and of no meaning; a slice would begin in the middle of them.
    values = column.values.slice(column.offset * dimensions, len(column) * dimensions)
    vectors = values.to_numpy(zero_copy_only=False).reshape(-1, dimensions)
    if not present.all():
        vectors = np.where(present[:, None], vectors, np.float16(0))
    return vectors, present


def vectors_by_shard(report: EmbedReport, side: Side) -> Iterator[tuple[slice, Halves, NDArray[np.bool_]]]:
    """Yield, for each shard, its ``row_id``s, and what :func:`read_vectors` returns."""
    start = 0
    for shard in report.shards:
        vectors, present = read_vectors(shard.vectors, side)
        yield slice(start, start + shard.rows), vectors, present
        start += shard.rows


def load_scores(report: EmbedReport, signal: ScoredSignal) -> NDArray[np.float32]:
    """Return a number of each row, shape (rows,), NaN where there is none."""
    scores = np.full(report.rows, np.nan, np.float32)
    start = 0
    for shard in report.shards:
        path = shard.vectors if signal == "similarity" else shard.margins
        column = read_parquet(path, [signal])[signal]
        scores[start : start + shard.rows] = pc.fill_null(column, pa.scalar(np.nan, pa.float32())).to_numpy()
        start += shard.rows
    return scores
