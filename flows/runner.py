"""How task runs are run: threads of the flow's process, each of which waits for a worker process."""

import os
from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner


def task_threads(count: int | None = None) -> TaskRunner[PrefectFuture[Any]]:
    """Return a task runner of ``count`` threads; by default as many as there are cores."""
    return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=count or os.cpu_count() or 1))
