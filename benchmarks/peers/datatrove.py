"""The filters of the job with datatrove. Runs in the peer's environment: ``SOURCE OUTPUT MIN_SCORE``.

It is made for text: pictures are neither decoded nor compared, and copied as they are.
"""

import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import LambdaFilter
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter

PROCESSES = 2


class Chosen:
    """Whether a document passes the filters; a class, since it goes to other processes."""

    def __init__(self, min_score: float):
        self.min_score = min_score

    def __call__(self, document: Document) -> bool:
        """Return whether to keep ``document``."""
        score = document.metadata["img_quality_score"]
        return score >= self.min_score and 10 <= len(document.text.split()) <= 100


def row_of(writer: ParquetWriter, document: Document) -> dict:
    """Return a document as a row of the source."""
    columns = {name: value for name, value in document.metadata.items() if name != "file_path"}
    return {"img_name": document.id, "caption": document.text, **columns}


def main(source: str, output: str, min_score: str) -> None:
    """Read, filter and write."""
    schema = pq.read_schema(next(Path(source).glob("*.parquet")))  # else it is that of a first row, nulls and all
    with tempfile.TemporaryDirectory() as logs:
        LocalPipelineExecutor(
            pipeline=[
                ParquetReader(source, text_key="caption", id_key="img_name", glob_pattern="*.parquet"),
                LambdaFilter(Chosen(float(min_score))),
                ParquetWriter(output, adapter=row_of, schema=schema),
            ],
            tasks=PROCESSES,
            workers=PROCESSES,
            logging_dir=logs,
        ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
