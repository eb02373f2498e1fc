"""How near `git10m verify` is to reading the files: the whole command against `sha256sum` on the same files, in turn.

A subset is curated of distinct noisy pictures of some 37 kB; its files are in the page cache. `sha256sum` uses one
core, and is not everywhere built with the fastest code: `openssl dgst` is shown beside it.

    python -m benchmarks.verify --gigabytes 3 --rounds 5
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image
from upath import UPath

from tasks.published import read_manifest
from tasks.tiles import nominal_resolution
from tasks.verify.duplicates import Pictures, check_duplicates
from tasks.verify.promises import Promises, check_places, check_promises
from tasks.verify.tables import check_counts, check_keepers, check_rows
from tasks.write.schema import DataSchema

_GIT10M = str(Path(sys.executable).with_name("git10m"))
_SHARD_ROWS = 4_000
_KILOBYTES = 37


def noisy_pairs(first: int, rows: int) -> Iterator[dict[str, object]]:
    """Yield rows with pictures of some 37 kB, no two of them alike."""
    grain = np.random.default_rng(0).integers(-20, 21, (512, 512, 1), np.int16)
    for number in range(first, first + rows):
        rng = np.random.default_rng(number)
        top, left = rng.integers(0, 256, 2)
        smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((256, 256), Image.Resampling.BICUBIC)
        pixels = np.asarray(smooth, np.int16) + grain[top : top + 256, left : left + 256]
        data = simplejpeg.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), quality=93, colorsubsampling="420")
        yield {
            "image": {"bytes": data, "path": None},
            "img_name": f"tile_{number}.jpg",
            "img_quality_score": 3 + number % 200 / 100,
            "caption": f"Noise of the number {number}, as no satellite has ever seen it.",
            "caption_length": 12,
            "resolution": float(nominal_resolution(17)),
            "Google_location": f"17_{number % 131072}_{60000 + number // 131072}",
        }


def make_subset(home: Path, gigabytes: float) -> Path:
    """Write a source of about ``gigabytes`` and curate it; return the subset's folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.source.columns import IMAGE_TYPE

    (home / "source").mkdir()
    rows = round(gigabytes * 1e6 / _KILOBYTES)
    for first in range(0, rows, _SHARD_ROWS):
        made = pa.Table.from_pylist(list(noisy_pairs(first, min(_SHARD_ROWS, rows - first))))
        schema = made.schema.set(0, pa.field("image", IMAGE_TYPE))
        pq.write_table(made.cast(schema), home / "source" / f"train-{first:06d}.parquet", row_group_size=500)
    recipe = home / "recipe.yaml"
    recipe.write_text(
        f"source: {{path: {home / 'source'}, name: noise}}\nsubsets: [{{name: noise}}]\n"
        f"output: {{dir: {home / 'subsets'}}}\nworkspace: {home / 'workspace'}\n"
    )
    subprocess.run([_GIT10M, "curate", str(recipe)], check=True)
    shutil.rmtree(home / "source")
    return home / "subsets" / "noise"


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Return how long ``command`` takes, and how long its processors work [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def parts_of(subset: Path) -> dict[str, float]:
    """Return how long the checks of the tables and the search for near-duplicates take alone [s]."""
    import pyarrow.parquet as pq

    manifest = read_manifest(UPath(subset))
    promises = Promises.of(manifest)
    begin = time.perf_counter()
    index, rejected = (pq.read_table(subset / name) for name in ("index.parquet", "rejected.parquet"))
    problems = [*check_rows(manifest, index, rejected), *check_counts(manifest, index, rejected)]
    problems += [*check_keepers(index, rejected, 10, 0.9), *check_places(manifest, index)]
    problems += check_promises(manifest, promises, index)
    tables = time.perf_counter() - begin
    pictures = Pictures(UPath(subset), DataSchema.of(manifest.columns), index, promises.scan)
    begin = time.perf_counter()
    problems += check_duplicates(pictures, index, promises.deduplication)
    assert not problems, problems
    return {"tables": tables, "duplicates": time.perf_counter() - begin}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--subset", type=Path, help="A subset that is there already.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        subset = options.subset or make_subset(Path(home), options.gigabytes)
        files = [str(path) for path in sorted(subset.rglob("*")) if path.is_file()]
        size = sum(Path(file).stat().st_size for file in files)
        commands = {
            "git10m verify": [_GIT10M, "verify", str(subset)],
            "sha256sum": ["sha256sum", *files],
            "openssl dgst -sha256": ["openssl", "dgst", "-sha256", *files],
        }
        seconds(commands["sha256sum"])  # into the page cache
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                took[name].append(seconds(command))
        rows = read_manifest(UPath(subset)).funnel.kept
        print(f"{rows:,} rows, {len(files)} files, {size / 1e9:.2f} GB")
        print("| command | median (least, most) [s] | CPU [s] | GB/s | speed / sha256sum, median of rounds |")
        print("|---|---:|---:|---:|---:|")
        for name, times in took.items():
            ratio = statistics.median(a / b for (a, _), (b, _) in zip(took["sha256sum"], times, strict=True))
            wall, cpu = ([time[part] for time in times] for part in (0, 1))
            median = statistics.median(wall)
            spread = f"{median:.1f} ({min(wall):.1f}, {max(wall):.1f}) | {statistics.median(cpu):.1f}"
            print(f"| `{name}` | {spread} | {size / median / 1e9:.2f} | {ratio:.2f} |")
        parts = parts_of(subset) | {
            "start and imports": seconds([sys.executable, "-c", "import tasks.verify.subset"])[0]
        }
        print(", ".join(f"{name} {took_s:.1f} s" for name, took_s in parts.items()))


if __name__ == "__main__":
    main()
