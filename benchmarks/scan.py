"""How near the scan is to what it cannot avoid: pairs/s of the scan stage against a loop that only decodes and hashes.

Both read the same shards with the same number of worker processes, in turn, several times in one run; the ratio of the
medians is the figure to quote. Without ``--source`` the demo's tiles are repeated, each copy with one changed pixel.

    python -m benchmarks.scan --rows 20480 --workers 2
"""

import argparse
import hashlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import simplejpeg
from PIL import Image
from upath import UPath

from schemas.recipe import ScanSettings
from schemas.reports import ShardReport
from schemas.source import FileSource
from tasks.scan.decode import THUMBNAIL
from tasks.scan.images import byte_views
from tasks.scan.shard import scan_shard
from tasks.source.columns import Layout, images
from tasks.source.listing import list_shards
from tasks.source.read import read_batches
from tasks.source.shards import Shard
from tasks.workers import Workers, workers


def bare_shard(shard: Shard) -> int:
    """Decode every JPEG of ``shard`` strictly to reduced luma, hash its bytes, keep nothing; return the rows."""
    rows = 0
    for batch in read_batches(shard, ["image"]):
        for data in byte_views(images(batch, Layout(image="image"))):
            if data:
                hashlib.sha256(data).digest()
                simplejpeg.decode_jpeg(data, "GRAY", fastdct=True, min_height=THUMBNAIL, min_width=THUMBNAIL)
            rows += 1
    return rows


def scan_afresh(shard: Shard, workspace: Path) -> int:
    """Scan ``shard`` into ``workspace``, which must not know it; return the rows."""
    report = scan_shard(shard, ScanSettings(), {}, UPath(workspace))
    assert isinstance(report, ShardReport)
    assert not report.reused
    return report.rows


def timed(pool: Workers, function: Callable[[Shard], int], shards: Sequence[Shard]) -> tuple[int, float]:
    """Run ``function`` on all shards as the flow does, a thread for each worker process; return rows and seconds."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(pool.count) as threads:
        rows = sum(threads.map(lambda shard: pool.run(function, shard), shards))
    return rows, time.perf_counter() - begin


def repeated_demo(directory: Path, rows: int, shards: int) -> FileSource:
    """Write a tree of ``rows`` tiles: the demo's sound ones, again and again, each copy with one changed pixel."""
    from datasets import Dataset, DatasetDict, load_from_disk
    from datasets import Image as ImageFeature

    from tasks.demo.planted import Planted
    from tasks.demo.source import make_source

    make_source(directory / "demo")
    planted = {row.row_id for row in Planted.load(directory / "demo").planted}
    tiles = load_from_disk(str(directory / "demo"))["train"].cast_column("image", ImageFeature(decode=False))
    sound = [row for row_id, row in enumerate(tiles) if row_id not in planted]

    def copies() -> Iterator[dict[str, object]]:
        for number in range(rows):
            copy, which = divmod(number, len(sound))
            data = sound[which]["image"]["bytes"]
            yield sound[which] | {"image": {"bytes": _change_pixel(data, copy) if copy else data, "path": None}}

    dataset = Dataset.from_generator(copies, features=tiles.features, cache_dir=str(directory / "cache"))
    DatasetDict({"train": dataset}).save_to_disk(str(directory / "tree"), num_shards={"train": shards})
    return FileSource(path=str(directory / "tree"), name="repeated demo")


def _change_pixel(data: bytes, copy: int) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.putpixel((copy % image.width, copy // image.width), (copy % 256, 0, 255))
    changed = io.BytesIO()
    image.save(changed, "JPEG", quality=90)
    return changed.getvalue()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="a datasets.save_to_disk tree of JPEG images")
    parser.add_argument("--rows", type=int, default=20_480)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, workers(options.workers) as pool:
        home = Path(folder)
        if options.source:
            source = FileSource(path=str(options.source), name="given")
        else:
            source = repeated_demo(home, options.rows, options.shards)
        shards = list_shards(source)
        timed(pool, bare_shard, shards)  # warms processes and page cache
        speeds: dict[str, list[float]] = {"bare loop": [], "scan": []}
        for round_ in range(options.rounds):
            workspace = home / f"workspace-{round_}"
            for name, function in (("bare loop", bare_shard), ("scan", partial(scan_afresh, workspace=workspace))):
                rows, seconds = timed(pool, function, shards)
                speeds[name].append(rows / seconds)
        size = sum(shard.path.stat().st_size for shard in shards)
    print(f"{rows:,} rows, {size / rows / 1000:.1f} kB a row, {len(shards)} shards, {options.workers} workers")
    print(f"{'':<12}{'median pairs/s':>16}{'least':>10}{'most':>10}")
    for name, found in speeds.items():
        print(f"{name:<12}{statistics.median(found):>16,.0f}{min(found):>10,.0f}{max(found):>10,.0f}")
    ratios = [scan / bare for bare, scan in zip(speeds["bare loop"], speeds["scan"], strict=True)]
    print(f"scan / bare loop: {statistics.median(ratios):.2f} (least {min(ratios):.2f}, most {max(ratios):.2f})")


if __name__ == "__main__":
    main()
