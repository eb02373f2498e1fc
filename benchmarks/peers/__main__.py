"""The same job with this program and with others: seconds, memory, rows kept, and what became of broken pictures.

The job: take only pictures that can be decoded, none twice or nearly so, a score and 10 to 100 words of caption, and
write them to Parquet; then a second subset of a higher score. Each tool runs as a whole command, in turn, on the same
files in the page cache, with two processes, in an environment of its own, after a run on a few rows. It does what it
can of the job, written as its documentation has it; where broken pictures stop that, or cost other rows, it runs a
second time as its user would go on. What a tool keeps of the first subset it may use for the second. fastdup is not
run: its licence forbids commercial use.

    python -m benchmarks.peers --rows 10000 --images FOLDER --environments DIR
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.copies import aerial_mosaics, map_mosaics
from benchmarks.peers.environments import environment_of, versions_of
from benchmarks.peers.measure import Cost, cost_of
from benchmarks.peers.outcome import Outcome, outcome_of, pictures_of, read_given
from benchmarks.peers.source import BROKEN, CAPTION_WORDS, PAIRS, SCORES, make_source

OURS = "git10m"
SERVED = ("served",)
WORKERS = 2
_WARM_UP_ROWS = 200
_SUBSETS = ("first subset", "second subset")


class Tool(NamedTuple):
    """A way to do the job."""

    name: str
    script: str  # the peer's, or ours
    flags: tuple[str, ...] = ()

    @property
    def home(self) -> str:
        """The name of a folder of its own."""
        return "-".join([self.script, *self.flags])


PEERS = (
    Tool("datasets, imagehash", "datasets_imagehash"),
    Tool("datasets, errors caught", "datasets_imagehash", ("guarded",)),
    Tool("Data-Juicer", "data_juicer"),
    Tool("Data-Juicer, row by row", "data_juicer", ("guarded",)),
    Tool("imagededup, pandas", "imagededup_pandas"),
    Tool("CleanVision", "cleanvision"),
    Tool("datatrove, filters alone", "datatrove"),
)


class Run(NamedTuple):
    """A subset that was made: its cost and what is in it; None where the tool stopped."""

    cost: Cost
    outcome: Outcome | None


class Bench(NamedTuple):
    """Where everything lies."""

    home: Path
    environments: Path
    api_url: str | None = None

    def command(self, tool: Tool, work: Path, source: Path, subset: int) -> list[str | Path]:
        """Return the command that makes a subset of ``source`` in ``work``."""
        if tool.script == OURS:
            second = ["--set", f"subsets.0.quality.min_score={SCORES[1]}"] if subset else []
            return [Path(sys.executable).with_name("git10m"), "curate", _write_recipe(work, source), *second]
        python, output = environment_of(tool.script, self.environments), work / str(subset)
        output.mkdir()
        script = Path(__file__).with_name(f"{tool.script}.py")
        # -P: beside the script lie others that are called as packages are.
        return [python, "-P", script, source / PAIRS, output, str(SCORES[subset]), *tool.flags]

    def run(self, tool: Tool, source: Path) -> Iterator[tuple[Cost, Path]]:
        """Make both subsets; yield the cost of each and where its Parquet files are. End where the tool stops."""
        work, settled = self.home / "work" / tool.home, self.home / "homes" / tool.script
        shutil.rmtree(work, ignore_errors=True)
        for folder in (work, settled, self.home / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        for subset in range(len(SCORES)):
            for path in (source / PAIRS).iterdir():
                path.read_bytes()  # into the page cache
            os.sync()
            log = self.home / "logs" / f"{tool.home}-{subset}.log"
            environment = _environment(settled, work)
            if tool.flags == SERVED and self.api_url is not None:
                environment |= {"PREFECT_API_URL": self.api_url}
            cost = cost_of(self.command(tool, work, source, subset), environment, log)
            yield cost, work / "subsets" / "pairs" / "data" if tool.script == OURS else work / str(subset)
            if cost.status:
                print(f"{tool.name}: status {cost.status}: {_last_words(log)}\n", flush=True)
                break
        shutil.rmtree(work)


def _environment(settled: Path, work: Path) -> dict[str, str]:
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PREFECT_API_URL", "HF_HOME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    return environment | {
        "HOME": str(settled),  # what is not of the data, such as compiled code, is there from the run on a few rows
        "PREFECT_HOME": str(settled / "prefect"),
        "HF_DATASETS_CACHE": str(work / "cache"),
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
    }


def _write_recipe(work: Path, source: Path) -> Path:
    low, high = CAPTION_WORDS
    words = {"min": low, "max": high}
    recipe = {
        "source": {"path": str(source / PAIRS), "name": "pairs"},
        "subsets": [{"name": "pairs", "quality": {"min_score": SCORES[0]}, "caption_words": words}],
        "output": {"dir": str(work / "subsets")},
        "workspace": str(work / "workspace"),
        "engine": {"workers": WORKERS},
    }
    path = work / "recipe.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")  # which is YAML
    return path


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "")


def subset_row(tool: Tool, runs: Sequence[Run], ours_s: float) -> str:
    """Return a line of a subset's table: medians, and how many times as long as ours the tool takes."""
    seconds, cpu_seconds, peak_bytes = (statistics.median(run.cost[part] for run in runs) for part in range(3))
    took = f"| {tool.name} | {seconds:.1f} | {cpu_seconds:.1f} | {peak_bytes / 2**20:,.0f}"
    outcome = runs[-1].outcome
    if outcome is None:
        return f"{took} | stopped | | | | | |"
    left = [outcome.rows, outcome.copies_removed, outcome.lost, outcome.astray, outcome.altered]
    return " | ".join([took, *(f"{count:,}" for count in left), f"{seconds / ours_s:.1f} |"])


def broken_row(kind: str, outcomes: Sequence[Outcome]) -> str:
    """Return a line of the table of broken pictures."""
    cells = [", ".join(f"{times} {fate}" for fate, times in sorted(one.broken[kind].items())) for one in outcomes]
    return f"| {' | '.join([kind, *cells])} |"


def print_tables(runs: Mapping[tuple[Tool, int], Sequence[Run]], tools: Sequence[Tool], wanted: Sequence[int]) -> None:
    """Print a table of each subset, and one of what became of the broken pictures."""
    for subset, (title, min_score) in enumerate(zip(_SUBSETS, SCORES, strict=True)):
        ours_s = statistics.median(run.cost.seconds for run in runs[tools[0], subset])
        print(f"\n{title}: scores from {min_score}; {wanted[subset]:,} rows if all copies and broken pictures go\n")
        print(
            "| tool | s | CPU s | peak [MiB] | rows kept | copies removed | pictures lost | below the thresholds "
            "| altered | time / ours |"
        )
        print("|---|" + "---:|" * 9)
        for tool in tools:
            if (tool, subset) in runs:
                print(subset_row(tool, runs[tool, subset], ours_s))
    outcomes = {tool.name: outcome for tool in tools if (outcome := runs[tool, 0][-1].outcome)}
    print(f"\n| broken pictures, two of each | {' | '.join(outcomes)} |\n|---|" + "---|" * len(outcomes))
    for kind in BROKEN:
        print(broken_row(kind, list(outcomes.values())))
    print("\nVersions: " + "; ".join(dict.fromkeys(versions_of(tool.script) for tool in tools[1:])) + ".")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scripts = list(dict.fromkeys(tool.script for tool in PEERS))
    parser.add_argument("--rows", type=int, default=10_000, help="Pictures that are unlike each other.")
    parser.add_argument("--images", type=Path, help="A folder of 512-pixel GeoTIFFs z_x_y.tif; else the demo's maps.")
    parser.add_argument("--peers", default=",".join(scripts), help="Which peers to run; default: all.")
    parser.add_argument("--environments", type=Path, help="Where the peers are installed, and stay.")
    parser.add_argument("--dir", type=Path, help="Where the input and the logs go, and stay.")
    parser.add_argument("--api", help="The API of a Prefect server that runs already: ours runs once more, with that.")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    chosen = options.peers.split(",") if options.peers else []
    if unknown := set(chosen) - set(scripts):
        parser.error(f"--peers: found {', '.join(sorted(unknown))}, expected some of {', '.join(scripts)}")
    with tempfile.TemporaryDirectory() as temporary:
        home = (options.dir or Path(temporary)).absolute()
        bench = Bench(home, (options.environments or home / "environments").absolute(), options.api)
        mosaics = aerial_mosaics(options.images) if options.images else map_mosaics()
        source, few = home / f"source-{options.rows}", home / f"source-{_WARM_UP_ROWS}"
        planted = make_source(source, mosaics, options.rows)
        make_source(few, mosaics, _WARM_UP_ROWS)
        given = read_given(source)
        print(f"{planted.rows:,} rows, {len(planted.broken)} of them broken, {len(planted.copies)} copies", flush=True)
        served = [Tool(f"{OURS}, server running", OURS, SERVED)] if options.api else []
        tools = [Tool(OURS, OURS), *served, *(tool for tool in PEERS if tool.script in chosen)]
        runs: dict[tuple[Tool, int], list[Run]] = defaultdict(list)
        for tool in tools:
            list(bench.run(tool, few))
        for tool in tools * options.rounds:
            for subset, (cost, output) in enumerate(bench.run(tool, source)):
                outcome = None if cost.status else outcome_of(output, given, planted, SCORES[subset])
                runs[tool, subset].append(Run(cost, outcome))
        print_tables(runs, tools, [pictures_of(given, planted, min_score) for min_score in SCORES])


if __name__ == "__main__":
    main()
