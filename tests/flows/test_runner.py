import importlib
import sys
from collections.abc import Callable
from typing import Any

import faults
import pytest
from prefect import flow, task

from flows.runner import Crew, EngineError, open_crew, standing_engine, write_engine
from schemas.recipe import Engine, Output
from tasks.beat import hearing
from tasks.workers import OwnWorkers, Pool


@task(name="divide", persist_result=False)
def divide(
    group: tuple[int, ...], label: str, by: int, pool: Pool, done: Callable[[tuple[str, int]], None]
) -> tuple[tuple[str, int], ...]:
    results = []
    for number in group:
        if number < 0:
            raise ValueError(f"{number} in {label}")
        results.append((label, pool.run(divmod, number, by)[0]))
        done(results[-1])
    return tuple(results)


def divided(crew: Crew, numbers: list[int], heard: list[Any], parts: list[float]) -> list[tuple[str, int]]:
    return crew.each(divide, numbers, str, lambda n: 1, 10, done=heard.append, group_done=parts.append)


def test_a_crew_does_all_items_in_their_order(prefect_server: None) -> None:
    heard: list[Any] = []
    parts: list[float] = []

    @flow(persist_result=False)
    def work() -> list[tuple[str, int]]:
        with open_crew(Engine(workers=1)) as crew:
            assert divided(crew, [], [], []) == []
            return divided(crew, list(range(100, 180, 10)), heard, parts)

    labels = ["100 … 110", "120 … 130", "140 … 150", "160 … 170"]
    expected = [(labels[n // 2], 10 + n) for n in range(8)]
    assert work() == expected
    assert sorted(heard) == expected
    assert parts == [0.25, 0.5, 0.75, 1]


@task(name="count", persist_result=False)
def count(
    group: tuple[int, ...],
    label: str,
    pool: Pool,
    done: Callable[[int], None],
    moved: Callable[[str, int], None],
) -> tuple[int, ...]:
    for number in group:
        with hearing(lambda rows: moved(label, rows)):
            pool.run(faults.advance, (number,), 1.5)  # it is looked at each second
        done(number)
    return group


@pytest.mark.parametrize("away", [False, True])
def test_a_crew_tells_of_items_at_work_if_they_are_in_this_process(prefect_server: None, away: bool) -> None:
    done: list[int] = []
    moves: list[tuple[str, int]] = []

    @flow(persist_result=False)
    def work() -> list[int]:
        with open_crew(Engine(workers=1)) as here:
            crew = Crew(here._runner, OwnWorkers(), 1) if away else here
            return crew.each(
                count, [4, 5], str, lambda n: 1, done=done.append, moved=lambda name, rows: moves.append((name, rows))
            )

    assert work() == [4, 5]
    assert sorted(done) == [4, 5]
    assert sorted(moves) == ([] if away else [("4", 4), ("5", 5)])


def test_a_failure_is_raised_when_all_else_is_done(prefect_server: None) -> None:
    heard: list[Any] = []

    @flow(persist_result=False)
    def work() -> None:
        with open_crew(Engine(workers=1)) as crew, pytest.raises(ValueError, match="-1 in -1"):
            divided(crew, [-1, 20, -3, 40], heard, [])

    work()
    assert sorted(heard) == [("20", 2), ("40", 4)]


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_what_only_this_process_sees_is_refused(kind: str) -> None:
    told = rf"engine\.kind: found {kind}, and memory://a, which only the flow's own process sees; expected local"
    with pytest.raises(EngineError, match=told), open_crew(Engine.model_validate({"kind": kind}), "/b", "memory://a"):
        raise AssertionError


@pytest.mark.parametrize(("kind", "package"), [("dask", "distributed"), ("ray", "ray")])
@pytest.mark.parametrize("address", [None, "127.0.0.1:1"])
def test_an_engine_that_is_not_installed_says_what_to_install(
    kind: str, package: str, address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (package, f"prefect_{kind}"):
        monkeypatch.setitem(sys.modules, name, None)
    told = rf"engine\.kind: {kind} needs packages that are not installed: pip install 'git10m\[{kind}\]'"
    engine = Engine.model_validate({"kind": kind, "address": address})
    with pytest.raises(EngineError, match=told), open_crew(engine):
        raise AssertionError


@pytest.mark.slow
def test_no_cluster_where_one_should_be() -> None:
    import dask

    importlib.import_module("distributed")  # it adds its settings, which the block below would take back with its own

    told = r"engine\.address: no dask cluster at tcp://127\.0\.0\.1:1: .*127\.0\.0\.1:1"
    engine = Engine(kind="dask", address="tcp://127.0.0.1:1")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(EngineError, match=told),
        open_crew(engine),
    ):
        raise AssertionError


def test_a_cluster_with_an_address_is_left_as_it_is() -> None:
    for engine in (Engine(), Engine(kind="dask", address="tcp://far:8786"), Engine(kind="ray", address="far:6379")):
        with standing_engine(engine) as standing:
            assert standing is engine


def test_shuffled_rows_that_lie_on_this_machine_are_written_here() -> None:
    from upath import UPath

    engine = Engine(kind="dask", address="tcp://far:8786", workers=1)
    shuffled, plain = Output(dir="s3://a/b", shuffle_seed=1), Output(dir="s3://a/b")
    far, near = UPath("memory://w"), UPath("/w")
    assert write_engine(engine, plain, far) is engine
    assert write_engine(engine, shuffled, near) is engine
    here = write_engine(engine, shuffled, far)
    assert (here.kind, here.address, here.workers) == ("local", None, 1)
