import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faults
import pytest

from tasks.workers import (
    OwnWorkers,
    WorkerLost,
    Workers,
    WorkersClosed,
    workers,
)


def test_results_and_errors_come_back() -> None:
    with workers(1) as pool:
        assert pool.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError) as error:
            pool.run(divmod, 1, 0)
        assert "Traceback" in str(error.value.__cause__)
        assert pool.run(int, "ff", base=16) == 255
        assert pool.run(os.getpid) != os.getpid()


def test_a_process_serves_many_calls_and_starts_when_it_is_needed() -> None:
    with workers(8) as pool:
        assert len({pool.run(os.getpid) for _ in range(10)}) == 1


def test_many_calls_from_several_threads_get_their_own_results() -> None:
    with workers(2) as pool, ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda n: pool.run(divmod, n, 7), range(200))) == [divmod(n, 7) for n in range(200)]


def test_large_arguments_and_results_come_through() -> None:
    data = os.urandom(5_000_000)
    with workers(1) as pool:
        assert pool.run(bytes, data) == data


@pytest.mark.parametrize(
    ("function", "arguments", "how"),
    [
        (os._exit, (9,), "ended while it ran _exit: exit status 9"),
        (faults.end_softly, (4,), "ended while it ran end_softly: exit status 4"),
        (faults.crash, (), "ended while it ran crash: SIGSEGV"),
        (os.abort, (), "ended while it ran abort: SIGABRT"),
        (faults.crash_on, (3,), "ended while it ran crash_on, decoding row 3: SIGSEGV"),
    ],
)
def test_a_lost_process_is_told_and_the_next_call_gets_a_new_one(
    function: Callable[..., object], arguments: tuple[int, ...], how: str
) -> None:
    with workers(1) as pool:
        with pytest.raises(WorkerLost, match=how) as lost:
            pool.run(function, *arguments)
        assert lost.value.row == (3 if function is faults.crash_on else None)
        assert not lost.value.overran
        assert pool.run(divmod, 7, 2) == (3, 1)


def test_a_process_killed_from_outside_is_told_when_busy_and_replaced_when_idle() -> None:
    with workers(1) as pool, ThreadPoolExecutor(1) as threads:
        busy = threads.submit(pool.run, time.sleep, 60)
        os.kill(_only_process(pool), signal.SIGKILL)
        with pytest.raises(WorkerLost, match="while it ran sleep: SIGKILL"):
            busy.result(timeout=10)
        os.kill(pool.run(os.getpid), signal.SIGKILL)
        _wait_until(lambda: not any(worker.alive for worker in pool._idle))
        assert pool.run(divmod, 7, 2) == (3, 1)


def test_a_decoder_that_runs_too_long_is_stopped() -> None:
    with workers(1) as pool:
        begin = time.monotonic()
        with pytest.raises(WorkerLost, match=r"hang, decoding row 11: the decoder ran longer than 0\.5 s") as lost:
            pool.run(faults.hang, 11, 0.5)
        assert (lost.value.row, lost.value.overran) == (11, True)
        assert 0.5 < time.monotonic() - begin < 10
        assert pool.run(divmod, 7, 2) == (3, 1)


def test_a_real_decoder_that_runs_too_long_is_stopped() -> None:
    with workers(1) as pool:
        with pytest.raises(WorkerLost, match="decoding row 5: the decoder ran longer than 1 s"):
            pool.run(faults.decode_row, 5, faults.many_scans(20_000), 1)
        assert pool.run(faults.decode_row, 5, faults.many_scans(1), 10).luma.shape == (512, 512)


def test_the_limit_is_each_rows_own() -> None:
    with workers(1) as pool:
        assert pool.run(faults.rows_in_time, 15, 0.1) == 15
        assert pool.run(faults.forget) is None
        assert pool.run(time.sleep, 0.5) is None


def test_a_lost_process_does_not_disturb_other_calls() -> None:
    with workers(2) as pool, ThreadPoolExecutor(2) as threads:
        process = pool.run(os.getpid)
        undisturbed = threads.submit(pool.run, faults.rows_in_time, 10, 0.1)
        for _ in range(2):
            with pytest.raises(WorkerLost):
                pool.run(faults.crash)
        assert undisturbed.result() == 10
        assert Path(f"/proc/{process}").exists()


def test_what_cannot_be_sent_raises_and_the_process_goes_on() -> None:
    with workers(1) as pool:
        process = pool.run(os.getpid)
        with pytest.raises((AttributeError, TypeError)):
            pool.run(lambda: 1)
        with pytest.raises((AttributeError, TypeError), match="pickle"):
            pool.run(threading.Lock)
        with pytest.raises(RuntimeError, match="Stubborn: a stubborn mule") as error:
            pool.run(faults.raise_stubborn)
        assert "raise_stubborn" in str(error.value.__cause__)
        with pytest.raises(RuntimeError, match="ValueError: <function"):
            pool.run(faults.raise_unpicklable)
        assert pool.run(os.getpid) == process


def test_an_interrupted_call_ends_its_process() -> None:
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with workers(1) as pool:
            process = pool.run(os.getpid)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                pool.run(time.sleep, 60)
            assert not Path(f"/proc/{process}").exists()
            assert pool.run(divmod, 7, 2) == (3, 1)
    finally:
        signal.signal(signal.SIGALRM, former)


def test_lost_processes_leave_nothing_open() -> None:
    with workers(1) as pool:
        counts = []
        for _ in range(5):
            with pytest.raises(WorkerLost):
                pool.run(os._exit, 1)
            gc.collect()
            counts.append(len(list(Path("/proc/self/fd").iterdir())))
        assert len(set(counts)) == 1


def test_closing_ends_a_busy_process_and_refuses_further_calls() -> None:
    pool = Workers(1)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(pool.run, time.sleep, 60) for _ in range(2)]
        process = _only_process(pool)
        begin = time.monotonic()
        pool.close()
        for call in calls:
            with pytest.raises(WorkersClosed):
                call.result(timeout=10)
        assert time.monotonic() - begin < 5
    assert not Path(f"/proc/{process}").exists()
    with pytest.raises(WorkersClosed):
        pool.run(os.getpid)


@pytest.mark.parametrize("work", ["time.sleep, 60", "faults.hang", "faults.hang_in_c"])
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, work: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "import faults\n"
        "from tasks.workers import workers\n"
        "if __name__ == '__main__':\n"
        "    with workers(1) as pool:\n"
        "        print(pool.run(os.getpid), flush=True)\n"
        f"        pool.run({work})\n"
    )
    path = os.pathsep.join([str(Path(faults.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        time.sleep(0.2)  # it is at work now
        parent.send_signal(signal.SIGKILL)
    _wait_until(lambda: not Path(f"/proc/{worker}").exists() or _state(worker) == "Z")


def test_a_pool_that_travels_opens_workers_of_whatever_process_it_comes_to() -> None:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    daemon = context.Process(target=faults.tell_own_worker, args=(theirs, OwnWorkers()), daemon=True)
    daemon.start()  # a process of a pool, such as Dask's, is such a daemon, and may by itself have no children
    told = ours.recv() if ours.poll(20) else None
    assert told is not None
    parent, worker = told
    assert parent == daemon.pid
    assert worker != parent
    daemon.join(10)
    assert daemon.exitcode == 0, "it waited for its worker"
    _wait_until(lambda: not Path(f"/proc/{worker}").exists())


def _only_process(pool: Workers) -> int:
    """Return the process of the pool's one worker, as soon as it has started."""
    _wait_until(lambda: len(pool._all) == 1)
    (worker,) = pool._all
    pid = worker._process.pid
    assert pid is not None
    return pid


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "Z"
