"""Vectors of pictures that no model has seen, for tests of what is decided by them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.embedding import EmbedReport, VectorsReport
from schemas.tables import MARGINS, vectors_schema
from tasks.files import sha256_of

Vectors = NDArray[np.float32]


def circle(*degrees: float | None) -> list[list[float] | None]:
    """Return vectors in a plane, each in its direction; None for a picture that has none."""
    return [None if at is None else [float(np.cos(np.radians(at))), float(np.sin(np.radians(at)))] for at in degrees]


def write_vectors(
    folder: Path, *shards: Sequence[list[float] | None] | Vectors, scorer: str = "by-hand"
) -> EmbedReport:
    """Write the vectors of pictures as a model's are written, and return the report on them; captions have none."""
    reports, dimensions = [], 0
    for number, vectors in enumerate(shards):
        present = [vector is not None for vector in vectors]
        dimensions = max(dimensions, *(len(vector) for vector in vectors if vector is not None))
        told = {"shard": f"shard-{number}", "rows": len(vectors), "pictures": sum(present)}
        places = {"vectors": folder / scorer / f"{number}.parquet", "margins": folder / f"{scorer}-{number}.parquet"}
        places["vectors"].parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {"row": row, "image": None if vector is None else np.array(vector, np.float16)}
            for row, vector in enumerate(vectors)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=vectors_schema(dimensions)), places["vectors"])
        margins = [{"row": row, "prompt_margin": 0.5 if there else None} for row, there in enumerate(present)]
        pq.write_table(pa.Table.from_pylist(margins, schema=MARGINS), places["margins"])
        files = {name: UPath(path) for name, path in places.items()}
        reports.append(
            VectorsReport(
                **told,
                **files,
                margins_digest="",
                digest=sha256_of(files["vectors"]),
                captions=0,
                scored=0,
                truncated=0,
                reused=False,
            )
        )
    return EmbedReport(scorer=scorer, dimensions=dimensions, shards=tuple(reports))
