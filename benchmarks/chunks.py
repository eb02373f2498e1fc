"""How much of a subset's data file storage that cuts files by content already has, of another version of the subset.

The Hub's storage cuts a file where a rolling hash of the last bytes says so, into chunks of 8 to 128 KiB, 64 KiB on
average, and stores each chunk once. So does this script, and tells which part of a file's bytes lies in chunks of the
first version: with Parquet's own cutting of pages by content, which would come before, and without, as we write.

    python -m benchmarks.chunks
"""

import hashlib
import itertools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.compiled import compiled
from tasks.source.columns import IMAGE_TYPE
from tasks.write.parquet import ParquetFile
from tasks.write.rows import Rows
from tasks.write.schema import DataSchema
from tasks.write.sink import Sink

_ROWS, _IMAGE_BYTES, _ROW_GROUP = 6_000, 36_000, 100
_LEAST, _MOST = 2**13, 2**17  # [bytes]
_MASK = np.uint64(0xFFFF << 48)  # 16 bits: one byte in 64 Ki is a cut
_GEAR = np.random.default_rng(7).integers(0, 2**64, 256, dtype=np.uint64)
_WORDS = ["river", "road", "field", "harbour", "village", "forest", "bridge", "coast", "airport", "desert"]


@compiled
def _cuts(data: NDArray[np.uint8], gear: NDArray[np.uint64], mask: np.uint64, least: int, most: int) -> Any:
    cuts = [0]
    rolling, start = np.uint64(0), 0
    for at in range(len(data)):
        rolling = (rolling << np.uint64(1)) + gear[data[at]]
        length = at - start + 1
        if length >= most or (length >= least and (rolling & mask) == 0):
            cuts.append(at + 1)
            rolling, start = np.uint64(0), at + 1
    cuts.append(len(data))
    return cuts


def chunks(data: bytes) -> dict[bytes, int]:
    """Return the length of each distinct chunk of ``data``, by its digest."""
    cuts = _cuts(np.frombuffer(data, np.uint8), _GEAR, _MASK, _LEAST, _MOST)
    pieces = (data[begin:end] for begin, end in itertools.pairwise(cuts))
    return {hashlib.sha256(piece).digest(): len(piece) for piece in pieces}


def pairs() -> pa.Table:
    """Return rows with images of random bytes."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(_IMAGE_BYTES // 2, 3 * _IMAGE_BYTES // 2, _ROWS)
    return pa.table(
        {
            "image": pa.array([{"bytes": rng.bytes(int(size)), "path": None} for size in sizes], IMAGE_TYPE),
            "img_name": [f"{row}.jpg" for row in range(_ROWS)],
            "img_quality_score": rng.uniform(3, 6, _ROWS),
            "caption": [" ".join(rng.choice(_WORDS, 52)) for _ in range(_ROWS)],
        }
    )


def as_written(table: pa.Table, path: Path) -> bytes:
    """Return the data file that the write stage makes of ``table``."""
    with Sink(path) as sink:
        file = ParquetFile(sink, DataSchema(table.schema, {"image": "image"}), _ROW_GROUP)
        file.write(Rows(table, np.arange(len(table))))
        file.close()
    return path.read_bytes()


def pages_by_content(table: pa.Table, path: Path) -> bytes:
    """Return the same, its pages cut by content."""
    text = ["img_name", "caption"]
    with pq.ParquetWriter(
        path,
        table.schema,
        compression=dict.fromkeys(text, "ZSTD") | {"image.bytes": "NONE"},
        use_dictionary=text,
        write_statistics=[*text, "img_quality_score"],
        write_page_index=True,
        use_content_defined_chunking=True,
    ) as writer:
        writer.write_table(table, row_group_size=_ROW_GROUP)
    return path.read_bytes()


def main() -> None:
    """Measure, and print a table."""
    rng = np.random.default_rng(1)
    table = pairs()
    first = np.flatnonzero(rng.random(_ROWS) < 0.9)
    others = {
        "the first row is gone": first[1:],
        "2 % of the rows are gone": first[rng.random(len(first)) > 0.02],
        "10 % of the rows are gone": first[rng.random(len(first)) > 0.1],
    }
    print("| the second version | as written | pages cut by content |")
    print("|---|---:|---:|")
    with TemporaryDirectory() as folder:
        ways = (as_written, pages_by_content)
        known = [chunks(way(table.take(first), Path(folder) / "a.parquet")) for way in ways]
        for name, rows in others.items():
            shared = []
            for way, before in zip(ways, known, strict=True):
                data = way(table.take(rows), Path(folder) / "b.parquet")
                shared.append(sum(size for digest, size in chunks(data).items() if digest in before) / len(data))
            print(f"| {name} | {shared[0]:.2f} | {shared[1]:.2f} |")


if __name__ == "__main__":
    main()
