"""Vectors and margins of rows that no model has seen, for tests of what is decided by them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from schemas.embedding import EmbedReport, VectorsReport
from schemas.reports import ScanReport
from schemas.tables import MARGINS, vectors_schema

DIMENSIONS = 4


def embedded(
    folder: Path,
    scan: ScanReport,
    similarity: Sequence[float | None],
    margin: Sequence[float | None] | None = None,
    *,
    scorer: str = "one",
) -> EmbedReport:
    """Write what a scorer tells of each row, as a run does: a vector where there is a similarity; return its report."""
    margins = margin or [None] * len(similarity)
    assert len(similarity) == len(margins) == scan.rows
    place = folder / scorer
    place.mkdir(parents=True, exist_ok=True)
    shards, start = [], 0
    for number, shard in enumerate(scan.shards):
        told, like = (values[start : start + shard.rows] for values in (similarity, margins))
        start += shard.rows
        vector = [None if value is None else [1.0, 0.0, 0.0, 0.0] for value in told]
        rows = range(shard.rows)
        vectors, near = place / f"vectors-{number}.parquet", place / f"margins-{number}.parquet"
        pq.write_table(
            pa.table(
                [rows, vector, vector, told, told, pa.nulls(shard.rows), pa.nulls(shard.rows)],
                schema=vectors_schema(DIMENSIONS),
            ),
            vectors,
        )
        pq.write_table(pa.table([rows, like, pa.nulls(shard.rows)], schema=MARGINS), near)
        some = len(told) - list(told).count(None)
        shards.append(
            VectorsReport(
                shard=shard.shard, rows=shard.rows, pictures=some, captions=some, scored=some, truncated=0,
                vectors=UPath(vectors), margins=UPath(near),
                digest=hashlib.sha256(repr(told).encode()).hexdigest(),
                margins_digest=hashlib.sha256(repr(like).encode()).hexdigest(), reused=False,
            )
        )  # fmt: skip
    return EmbedReport(scorer=scorer, dimensions=DIMENSIONS, shards=tuple(shards))
