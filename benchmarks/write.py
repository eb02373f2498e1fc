"""How near the write stage is to copying files: bytes/s of data files written against `cp` of the same bytes.

Shards of pictures of Git-10M's size (random bytes: nothing is decoded) are written as a subset of nine rows in ten, by
worker processes as the flow does, every image and every file hashed; then what was written is copied by `cp`. Both end
with `sync`, which the write stage does for each file. In turn, several times in one run; the median of the ratios is
the figure to quote, and where others are at work the processor time of a byte.

    python -m benchmarks.write --rows 60000 --workers 2
"""

import argparse
import hashlib
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from upath import UPath

from benchmarks.scan import with_cpu_seconds
from schemas.recipe import Output
from tasks.source.columns import IMAGE_TYPE
from tasks.source.shards import Shard
from tasks.workers import Workers, workers
from tasks.write.copy import copy_rows
from tasks.write.plan import FilePlan, ShardRows
from tasks.write.schema import DataSchema
from tasks.write.shuffle import lay_aside, merge_parts

IMAGE_BYTES = 36_000
LAYOUT = {"image": "image", "img_name": "img_name", "img_quality_score": "img_quality_score", "caption": "caption"}


def write_shards(folder: Path, rows: int, shards: int) -> tuple[list[Shard], list[pa.Array], DataSchema]:
    """Write Arrow streams as `datasets` does; return them, the images' digests, and the schema of data files."""
    from datasets import Features, Image, Value

    features = Features(
        {
            "image": Image(),
            "img_name": Value("string"),
            "img_quality_score": Value("float64"),
            "caption": Value("string"),
        }
    )
    schema = features.arrow_schema
    rng = np.random.default_rng(0)
    made, digests = [], []
    for number in range(shards):
        path = folder / f"data-{number:05d}-of-{shards:05d}.arrow"
        hashes: list[bytes] = []
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for begin in range(0, rows // shards, 1000):
                count = min(1000, rows // shards - begin)
                images = [rng.bytes(int(size)) for size in rng.integers(IMAGE_BYTES // 2, 3 * IMAGE_BYTES // 2, count)]
                hashes += [hashlib.sha256(image).digest() for image in images]
                names = [f"{number}_{begin + row}.jpg" for row in range(count)]
                captions = [" ".join(rng.choice(["river", "road", "field", "harbour"], 52)) for _ in range(count)]
                columns = [
                    pa.array([{"bytes": image, "path": None} for image in images], IMAGE_TYPE),
                    pa.array(names),
                    pa.array(rng.uniform(3, 6, count)),
                    pa.array(captions),
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        made.append(Shard(path.name, path, "arrow"))
        digests.append(pa.array(hashes, pa.binary(32)))
    told = {"huggingface": json.dumps({"info": {"features": features.to_dict()}})}
    return made, digests, DataSchema(schema.with_metadata(told), LAYOUT)


def plan(shards: Sequence[Shard], digests: Sequence[pa.Array], *, shuffled: bool) -> list[FilePlan]:
    """Return data files, as many as there are shards: of a shard each, or of rows from anywhere."""
    rng = np.random.default_rng(1)
    parts, begin = [], 0
    for shard, known in zip(shards, digests, strict=True):
        rows = np.flatnonzero(rng.random(len(known)) < 0.9)
        levels = np.zeros(len(rows), np.int8)
        taken = known.take(pa.array(rows))
        parts.append(ShardRows(shard, begin, rows, np.arange(len(rows)), levels, taken, LAYOUT, None))
        begin += len(known)
    if not shuffled:
        return [
            FilePlan(f"data/train-{number:05d}.parquet", (part,), IMAGE_BYTES * len(part.rows))
            for number, part in enumerate(parts)
        ]
    drawn = [rng.integers(0, len(parts), len(part.rows)) for part in parts]
    plans = []
    for number in range(len(parts)):
        chosen = [np.flatnonzero(at == number) for at in drawn]
        places = np.split(rng.permutation(sum(map(len, chosen))), np.cumsum(list(map(len, chosen)))[:-1])
        mixed = tuple(
            part._replace(rows=part.rows[rows], places=place, levels=part.levels[rows], sha256=part.sha256.take(rows))
            for part, rows, place in zip(parts, chosen, places, strict=True)
        )
        plans.append(FilePlan(f"data/train-{number:05d}.parquet", mixed, IMAGE_BYTES * len(places)))
    return plans


class Cost(NamedTuple):
    """What a side takes."""

    wall_s: float
    cpu_s: float


def write(pool: Workers, plans: Sequence[FilePlan], target: DataSchema, out: Path, output: Output) -> Cost:
    """Write the data files as the flow does, a thread for each worker process."""
    begin = time.perf_counter()
    aside = UPath(out / "aside") if output.shuffle_seed is not None else None

    def lay(part: ShardRows) -> float:
        return pool.run(with_cpu_seconds, lay_aside, part, target, aside)[1]

    def write_file(plan: FilePlan) -> float:
        return pool.run(with_cpu_seconds, copy_rows, plan, target, UPath(out / plan.path), output, aside)[1]

    with ThreadPoolExecutor(pool.count) as threads:
        cpu_s = sum(threads.map(lay, merge_parts(plans))) if aside is not None else 0
        cpu_s += sum(threads.map(write_file, plans))
    if aside is not None:
        shutil.rmtree(str(aside))
    subprocess.run(["sync", "-f", str(out)], check=True)
    return Cost(time.perf_counter() - begin, cpu_s)


def copy(source: Path, target: Path) -> Cost:
    """Copy what was written with `cp`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    subprocess.run(["sync", "-f", str(target)], check=True)
    wall_s = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; default: the temporary folder")
    options = parser.parse_args()
    forms = {"parquet": {}, "parquet, shuffled": {"shuffle_seed": 0}, "webdataset": {"format": "webdataset"}}
    found: dict[str, list[tuple[Cost, Cost, int]]] = {form: [] for form in forms}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, workers(options.workers) as pool:
        home = Path(folder)
        shards, digests, target = write_shards(home, options.rows, options.shards)
        for _ in range(options.rounds):
            for form, settings in forms.items():
                output = Output.model_validate({"dir": home} | settings)
                plans = plan(shards, digests, shuffled="shuffle_seed" in settings)
                (home / "out").mkdir()
                wrote = write(pool, plans, target, home / "out", output)
                size = sum(path.stat().st_size for path in (home / "out").rglob("*") if path.is_file())
                found[form].append((wrote, copy(home / "out", home / "copy"), size))
                for made in ("out", "copy"):
                    shutil.rmtree(home / made)
                subprocess.run(["sync", "-f", str(home)], check=True)  # what is removed costs neither side
    print(f"{options.rows:,} rows, {options.shards} shards, {options.workers} workers, {options.rounds} rounds")
    print("| form | GB | write, MB/s | cp, MB/s | write / cp, median (least, most) | write, CPU ns a byte | cp |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for form, rounds in found.items():
        size = rounds[0][2]
        ratios = [copied.wall_s / wrote.wall_s for wrote, copied, _ in rounds]
        sides = [[costs[side] for costs in rounds] for side in (0, 1)]
        speeds = " | ".join(f"{statistics.median(size / cost.wall_s / 1e6 for cost in side):,.0f}" for side in sides)
        told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})"
        cpu = " | ".join(f"{statistics.median(cost.cpu_s / size * 1e9 for cost in side):.1f}" for side in sides)
        print(f"| {form} | {size / 1e9:.2f} | {speeds} | {told} | {cpu} |")


if __name__ == "__main__":
    main()
