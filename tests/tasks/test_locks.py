"""Locks: one holder at a time, named, and none that outlives its process."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3server import S3Server
from upath import UPath

from tasks import locks
from tasks.locks import Claimed, DirectoryBusy, LeaseLost, claimed, exclusive

HOLD = (
    "import sys, time; from upath import UPath; from tasks import locks; "
    "locks.RENEWED_EVERY_S, locks.GIVEN_UP_AFTER_S = 0.1, 1.0\n"
    "with locks.exclusive(UPath(sys.argv[1]), 'curate a → b'):\n"
    "    print('held', flush=True); time.sleep(60)"
)
CLAIM = (
    "import sys, time; from upath import UPath; from tasks.locks import claimed\n"
    "with claimed(UPath(sys.argv[1]), 'shard 1', wait=False):\n"
    "    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEWED_EVERY_S", 0.1)
    monkeypatch.setattr(locks, "GIVEN_UP_AFTER_S", 1.0)


@pytest.fixture(params=["disk", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, quick: None) -> Iterator[UPath]:
    match request.param:
        case "disk":
            yield UPath(tmp_path)
        case "memory":
            yield UPath(f"memory://locks-{tmp_path.name}")
        case "s3":
            server: S3Server = request.getfixturevalue("s3")
            yield UPath(f"s3://{server.bucket}/output")


class Holder:
    """A process that holds something."""

    def __init__(self, code: str, folder: object):
        self.process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_one_holds_a_folder_and_is_named_to_others(folder: UPath) -> None:
    with exclusive(folder, "curate a → b") as held:
        held.check()
        with pytest.raises(DirectoryBusy, match=rf"curate a → b \(process {os.getpid()} on "), exclusive(folder, "c"):
            pass
        held.check()
    with exclusive(folder, "curate d"):
        pass


def test_who_waits_holds_it_when_the_other_is_done(folder: UPath) -> None:
    order: list[str] = []

    def wait() -> None:
        with exclusive(folder, "b", wait=True):
            order.append("b")

    with exclusive(folder, "a"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.5)
        order.append("a")
    waiting.join()
    assert order == ["a", "b"]


@pytest.mark.parametrize("folder", ["disk", "s3"], indirect=True)
def test_a_lock_of_a_killed_process_holds_nothing(folder: UPath) -> None:
    holder = Holder(HOLD, folder)
    with pytest.raises(DirectoryBusy, match="curate a → b"), exclusive(folder, "c"):
        pass
    holder.kill()
    begin = time.monotonic()
    with exclusive(folder, "c"):
        assert time.monotonic() - begin < 10


def test_a_run_that_was_taken_for_dead_hears_of_it_before_it_publishes(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = UPath("memory://locks-lost")
    with exclusive(folder, "a") as held:
        (folder / ".lock").write_text("{}")  # as another one leaves it that took over
        with pytest.raises(LeaseLost, match="not held by this run any more"):
            held.check()
    assert (folder / ".lock").exists(), "what another run holds is not released"


def test_of_two_who_take_a_lease_over_one_gets_it(quick: None) -> None:
    folder = UPath("memory://locks-race")
    (folder / ".lock").write_text('{"holder": "dead"}')
    outcomes: list[str] = []

    def take(name: str) -> None:
        try:
            with exclusive(folder, name) as held:
                time.sleep(0.5)
                held.check()
                outcomes.append("held")
        except (DirectoryBusy, LeaseLost):
            outcomes.append("refused")

    both = [threading.Thread(target=take, args=[name]) for name in "ab"]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert outcomes.count("held") == 1


def test_work_is_claimed_by_one_process_and_others_pass_on_or_wait(tmp_path: Path) -> None:
    holder = Holder(CLAIM, tmp_path)
    with pytest.raises(Claimed), claimed(UPath(tmp_path), "shard 1", wait=False):
        pass
    with claimed(UPath(tmp_path), "shard 2", wait=False):
        pass
    threading.Timer(0.3, holder.kill).start()
    begin = time.monotonic()
    with claimed(UPath(tmp_path), "shard 1", wait=True):
        assert time.monotonic() - begin > 0.2
