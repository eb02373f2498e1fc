"""Worker processes: plain functions of one stage run here, out of the flow's process, and die with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from schemas.errors import CurationError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class WorkerLost(CurationError):
    """A worker process ended without a result: killed, or crashed by what it decoded."""


class Workers:
    """A pool of worker processes; threads of the flow call :meth:`run` at the same time, each waiting for its own."""

    def __init__(self, count: int):
        self.count = count
        # "spawn" inherits neither locks held by the flow's threads nor its memory.
        self._pool = ProcessPoolExecutor(
            count, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker
        )

    def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` in a worker process and return its result; its exceptions are raised here.

        Raises:
            WorkerLost: if the process ended without a result.
        """
        try:
            return self._pool.submit(function, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise WorkerLost(f"a worker process ended while it ran {function.__name__}") from error

    def close(self) -> None:
        """End the processes; work that has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Open a pool of ``count`` processes for the length of a ``with`` block."""
    pool = Workers(count)
    try:
        yield pool
    finally:
        pool.close()


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the flow decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the flow was killed: nothing waits for this result, and files appear only when whole
