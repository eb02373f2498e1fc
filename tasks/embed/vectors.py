"""Vectors and scores of a whole source, piece by piece, in source order."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
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


def read_vectors(path: UPath, side: Side) -> Iterator[tuple[Halves, NDArray[np.bool_]]]:
    """Yield the vectors of one file, some thousand rows at a time, in order.

    Yields:
        Vectors, shape (rows, dimensions), zeros where there is none; and which rows have one, shape (rows,).
    """
    with path.open("rb") as opened, pq.ParquetFile(opened) as file:
        for group in range(file.num_row_groups):
            column = file.read_row_group(group, [side])[side].combine_chunks()
            present = column.is_valid().to_numpy(zero_copy_only=False)
            dimensions = column.type.list_size
            # The values of null rows are there, and of no meaning; a slice would begin in the middle of them.
            values = column.values.slice(column.offset * dimensions, len(column) * dimensions)
            vectors = values.to_numpy(zero_copy_only=False).reshape(-1, dimensions)
            yield vectors if present.all() else np.where(present[:, None], vectors, np.float16(0)), present


def vectors_in_pieces(report: EmbedReport, side: Side) -> Iterator[tuple[slice, Halves, NDArray[np.bool_]]]:
    """Yield the ``row_id``s of some thousand rows, and what :func:`read_vectors` yields of them, to the last row."""
    start = 0
    for shard in report.shards:
        for vectors, present in read_vectors(shard.vectors, side):
            yield slice(start, start + len(vectors)), vectors, present
            start += len(vectors)


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
