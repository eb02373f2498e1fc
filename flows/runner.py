"""How task runs are run: threads of the flow's process, each of which waits for a worker process."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from schemas.recipe import Recipe
from tasks.source.shards import Shard
from tasks.workers import Pool, SameProcess, workers


def task_threads(count: int | None = None) -> TaskRunner[PrefectFuture[Any]]:
    """Return a task runner of ``count`` threads; by default as many as there are cores."""
    return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=count or os.cpu_count() or 1))


def scan_threads(recipe: Recipe, shards: Sequence[Shard]) -> TaskRunner[PrefectFuture[Any]]:
    """Return the threads of a scan: one a worker, and where shards are fetched, as many again that fetch ahead."""
    if _only_here(recipe):
        return task_threads(1)
    elsewhere = any(shard.remote is not None for shard in shards)
    return task_threads(recipe.engine.workers * (2 if elsewhere else 1))


def open_pool(recipe: Recipe) -> AbstractContextManager[Pool]:
    """Open the recipe's worker processes for the length of a ``with`` block."""
    return pool_of(recipe.engine.workers, only_here=_only_here(recipe))


@contextmanager
def pool_of(count: int, *, only_here: bool = False) -> Iterator[Pool]:
    """Open ``count`` worker processes for the length of a ``with`` block, or none: for what only this process sees."""
    if only_here:
        yield SameProcess()
        return
    with workers(count) as pool:
        yield pool


def _only_here(recipe: Recipe) -> bool:
    """Return whether some of the recipe's files are where no other process sees them."""
    return any(
        str(place).startswith("memory://") for place in (recipe.source.path, recipe.output.dir, recipe.workspace)
    )
