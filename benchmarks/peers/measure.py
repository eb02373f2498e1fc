"""What a command costs, all of its processes counted. Of Linux alone: the kernel's ``/proc`` is what is read."""

import ctypes
import os
import resource
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_EVERY_S = 0.05
_LEAST_IDLE = 10  # a sample is followed by a pause of so many times its own length: it takes a tenth of a core at most
_LAST_S = 60.0


class Cost(NamedTuple):
    """What a command took, and how it ended."""

    seconds: float
    cpu_seconds: float  # user and system time of every process
    peak_bytes: int  # the largest sum, over all processes at a time, of their proportional set sizes
    status: int


def cost_of(command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> Cost:
    """Run ``command`` to its end, its output to the file ``log``.

    Raises:
        TimeoutError: if processes that the command left behind are still there a minute after its end.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = _Peak()
    with log.open("wb") as file:
        begin = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        peak.start()
        status = process.wait()
        seconds = time.perf_counter() - begin
    peak.end.set()
    peak.join()
    _await_orphans(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, cpu_seconds, peak.bytes, status)


class _Peak(threading.Thread):
    """Samples the memory of all processes below this one, every 50 ms or as often as is cheap."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.end = threading.Event()
        self.bytes = 0

    def run(self) -> None:
        pause = 0.0
        while not self.end.wait(pause):
            begin = time.perf_counter()
            self.bytes = max(self.bytes, sum(map(_pss, _descendants(os.getpid()))))
            pause = max(_EVERY_S, _LEAST_IDLE * (time.perf_counter() - begin))


def _descendants(root: int) -> list[int]:
    children = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has ended since
            children[int(stat.rpartition(")")[2].split()[1])].append(int(folder.name))
    found = [root]
    for process in found:
        found += children[process]
    return found[1:]


def _pss(process: int) -> int:
    """Return the proportional set size [bytes]: pages that n processes share count 1/n each."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0  # it has ended since
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _await_orphans(command: Sequence[str | Path]) -> None:
    """Wait for what the command left running: only of processes that have been waited for the time is known."""
    end = time.monotonic() + _LAST_S
    while time.monotonic() < end:
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            time.sleep(_EVERY_S)
    raise TimeoutError(f"{command[0]}: found processes {_LAST_S:.0f} s after its end, expected none")
