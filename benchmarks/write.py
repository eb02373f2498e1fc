"""How near the write stage is to copying files: bytes/s of data files written against `cp` of the same bytes.

Shards of pictures of Git-10M's size (random bytes: nothing is decoded) are written as a subset of nine rows in ten, by
worker processes as the flow does, every image and every file hashed; then what was written is copied by `cp`. Both end
with `sync`, which the write stage does for each file. In turn, several times in one run; the median of the ratios is
the figure to quote.

    python -m benchmarks.write --rows 60000 --workers 2
"""

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from upath import UPath

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


def write(pool: Workers, plans: Sequence[FilePlan], target: DataSchema, out: Path, output: Output) -> float:
    """Write the data files as the flow does, a thread for each worker process; return seconds."""
    begin = time.perf_counter()
    aside = None
    with ThreadPoolExecutor(pool.count) as threads:
        if output.shuffle_seed is not None:
            aside = UPath(out / "aside")
            list(threads.map(lambda part: pool.run(lay_aside, part, target, aside), merge_parts(plans)))
        list(threads.map(lambda p: pool.run(copy_rows, p, target, UPath(out / p.path), output, aside), plans))
    if aside is not None:
        shutil.rmtree(str(aside))
    subprocess.run(["sync", "-f", str(out)], check=True)
    return time.perf_counter() - begin


def copy(source: Path, target: Path) -> float:
    """Copy what was written with `cp`; return seconds."""
    begin = time.perf_counter()
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    subprocess.run(["sync", "-f", str(target)], check=True)
    return time.perf_counter() - begin


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
    found: dict[str, list[tuple[float, float, float]]] = {form: [] for form in forms}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, workers(options.workers) as pool:
        home = Path(folder)
        shards, digests, target = write_shards(home, options.rows, options.shards)
        for _ in range(options.rounds):
            for form, settings in forms.items():
                output = Output.model_validate({"dir": home} | settings)
                plans = plan(shards, digests, shuffled="shuffle_seed" in settings)
                (home / "out").mkdir()
                seconds = write(pool, plans, target, home / "out", output)
                size = sum(path.stat().st_size for path in (home / "out").rglob("*") if path.is_file())
                found[form].append((seconds, copy(home / "out", home / "copy"), size))
                for made in ("out", "copy"):
                    shutil.rmtree(home / made)
    print(f"{options.rows:,} rows, {options.shards} shards, {options.workers} workers, {options.rounds} rounds")
    print("| form | GB | write, MB/s | cp, MB/s | write / cp, median | least | most |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for form, rounds in found.items():
        ratios = [copied / wrote for wrote, copied, _ in rounds]
        speeds = [statistics.median(size / seconds[at] / 1e6 for *seconds, size in rounds) for at in (0, 1)]
        size = rounds[0][2] / 1e9
        numbers = (f"{speed:,.0f}" for speed in speeds)
        ends = (f"{ratio:.2f}" for ratio in (statistics.median(ratios), min(ratios), max(ratios)))
        print(f"| {form} | {size:.2f} | {' | '.join(numbers)} | {' | '.join(ends)} |")


if __name__ == "__main__":
    main()
