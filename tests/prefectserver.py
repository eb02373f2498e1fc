"""A real Prefect server on loopback, with its database in a temporary folder; it can be stopped and go on."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2


class PrefectServer:
    """A server that was started; ``environment`` leads clients to it."""

    def __init__(self, home: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.environment = {
            "HOME": str(home),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_UI_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        """The server's SQLite file."""
        return self.home / "prefect" / "prefect.db"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
                env=os.environ | self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self._process.poll() is None, (self.home / "server.log").read_text()[-3000:]
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.2)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the server at once."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False


@contextmanager
def serve(home: Path) -> Iterator[PrefectServer]:
    """Run a server for the length of a ``with`` block; it keeps everything in ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    server = PrefectServer(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()
