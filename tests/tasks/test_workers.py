import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.workers import WorkerLost, workers


def test_results_and_errors_come_back() -> None:
    with workers(1) as pool:
        assert pool.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.run(divmod, 1, 0)
        assert pool.run(os.getpid) != os.getpid()


def test_a_lost_worker_is_told() -> None:
    with workers(1) as pool, pytest.raises(WorkerLost, match="ended while it ran _exit"):
        pool.run(os._exit, 9)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from tasks.workers import workers\n"
        "if __name__ == '__main__':\n"
        "    with workers(1) as pool:\n"
        "        print(pool.run(os.getpid), flush=True)\n"
        "        pool.run(time.sleep, 60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and _state(worker) != "Z":
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "Z"
