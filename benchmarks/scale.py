"""Deduplicate and select on up to 100 million simulated rows of signals: seconds, CPU seconds and peak memory.

The signals have Git-10M's shape and stand for pictures that nobody drew: shards of 13,400 rows, sorted by zoom a
million at a time, a third of them without place, places that nest between zooms. Of the rows 3 % have the bytes of an
earlier row, 3 % its picture saved again, 4 % its picture changed a little, 4 % one of 2,000 common pictures, and 3 %
are plain. The hashes are skewed: of a third of the pictures, 16 of 64 bits are those of one of 3,000 centres. All of a
row follows from its number, so that fewer rows are the first ones of more.

Each stage runs in a fresh process, which has imported its modules before the clock starts. RssAnon is the memory that
the process itself holds, looked at every 20 ms; VmHWM is the most that it ever held, pages of mapped files included,
which the system takes back when others need them.

    python -m benchmarks.scale --rows 10500000 --dir FOLDER

Signals in FOLDER are made where they are missing, some 340 bytes a row, and stay; pairs and verdicts are made anew.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport, ShardReport
from schemas.tables import FACT_COLUMNS, SIGNALS
from tasks.files import appearing
from tasks.scan.descriptor import SIDE, SPREAD, hashes_of
from tasks.tiles import ground_resolution, nominal_resolution, tile_centre

SHARD_ROWS = 13_400
CYCLE = 75 * SHARD_ROWS  # rows after which zooms begin again, so that the first million is like all
KINDS = {"bytes": 0.03, "saved again": 0.03, "changed": 0.04, "common": 0.04, "plain": 0.03}
COMMON_PICTURES, CENTRES, CAPTIONS, SPOTS = 2_000, 3_000, 1_000, 2_000_000
CHANGE = 6  # root mean square of what is added to the numbers of a changed picture, which have 24
ZOOMS = np.arange(10, 19)
OF_ZOOM = np.cumsum([0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.25, 0.2, 0.05])

DEDUPLICATION: dict[str, Any] = {"same_tile": True, "caption_copies": 20}
SUBSETS: list[dict[str, Any]] = [
    {
        "name": "numbers",
        "quality": {"min_score": 4.2},
        "caption_words": {"min": 30, "max": 90},
        "zoom": {"min": 12},
        "signals": {"sharpness": {"min": 60}},
    },
    {
        "name": "balanced",
        "quality": {"min_quantile": 0.3, "per_zoom": True},
        "top": {"signal": "sharpness", "fraction": 0.8, "per_zoom": True},
        "sampling": {"per_tile": {"zoom": 9, "rows": 500}, "per_zoom": 800_000, "fraction": 0.9, "max_bytes": 10**11},
    },
    {
        "name": "spatial",
        "zoom": {"min": 11},
        "splits": {
            "fractions": {"train": 0.8, "test": 0.1, "validation": 0.1},
            "spatial": {"zoom": 8, "buffer": {"zoom": 11, "tiles": 1}},
        },
    },
]

Numbers = NDArray[np.uint64]


def mixed(numbers: Numbers, purpose: int) -> Numbers:
    """Return an unrelated number for each one: SplitMix64."""
    value = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(purpose * 0x632BE59BD9B4E019 % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def uniform(numbers: Numbers, purpose: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each one."""
    return np.asarray((mixed(numbers, purpose) >> np.uint64(11)) * 2.0**-53, np.float64)


_NORMAL = np.array([NormalDist().inv_cdf((value + 0.5) / 256) for value in range(256)])


def normal(numbers: Numbers, purpose: int, deviation: float, words: int) -> NDArray[np.int8]:
    """Return eight numbers of a normal distribution for each word of each number, shape (n, 8 * words)."""
    each = mixed(numbers[:, None] * np.uint64(words) + np.arange(words, dtype=np.uint64), purpose)
    return np.rint(_NORMAL * deviation).astype(np.int8)[each.view(np.uint8)]


def descriptors_of(picture: Numbers, changed: Numbers) -> NDArray[np.int8]:
    """Return a descriptor for each picture, shape (n, 256), other ones where ``changed`` is not 0."""
    descriptor = normal(picture, 1, SPREAD, SIDE**2 // 8)
    skewed = np.flatnonzero(uniform(picture, 2) < 1 / 3)
    low = descriptor.reshape(-1, SIDE, SIDE)[:, :4, :4]
    centre = normal(mixed(picture[skewed], 3) % np.uint64(CENTRES), 4, SPREAD, 2).reshape(-1, 4, 4)
    low[skewed] = np.copysign(np.abs(low[skewed]), np.where(centre > 0, 1, -1)).astype(np.int8)
    there = np.flatnonzero(changed)
    noise = normal(changed[there], 5, CHANGE, SIDE**2 // 8)
    descriptor[there] = np.clip(descriptor[there].astype(np.int16) + noise, -127, 127)
    return descriptor


def signals_of(rows: Numbers) -> pa.Table:
    """Return the signals of some rows, in :data:`schemas.tables.SIGNALS`."""
    kind = np.searchsorted(np.cumsum(list(KINDS.values())), uniform(rows, 10), side="right")
    is_ = {name: kind == number for number, name in enumerate(KINDS)}
    earlier = mixed(rows, 11) % (rows + np.uint64(1))
    copied = is_["bytes"] | is_["saved again"] | is_["changed"]
    picture = np.where(copied, earlier, rows)
    common = np.minimum(COMMON_PICTURES * uniform(rows, 12) ** 3, COMMON_PICTURES - 1).astype(np.uint64)
    picture = np.where(is_["common"], common + np.uint64(2**40), picture)
    changed = np.where(is_["changed"], rows + np.uint64(1), np.uint64(0))
    file = np.where(is_["bytes"] | is_["common"], picture, rows)
    sha256 = np.stack([mixed(file, purpose) for purpose in range(20, 24)], axis=1)
    descriptor = descriptors_of(picture, changed)
    plain = is_["plain"]

    cycle, within = np.divmod(rows, np.uint64(CYCLE))
    z = ZOOMS[np.minimum(np.searchsorted(OF_ZOOM, (within + np.uint64(1)) / CYCLE), len(ZOOMS) - 1)]
    spot = mixed(rows, 30) % np.uint64(SPOTS) + cycle * np.uint64(SPOTS)
    x = (uniform(spot, 31) * 2.0**z).astype(np.int64)
    y = ((0.15 + 0.7 * uniform(spot, 32)) * 2.0**z).astype(np.int64)
    longitude, latitude = tile_centre(z, x, y)
    homeless = uniform(rows, 33) < 1 / 3

    score, words = (_NORMAL[(mixed(rows, purpose) >> np.uint64(56)).astype(np.int64)] for purpose in (40, 42))
    score = np.round(4.5 + 0.5 * score + uniform(rows, 41) / 5, 3)
    words = (52 + 15 * words).clip(1).astype(np.int32)
    caption = np.where(uniform(rows, 43) < 0.01, mixed(rows, 44) % np.uint64(CAPTIONS), mixed(rows, 45))
    name = np.where(uniform(rows, 46) < 0.002, earlier, rows)
    names = pc.binary_join_element_wise("picture", pa.array(name).cast(pa.string()), "_")
    defect = np.where(uniform(rows, 47) < 0.01, 1 + (mixed(rows, 48) & np.uint64(1)).astype(np.int64), 0)
    offsets = np.concatenate([[0], np.cumsum(defect > 0)]).astype(np.int32)
    codes = np.array(["", "caption_length_mismatch", "image_truncated"])[defect[defect > 0]]
    measured = {purpose: uniform(picture + changed, purpose).astype(np.float32) for purpose in range(50, 55)}

    def fixed(values: NDArray[Any], width: int, absent: NDArray[np.bool_]) -> pa.Array:
        present = pa.py_buffer(np.packbits(~absent, bitorder="little"))
        data = pa.py_buffer(np.ascontiguousarray(values))
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [present, data])

    nobody = np.zeros(len(rows), np.bool_)
    columns = {
        "row": np.arange(len(rows), dtype=np.int32),
        "img_name": names,
        "img_name_xxh3": mixed(name, 49),
        "img_quality_score": pa.array(score, mask=uniform(rows, 55) < 0.02),
        "caption_words": words,
        "caption_words_declared": words.astype(np.int64),
        "caption_xxh3": caption,
        "resolution_m": pa.array(nominal_resolution(z), mask=homeless),
        "z": pa.array(z.astype(np.int8), mask=homeless),
        "x": pa.array(x.astype(np.int32), mask=homeless),
        "y": pa.array(y.astype(np.int32), mask=homeless),
        "longitude": pa.array(longitude, mask=homeless),
        "latitude": pa.array(latitude, mask=homeless),
        "ground_resolution_m": pa.array(ground_resolution(latitude, z), mask=homeless),
        "byte_length": (20_000 + 35_000 * uniform(file, 56)).astype(np.int64),
        "sha256": fixed(sha256, 32, nobody),
        "format": pa.array(np.where(uniform(file, 57) < 0.9, "JPEG", "PNG")).cast(SIGNALS.field("format").type),
        "mode": pa.array(np.full(len(rows), "RGB")).cast(SIGNALS.field("mode").type),
        "width": np.full(len(rows), 256, np.int32),
        "height": np.full(len(rows), 256, np.int32),
        "luma_mean": 60 + 120 * measured[50],
        "luma_std": 2 + 60 * measured[51],
        "nodata_fraction": np.where(measured[52] < 0.97, np.float32(0), (measured[52] - np.float32(0.97))),
        "sharpness": 1_000 * measured[53] ** 2,
        "structure": pa.array(11 + 100 * measured[54], mask=plain),
        "phash": pa.array(hashes_of(descriptor), mask=plain),
        "signature": pa.array(mixed(picture + (changed << np.uint64(24)), 58), mask=plain),
        "descriptor": fixed(descriptor, 256, plain),
        "pixels_xxh3": pa.nulls(len(rows), pa.uint64()),
        "defects": pa.ListArray.from_arrays(pa.array(offsets), pa.array(codes.astype(object), pa.string())),
        "detail": pa.nulls(len(rows), pa.string()),
    }
    return pa.table(
        [pa.array(columns[field.name], field.type) for field in SIGNALS],
        schema=SIGNALS,
    )


def make_shard(folder: Path, number: int) -> None:
    """Write the signals of a shard, as a scan does, unless they are there."""
    path = UPath(folder / f"{number:05}.parquet")
    if path.exists():
        return
    table = signals_of(np.arange(number * SHARD_ROWS, (number + 1) * SHARD_ROWS, dtype=np.uint64))
    with appearing(path) as temporary:
        dictionaries = ["format", "mode", "defects.list.element"]
        pq.write_table(table, temporary, compression="zstd", use_dictionary=dictionaries, row_group_size=16_384)


def scanned(folder: Path, rows: int) -> ScanReport:
    """Return the report on the first shards, as many as hold ``rows``."""
    return ScanReport.of(
        [
            ShardReport(
                shard=f"data-{number:05}.arrow", content_xxh3=f"{number:032x}", byte_length=500_000_000,
                rows=SHARD_ROWS, sound_rows=SHARD_ROWS, defective_rows=0, image_bytes=0,
                signals=UPath(folder / "signals" / f"{number:05}.parquet"), reused=True,
                layout={name: name for name in ("image", *FACT_COLUMNS)},
            )
            for number in range(-(-rows // SHARD_ROWS))
        ]
    )  # fmt: skip


def recipe_of(folder: Path, radius: int) -> Recipe:
    """Return the recipe that is measured."""
    return Recipe.model_validate(
        {
            "source": {"path": str(folder), "name": "simulated"},
            "deduplication": DEDUPLICATION | {"near": {"radius_bits": radius}},
            "subsets": SUBSETS,
            "output": {"dir": str(folder / "subsets")},
            "workspace": str(folder / "workspace"),
        }
    )


def digest_of(path: UPath) -> str:
    """Return the XXH3-64, in hex, of what a Parquet file holds, however it is cut into row groups."""
    digest = xxhash.xxh3_64()
    with pq.ParquetFile(str(path)) as file:
        for name in file.schema_arrow.names:
            for batch in file.iter_batches(100_000, columns=[name]):
                values = batch.column(0)
                if name in ("split", "reference"):
                    values = pc.index_in(values.cast(pa.string()), value_set=pa.array(["test", "train", "validation"]))
                digest.update(pc.is_valid(values).to_numpy(zero_copy_only=False))
                digest.update(pc.fill_null(values, pa.scalar(0).cast(values.type)).to_numpy(zero_copy_only=False))
    return digest.hexdigest()


def run_stage(stage: str, folder: Path, rows: int, radius: int) -> dict[str, Any]:
    """Run one stage in this process."""
    import tasks.select.copies
    import tasks.select.duplicates  # noqa: F401  # both load Numba, as whatever ran before them has
    from tasks.deduplicate.stage import find_duplicates
    from tasks.select.verdicts import give_verdicts

    scan, recipe = scanned(folder, rows), recipe_of(folder, radius)
    found = folder / "duplicates.json"
    begin, cpu = time.perf_counter(), time.process_time()
    if stage == "deduplicate":
        report = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
        found.write_text(report.model_dump_json())
        told, path = str(report), report.path
    else:
        [subset] = [subset for subset in recipe.subsets if subset.name == stage]
        duplicates = DeduplicateReport.model_validate_json(found.read_text())
        selected = give_verdicts(recipe, subset, scan, duplicates)
        told, path = str(selected), selected.verdicts
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert path is not None
    return {"seconds": seconds, "cpu": cpu, "told": told, "path": str(path)}


def status_of(pid: int | str, key: str) -> int:
    """Return a figure of a process's memory [KiB]; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{key}:")), 0)


def measure(stage: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one stage in a process of its own, and watch its memory."""
    command = [sys.executable, "-m", "benchmarks.scale", "--stage", stage, "--rows", str(options.rows)]
    command += ["--dir", str(options.dir), "--radius", str(options.radius)]
    anonymous = peak = 0
    with tempfile.TemporaryFile() as out, subprocess.Popen(command, stdout=out) as process:
        while process.poll() is None:
            anonymous = max(anonymous, status_of(process.pid, "RssAnon"))
            peak = max(peak, status_of(process.pid, "VmHWM"))
            time.sleep(0.02)
        out.seek(0)
        text = out.read().decode()
    if process.returncode:
        raise SystemExit(f"{stage}: ended with {process.returncode}")
    told: dict[str, Any] = json.loads(text)
    return told | {"anonymous": anonymous / 1024, "peak": peak / 1024}


def warm(folder: Path, radius: int) -> None:
    """Have Numba compile what is measured, and keep it."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        (Path(home) / "signals").symlink_to(folder / "signals")
        for stage in stages():
            run_stage(stage, Path(home), 2 * SHARD_ROWS, radius)


def stages() -> Iterator[str]:
    """Yield what is measured, in order."""
    yield "deduplicate"
    for subset in SUBSETS:
        yield subset["name"]


def main() -> None:
    """Make the signals, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="as many whole shards as hold them")
    parser.add_argument("--dir", type=Path, required=True, help="folder for signals, kept, and all else")
    parser.add_argument("--radius", type=int, default=8, help="deduplication.near.radius_bits")
    parser.add_argument("--stage", choices=("signals", *stages()), help="this one alone, in this process")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    if options.stage not in (None, "signals"):
        print(json.dumps(run_stage(options.stage, options.dir, options.rows, options.radius)))
        return
    shards = range(-(-options.rows // SHARD_ROWS))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make_shard, [options.dir / "signals"] * len(shards), shards, chunksize=8))
    if options.stage:
        return
    warm(options.dir, options.radius)
    shutil.rmtree(options.dir / "workspace", ignore_errors=True)
    print(f"{len(shards) * SHARD_ROWS:,} rows in {len(shards):,} shards, radius {options.radius}\n", flush=True)
    print("| stage | s | CPU s | RssAnon, peak [MiB] | VmHWM [MiB] | found | XXH3-64 |")
    print("|---|---:|---:|---:|---:|---|---|")
    for stage in stages():
        told = measure(stage, options)
        figures = f"{told['seconds']:.1f} | {told['cpu']:.1f} | {told['anonymous']:,.0f} | {told['peak']:,.0f}"
        print(f"| {stage} | {figures} | {told['told']} | {digest_of(UPath(told['path']))} |", flush=True)


if __name__ == "__main__":
    main()
