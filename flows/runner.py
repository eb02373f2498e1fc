"""How task runs are run: threads of the flow's process, each of which waits for a worker process."""

import os

from prefect.futures import PrefectConcurrentFuture
from prefect.task_runners import ThreadPoolTaskRunner


def task_threads(count: int | None = None) -> ThreadPoolTaskRunner[PrefectConcurrentFuture[object]]:
    """Return a task runner of ``count`` threads; by default as many as there are cores."""
    return ThreadPoolTaskRunner(max_workers=count or os.cpu_count() or 1)
