"""How well near-duplicates are told from other pictures: recall by what was done to the copy, beside other hashes.

Tiles are cut from mosaics, the demo's two maps and, with ``--tiles``, aerial imagery: 512-pixel RGB GeoTIFFs named
``z_x_y.tif``. Each tile, a JPEG of quality 90, is copied in every way of
:data:`benchmarks.copies.TRANSFORMATIONS`, and each copy is saved once more, in quality 85. Then the search that the
pipeline runs is asked for the pairs among the tiles, and between the tiles and all copies.

- Positive: a tile and a copy of it.
- Negative: two tiles, or a tile and the copy of another, that have no ground in common, the tiles' pixels differing by
  2 grey levels or more in the mean: equal sea is not told apart by anyone.
- Left out: tiles whose luma has a standard deviation below 3 grey levels, pairs that are neither, and, but for one row
  of the second table, tiles that the scan calls plain (:data:`tasks.scan.descriptor.LEAST_STRUCTURE`): ours does not
  compare them at all, and the peers' thresholds are chosen without them.

Precision is that of single pairs: positives found / (positives found + negatives found), all of them counted. Our
methods are measured at the recipe's thresholds; each peer at the largest Hamming distance at which its precision on the
same pictures is 0.99 or more, and PDQ also at the distance that its authors recommend, without their quality filter.
The peers (imagehash, imagededup, pdqhash) are not installed with the project: ``--peers`` names the Python of an
environment that has them; without it they are left out.

    python -m benchmarks.near_duplicates --tiles FOLDER --peers PEERS/bin/python
"""

import argparse
import inspect
import itertools
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.copies import (
    BLANK,
    CLAIMED,
    GROUPS,
    NEGATIVE,
    NEITHER,
    POSITIVE,
    TRANSFORMATIONS,
    UPRIGHT,
    Pictures,
    aerial_mosaics,
    describe_files,
    make_pictures,
    map_mosaics,
)
from schemas.recipe import NearDuplicates
from tasks.deduplicate.pairs import nearness_of
from tasks.deduplicate.search import near_pairs

LEAST_PRECISION = 0.99  # at which the peers' thresholds are chosen
PDQ_RECOMMENDED = 31  # [bits of 256], https://github.com/facebook/ThreatExchange/tree/main/pdq
RADII = (4, 6, 8, 10, 11)
SIMILARITIES = (0.7, 0.8, 0.9, 0.95)
CONTRASTS = (BLANK, 6.0, 12.0, 25.0)  # luma standard deviations that tiles are told apart by [grey levels]
WIDEST = max(RADII)


class Result(NamedTuple):
    """What one method finds."""

    name: str
    threshold: str
    found: NDArray[np.bool_]  # shape (N, N + M)


class Search:
    """Our search among the tiles, and between tiles and copies."""

    def __init__(self, pictures: Pictures):
        self.described = describe_files(pictures.files)
        self.shown = np.flatnonzero(~self.described.plain)
        self.shape = pictures.truth.shape

    def distances(self, near: NearDuplicates) -> NDArray[np.int8]:
        """Return the distance of the pairs that are found, -1 for the others; shape (N, N + M)."""
        shown = self.shown
        descriptors = self.described.descriptor[shown]
        fresh = shown < self.shape[0]
        found = near_pairs(self.described.phash[shown], fresh, lambda rows: descriptors[rows], nearness_of(near))
        distances = np.full(self.shape, -1, np.int8)
        distances[shown[found.a], shown[found.b]] = found.distance
        return distances


def our_results(search: Search) -> Iterator[tuple[Result, NearDuplicates]]:
    """Yield what the recipe finds, with its defaults and with each of its two switches."""
    for name, near in (
        ("ours", NearDuplicates()),
        ("ours, any orientation", NearDuplicates(any_orientation=True)),
        ("ours, overlapping", NearDuplicates(overlapping=True)),
    ):
        threshold = f"{near.radius_bits} of 64, {near.min_similarity}"
        yield Result(name, threshold, search.distances(near) >= 0), near


def worst_negative(search: Search, near: NearDuplicates, truth: NDArray[np.int8]) -> str:
    """Return the highest ``min_similarity``, in hundredths, that a negative would reach."""
    low, high = 49, 101  # a negative is found at low, or low is below what a recipe can say; none is at high
    while high - low > 1:
        middle = (low + high) // 2
        tried = near.model_copy(update={"min_similarity": middle / 100})
        if ((search.distances(tried) >= 0) & (truth == NEGATIVE)).any():
            low = middle
        else:
            high = middle
    return f"{low / 100:.2f}" if low >= 50 else "below 0.50"


def hash_with_peers(pictures: str, hashes: str) -> None:
    """Hash the pictures of a file. Runs among the peers, where nothing of this project is: it imports what it uses."""
    import io
    from importlib.metadata import version

    import imagehash
    import numpy as np
    import pdqhash
    from imagededup.methods import PHash
    from PIL import Image

    with np.load(pictures) as given:
        data, ends = given["data"].tobytes(), given["ends"].tolist()
    names = ["imagehash pHash", "imagehash dHash", "imagededup PHash", "PDQ", "PDQ, any orientation"]
    modules = ("imagehash", "imagededup", "pdqhash", "numpy", "pillow")
    versions = ", ".join(f"{module} {version(module)}" for module in modules)
    imagededup = PHash(verbose=False)
    rows = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        with Image.open(io.BytesIO(data[begin:end])) as file:
            image = file.convert("RGB")
        pixels = np.asarray(image)
        turned, _ = pdqhash.compute_dihedral(pixels)
        rows.append((
            [np.packbits(imagehash.phash(image).hash)],
            [np.packbits(imagehash.dhash(image).hash)],
            [np.frombuffer(bytes.fromhex(imagededup.encode_image(image_array=pixels)), np.uint8)],
            [np.packbits(pdqhash.compute(pixels)[0])],
            [np.packbits(view) for view in turned],
        ))  # fmt: skip
    columns = {name: np.array([row[column] for row in rows]) for column, name in enumerate(names)}
    np.savez(hashes, versions=np.array(versions), **columns)


def peer_distances(python: str, files: Sequence[bytes], tiles: int) -> Iterator[tuple[str, int, NDArray[np.int16]]]:
    """Yield each peer's name, the bits of its hash, and the distances of the tiles to all pictures."""
    program = f"import sys\n{inspect.getsource(hash_with_peers)}\nhash_with_peers(*sys.argv[1:])"
    pieces = np.array_split(np.arange(len(files)), os.cpu_count() or 1)

    def hashed(folder: Path, piece: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        part = [files[number] for number in piece]
        given, made = folder / f"pictures-{piece[0]}.npz", folder / f"hashes-{piece[0]}.npz"
        np.savez(given, data=np.frombuffer(b"".join(part), np.uint8), ends=np.cumsum([len(file) for file in part]))
        subprocess.run([python, "-c", program, str(given), str(made)], check=True)
        with np.load(made) as found:
            return dict(found)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(pieces)) as pool:
        parts = list(pool.map(partial(hashed, Path(folder)), pieces))
    print(f"Peers: {parts[0].pop('versions')}.", flush=True)
    for name in parts[0]:
        hashes = np.concatenate([part[name] for part in parts])  # shape (N + M, views, bytes); the first as it is
        words = hashes.view(np.uint64)
        distances = [
            np.bitwise_count(words ^ words[tile, :1]).sum(axis=2, dtype=np.int16).min(axis=1) for tile in range(tiles)
        ]
        yield name, hashes.shape[2] * 8, np.stack(distances)


def peer_results(python: str, pictures: Pictures) -> Iterator[Result]:
    """Yield what each peer finds at its best threshold, and PDQ also at the recommended one."""
    for name, bits, distances in peer_distances(python, pictures.files, len(pictures.tiles)):
        if name == "PDQ":
            yield Result(f"{name}, recommended", f"{PDQ_RECOMMENDED} of {bits}", distances <= PDQ_RECOMMENDED)
        best = best_threshold(distances, bits, pictures.truth)
        yield Result(name, f"{best} of {bits}" if best >= 0 else "none", distances <= best)


def best_threshold(distances: NDArray[np.int16], bits: int, truth: NDArray[np.int8]) -> int:
    """Return the largest distance at which the precision is ``LEAST_PRECISION`` or more; -1 if there is none."""
    right, wrong = (
        np.cumsum(np.bincount(distances[truth == kind], minlength=bits + 1)) for kind in (POSITIVE, NEGATIVE)
    )
    precise = np.flatnonzero((right > 0) & (right >= LEAST_PRECISION * (right + wrong)))
    return int(precise[-1]) if len(precise) else -1


def recalls(found: NDArray[np.bool_], pictures: Pictures) -> Mapping[int, tuple[int, int]]:
    """Return, for each transformation, the positives that were found, and all."""
    counts: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for number, copy in enumerate(pictures.copies, len(pictures.tiles)):
        if pictures.truth[copy.tile, number] != POSITIVE:
            continue
        hits, all_ = counts[copy.transformation]
        counts[copy.transformation] = (hits + int(found[copy.tile, number]), all_ + 1)
    return counts


def _recall(counts: Sequence[tuple[int, int]]) -> str:
    hits, all_ = (sum(count) for count in zip(*counts, strict=True))
    return f"{hits / all_:.3f}" if all_ else "-"


def _precision(found: NDArray[np.bool_], truth: NDArray[np.int8]) -> str:
    right, wrong = (int((found & (truth == kind)).sum()) for kind in (POSITIVE, NEGATIVE))
    return f"{right / max(right + wrong, 1):.4f}"


def _print_row(*cells: object) -> None:
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def print_tables(title: str, pictures: Pictures, peers: str | None) -> None:
    """Measure every method on ``pictures`` and print the tables."""
    tiles = len(pictures.tiles)
    truth = pictures.truth
    negatives = truth == NEGATIVE
    copied = len(set(np.nonzero(truth == POSITIVE)[0]))
    plain = len(set(np.nonzero(pictures.of_plain == POSITIVE)[0]))
    print(f"\n## {title}\n")
    among, beside = negatives[:, :tiles], negatives[:, tiles:]
    print(f"{tiles:,} tiles. Copied: {copied:,}, and {plain:,} plain ones. Positives: {(truth == POSITIVE).sum():,}.")
    print(
        f"Negatives: {among.sum():,} pairs of tiles, {(among & pictures.neighbours).sum():,} of them neighbours, and "
        f"{beside.sum():,} pairs of a tile and the copy of another."
    )
    if not peers:
        print("The peers are left out: no --peers.")
    search = Search(pictures)
    ours = list(our_results(search))
    results = [result for result, _ in ours] + (list(peer_results(peers, pictures)) if peers else [])
    counts = [recalls(result.found, pictures) for result in results]
    print()
    _print_row("recall", "copies", *(result.name for result in results))
    _print_row("---", "---:", *["---:"] * len(results))
    _print_row("threshold", "", *(result.threshold for result in results))
    for group in GROUPS:
        rows = [which for which, transformation in enumerate(TRANSFORMATIONS) if transformation.group == group]
        _print_row(f"**{group}**", "", *(f"**{_recall([count[which] for which in rows])}**" for count in counts))
        for which in rows:
            copies = counts[0][which][1]
            _print_row(TRANSFORMATIONS[which].name, copies, *(_recall([count[which]]) for count in counts))
    _print_row("**precision**", "", *(f"**{_precision(result.found, truth)}**" for result in results))
    wrong = [result.found & negatives for result in results]
    touching = np.zeros_like(negatives)
    touching[:, :tiles] = pictures.neighbours
    apart = np.zeros_like(negatives)
    apart[:, :tiles] = ~pictures.neighbours
    for name, part in (
        ("neighbours", touching),
        ("other tiles", apart),
        ("a tile and the copy of another", ~(touching | apart)),
    ):
        _print_row(f"false merges: {name}", "", *(int((found & part).sum()) for found in wrong))
    worst = [worst_negative(search, near, truth) for _, near in ours]
    _print_row("a negative's highest similarity", "", *worst, *[""] * (len(results) - len(ours)))
    print_by_contrast(results, pictures)
    print_sweep(search, pictures)


def print_by_contrast(results: Sequence[Result], pictures: Pictures) -> None:
    """Print how recall and false merges depend on how much there is to be seen in a tile."""
    truth, of_plain = pictures.truth, pictures.of_plain
    groups = [TRANSFORMATIONS[copy.transformation].group for copy in pictures.copies]
    upright = np.array([False] * len(pictures.tiles) + [group in UPRIGHT for group in groups])
    fainter = np.minimum(pictures.contrast[:, None], pictures.contrast[pictures.of])
    bands = {"plain": of_plain}
    for low, high in itertools.pairwise((*CONTRASTS, np.inf)):
        bands[f"luma std {low:g} to {high:g}"] = np.where((fainter >= low) & (fainter < high), truth, NEITHER)
    print(
        "\nBy what there is to be seen, of two tiles the fainter: recall of", " / ".join(UPRIGHT) + "; false merges\n"
    )
    _print_row("tiles", "positives", "negatives", *(result.name for result in results))
    _print_row("---", *["---:"] * (len(results) + 2))
    for name, kinds in bands.items():
        positives, negatives = (kinds == POSITIVE) & upright, kinds == NEGATIVE
        all_ = int(positives.sum())
        cells = [
            f"{_recall([(int((result.found & positives).sum()), all_)])}; {(result.found & negatives).sum()}"
            for result in results
        ]
        _print_row(name, all_, int(negatives.sum()), *cells)


def print_sweep(search: Search, pictures: Pictures) -> None:
    """Print recall and false merges of the search at other thresholds.

    One search at the widest radius tells all of one similarity: a pair's distance is the least at which it is found.
    """
    tiles = len(pictures.tiles)
    negatives = pictures.truth == NEGATIVE
    print("\nOurs at other thresholds: recall of what is claimed; false merges of tiles + of a tile and another's copy")
    print()
    _print_row("overlapping", "min_similarity", *(f"radius_bits {radius}" for radius in RADII))
    _print_row("---", "---:", *["---:"] * len(RADII))
    for overlapping, similarity in itertools.product((False, True), SIMILARITIES):
        near = NearDuplicates(radius_bits=WIDEST, min_similarity=similarity, overlapping=overlapping)
        distances = search.distances(near)
        cells = []
        for radius in RADII:
            found = (distances >= 0) & (distances <= radius)
            counts = recalls(found, pictures)
            claimed = [count for which, count in counts.items() if TRANSFORMATIONS[which].group in CLAIMED[overlapping]]
            wrong = found & negatives
            cells.append(f"{_recall(claimed)}; {wrong[:, :tiles].sum()} + {wrong[:, tiles:].sum()}")
        _print_row("yes" if overlapping else "no", similarity, *cells)


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=Path, help="a folder of 512-pixel RGB GeoTIFFs named z_x_y.tif")
    parser.add_argument("--peers", metavar="PYTHON", help="the Python of an environment that has the peers")
    parser.add_argument("--copied", type=int, default=256, help="tiles that are copied, of each set; all are compared")
    options = parser.parse_args()
    if options.tiles:
        print_tables("Aerial imagery", make_pictures(aerial_mosaics(options.tiles), options.copied), options.peers)
    print_tables("The demo's maps", make_pictures(map_mosaics(), options.copied), options.peers)


if __name__ == "__main__":
    main()
