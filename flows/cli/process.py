"""The process of a command: what is set before it runs, and how it ends, by itself or by a signal."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import typer

from flows.terminal import printable
from schemas.errors import CurationError

FAILED, MISUSED = 1, 2
"""The statuses with which a command ends that was not done."""

_GO_ON = [["curate"], ["embed"], ["evaluate"], ["materialize"], ["publish"], ["demo"]]  # what is finished is kept


def set_up_prefect(verbose: bool) -> None:
    """Set what Prefect reads when it is imported; the user's own environment wins."""
    # PYTHONWARNINGS: of semaphores that an interrupted run leaves for multiprocessing to clean up
    defaults = {
        "PYTHONWARNINGS": "ignore:resource_tracker",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60",  # on an empty home, 20 s can be too few
    }
    if not verbose:  # a failure is told once, by this program; the Prefect API still receives the whole log
        defaults |= {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL"}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def run(job: Callable[[], object]) -> None:
    """Do ``job``; what a person can mend is told in a line, and Ctrl-C or SIGTERM end it at once."""
    former = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        job()
    except (CurationError, OSError) as error:
        fail(str(error), FAILED)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _stop(number: int, frame: object) -> NoReturn:
    """End at once, and the server and workers with it: what is finished is on disk, what is not never appears.

    Prefect would first tell its server, which the same Ctrl-C has ended, and wait for it for minutes.
    """
    progress = sys.modules.get("flows.progress")
    kept = progress.so_far() if progress is not None else ""
    told = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""  # the line of the bar goes, the cursor comes back
    told += f"git10m: interrupted{f'; {kept}' if kept else ''}\n"
    if sys.argv[1:2] in _GO_ON:
        command = printable(shlex.join(["git10m", *sys.argv[1:]]))
        told += f"to go on from here, run the same command again:\n  {command}\n"
    os.write(2, told.encode())  # no buffer, no lock: this may have interrupted a write
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGTERM)
    os._exit(128 + number)


def fail(message: str, status: int) -> NoReturn:
    """End with ``message`` on standard error, and ``status``, one of the above."""
    typer.echo(f"git10m: {printable(message)}", err=True)
    raise typer.Exit(status)
