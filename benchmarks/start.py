"""What a command costs beside its work: `git10m --help`, `plan` of a scanned source, and a run that finds nothing new.

The source and the workspace are those of `benchmarks.scale`: the signals of 10.5 million simulated rows in 787 shards
of 500 MB, three subsets, mode `index`. A first run makes all that the second finds done. Prefect's home is one that the
first run has used: on an empty one its server takes some 10 s more to start. Whole commands, the interpreter's start
included, in turn; what Python and Prefect take to start is shown beside them.

    python -m benchmarks.start --dir FOLDER --rounds 5
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.scale import make_all, recipe_of
from benchmarks.verify import seconds

_GIT10M = str(Path(sys.executable).with_name("git10m"))
_EMPTY_FLOW = "from prefect import flow; flow(lambda: None, name='nothing', persist_result=False)()"


def main() -> None:
    """Measure, and print a table."""
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
    commands = {
        "git10m --help": [_GIT10M, "--help"],
        "git10m plan": [_GIT10M, "plan", str(recipe)],
        "git10m curate": [_GIT10M, "curate", str(recipe)],
        "python -c pass": [sys.executable, "-c", "pass"],
        "a Prefect flow of nothing": [sys.executable, "-c", _EMPTY_FLOW],
    }
    print(f"first run: {seconds(commands['git10m curate'])[0]:.1f} s", flush=True)
    told = subprocess.run(commands["git10m curate"], check=True, capture_output=True, text=True).stdout
    assert "scanned 0" in told, told
    assert told.count("(unchanged)") == 3, told
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.rounds):
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
