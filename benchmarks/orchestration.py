"""What Prefect costs a run: the flow `curate` against the same functions called as functions, in turn, in one run.

The demo's tiles with repeats in 200 shards, scanned, deduplicated, selected and written afresh: by the flow, with a
task run for each shard; by the flow as it is, which has several shards in one; and by the functions that its tasks
call, in as many threads and the same pool of worker processes. All start their workers within the clock; Prefect's
server and imports are there before. CPU seconds are those of this process, its workers, and Prefect's server.

    python -m benchmarks.orchestration --rows 200000
"""

import argparse
import logging
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from prefect import flow

from benchmarks.scan import repeated
from flows.curate import curate
from schemas.recipe import Recipe
from schemas.reports import ScanReport, WriteReport
from schemas.source import FileSource
from tasks import grouping
from tasks.deduplicate.stage import find_duplicates
from tasks.locks import exclusive
from tasks.pinning import pinned
from tasks.scan.stage import scan_shards
from tasks.select.basis import Basis
from tasks.select.stage import select
from tasks.source.listing import shards_of
from tasks.workers import workers
from tasks.write.manifest import draft_manifest
from tasks.write.placement import place_rows
from tasks.write.plan import plan_files
from tasks.write.schema import data_schema
from tasks.write.stage import Making, complete, write_data
from tasks.write.staging import Staging

_T = TypeVar("_T")
_U = TypeVar("_U")


def recipe_of(source: FileSource, home: Path, count: int) -> Recipe:
    """Return the recipe of a run that works in ``home`` with ``count`` workers."""
    return Recipe.model_validate(
        {
            "source": source.model_dump(),
            "deduplication": {"near": None, "exact_bytes": False},  # or next to nothing would be left to be written
            "subsets": [{"name": "all", "caption_words": {"min": 5}}],
            "output": {"dir": home / "subsets"},
            "workspace": home / "workspace",
            "engine": {"workers": count},
        }
    )


def in_functions(recipe: Recipe) -> None:
    """Do what ``curate`` does, without Prefect."""
    recipe = pinned(recipe)
    shards, columns = shards_of(recipe), recipe.source.columns.model_dump()
    [subset], output = recipe.subsets, recipe.output
    output.dir.mkdir(parents=True)
    with workers(recipe.engine.workers) as pool, ThreadPoolExecutor(2 * recipe.engine.workers) as threads:

        def each(work: Callable[[_T], _U], items: Sequence[_T]) -> list[_U]:
            return list(threads.map(work, items))

        outcomes = each(
            lambda shard: scan_shards.fn((shard,), shard.name, recipe.scan, columns, recipe.workspace, pool, _unheard),
            shards,
        )
        scan = ScanReport.of([outcome for [outcome] in outcomes])
        duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
        with exclusive(output.dir, "benchmark") as held:
            selected = select.fn(subset, Basis(recipe, scan, duplicates))
            target = data_schema(scan)
            staging = Staging(output.dir, draft := draft_manifest(recipe, subset, scan, duplicates, selected, target))
            staging.open()
            placement = place_rows(scan, selected.verdicts, subset, output, images=True)
            plans = plan_files(shards, scan, placement, images=True)
            written = each(
                lambda plan: write_data.fn((plan,), plan.path, target, staging, output, None, pool, _unheard), plans
            )
            data = WriteReport(
                subset=subset.name,
                expected_rows=selected.kept,
                expected_image_bytes=selected.kept_image_bytes,
                files=tuple(file for [file] in written),
            )
            complete(Making(subset, output, shards, scan, selected, placement, draft, staging, held), data, {})


def _unheard(outcome: object) -> None:
    """Hear of a shard or a file that is done."""


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of all its children, running or ended."""
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = 0
    for path in Path("/proc/self/task").glob("*/children"):
        for child in path.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime, stime, and those of its own children that have ended
    return sum(one.ru_utime + one.ru_stime for one in ours) + ticks / os.sysconf("SC_CLK_TCK")


def in_runs_of_one(recipe: Recipe) -> None:
    """Run ``curate`` with a task run for each shard and file."""
    with patch.object(grouping, "_GROUP_BYTES", 1):
        curate(recipe)


def timed(run: Callable[[Recipe], object], source: FileSource, home: Path, count: int) -> tuple[float, float]:
    """Return seconds and CPU seconds of a run that does everything afresh."""
    begin, cpu = time.perf_counter(), cpu_seconds()
    run(recipe_of(source, home, count))
    took = time.perf_counter() - begin, cpu_seconds() - cpu
    shutil.rmtree(home)
    return took


RUNS = {"functions": in_functions, "flow, a task run a shard": in_runs_of_one, "flow": curate}


@flow(persist_result=False)
def nothing() -> None:
    """Start Prefect's server."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    nothing()
    with tempfile.TemporaryDirectory() as folder:
        source = repeated(Path(folder), options.rows, options.shards)
        timed(in_functions, source, Path(folder) / "run", options.workers)  # imports what both need
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in RUNS}
        for _ in range(options.rounds):
            for name, run in RUNS.items():
                took[name].append(timed(run, source, Path(folder) / "run", options.workers))
    print(f"{options.rows:,} rows in {options.shards} shards, {options.workers} workers, {options.rounds} rounds")
    print("| run | s | CPU s | s / functions | CPU s / functions | more for each shard [CPU ms] |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, times in took.items():
        seconds, cpu = (statistics.median(part) for part in zip(*times, strict=True))
        pairs = list(zip(times, took["functions"], strict=True))
        slower, dearer = (statistics.median(one[part] / other[part] for one, other in pairs) for part in (0, 1))
        more_ms = statistics.median(one[1] - other[1] for one, other in pairs) / options.shards * 1000
        print(f"| {name} | {seconds:.1f} | {cpu:.1f} | {slower:.2f} | {dearer:.2f} | {more_ms:.0f} |")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
