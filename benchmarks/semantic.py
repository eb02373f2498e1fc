"""Semantic duplicates: seconds, and what clustering finds of all pairs and of all rows to reject, by exact search.

Vectors are drawn as those of a model lie: around the classes of a long-tailed set of classes, on a few strong and many
faint axes; a tenth of them are another one moved a little, so that their cosine with it is spread from 0.9 to 1. Each
measurement runs in a fresh process, with FAISS loaded before the clock starts.

    python -m benchmarks.semantic --rows 20000 100000 --dimensions 256
"""

import argparse
import json
import subprocess
import sys
import time
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tasks.deduplicate.cosine import CosinePairs, cosine_pairs, nearest_clusters

LIMITS = (0.9, 0.95, 0.98)
OF_CLUSTER = (500, 1_000, 2_000)
PROBES = (1, 2, 3)


def vectors(rows: int, dimensions: int, seed: int = 0) -> NDArray[np.float16]:
    """Return vectors of length 1, shape (rows, dimensions)."""
    rng = np.random.default_rng(seed)
    spread = 1 / np.sqrt(1 + np.arange(dimensions))
    classes = max(10, rows // 50)
    centres = rng.standard_normal((classes, dimensions)) * spread
    of_class = np.minimum(rng.zipf(1.3, rows) - 1, classes - 1)
    found = centres[of_class] + 0.45 * rng.standard_normal((rows, dimensions)) * spread
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    copies = rng.choice(rows, rows // 10, replace=False)
    originals = rng.integers(0, rows, len(copies))
    away = rng.standard_normal((len(copies), dimensions))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    found[copies] = found[originals] + rng.uniform(0, 0.45, (len(copies), 1)) * away
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float16)


def measure(rows: int, dimensions: int, of_cluster: int, probes: int) -> dict[str, float]:
    """Search once, with so many vectors of a cluster on average, of which so many are probed; 0: all are in one."""
    import faiss  # noqa: F401  # loaded before the clock starts

    made, clusters = vectors(rows, dimensions), -(-rows // of_cluster) if of_cluster else 1
    begin = time.perf_counter()
    nearest = nearest_clusters(made, clusters, probes)
    clustered = time.perf_counter() - begin
    found = cosine_pairs(made, clusters, probes, min(LIMITS))
    seconds = time.perf_counter() - begin - clustered  # clustering once more within
    counts: dict[str, float] = {}
    for least in LIMITS:
        reached = found.cosine >= np.float32(least)
        counts[f"pairs {least:g}"] = int(reached.sum())
        counts[f"rows {least:g}"] = rejected(rows, CosinePairs(*(part[reached] for part in found)))
    return {"clustered": clustered, "seconds": seconds, "largest": int(np.bincount(nearest[0]).max()), **counts}


def rejected(rows: int, pairs: CosinePairs) -> int:
    """Return how many rows an election rejects, the first rows the best."""
    from tasks.select.election import Electorate, Near

    near = Near(np.arange(rows, dtype=np.int32), pairs.a, pairs.b, np.zeros(len(pairs.a), np.int8), pairs.cosine)
    return rows - int(Electorate(rows, nears=[near]).thin(np.arange(rows)).kept.sum())


def _in_a_process(*arguments: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.semantic", "--one", *map(str, arguments)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000])
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--one", type=int, nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one)))
        return
    counted = [f"{what} {least:g}" for least in LIMITS for what in ("pairs", "rows")]
    limits = " | ".join(f"{name.split()[0]} from {name.split()[1]}" for name in counted)
    print(f"| vectors | of a cluster | probes | largest | seconds | of them clustering | {limits} |")
    print("|---:" * (6 + len(counted)) + "|")
    for rows in asked.rows:
        exact = _in_a_process(rows, asked.dimensions, 0, 1)
        for of_cluster, probes in ((0, 1), *product(OF_CLUSTER, PROBES)):
            one = _in_a_process(rows, asked.dimensions, of_cluster, probes) if of_cluster else exact
            shares = [f"{100 * one[name] / exact[name]:.1f} %" if of_cluster else f"{one[name]:,}" for name in counted]
            cells = [
                f"{rows:,}", f"{of_cluster:,}" if of_cluster else "all", f"{probes if of_cluster else ''}",
                f"{one['largest']:,.0f}", f"{one['seconds']:.1f}", f"{one['clustered']:.1f}", *shares,
            ]  # fmt: skip
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
