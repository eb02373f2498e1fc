"""What an engine costs: one recipe on threads, on a Dask and on a Ray cluster of this machine; and the files' SHA-256.

Every engine scans and writes afresh, in turn, several times in one run; medians. A cluster is started once for each
round, as ``curate`` does. A task run is one that does next to nothing in a worker process, with what Prefect and the
engine add; they run one after the other on each worker.

    python -m benchmarks.engines --rows 40960
"""

import argparse
import hashlib
import logging
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prefect import flow, task

from benchmarks.scan import repeated
from flows.curate import curate
from flows.runner import Crew, open_crew, standing_engine
from flows.scan import scan
from schemas.recipe import Engine, Recipe
from schemas.source import FileSource
from tasks.options import STAGE
from tasks.versions import followed
from tasks.workers import Pool

_RUNS = 60
_ALONE = 10**10  # so much work that each item has a run of its own

ENGINES: dict[str, dict[str, object]] = {
    "local, 1 worker": {"workers": 1},
    "local, 2 workers": {"workers": 2},
    "Dask, 2 workers": {"kind": "dask", "workers": 2},
    "Ray, 2 workers": {"kind": "ray", "workers": 2},
}


@task(name="next to nothing", **STAGE)
def next_to_nothing(group: tuple[int, ...], label: str, pool: Pool, done: Callable[[int], None]) -> tuple[int, ...]:
    """Have a worker process do what takes no time."""
    return tuple(pool.run(abs, number) for number in group)


@flow(name="overhead", persist_result=False)
def overhead(engine: Engine) -> float:
    """Return the seconds of a task run that does next to nothing, when all processes are there."""

    def runs(crew: Crew, count: int) -> float:
        begin = time.perf_counter()
        crew.each(next_to_nothing, range(count), str, lambda number: _ALONE, done=lambda number: None)
        return time.perf_counter() - begin

    with open_crew(engine) as crew:
        runs(crew, 4 * engine.workers)  # warms the processes
        return runs(crew, _RUNS) / _RUNS * engine.workers


def recipe_of(source: FileSource, home: Path, engine: Engine) -> Recipe:
    """Return the recipe of a run that works in ``home``."""
    return Recipe.model_validate(
        {
            "source": source.model_dump(),
            "deduplication": {"near": None},  # is done by the flow itself on every engine
            "subsets": [{"name": "all", "caption_words": {"min": 5}}],
            "output": {"dir": home / "subsets", "shard_bytes": 10_000_000},
            "workspace": home / "workspace",
            "engine": engine.model_dump(),
        }
    )


def digest_of(folder: Path) -> str:
    """Return the SHA-256 over names and bytes of all files of a subset but ``run.json``."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json"):
        digest.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def measure(source: FileSource, home: Path, engine: Engine) -> tuple[list[float], str]:
    """Return the seconds of start, scan, all else, and a task run; and the digest of what was published."""
    begin = time.perf_counter()
    with standing_engine(engine) as standing:
        seconds = [time.perf_counter() - begin]
        recipe = recipe_of(source, home, standing)
        for run in (scan, curate):
            begin = time.perf_counter()
            run(recipe)
            seconds.append(time.perf_counter() - begin)
        seconds.append(overhead(standing))
    return seconds, digest_of(Path(str(followed(recipe.output.dir / "all"))))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_960)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[list[float]]] = {name: [] for name in ENGINES}
    digests: dict[str, set[str]] = {name: set() for name in ENGINES}
    with tempfile.TemporaryDirectory() as folder:
        source = repeated(Path(folder), options.rows, options.shards)
        overhead(Engine(workers=1))  # starts Prefect's server
        for _ in range(options.rounds):
            for name, settings in ENGINES.items():
                home = Path(folder) / "run"
                seconds, digest = measure(source, home, Engine.model_validate(settings))
                found[name].append(seconds)
                digests[name].add(digest)
                shutil.rmtree(home)
    print(f"{options.rows:,} rows, {options.shards} shards, {options.rounds} rounds")
    print("| engine | start [s] | scan [s] | all else [s] | a task run [ms] | SHA-256 of all files |")
    print("|---|---:|---:|---:|---:|---|")
    for name, rounds in found.items():
        start, scanned, rest, run = (statistics.median(column) for column in zip(*rounds, strict=True))
        same = ", ".join(sorted(digest[:12] for digest in digests[name]))
        print(f"| {name} | {start:.1f} | {scanned:.1f} | {rest:.1f} | {1000 * run:.0f} | `{same}…` |")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    main()
