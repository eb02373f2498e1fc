"""What a command costs beside its work: `git10m --help`, `plan` of a scanned source, and a run that finds nothing new.

The source and the workspace are those of `benchmarks.scale`: the signals of 10.5 million simulated rows in 787 shards
of 500 MB, three subsets, mode `index`. A first run makes all that the second finds done: alone, and as a flow of a
Prefect server that is there. Whole commands, the interpreter's start included, in turn. Beside them is what Python
takes to start, and a Prefect flow that does nothing, with a server of its own on a home that was used before.

    python -m benchmarks.start --dir FOLDER --rounds 5
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from benchmarks.scale import make_all, recipe_of
from benchmarks.verify import seconds

_GIT10M = str(Path(sys.executable).with_name("git10m"))
_EMPTY_FLOW = "from prefect import flow; flow(lambda: None, name='nothing', persist_result=False)()"


@contextmanager
def standing_server(port: int = 4392) -> Iterator[str]:
    """Yield the URL of a Prefect server that stands for the ``with`` block."""
    url = f"http://127.0.0.1:{port}/api"
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--no-ui", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                with suppress(httpx2.TransportError):
                    httpx2.get(f"{url}/health").raise_for_status()
                    break
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()


def main() -> None:
    """Make what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_545_800, help="as many whole shards as hold them")
    parser.add_argument("--dir", type=Path, required=True, help="folder for signals, kept, and all else")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    make_all(options.dir, options.rows, radius=8)
    recipe = options.dir / "recipe.yaml"
    recipe.write_text(recipe_of(options.dir, radius=8).model_dump_json())  # JSON is YAML
    os.environ |= {"PREFECT_HOME": str(options.dir / "prefect"), "DO_NOT_TRACK": "1"}
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    print(f"first run: {seconds([_GIT10M, 'curate', str(recipe)])[0]:.1f} s", flush=True)
    with standing_server() as url:
        measure(options.rounds, recipe, url)


def measure(rounds: int, recipe: Path, url: str) -> None:
    """Run all commands in turn, and print a table."""
    commands = {
        "git10m --help": [_GIT10M, "--help"],
        "git10m plan": [_GIT10M, "plan", str(recipe)],
        "git10m curate": [_GIT10M, "curate", str(recipe)],
        "git10m curate, on a server": ["env", f"PREFECT_API_URL={url}", _GIT10M, "curate", str(recipe)],
        "python -c pass": [sys.executable, "-c", "pass"],
        "a Prefect flow of nothing": [sys.executable, "-c", _EMPTY_FLOW],
    }
    told = subprocess.run(commands["git10m curate"], check=True, capture_output=True, text=True).stdout
    assert "scanned 0" in told, told
    assert told.count("(unchanged)") == 3, told
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            took[name].append(seconds(command))
    print("| command | median (least, most) [s] | CPU, median [s] |")
    print("|---|---:|---:|")
    for name, times in took.items():
        wall, cpu = ([time[part] for time in times] for part in (0, 1))
        told = f"{statistics.median(wall):.2f} ({min(wall):.2f}, {max(wall):.2f})"
        print(f"| `{name}` | {told} | {statistics.median(cpu):.2f} |")


if __name__ == "__main__":
    main()
