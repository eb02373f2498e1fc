"""How near a scan without images is to what it cannot avoid: rows/s against pyarrow reading the same columns.

Shards have Git-10M's columns and as many rows, with captions of 10 to 100 words; images are short random bytes, and
neither side reads them. Both read the same shards with the same number of worker processes, in turn, several times in
one run, page cache warm: the median of the ratios is the figure to quote; where others are at work, that of processor
seconds.

    python -m benchmarks.metadata --shards 16 --workers 2
"""

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.scan import scan_afresh, timed
from schemas.tables import FACT_COLUMNS
from tasks.source.columns import IMAGE_TYPE
from tasks.source.shards import Shard
from tasks.tiles import nominal_resolution
from tasks.workers import workers

_IMAGE_BYTES = 2_000
_WORDS = [f"{kind} {place}" for kind in ("aerial", "dense", "rural") for place in ("view", "forest", "road", "harbour")]


def write_shards(folder: Path, shards: int, rows: int, form: str) -> list[Shard]:
    """Write shards in ``form``, "arrow" or "parquet", as `datasets` does, a third of the rows without place."""
    schema = pa.schema(
        {
            "image": IMAGE_TYPE,
            "img_name": pa.string(),
            "img_quality_score": pa.float64(),
            "caption": pa.string(),
            "caption_length": pa.int64(),
            "resolution": pa.float64(),
            "Google_location": pa.string(),
        }
    )
    folder.mkdir()
    rng = np.random.default_rng(0)
    made = []
    for number in range(shards):
        counts = 2 * rng.integers(5, 51, rows)
        chosen = np.split(rng.choice(_WORDS, counts.sum() // 2), np.cumsum(counts // 2)[:-1])
        zoom = rng.integers(10, 19, rows)
        placed = rng.random(rows) < 2 / 3
        x, y = rng.integers(0, 1 << zoom), rng.integers(0, 1 << zoom)
        bytes_ = rng.bytes(rows * _IMAGE_BYTES)
        images = [{"bytes": bytes_[at : at + _IMAGE_BYTES], "path": None} for at in range(0, len(bytes_), _IMAGE_BYTES)]
        places = [f"{zoom[row]}_{x[row]}_{y[row]}" if placed[row] else None for row in range(rows)]
        columns = [
            pa.array(images, IMAGE_TYPE),
            pa.array([f"{number:05d}_{row:06d}.jpg" for row in range(rows)]),
            pa.array(rng.uniform(3, 6, rows)),
            pa.array([" ".join(words).capitalize() + "." for words in chosen]),
            pa.array(counts),
            pa.array(nominal_resolution(zoom), mask=~placed),
            pa.array(places),
        ]
        table = pa.table(columns, schema=schema)
        path = folder / f"train-{number:05d}.{form}"
        if form == "parquet":
            pq.write_table(table, path, row_group_size=100)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
                writer.write_table(table, max_chunksize=100)
        made.append(Shard(path.name, path, form))
    return made


def read_columns(shard: Shard) -> int:
    """Read the facts of ``shard`` into memory with pyarrow; return the rows."""
    if shard.format == "parquet":
        table = pq.read_table(shard.path, columns=list(FACT_COLUMNS), memory_map=True, use_threads=False)
    else:
        with pa.memory_map(str(shard.path)) as file:
            names = pa.ipc.open_stream(file).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in FACT_COLUMNS])
            file.seek(0)
            table = pa.ipc.open_stream(file, options=options).read_all()
            table = table.combine_chunks()  # or nothing would be read yet
    return len(table)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--rows", type=int, default=13_400, help="of a shard")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| shards | pyarrow, rows/s | scan, rows/s | scan / pyarrow, median (least, most) | of processor seconds |")
    print("|---|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder, workers(options.workers) as pool:
        home = Path(folder)
        for form in ("parquet", "arrow"):
            shards = write_shards(home / form, options.shards, options.rows, form)
            timed(pool, pool.count, read_columns, shards)  # warms processes and page cache
            timed(pool, pool.count, partial(scan_afresh, workspace=home / f"{form}-first", images=False), shards)
            rounds = []
            for number in range(options.rounds):
                scan = partial(scan_afresh, workspace=home / f"{form}-{number}", images=False)
                both = (timed(pool, pool.count, side, shards) for side in (read_columns, scan))
                rounds.append([(run.rows / run.seconds, run.rows / run.cpu_seconds) for run in both])
            speeds = [statistics.median(found[side][0] for found in rounds) for side in (0, 1)]
            wall, cpu = ([found[1][at] / found[0][at] for found in rounds] for at in (0, 1))
            told = f"{statistics.median(wall):.3f} ({min(wall):.3f}, {max(wall):.3f}) | {statistics.median(cpu):.3f}"
            print(f"| {form} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {told} |", flush=True)


if __name__ == "__main__":
    main()
