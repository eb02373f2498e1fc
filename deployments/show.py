"""All of it on one machine, without network: server, work pool, worker, deployments, a run by hand and one by schedule.

python deployments/show.py FOLDER [--browser chromium]

The services are started by their commands in ``compose.yaml``, in a temporary folder, on a free port; what they
show is left in FOLDER as pictures of the UI. Needs the extra ``demo``, and Chromium or Chrome.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

DEPLOYMENTS = Path(__file__).parent
_SMALL_DEMO = """
from pathlib import Path
from tasks.demo.reference import make_reference
from tasks.demo.source import make_source
make_source(Path("demo/source"), relief_max_zoom=4, bluemarble_max_zoom=3)
make_reference(Path("demo/reference.parquet"))
"""
_DONE = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Services:
    """What ``compose.yaml`` starts, without its containers and on SQLite: a server, and a worker of the pool ``local``.

    ``home`` is the folder that everything is in, the program's folder in a container; ``url`` is the server's address.
    """

    def __init__(self, home: Path, port: int):
        self.home = home
        self.url = f"http://127.0.0.1:{port}"
        composed = YAML(typ="safe", pure=True).load(DEPLOYMENTS / "compose.yaml")
        self._commands = {
            name: service["command"] for name, service in composed["services"].items() if "command" in service
        }
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_UI_API_URL": f"{self.url}/api",
            # Else a run waits for up to ten seconds to be seen, thirty for the one before it, sixty for its schedule.
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        (home / "deployments").symlink_to(DEPLOYMENTS, target_is_directory=True)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``command`` to its end, and return what it said, both streams in ``stdout``.

        Raises:
            RuntimeError: if it fails and ``check`` is true; the message has what it said.
        """
        done = subprocess.run(
            command, cwd=self.home, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}:\n{done.stdout}")
        return done

    def log(self, name: str) -> str:
        """Return what a running service has said."""
        return (self.home / f"{name}.log").read_text()

    def service(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the service ``name``, which comes to an end, by its command."""
        return self.run(*self._commands[name])

    @contextmanager
    def started(self, name: str) -> Iterator[Path]:
        """Keep the service ``name`` running for the length of a ``with`` block; give the file of its log."""
        log = self.home / f"{name}.log"
        with log.open("w") as said:
            process = subprocess.Popen(
                self._commands[name],
                cwd=self.home,
                env=self.environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield log
        finally:
            _end(process)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Keep the server running, and answering, for the length of a ``with`` block."""
        with self.started("server") as log:
            wait(lambda: _answers(f"{self.url}/api/health"), f"the server; see {log}", 90)
            yield

    def ask(self, path: str, question: Mapping[str, Any] | None = None) -> Any:
        """Return the answer of the server's API to a GET, or with a ``question`` to a POST."""
        data = None if question is None else json.dumps(question).encode()
        request = urllib.request.Request(f"{self.url}/api/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def names(self) -> list[str]:
        """Return the names of all deployments, such as ``curate/ad-hoc``."""
        flows = {flow["id"]: flow["name"] for flow in self.ask("flows/filter", {})}
        return sorted(f"{flows[one['flow_id']]}/{one['name']}" for one in self.ask("deployments/filter", {}))

    def deployed(self, name: str) -> dict[str, Any]:
        """Return what the server knows of a deployment."""
        found: dict[str, Any] = self.ask(f"deployments/name/{name}")
        return found

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """Return the runs of a deployment, the latest expected first."""
        ids = {"deployments": {"id": {"any_": [self.deployed(deployment)["id"]]}}, "sort": "EXPECTED_START_TIME_DESC"}
        found: list[dict[str, Any]] = self.ask("flow_runs/filter", ids)
        return found

    def finished(self, deployment: str, count: int, seconds: float) -> list[dict[str, Any]]:
        """Wait until ``count`` runs of a deployment have come to an end; return them, the latest first.

        Raises:
            TimeoutError: if that takes more than ``seconds``.
        """

        def done() -> list[dict[str, Any]]:
            return [run for run in self.runs(deployment) if run["state_type"] in _DONE]

        wait(lambda: len(done()) >= count, f"{deployment}: {count} runs that ended", seconds)
        return done()


@contextmanager
def services(home: Path) -> Iterator[Services]:
    """Start server and worker in ``home``, an empty folder, and deploy everything; end them with the ``with`` block."""
    started = Services(home, free_port())
    with started.serving():
        started.service("deploy")
        with started.started("worker"):
            yield started


def wait(reached: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until ``reached`` says so.

    Raises:
        TimeoutError: that says ``what`` was waited for, if that takes more than ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.3)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a service and what it started: softly, and if that takes more than 20 seconds, not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _picture(browser: str, url: str, path: Path, size: tuple[int, int]) -> None:
    """Save what ``url`` looks like, in pixels of ``size``, once the page has had 20 seconds of its own time."""
    with TemporaryDirectory(prefix="git10m-browser-") as profile:
        options = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
            "--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=20000"
        )
        subprocess.run(
            [
                *(browser, *options.split()),
                *(f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", f"--screenshot={path}", url),
            ],
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def show(folder: Path, browser: str) -> None:
    """Leave the pictures in ``folder``, and say what was done and how long it took."""
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begin:5.0f} s  {what}", flush=True)

    with TemporaryDirectory(prefix="git10m-show-") as home, services(Path(home)) as prefect:
        say(f"server, worker and deployments: {', '.join(prefect.names())}")
        prefect.run(sys.executable, "-c", _SMALL_DEMO)
        say("the demo's source, small")
        prefect.run("prefect", "deployment", "run", "curate/ad-hoc")
        by_hand = prefect.finished("curate/ad-hoc", 1, 300)[0]
        say(f"by hand: {by_hand['name']}: {by_hand['state_name']}")
        prefect.run(
            *("prefect", "deployment", "schedule", "create", "curate/ad-hoc", "--cron", "* * * * *"),
            *("--timezone", "UTC"),
        )
        by_schedule = prefect.finished("curate/ad-hoc", 2, 300)[0]
        prefect.run("prefect", "deployment", "schedule", "clear", "curate/ad-hoc", "--accept-yes")
        say(f"by schedule: {by_schedule['name']}: {by_schedule['state_name']}")
        deployment = prefect.deployed("curate/ad-hoc")["id"]
        pages = {
            "deployments": ("/deployments", (1400, 700)),
            "run": (f"/runs/flow-run/{by_hand['id']}", (1400, 1300)),
            "run-artifacts": (f"/runs/flow-run/{by_hand['id']}?tab=Artifacts", (1400, 1300)),
            "run-by-schedule": (f"/runs/flow-run/{by_schedule['id']}", (1400, 900)),
            "artifacts": ("/artifacts", (1400, 1300)),
            "form": (f"/deployments/deployment/{deployment}/run", (1400, 2400)),
            "events": ("/events", (1400, 1300)),
        }
        for name, (page, size) in pages.items():
            for ui, prefix in (("v1", ""), ("v2", "/v2")):
                _picture(browser, f"{prefect.url}{prefix}{page}", folder / f"{name}-{ui}.png", size)
        say(f"{2 * len(pages)} pictures in {folder}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--browser", help="Chromium or Chrome; else the first of them that is found")
    given = parser.parse_args(arguments)
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome"))
    browser = given.browser or next(filter(None, found), None)
    if browser is None:
        parser.error("found no Chromium and no Chrome; expected one, or --browser PATH")
    show(given.folder.absolute(), browser)


if __name__ == "__main__":
    main()
