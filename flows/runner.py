"""Who does the work of a flow: threads that call worker processes of this machine, or a Dask or Ray cluster."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

from prefect import Task, get_client
from prefect.futures import PrefectFuture, as_completed
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.callables import get_call_parameters
from upath import UPath

from schemas.errors import CurationError
from schemas.recipe import Engine, Output
from tasks.files import is_local
from tasks.grouping import in_groups, span
from tasks.workers import OwnWorkers, Pool, SameProcess, workers

_T = TypeVar("_T")
_U = TypeVar("_U")
_Runner = TaskRunner[PrefectFuture[Any]]


class EngineError(CurationError):
    """The recipe's engine cannot be had, or cannot do what the recipe asks."""


class Crew:
    """A task runner, and the pool of processes that its task runs call."""

    def __init__(self, runner: Any, pool: Pool, workers: int):
        self._runner: _Runner = runner
        self._pool = pool
        self._workers = workers
        self._away = isinstance(pool, OwnWorkers)

    def each(
        self,
        task: Task[..., tuple[_U, ...]],
        items: Sequence[_T],
        name: Callable[[_T], str],
        size: Callable[[_T], int],
        *arguments: Any,
        done: Callable[[_U], None],
        moved: Callable[[str, int], None] | None = None,
        group_done: Callable[[float], object] = lambda part: None,
    ) -> list[_U]:
        """Have ``task`` do all ``items``, a group in each of its runs, and return what becomes of them, in their order.

        Args:
            task: takes a group of items, a label, the ``arguments``, a pool, what hears of each item that is done, and
                what hears of items at work, if there is one.
            items: the work.
            name: tells what an item is called; a run's label is made of it.
            size: tells how much work an item is, in whatever unit.
            arguments: are the same for all runs.
            done: hears of each item: at once where a run is in this process, else when its run is done.
            moved: hears how many rows are done of an item at work, by its name; nothing where runs are elsewhere.
            group_done: hears which part of the runs is done [0..1].

        Raises:
            EngineError: if the engine gave a run up, since its workers die of it.
            Exception: the first that a run raised, once all have ended: nothing is written behind the flow's back.
        """
        groups = in_groups(items, map(size, items), self._workers)
        labels = [span([name(item) for item in group]) for group in groups]
        hear: list[Callable[..., None]] = [done] if moved is None else [done, moved]
        if self._away:
            hear = [_unheard] * len(hear)
        futures = []
        for group, label in zip(groups, labels, strict=True):
            parameters = get_call_parameters(task.fn, (group, label, *arguments, self._pool, *hear), {})
            futures.append(self._runner.submit(task, parameters))
        for number, future in enumerate(as_completed(futures), start=1):
            for outcome in _outcomes(future) if self._away else ():
                done(outcome)
            group_done(number / len(groups))
        return [outcome for future, label in zip(futures, labels, strict=True) for outcome in _result(future, label)]


def _outcomes(future: PrefectFuture[Any]) -> Any:
    with suppress(Exception):  # it is raised when all runs have ended
        return future.result()
    return ()


def _result(future: PrefectFuture[Any], label: str) -> Any:
    try:
        return future.result()
    except Exception as error:
        engine = type(error).__module__.partition(".")[0]
        if engine not in ("distributed", "ray"):
            raise
        raise EngineError(f"{label}: given up by {engine}: {type(error).__name__}: {error}") from error


def _unheard(*told: Any) -> None:
    """Hear of an item in a process from where the flow cannot be told."""


@contextmanager
def open_crew(engine: Engine, *places: object) -> Iterator[Crew]:
    """Open who works for a flow, for the length of a ``with`` block; no process is left behind.

    Args:
        engine: of the recipe.
        places: paths and URLs of all that is read and written.

    Raises:
        EngineError: if the engine is not installed, does not answer, or does not see all places.
    """
    only_here = [str(place) for place in places if str(place).startswith("memory://")]
    with ExitStack() as opened:
        if engine.kind == "local":
            # As many threads again: they look for the next shard, or fetch it, while the workers decode others.
            count = 1 if only_here else 2 * engine.workers
            runner: Any = opened.enter_context(ThreadPoolTaskRunner(max_workers=count))
            # Opened last and closed first: a thread that waits for a worker is free when the worker is gone.
            pool: Pool = SameProcess() if only_here else opened.enter_context(workers(engine.workers))
            yield Crew(runner, pool, engine.workers)
            return
        if only_here:
            told = f"found {engine.kind}, and {only_here[0]}, which only the flow's own process sees; expected local"
            raise EngineError(f"engine.kind: {told}, or another place")
        engine = opened.enter_context(standing_engine(engine))
        runner = _cluster_runner(engine)
        try:
            with _sigterm_as_it_was():
                opened.enter_context(runner)
            getattr(runner, "client", None)  # Dask's connects when it is first looked at
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineError(f"engine.address: no {engine.kind} cluster at {engine.address}: {error}") from error
        opened.enter_context(_api_for_all())
        yield Crew(runner, OwnWorkers(), engine.workers)


def write_engine(engine: Engine, output: Output, workspace: UPath) -> Engine:
    """Return who writes data files: ``engine``; or this machine, if shuffled rows lie on its disk for a while."""
    if output.shuffle_seed is None or is_local(workspace):
        return engine
    return engine.model_copy(
        update={"kind": "local", "address": None, "workers": min(engine.workers, os.cpu_count() or 1)}
    )


@contextmanager
def standing_engine(engine: Engine) -> Iterator[Engine]:
    """Yield ``engine`` with an address: where it has none, a cluster of this machine stands for the ``with`` block.

    A flow that opens several crews in turn starts its cluster once by this.

    Raises:
        EngineError: if the engine is not installed.
    """
    if engine.kind == "local" or engine.address is not None:
        yield engine
        return
    with _dask_cluster(engine.workers) if engine.kind == "dask" else _ray_cluster(engine.workers) as address:
        yield engine.model_copy(update={"address": address})


@contextmanager
def _dask_cluster(count: int) -> Iterator[str]:
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")  # read at the import, here and by its processes
    with _installed("dask"):
        from distributed import LocalCluster
    # The work is done by children of Dask's processes, whose memory Dask does not count: it has nothing to limit.
    with LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address=None) as cluster:
        yield str(cluster.scheduler_address)


@contextmanager
def _ray_cluster(count: int) -> Iterator[str]:
    with _installed("ray"):
        import ray
    settings = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    with _sigterm_as_it_was():
        context = ray.init("local", num_cpus=count, **settings)
    try:
        yield str(context.address_info["gcs_address"])
    finally:
        ray.shutdown()


def _cluster_runner(engine: Engine) -> Any:
    with _installed(engine.kind):
        if engine.kind == "dask":
            from prefect_dask import DaskTaskRunner

            return DaskTaskRunner(address=engine.address)
        from prefect_ray import RayTaskRunner

        return RayTaskRunner(address=engine.address, init_kwargs={"log_to_driver": False})


@contextmanager
def _sigterm_as_it_was() -> Iterator[None]:
    """Keep the handler of SIGTERM, by which runs are cancelled: Ray puts its own in its place when it starts."""
    former = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if former is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, former)


@contextmanager
def _api_for_all() -> Iterator[None]:
    """Have task runs elsewhere talk to the flow's server, also one that Prefect started for this run.

    Else each process of the cluster would start a server of its own.
    """
    with get_client(sync_client=True) as client:
        url = str(client.api_url)
    with temporary_settings({PREFECT_API_URL: url}):
        yield


@contextmanager
def _installed(kind: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        told = f"engine.kind: {kind} needs packages that are not installed: pip install 'git10m[{kind}]'"
        raise EngineError(told) from error
