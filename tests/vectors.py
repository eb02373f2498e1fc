"""Vectors, similarities and margins of rows that no model has seen, for tests of what is decided by them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.embedding import EmbedReport, VectorsReport
from schemas.reports import ScanReport
from schemas.tables import MARGINS, vectors_schema
from tasks.files import sha256_of

Vectors = NDArray[np.float32]
Numbers = Sequence[float | None]


def circle(*degrees: float | None) -> list[list[float] | None]:
    """Return vectors in a plane, each in its direction; None for a picture that has none."""
    return [None if at is None else [float(np.cos(np.radians(at))), float(np.sin(np.radians(at)))] for at in degrees]


def write_vectors(
    folder: Path, *shards: Sequence[list[float] | None] | Vectors, scorer: str = "by-hand"
) -> EmbedReport:
    """Write the vectors of pictures as a model's are written, and return the report on them; captions have none."""
    dimensions = max(len(vector) for shard in shards for vector in shard if vector is not None)
    reports = []
    for number, vectors in enumerate(shards):
        margins = [None if vector is None else 0.5 for vector in vectors]
        place = folder / scorer / f"{number}.parquet"
        reports.append(_write(place, f"shard-{number}", vectors, [None] * len(vectors), margins, dimensions))
    return EmbedReport(scorer=scorer, dimensions=dimensions, shards=tuple(reports))


def write_scores(
    folder: Path, scan: ScanReport, similarity: Numbers, margin: Numbers | None = None, *, scorer: str = "one"
) -> EmbedReport:
    """Write what a scorer tells of each row, as a run does: a vector where there is a similarity; return its report."""
    margins = margin or [None] * len(similarity)
    assert len(similarity) == len(margins) == scan.rows
    reports, start = [], 0
    for number, shard in enumerate(scan.shards):
        told, like = (values[start : start + shard.rows] for values in (similarity, margins))
        start += shard.rows
        vectors = [None if value is None else [1.0, 0.0, 0.0, 0.0] for value in told]
        reports.append(_write(folder / scorer / f"{number}.parquet", shard.shard, vectors, told, like, 4))
    return EmbedReport(scorer=scorer, dimensions=4, shards=tuple(reports))


def _write(
    path: Path,
    shard: str,
    vectors: Sequence[list[float] | None] | Vectors,
    similarity: Numbers,
    margin: Numbers,
    dimensions: int,
) -> VectorsReport:
    """Write the two files of a shard; a caption has its picture's vector where there is a similarity."""
    images = [None if vector is None else np.array(vector, np.float16) for vector in vectors]
    texts = [None if value is None else image for image, value in zip(images, similarity, strict=True)]
    rows, nothing = range(len(images)), pa.nulls(len(images))
    columns = [rows, images, texts, similarity, similarity, nothing, nothing]
    margins = path.with_name(f"margins-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=vectors_schema(dimensions)), path)
    pq.write_table(pa.table([rows, margin, nothing], schema=MARGINS), margins)
    captions = sum(text is not None for text in texts)
    return VectorsReport(
        shard=shard,
        rows=len(images),
        pictures=sum(image is not None for image in images),
        captions=captions,
        scored=captions,
        truncated=0,
        vectors=UPath(path),
        margins=UPath(margins),
        digest=sha256_of(UPath(path)),
        margins_digest=sha256_of(UPath(margins)),
        reused=False,
    )
