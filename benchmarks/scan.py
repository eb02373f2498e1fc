"""How near the scan is to what it cannot avoid: pairs/s of the scan stage against a loop that only decodes and hashes.

Both read the same shards with the same number of worker processes, in turn, several times in one run; the ratio of the
medians is the figure to quote. The pictures are the demo's tiles, or those of a folder, cut to 256 x 256, repeated in
shards of Git-10M's size; each copy ends in other bytes. The loop decodes JPEG by simplejpeg (libjpeg-turbo) in reduced
size, PNG by the library of those installed that is fastest here: Pillow, OpenCV (``opencv-python-headless``), libspng
(``pyspng-seunglab``), libpng (``imagecodecs``); and, in a loop of its own, by our own decoder. The scan runs in worker
processes, and once more in threads of one process.

    python -m benchmarks.scan --format JPEG --images FOLDER
"""

import argparse
import hashlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import simplejpeg
from PIL import Image
from upath import UPath

from schemas.recipe import ScanSettings
from schemas.reports import ShardReport
from schemas.source import FileSource
from tasks.scan.decode import THUMBNAIL, load_decoders
from tasks.scan.images import byte_views
from tasks.scan.png import decode_plain_png
from tasks.scan.shard import scan_shard
from tasks.source.columns import Layout, images
from tasks.source.listing import list_shards
from tasks.source.read import read_batches
from tasks.source.shards import Shard
from tasks.workers import Pool, SameProcess, workers

_P = ParamSpec("_P")
_T = TypeVar("_T")

OURS = "our own decoder"
TILE = 256  # side of a picture [pixels]


def decode_jpeg(data: memoryview) -> Any:
    """Decode strictly to reduced luma."""
    return simplejpeg.decode_jpeg(data, "GRAY", fastdct=True, min_height=THUMBNAIL, min_width=THUMBNAIL)


def decode_png(data: memoryview, library: str) -> Any:
    """Decode to pixels, or, where the library can, to luma; none keeps anything."""
    match library:
        case "Pillow":
            return Image.open(io.BytesIO(data)).convert("L")
        case "cv2":
            return import_module("cv2").imdecode(np.frombuffer(data, np.uint8), 0)
        case "pyspng":
            return import_module("pyspng").load(bytes(data))
        case "imagecodecs":
            return import_module("imagecodecs").png_decode(data)
        case _:
            load_decoders()
            return decode_plain_png(data, TILE**2)


def png_decoders(data: Sequence[memoryview]) -> dict[str, float]:
    """Return what each library that is installed takes of a picture [s], the fastest first."""
    found = {}
    for library in ("Pillow", "cv2", "pyspng", "imagecodecs", OURS):
        with suppress(ModuleNotFoundError):
            decode_png(data[0], library)
            begin = time.process_time()
            for picture in data:
                decode_png(picture, library)
            found[library] = (time.process_time() - begin) / len(data)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def bare_shard(shard: Shard, decoder: Callable[[memoryview], Any]) -> int:
    """Decode every picture of ``shard``, hash its bytes, keep nothing; return the rows."""
    rows = 0
    for batch in read_batches(shard, ["image"]):
        for data in byte_views(images(batch, Layout(image="image"))):
            if data:
                hashlib.sha256(data).digest()
                decoder(data)
            rows += 1
    return rows


def scan_afresh(shard: Shard, workspace: Path, *, images: bool = True) -> int:
    """Scan ``shard`` into ``workspace``, which must not know it; return the rows."""
    report = scan_shard(shard, ScanSettings(images=images), {}, UPath(workspace))
    assert isinstance(report, ShardReport)
    assert not report.reused
    return report.rows


class Timed(NamedTuple):
    """What all shards took."""

    rows: int
    seconds: float
    cpu_seconds: float  # of the workers: what is left to compare where others use the machine, too


def timed(pool: Pool, count: int, function: Callable[[Shard], int], shards: Sequence[Shard]) -> Timed:
    """Run ``function`` on all shards as the flow does, from ``count`` threads, each of which waits for its worker."""
    begin, here = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(count) as threads:
        found = list(threads.map(lambda shard: pool.run(with_cpu_seconds, function, shard), shards))
    seconds = time.perf_counter() - begin
    cpu = time.process_time() - here if isinstance(pool, SameProcess) else sum(cpu for _, cpu in found)
    return Timed(sum(rows for rows, _ in found), seconds, cpu)


def with_cpu_seconds(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> tuple[_T, float]:
    """Return what ``function`` returns, and how long the processor worked for it in this process [s]."""
    begin = time.process_time()
    return function(*args, **kwargs), time.process_time() - begin


def repeated(directory: Path, rows: int, shards: int, format: str = "JPEG", folder: Path | None = None) -> FileSource:
    """Write a tree of the demo's sound rows, again and again, each copy with other bytes behind its picture's end.

    With a ``folder`` the pictures are those of its files, in the same order, cut to 256 x 256.
    """
    from datasets import Dataset, DatasetDict, load_from_disk
    from datasets import Image as ImageFeature

    from tasks.demo.planted import Planted
    from tasks.demo.source import make_source

    make_source(directory / "demo")
    planted = {row.row_id for row in Planted.load(directory / "demo").planted}
    tiles = load_from_disk(str(directory / "demo"))["train"].cast_column("image", ImageFeature(decode=False))
    sound = [row for row_id, row in enumerate(tiles) if row_id not in planted]
    if folder is not None:
        pictures = [_encoded(Image.open(path), format) for path in sorted(folder.iterdir())]
    elif format == "JPEG":
        pictures = [row["image"]["bytes"] for row in sound]
    else:
        pictures = [_encoded(Image.open(io.BytesIO(row["image"]["bytes"])), format) for row in sound]

    def copies() -> Iterator[dict[str, object]]:
        for number, row, picture in zip(range(rows), cycle(sound), cycle(pictures), strict=False):
            yield row | {"image": {"bytes": picture + number.to_bytes(4), "path": None}}

    dataset = Dataset.from_generator(copies, features=tiles.features, cache_dir=str(directory / "cache"))
    DatasetDict({"train": dataset}).save_to_disk(str(directory / "tree"), num_shards={"train": shards})
    return FileSource(path=str(directory / "tree"), name="repeated")


def _encoded(image: Image.Image, format: str) -> bytes:
    written = io.BytesIO()
    image.convert("RGB").crop((0, 0, TILE, TILE)).save(written, format, **({"quality": 90} if format == "JPEG" else {}))
    return written.getvalue()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=["JPEG", "PNG"], default="JPEG")
    parser.add_argument("--images", type=Path, help="a folder of pictures of 256 x 256 or more")
    parser.add_argument("--rows", type=int, default=26_800)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, workers(options.workers) as pool:
        home = Path(folder)
        shards = list_shards(repeated(home, options.rows, options.shards, options.format, options.images))
        loops = {"bare loop": decode_jpeg}
        if options.format == "PNG":
            batch = next(read_batches(shards[0], ["image"]))
            decoders = png_decoders([data for data in byte_views(images(batch, Layout(image="image"))) if data][:100])
            print("µs a picture: " + ", ".join(f"{name} {seconds * 1e6:,.0f}" for name, seconds in decoders.items()))
            fastest = next(name for name in decoders if name != OURS)
            loops = {f"bare loop, {name}": partial(decode_png, library=name) for name in (fastest, OURS)}
        runs: dict[str, list[Timed]] = {name: [] for name in (*loops, "scan", "scan, threads of one process")}
        for round_ in range(-1, options.rounds):  # the first warms processes and page cache
            jobs: dict[str, tuple[Pool, Callable[[Shard], int]]] = {
                name: (pool, partial(bare_shard, decoder=decoder)) for name, decoder in loops.items()
            }
            for name, where in (("scan", pool), ("scan, threads of one process", SameProcess())):
                jobs[name] = (where, partial(scan_afresh, workspace=home / f"{name} {round_}"))
            for name, (where, function) in jobs.items():
                run = timed(where, options.workers, function, shards)
                if round_ >= 0:
                    runs[name].append(run)
        size = sum(shard.path.stat().st_size for shard in shards)
    rows = runs["scan"][0].rows
    print(f"{rows:,} rows, {size / rows / 1000:.1f} kB a row, {len(shards)} shards, {options.workers} workers")
    print("| | pairs/s, median (least, most) | CPU µs a pair | speed of scan / this, median (least, most) | CPU time |")
    print("|---|---:|---:|---:|---:|")
    for name, found in runs.items():
        speed = _spread([run.rows / run.seconds for run in found], ",.0f")
        cpu = statistics.median(run.cpu_seconds / run.rows * 1e6 for run in found)
        both = list(zip(found, runs["scan"], strict=True))
        ratio = _spread([this.seconds / scan.seconds for this, scan in both], ".2f")
        cpu_ratio = _spread([this.cpu_seconds / scan.cpu_seconds for this, scan in both], ".2f")
        print(f"| {name} | {speed} | {cpu:.0f} | {ratio} | {cpu_ratio} |")


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}, {max(values):{form}})"


if __name__ == "__main__":
    main()
