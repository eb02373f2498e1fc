"""The search for near-duplicate hashes and the election of keepers, from 1 to 10.5 million rows; peers beside it.

Rows are random 64-bit hashes, a tenth of them copies of other rows with 1 to ``--radius`` flipped bits. In the skewed
set a third of all rows have one of 3,000 hashes, which lie around 300 centres. Each measurement runs in a fresh
process, with compiled code loaded before the clock starts; memory is VmHWM, the most that the process ever held.

    python -m benchmarks.hamming
    python -m benchmarks.hamming --peers /path/to/another/environment/bin/python

The second compares with FAISS and imagededup, which that environment must have. Each peer gets twice as many hashes
again and again, until it takes longer than ``--peer-seconds``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.deduplicate.hamming import HammingPairs, hamming_pairs

SETS = ("uniform", "skewed")
PEERS = ("IndexBinaryFlat", "IndexBinaryMultiHash", "IndexBinaryHash", "IndexBinaryIVF", "brute_force_cython", "bktree")
FIRST_PEER_SIZE = 1_250
THREADS = 2

_PEER = """
import contextlib, io, json, sys, time
import numpy as np

def ranges(index, words, radius):
    index.add(words)
    limits, _, found = index.range_search(words, radius + 1)  # FAISS finds what is nearer than that
    return np.repeat(np.arange(len(words)), np.diff(limits.astype(np.int64))), found

def main(path, peer, radius, threads, out):
    hashes = np.load(path)
    words = hashes.view(np.uint8).reshape(-1, 8)
    if peer.startswith("IndexBinary"):
        import faiss
        faiss.omp_set_num_threads(threads)
    else:
        from imagededup.handlers.search.retrieval import HashEval
        from imagededup.methods.hashing import Hashing
    begin = time.perf_counter()
    if peer == "IndexBinaryFlat":
        one, other = ranges(faiss.IndexBinaryFlat(64), words, radius)
    elif peer == "IndexBinaryMultiHash":  # exact: so many flips in one of three maps, or more than the radius in all
        index = faiss.IndexBinaryMultiHash(64, 3, 21)
        index.nflip = radius // 3
        one, other = ranges(index, words, radius)
    elif peer == "IndexBinaryHash":  # one map: a pair with more flips in its bits than nflip is missed
        index = faiss.IndexBinaryHash(64, 20)
        index.nflip = 3
        one, other = ranges(index, words, radius)
    elif peer == "IndexBinaryIVF":
        lists = max(1, int(4 * len(words) ** 0.5))
        quantizer = faiss.IndexBinaryFlat(64)
        index = faiss.IndexBinaryIVF(quantizer, 64, lists)
        index.train(words[:: max(1, len(words) // (50 * lists))].copy())
        index.nprobe = max(1, lists // 32)
        one, other = ranges(index, words, radius)
    else:
        named = {str(number): f"{value:016x}" for number, value in enumerate(hashes.tolist())}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found = HashEval(named, named, Hashing.hamming_distance, verbose=False, threshold=radius,
                             search_method=peer, num_dist_workers=threads).retrieve_results()
        pairs = [(int(name), int(near)) for name, nears in found.items() for near in nears]
        one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    seconds = time.perf_counter() - begin
    one, other = np.asarray(one, np.int64), np.asarray(other, np.int64)
    np.save(out, np.unique((np.minimum(one, other) << 32 | np.maximum(one, other))[one != other]))
    print(json.dumps({"seconds": seconds}))

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
"""


def flipped(hashes: NDArray[np.uint64], most: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Flip 1 to ``most`` different bits of each hash."""
    bits = rng.integers(1, most + 1, len(hashes))
    mask = np.zeros(len(hashes), np.uint64)
    short = np.arange(len(hashes))
    while len(short):
        mask[short] |= np.uint64(1) << rng.integers(0, 64, len(short), np.uint64)
        short = short[np.bitwise_count(mask[short]) < bits[short]]
    return hashes ^ mask


def make_rows(kind: str, rows: int, radius: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the rows' hashes, and the planted pairs of rows, shape (pairs, 2)."""
    rng = np.random.default_rng(rows)
    hashes = rng.integers(0, 2**64, rows, np.uint64)
    third = rows // 3 if kind == "skewed" else 0
    if third:
        centres = np.repeat(rng.integers(0, 2**64, 300, np.uint64), 10)
        hashes[:third] = rng.choice(flipped(centres, 3, rng), third)
    copies = np.arange(rows - (rows - third) // 10, rows)
    originals = rng.integers(third, copies[0], len(copies))
    hashes[copies] = flipped(hashes[originals], radius, rng)
    return hashes, np.stack([originals, copies], axis=1)


def keys(pairs: HammingPairs) -> NDArray[np.int64]:
    """Return one number for each pair, ascending."""
    return pairs.a.astype(np.int64) << 32 | pairs.b


def elect_all(node: NDArray[np.int64], pairs: HammingPairs) -> int:
    """Elect keepers among all rows, ranked at random; return how many."""
    from tasks.select.election import Electorate, Near

    candidates = np.random.default_rng(0).permutation(len(node))
    similarity = np.ones(len(pairs.a), np.float32)
    near = Near(node.astype(np.int32), pairs.a, pairs.b, pairs.distance, similarity)
    return int(Electorate(len(node), nears=[near]).elect(candidates).kept.sum())


def peak_mib() -> int:
    """Return the most memory that this process ever held [MiB]."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024


def measure(rows_path: Path, planted_path: Path, radius: int) -> dict[str, Any]:
    """Collapse, search and elect once, in this process."""
    few = np.arange(100, dtype=np.uint64)
    elect_all(np.arange(100), hamming_pairs(few, radius))  # loads compiled code
    hashes = np.load(rows_path)
    times = [time.perf_counter()]
    distinct, node = np.unique(hashes, return_inverse=True)
    times.append(time.perf_counter())
    pairs = hamming_pairs(distinct, radius)
    times.append(time.perf_counter())
    kept = elect_all(node, pairs)
    times.append(time.perf_counter())
    peak = peak_mib()
    planted = np.sort(node[np.load(planted_path)], axis=1)
    found = np.isin(planted[:, 0] << 32 | planted[:, 1], keys(pairs))
    return {
        "seconds": np.diff(times).tolist(),
        "peak": peak,
        "distinct": len(distinct),
        "pairs": len(pairs.a),
        "kept": kept,
        "planted": len(planted),
        "found": int(found.sum()),
    }


def in_child(*arguments: object, **environment: str) -> dict[str, Any]:
    """Measure in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.hamming", "--child", *map(str, arguments)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return dict(json.loads(told.stdout))


def brute_force(hashes: NDArray[np.uint64], radius: int) -> NDArray[np.int64]:
    """Return the keys of all pairs, by comparing all with all."""
    found = []
    for begin in range(0, len(hashes), 256):
        near = np.bitwise_count(hashes[begin : begin + 256, None] ^ hashes[None, begin:]) <= radius
        a, b = np.nonzero(near)
        found.append((a[a < b] + begin) << 32 | b[a < b] + begin)
    return np.sort(np.concatenate(found))


def compare_with_peer(python: str, peer: str, radius: int, seconds: float, largest: int, home: Path) -> None:
    """Print a row: the most hashes that ``peer`` bears, its time, ours, and which part of the pairs it finds."""
    script, path, out = home / "peer.py", home / "peer.npy", home / "found.npy"
    script.write_text(_PEER)
    row = f"| {peer} | none: failed, or longer than {seconds:g} s | | | | |"
    size = FIRST_PEER_SIZE
    while size <= largest:
        hashes = np.unique(make_rows("uniform", size, radius)[0])
        np.save(path, hashes)
        command = [python, str(script), str(path), peer, str(radius), str(THREADS), str(out)]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            break
        took = json.loads(told.stdout)["seconds"]
        if took > seconds:
            break
        begin = time.perf_counter()
        exact = keys(hamming_pairs(hashes, radius, threads=THREADS))
        ours = time.perf_counter() - begin
        recall = np.isin(exact, np.load(out)).mean()
        row = f"| {peer} | {size:,} | {took:.2f} | {ours:.2f} | {took / ours:,.0f} | {recall:.4f} |"
        if took > seconds / 2:  # none grows slower than its hashes
            break
        size *= 2
    print(row, flush=True)


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000, 5_000_000, 10_500_000])
    parser.add_argument("--radius", type=int, default=10, help="[bits]")
    parser.add_argument("--peers", help="the Python of an environment with faiss-cpu and imagededup")
    parser.add_argument("--peer-seconds", type=float, default=120)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child[0], options.child[1], options.radius)))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        paths = home / "rows.npy", home / "planted.npy"
        print(
            "| set | rows | distinct | pairs | planted, found | collapse [s] | pairs [s] | election [s] | all [s] |",
            end="",
        )
        print(" growth, of rows | peak [MiB] |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
        for kind in SETS:
            first = 0.0
            for rows in options.rows:
                for path, array in zip(paths, make_rows(kind, rows, options.radius), strict=True):
                    np.save(path, array)
                told = in_child(*paths, "--radius", options.radius)
                whole = sum(told["seconds"])
                first = first or whole
                seconds = " | ".join(f"{part:.2f}" for part in (*told["seconds"], whole))
                growth = f"{whole / first:.1f}, {rows / options.rows[0]:.1f}"
                print(f"| {kind} | {rows:,} | {told['distinct']:,} | {told['pairs']:,} ", end="")
                print(
                    f"| {told['planted']:,}, {told['found']:,} | {seconds} | {growth} | {told['peak']:,} |", flush=True
                )

        hashes = np.unique(make_rows("uniform", 50_000, options.radius)[0])
        equal = np.array_equal(keys(hamming_pairs(hashes, options.radius)), brute_force(hashes, options.radius))
        print(f"\n50,000 hashes against brute force: {'equal' if equal else 'NOT EQUAL'}")
        for path, array in zip(paths, make_rows("uniform", 100, options.radius), strict=True):
            np.save(path, array)
        starts = []
        for _ in ("compiled", "loaded"):
            begin = time.perf_counter()
            in_child(*paths, "--radius", options.radius, NUMBA_CACHE_DIR=str(home / "numba"))
            starts.append(time.perf_counter() - begin)
        print(f"A process that searches 100 hashes: {starts[0]:.1f} s the first time, {starts[1]:.1f} s after that\n")

        print(f"| peer, {THREADS} threads | most hashes | peer [s] | ours [s] | peer / ours | recall |")
        print("|---|---:|---:|---:|---:|---:|")
        if not options.peers:
            print("| left out: no --peers given | | | | | |")
            return
        for peer in PEERS:
            compare_with_peer(options.peers, peer, options.radius, options.peer_seconds, max(options.rows), home)


if __name__ == "__main__":
    main()
