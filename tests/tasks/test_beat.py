import math
import time
from concurrent.futures import ThreadPoolExecutor

import faults
import pytest

from tasks.beat import decoding, hearing
from tasks.workers import SameProcess, Worker, WorkerLost, Workers, workers


def test_a_look_at_any_moment_sees_limits_that_were_set() -> None:
    worker = Worker()
    try:
        with ThreadPoolExecutor(1) as threads:
            busy = threads.submit(worker.call, faults.quick_rows, 300_000, 20.0)
            seen = set()
            while not busy.done():
                seen.add(worker._told.beat.seconds)
        assert busy.result() is None
        assert seen == {20.0, math.inf}
    finally:
        worker.end()


def test_how_far_a_call_is_is_heard_while_it_goes_on() -> None:
    heard: list[int] = []
    numbers = (10, 20, 30)
    with workers(1) as pool:
        with hearing(heard.append):
            pool.run(faults.advance, numbers, 0.6)
            assert heard
            assert heard == sorted(set(heard) & set(numbers))
            before = list(heard)
            pool.run(time.sleep, 0.2)  # another call, of which there is nothing to hear
        pool.run(faults.advance, (40,), 0.2)  # nobody listens
    assert heard == before

    here: list[int] = []
    with hearing(here.append):
        SameProcess().run(faults.advance, numbers, 0)
    faults.advance((40,), 0)
    assert here == list(numbers)


def test_calls_at_the_same_time_are_heard_apart() -> None:
    def heard(pool: Workers, rows: int) -> list[int]:
        heard: list[int] = []
        with hearing(heard.append):
            pool.run(faults.advance, (rows,), 1.5)  # it is looked at each second
        return heard

    with workers(2) as pool, ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda rows: heard(pool, rows), (10, 20))) == [[10], [20]]


def test_a_decoder_that_runs_too_long_is_stopped_however_far_the_call_is() -> None:
    heard: list[int] = []
    with workers(1) as pool, hearing(heard.append), pytest.raises(WorkerLost, match=r"ran longer than 0\.5 s"):
        pool.run(faults.advance_in_vain, 11, 0.5)
    assert heard == sorted(set(heard))
    assert len(heard) > 1


def test_outside_a_worker_process_nobody_watches() -> None:
    decoding(3, 0.0)
    decoding(None)
