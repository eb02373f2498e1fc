"""Where each kept row goes: which data file, and which place in it."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import Output
from schemas.reports import ScanReport
from schemas.subset import Subset
from tasks.files import read_parquet
from tasks.select.draw import uniform_hash
from tasks.signals import load_signals

_SUFFIXES = {"parquet": ".parquet", "webdataset": ".tar"}


class Placement(NamedTuple):
    """The data files of a subset, and the rows of each in its order."""

    files: tuple[str, ...]  # paths relative to the subset's folder
    rows: NDArray[np.int64]  # shape (kept,): row ids, file by file
    edges: NDArray[np.int64]  # shape (files + 1,): where the rows of each file begin, and their number

    @classmethod
    def of(cls, index: pa.Table) -> Self:
        """Return the placement that ``index`` (:data:`schemas.tables.INDEX`) tells of."""
        encoded = index["file"].combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        order = np.argsort(np.array(names, np.str_), kind="stable")
        number = np.argsort(order)[encoded.indices.to_numpy()]
        by_place = np.lexsort([index["file_row"].to_numpy(), number])
        edges = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(names)))])
        return cls(tuple(names[at] for at in order), index["row_id"].to_numpy()[by_place], edges.astype(np.int64))

    def by_file(self) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each file's path, its row ids in ascending order, and beside them their places in the file."""
        for path, (begin, end) in zip(self.files, pairwise(self.edges), strict=True):
            order = np.argsort(self.rows[begin:end])
            yield path, self.rows[begin:end][order], order

    def columns(self) -> tuple[pa.Array, pa.Array]:
        """Return ``file`` and ``file_row`` of the kept rows in ascending order of their row ids."""
        order = np.argsort(self.rows)
        number = np.repeat(np.arange(len(self.files)), np.diff(self.edges))[order]
        file = pa.array(self.files, pa.string()).take(pa.array(number))
        return file, pa.array((order - self.edges[number]).astype(np.int32))


def place_rows(scan: ScanReport, verdicts: UPath, subset: Subset, output: Output, *, images: bool) -> Placement:
    """Return where the kept rows of ``subset`` go: in source or shuffled order, cut by image bytes, split by split.

    ``images`` says whether the scan read images; where it did not, a row counts as its part of its shard's bytes.
    A split without rows has no file: ``datasets`` refuses a whole data set of which one split is empty.
    """
    split = read_parquet(verdicts, ["split"])["split"].cast(pa.string())
    sizes = _sizes(scan, images=images)
    kept = {name: np.flatnonzero(pc.fill_null(pc.equal(split, name), False)) for name in subset.splits.fractions}
    if output.shuffle_seed is not None:
        kept = {name: shuffled(rows, output.shuffle_seed) for name, rows in kept.items()}
    return cut_files(kept, sizes, output)


def shuffled(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return ``rows`` in an order that depends on nothing but their values and ``seed``."""
    order: NDArray[np.int64] = rows[np.argsort(uniform_hash(rows.astype(np.uint64), seed, "order"), kind="stable")]
    return order


def cut_files(splits: Mapping[str, NDArray[np.int64]], sizes: NDArray[np.int64], output: Output) -> Placement:
    """Return the files of each split's rows, which are given in their order; ``sizes`` has the bytes of every row."""
    files: list[str] = []
    edges = [0]
    for name, rows in splits.items():
        ranges = cut(sizes[rows], output.shard_bytes)
        for number, (begin, end) in enumerate(ranges):
            files.append(f"data/{name}-{number:05d}-of-{len(ranges):05d}{_SUFFIXES[output.format]}")
            edges.append(edges[-1] + end - begin)
    rows = np.concatenate([np.empty(0, np.int64), *splits.values()])
    return Placement(tuple(files), rows, np.array(edges, np.int64))


def cut(sizes: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Return consecutive ranges of ``sizes``, each closed once its sum reaches ``limit``.

    >>> cut(np.array([3, 3, 3, 9, 1]), 6)
    [(0, 2), (2, 4), (4, 5)]
    """
    total = np.cumsum(sizes)
    ranges, begin = [], 0
    while begin < len(sizes):
        before = total[begin - 1] if begin else 0
        end = min(int(np.searchsorted(total, before + limit)) + 1, len(sizes))
        ranges.append((begin, end))
        begin = end
    return ranges


def _sizes(scan: ScanReport, *, images: bool) -> NDArray[np.int64]:
    """Return the image bytes of every row."""
    if images:
        known: NDArray[np.int64] = load_signals(scan, ["byte_length"])["byte_length"].to_numpy()
        return known
    means = [shard.byte_length // max(shard.rows, 1) for shard in scan.shards]
    return np.repeat(np.array(means, np.int64), [shard.rows for shard in scan.shards])
