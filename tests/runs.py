"""Runs of ``git10m`` as real processes, on a source whose shards take long enough to be interrupted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pairs import encode, pair, picture, recipe_for, write_tree
from prefect.settings import PREFECT_API_URL
from ruamel.yaml import YAML
from upath import UPath

from schemas.recipe import Recipe

SHARDS = 12
_LONGEST_S = 240


def large_source(folder: Path, rows_each: int = 8) -> Path:
    """Write a source of 12 shards; with 8 rows each they take some tenths of a second each."""
    images = [encode(picture(seed, size=(2048, 2048)), quality=95) for seed in range(SHARDS)]
    rows = [pair(n, image=images[n % SHARDS] + b"%d" % n) for n in range(SHARDS * rows_each)]
    return write_tree(folder, rows, shards=SHARDS)


def large_recipe(source: Path | str, home: Path, **changes: Any) -> Recipe:
    """Return a recipe that writes many data files in random order; ``output`` may be given in part."""
    output = {"dir": home / "subsets", "shard_bytes": 1_000_000, "shuffle_seed": 1} | changes.pop("output", {})
    return recipe_for(source, home, output=output, deduplication={"exact_bytes": True, "near": None}, **changes)


def start(
    recipe: Recipe,
    home: Path,
    environment: Mapping[str, str] | None = None,
    *,
    command: str = "curate",
    before: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """Start a run of ``recipe``, on the tests' Prefect server or the one of ``environment``; ``before`` starts it."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "recipe.yaml"
    YAML(typ="safe").dump(recipe.model_dump(mode="json"), path)
    return subprocess.Popen(
        [*before, sys.executable, "-c", "from flows.cli import app; app()", command, str(path)],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value()), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(run: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for ``run`` to end with ``status``; return what it printed."""
    output = run.communicate(timeout=_LONGEST_S)[0]
    assert run.returncode == status, output
    return output


def wait_until(reached: Callable[[], object], run: subprocess.Popen[str]) -> None:
    """Wait until ``reached()`` while ``run`` goes on."""
    deadline = time.monotonic() + 120
    while not reached():
        assert run.poll() is None, f"the run ended before that: {run.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kill(run: subprocess.Popen[str]) -> None:
    """Kill ``run`` as ``kill -9`` does; its children are left to themselves."""
    run.send_signal(signal.SIGKILL)
    run.communicate()


def children(run: subprocess.Popen[str]) -> list[int]:
    """Return the processes that ``run`` started."""
    paths = Path(f"/proc/{run.pid}/task").glob("*/children")
    return [int(pid) for path in paths for pid in path.read_text().split()]


def signals(home: Path) -> dict[str, int]:
    """Return when the signals of each shard were written [ns]."""
    paths = (home / "workspace").glob("signals/*/[!.]*.parquet")
    return {path.name: path.stat().st_mtime_ns for path in paths}


def half_written(*folders: Path) -> list[Path]:
    """Return the temporary files in ``folders``."""
    return [path for folder in folders for path in folder.rglob("*.tmp")]


def latest(home: Path, subset: str = "clean") -> UPath:
    """Return where readers find the subset."""
    return UPath(home / "subsets" / subset)
