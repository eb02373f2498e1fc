"""Peak memory of a worker against the size of its shard: a fresh process scans, and then copies, one shard.

Shards hold the demo's tiles again and again. The figure is VmHWM, the most memory that the process ever held, pages
of mapped files included; what a process holds before it reads anything stands in the first line.

    python -m benchmarks.memory --megabytes 50 500 2000
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.source import FileSource
from tasks.demo.planted import Planted
from tasks.demo.source import make_source
from tasks.source.listing import list_shards
from tasks.source.read import read_batches

_WORK = """
import sys
from pathlib import Path
import numpy as np
from upath import UPath
from schemas.recipe import Output, ScanSettings
from schemas.reports import ScanReport
from tasks.scan.shard import scan_shard
from tasks.source.shards import Shard
from tasks.write.copy import copy_rows
from tasks.write.plan import FilePlan, ShardRows
from tasks.write.schema import data_schema

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

if __name__ == "__main__":
    job, path, form, home = sys.argv[1:]
    before = peak()
    shard = Shard(Path(path).name, Path(path), form)
    report = scan_shard(shard, ScanSettings(), {}, UPath(home) / "workspace")
    if job == "copy":  # the scan is reused: only the copy shows
        assert report.reused
        every_other = np.arange(0, report.rows, 2)
        import pyarrow.parquet as pq
        digests = pq.read_table(report.signals, columns=["sha256"])["sha256"].combine_chunks().take(every_other)
        count = len(every_other)
        places, levels = np.arange(count), np.zeros(count, np.int8)
        part = ShardRows(shard, 0, every_other, places, levels, digests, report.layout, None)
        plan = FilePlan("data/a.parquet", (part,), 0)
        copy_rows(plan, data_schema(ScanReport.of([report])), UPath(home) / "a.parquet", Output(dir=home), None)
    print(before, peak(), report.rows)
"""


def write_shard(path: Path, tiles: pa.Table, megabytes: int, kind: str) -> None:
    """Write ``tiles`` again and again to ``path`` until it holds so many megabytes."""
    times = max(1, round(megabytes * 1e6 / tiles.nbytes))

    def copies() -> Iterator[pa.RecordBatch]:
        for _ in range(times):
            yield from tiles.to_batches(max_chunksize=1000)

    if kind == "Arrow stream":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, tiles.schema) as writer:
            for batch in copies():
                writer.write_batch(batch)
    else:
        with pq.ParquetWriter(path, tiles.schema, compression="none", use_dictionary=False) as writer:
            writer.write_table(pa.concat_tables([tiles] * times), row_group_size=2**31 - 1)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 500, 2000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        demo = make_source(home / "demo").directory
        planted = {row.row_id for row in Planted.load(demo).planted}
        whole = pa.concat_tables(
            pa.Table.from_batches(read_batches(shard)) for shard in list_shards(FileSource(path=str(demo), name="demo"))
        )
        tiles = whole.take([row for row in range(len(whole)) if row not in planted])
        (home / "work.py").write_text(_WORK)
        print("| shard | size [MB] | rows | before [MB] | scan, peak [MB] | copy, peak [MB] |")
        print("|---|---:|---:|---:|---:|---:|")
        for kind, form in (("Arrow stream", "arrow"), ("Parquet, one row group", "parquet")):
            for megabytes in options.megabytes:
                path = home / f"shard.{form}"
                write_shard(path, tiles, megabytes, kind)
                peaks = []
                for job in ("scan", "copy"):
                    command = [sys.executable, str(home / "work.py"), job, str(path), form, str(home)]
                    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
                    before, peak, rows = map(int, told.stdout.split())
                    peaks.append(peak)
                size = path.stat().st_size / 1e6
                print(f"| {kind} | {size:,.0f} | {rows:,} | {before} | {peaks[0]} | {peaks[1]} |", flush=True)
                path.unlink()
                (home / "a.parquet").unlink()


if __name__ == "__main__":
    main()
